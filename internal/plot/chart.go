package plot

import (
	"fmt"
	"math"
	"strings"
)

// Bars is a chart of horizontal bars, in groups.
type Bars struct {
	Title, Caption, Unit string
	Groups               []Group
}

// Group is what is compared with each other.
type Group struct {
	Name string
	Bars []Bar
}

// Bar is a value. Those of the same Class (0 to 5) have the same colour. Low and High, if
// not equal, are how far measurements went.
type Bar struct {
	Name             string
	Class            int
	Value, Low, High float64
}

const chartStyle = `<style>text{font-size:12px;fill:#222}.h{font-size:17px;font-weight:bold}.t{font-size:13px;font-weight:bold}.n{text-anchor:end}.m{text-anchor:middle}.bg{fill:#fff}.g{stroke:#ddd;stroke-width:1}.f{fill:none;stroke:#888}.e{stroke:#222;stroke-width:1.2}
path{fill:none}.l0,.l1,.l2,.l3,.l4,.l5{stroke-width:2.2}.l0{stroke:#2a8f3c}.l1{stroke:#c2571a}.l2{stroke:#1f5fbf}.l3{stroke:#6b7785}.l4{stroke:#8a2fb8}.l5{stroke:#b08a00}
.b0{fill:#2a8f3c}.b1{fill:#c2571a}.b2{fill:#1f5fbf}.b3{fill:#6b7785}.b4{fill:#8a2fb8}.b5{fill:#b08a00}
@media (prefers-color-scheme:dark){.bg{fill:#16181c}text{fill:#ddd}.g{stroke:#333}.e{stroke:#ddd}.l0{stroke:#5fd07a}.l1{stroke:#f0935a}.l2{stroke:#6ea8ff}.l3{stroke:#9aa5b1}.l4{stroke:#c98aef}.l5{stroke:#e0bd3c}.b0{fill:#4fb869}.b1{fill:#e0834a}.b2{fill:#5f97ea}.b3{fill:#8a95a1}.b4{fill:#b87ade}.b5{fill:#c9a832}}</style>
`

// svg begins a picture with a title and a line below it.
func svg(b *strings.Builder, w, h int, title, caption string) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="Helvetica, Arial, sans-serif">`+"\n", w, h, w, h)
	b.WriteString(chartStyle)
	fmt.Fprintf(b, `<rect class="bg" width="%d" height="%d"/>`+"\n"+`<text class="h" x="20" y="26">%s</text><text x="20" y="46">%s</text>`+"\n", w, h, escape(title), escape(caption))
}

// SVG draws the bars.
func (c *Bars) SVG() string {
	const barH, gap, x0, w = 18, 26, 190, 620
	most, height := 0.0, 58
	for _, g := range c.Groups {
		height += gap + barH*len(g.Bars)
		for _, b := range g.Bars {
			most = max(most, b.Value, b.High)
		}
	}
	if most == 0 {
		most = 1
	}
	scale := func(v float64) float64 { return v / most * w }
	var b strings.Builder
	svg(&b, x0+w+150, height+44, c.Title, c.Caption)
	for _, v := range ticks(0, most, 8) {
		fmt.Fprintf(&b, `<path class="g" d="M%s 60V%d"/><text class="m" x="%s" y="%d">%g</text>`+"\n", num(x0+scale(v)), height+8, num(x0+scale(v)), height+24, v)
	}
	fmt.Fprintf(&b, `<text class="n" x="%d" y="%d">%s</text>`+"\n", x0+w+130, height+24, escape(c.Unit))
	y := 58
	for _, g := range c.Groups {
		fmt.Fprintf(&b, `<text class="t" x="20" y="%d">%s</text>`+"\n", y+gap-8, escape(g.Name))
		y += gap
		for _, r := range g.Bars {
			fmt.Fprintf(&b, `<text class="n" x="%d" y="%d">%s</text><rect class="b%d" x="%d" y="%d" width="%s" height="%d"/>`, x0-8, y+13, escape(r.Name), r.Class, x0, y+1, num(max(scale(r.Value), 1)), barH-3)
			end := r.Value
			if r.High > r.Low {
				fmt.Fprintf(&b, `<path class="e" d="M%s %dH%s"/>`, num(x0+scale(r.Low)), y+9, num(x0+scale(r.High)))
				end = max(end, r.High)
			}
			fmt.Fprintf(&b, `<text x="%s" y="%d">%s</text>`+"\n", num(x0+scale(end)+6), y+13, three(r.Value))
			y += barH
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// three prints three digits.
func three(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Panel is a chart of lines with a logarithmic horizontal axis and a vertical one from 0.
type Panel struct {
	Title, X, Y string
	Lines       []Line
}

// Line is a curve.
type Line struct {
	Name   string
	Points [][2]float64
}

// Panels draws panels below each other.
func Panels(title, caption string, panels []Panel) string {
	const h, gap, w = 220, 92, 660
	var b strings.Builder
	svg(&b, 60+w+230, 46+len(panels)*(h+gap), title, caption)
	for i, p := range panels {
		a := axes{0, 1, 0, 1, 80, float64(88 + i*(h+gap)), w, h}
		for _, l := range p.Lines {
			for _, v := range l.Points {
				a.x1, a.y1 = max(a.x1, math.Log10(v[0])), max(a.y1, v[1]*1.1)
			}
		}
		fmt.Fprintf(&b, `<text class="t" x="80" y="%s">%s</text>`+"\n", num(a.py-10), escape(p.Title))
		for _, v := range ticks(0, a.y1, 5) {
			fmt.Fprintf(&b, `<path class="g" d="M80 %sh%d"/><text class="n" x="74" y="%s">%s</text>`+"\n", num(a.y(v)), w, num(a.y(v)+4), kilo(v))
		}
		for e := 0.0; e <= a.x1; e++ {
			fmt.Fprintf(&b, `<path class="g" d="M%s %sv%d"/><text class="m" x="%s" y="%s">%s</text>`+"\n", num(a.x(e)), num(a.py), h, num(a.x(e)), num(a.py+h+16), kilo(math.Pow(10, e)))
		}
		fmt.Fprintf(&b, `<rect class="f" x="80" y="%s" width="%d" height="%d"/><text class="m" x="%d" y="%s">%s</text>`+"\n", num(a.py), w, h, 80+w/2, num(a.py+h+34), escape(p.X))
		fmt.Fprintf(&b, `<text class="m" transform="translate(20 %s) rotate(-90)">%s</text>`+"\n", num(a.py+h/2), escape(p.Y))
		for k, l := range p.Lines {
			d := ""
			for i, v := range l.Points {
				d += "ML"[min(i, 1):min(i, 1)+1] + num(a.x(math.Log10(v[0]))) + " " + num(a.y(v[1]))
			}
			fmt.Fprintf(&b, `<path class="l%d" d="%s"/>`, k%6, d)
			for _, v := range l.Points {
				fmt.Fprintf(&b, `<circle class="b%d" r="3.2" cx="%s" cy="%s"/>`, k%6, num(a.x(math.Log10(v[0]))), num(a.y(v[1])))
			}
			y := a.py + 14 + 20*float64(k)
			fmt.Fprintf(&b, `<path class="l%d" d="M%d %sh22"/><text x="%d" y="%s">%s</text>`+"\n", k%6, 80+w+12, num(y-4), 80+w+40, num(y), escape(l.Name))
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}
