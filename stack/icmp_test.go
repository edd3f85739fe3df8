package stack

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/tcp"
)

func TestC24AnswersEchoRequests(t *testing.T) {
	h := newHost(t, 2)
	for n := 0; n < 1472; n += 1 + n/3 {
		p := icmpPacket(a0(2), a0(1), 8, 0, 0x12345678, bytes.Repeat([]byte{0xa5, 1, 0xff}, n)[:n])
		p.tos = 0x20
		h.recv(p)
		got := h.take()
		if !bytes.Equal(got[24:], p.payload[4:]) {
			t.Fatalf("%d bytes: reply % x", n, got[20:])
		}
	}
	// "the IP source address in an ICMP Echo Reply MUST be the same as the
	// specific-destination address of the corresponding ICMP Echo Request".
	h.recv(echo(a0(2), a1(1), "abcd"))
	h.want("m2 198.18.1.1 > 198.18.0.2 icmp 0/0 00070009 len 4")
	// By the route, not to the station that it came from.
	h.recv(echo(a1(3), a0(1), "abcd"))
	h.want("eth1 m13 198.18.0.1 > 198.18.1.3 icmp 0/0 00070009 len 4")
	h.recv(echo(far, a0(1), "abcd"))
	h.drops(ipv4.DropNoRoute, 1)
	h.defaultRoute()
	h.recv(echo(far, a0(1), "abcd"))
	h.want("m4 198.18.0.1 > 198.19.5.5 icmp 0/0 00070009 len 4")
	h.recv(icmpPacket(a0(2), a0(1), 0, 0, 1, nil)) // a reply that nobody waits for
	h.wantNothing()
}

func TestC25EchoToAllIsNotAnswered(t *testing.T) {
	h := newHost(t, 1)
	for _, a := range []ipv4.Addr{a0(255), ipv4.Broadcast, ipv4.AllHosts} {
		h.recv(echo(a0(2), a, "abcd"))
		h.recvBroadcast(echo(a0(2), a, "abcd"))
	}
	h.drops(ipv4.DropICMPBroadcast, 6)
	h.wantNothing()
}

func TestC26NoErrorAboutWhatMustHaveNone(t *testing.T) {
	h := newHost(t, 1)
	closed := udpPacket(ep(a0(2), 2000), ep(a0(1), 9), "x")
	other := packet{src: a0(2), dst: a0(1), proto: 99, payload: []byte("12345678")}
	// Broadcast or multicast, of IP or of the link.
	for _, a := range []ipv4.Addr{a0(255), ipv4.Broadcast, ipv4.AllHosts} {
		h.recv(udpPacket(ep(a0(2), 2000), ep(a, 9), "x"))
		x := other
		x.dst = a
		h.recv(x)
	}
	h.recvBroadcast(closed)
	h.recvBroadcast(other)
	h.drops(ipv4.DropUDPPort, 3, ipv4.DropProtocol, 3, ipv4.DropIPDest, 2)
	h.wantNothing()
	// ICMP errors, whatever they quote; and types that nobody knows.
	quote := udpPacket(ep(a0(1), 9), ep(a0(2), 2000), "x").bytes()
	for _, typ := range []byte{3, 4, 5, 11, 12, 1, 2, 6, 7, 19, 41, 255} {
		x := icmpPacket(a0(2), a0(1), typ, 0, 0, quote)
		x.opts = []byte{0x9e, 0, 0, 0} // illegal
		h.recv(x)
	}
	h.drops(ipv4.DropIPOptions, 12)
	h.wantNothing()
	// Fragments behind the first.
	x := other
	x.frag = 8
	x.opts = []byte{0x9e, 0, 0, 0}
	h.recv(x)
	h.drops(ipv4.DropIPOptions, 1)
	h.wantNothing()
}

