package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/bonsainet/bonsai/stack"
)

// A Metric is something that a slice has a value of.
type Metric struct {
	Name, Unit, Help string
	More             bool // is better
}

// Metrics are the names in a Result's values.
var Metrics = []Metric{
	{"gbit_s", "Gbit/s", "payload that arrived", true},
	{"per_s", "/s", "operations per second: calls, round trips, connections, datagrams", true},
	{"ns_op", "ns", "time for an operation", false},
	{"p50_us", "us", "half of the operations took less", false},
	{"p99_us", "us", "99 % of the operations took less", false},
	{"cpu_s_GB", "s/GB", "processor time of the process for 10^9 bytes: user and system, both ends", false},
	{"cpu_us_op", "us", "processor time for an operation", false},
	{"ns_segment", "ns", "time for a segment: the frames of the side that sent more of them", false},
	{"cpu_ns_segment", "ns", "processor time for a segment", false},
	{"cpu_ns_frame", "ns", "processor time for a frame, of either side", false},
	{"ins_segment", "", "instructions for a segment, in user mode", false},
	{"allocs_op", "", "allocations of the process for an operation", false},
	{"allocs_MB", "/MB", "allocations for 10^6 bytes of payload", false},
	{"lost", "", "share of the datagrams that did not arrive", false},
	{"heap_bytes", "bytes", "heap and stacks in use after the set-up, more than before", false},
	{"bytes_op", "bytes", "payload of an operation", true},
	{"ops", "", "operations in the slice", true},
	{"seconds", "s", "length of the slice", false},
	{"frames", "", "frames sent, both ways", false},
}

// Report is a run.
type Report struct {
	Date    time.Time `json:"date"`
	Command string    `json:"command"`
	Go      string    `json:"go"`
	System  string    `json:"system"`
	CPUs    int       `json:"cpus"`
	Profile string    `json:"profile"`
	// Slice is the length of a slice in seconds.
	Slice   float64   `json:"slice_s"`
	Seconds float64   `json:"seconds"` // that the run took
	Notes   []string  `json:"notes,omitempty"`
	Results []*Result `json:"results"`
	Scale   []Curve   `json:"scale,omitempty"`
}

// newReport returns one without results.
func newReport(command string, p *Plan) *Report {
	return &Report{
		Date: time.Now().UTC().Truncate(time.Second), Command: command,
		Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(),
		Profile: stack.Profile(), Slice: p.Budget.Time.Seconds(),
	}
}

// Find returns a result, or nil.
func (r *Report) Find(group, work, subject string) *Result {
	for _, x := range r.Results {
		if x.Group == group && x.Work == work && x.Subject == subject {
			return x
		}
	}
	return nil
}

// JSON writes the report.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// tables returns the results as rows of text, one table for each group, the first row being
// the heads of the columns.
func (r *Report) tables() (names []string, tables [][][]string) {
	for _, x := range r.Results {
		i := slices.Index(names, x.Group)
		if i < 0 {
			i = len(names)
			names = append(names, x.Group)
			tables = append(tables, [][]string{{"work", "subject", "median", "spread", "p50", "p99", "CPU", "CPU/segment", "allocations", "bonsai does"}})
		}
		tables[i] = append(tables[i], r.row(x))
	}
	return names, tables
}

// row returns the cells of a result.
func (r *Report) row(x *Result) []string {
	main := work(x.Work).Main
	m := x.Median
	cell := func(format string, name string, scale float64) string {
		v, ok := m[name]
		if !ok {
			return ""
		}
		return fmt.Sprintf(format, v*scale)
	}
	row := []string{x.Work, x.Subject, "", fmt.Sprintf("%.0f %%", 100*x.Spread[main]), cell("%.1f us", "p50_us", 1), cell("%.1f us", "p99_us", 1)}
	if main == "gbit_s" {
		row[2] = cell("%.2f Gbit/s", main, 1)
		row = append(row, cell("%.2f s/GB", "cpu_s_GB", 1), cell("%.0f ns", "cpu_ns_segment", 1)+cell(", %.0f instructions", "ins_segment", 1), cell("%.1f /MB", "allocs_MB", 1))
	} else {
		row[2] = thousands(m[main]) + " /s"
		row = append(row, cell("%.2f us", "cpu_us_op", 1), "", cell("%.2f", "allocs_op", 1))
		if x.Work == "idle" {
			row[8] += fmt.Sprintf(", %.1f MB", m["heap_bytes"]/1e6)
		}
	}
	ratio := ""
	if ours := r.Find(x.Group, x.Work, "bonsai"); ours != nil && ours != x {
		if q := ours.Ratio(x, main); !math.IsNaN(q) {
			ratio = fmt.Sprintf("%.2f x", q)
		}
	}
	if lost := m["lost"]; lost > 0 {
		row[2] += fmt.Sprintf(" (%.1f %% lost)", 100*lost)
	}
	return append(row, ratio)
}

// thousands prints a number with commas.
func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Table writes the report for people.
func (r *Report) Table(w io.Writer) {
	fmt.Fprintf(w, "profile %s, %s, %s, %d processors, %s; medians of slices of %g s, which take turns; %.0f s in all\n",
		r.Profile, r.Go, r.System, r.CPUs, r.Date.Format("2006-01-02"), r.Slice, r.Seconds)
	names, tables := r.tables()
	for i, t := range tables {
		fmt.Fprintf(w, "\n%s\n", names[i])
		columns(w, t)
	}
	for _, c := range r.Scale {
		fmt.Fprintf(w, "\n%s, %s\n", c.Title, c.Name)
		rows := [][]string{{c.X, c.Y, "of the first"}}
		for _, p := range c.Points {
			rows = append(rows, []string{thousands(p.X), fmt.Sprintf("%.1f", p.Y), fmt.Sprintf("%.2f x", p.Y/c.Points[0].Y)})
		}
		columns(w, rows)
	}
	if len(r.Notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
}

// columns writes rows below each other, the first two columns to the left.
func columns(w io.Writer, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], len(c))
		}
	}
	last := ""
	for _, r := range rows {
		var b strings.Builder
		for i, c := range r {
			if i == 0 && c == last {
				c = ""
			}
			pad := strings.Repeat(" ", width[i]-len(c))
			if i < 2 {
				b.WriteString("  " + c + pad)
			} else {
				b.WriteString("  " + pad + c)
			}
		}
		last = r[0]
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// Curve is a cost against a size.
type Curve struct {
	Title  string  `json:"title"`
	Name   string  `json:"name"`
	X      string  `json:"x"`
	Y      string  `json:"y"`
	Points []Point `json:"points"`
}

// Point is one of a Curve.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}
