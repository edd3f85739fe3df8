package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
)

// A load is what two hosts say to each other: a dials b.
type load struct {
	name     string
	conns    int
	up, down int64
}

var loads = []load{
	{"up", 1, 400_000, 0},
	{"down", 1, 0, 400_000},
	{"both", 1, 200_000, 200_000},
	{"four", 4, 50_000, 50_000},
	{"tiny", 3, 1, 1},
}

// An impairment is a path with a name.
type impairment struct {
	name string
	path emu.Path
}

// impairments holds each that emu has, alone.
var impairments = []impairment{
	{"none", emu.Path{}},
	{"loss0.5%", emu.Path{Delay: 5 * Ms, Loss: 0.005}},
	{"loss2%", emu.Path{Delay: 20 * Ms, Loss: 0.02}},
	{"loss10%", emu.Path{Delay: 5 * Ms, Loss: 0.1}},
	{"bursts", emu.Path{Delay: 10 * Ms, Burst: emu.Burst{Enter: 0.005, Leave: 0.2}}},
	{"long-bursts", emu.Path{Delay: 10 * Ms, Burst: emu.Burst{Enter: 0.002, Leave: 0.1, Loss: 0.9}}},
	{"delay1ms", emu.Path{Delay: 1 * Ms}},
	{"delay300ms", emu.Path{Delay: 300 * Ms}},
	{"jitter", emu.Path{Delay: 10 * Ms, Jitter: 20 * Ms}},
	{"jitter-reorders", emu.Path{Delay: 10 * Ms, Jitter: 5 * Ms, Overtake: true}},
	{"reorder1by1", emu.Path{Delay: 10 * Ms, Reorder: 0.05}},
	{"reorder10by20", emu.Path{Delay: 10 * Ms, Reorder: 0.1, ReorderBy: 20}},
	{"duplicate5%", emu.Path{Delay: 10 * Ms, Duplicate: 0.05}},
	{"duplicate-all", emu.Path{Delay: 10 * Ms, Duplicate: 1}},
	{"corrupt2%", emu.Path{Delay: 10 * Ms, Corrupt: 0.02}},
	{"corrupt10%", emu.Path{Delay: 2 * Ms, Corrupt: 0.1}},
	{"rate256k", emu.Path{Delay: 10 * Ms, Rate: 256_000, Queue: 20}},
	{"rate10M-short-queue", emu.Path{Delay: 20 * Ms, Rate: 10_000_000, Queue: 4}},
	{"rate10M-bytes", emu.Path{Delay: 5 * Ms, Rate: 10_000_000, QueueBytes: 20_000}},
	{"rate100M", emu.Path{Delay: 5 * Ms, Rate: 100_000_000, Queue: 100}},
}

var mtus = []int{68, 296, 576, 1500, 9000}

// randomPath returns several impairments at once, each mild enough that a
// transfer gets through.
func randomPath(r *rand.Rand) (p emu.Path) {
	for p == (emu.Path{}) {
		pick := func(of int) bool { return r.IntN(of) == 0 }
		if pick(2) {
			p.Loss = r.Float64() * 0.05
		}
		if pick(4) {
			p.Burst = emu.Burst{Enter: r.Float64() * 0.005, Leave: 0.1 + r.Float64()*0.5}
		}
		if !pick(4) {
			p.Delay = Time(r.Int64N(int64(300 * Ms)))
			if pick(2) {
				p.Delay /= 30
			}
		}
		if pick(3) {
			p.Jitter = Time(1 + r.Int64N(int64(p.Delay+Ms)))
			p.Overtake = pick(2)
		}
		if pick(3) {
			p.Reorder, p.ReorderBy = r.Float64()*0.1, 1+r.IntN(10)
		}
		if pick(3) {
			p.Duplicate = r.Float64() * 0.2
		}
		if pick(3) {
			p.Corrupt = r.Float64() * 0.03
		}
		if pick(3) {
			p.Rate = 200_000 << r.IntN(10)
			p.Queue = 3 << r.IntN(6)
		}
	}
	return p
}

// A run is one cell of the matrix.
type run struct {
	name    string
	seed    uint64
	mtu     int
	up, dn  emu.Path
	load    load
	cfg     stack.Config
	verdict *result
}

