package matrix

import (
	"fmt"
	"math"
	"strings"
)

// Picture draws the table as an SVG heat map: a block for each variant, rate and queue, a row for
// each round trip, a column for each kind of loss; the colour is the share of the bound.
func (t Table) Picture(reorder bool) string {
	const (
		cw, ch     = 47, 22 // of a cell
		left, top  = 64, 86
		gapX, gapY = 74, 58
		cols, rows = 9, 4
		blockW     = cols*cw + gapX
		blockH     = rows*ch + gapY
	)
	var b strings.Builder
	width, height := left+len(Variants)*blockW-gapX+16, top+len(Rates)*len(Queues)*blockH+10
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="Helvetica, Arial, sans-serif">`+"\n", width, height, width, height)
	b.WriteString(`<style>text{font-size:11px;fill:#222}.h{font-size:16px;font-weight:bold}.t{font-size:13px;font-weight:bold}.n{text-anchor:middle;font-size:11px}.r{text-anchor:end}.bg{fill:#fff}
@media (prefers-color-scheme:dark){.bg{fill:#16181c}text{fill:#ddd}}.n.d{fill:#111}.n.l{fill:#fff}</style>` + "\n")
	fmt.Fprintf(&b, `<rect class="bg" width="%d" height="%d"/>`+"\n", width, height)
	title := "Goodput in Mbit/s; colour: share of the model's bound"
	if reorder {
		title += "; 1 % of the frames reordered"
	}
	fmt.Fprintf(&b, `<text class="h" x="%d" y="24">%s</text>`+"\n", left, title)
	for i, s := range []float64{0.05, 0.25, 0.5, 0.75, 1} {
		fill, _ := colour(s)
		fmt.Fprintf(&b, `<rect x="%d" y="36" width="40" height="14" fill="%s"/><text x="%d" y="47">%.0f %%%s</text>`+"\n", left+i*110, fill, left+i*110+46, s*100, map[bool]string{true: " or more"}[s == 1])
	}
	for vi, v := range Variants {
		x0 := left + vi*blockW
		fmt.Fprintf(&b, `<text class="t" x="%d" y="%d">%s: %s</text>`+"\n", x0, top-14, v.Name, v.Help)
		k := 0
		for _, rate := range Rates {
			for _, queue := range Queues {
				y0 := top + k*blockH + 34
				k++
				fmt.Fprintf(&b, `<text x="%d" y="%d">%d Mbit/s, queue of %g BDP; loss each on its own | in bursts (b)</text>`+"\n", x0, y0-20, rate, queue)
				for ri, rtt := range RTTs {
					fmt.Fprintf(&b, `<text class="r" x="%d" y="%d">%d ms</text>`+"\n", x0-6, y0+ri*ch+15, rtt)
					i := 0
					for _, burst := range []bool{false, true} {
						for _, loss := range Losses {
							if burst && loss == 0 {
								continue
							}
							c := Cell{loss, burst, rtt, rate, queue, reorder}
							x, y := x0+i*cw, y0+ri*ch
							i++
							if ri == 0 {
								label := fmt.Sprintf("%g%%", loss*100)
								if burst {
									label += " b"
								}
								fmt.Fprintf(&b, `<text class="n" x="%d" y="%d">%s</text>`+"\n", x+cw/2, y0-5, label)
							}
							g := t[v.Name][c]
							fill, class := colour(g / c.Bound())
							fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/><text class="n %s" x="%d" y="%d">%s</text>`+"\n",
								x, y, cw-1, ch-1, fill, class, x+cw/2, y+15, short(g))
						}
					}
				}
			}
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// short prints three digits.
func short(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// colour goes from dark red by yellow to green, and says whether text on it is dark.
func colour(share float64) (fill, class string) {
	stops := [][4]float64{{0, 120, 10, 30}, {0.25, 200, 60, 40}, {0.5, 240, 160, 60}, {0.75, 245, 225, 110}, {1, 110, 185, 100}}
	share = math.Min(math.Max(share, 0), 1)
	for i := 1; i < len(stops); i++ {
		a, z := stops[i-1], stops[i]
		if share <= z[0] {
			f := (share - a[0]) / (z[0] - a[0])
			class = "d"
			if share < 0.3 {
				class = "l"
			}
			return fmt.Sprintf("#%02x%02x%02x", int(a[1]+f*(z[1]-a[1])), int(a[2]+f*(z[2]-a[2])), int(a[3]+f*(z[3]-a[3]))), class
		}
	}
	return "#6eb964", "d"
}
