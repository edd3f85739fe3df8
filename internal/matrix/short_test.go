package matrix

import (
	"slices"
	"testing"

	"github.com/bonsainet/bonsai/internal/sim"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
)

// TestShortTransfersUnderLoss sends 64 KiB on 400 new connections through 10 Mbit/s, 20 ms and 3 % loss,
// the handshake's too: probes and RACK keep the tail short. (The kernel: 112 and 349 ms,
// measured through such a link.)
func TestShortTransfersUnderLoss(t *testing.T) {
	if variant(t) != "client" {
		t.Skip("what client promises")
	}
	const size = 64 << 10
	path := emu.Path{Delay: 10 * sim.Ms, Rate: 10e6, Queue: 64, Loss: 0.03}
	var times []sim.Time
	for seed := range uint64(400) {
		n := sim.New(sim.Options{Seed: seed + 1})
		a, b := n.Host("a", stack.Config{}), n.Host("b", stack.Config{})
		pa, _ := n.Link(a, b, emu.Config{Path: emu.Path{Delay: path.Delay}})
		b.Listen(81, 8, func(*sim.End) sim.App { return &sim.Bulk{} })
		a.Dial(b.Endpoint(81), &sim.Bulk{}) // for ARP, which has no part in this
		if err := n.Run(sim.Minute); err != nil {
			t.Fatal(err)
		}
		if err := pa.SetOut(path); err != nil {
			t.Fatal(err)
		}
		v := b.Listen(80, 8, func(*sim.End) sim.App { return &sim.Bulk{Recv: size} })
		a.Dial(b.Endpoint(80), &sim.Bulk{Send: size})
		if err := n.Run(2 * sim.Minute); err != nil {
			t.Fatal(err)
		}
		times = append(times, v.Ends[0].Last-v.Ends[0].Opened)
	}
	slices.Sort(times)
	median, p99 := times[len(times)/2]/sim.Ms, times[len(times)*99/100]/sim.Ms
	t.Logf("median %d ms, 99th percentile %d ms", median, p99)
	if median > 100 || p99 > 400 {
		t.Errorf("median %d ms, 99th percentile %d ms", median, p99)
	}
}
