package bench

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"time"
)

// Plan says what to measure and how long.
type Plan struct {
	Subjects []Subject
	Works    []Work
	Options  Options
	Budget   Budget        // of a slice
	Rounds   int           // slices of each case
	Total    time.Duration // after which no further round begins; 0: no bound
	Want     func(group, work, subject string) bool
	Files    int       // that the process may have open; 0: any number
	Progress io.Writer // what is being measured, and what can't be; may be nil
}

// A Result is what a subject made of a work.
type Result struct {
	Group   string `json:"group"`
	Work    string `json:"work"`
	Subject string `json:"subject"`
	// Rounds has the values of each round by the names in Metrics, and Median their medians.
	Rounds []map[string]float64 `json:"rounds"`
	Median map[string]float64   `json:"median"`
	// Spread is how far the middle half of the rounds reaches from the median, as a share
	// of it.
	Spread map[string]float64 `json:"spread"`
}

// Values returns a metric of all rounds.
func (r *Result) Values(metric string) (v []float64) {
	for _, m := range r.Rounds {
		if x, ok := m[metric]; ok {
			v = append(v, x)
		}
	}
	return v
}

// Ratio is the median, over the rounds, of how many times as much r has of a metric as o
// had in the same round. NaN is for what was not measured.
func (r *Result) Ratio(o *Result, metric string) float64 {
	if r == nil || o == nil {
		return math.NaN()
	}
	var v []float64
	for i := range min(len(r.Rounds), len(o.Rounds)) {
		x, ok1 := r.Rounds[i][metric]
		y, ok2 := o.Rounds[i][metric]
		if ok1 && ok2 && y != 0 {
			v = append(v, x/y)
		}
	}
	return Median(v)
}

// entry is a case that takes its turns.
type entry struct {
	*Case
	*Result
	subject Subject
	heap    float64
}

// Run measures. What could not be measured is in notes.
func (p *Plan) Run() (results []*Result, notes []string) {
	end := time.Now().Add(p.Total)
	if p.Total == 0 {
		end = time.Now().Add(24 * time.Hour)
	}
	seen := map[string]bool{}
	note := func(s string) {
		if !seen[s] {
			seen[s] = true
			notes = append(notes, s)
			p.say("%s\n", s)
		}
	}
	for _, group := range p.groups() {
		for _, w := range p.Works {
			for _, e := range p.work(group, w, end, note) {
				results = append(results, e.Result)
			}
		}
	}
	return results, notes
}

func (p *Plan) say(format string, args ...any) {
	if p.Progress != nil {
		fmt.Fprintf(p.Progress, format, args...)
	}
}

// groups returns the groups of the subjects in their order.
func (p *Plan) groups() (list []string) {
	seen := map[string]bool{}
	for _, s := range p.Subjects {
		if !seen[s.Group] {
			seen[s.Group] = true
			list = append(list, s.Group)
		}
	}
	return list
}

// work measures a work on the subjects of a group.
func (p *Plan) work(group string, w Work, end time.Time, note func(string)) (list []*entry) {
	defer func() {
		for _, e := range list {
			e.Close()
		}
		runtime.GC()
	}()
	started := time.Now()
	o := p.Options
	if few := (p.Files - 500) / 6; p.Files > 0 && group == "tap" && w.Name == "idle" && few < o.conns() {
		// All subjects have theirs at the same time: two for a connection between the kernel's
		// sockets, one for a stack's with it.
		o.Conns = max(few, 1)
		note(fmt.Sprintf("tap, idle: %s connections, since this process may have %s files open", thousands(float64(o.Conns)), thousands(float64(p.Files))))
	}
	for _, s := range p.Subjects {
		if s.Group != group || p.Want != nil && !p.Want(group, w.Name, s.Name) || time.Now().After(end) {
			continue
		}
		before := heap()
		c, err := s.Open(w.Name, o)
		if errors.Is(err, ErrNotHere) {
			continue
		}
		if errors.Is(err, errIsolated) {
			note(err.Error())
			continue
		}
		if err != nil {
			note(fmt.Sprintf("%s, %s: %v", group, s.Name, err))
			continue
		}
		list = append(list, &entry{Case: c, Result: &Result{Group: group, Work: w.Name, Subject: s.Name}, subject: s, heap: heap() - before})
	}
	if len(list) == 0 {
		return nil
	}
	for _, e := range list { // a slice that does not count
		if _, err := e.Run(Budget{Ops: p.Budget.Ops, Time: p.Budget.Time / 2}); err != nil {
			note(fmt.Sprintf("%s, %s, %s: %v", group, w.Name, e.subject.Name, err))
			e.failed()
		}
	}
	for round := range p.Rounds {
		if round > 0 && time.Now().After(end) {
			note(fmt.Sprintf("the time was up in round %d of %s, %s", round+1, group, w.Name))
			break
		}
		for i := range list { // another one is first each time
			e := list[(i+round)%len(list)]
			if e.Case.Run == nil {
				continue
			}
			v, err := Measure(e.Case, p.Budget)
			if err != nil {
				note(fmt.Sprintf("%s, %s, %s: %v", group, w.Name, e.subject.Name, err))
				e.failed()
				continue
			}
			v["heap_bytes"] = e.heap
			e.Rounds = append(e.Rounds, v)
		}
	}
	done := list[:0:0]
	for _, e := range list {
		if e.Case.Run != nil && len(e.Rounds) > 0 {
			e.summarize()
			done = append(done, e)
		}
	}
	p.say("%-8s %-6s %d subjects, %.1f s\n", group, w.Name, len(done), time.Since(started).Seconds())
	for _, e := range list {
		if e.Case.Run == nil || len(e.Rounds) == 0 {
			e.Close()
		}
	}
	list = done
	return list
}