type result struct {
	hash uint64
	time Time
}

func matrix() (runs []run) {
	add := func(name string, mtu int, up, dn emu.Path, l load) {
		if mtu == 68 { // 16 bytes a segment
			l.up, l.down = (l.up+7)/8, (l.down+7)/8
		}
		runs = append(runs, run{
			name: fmt.Sprintf("%03d-%s-%d-%s", len(runs), name, mtu, l.name),
			seed: uint64(len(runs) + 1), mtu: mtu, up: up, dn: dn, load: l,
		})
	}
	for i, m := range impairments {
		for k := range 4 {
			l, mtu := loads[(i+k)%len(loads)], 1500
			switch k {
			case 0:
				add(m.name, mtu, m.path, emu.Path{}, loads[i%3])
			case 1:
				add(m.name+"-back", mtu, emu.Path{}, m.path, loads[i%3])
			default:
				if k == 3 {
					mtu = mtus[i%len(mtus)]
				}
				add(m.name+"-both", mtu, m.path, m.path, l)
			}
		}
	}
	for _, mtu := range mtus {
		for _, l := range loads {
			p := emu.Path{Delay: 5 * Ms, Loss: 0.01, Rate: 20_000_000, Queue: 50}
			add("mtu", mtu, p, p, l)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for len(runs) < 400 {
		up := randomPath(r)
		dn := up
		if r.IntN(2) == 0 {
			dn = randomPath(r)
		}
		add("random", mtus[r.IntN(len(mtus))], up, dn, loads[r.IntN(len(loads))])
		c := &runs[len(runs)-1].cfg
		switch r.IntN(4) {
		case 0: // buffers that the windows don't fit in
			c.RcvBuf, c.SndBuf = 3000, 3000
		case 1: // less memory than the connections may want
			c.Memory = 64 << 10
			c.RcvBuf, c.SndBuf = 24<<10, 24<<10
		}
	}
	return runs
}

// play runs a cell and checks what holds for all of them.
func (x *run) play(t *testing.T) {
	limit := x.cfg.Memory
	n := New(Options{Seed: x.seed, Check: func(h *Host) error {
		if u := h.Stack.Usage(); limit != 0 && u.Memory > limit {
			return fmt.Errorf("%d bytes of memory in use, %d allowed", u.Memory, limit)
		}
		return nil
	}})
	a, b := n.Host("a", x.cfg), n.Host("b", x.cfg)
	pa, pb := n.Link(a, b, emu.Config{MTU: x.mtu})
	port := uint16(80)
	dial := func() {
		up, down := x.load.up, x.load.down
		connect(a, b, port, &Bulk{Recv: down, Send: up}, &Bulk{Send: down, Recv: up}, x.seed%8 == 0)
		port++
	}
	dial()
	// The neighbours know each other before the impairments begin: else ARP gives
	// up where the loss is high.
	if err := n.RunFor(0); err != nil {
		t.Fatal(err)
	}
	if err := pa.SetOut(x.up); err != nil {
		t.Fatal(err)
	}
	if err := pb.SetOut(x.dn); err != nil {
		t.Fatal(err)
	}
	for range x.load.conns {
		dial()
	}
	if err := n.Run(60 * Minute); err != nil {
		t.Fatal(err)
	}
	x.verdict = &result{n.Hash(), n.Now()}
	if err := n.Settle(60 * Minute); err != nil {
		t.Fatal(err)
	}
}

// TestMatrixOfImpairments: whatever the link does, all bytes arrive, in order, at
// both ends; memory stays within its bound; nothing stalls; and nothing is left.
func TestMatrixOfImpairments(t *testing.T) {
	for _, x := range matrix() {
		t.Run(x.name, func(t *testing.T) { x.play(t) })
	}
}

func TestSameSeedSameFrames(t *testing.T) {
	runs := matrix()
	for i := 0; i < len(runs); i += 17 {
		x := &runs[i]
		x.play(t)
		first := *x.verdict
		if x.play(t); *x.verdict != first {
			t.Errorf("%s: %x, then %x", x.name, first, *x.verdict)
		}
		x.seed += 1000
		if x.play(t); x.verdict.hash == first.hash {
			t.Errorf("%s: another seed, but the same frames", x.name)
		}
	}
}
