package sim

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
)

// needListen skips a test whose both ends are ours in a build that can't accept.
func needListen(t testing.TB) {
	t.Helper()
	if !feature.Listen {
		t.Skip("both ends are ours, so one must accept: needs feature listen (tag full, or with_listen)")
	}
}

func TestTransfersBothWays(t *testing.T) {
	needListen(t)
	n := New(Options{Seed: 1})
	a, b := n.Host("a", stack.Config{}), n.Host("b", stack.Config{})
	n.Link(a, b, emu.Config{Path: emu.Path{Delay: 20 * Ms, Loss: 0.01}})
	v := b.Listen(80, 8, func(*End) App { return &Bulk{Send: 1 << 20, Recv: 1 << 20} })
	e := a.Dial(b.Endpoint(80), &Bulk{Send: 1 << 20, Recv: 1 << 20})
	if err := n.Run(10 * Minute); err != nil {
		t.Fatal(err)
	}
	t.Logf("%v %.0f bit/s %+v", stamp(n.Now()), e.Goodput(), e.Traffic())
	v.Close()
	if err := n.Settle(5 * Minute); err != nil {
		t.Fatal(err)
	}
}