// failed takes a case out of the turns.
func (e *entry) failed() { e.Case.Run = nil }

func (r *Result) summarize() {
	r.Median, r.Spread = map[string]float64{}, map[string]float64{}
	for name := range r.Rounds[0] {
		v := r.Values(name)
		r.Median[name], r.Spread[name] = Median(v), spread(v)
	}
}

// heap returns the bytes in use once all garbage is collected.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

// Measure runs a slice and returns the values of all metrics that it has.
func Measure(c *Case, b Budget) (map[string]float64, error) {
	var m0, m1 runtime.MemStats
	var near0, far0, near1, far1 uint64
	runtime.ReadMemStats(&m0)
	if c.Frames != nil {
		near0, far0 = c.Frames()
	}
	ins0, counted := instructions()
	cpu0 := cpuTime()
	n, err := c.Run(b)
	cpu := cpuTime() - cpu0
	ins1, _ := instructions()
	if err != nil {
		return nil, err
	}
	if c.Frames != nil {
		near1, far1 = c.Frames()
	}
	runtime.ReadMemStats(&m1)
	if n.Ops == 0 || n.Elapsed <= 0 {
		return nil, errors.New("did nothing in a slice: give it more time")
	}
	ops, sec := float64(n.Ops), n.Elapsed.Seconds()
	v := map[string]float64{
		"ops": ops, "seconds": sec,
		"per_s": ops / sec, "ns_op": sec / ops * 1e9,
		"cpu_us_op": cpu * 1e6 / ops,
		"allocs_op": float64(m1.Mallocs-m0.Mallocs) / ops,
	}
	if n.Bytes > 0 {
		v["bytes_op"] = float64(n.Bytes) / ops
		v["gbit_s"] = float64(n.Bytes) * 8 / sec / 1e9
		v["cpu_s_GB"] = cpu / float64(n.Bytes) * 1e9
		v["allocs_MB"] = float64(m1.Mallocs-m0.Mallocs) / float64(n.Bytes) * 1e6
	}
	if n.Lost > 0 {
		v["lost"] = float64(n.Lost) / float64(n.Lost+n.Ops)
	}
	if frames := float64(near1 - near0 + far1 - far0); frames > 0 {
		v["frames"] = frames
		v["cpu_ns_frame"] = cpu * 1e9 / frames
		// Data goes in segments one way, and ACKs the other: the larger number is that of
		// the segments.
		segments := float64(max(near1-near0, far1-far0))
		if n.Both {
			segments = frames
		}
		v["ns_segment"] = sec * 1e9 / segments
		v["cpu_ns_segment"] = cpu * 1e9 / segments
		if counted {
			v["ins_segment"] = float64(ins1-ins0) / segments
		}
	}
	if n.Latency != nil {
		v["p50_us"] = n.Latency.Quantile(0.50).Seconds() * 1e6
		v["p99_us"] = n.Latency.Quantile(0.99).Seconds() * 1e6
	}
	return v, nil
}
