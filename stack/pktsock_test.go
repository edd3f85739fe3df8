package stack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
)

const etherTypeTest = 0x88b5 // for experiments (IEEE 802)

func (h *host) packet(r PacketSocket) *PacketSocket {
	h.Helper()
	if !feature.PktSock {
		h.Skip("needs feature pktsock")
	}
	p := new(PacketSocket)
	p.Ifindex, p.Protocol, p.Cooked, p.IgnoreOutgoing, p.RcvBuf = r.Ifindex, r.Protocol, r.Cooked, r.IgnoreOutgoing, r.RcvBuf
	if err := h.s.OpenPacket(p); err != nil {
		h.Fatal(err)
	}
	return p
}

// frames returns what r has: "type from interface pkttype length", one for each.
func (h *host) frames(r *PacketSocket) string {
	h.Helper()
	var all []string
	for {
		var from LinkAddr
		var b [2000]byte
		n, length, e := r.Recv(b[:], &from)
		if e == errno.EAGAIN {
			return strings.Join(all, ", ")
		}
		if e != 0 || n != length {
			h.Fatalf("%d of %d bytes, %v", n, length, e)
		}
		if !r.Cooked && netif.MAC(b[6:]) != from.Addr {
			h.Errorf("from %v in % x", from.Addr, b[:n])
		}
		all = append(all, fmt.Sprintf("%04x %d if%d %d len %d", from.Protocol, from.Addr[5], from.Ifindex, from.Pkttype, n))
	}
}

