package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

// A goal compares two figures of the same run.
type goal struct {
	number, text string
	ours, peer   [3]string // group, work, subject
	metric       string
	want         float64 // the least ratio of ours to the peer's, or the greatest if most
	most         bool
}

var (
	pairUp      = [3]string{"pair", "up", "bonsai"}
	socketsUp   = [3]string{"sockets", "up", "bonsai"}
	socketsDown = [3]string{"sockets", "down", "bonsai"}
)

// plainest is bonsai without super-segments: bonsai-plain, or bonsai in builds that have none.
const plainest = "bonsai-plain"

// peerOf is the same work of another subject.
func peerOf(a [3]string, subject string) [3]string { return [3]string{a[0], a[1], subject} }

// goals are those that are ratios. Each has a line in docs/performance.md.
var goals = []goal{
	{"1", "two engines, bulk: processor time at most 2 times the floor", pairUp, peerOf(pairUp, "floor"), "cpu_s_GB", 2, true},
	{"2", "sockets, bulk, frames of the MTU for both: at least 8 times gVisor", peerOf(socketsUp, plainest), peerOf(socketsUp, "gvisor"), "gbit_s", 8, false},
	{"2", "sockets, bulk, frames of the MTU for both: at most a quarter of gVisor's processor time", peerOf(socketsUp, plainest), peerOf(socketsUp, "gvisor"), "cpu_s_GB", 0.25, true},
	{"2", "sockets, bulk, super-segments for both: ahead of gVisor", socketsUp, peerOf(socketsUp, "gvisor-offload"), "gbit_s", 1, false},
	{"2", "sockets, round trip of 1 byte: at most a quarter of gVisor's", [3]string{"sockets", "rr1", "bonsai"}, [3]string{"sockets", "rr1", "gvisor"}, "p50_us", 0.25, true},
	{"2", "sockets, connect and close: at least 4 times gVisor", [3]string{"sockets", "crr", "bonsai"}, [3]string{"sockets", "crr", "gvisor"}, "per_s", 4, false},
	{"3", "TAP, upload: at least 5 times gVisor", [3]string{"tap", "up", "bonsai"}, [3]string{"tap", "up", "gvisor"}, "gbit_s", 5, false},
	{"3", "TAP, download: at least 5 times gVisor", [3]string{"tap", "down", "bonsai"}, [3]string{"tap", "down", "gvisor"}, "gbit_s", 5, false},
	{"3", "TAP, upload, super-segments for both: ahead of gVisor", [3]string{"tap", "up", "bonsai"}, [3]string{"tap", "up", "gvisor-offload"}, "gbit_s", 1, false},
	{"3", "TAP, download, super-segments for both: ahead of gVisor", [3]string{"tap", "down", "bonsai"}, [3]string{"tap", "down", "gvisor-offload"}, "gbit_s", 1, false},
	{"3", "TAP, upload, frames of the MTU for both: ahead of gVisor", [3]string{"tap", "up", plainest}, [3]string{"tap", "up", "gvisor"}, "gbit_s", 1, false},
	{"3", "TAP, download, frames of the MTU for both: ahead of gVisor", [3]string{"tap", "down", plainest}, [3]string{"tap", "down", "gvisor"}, "gbit_s", 1, false},
	{"3", "TAP, download: within 15 % of the bare read loop", [3]string{"tap", "down", "bonsai"}, [3]string{"tap", "down", "bare"}, "gbit_s", 0.85, false},
	{"3", "TAP, round trip of 1 byte: at most 1.5 times the kernel's over veth", [3]string{"tap", "rr1", "bonsai"}, [3]string{"tap", "rr1", "kernel-plain"}, "p50_us", 1.5, true},
	{"4", "sockets, bulk, processor time: 32 connections against one", [3]string{"sockets", "up32", "bonsai"}, socketsUp, "cpu_s_GB", 1, true},
	{"4", "sockets, processor time: 100 of 10,000 connections against one, for a round trip of 64 bytes", [3]string{"sockets", "idle", "bonsai"}, [3]string{"sockets", "rr64", "bonsai"}, "cpu_us_op", 1, true},
}

// figure returns a median with its unit.
func figure(x *Result, metric string) string {
	if x == nil {
		return "not measured"
	}
	v, ok := x.Median[metric]
	if !ok {
		return "not measured"
	}
	switch metric {
	case "per_s":
		return thousands(v) + " /s"
	case "gbit_s":
		return fmt.Sprintf("%.2f Gbit/s", v)
	case "p50_us", "cpu_us_op":
		return fmt.Sprintf("%.1f us", v)
	case "allocs_MB":
		return fmt.Sprintf("%.2f per MB", v)
	}
	return fmt.Sprintf("%.2f s/GB", v)
}

