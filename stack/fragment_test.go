package stack

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// fragments cuts p into fragments of n bytes of payload.
func fragments(p packet, n int) (all []packet) {
	for at := 0; at < len(p.payload); at += n {
		f := p
		f.id += 77
		f.payload = p.payload[at:min(at+n, len(p.payload))]
		f.frag = uint16(at / 8)
		if at+n < len(p.payload) {
			f.frag |= 0x2000
		}
		all = append(all, f)
	}
	return all
}

func TestC20CountsAndDropsFragments(t *testing.T) {
	if feature.Reassembly {
		t.Skip("for builds without feature reassembly")
	}
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	f := fragments(udpPacket(ep(a0(2), 2000), ep(a0(1), 1000), "0123456789abcdef"), 16)
	h.recv(f[0], f[1])
	h.got(u, "")
	h.wantNothing()
	h.drops(ipv4.DropFragment, 2)
	h.advance(200 * pkt.Second)
	h.wantNothing()
	h.recv(udpPacket(ep(a0(2), 2000), ep(a0(1), 1000), "whole"))
	h.got(u, "198.18.0.2:2000 whole")
}

func needReassembly(t *testing.T) {
	if !feature.Reassembly {
		t.Skip("needs feature reassembly")
	}
}

func TestC17ReassemblesInAnyOrder(t *testing.T) {
	needReassembly(t)
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	data := strings.Repeat("0123456789abcde", 4)
	p := udpPacket(ep(a0(2), 2000), ep(a0(1), 1000), data)
	for n, order := range [][]int{{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 0, 4, 1, 3}} {
		p.id = uint16(n)
		f := fragments(p, 16)
		for i, k := range order {
			h.got(u, "")
			h.recv(f[k])
			if i == 2 {
				h.recv(f[k]) // a duplicate
				h.drops(ipv4.DropFragmentDuplicate, 1)
			}
		}
		h.got(u, "198.18.0.2:2000 "+data)
	}
	// Another datagram's fragments, that differ in one thing, don't help.
	p.id = 9
	f := fragments(p, 16)
	h.recv(f[0], f[1], f[2], f[3])
	for _, x := range []packet{{src: a0(3), dst: a0(1), proto: 17}, {src: a0(2), dst: a0(1), proto: 99}} {
		x.payload, x.frag, x.id = f[4].payload, f[4].frag, f[4].id
		h.recv(x)
	}
	x := f[4]
	x.id++
	h.recv(x)
	h.got(u, "")
	h.recv(f[4])
	h.got(u, "198.18.0.2:2000 "+data)
	h.wantNothing()
	h.drops()
}

func TestC17BroadcastInFragments(t *testing.T) {
	needReassembly(t)
	h := newHost(t, 1)
	u, v := h.udp(ep(ipv4.Any, 1000)), h.udp(ep(ipv4.Any, 1001))
	_ = v
	for _, f := range fragments(udpPacket(ep(a0(2), 2000), ep(a0(255), 1000), "0123456789abcdef"), 16) {
		h.recvBroadcast(f)
	}
	h.got(u, "198.18.0.2:2000 0123456789abcdef")
	// Nobody has the port: about a broadcast, no error.
	for _, f := range fragments(udpPacket(ep(a0(2), 2000), ep(a0(255), 9), "0123456789abcdef"), 16) {
		h.recvBroadcast(f)
	}
	h.wantNothing()
	h.drops(ipv4.DropUDPPort, 1)
	// And about a whole datagram to us, one that quotes it as it was.
	for _, f := range fragments(udpPacket(ep(a0(2), 2000), ep(a0(1), 9), "0123456789abcdef"), 16) {
		h.recv(f)
	}
	got := h.take()
	q := got[28:]
	if len(q) != 20+24 || binary.BigEndian.Uint16(q[2:]) != 44 || binary.BigEndian.Uint16(q[6:]) != 0 || onesSum(0, q[:20]) != 0 {
		t.Errorf("quotes % x", q)
	}
	h.drops(ipv4.DropUDPPort, 1)
}

func TestC18TimeExceededAfter60Seconds(t *testing.T) {
	needReassembly(t)
	h := newHost(t, 1)
	f := fragments(udpPacket(ep(a0(2), 2000), ep(a0(1), 1000), "0123456789abcdef"), 16)
	h.recv(f[0])
	h.advance(59 * pkt.Second)
	h.wantNothing()
	h.advance(1 * pkt.Second)
	q := h.sent[0].f[14+28:]
	if string(q) != string(f[0].bytes()) {
		t.Errorf("quotes % x", q)
	}
	h.want("m2 198.18.0.1 > 198.18.0.2 icmp 11/1 00000000 len 36 tos=0xc0")
	h.drops(ipv4.DropReassemblyTimeout, 1)
	// Not without the first fragment; and not about a broadcast.
	h.recv(f[1])
	x := f[0]
	x.dst = a0(255)
	h.recvBroadcast(x)
	h.advance(120 * pkt.Second)
	h.wantNothing()
	h.drops(ipv4.DropReassemblyTimeout, 2)
	if h.next != pkt.Never {
		t.Error("still wants to be polled")
	}
}

