package emu

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bonsainet/bonsai/netif"
)

const (
	us = netif.Time(1e3)
	ms = netif.Time(1e6)
)

// frame returns a Buf with a frame of size bytes that carries a number.
func frame(n, size int) *netif.Buf {
	b := netif.NewBuf(1514)
	p := make([]byte, size)
	p[0], p[6] = 0x02, 0x02
	for i := 14; i < size; i++ {
		p[i] = byte(n + i)
	}
	if size >= 18 {
		binary.BigEndian.PutUint32(p[14:], uint32(n))
	}
	b.CopyFrom(p)
	return b
}

func number(b *netif.Buf) int { return int(binary.BigEndian.Uint32(b.Bytes()[14:])) }

func send(t testing.TB, d netif.Device, bufs ...*netif.Buf) {
	t.Helper()
	if err := d.Send(bufs); err != nil {
		t.Fatal(err)
	}
}

func empties(n int) []*netif.Buf {
	bufs := make([]*netif.Buf, n)
	for i := range bufs {
		bufs[i] = netif.NewBuf(1514)
	}
	return bufs
}

type taker interface {
	Take([]*netif.Buf) int
	Next() netif.Time
}

type arrival struct {
	at netif.Time
	n  int
}

// drain moves the clock from arrival to arrival and returns them.
func drain(clock *Virtual, p taker) []arrival {
	var got []arrival
	bufs := empties(4)
	for at := p.Next(); at != never; at = p.Next() {
		clock.Set(at)
		for _, b := range bufs[:p.Take(bufs)] {
			got = append(got, arrival{clock.Now(), number(b)})
		}
	}
	return got
}

func numbers(got []arrival) []int {
	var ns []int
	for _, a := range got {
		ns = append(ns, a.n)
	}
	return ns
}

func conserved(t *testing.T, s Stats, pending int) {
	t.Helper()
	if s.Sent+s.Duplicated != s.Delivered+s.Lost+s.QueueDrops+s.Overruns+s.Down+s.BadLength+uint64(pending) {
		t.Errorf("frames missing: %+v, %d under way", s, pending)
	}
}

// run sends n frames, gap apart, over a path, and returns what arrives.
func run(t *testing.T, n, size int, gap netif.Time, p Path, seed uint64) ([]arrival, Stats) {
	t.Helper()
	var clock Virtual
	a, b := NewLink(Config{Clock: &clock, Path: p, Seed: seed, Frames: 1 << 16})
	var got []arrival
	bufs := empties(8)
	take := func() {
		for k := b.Take(bufs); k > 0; k = b.Take(bufs) {
			for _, buf := range bufs[:k] {
				got = append(got, arrival{clock.Now(), number(buf)})
			}
		}
	}
	for i := range n {
		for at := b.Next(); at <= netif.Time(i)*gap; at = b.Next() {
			clock.Set(at)
			take()
		}
		clock.Set(netif.Time(i) * gap)
		send(t, a, frame(i, size))
	}
	got = append(got, drain(&clock, b)...)
	out, _ := a.Stats()
	conserved(t, out, 0)
	return got, out
}

func TestPerfectLinkDeliversInOrderAtOnce(t *testing.T) {
	got, _ := run(t, 1000, 64, 10*us, Path{}, 1)
	for i, a := range got {
		if a != (arrival{netif.Time(i) * 10 * us, i}) {
			t.Fatalf("arrival %d: %+v", i, a)
		}
	}
	if len(got) != 1000 {
		t.Fatal(len(got))
	}
}

func TestDelayIsExact(t *testing.T) {
	got, _ := run(t, 50, 100, 3*us, Path{Delay: 20*ms + 7}, 1)
	for i, a := range got {
		if want := netif.Time(i)*3*us + 20*ms + 7; a != (arrival{want, i}) {
			t.Fatalf("arrival %d: %+v, want at %d", i, a, want)
		}
	}
}

func TestRateIsExact(t *testing.T) {
	// 1250 bytes at 3 bits/us take 3333.3 us: no rounding error may add up.
	got, _ := run(t, 90, 1250, 0, Path{Rate: 3e6, Delay: ms}, 1)
	for i, a := range got {
		if want := netif.Time(i+1)*10000*us/3 + ms; a != (arrival{want, i}) {
			t.Fatalf("arrival %d: %+v, want at %d", i, a, want)
		}
	}
	// An idle line starts afresh.
	got, _ = run(t, 10, 125, 5*ms, Path{Rate: 1e6}, 1)
	for i, a := range got {
		if want := netif.Time(i)*5*ms + ms; a != (arrival{want, i}) {
			t.Fatalf("after idling, arrival %d: %+v, want at %d", i, a, want)
		}
	}
}