func TestPacketSocketsSeeWhatArrives(t *testing.T) {
	h := newHost(t, 2)
	all := h.packet(PacketSocket{Protocol: ETH_P_ALL})
	ip := h.packet(PacketSocket{Protocol: netif.EtherTypeIPv4})
	arp := h.packet(PacketSocket{Protocol: netif.EtherTypeARP, Ifindex: eth0})
	len802 := h.packet(PacketSocket{Protocol: ETH_P_802_2})
	test := h.packet(PacketSocket{Protocol: etherTypeTest, Cooked: true})
	eth := h.packet(PacketSocket{Protocol: ETH_P_ALL, Ifindex: eth1})
	none := h.packet(PacketSocket{})

	u := h.udp(ep(a0(1), 53))
	h.recv(udpPacket(ep(a0(2), 53), ep(a0(1), 53), "x"))
	h.got(u, "198.18.0.2:53 x") // it is a copy
	h.recvOn(eth0, frame(netif.BroadcastMAC, mac(3), etherTypeTest, []byte("to all")))
	h.recvOn(eth0, frame(netif.MAC{0x01, 0x80, 0xc2, 0, 0, 0x0e}, mac(3), 38, make([]byte, 46)))
	h.recvOn(eth0, frame(mac(99), mac(4), etherTypeTest, []byte("to another")))
	h.recvOn(eth1, frame(mac(11), mac(12), etherTypeTest, []byte("to us")))
	h.recvOn(eth0, []byte("short"))
	h.drops(ipv4.DropEtherType, 3, ipv4.DropNotForUs, 1, ipv4.DropFrameShort, 1)

	const udp, to1, to2 = "0800 2 if2 0 len 43", "0004 3 if2 2 len 60", "88b5 12 if3 0 len 19"
	for _, c := range []struct {
		name string
		r    *PacketSocket
		want string
	}{
		{"all", all, udp + ", 88b5 3 if2 1 len 20, " + to1 + ", 88b5 4 if2 3 len 24, " + to2},
		{"IPv4", ip, udp},
		{"ARP", arp, ""},
		{"802.2", len802, to1},
		{"test, cooked", test, "88b5 3 if2 1 len 6, 88b5 4 if2 3 len 10, 88b5 12 if3 0 len 5"},
		{"eth1", eth, to2},
		{"none", none, ""},
	} {
		if got := h.frames(c.r); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
	h.recvARP(netif.ARPRequest, mac(2), a0(2), a0(1))
	h.want("m2 arp 198.18.0.1 is-at 02:00:00:00:00:01, 198.18.0.2")
	if got := h.frames(arp); got != "0806 2 if2 1 len 60" {
		t.Error("ARP:", got)
	}
	if frames, drops := test.Statistics(); frames != 3 || drops != 0 {
		t.Error(frames, drops)
	}
}

func TestPacketSocketsSeeWhatIsSent(t *testing.T) {
	h := newHost(t, 1)
	all := h.packet(PacketSocket{Protocol: ETH_P_ALL})
	in := h.packet(PacketSocket{Protocol: ETH_P_ALL, IgnoreOutgoing: true})
	ip := h.packet(PacketSocket{Protocol: netif.EtherTypeIPv4})
	u := h.udp(ep(a0(1), 53))
	h.sendTo(u, "x", ep(a0(2), 53), 0)
	h.want(`m2 198.18.0.1:53 > 198.18.0.2:53 udp "x"`)
	if got := h.frames(all); got != "0800 1 if2 4 len 43" {
		t.Error(got)
	}
	if got := h.frames(in) + h.frames(ip); got != "" {
		t.Error(got)
	}

	// What one sends the others see.
	h.noCheck = true
	p := frame(mac(2), mac(7), netif.EtherTypeIPv4, udpPacket(ep(a0(7), 1), ep(a0(2), 2), "crafted").bytes())
	if n, e := all.Send(h.now, p, &LinkAddr{Ifindex: eth0}); n != len(p) || e != 0 {
		t.Error(n, e)
	}
	h.poll()
	h.want(`m2 198.18.0.7:1 > 198.18.0.2:2 udp "crafted" ttl=9`)
	other := h.packet(PacketSocket{Ifindex: eth0, Protocol: ETH_P_ALL})
	if got := h.frames(all) + h.frames(other); got != "" {
		t.Error(got)
	}
	all.Send(h.now, p, &LinkAddr{Ifindex: eth0})
	h.poll()
	h.want(`m2 198.18.0.7:1 > 198.18.0.2:2 udp "crafted" ttl=9`)
	if got := h.frames(all) + h.frames(other); got != "0800 7 if2 4 len 49" {
		t.Error(got)
	}
}

// TestPacketSocketsSeeEverySegment: those that take the short way as well.
func TestPacketSocketsSeeEverySegment(t *testing.T) {
	if !feature.PktSock || !feature.Listen {
		t.Skip("needs features pktsock and listen")
	}
	p := newPair(t, Config{}, 1500, pkt.Millisecond)
	c, peer := p.connect(80)
	var r [2]PacketSocket
	for i := range r {
		r[i].Protocol, r[i].RcvBuf = ETH_P_ALL, 1<<24
		if err := p.s[i].OpenPacket(&r[i]); err != nil {
			t.Fatal(err)
		}
	}
	before := p.w[0].sent + p.w[1].sent
	p.transfer(c, peer, 200000, 10*pkt.Second)
	for end := p.now + pkt.Second; p.step(end); { // the last ACKs
	}
	sent := p.w[0].sent + p.w[1].sent - before
	for i := range r {
		if n, drops := r[i].Statistics(); int(n) != sent || drops != 0 || n < 130 {
			t.Errorf("end %d: %d frames, %d dropped, of %d", i, n, drops, sent)
		}
	}
}

func TestPacketSocketSends(t *testing.T) {
	h := newHost(t, 2)
	h.noCheck = true
	r := h.packet(PacketSocket{Ifindex: eth0, Protocol: etherTypeTest, Cooked: true})
	w := h.packet(PacketSocket{})
	dst := netif.MAC{0x01, 0x80, 0xc2, 0, 0, 0x0e}
	whole := frame(dst, mac(9), 0x88cc, []byte("crafted"))
	for _, c := range []struct {
		name string
		r    *PacketSocket
		p    []byte
		to   LinkAddr
		want Errno
		sent []byte
		on   int
	}{
		{"cooked", r, []byte("hello"), LinkAddr{Addr: mac(2)}, 0, frame(mac(2), mac(1), etherTypeTest, []byte("hello")), eth0},
		{"cooked, of a type, elsewhere", r, []byte("hello"), LinkAddr{Addr: dst, Protocol: 0x88cc, Ifindex: eth1}, 0, frame(dst, mac(11), 0x88cc, []byte("hello")), eth1},
		{"cooked, as long as may be", r, make([]byte, 1500), LinkAddr{Addr: mac(2)}, 0, frame(mac(2), mac(1), etherTypeTest, make([]byte, 1500)), eth0},
		{"cooked, longer", r, make([]byte, 1501), LinkAddr{Addr: mac(2)}, errno.EMSGSIZE, nil, 0},
		{"whole", w, whole, LinkAddr{Ifindex: eth0}, 0, whole, eth0},
		{"whole, as long as may be", w, append(whole[:14:14], make([]byte, 1500)...), LinkAddr{Ifindex: eth1}, 0, append(whole[:14:14], make([]byte, 1500)...), eth1},
		{"whole, longer", w, make([]byte, 1515), LinkAddr{Ifindex: eth1}, errno.EMSGSIZE, nil, 0},
		{"a header", w, whole[:14], LinkAddr{Ifindex: eth0}, 0, whole[:14], eth0},
		{"less than that", w, whole[:13], LinkAddr{Ifindex: eth0}, errno.EINVAL, nil, 0},
		{"nowhere", w, whole, LinkAddr{}, errno.ENXIO, nil, 0},
		{"no interface", w, whole, LinkAddr{Ifindex: 77}, errno.ENXIO, nil, 0},
		{"lo", w, whole, LinkAddr{Ifindex: 1}, errno.ENXIO, nil, 0},
	} {
		n, e := c.r.Send(h.now, c.p, &c.to)
		h.poll()
		if e != c.want || e == 0 && n != len(c.p) {
			t.Errorf("%s: %d, %v", c.name, n, e)
		}
		switch {
		case c.sent == nil && len(h.sent) > 0:
			t.Errorf("%s: sent % x", c.name, h.sent[0].f)
		case c.sent != nil && (len(h.sent) != 1 || !bytes.Equal(h.sent[0].f, c.sent) || h.sent[0].ifindex != c.on):
			t.Errorf("%s: sent %x, want % x", c.name, h.sent, c.sent)
		}
		h.sent = nil
	}
}

func TestPacketSocketOfAnInterfaceThatIsDown(t *testing.T) {
	h := newHost(t, 2)
	r := h.packet(PacketSocket{Ifindex: eth0, Protocol: ETH_P_ALL})
	any := h.packet(PacketSocket{Protocol: ETH_P_ALL})
	h.flags("eth0", false)
	if e := h.events(r); e&tcpReadWrite != tcpReadWrite {
		t.Error("events:", e)
	}
	var from LinkAddr
	if _, _, e := r.Recv(nil, &from); e != errno.ENETDOWN {
		t.Error(e)
	}
	if _, e := r.Send(h.now, make([]byte, 20), &from); e != errno.ENETDOWN { // not the pending error: that is told once
		t.Error(e)
	}
	h.recvOn(eth0, frame(mac(1), mac(2), etherTypeTest, nil))
	h.drops(ipv4.DropInterfaceDown, 1)
	if got := h.frames(r) + h.frames(any); got != "" {
		t.Error(got)
	}
	late := h.packet(PacketSocket{Ifindex: eth0, Protocol: ETH_P_ALL})
	if _, _, e := late.Recv(nil, &from); e != errno.ENETDOWN {
		t.Error(e)
	}
	h.flags("eth0", true)
	h.recvOn(eth0, frame(mac(1), mac(2), etherTypeTest, nil))
	h.drops(ipv4.DropEtherType, 1)
	for i, r := range []*PacketSocket{r, any, late} {
		if got := h.frames(r); got != "88b5 2 if2 0 len 14" {
			t.Error(i, got)
		}
	}
}

func TestPacketSocketIsBounded(t *testing.T) {
	h := newHost(t, 1)
	r := h.packet(PacketSocket{Protocol: etherTypeTest, RcvBuf: 3000})
	used := h.s.mem.Used()
	for i := range 10 {
		h.recvOn(eth0, frame(mac(1), mac(2), etherTypeTest, binary.BigEndian.AppendUint16(make([]byte, 998), uint16(i))))
	}
	h.drops(ipv4.DropEtherType, 10)
	if frames, drops := r.Statistics(); frames != 10 || drops != 8 {
		t.Errorf("%d frames, %d dropped", frames, drops)
	}
	if frames, drops := r.Statistics(); frames != 0 || drops != 0 { // as Linux, since the last call
		t.Errorf("%d frames, %d dropped", frames, drops)
	}
	// The first are kept. What there is no room for is lost, and how much that was is told.
	var b [100]byte
	var from LinkAddr
	for range 2 {
		if n, length, e := r.Recv(b[:], &from); n != 100 || length != 1014 || e != 0 {
			t.Error(n, length, e)
		}
	}
	h.recvOn(eth0, frame(mac(1), mac(2), etherTypeTest, make([]byte, 1000)))
	h.drops(ipv4.DropEtherType, 1)
	r.Close()
	r.Close()
	if h.s.tap != nil || h.s.mem.Used() != used {
		t.Errorf("%d bytes are held", h.s.mem.Used()-used)
	}
	h.recvOn(eth0, frame(mac(1), mac(2), etherTypeTest, nil))
	h.drops(ipv4.DropEtherType, 1)
}

func TestOpenPacketErrors(t *testing.T) {
	h := newHost(t, 1)
	if !feature.PktSock {
		if err := h.s.OpenPacket(new(PacketSocket)); err != errno.EAFNOSUPPORT {
			t.Error(err)
		}
		return
	}
	r := h.packet(PacketSocket{})
	if err := h.s.OpenPacket(r); err != errno.EINVAL {
		t.Error("open:", err)
	}
	for _, i := range []int32{1, 9, -1} { // lo has no frames
		if err := h.s.OpenPacket(&PacketSocket{Ifindex: i}); err != errno.ENODEV {
			t.Error(i, err)
		}
	}
	s := New(Config{Seed: 1, Unprivileged: true})
	if err := s.OpenPacket(new(PacketSocket)); err != errno.EPERM {
		t.Error("unprivileged:", err)
	}
}