func TestC19OverlapsAndImpossibleFragments(t *testing.T) {
	needReassembly(t)
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	p := udpPacket(ep(a0(2), 2000), ep(a0(1), 1000), strings.Repeat("0123456789abcdef", 2))
	f := fragments(p, 16)
	evil := f[1]
	evil.payload = []byte("evil evil evil e")
	h.recv(f[0], f[1], evil, f[2])
	h.got(u, "")
	h.drops(ipv4.DropReassemblyOverlap, 1)
	long := f[1]
	long.frag = 0x1fff
	long.id++
	h.recv(long)
	h.drops(ipv4.DropReassemblyLong, 1)
	odd := f[0]
	odd.payload = odd.payload[:15]
	h.recv(odd)
	empty := f[0]
	empty.payload = nil
	h.recv(empty)
	h.drops(ipv4.DropFragmentShort, 2)
	h.advance(200 * pkt.Second)
	h.sent = nil
	h.seen = h.s.Drops
}

func TestC19EvictionsAreCounted(t *testing.T) {
	needReassembly(t)
	h := newHost(t, 1)
	for i := range 1000 {
		f := fragments(udpPacket(ep(a0(2), 2000), ep(a0(1), 1000), strings.Repeat("x", 1000)), 512)[i&1]
		f.id = uint16(i)
		h.recv(f)
	}
	n := h.s.Drops[ipv4.DropReassemblyMemory]
	if n < 900 || n >= 1000 {
		t.Errorf("%d evicted of 1000", n)
	}
	h.advance(200 * pkt.Second)
	if got := n + h.s.Drops[ipv4.DropReassemblyTimeout]; got != 1000 {
		t.Errorf("%d of 1000 accounted for", got)
	}
	h.sent = nil
	h.seen = h.s.Drops
}

func TestC21FragmentsLargeDatagrams(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	data := strings.Repeat("0123456789", 300)
	if !feature.Fragmentation {
		h.sendTo(u, data, ep(a0(2), 2000), errno.EMSGSIZE)
		h.sendTo(u, data[:1472], ep(a0(2), 2000), 0)
		h.sent = nil
		return
	}
	for k := range 3 {
		h.sendTo(u, data, ep(a0(2), 2000), 0)
		if k == 0 {
			if binary.BigEndian.Uint16(h.sent[0].f[18:]) != binary.BigEndian.Uint16(h.sent[2].f[18:]) {
				t.Error("IDs of fragments differ")
			}
		}
		h.want("m2 198.18.0.1 > 198.18.0.2 frag 1480@0+", "m2 198.18.0.1 > 198.18.0.2 frag 1480@1480+", "m2 198.18.0.1 > 198.18.0.2 frag 48@2960")
	}
	h.sendTo(u, strings.Repeat("x", 65508), ep(a0(2), 2000), errno.EMSGSIZE)
	h.sendTo(u, strings.Repeat("x", 65507), ep(a0(2), 2000), 0)
	if len(h.sent) != 45 {
		t.Errorf("%d fragments", len(h.sent))
	}
	h.sent = nil
	u.Options = []byte{148, 4, 0, 0}
	h.sendTo(u, strings.Repeat("x", 65507), ep(a0(2), 2000), errno.EMSGSIZE)
	h.wantNothing()
}

func TestC21LargeDatagramsDoNotStayInThePool(t *testing.T) {
	needReassembly(t)
	if !feature.Fragmentation {
		t.Skip("needs feature fragmentation")
	}
	h := newHost(t, 1)
	u, v := h.udp(ep(ipv4.Any, 1000)), h.udp(ep(ipv4.Any, 1001))
	for range 50 {
		h.sendTo(u, strings.Repeat("x", 60000), ep(a0(2), 2000), 0)
		h.sendTo(u, strings.Repeat("x", 60000), ep(a0(1), 1001), 0)
		h.got(v, "198.18.0.1:1000 "+strings.Repeat("x", 60000))
	}
	h.sent = nil
	held := 0
	for range h.s.pool.Len() {
		held = max(held, h.s.pool.Get().Cap())
	}
	if held > 2000 {
		t.Errorf("the pool keeps a buffer of %d bytes", held)
	}
}