func TestQueueDropsItsTail(t *testing.T) {
	for _, c := range []struct {
		name string
		path Path
		want []int // the first one is in transmission, not in the queue
	}{
		{"frames", Path{Rate: 1e6, Queue: 3}, []int{0, 1, 2, 3, 7, 8}},
		{"bytes", Path{Rate: 1e6, QueueBytes: 399}, []int{0, 1, 2, 3, 7, 8}},
		{"exact bytes", Path{Rate: 1e6, QueueBytes: 500}, []int{0, 1, 2, 3, 4, 5, 7, 8}},
	} {
		var clock Virtual
		a, b := NewLink(Config{Clock: &clock, Path: c.path})
		for i := range 7 {
			send(t, a, frame(i, 100)) // 800 us each
		}
		clock.Set(5000 * us)
		var got []arrival
		bufs := empties(8)
		for _, buf := range bufs[:b.Take(bufs)] {
			got = append(got, arrival{0, number(buf)})
		}
		send(t, a, frame(7, 100), frame(8, 100))
		got = append(got, drain(&clock, b)...)
		if !slices.Equal(numbers(got), c.want) {
			t.Errorf("%s: %v, want %v", c.name, numbers(got), c.want)
		}
		out, _ := a.Stats()
		if int(out.QueueDrops) != 9-len(c.want) {
			t.Errorf("%s: %+v", c.name, out)
		}
		conserved(t, out, 0)
	}
}

// within checks a count of n draws with probability p against five standard
// deviations.
func within(t *testing.T, what string, got uint64, n int, p float64) {
	t.Helper()
	mean, dev := float64(n)*p, math.Sqrt(float64(n)*p*(1-p))
	if math.Abs(float64(got)-mean) > 5*dev {
		t.Errorf("%s: %d of %d, want %.0f +- %.0f", what, got, n, mean, 5*dev)
	}
}

func TestProbabilitiesHold(t *testing.T) {
	const n = 10000
	for _, p := range []float64{0.001, 0.02, 0.5, 1} {
		_, s := run(t, n, 64, us, Path{Loss: p}, 1)
		within(t, "lost", s.Lost, n, p)
		_, s = run(t, n, 64, us, Path{Corrupt: p}, 2)
		within(t, "corrupted", s.Corrupted, n, p)
		_, s = run(t, n, 64, us, Path{Duplicate: p}, 3)
		within(t, "duplicated", s.Duplicated, n, p)
	}
	_, s := run(t, n, 64, us, Path{Reorder: 0.1, ReorderBy: 1}, 4)
	within(t, "reordered", s.Reordered, n, 0.1)
}

func TestGilbertElliottBursts(t *testing.T) {
	const n = 60000
	got, s := run(t, n, 64, us, Path{Burst: Burst{Enter: 0.01, Leave: 0.2}}, 5)
	share := 0.01 / 0.21
	if r := float64(s.Lost) / n; math.Abs(r-share) > 0.15*share {
		t.Errorf("lost %.4f of the frames, want %.4f", r, share)
	}
	bursts, prev := 0, -1
	for _, a := range got {
		if a.n > prev+1 {
			bursts++
		}
		prev = a.n
	}
	if mean := float64(s.Lost) / float64(bursts); math.Abs(mean-5) > 0.75 {
		t.Errorf("%d bursts of %.2f frames on average, want 5", bursts, mean)
	}
	_, s = run(t, n, 64, us, Path{Loss: 0.02, Burst: Burst{Enter: 0.01, Leave: 0.2, Loss: 0.5}}, 6)
	want := share*0.5 + (1-share)*0.02
	if r := float64(s.Lost) / n; math.Abs(r-want) > 0.1*want {
		t.Errorf("lost %.4f of the frames, want %.4f", r, want)
	}
}

func TestJitterKeepsOrderUnlessTold(t *testing.T) {
	const n = 5000
	got, s := run(t, n, 64, 10*us, Path{Delay: ms, Jitter: 200 * us}, 7)
	if !slices.IsSorted(numbers(got)) || s.Reordered != 0 || len(got) != n {
		t.Errorf("out of order: %+v", s)
	}
	got, s = run(t, n, 64, 10*us, Path{Delay: ms, Jitter: 200 * us, Overtake: true}, 7)
	var sum netif.Time
	for _, a := range got {
		d := a.at - netif.Time(a.n)*10*us
		if d < ms || d > ms+200*us {
			t.Fatalf("frame %d took %d ns", a.n, d)
		}
		sum += d
	}
	if mean := sum / n; mean < ms+95*us || mean > ms+105*us {
		t.Errorf("took %d ns on average, want %d", mean, ms+100*us)
	}
	late, top := 0, -1
	for _, a := range got {
		if a.n < top {
			late++
		}
		top = max(top, a.n)
	}
	if late == 0 || uint64(late) != s.Reordered {
		t.Errorf("%d late, counted %d", late, s.Reordered)
	}
}