func TestC27ErrorsAreLimited(t *testing.T) {
	h := newHost(t, 1)
	for range 1000 {
		h.recv(udpPacket(ep(a0(2), 2000), ep(a0(1), 9), "x"))
	}
	n := len(h.sent)
	if n == 0 || n > 50 {
		t.Errorf("%d errors at once", n)
	}
	h.drops(ipv4.DropUDPPort, 1000, ipv4.DropICMPRate, 1000-n)
	h.sent = nil
	start := h.now
	for h.now < start+10*pkt.Second {
		h.recv(udpPacket(ep(a0(2), 2000), ep(a0(1), 9), "x"))
		h.now += pkt.Millisecond
	}
	if n := len(h.sent); n < 900 || n > 1100 {
		t.Errorf("%d errors in 10 s", n)
	}
	h.sent = nil
	h.seen = h.s.Drops
}

func TestC27QuotesAsMuchAsFits(t *testing.T) {
	h := newHost(t, 1)
	p := udpPacket(ep(a0(2), 2000), ep(a0(1), 9), string(bytes.Repeat([]byte("y"), 1400)))
	h.recv(p)
	got := h.take()
	if len(got) != 576 || !bytes.Equal(got[28:], p.bytes()[:548]) {
		t.Errorf("%d bytes", len(got))
	}
	p = packet{src: a0(2), dst: a0(1), proto: 99, payload: []byte("1"), pad: 25}
	h.recv(p)
	if got = h.take(); len(got) != 28+21 { // no padding is quoted
		t.Errorf("%d bytes", len(got))
	}
	h.drops(ipv4.DropUDPPort, 1, ipv4.DropProtocol, 1)
}

func TestC28UnknownICMPIsSilent(t *testing.T) {
	h := newHost(t, 1)
	known := map[byte]bool{0: true, 3: true, 5: true, 8: true, 11: true, 12: true}
	n := 0
	for typ := range 256 {
		if !known[byte(typ)] {
			// C33 and C34 too: source quench, and the deprecated 6, 15 to 18 and 30 to 39.
			h.recv(icmpPacket(a0(2), a0(1), byte(typ), 0, 0, make([]byte, 40)))
			n++
		}
	}
	h.drops(ipv4.DropICMPType, n)
	p := echo(a0(2), a0(1), "abcd")
	p.payload[2]++
	h.recv(p)
	h.drops(ipv4.DropICMPChecksum, 1)
	h.recv(packet{src: a0(2), dst: a0(1), proto: 1, payload: []byte{8, 0, 0xf7, 0xff, 0, 0, 0}})
	h.recv(packet{src: a0(2), dst: a0(1), proto: 1})
	h.drops(ipv4.DropICMPShort, 2)
	h.wantNothing()
}

func TestC29ClosedPortsAndUnknownProtocols(t *testing.T) {
	h := newHost(t, 2)
	h.recv(udpPacket(ep(a0(2), 2000), ep(a0(1), 9), "x"))
	h.want("m2 198.18.0.1 > 198.18.0.2 icmp 3/3 00000000 len 29 tos=0xc0")
	h.recv(udpPacket(ep(a0(2), 2000), ep(a1(1), 9), "x"))
	h.want("m2 198.18.1.1 > 198.18.0.2 icmp 3/3 00000000 len 29 tos=0xc0")
	h.recv(packet{src: a0(2), dst: a0(1), proto: 132, payload: make([]byte, 12)})
	h.want("m2 198.18.0.1 > 198.18.0.2 icmp 3/2 00000000 len 32 tos=0xc0")
	h.drops(ipv4.DropUDPPort, 2, ipv4.DropProtocol, 1)
	// Closed, but only for others than its peer.
	u := h.udp(ep(ipv4.Any, 9))
	u.Connect(h.now, ep(a0(3), 5))
	h.recv(udpPacket(ep(a0(2), 2000), ep(a0(1), 9), "x"))
	h.want("m2 198.18.0.1 > 198.18.0.2 icmp 3/3 00000000 len 29 tos=0xc0")
	h.drops(ipv4.DropUDPPort, 1)
}

// quote returns the start of a packet that we sent, as a router quotes it.
func quote(p []byte) []byte { return p[:min(len(p), 28)] }

