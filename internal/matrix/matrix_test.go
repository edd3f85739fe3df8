package matrix

import (
	"os"
	"testing"

	"github.com/bonsainet/bonsai/internal/sim"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
)

// variant skips builds that are not in the table.
func variant(t *testing.T) string {
	t.Helper()
	v := Variant()
	if v == "" {
		t.Skip("needs one of the builds of Variants, for example -tags client,with_listen")
	}
	return v
}

// TestGoodputIsThatOfTheTable measures a few cells again. Changes in TCP may move them a
// little; then the table is to be generated again, and read.
func TestGoodputIsThatOfTheTable(t *testing.T) {
	v := variant(t)
	f, err := os.Open("testdata/goodput.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Cell{
		{0, false, 20, 10, 0.25, false},
		{0, false, 100, 100, 0.25, false}, // a large window has to be reached first
		{0, false, 300, 100, 1, false},
		{0.01, false, 20, 10, 1, false},
		{0.01, true, 100, 10, 1, false},
		{0.03, false, 100, 100, 0.25, false},
		{0.001, false, 300, 10, 1, true},
		{0.1, false, 20, 10, 1, true},
	} {
		got, err := c.Mean()
		if err != nil {
			t.Fatal(err)
		}
		if want := table[v][c]; got < want*0.75 || got > want*1.33 {
			t.Errorf("%s %v: %.3f Mbit/s, the table has %.3f: go run ./internal/matrix/gen", v, c, got, want)
		}
	}
}

// TestFlowsShareALinkEvenly: two and eight flows share 50 Mbit/s within 10 % of even after
// 30 s, by what they send in the next minute.
func TestFlowsShareALinkEvenly(t *testing.T) {
	if v := variant(t); v == "minimal" {
		t.Skip("minimal's buffers are the limit, not the link")
	}
	for _, flows := range []int{2, 8} {
		n := sim.New(sim.Options{Seed: uint64(flows)})
		a, b := n.Host("a", stack.Config{}), n.Host("b", stack.Config{})
		half := 10 * sim.Ms
		n.Link(a, b, emu.Config{
			Path: emu.Path{Rate: 50e6, Delay: half, Queue: 83}, // one BDP
			// ACKs of real hosts are never exact: without that, drop-tail queues favour phases.
			Back: &emu.Path{Delay: half, Jitter: 2 * sim.Ms},
		})
		var ends []*sim.End
		b.Listen(80, 16, func(e *sim.End) sim.App {
			ends = append(ends, e)
			return &sim.Bulk{Recv: 1 << 50}
		})
		for i := range flows { // one after the other
			a.Dial(b.Endpoint(80), &sim.Bulk{Send: 1 << 50, Begin: n.Now() + sim.Time(i+1)*137*sim.Ms})
		}
		if err := n.RunFor(30 * sim.Second); err != nil {
			t.Fatal(err)
		}
		var before []int64
		for _, e := range ends {
			before = append(before, e.Received)
		}
		if err := n.RunFor(60 * sim.Second); err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		var got []float64
		for i, e := range ends {
			x := float64(e.Received-before[i]) * 8 / 60e6
			got = append(got, x)
			sum += x
		}
		even := 50.0 * mss / frameLen / float64(flows)
		t.Logf("%d flows: %.2f Mbit/s", flows, got)
		if len(got) != flows || sum < 0.95*even*float64(flows) {
			t.Errorf("%d flows have %.2f Mbit/s together", len(got), sum)
		}
		for _, x := range got {
			if x < 0.9*even || x > 1.1*even {
				t.Errorf("a flow of %d has %.2f Mbit/s, even is %.2f", flows, x, even)
			}
		}
	}
}
