package sim

import (
	"fmt"
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

// TestMemoryCapIsHeldAndReturns: readers stop for an hour while peers send all they can.
// The receiver takes what its memory holds, never more than Config.Memory, and keeps every
// connection; it never drops what it has acknowledged (Bulk compares every byte); other
// traffic goes on meanwhile; and when they read again all get there and all memory comes
// back.
func TestMemoryCapIsHeldAndReturns(t *testing.T) {
	const memory, flows = 128 << 10, 12
	cfg := stack.Config{Memory: memory, RcvBuf: 32 << 10, SndBuf: 32 << 10}
	full := 0
	check := func(h *Host) error {
		u := h.Stack.Usage()
		if h.Name == "b" && u.Memory > memory {
			return fmt.Errorf("%s holds %d bytes, %d are allowed", h.Name, u.Memory, memory)
		}
		if h.Name == "b" && u.Memory > memory*3/4 {
			full++
		}
		return nil
	}
	n := New(Options{Seed: 1, Check: check, Stall: 2 * 60 * Minute})
	a, b := n.Host("a", stack.Config{}), n.Host("b", cfg)
	n.Link(a, b, emu.Config{Path: emu.Path{Delay: 5 * Ms, Loss: 0.01}})
	const hour = 60 * Minute
	begin := n.Now() + 2*Second
	for i := range uint16(flows) {
		// Half of them in both directions, so that sending needs memory too.
		back := int64(i%2) * 100_000
		connect(a, b, 80+i, &Bulk{Send: 200_000, Recv: back, Begin: begin}, &Bulk{Send: back, Recv: 200_000, Begin: begin, ReadAfter: hour, Keep: true}, false)
	}
	if err := n.RunFor(10 * Minute); err != nil {
		t.Fatal(err)
	}
	if full == 0 {
		t.Fatal("memory was never short: the test shows nothing")
	}
	if c := b.Stack.Usage(); c.Conns != flows {
		t.Fatalf("%d connections of %d: %+v", c.Conns, flows, c)
	}
	// A new connection gets through in the middle of it.
	small, _ := connect(a, b, 500, &Bulk{Send: 1000, WriteSize: 100, WriteEvery: 10 * Ms}, &Bulk{Recv: 1000}, false)
	if err := n.RunFor(10 * Minute); err != nil {
		t.Fatal(err)
	}
	if small.Finished == 0 {
		t.Errorf("a new connection beside them is stuck: %v", small)
	}
	if err := n.Run(2 * hour); err != nil {
		t.Fatal(err)
	}
	if late := n.Now() - hour; late > 10*Minute {
		t.Errorf("they needed %v after memory came back", stamp(late))
	}
	last, _ := connect(a, b, 600, &Bulk{Send: 1 << 20}, &Bulk{Recv: 1 << 20}, false)
	from := n.Now()
	if err := n.Run(10 * Minute); err != nil || last.Err != 0 {
		t.Fatal(err, last)
	}
	t.Logf("a MiB afterwards took %v", stamp(n.Now()-from))
	if n.Now()-from > Minute {
		t.Error("it is slow for ever")
	}
	if err := n.Settle(10 * Minute); err != nil {
		t.Fatal(err)
	}
	for _, h := range n.Hosts {
		if u := h.Stack.Usage(); u.Memory != 0 || u.Conns != 0 {
			t.Errorf("%s: %+v is left", h.Name, u)
		}
	}
}
