package bench

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/kernelif"
)

func TestMain(m *testing.M) {
	if status, ran := kernelif.Isolate(); ran {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// perOp is how many bytes of payload an operation of a work moves.
var perOp = map[string]int64{
	"up": Chunk, "up32": Chunk, "down": Chunk, "both": Chunk, "rr1": 2, "rr64": 128, "rr16k": 32 << 10,
	"crr": 0, "idle": 128, "small": 64, "udp": Datagram,
}

// Each subject does each of its works, the number of operations that it was asked for, and
// all bytes arrive.
func TestEverySubjectDoesEveryWork(t *testing.T) {
	for _, s := range Subjects() {
		did := 0
		for _, w := range Works {
			t.Run(s.Group+"/"+w.Name+"/"+s.Name, func(t *testing.T) {
				c, err := s.Open(w.Name, Options{Conns: 200})
				if err == ErrNotHere {
					return
				}
				if err != nil {
					t.Skip(err)
				}
				defer c.Close()
				ops := 64
				for range 2 {
					n, err := c.Run(Budget{Ops: ops})
					if err != nil {
						t.Fatal(err)
					}
					want := int64(ops)
					if w.Name == "both" {
						want *= 2
					}
					size := perOp[w.Name]
					if s.Name == "bare" {
						size = framePayload
					}
					if n.Ops+n.Lost != want || n.Bytes != n.Ops*size || n.Elapsed <= 0 {
						t.Errorf("%+v for %d operations of %d bytes", n, want, size)
					}
					if n.Latency != nil && n.Latency.n != uint64(n.Ops) {
						t.Errorf("%d times of %d operations", n.Latency.n, n.Ops)
					}
				}
				if n, err := c.Run(Budget{Time: time.Millisecond}); err != nil || n.Ops < 1 {
					t.Errorf("in a millisecond: %+v, %v", n, err)
				}
				did++
			})
		}
		if did == 0 && s.Group == "pair" {
			t.Errorf("%s/%s did nothing", s.Group, s.Name)
		}
	}
}

// What is compared sends segments of the same size: 1,448 bytes with timestamps, 1,460
// without. Only over a TAP and within the kernel, with offloads, are there larger ones; the emulated
// link counts what they stand for.
func TestSegmentsAreFull(t *testing.T) {
	mss := int64(1460)
	if feature.Timestamps {
		mss = 1448
	}
	for _, s := range Subjects() {
		c, err := s.Open("up", Options{})
		if err != nil || c.Frames == nil {
			continue
		}
		before, _ := c.Frames()
		n, err := c.Run(Budget{Ops: 640})
		after, _ := c.Frames()
		c.Close()
		if err != nil {
			t.Fatal(s.Group, s.Name, err)
		}
		frames, least := int64(after-before), n.Bytes/mss
		if offloads := s.Name == "kernel" || feature.TSO && s.Group == "tap" && s.Name == "bonsai"; offloads != (frames < least*9/10) || frames > least*2 {
			t.Errorf("%s/%s: %d frames for %d bytes, of %d at most", s.Group, s.Name, frames, n.Bytes, mss)
		}
	}
}

func quickReport(t *testing.T) *Report {
	t.Helper()
	p := Plan{
		Subjects: []Subject{FloorSubject(), PairSubjects()[0], {"pair", "absent", "", func(string, Options) (*Case, error) { return nil, errListen }}},
		Works:    []Work{work("up"), work("rr64"), work("idle")},
		Options:  Options{Conns: 200},
		Budget:   Budget{Ops: 16},
		Rounds:   3,
	}
	r := newReport("bonsai bench", &p)
	r.Results, r.Notes = p.Run()
	return r
}

// A run has a result for each case, with the values of all rounds, and says what it has not.
func TestRunReportsAllRounds(t *testing.T) {
	r := quickReport(t)
	if len(r.Results) != 4 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "absent") {
		t.Fatalf("%d results, notes %q", len(r.Results), r.Notes)
	}
	for _, x := range r.Results {
		if len(x.Rounds) != 3 || x.Median["ops"] != 16 || x.Spread["ops"] != 0 || !(x.Median["per_s"] > 0) {
			t.Errorf("%s %s: %d rounds, %v", x.Work, x.Subject, len(x.Rounds), x.Median)
		}
		for name := range x.Median {
			if !slices.ContainsFunc(Metrics, func(m Metric) bool { return m.Name == name }) {
				t.Errorf("%s is not in Metrics", name)
			}
		}
	}
	var b bytes.Buffer
	if err := r.JSON(&b); err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(b.Bytes(), &again); err != nil {
		t.Fatal(err)
	}
	if x := again.Find("pair", "up", "bonsai"); x == nil || x.Median["gbit_s"] != r.Find("pair", "up", "bonsai").Median["gbit_s"] {
		t.Errorf("JSON says %+v", x)
	}
}

// The table's lines are equally long columns: a cell for each head.
func TestTableHasALineForEachResult(t *testing.T) {
	r := quickReport(t)
	names, tables := r.tables()
	if len(names) != 1 || len(tables[0]) != 5 {
		t.Fatalf("%v, %d rows", names, len(tables[0]))
	}
	for _, row := range tables[0] {
		if len(row) != len(tables[0][0]) {
			t.Errorf("%d cells in %q", len(row), row)
		}
	}
	if ratio := tables[0][1][9]; !strings.HasSuffix(ratio, " x") {
		t.Errorf("the floor's row has no ratio: %q", tables[0][1])
	}
	var b strings.Builder
	r.Table(&b)
	for _, want := range []string{"\npair\n", "floor", "rr64", "note: pair, absent: "} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// Ratios are of the same round: a machine that slows down for one slows both.
func TestRatioIsOfTheSameRound(t *testing.T) {
	a, b := &Result{}, &Result{}
	for i, speed := range []float64{1, 10, 100} {
		a.Rounds = append(a.Rounds, map[string]float64{"per_s": 3 * speed})
		b.Rounds = append(b.Rounds, map[string]float64{"per_s": speed, "p50_us": float64(i)})
	}
	if q := a.Ratio(b, "per_s"); q != 3 {
		t.Error(q)
	}
	if q := a.Ratio(b, "p50_us"); !math.IsNaN(q) {
		t.Error(q)
	}
	if q := a.Ratio(nil, "per_s"); !math.IsNaN(q) {
		t.Error(q)
	}
}

func TestHistogramKnowsTimesToSixPercent(t *testing.T) {
	h := new(Histogram)
	for i := 1; i <= 100_000; i++ {
		h.Add(time.Duration(i))
	}
	for _, q := range []float64{0.01, 0.5, 0.99, 1} {
		if got, want := float64(h.Quantile(q)), q*100_000; math.Abs(got-want) > 0.065*want {
			t.Errorf("quantile %g is %g, want %g", q, got, want)
		}
	}
	for _, v := range []uint64{0, 1, 15, 16, 17, 31, 32, 33, 1000, 1 << 40, 1<<63 - 1} {
		if lo, hi := edges(bucket(v)); v < lo || v > hi {
			t.Errorf("%d is in the bucket from %d to %d", v, lo, hi)
		}
	}
	var sum Histogram
	sum.Merge(h)
	sum.Merge(h)
	if sum.n != 200_000 || sum.Quantile(0.5) != h.Quantile(0.5) {
		t.Error(sum.n, sum.Quantile(0.5))
	}
}

func TestMedianAndSpread(t *testing.T) {
	if m := Median([]float64{5, 1, 3}); m != 3 {
		t.Error(m)
	}
	if m := Median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Error(m)
	}
	if s := spread([]float64{90, 100, 120, 80, 1000}); s != 0.2 { // 90 to 120
		t.Error(s)
	}
}

// The cost of a packet is measured at each size, in each curve that this build can have.
func TestScaleHasAPointForEachSize(t *testing.T) {
	p := Plan{Budget: Budget{Ops: 4}, Rounds: 1, Options: Options{Conns: 100}}
	curves, notes := p.scale()
	want := 6
	if !feature.Keepalive {
		want = 5
	}
	if len(curves) != want || len(notes) != 6-want {
		t.Fatalf("%d curves, notes %q", len(curves), notes)
	}
	for _, c := range curves {
		if len(c.Points) < 4 || c.Points[0].X != 1 {
			t.Errorf("%s, %s: %v", c.Title, c.Name, c.Points)
		}
	}
	r := quickReport(t)
	r.Scale = curves
	for name, s := range r.pictures() {
		d := xml.NewDecoder(strings.NewReader(s))
		texts := 0
		for {
			tok, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "text" {
				texts++
			}
		}
		if texts < 5 || strings.Contains(s, "NaN") {
			t.Errorf("%s has %d texts, or not a number in it", name, texts)
		}
	}
	if n := len(r.pictures()); n != 5-1 { // no work has a p50
		t.Errorf("%d pictures", n)
	}
}

// A document gets its figures between the markers, and keeps the rest.
func TestDocumentKeepsTheRest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "performance.md")
	r := quickReport(t)
	os.WriteFile(file, []byte("head\n"+docBegin+"\nold\n"+docEnd+"\ntail\n"), 0o666)
	for range 2 {
		if err := r.document(file); err != nil {
			t.Fatal(err)
		}
	}
	b, _ := os.ReadFile(file)
	s := string(b)
	if !strings.HasPrefix(s, "head\n"+docBegin+"\n`bonsai bench`\n") || !strings.HasSuffix(s, docEnd+"\ntail\n") || strings.Contains(s, "old") {
		t.Error(s)
	}
	for _, want := range []string{"| floor | ", "floor: ", "not measured | ", "### pair\n"} {
		if !strings.Contains(s, want) {
			t.Errorf("no %q in\n%s", want, s)
		}
	}
	os.WriteFile(file, []byte("no markers"), 0o666)
	if err := r.document(file); err == nil {
		t.Error("a document without markers was taken")
	}
}