func TestC30ErrorsReachTheSocketThatTheyQuote(t *testing.T) {
	h := newHost(t, 1)
	var socks [3]*UDP
	var sent [3][]byte
	for i := range socks {
		socks[i] = h.udp(ep(ipv4.Any, uint16(1000+i)))
		socks[i].Connect(h.now, ep(a0(2), uint16(2000+i)))
		h.sendTo(socks[i], "x", ipv4.Endpoint{}, 0)
		sent[i] = h.take()
	}
	h.recv(icmpPacket(far, a0(1), 3, 3, 0, quote(sent[1]))) // from anybody
	for i, u := range socks {
		want := 0
		if i == 1 {
			want = int(errno.ECONNREFUSED)
		}
		if v, _ := u.Option(SOL_SOCKET, SO_ERROR); v != want {
			t.Errorf("socket %d: %d", i, v)
		}
	}
	// Forged or damaged quotes.
	for at, v := range map[int]byte{19: 9, 15: 9, 21: 1, 23: 9, 9: 99, 0: 0x44, 7: 1} {
		q := append([]byte(nil), quote(sent[1])...)
		q[at] = v
		h.recv(icmpPacket(a0(2), a0(1), 3, 3, 0, q))
	}
	h.recv(icmpPacket(a0(2), a0(1), 3, 3, 0, sent[1][:27]))
	for i, u := range socks {
		if v, _ := u.Option(SOL_SOCKET, SO_ERROR); v != 0 {
			t.Errorf("socket %d: %d", i, v)
		}
	}
	h.drops(ipv4.DropICMPNoSocket, 5, ipv4.DropICMPQuote, 3)
	// An error to everybody is no error: nobody sends us one.
	h.recvBroadcast(icmpPacket(a0(2), a0(255), 3, 3, 0, quote(sent[1])))
	if v, _ := socks[1].Option(SOL_SOCKET, SO_ERROR); v != 0 {
		t.Errorf("by broadcast: %d", v)
	}
	h.drops(ipv4.DropICMPBroadcast, 1)
	// Codes that there are not.
	h.recv(icmpPacket(a0(2), a0(1), 3, 16, 0, quote(sent[1])), icmpPacket(a0(2), a0(1), 11, 2, 0, quote(sent[1])))
	h.drops(ipv4.DropICMPCode, 2)
	h.wantNothing()
}

func TestC30SoftErrorsOfUDPOnRequest(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	h.sendTo(u, "x", ep(a0(2), 2000), 0)
	sent := h.take()
	for code := byte(0); code < 16; code++ {
		if code == ipv4.UnreachFragNeeded {
			continue // rows 35 to 37
		}
		h.recv(icmpPacket(a0(2), a0(1), 3, code, 0, quote(sent)))
		if v, _ := u.Option(SOL_SOCKET, SO_ERROR); v != 0 {
			t.Errorf("code %d, unconnected: %d", code, v)
		}
	}
	u.Connect(h.now, ep(a0(2), 2000))
	e := func(typ, code byte) int {
		h.recv(icmpPacket(a0(2), a0(1), typ, code, 0, quote(sent)))
		v, _ := u.Option(SOL_SOCKET, SO_ERROR)
		return v
	}
	if e(3, 0) != 0 || e(3, 1) != 0 || e(3, 5) != 0 || e(11, 0) != 0 {
		t.Error("soft errors are reported although nobody asked")
	}
	if e(3, 3) != int(errno.ECONNREFUSED) || e(3, 2) != int(errno.ENOPROTOOPT) || e(12, 0) != int(errno.EPROTO) || e(3, 13) != int(errno.EHOSTUNREACH) {
		t.Error("hard errors are not reported")
	}
	u.SetOption(SOL_IP, IP_RECVERR, 1)
	if e(3, 0) != int(errno.ENETUNREACH) || e(3, 1) != int(errno.EHOSTUNREACH) || e(11, 0) != int(errno.EHOSTUNREACH) {
		t.Error("soft errors are not reported although asked for (C107)")
	}
	h.recv(icmpPacket(a0(2), a0(1), 3, 3, 0, quote(sent)))
	h.sendTo(u, "x", ipv4.Endpoint{}, errno.ECONNREFUSED)
	h.sendTo(u, "x", ipv4.Endpoint{}, 0)
	h.sent = nil
}