func TestReorderDisplacesByFrames(t *testing.T) {
	for _, by := range []int{1, 3, 10} {
		got, s := run(t, 2000, 64, us, Path{Reorder: 0.01, ReorderBy: by}, 8)
		if s.Reordered == 0 {
			t.Fatal("nothing reordered")
		}
		for i, a := range got[:1900] {
			passed := 0 // later frames that came first
			for _, b := range got[max(0, i-2*by-8):i] {
				if b.n > a.n {
					passed++
				}
			}
			if passed != 0 && passed != by {
				t.Fatalf("%d frames overtook %d, want %d", passed, a.n, by)
			}
		}
	}
}

func TestReorderedFrameGoesOnWhenNoneFollow(t *testing.T) {
	got, _ := run(t, 1, 64, 0, Path{Reorder: 1, ReorderBy: 5, Delay: ms, ReorderHold: 3 * ms}, 1)
	if len(got) != 1 || got[0].at != 4*ms {
		t.Errorf("%+v", got)
	}
	got, _ = run(t, 1, 64, 0, Path{Reorder: 1}, 1)
	if len(got) != 1 || got[0].at != 10*ms {
		t.Errorf("default hold: %+v", got)
	}
}

func TestCorruptFlipsBits(t *testing.T) {
	for _, bits := range []int{0, 1, 7} {
		a, b := NewLink(Config{Path: Path{Corrupt: 1, CorruptBits: bits}, Seed: 9})
		for i := range 100 {
			in := frame(i, 200)
			want := bytes.Clone(in.Bytes())
			send(t, a, in)
			bufs := empties(1)
			if b.Take(bufs) != 1 {
				t.Fatal("not delivered")
			}
			diff := 0
			for j, x := range bufs[0].Bytes() {
				for y := x ^ want[j]; y != 0; y &= y - 1 {
					diff++
				}
			}
			if m := max(bits, 1); diff > m || diff%2 != m%2 {
				t.Fatalf("%d bits differ, want %d", diff, m)
			}
		}
	}
}

func TestDuplicatesAreEqualAndAdjacent(t *testing.T) {
	got, _ := run(t, 100, 64, us, Path{Duplicate: 1, Delay: ms}, 10)
	for i, a := range got {
		if a.n != i/2 {
			t.Fatalf("%v", numbers(got))
		}
	}
	if len(got) != 200 {
		t.Fatal(len(got))
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	p := Path{Loss: 0.05, Burst: Burst{Enter: 0.01, Leave: 0.3}, Corrupt: 0.01, Duplicate: 0.02, Delay: ms, Jitter: 300 * us,
		Overtake: true, Reorder: 0.03, ReorderBy: 4, Rate: 1e9, Queue: 50}
	x, _ := run(t, 5000, 300, 3*us, p, 11)
	y, _ := run(t, 5000, 300, 3*us, p, 11)
	z, _ := run(t, 5000, 300, 3*us, p, 12)
	if !slices.Equal(x, y) {
		t.Error("two runs differ")
	}
	if slices.Equal(x, z) {
		t.Error("the seed has no effect")
	}
}

func TestDirectionsAreIndependent(t *testing.T) {
	var clock Virtual
	a, b := NewLink(Config{Clock: &clock, Path: Path{Delay: 5 * ms}, Back: &Path{Delay: 2 * ms}})
	send(t, a, frame(1, 60))
	send(t, b, frame(2, 60))
	if a.Next() != 2*ms || b.Next() != 5*ms {
		t.Errorf("next %d and %d", a.Next(), b.Next())
	}
	if a.HardwareAddr() == b.HardwareAddr() {
		t.Error("both ends have the same address")
	}
}

func TestMTUIsKept(t *testing.T) {
	a, b := NewLink(Config{MTU: 576})
	for _, c := range []struct {
		size int
		tag  bool
		ok   bool
	}{{13, false, false}, {14, false, true}, {590, false, true}, {591, false, false}, {594, true, true}, {595, true, false}} {
		in := frame(1, c.size)
		if c.tag {
			in.Bytes()[12] = 0x81
			in.Bytes()[13] = 0
		}
		err := a.Send([]*netif.Buf{in})
		n := b.Take(empties(1))
		if (err == nil) != c.ok || (n == 1) != c.ok {
			t.Errorf("%d bytes, tag %v: %v, %d delivered", c.size, c.tag, err, n)
		}
	}
	out, _ := a.Stats()
	conserved(t, out, 0)
	if out.BadLength != 3 {
		t.Errorf("%+v", out)
	}
}

func TestFullLinkDropsAndCounts(t *testing.T) {
	a, b := NewLink(Config{Frames: 8})
	var in []*netif.Buf
	for i := range 10 {
		in = append(in, frame(i, 60))
	}
	if err := a.Send(in); err == nil {
		t.Error("no error")
	}
	out, _ := a.Stats()
	conserved(t, out, 8)
	var clock Virtual
	if got := numbers(drain(&clock, b)); !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6, 7}) {
		t.Errorf("%v", got)
	}
}

