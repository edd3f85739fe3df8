package matrix

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/sim"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
)

// TestLinkStaysBusyAfterSlowStart: slow start overruns a queue of half a BDP to two, and a few
// hundred segments are lost, some of them twice. Repairing that keeps the link as busy as the
// rest: from the end of slow start on it is never idle for more than a few frames, and no
// timer has to help. The receiver reads nothing for up to 0.4 s meanwhile, and then all at once.
func TestLinkStaysBusyAfterSlowStart(t *testing.T) {
	if variant(t) != "client" {
		t.Skip("what client promises")
	}
	const rate = 10e6
	for _, queue := range []int{41, 60, 82, 120, 164} { // 82 frames are a BDP of 100 ms
		for seed := range uint64(5) {
			jitter := sim.Time(seed) * sim.Ms / 2
			n := sim.New(sim.Options{Seed: seed})
			a, b := n.Host("a", stack.Config{}), n.Host("b", stack.Config{})
			back := emu.Path{Delay: 50 * sim.Ms, Jitter: jitter}
			there := back
			there.Rate, there.Queue = rate, queue
			out, _ := n.Link(a, b, emu.Config{Path: there, Back: &back})
			b.Listen(80, 8, func(*sim.End) sim.App { return &sim.Bulk{Recv: 1 << 50} })
			e := a.Dial(b.Endpoint(80), &sim.Bulk{Send: 1 << 50})
			if err := n.RunFor(sim.Second); err != nil {
				t.Fatal(err)
			}
			before, _ := out.Stats()
			if err := n.RunFor(10 * sim.Second); err != nil {
				t.Fatal(err)
			}
			after, _ := out.Stats()
			busy := float64(after.DeliveredBytes-before.DeliveredBytes) * 8 / 10 / rate
			if again := e.Traffic().Again; busy < 0.98 || e.Timeouts > 0 || again < 30 {
				t.Errorf("queue %d, seed %d: %.1f %% busy, %d timeouts, %d segments sent again", queue, seed, 100*busy, e.Timeouts, again)
			}
		}
	}
}
