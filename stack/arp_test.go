package stack

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
	"github.com/bonsainet/bonsai/udp"
)

func TestC02AnswersRequestsForOwnAddresses(t *testing.T) {
	h := newHost(t, 2)
	const reply = "arp 198.18.0.1 is-at 02:00:00:00:00:01, "
	h.recvARP(1, mac(7), a0(7), a0(1))
	h.want("m7 " + reply + "198.18.0.7")
	// By unicast, as a neighbour that verifies its entry does.
	h.recvOn(eth0, arpFrame(mac(1), 1, mac(7), a0(7), mac(1), a0(1)))
	h.want("m7 " + reply + "198.18.0.7")
	// A probe (RFC 5227) is answered too, or the other host would take our address.
	h.recvARP(1, mac(7), ipv4.Any, a0(1))
	h.want("m7 " + reply + "0.0.0.0")
	// The weak end system model: an address is the host's, on every interface.
	h.recvARP(1, mac(7), a0(7), a1(1))
	h.want("m7 arp 198.18.1.1 is-at 02:00:00:00:00:01, 198.18.0.7")
	h.drops()
}

func TestC02NeverAnswersForOthers(t *testing.T) {
	h := newHost(t, 1)
	for _, a := range []ipv4.Addr{a0(2), a0(9), a0(0), a0(255), far, ipv4.Any, ipv4.Broadcast, ipv4.AllHosts, ipv4.Loopback, ipv4.AddrOf(127, 9, 9, 9)} {
		h.recvARP(1, mac(7), a0(7), a)
	}
	h.recvARP(1, mac(7), ipv4.Any, a0(9)) // somebody else's probe
	h.recvARP(1, mac(7), a0(7), a0(7))    // and announcement
	h.recvARP(2, mac(7), a0(7), a0(1))    // a reply is none to answer
	h.wantNothing()
	h.drops()
}

func TestC02DropsBadARP(t *testing.T) {
	h := newHost(t, 1)
	good := arpFrame(netif.BroadcastMAC, 1, mac(7), a0(7), netif.MAC{}, a0(1))
	for at, v := range map[int]byte{15: 2, 17: 6, 18: 8, 19: 6, 21: 3, 20: 1} {
		f := append([]byte(nil), good...)
		f[14+at-14] = v
		h.recvOn(eth0, f)
	}
	h.drops(ipv4.DropARPBad, 6)
	h.recvOn(eth0, good[:14+27])
	h.recvARP(1, netif.MAC{3, 0, 0, 0, 0, 1}, a0(7), a0(1)) // a group as sender
	// Nobody has these addresses.
	for _, a := range []ipv4.Addr{ipv4.AddrOf(127, 0, 0, 2), ipv4.AddrOf(224, 0, 0, 5), ipv4.Broadcast, ipv4.AddrOf(0, 0, 0, 1), ipv4.AddrOf(250, 1, 1, 1)} {
		h.recvARP(1, mac(7), a, a0(1))
	}
	h.drops(ipv4.DropARPBad, 7)
	// "we have this address", says somebody else.
	h.recvARP(1, mac(7), a0(1), a0(1))
	h.recvARP(2, mac(7), a0(1), a0(7))
	h.drops(ipv4.DropARPConflict, 2)
	h.flags("eth0", true, netif.IFF_NOARP)
	h.recvOn(eth0, good)
	h.drops(ipv4.DropARPBad, 1)
	h.wantNothing()
}

func TestC03QueuesPacketsWhileResolving(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	h.sendTo(u, "1", ep(a0(9), 2000), 0)
	h.want("all arp who-has 198.18.0.9 tell 198.18.0.1")
	for _, p := range []string{"2", "3"} {
		h.sendTo(u, p, ep(a0(9), 2000), 0)
	}
	h.wantNothing()
	h.recvARP(2, mac(9), a0(9), a0(1))
	if feature.Profile == feature.Minimal && !feature.BigTables {
		h.want(`m9 198.18.0.1:1000 > 198.18.0.9:2000 udp "3"`) // "at least one (the latest) packet"
		h.drops(ipv4.DropNeighbour, 2)
	} else {
		h.want(`m9 198.18.0.1:1000 > 198.18.0.9:2000 udp "1"`,
			`m9 198.18.0.1:1000 > 198.18.0.9:2000 udp "2"`,
			`m9 198.18.0.1:1000 > 198.18.0.9:2000 udp "3"`)
	}
	h.sendTo(u, "4", ep(a0(9), 2000), 0)
	h.want(`m9 198.18.0.1:1000 > 198.18.0.9:2000 udp "4"`)
	// A host that moved says so.
	h.advance(2 * pkt.Second)
	h.recvARP(1, mac(8), a0(9), a0(9))
	h.sendTo(u, "5", ep(a0(9), 2000), 0)
	h.want(`m8 198.18.0.1:1000 > 198.18.0.9:2000 udp "5"`)
}

func TestC03LearnsFromRequestsToUs(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	h.recvARP(1, mac(9), a0(9), a0(1))
	h.recvARP(1, mac(8), a0(8), a0(2)) // not for us: nothing learnt
	h.want("m9 arp 198.18.0.1 is-at 02:00:00:00:00:01, 198.18.0.9")
	h.sendTo(u, "x", ep(a0(9), 2000), 0)
	h.want(`m9 198.18.0.1:1000 > 198.18.0.9:2000 udp "x"`)
	h.sendTo(u, "x", ep(a0(8), 2000), 0)
	h.want("all arp who-has 198.18.0.8 tell 198.18.0.1")
	// "to verify that it is still valid": by unicast, when it is in use.
	h.advance(4 * pkt.Second)
	h.want("all arp who-has 198.18.0.8 tell 198.18.0.1", "all arp who-has 198.18.0.8 tell 198.18.0.1")
	h.drops(ipv4.DropNeighbour, 1)
	h.advance(1 * pkt.Second)
	h.want("m9 arp who-has 198.18.0.9 tell 198.18.0.1")
	h.recvOn(eth0, arpFrame(mac(1), 2, mac(9), a0(9), mac(1), a0(1)))
	h.advance(10 * pkt.Second)
	h.wantNothing()
}

