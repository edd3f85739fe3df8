package sim

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
)

// Super-segments are sent as one and lost in parts. Over lossy and reordering links, goodput is what
// it is without them.
func TestSuperSegmentsCostNoGoodput(t *testing.T) {
	if !feature.TSO || !feature.SACK || !feature.RACK {
		t.Skip("needs features tso, sack and rack")
	}
	for _, c := range []struct {
		name string
		path emu.Path
		rtt  Time
	}{
		{"no loss", emu.Path{}, 20 * Ms},
		{"no loss", emu.Path{}, 100 * Ms},
		{"0.1% loss", emu.Path{Loss: 0.001}, 20 * Ms},
		{"1% loss", emu.Path{Loss: 0.01}, 1 * Ms},
		{"1% loss", emu.Path{Loss: 0.01}, 20 * Ms},
		{"3% loss", emu.Path{Loss: 0.03}, 20 * Ms},
		{"bursts", emu.Path{Burst: emu.Burst{Enter: 0.0025, Leave: 0.25}}, 20 * Ms},
		{"reordering", emu.Path{Reorder: 0.02, ReorderBy: 3}, 20 * Ms},
		{"duplication and corruption", emu.Path{Duplicate: 0.01, Corrupt: 0.005}, 20 * Ms},
	} {
		const size, rate, seeds = 4_000_000, 20_000_000, 3
		run := func(offload bool) (took Time, supers int) {
			for seed := range uint64(seeds) {
				there := c.path
				there.Delay, there.Rate = c.rtt/2, rate
				there.Queue = max(10, int(rate/8*int64(c.rtt)/int64(Second)/1500))
				n, x, y := two(Options{Seed: 100 + seed, Offload: offload}, stack.Config{}, 0, there, emu.Path{Delay: c.rtt / 2, Rate: rate})
				connect(x, y, 80, &Bulk{Send: size}, &Bulk{Recv: size}, false)
				begin := n.Now()
				if err := n.Run(60 * Minute); err != nil {
					t.Fatalf("%s, %v: %v", c.name, stamp(c.rtt), err)
				}
				took += n.Now() - begin
				supers += n.wire.supers
			}
			return took, supers
		}
		plain, _ := run(false)
		took, supers := run(true)
		if supers < 100 {
			t.Errorf("%s, %v: %d super-segments", c.name, stamp(c.rtt), supers)
		}
		if took > plain+plain/10 {
			t.Errorf("%s, %v: %v, without super-segments %v", c.name, stamp(c.rtt), stamp(took), stamp(plain))
		}
	}
}

// The same inputs give the same frames, super-segments included.
func TestSuperSegmentsAreDeterministic(t *testing.T) {
	if !feature.TSO {
		t.Skip("needs feature tso")
	}
	var hash [2]uint64
	for i := range hash {
		n, x, y := two(Options{Seed: 5, Offload: true}, stack.Config{}, 0, emu.Path{Delay: Ms, Loss: 0.01}, emu.Path{})
		connect(x, y, 80, &Bulk{Send: 1_000_000, Recv: 1_000_000}, &Bulk{Send: 1_000_000, Recv: 1_000_000}, false)
		if err := n.Run(Minute); err != nil {
			t.Fatal(err)
		}
		hash[i] = n.Hash()
	}
	if hash[0] != hash[1] {
		t.Error("two runs differ")
	}
}