func TestC30TCPChecksTheSequenceNumber(t *testing.T) {
	h := newHost(t, 1)
	c, _ := h.open(ep(a0(2), 80), nil)
	c.Write([]byte("hello"))
	h.poll()
	sent := h.take()
	seq := binary.BigEndian.Uint32(sent[24:])
	icmp := func(code byte, seq uint32) {
		q := append([]byte(nil), quote(sent)...)
		binary.BigEndian.PutUint32(q[24:], seq)
		h.recv(icmpPacket(a0(2), a0(1), 3, code, 0, q))
	}
	for _, s := range []uint32{seq - 1, seq + 5, seq + 1<<31, seq - 1<<30} {
		icmp(1, s)
		if c.SoftErr() != 0 {
			t.Errorf("took sequence number %d of [%d, %d)", s, seq, seq+5)
		}
	}
	h.seen = h.s.Drops
	// C31: nothing aborts an established connection, not even a hard error.
	for code := byte(0); code < 16; code++ {
		if code == ipv4.UnreachFragNeeded {
			continue // rows 35 to 37
		}
		icmp(code, seq)
	}
	for _, typ := range []byte{11, 12} {
		h.recv(icmpPacket(a0(2), a0(1), typ, 0, 0, quote(sent)))
	}
	if c.State() != tcp.Established || c.SoftErr() != errno.EPROTO {
		t.Errorf("%v, soft error %v", c.State(), c.SoftErr())
	}
	h.drops()
	h.wantNothing()
}

func TestC32HardErrorsEndAConnect(t *testing.T) {
	for code, want := range map[byte]errno.Errno{2: errno.ENOPROTOOPT, 3: errno.ECONNREFUSED} {
		h := newHost(t, 1)
		c := h.dial(ep(a0(2), 80))
		syn := h.take()
		h.recv(icmpPacket(a0(2), a0(1), 3, code, 0, quote(syn)))
		if e := c.Err(); c.State() != tcp.Closed || e != want || h.events(c)&tcp.Failed == 0 {
			t.Errorf("code %d: %v, %v", code, c.State(), e)
		}
	}
}

func TestC33SourceQuenchIsIgnored(t *testing.T) {
	h := newHost(t, 1)
	c, _ := h.open(ep(a0(2), 80), []byte{2, 4, 5, 180})
	c.Write(make([]byte, 4000))
	h.poll()
	n := len(h.sent)
	h.recv(icmpPacket(a0(2), a0(1), 4, 0, 0, quote(h.sent[0].f[14:])))
	if c.SoftErr() != 0 || len(h.sent) != n {
		t.Error("source quench had an effect")
	}
	h.sent = nil
	h.drops(ipv4.DropICMPType, 1)
}

func TestC24BigEchoByFragments(t *testing.T) {
	if !feature.Reassembly || !feature.Fragmentation {
		t.Skip("needs features reassembly and fragmentation")
	}
	h := newHost(t, 1)
	data := make([]byte, 65535-28)
	for i := range data {
		data[i] = byte(i * i >> 8)
	}
	p := echo(a0(2), a0(1), string(data))
	for _, f := range fragments(p, 1480) {
		h.recv(f)
	}
	if len(h.sent) != 45 {
		t.Fatalf("%d fragments", len(h.sent))
	}
	var got []byte
	id := h.sent[0].f[14+4 : 14+6]
	for _, s := range h.sent {
		if f := s.f[14:]; !bytes.Equal(f[4:6], id) || int(binary.BigEndian.Uint16(f[6:])&0x1fff)*8 != len(got) {
			t.Fatal("ID or offset")
		} else {
			got = append(got, f[20:]...)
		}
	}
	h.sent = nil
	if len(got) != 8+len(data) || onesSum(0, got) != 0 || got[0] != 0 || !bytes.Equal(got[8:], data) {
		t.Error("the reply is not the request's")
	}
}
