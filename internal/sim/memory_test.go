package sim

import (
	"testing"

	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
)

// TestGoesOnAtTheMemoryLimit: connections want far more memory than both stacks
// have, in both directions at once. They are slow, but all get there.
func TestGoesOnAtTheMemoryLimit(t *testing.T) {
	needListen(t)
	cfg := stack.Config{Memory: 64 << 10, RcvBuf: 32 << 10, SndBuf: 32 << 10}
	n := New(Options{Seed: 1})
	a, b := n.Host("a", cfg), n.Host("b", cfg)
	n.Link(a, b, emu.Config{Path: emu.Path{Delay: 5 * Ms}})
	// Nobody writes before all are open.
	begin := n.Now() + 2*Second
	app := func() App { return &Bulk{Send: 100_000, Recv: 100_000, Begin: begin} }
	b.Listen(80, 16, func(*End) App { return app() })
	for range 8 {
		a.Dial(b.Endpoint(80), app())
	}
	if err := n.Run(30 * Minute); err != nil {
		t.Fatal(err)
	}
	t.Log("done at", stamp(n.Now()))
}

// TestRelaysGoOnAtTheMemoryLimit: a host that reads from some connections only
// what it can write to others is not stuck when what it has not read yet takes all
// memory.
func TestRelaysGoOnAtTheMemoryLimit(t *testing.T) {
	needListen(t)
	cfg := stack.Config{Memory: 64 << 10, RcvBuf: 48 << 10, SndBuf: 48 << 10}
	n := New(Options{Seed: 1})
	a, b := n.Host("a", stack.Config{}), n.Host("b", cfg)
	n.Link(a, b, emu.Config{Path: emu.Path{Delay: 5 * Ms}})
	b.Listen(80, 16, func(*End) App { return &Answers{Ask: 1, Answer: 1} })
	for range 8 {
		a.Dial(b.Endpoint(80), &Bulk{Send: 100_000, Recv: 100_000, ReadAfter: 5 * Second})
	}
	if err := n.Run(30 * Minute); err != nil {
		t.Fatal(err)
	}
	t.Log("done at", stamp(n.Now()))
}