func TestC04AsksOncePerSecond(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	start := h.now
	for h.now < start+20*pkt.Second {
		h.sendTo(u, "x", ep(a0(9), 2000), 0)
		h.advance(50 * pkt.Millisecond)
	}
	if n := len(h.sent); n < 18 || n > 21 {
		t.Errorf("%d requests in 20 s", n)
	}
	h.sent = nil
	h.seen = h.s.Drops
}

func TestC05FailureIsHostUnreachable(t *testing.T) {
	h := newHost(t, 1)
	c := h.dial(ep(a0(9), 80))
	u, all := h.udp(ep(ipv4.Any, 1000)), h.udp(ep(ipv4.Any, 1001))
	if err := u.Connect(h.now, ep(a0(8), 2000)); err != nil {
		t.Fatal(err)
	}
	h.want("all arp who-has 198.18.0.9 tell 198.18.0.1")
	h.sendTo(u, "x", ep(ipv4.Any, 0), 0)
	h.want("all arp who-has 198.18.0.8 tell 198.18.0.1")
	h.sendTo(all, "x", ep(a0(7), 2000), 0)
	h.want("all arp who-has 198.18.0.7 tell 198.18.0.1")
	h.advance(2900 * pkt.Millisecond)
	if len(h.sent) != 6 {
		t.Errorf("%d requests", len(h.sent))
	}
	h.sent = nil
	if e := h.events(c); e != 0 {
		t.Errorf("too early: %d", e)
	}
	h.advance(200 * pkt.Millisecond)
	if e, err := h.events(c), c.Err(); e&tcp.Failed == 0 || err != errno.EHOSTUNREACH || c.State() != tcp.Closed {
		t.Errorf("connect: events %#x, %v", e, err)
	}
	if h.s.Usage().Conns != 0 {
		t.Error("the connection is still in the table")
	}
	if _, e := u.RecvFrom(nil, nil); e != errno.EHOSTUNREACH {
		t.Errorf("UDP: %v", e)
	}
	if _, e := u.RecvFrom(nil, new(udp.Meta)); e != errno.EAGAIN {
		t.Errorf("UDP, again: %v", e)
	}
	// An unconnected socket can't tell whom it is about.
	if v, _ := all.Option(SOL_SOCKET, SO_ERROR); v != 0 {
		t.Errorf("unconnected: %d", v)
	}
	// "no broadcast storm"
	h.advance(1000 * pkt.Second)
	h.wantNothing()
	if h.next != pkt.Never {
		t.Errorf("wants to be polled at %d", h.next)
	}
	h.drops(ipv4.DropNeighbour, 5)
}

func TestC05ReportsToTheSocketThatReadsLater(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	u.Connect(h.now, ep(a0(8), 2000))
	h.sendTo(u, "x", ep(ipv4.Any, 0), 0)
	h.advance(4 * pkt.Second)
	h.sent = nil
	if e := h.events(u); e&tcp.Readable == 0 {
		t.Error("the reader is not woken")
	}
	h.sendTo(u, "y", ep(ipv4.Any, 0), errno.EHOSTUNREACH)
	h.sendTo(u, "y", ep(ipv4.Any, 0), 0)
	h.want("all arp who-has 198.18.0.8 tell 198.18.0.1")
	h.recvARP(2, mac(8), a0(8), a0(1))
	h.want(`m8 198.18.0.1:1000 > 198.18.0.8:2000 udp "y"`)
	h.drops(ipv4.DropNeighbour, 1)
}

func TestNoARPSendsWithoutAsking(t *testing.T) {
	h := newHost(t, 1)
	h.flags("eth0", true, netif.IFF_NOARP)
	u := h.udp(ep(ipv4.Any, 1000))
	h.sendTo(u, "x", ep(a0(9), 2000), 0)
	h.want(`m1 198.18.0.1:1000 > 198.18.0.9:2000 udp "x"`)
}

func TestC04NeighbourThatStopsAnsweringIsAskedAgain(t *testing.T) {
	h := newHost(t, 1)
	h.recvARP(1, mac(9), a0(9), a0(1))
	h.sent = nil
	u := h.udp(ep(ipv4.Any, 1000))
	u.Connect(h.now, ep(a0(9), 2000))
	h.sendTo(u, "1", ep(ipv4.Any, 0), 0)
	h.want(`m9 198.18.0.1:1000 > 198.18.0.9:2000 udp "1"`)
	h.advance(5 * pkt.Second)
	h.want("m9 arp who-has 198.18.0.9 tell 198.18.0.1")
	h.advance(3 * pkt.Second)
	h.want("m9 arp who-has 198.18.0.9 tell 198.18.0.1", "m9 arp who-has 198.18.0.9 tell 198.18.0.1")
	h.sendTo(u, "2", ep(ipv4.Any, 0), 0)
	h.want("all arp who-has 198.18.0.9 tell 198.18.0.1")
	h.recvARP(2, mac(8), a0(9), a0(1))
	h.want(`m8 198.18.0.1:1000 > 198.18.0.9:2000 udp "2"`)
}
