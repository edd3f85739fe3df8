package netif

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

func testInterface() *Interface {
	return &Interface{
		Flags: IFF_UP | IFF_BROADCAST,
		HW:    selfMAC,
		Addrs: chain(
			&Address{Local: self, Peer: self, Mask: ipv4.Mask(24), Broadcast: ipv4.AddrOf(198, 18, 0, 255)},
			&Address{Local: ipv4.AddrOf(198, 19, 1, 1), Peer: ipv4.AddrOf(198, 19, 1, 1), Mask: ipv4.Mask(30)},
			&Address{Local: ipv4.AddrOf(198, 19, 2, 1), Peer: ipv4.AddrOf(198, 19, 2, 1), Mask: ipv4.Mask(31)},
			&Address{Local: ipv4.AddrOf(198, 18, 0, 9), Peer: ipv4.AddrOf(198, 18, 0, 9), Mask: ipv4.Mask(24), Secondary: true},
		),
	}
}

// chain makes a list of addresses.
func chain(l ...*Address) *Address {
	for k := range l[1:] {
		l[k].Next = l[k+1]
	}
	return l[0]
}

func TestC10AddressesOfAnInterface(t *testing.T) {
	i := testInterface()
	for _, c := range []struct {
		a                ipv4.Addr
		local, broadcast bool
	}{
		{self, true, false},
		{ipv4.AddrOf(198, 18, 0, 9), true, false},
		{ipv4.AddrOf(198, 18, 0, 2), false, false},
		{ipv4.AddrOf(198, 18, 0, 255), false, true},
		{ipv4.AddrOf(198, 19, 1, 3), false, true}, // though not set
		{ipv4.AddrOf(198, 19, 1, 0), false, false},
		{ipv4.AddrOf(198, 19, 2, 0), false, false}, // RFC 3021
		{ipv4.Broadcast, false, true},
		{ipv4.Any, false, false},
		{ipv4.Loopback, false, false},
	} {
		if i.IsLocal(c.a) != c.local || i.IsBroadcast(c.a) != c.broadcast {
			t.Errorf("%v: local %v, broadcast %v", c.a, i.IsLocal(c.a), i.IsBroadcast(c.a))
		}
	}
}

func TestC10WholeLoopbackNetworkIsLocal(t *testing.T) {
	lo := NewInterface("lo", 1, nil, 0)
	if lo.IsLocal(ipv4.Loopback) {
		t.Error("local without an address")
	}
	lo.Addrs = &Address{Local: ipv4.Loopback, Peer: ipv4.Loopback, Mask: ipv4.Mask(8)}
	for _, a := range []ipv4.Addr{ipv4.AddrOf(127, 0, 0, 1), ipv4.AddrOf(127, 1, 2, 3)} {
		if !lo.IsLocal(a) {
			t.Errorf("%v is not local", a)
		}
	}
	if lo.IsLocal(self) || lo.HWType() != ARPHRD_LOOPBACK {
		t.Error("lo claims what is not its own")
	}
}

func TestC22SourceSharesThePrefix(t *testing.T) {
	i := testInterface()
	for _, c := range []struct{ hop, src ipv4.Addr }{
		{peer, self},
		{ipv4.AddrOf(198, 19, 1, 2), ipv4.AddrOf(198, 19, 1, 1)},
		{ipv4.AddrOf(198, 19, 2, 0), ipv4.AddrOf(198, 19, 2, 1)},
		{ipv4.AddrOf(198, 18, 77, 1), self},
	} {
		if src := i.Source(c.hop); src != c.src {
			t.Errorf("to %v from %v, want %v", c.hop, src, c.src)
		}
	}
	if src := new(Interface).Source(peer); !src.IsAny() {
		t.Errorf("an interface without an address sends from %v", src)
	}
}

func TestNoARPNeedsNoResolution(t *testing.T) {
	i := testInterface()
	i.Flags |= IFF_NOARP
	n := i.Neighbour(pkt.Second, peer)
	if n.State != StateNoARP || n.HW != selfMAC || !n.Output(pkt.Second) {
		t.Errorf("%+v", n)
	}
	if i := testInterface(); i.Neighbour(0, peer).State != StateNone {
		t.Error("an interface with ARP knows an address that it never heard")
	}
}
