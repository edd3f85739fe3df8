package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bonsainet/bonsai/internal/plot"
)

// classes are the colours of the subjects.
var classes = map[string]int{"bonsai": 0, "bonsai-grown": 0, "bonsai-plain": 0, "gvisor": 1, "gvisor-offload": 1, "kernel-plain": 2, "kernel": 2, "bare": 3, "floor": 3}

// caption says under what conditions a picture came about.
func (r *Report) caption() string {
	return fmt.Sprintf("%s, profile %s, %d processors, MTU 1500, %s", r.System, r.Profile, r.CPUs, r.Date.Format("2006-01-02"))
}

// bars returns a group for each of the works that has results with a metric.
func (r *Report) bars(works []string, metric string, scale float64) (groups []plot.Group) {
	for _, group := range []string{"pair", "sockets", "tap"} {
		for _, name := range works {
			g := plot.Group{Name: fmt.Sprintf("%s, %s: %s", group, name, strings.ReplaceAll(work(name).Help, ", in calls of 64 KiB", ""))}
			for _, x := range r.Results {
				v := x.Values(metric)
				if x.Group != group || x.Work != name || len(v) == 0 {
					continue
				}
				b := plot.Bar{Name: x.Subject, Class: classes[x.Subject], Value: Median(v) * scale, Low: quantile(v, 0.25) * scale, High: quantile(v, 0.75) * scale}
				g.Bars = append(g.Bars, b)
			}
			if len(g.Bars) > 0 {
				groups = append(groups, g)
			}
		}
	}
	return groups
}

// pictures returns the report's pictures by the names of their files.
func (r *Report) pictures() map[string]string {
	p := map[string]string{}
	add := func(file string, b plot.Bars) {
		if len(b.Groups) > 0 {
			b.Caption = r.caption() + "; medians, and the middle half of the slices"
			p[file] = b.SVG()
		}
	}
	bulk := []string{"up", "down", "both", "udp"}
	add("bench-throughput.svg", plot.Bars{Title: "Throughput", Unit: "Gbit/s", Groups: r.bars(bulk, "gbit_s", 1)})
	add("bench-cpu.svg", plot.Bars{Title: "Processor time", Unit: "s per GB", Groups: r.bars(bulk, "cpu_s_GB", 1)})
	add("bench-segment.svg", plot.Bars{Title: "Cost of 1,448 bytes at both ends", Unit: "CPU ns", Groups: r.bars([]string{"up"}, "cpu_s_GB", 1448)})
	add("bench-latency.svg", plot.Bars{Title: "Half of the round trips take less", Unit: "us", Groups: r.bars([]string{"rr1", "rr64", "rr16k", "crr"}, "p50_us", 1)})
	if len(r.Scale) > 0 {
		var panels []plot.Panel
		for _, c := range r.Scale {
			l := plot.Line{Name: c.Name}
			for _, v := range c.Points {
				l.Points = append(l.Points, [2]float64{v.X, v.Y})
			}
			if k := len(panels) - 1; k >= 0 && panels[k].Title == c.Title && panels[k].X == c.X {
				panels[k].Lines = append(panels[k].Lines, l)
			} else {
				panels = append(panels, plot.Panel{Title: c.Title, X: c.X, Y: c.Y, Lines: []plot.Line{l}})
			}
		}
		p["bench-scale.svg"] = plot.Panels("Cost at both ends, against size", r.caption()+"; medians", panels)
	}
	return p
}

// draw writes the pictures into a folder.
func (r *Report) draw(dir string) error {
	for name, s := range r.pictures() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(s), 0o666); err != nil {
			return err
		}
	}
	return nil
}