func TestPulledCableDropsEverything(t *testing.T) {
	var clock Virtual
	a, b := NewLink(Config{Clock: &clock, Path: Path{Delay: ms, Reorder: 0.5, ReorderBy: 3}})
	for i := range 20 {
		send(t, a, frame(i, 60))
	}
	b.SetDown(true)
	if err := a.Send([]*netif.Buf{frame(20, 60)}); err == nil {
		t.Error("no error without carrier")
	}
	if b.Next() != never {
		t.Error("frames survived")
	}
	out, _ := a.Stats()
	conserved(t, out, 0)
	b.SetDown(false)
	if err := a.SetOut(Path{}); err != nil {
		t.Fatal(err)
	}
	send(t, a, frame(21, 60))
	if got := numbers(drain(&clock, b)); !slices.Equal(got, []int{21}) {
		t.Errorf("%v", got)
	}
	if err := a.SetOut(Path{Loss: 2}); err == nil {
		t.Error("a bad path was taken")
	}
}

func TestPathChangeKeepsOrder(t *testing.T) {
	var clock Virtual
	a, b := NewLink(Config{Clock: &clock, Path: Path{Delay: 10 * ms}})
	send(t, a, frame(0, 60))
	a.SetOut(Path{})
	send(t, a, frame(1, 60))
	b.SetIn(Path{Delay: ms})
	send(t, a, frame(2, 60))
	got := drain(&clock, b)
	if !slices.Equal(numbers(got), []int{0, 1, 2}) || got[2].at != 10*ms {
		t.Errorf("%v", got)
	}
}

func TestCloseDropsAndEnds(t *testing.T) {
	a, b := NewLink(Config{})
	send(t, a, frame(1, 60))
	send(t, b, frame(2, 60))
	a.Close()
	if a.Close() != nil {
		t.Error("second Close")
	}
	bufs := empties(2)
	if _, err := a.Recv(bufs); err == nil {
		t.Error("Recv after Close")
	}
	if a.Send(bufs[:1]) == nil || b.Send(bufs[:1]) == nil {
		t.Error("Send after Close")
	}
	if n, err := b.Recv(bufs); n != 1 || err != nil || number(bufs[0]) != 1 {
		t.Error("a frame under way to the other end was lost")
	}
	a.SetDown(false)
	if a.Send(bufs[:1]) == nil {
		t.Error("a closed port came up")
	}
	x, y := a.Stats()
	conserved(t, x, 0)
	conserved(t, y, 0)
}

func TestBadConfigurationIsNamed(t *testing.T) {
	clock := new(Virtual)
	for _, c := range []struct {
		field string
		conf  Config
	}{
		{"", Config{}},
		{"", Config{Path: Path{Loss: 1, Corrupt: 1, Duplicate: 1}}},
		{"MTU", Config{MTU: 67}},
		{"MTU", Config{MTU: 65522}},
		{"Frames", Config{Frames: -1}},
		{"Path.Loss", Config{Path: Path{Loss: 1.1}}},
		{"Path.Loss", Config{Path: Path{Loss: math.NaN()}}},
		{"Back.Duplicate", Config{Back: &Path{Duplicate: -1}}},
		{"Path", Config{Path: Path{Delay: 1}}},
		{"Path.Delay", Config{Clock: clock, Path: Path{Delay: -1}}},
		{"Path.Jitter", Config{Clock: clock, Path: Path{Jitter: 1e13}}},
		{"Path.Overtake", Config{Clock: clock, Path: Path{Overtake: true}}},
		{"Path.Rate", Config{Clock: clock, Path: Path{Rate: -1}}},
		{"Path.Queue", Config{Clock: clock, Path: Path{Queue: 1}}},
		{"Path.QueueBytes", Config{Clock: clock, Path: Path{Rate: 1, QueueBytes: -1}}},
		{"Path.Burst.Leave", Config{Path: Path{Burst: Burst{Enter: 0.1}}}},
		{"Path.Burst.Enter", Config{Path: Path{Burst: Burst{Leave: 0.1}}}},
		{"Path.CorruptBits", Config{Path: Path{CorruptBits: -1}}},
		{"Path.Reorder", Config{Clock: clock, Path: Path{ReorderBy: 1}}},
		{"Path.ReorderBy", Config{Clock: clock, Path: Path{Reorder: 1, ReorderBy: -1}}},
	} {
		err := c.conf.Validate()
		var field string
		if ce, ok := err.(*ConfigError); ok {
			field = ce.Field
		}
		if field != c.field || (err == nil) != (c.field == "") {
			t.Errorf("%+v: %v, want one about %q", c.conf, err, c.field)
		}
	}
	sw := SwitchConfig{MACs: 3}
	if sw.Validate() == nil {
		t.Error("a table of 3 addresses")
	}
	defer func() {
		if recover() == nil {
			t.Error("NewLink took a bad configuration")
		}
	}()
	NewLink(Config{MTU: 1})
}