// A goal is met or not by the ratio of one run, and open where a side was not measured.
func TestGoalsCompareWithinTheRun(t *testing.T) {
	r := &Report{}
	add := func(a [3]string, metric string, v float64) {
		x := &Result{Group: a[0], Work: a[1], Subject: a[2], Rounds: []map[string]float64{{metric: v}}}
		x.summarize()
		r.Results = append(r.Results, x)
	}
	add(pairUp, "cpu_s_GB", 1.9)
	add(peerOf(pairUp, "floor"), "cpu_s_GB", 1)
	add(socketsUp, "gbit_s", 7)
	add(peerOf(socketsUp, "gvisor"), "gbit_s", 1)
	var b strings.Builder
	r.Goals(&b)
	for _, want := range []string{
		"processor time at most 2 times the floor | 1.90 s/GB | floor: 1.00 s/GB | 1.90 | yes |",
		"bulk, frames of the MTU for both: at least 8 times gVisor | 7.00 Gbit/s | gvisor: 1.00 Gbit/s | 7.00 | no |",
		"TAP, upload: at least 5 times gVisor | not measured | gvisor: not measured |  | ? |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// What is asked for wrongly is said, with status 2.
func TestCommandRefuses(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-time", "-1s"}, {"-run", "("}, {"word"}, {"-nothing"}} {
		var out, errs strings.Builder
		if status := Main("bonsai bench", args, Subjects(), &out, &errs); status != 2 || errs.Len() == 0 || out.Len() > 0 {
			t.Errorf("%q: status %d, %q", args, status, errs.String())
		}
	}
}

// The command as a whole, with its files.
func TestCommandWritesItsFiles(t *testing.T) {
	dir := t.TempDir()
	var out, errs strings.Builder
	status := Main("bonsai bench", []string{"-run", "^pair/(up|rr64)/", "-time", "1ms", "-rounds", "2", "-json", filepath.Join(dir, "a.json"), "-svg", dir}, Subjects(), &out, &errs)
	if status != 0 || !strings.Contains(out.String(), "floor") {
		t.Fatalf("status %d\n%s\n%s", status, &out, &errs)
	}
	for _, name := range []string{"a.json", "bench-throughput.svg", "bench-cpu.svg", "bench-segment.svg"} {
		if f, err := os.Stat(filepath.Join(dir, name)); err != nil || f.Size() == 0 {
			t.Error(name, err)
		}
	}
}
