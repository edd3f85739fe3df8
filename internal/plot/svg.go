package plot

import (
	"fmt"
	"math"
	"strings"
)

// Options say what of a flow to draw. Zero times mean all of it.
type Options struct {
	Title    string
	From, To float64 // seconds
}

const (
	left, right, top = 78, 20, 62
	width            = 1000
	seqH, panelH     = 430, 130
	panelGap         = 46
)

// axes maps values to the picture.
type axes struct {
	x0, x1, y0, y1 float64 // values
	px, py, w, h   float64 // where on the picture
}

func (a *axes) x(v float64) float64 { return a.px + (v-a.x0)/(a.x1-a.x0)*a.w }
func (a *axes) y(v float64) float64 { return a.py + a.h - (v-a.y0)/(a.y1-a.y0)*a.h }

// SVG draws the flow.
func (f *Flow) SVG(o Options) string {
	from, to := o.From, o.To
	last := 0.0
	for _, s := range f.Segments {
		last = max(last, s.T)
	}
	for _, a := range f.Acks {
		last = max(last, a.T)
	}
	if to <= from || to > last {
		to = last
	}
	if to <= from {
		to = from + 1e-3
	}
	in := func(t float64) bool { return t >= from && t <= to }
	lo, hi := math.Inf(1), 1.0
	for _, s := range f.Segments {
		if in(s.T) {
			lo, hi = min(lo, float64(s.Lo)), max(hi, float64(s.Hi))
		}
	}
	for _, a := range f.Acks {
		if in(a.T) && a.Ack < 1<<31 {
			lo = min(lo, float64(a.Ack))
		}
	}
	if lo > hi {
		lo = 0
	}
	hi += (hi - lo) * 0.12 // some of the window
	var b strings.Builder
	height := top + seqH + 2*(panelH+panelGap) + 40
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="Helvetica, Arial, sans-serif">`+"\n", width, height, width, height)
	b.WriteString(`<style>text{font-size:12px;fill:#222}.h{font-size:17px;font-weight:bold}.n{text-anchor:end}.m{text-anchor:middle}.bg{fill:#fff}.g{stroke:#ddd;stroke-width:1}.f{fill:none;stroke:#888}
path{fill:none}.d{stroke:#1f5fbf;stroke-width:2.2}.r{stroke:#d11;stroke-width:3.4}.s{stroke:#8a2fb8;stroke-width:1.6}.u{stroke:#e08a00;stroke-width:2.4}.a{stroke:#2a8f3c;stroke-width:1.6}.w{stroke:#999;stroke-width:1.3}.c{stroke:#1f5fbf;stroke-width:1.8}.t{stroke:#d11;stroke-width:1.5;stroke-dasharray:6 4}.o{stroke:#2a8f3c;stroke-width:1.5}
@media (prefers-color-scheme:dark){.bg{fill:#16181c}text{fill:#ddd}.g{stroke:#333}.d,.c{stroke:#6ea8ff}.r,.t{stroke:#ff6b6b}.a,.o{stroke:#5fd07a}.s{stroke:#c98aef}.w{stroke:#888}}</style>` + "\n")
	fmt.Fprintf(&b, `<rect class="bg" width="%d" height="%d"/>`+"\n", width, height)
	title := o.Title
	if title == "" {
		title = f.Name
	}
	fmt.Fprintf(&b, `<text class="h" x="%d" y="24">%s</text>`+"\n", left, escape(title))
	legend(&b, left, 46, []string{"d", "data", "r", "sent again", "a", "ACK", "s", "SACK", "u", "D-SACK", "w", "window's end"})
	a := axes{from, to, lo, hi, left, top, width - left - right, seqH}
	a.grid(&b, "sequence number", kilo)
	b.WriteString(`<clipPath id="p"><rect x="` + num(a.px) + `" y="` + num(a.py) + `" width="` + num(a.w) + `" height="` + num(a.h) + `"/></clipPath><g clip-path="url(#p)">` + "\n")
	f.sequence(&b, &a, in)
	b.WriteString("</g>\n")
	a.py, a.h = top+seqH+panelGap, panelH
	f.windows(&b, a, in)
	a.py += panelH + panelGap
	f.rtts(&b, a, in)
	fmt.Fprintf(&b, `<text class="m" x="%s" y="%d">seconds</text>`+"\n</svg>\n", num(a.px+a.w/2), height-6)
	return b.String()
}

// sequence draws the time-sequence plot.
func (f *Flow) sequence(b *strings.Builder, a *axes, in func(float64) bool) {
	var acks, wnds strings.Builder
	ax, wx := math.NaN(), math.NaN()
	for i, k := range f.Acks {
		if k.Ack >= 1<<31 || k.T > a.x1 || k.T < a.x0 && i+1 < len(f.Acks) && f.Acks[i+1].T < a.x0 {
			continue
		}
		line(&acks, &ax, a.x(k.T), a.y(float64(k.Ack)))
		line(&wnds, &wx, a.x(k.T), a.y(float64(k.Ack)+float64(k.Wnd)))
	}
	fmt.Fprintf(b, `<path class="w" d="%s"/>`+"\n"+`<path class="a" d="%s"/>`+"\n", wnds.String(), acks.String())
	var data, again, sack, dup strings.Builder
	// A block is drawn where it is news: what earlier ACKs have said already is left out.
	prev := map[uint32]uint32{}
	for _, k := range f.Acks {
		if !in(k.T) {
			continue
		}
		for i, v := range k.Blocks {
			p := &sack
			if i == 0 && k.Dup {
				p = &dup
			} else if i > 0 && prev[v[0]] == v[1] {
				continue
			} else {
				prev[v[0]] = v[1]
			}
			fmt.Fprintf(p, "M%s %sV%s", num(a.x(k.T)), num(a.y(float64(v[0]))), num(a.y(float64(v[1]))))
		}
	}
	for _, s := range f.Segments {
		if !in(s.T) {
			continue
		}
		p := &data
		if s.Again {
			p = &again
		}
		y0, y1 := a.y(float64(s.Lo)), a.y(float64(s.Hi))
		if y0-y1 < 1.6 {
			y0 = y1 + 1.6
		}
		fmt.Fprintf(p, "M%s %sV%s", num(a.x(s.T)), num(y0), num(y1))
	}
	for _, p := range []struct{ class, d string }{{"s", sack.String()}, {"d", data.String()}, {"u", dup.String()}, {"r", again.String()}} {
		fmt.Fprintf(b, `<path class="%s" d="%s"/>`+"\n", p.class, p.d)
	}
}

// line goes on to a point, level first.
func line(b *strings.Builder, at *float64, x, y float64) {
	if math.IsNaN(*at) {
		fmt.Fprintf(b, "M%s %s", num(x), num(y))
	} else {
		fmt.Fprintf(b, "H%sV%s", num(x), num(y))
	}
	*at = x
}

// windows draws bytes in flight, as the capture has them, and cwnd and ssthresh of a simulation.
func (f *Flow) windows(b *strings.Builder, a axes, in func(float64) bool) {
	type point struct{ t, v float64 }
	var flight []point
	var una, nxt uint32
	i := 0
	for _, s := range f.Segments {
		for i < len(f.Acks) && f.Acks[i].T <= s.T {
			if k := f.Acks[i]; int32(k.Ack-una) > 0 {
				una = k.Ack
				flight = append(flight, point{k.T, float64(int32(nxt - una))})
			}
			i++
		}
		if int32(s.Hi-nxt) > 0 {
			nxt = s.Hi
		}
		flight = append(flight, point{s.T, float64(nxt - una)})
	}
	most := 1.0
	for _, p := range flight {
		if in(p.t) {
			most = max(most, p.v)
		}
	}
	for _, s := range f.Samples {
		if in(s.T) {
			most = max(most, s.Cwnd)
		}
	}
	a.y0, a.y1 = 0, most*1.1
	a.grid(b, "bytes", kilo)
	names := []string{"o", "not acknowledged"}
	var o, c, t strings.Builder
	ox, cx, tx := math.NaN(), math.NaN(), math.NaN()
	for _, p := range flight {
		if in(p.t) {
			line(&o, &ox, a.x(p.t), a.y(max(p.v, 0)))
		}
	}
	for _, s := range f.Samples {
		if !in(s.T) {
			continue
		}
		line(&c, &cx, a.x(s.T), a.y(s.Cwnd))
		if s.Ssthresh > 0 && s.Ssthresh <= a.y1 {
			line(&t, &tx, a.x(s.T), a.y(s.Ssthresh))
		}
	}
	fmt.Fprintf(b, `<path class="o" d="%s"/><path class="c" d="%s"/><path class="t" d="%s"/>`+"\n", o.String(), c.String(), t.String())
	if len(f.Samples) > 0 {
		names = append(names, "c", "cwnd", "t", "ssthresh")
	}
	legend(b, a.px, a.py-8, names)
}

// rtts draws the round trips that ACKs show, and SRTT of a simulation.
func (f *Flow) rtts(b *strings.Builder, a axes, in func(float64) bool) {
	most := 1e-3
	for _, k := range f.Acks {
		if in(k.T) {
			most = max(most, k.RTT)
		}
	}
	for _, s := range f.Samples {
		if in(s.T) {
			most = max(most, s.RTT)
		}
	}
	a.y0, a.y1 = 0, most*1.1*1000
	a.grid(b, "ms", func(v float64) string { return fmt.Sprintf("%g", math.Round(v*100)/100) })
	names := []string{"d", "round trip, seen in the capture"}
	var d, c strings.Builder
	cx := math.NaN()
	for _, k := range f.Acks {
		if in(k.T) && k.RTT > 0 {
			fmt.Fprintf(&d, "M%s %sh2.2", num(a.x(k.T)), num(a.y(k.RTT*1000)))
		}
	}
	for _, s := range f.Samples {
		if in(s.T) && s.RTT > 0 {
			line(&c, &cx, a.x(s.T), a.y(s.RTT*1000))
		}
	}
	fmt.Fprintf(b, `<path class="d" d="%s"/><path class="t" d="%s"/>`+"\n", d.String(), c.String())
	if len(f.Samples) > 0 {
		names = append(names, "t", "SRTT")
	}
	legend(b, a.px, a.py-8, names)
}

func (a *axes) grid(b *strings.Builder, unit string, label func(float64) string) {
	for _, v := range ticks(a.y0, a.y1, int(a.h/45)+2) {
		fmt.Fprintf(b, `<path class="g" d="M%s %sh%s"/><text class="n" x="%s" y="%s">%s</text>`+"\n", num(a.px), num(a.y(v)), num(a.w), num(a.px-6), num(a.y(v)+4), label(v))
	}
	for _, v := range ticks(a.x0, a.x1, 10) {
		fmt.Fprintf(b, `<path class="g" d="M%s %sv%s"/><text class="m" x="%s" y="%s">%s</text>`+"\n", num(a.x(v)), num(a.py), num(a.h), num(a.x(v)), num(a.py+a.h+15), fmt.Sprintf("%g", math.Round(v*1e6)/1e6))
	}
	fmt.Fprintf(b, `<rect class="f" x="%s" y="%s" width="%s" height="%s"/>`+"\n", num(a.px), num(a.py), num(a.w), num(a.h))
	fmt.Fprintf(b, `<text class="m" transform="translate(16 %s) rotate(-90)">%s</text>`+"\n", num(a.py+a.h/2), unit)
}

// ticks returns about n round numbers from lo to hi.
func ticks(lo, hi float64, n int) (v []float64) {
	step := math.Pow(10, math.Floor(math.Log10((hi-lo)/float64(n))))
	for _, m := range []float64{1, 2, 5, 10} {
		if (hi-lo)/(step*m) <= float64(n) {
			step *= m
			break
		}
	}
	for x := math.Ceil(lo/step) * step; x <= hi; x += step {
		v = append(v, x)
	}
	return v
}

func kilo(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", math.Round(v/1e4)/100)
	case v >= 1e3:
		return fmt.Sprintf("%gk", math.Round(v/100)/10)
	}
	return fmt.Sprintf("%g", math.Round(v))
}

func legend(b *strings.Builder, x, y float64, names []string) {
	for i := 0; i < len(names); i += 2 {
		fmt.Fprintf(b, `<path class="%s" d="M%s %sh22"/><text x="%s" y="%s">%s</text>`, names[i], num(x), num(y-4), num(x+27), num(y), names[i+1])
		x += 27 + 7*float64(len(names[i+1])) + 22
	}
	b.WriteByte('\n')
}

func num(v float64) string { return fmt.Sprintf("%g", math.Round(v*10)/10) }

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