// TestBufsAreConserved runs random traffic over random links and checks after
// each step that no Buf is in two places and that the link holds no more than
// it may.
func TestBufsAreConserved(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for round := range 60 {
		var clock Virtual
		p := Path{}
		if round%3 != 0 {
			p = Path{Delay: 100 * us, Jitter: 300 * us, Overtake: round%2 == 0, Loss: 0.1, Duplicate: 0.2, Corrupt: 0.1, Reorder: 0.1, Rate: 1e9, Queue: 10}
		}
		a, b := NewLink(Config{Clock: &clock, Frames: 20, Path: p, Seed: uint64(round)})
		sizes := []int{1514, 1514 + rng.IntN(50), 2048, 1400}
		as, bs := empties(5), empties(7)
		for i := range as {
			as[i] = netif.NewBuf(sizes[rng.IntN(1+round%4)])
		}
		for range 400 {
			clock.Set(clock.Now() + netif.Time(rng.IntN(100000)))
			x := as[:1+rng.IntN(len(as))]
			caps := make([]int, 7)
			switch rng.IntN(3) {
			case 0, 1:
				for i, buf := range x {
					buf.SetLen(0)
					buf.Reset()
					buf.Append(14 + rng.IntN(1300))
					if rng.IntN(4) == 0 {
						buf.Prepend(20 + rng.IntN(70))
					}
					caps[i] = buf.Cap()
				}
				a.Send(x)
				for i, buf := range x {
					if buf.Cap() < caps[i] {
						t.Fatalf("got a Buf of %d for one of %d", buf.Cap(), caps[i])
					}
				}
			case 2:
				for i, buf := range bs {
					caps[i] = buf.Cap()
				}
				n := b.Take(bs[:1+rng.IntN(len(bs))])
				for i, buf := range bs[:n] {
					if buf.Cap() < caps[i] {
						t.Fatalf("got a Buf of %d for one of %d", buf.Cap(), caps[i])
					}
				}
			}
			seen := map[*netif.Buf]bool{}
			note := func(buf *netif.Buf) {
				if buf == nil || seen[buf] {
					t.Fatal("a Buf is in two places")
				}
				seen[buf] = true
			}
			q := a.out
			for _, buf := range slices.Concat(as, bs, q.fifo[q.head:], q.free) {
				note(buf)
			}
			for _, f := range q.heap {
				note(f.buf)
			}
			for _, h := range q.held {
				note(h.buf)
			}
			if n := q.len() + len(q.free); n > 20 || q.len() > 20 {
				t.Fatalf("the link holds %d Bufs", n)
			}
			out, _ := a.Stats()
			conserved(t, out, q.len())
		}
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	for name, p := range map[string]Path{
		"perfect":  {},
		"impaired": {Delay: ms, Jitter: ms, Overtake: true, Loss: 0.1, Duplicate: 0.1, Reorder: 0.1, Corrupt: 0.1, Rate: 1e9, Queue: 10},
	} {
		var clock Virtual
		a, b := NewLink(Config{Clock: &clock, Path: p})
		out, in := empties(16), empties(16)
		step := func() {
			for _, buf := range out {
				buf.SetLen(0)
				buf.Reset()
				buf.Append(1000)
			}
			a.Send(out)
			clock.Set(clock.Now() + ms)
			b.Take(in)
		}
		for range 2000 {
			step()
		}
		if n := testing.AllocsPerRun(2000, step); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