// line is a row of the table of goals.
func (r *Report) line(number, text, ours, peer, ratio string, met bool, known bool) string {
	verdict := "no"
	if met {
		verdict = "yes"
	}
	if !known {
		verdict = "?"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", number, text, ours, peer, ratio, verdict)
}

// Goals writes the table of goals.
func (r *Report) Goals(w io.Writer) {
	fmt.Fprint(w, "| | goal | bonsai | peer | ratio | met |\n|---|---|--:|--:|--:|:-:|\n")
	for i, g := range goals {
		a := r.Find(g.ours[0], g.ours[1], g.ours[2])
		if a == nil && g.ours[2] == plainest {
			a = r.Find(g.ours[0], g.ours[1], "bonsai")
		}
		b := r.Find(g.peer[0], g.peer[1], g.peer[2])
		q := a.Ratio(b, g.metric)
		ratio := ""
		if !math.IsNaN(q) {
			ratio = fmt.Sprintf("%.2f", q)
		}
		met := g.most && q <= g.want || !g.most && q >= g.want
		io.WriteString(w, r.line(g.number, g.text, figure(a, g.metric), g.peer[2]+": "+figure(b, g.metric), ratio, met, ratio != ""))
		if i == 0 {
			rr := r.Find("pair", "rr64", "bonsai")
			known := rr != nil
			io.WriteString(w, r.line("1", "two engines, round trips of 64 bytes: at least 2 M/s", figure(rr, "per_s"), "", "", known && rr.Median["per_s"] >= 2e6, known))
		}
	}
	for _, s := range [][3]string{pairUp, socketsUp, socketsDown} {
		x := r.Find(s[0], s[1], s[2])
		// Fewer than 1 in 1,000 segments: sweeps of the collector, goroutines that the runtime starts.
		known := x != nil
		io.WriteString(w, r.line("4", fmt.Sprintf("%s, %s: no allocation for a segment (below 0.7 per MB: 1 for 1,000 segments)", s[0], s[1]), figure(x, "allocs_MB"), "", "", known && x.Median["allocs_MB"] < 0.7, known))
	}
	for _, c := range r.Scale {
		first, last := c.Points[0], c.Points[len(c.Points)-1]
		q := last.Y / first.Y
		if !strings.HasPrefix(c.X, "connections that") {
			continue
		}
		io.WriteString(w, r.line("4", fmt.Sprintf("%s, %s, of %s: at most 1.5 times the cost with one", lower(c.Title), c.Name, thousands(last.X)),
			fmt.Sprintf("%.0f ns", last.Y), fmt.Sprintf("with one: %.0f ns", first.Y), fmt.Sprintf("%.2f", q), q <= 1.5, true))
	}
}

func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// Markers in docs/performance.md, between which the command writes.
const (
	docBegin = "<!-- figures: written by the command in the first line below -->"
	docEnd   = "<!-- end of figures -->"
)

// document writes the figures into a file, between the markers.
func (r *Report) document(file string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, rest, ok := bytes.Cut(old, []byte(docBegin))
	_, tail, ok2 := bytes.Cut(rest, []byte(docEnd))
	if !ok || !ok2 {
		return errors.New(file + " has no markers for the figures")
	}
	var b bytes.Buffer
	b.Write(head)
	b.WriteString(docBegin + "\n")
	r.markdown(&b)
	b.WriteString(docEnd)
	b.Write(tail)
	return os.WriteFile(file, b.Bytes(), 0o666)
}

// markdown writes the goals and all tables.
func (r *Report) markdown(w io.Writer) {
	fmt.Fprintf(w, "`%s`\n\n%s: profile %s, %s, %s, %d processors. Medians of %g-second slices that take turns, %.0f s in all.\n\n",
		r.Command, r.Date.Format("2006-01-02 15:04 UTC"), r.Profile, r.Go, r.System, r.CPUs, r.Slice, r.Seconds)
	r.Goals(w)
	names, tables := r.tables()
	for i, t := range tables {
		fmt.Fprintf(w, "\n### %s\n\n", names[i])
		last := ""
		for k, row := range t {
			row = append([]string(nil), row...)
			if row[0] == last {
				row[0] = ""
			} else {
				last = row[0]
			}
			fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
			if k == 0 {
				fmt.Fprintf(w, "|---|---|%s\n", strings.Repeat("--:|", len(row)-2))
			}
		}
	}
	if len(r.Scale) > 0 {
		fmt.Fprint(w, "\n### size\n\n| | | of | ns | ratio to the first |\n|---|---|--:|--:|--:|\n")
	}
	for _, c := range r.Scale {
		last := c.Points[len(c.Points)-1]
		fmt.Fprintf(w, "| %s | %s | %s %s | %.0f | %.2f |\n", c.Title, c.Name, thousands(last.X), c.X, last.Y, last.Y/c.Points[0].Y)
	}
	if len(r.Notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "- %s\n", n)
	}
}
