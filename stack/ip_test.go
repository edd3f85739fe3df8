package stack

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
)

const pong = "m2 198.18.0.1 > 198.18.0.2 icmp 0/0 00070009 len 4"

func TestC01AcceptsPaddedAndShortFrames(t *testing.T) {
	h := newHost(t, 1)
	p := echo(a0(2), a0(1), "abcd")
	h.recv(p) // 46 bytes, as a TAP device hands them over
	h.want(pong)
	p.pad = 60 - 14 - 32
	h.recv(p)
	h.want(pong)
	p.pad = 1000
	h.recv(p)
	h.want(pong)
}

func TestC01DropsRuntsAndForeignFrames(t *testing.T) {
	h := newHost(t, 1)
	p := echo(a0(2), a0(1), "abcd").bytes()
	good := frame(mac(1), mac(2), 0x0800, p)
	for n := range 14 {
		h.recvOn(eth0, good[:n])
	}
	h.drops(ipv4.DropFrameShort, 14)
	h.recvOn(eth0, good[:14])
	h.drops(ipv4.DropIPShort, 1)
	h.recvOn(eth0, frame(mac(9), mac(2), 0x0800, p))
	h.recvOn(eth0, frame(netif.MAC{}, mac(2), 0x0800, p))
	h.drops(ipv4.DropNotForUs, 2)
	for _, typ := range []uint16{0, 0x0600, 0x86dd, 0x8100, 0x88cc, 0x05dc, 0xffff} {
		h.recvOn(eth0, frame(mac(1), mac(2), typ, p))
	}
	h.drops(ipv4.DropEtherType, 7)
	// Promiscuous is for those who look at frames, not for the host.
	h.flags("eth0", true, netif.IFF_PROMISC)
	h.recvOn(eth0, frame(mac(9), mac(2), 0x0800, p))
	h.drops(ipv4.DropNotForUs, 1)
	h.flags("eth0", false)
	h.recvOn(eth0, good)
	h.drops(ipv4.DropInterfaceDown, 1)
	h.wantNothing()
}

func TestC01SendsWithinTheMTU(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	data := string(bytes.Repeat([]byte("x"), 1500-28))
	h.sendTo(u, data, ep(a0(2), 2000), 0)
	if n := len(h.take()); n != 1500 {
		t.Errorf("%d bytes", n)
	}
	h.ioctl(SIOCSIFMTU, &Ifreq{Name: "eth0", Value: 576})
	want := errno.Errno(0)
	if !feature.Fragmentation {
		want = errno.EMSGSIZE
	}
	h.sendTo(u, data, ep(a0(2), 2000), want) // checkFrame looks at the fragments
	h.sent = nil
}

func TestC07DropsMalformedHeaders(t *testing.T) {
	h := newHost(t, 1)
	p := echo(a0(2), a0(1), "abcd")
	for _, c := range []struct {
		mangle func(b []byte)
		d      ipv4.Drop
	}{
		{func(b []byte) { b[0] = 0x65 }, ipv4.DropIPVersion},
		{func(b []byte) { b[0] = 0x44 }, ipv4.DropIPHeaderLen},
		{func(b []byte) { b[0] = 0x40 }, ipv4.DropIPHeaderLen},
		{func(b []byte) { b[0] = 0x4f }, ipv4.DropIPHeaderLen},
		{func(b []byte) { b[3] = 19 }, ipv4.DropIPHeaderLen},
		{func(b []byte) { b[3] = 33 }, ipv4.DropIPTotalLen},
		{func(b []byte) { b[2] = 0xff }, ipv4.DropIPTotalLen},
	} {
		p.mangle = c.mangle
		h.recv(p)
		h.drops(c.d, 1)
	}
	b := p.bytes()
	for n := range 20 {
		h.recvOn(eth0, frame(mac(1), mac(2), 0x0800, b[:n]))
	}
	h.drops(ipv4.DropIPShort, 20)
	h.wantNothing()
}

func TestC08BadHeaderChecksumIsSilent(t *testing.T) {
	h := newHost(t, 1)
	p := echo(a0(2), a0(1), "abcd")
	p.badSum = true
	h.recv(p)
	h.wantNothing()
	h.drops(ipv4.DropIPChecksum, 1)
}

func TestC09DropsInvalidSources(t *testing.T) {
	h := newHost(t, 2)
	u := h.udp(ep(ipv4.Any, 1000))
	bad := []ipv4.Addr{
		ipv4.Any, ipv4.AddrOf(0, 1, 2, 3), ipv4.Loopback, ipv4.AddrOf(127, 5, 5, 5), ipv4.AllHosts, ipv4.AddrOf(239, 1, 1, 1), ipv4.AddrOf(240, 0, 0, 1),
		ipv4.Broadcast,
		a0(255), a1(255), // directed broadcasts of either link
		a0(1), a1(1), // our own
	}
	for _, a := range bad {
		h.recv(echo(a, a0(1), "abcd"), udpPacket(ep(a, 2000), ep(a0(1), 1000), "x"), udpPacket(ep(a, 2000), ep(a0(1), 1001), "x"),
			tcpPacket(ep(a, 2000), ep(a0(1), 80), 1, 0, tcp.SYN, nil, ""), packet{src: a, dst: a0(1), proto: 99})
	}
	h.wantNothing()
	h.got(u, "")
	h.drops(ipv4.DropIPSource, 5*len(bad))
}

func TestC10AcceptsItsDestinations(t *testing.T) {
	h := newHost(t, 2)
	u := h.udp(ep(ipv4.Any, 1000))
	src := ep(a0(2), 2000)
	for _, a := range []ipv4.Addr{a0(1), a1(1)} { // weak end system
		h.recv(udpPacket(src, ep(a, 1000), "unicast"))
		h.got(u, "198.18.0.2:2000 unicast")
	}
	for _, a := range []ipv4.Addr{a0(255), ipv4.Broadcast, ipv4.AllHosts} {
		h.recvBroadcast(udpPacket(src, ep(a, 1000), "all"))
		h.got(u, "198.18.0.2:2000 all")
		h.recv(udpPacket(src, ep(a, 1000), "all")) // the link's destination may be ours
		h.got(u, "198.18.0.2:2000 all")
	}
	// A broadcast address that was set by hand.
	h.ioctl(SIOCSIFBRDADDR, &Ifreq{Name: "eth0", Addr: SockaddrIn(a0(77))})
	h.recvBroadcast(udpPacket(src, ep(a0(77), 1000), "all"))
	h.got(u, "198.18.0.2:2000 all")
	h.drops()
}

func TestC15DropsWhatIsForOthers(t *testing.T) {
	h := newHost(t, 2)
	h.defaultRoute()
	src := ep(a0(2), 2000)
	for _, a := range []ipv4.Addr{a0(2), a0(9), a1(2), far, ipv4.AddrOf(224, 0, 0, 2), ipv4.AddrOf(239, 1, 1, 1), a1(255), ipv4.AddrOf(0, 0, 0, 0), ipv4.AddrOf(240, 0, 0, 1)} {
		h.recv(udpPacket(src, ep(a, 1000), "x"))
		h.recvBroadcast(udpPacket(src, ep(a, 1000), "x"))
	}
	// "received via a link-layer broadcast but does not specify an IP multicast or
	// broadcast destination" (RFC 1122 section 3.3.6).
	h.recvBroadcast(udpPacket(src, ep(a0(1), 1000), "x"))
	h.recvBroadcast(echo(a0(2), a0(1), "abcd"))
	h.drops(ipv4.DropIPDest, 20)
	// 127/8 is for inside the host only.
	h.recv(udpPacket(src, ep(ipv4.Loopback, 1000), "x"), echo(a0(2), ipv4.Loopback, "x"))
	h.drops(ipv4.DropIPSource, 2)
	h.wantNothing()
}

func TestC11NeverEmitsLoopbackOrForeignAddresses(t *testing.T) {
	h := newHost(t, 1)
	h.defaultRoute()
	h.udp(ep(ipv4.Loopback, 1000))
	u := h.udp(ep(ipv4.Loopback, 1001))
	h.sendTo(u, "x", ep(a0(2), 2000), errno.EINVAL)
	h.sendTo(u, "x", ep(far, 2000), errno.EINVAL)
	c := new(Conn)
	c.Init(h.s)
	if err := h.s.Connect(h.now, c, ep(ipv4.Loopback, 0), ep(a0(2), 80)); err != errno.EINVAL {
		t.Errorf("TCP from 127.0.0.1: %v", err)
	}
	if err := h.s.Connect(h.now, c, ep(a0(9), 0), ep(a0(2), 80)); err != errno.EADDRNOTAVAIL {
		t.Errorf("TCP from a foreign address: %v", err)
	}
	if err := h.s.OpenUDP(new(UDP), ep(a0(9), 1000)); err != errno.EADDRNOTAVAIL {
		t.Errorf("UDP from a foreign address: %v", err)
	}
	// With lo down, 127/8 is not reached by the default route.
	h.flags("lo", false)
	v := h.udp(ep(ipv4.Any, 1003))
	h.sendTo(v, "x", ep(ipv4.Loopback, 2000), errno.ENETUNREACH)
	v.SetOption(SOL_SOCKET, SO_BINDTODEVICE, eth0)
	h.sendTo(v, "x", ep(ipv4.Loopback, 2000), errno.ENETUNREACH)
	if err := h.s.Connect(h.now, c, ipv4.Endpoint{}, ep(ipv4.Loopback, 80)); err != errno.ENETUNREACH {
		t.Errorf("TCP to 127.0.0.1 without lo: %v", err)
	}
	h.wantNothing()
	h.drops()
}

func TestC11NothingIsSentFromAnAddressThatIsGone(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(a0(1), 1000))
	v := h.udp(ep(ipv4.Any, 1001))
	v.Connect(h.now, ep(a0(2), 2000))
	c, p := h.open(ep(a0(2), 80), nil)
	h.sendTo(u, "x", ep(a0(2), 2000), 0)
	h.sendTo(v, "x", ep(ipv4.Any, 0), 0)
	h.want(`m2 198.18.0.1:1000 > 198.18.0.2:2000 udp "x"`, `m2 198.18.0.1:1001 > 198.18.0.2:2000 udp "x"`)
	if feature.Reassembly { // whose time exceeded has nobody to come from any more
		f := udpPacket(ep(a0(3), 1), ep(a0(1), 2), "12345678")
		f.frag = 0x2000
		h.recv(f)
	}
	h.address("eth0", a0(5))
	for n := byte(2); n <= 4; n++ {
		h.station("eth0", a0(n), mac(int(n)))
	}
	h.sendTo(u, "x", ep(a0(2), 2000), errno.EINVAL)
	h.sendTo(v, "x", ep(ipv4.Any, 0), errno.EINVAL)
	c.Write([]byte("data"))
	h.advance(70 * pkt.Second)
	h.wantNothing()
	h.recv(p.seg(tcp.ACK, nil, ""), p.seg(tcp.SYN, nil, "")) // to the old address
	h.wantNothing()
	if h.s.Drops[ipv4.DropNoRoute] == 0 || h.s.Drops[ipv4.DropIPDest] != 2 {
		t.Errorf("%d, %d dropped", h.s.Drops[ipv4.DropNoRoute], h.s.Drops[ipv4.DropIPDest])
	}
	h.seen = h.s.Drops
}

func TestC12ReceivesAnyTTLAndSends64(t *testing.T) {
	h := newHost(t, 1)
	for _, ttl := range []uint8{0, 1, 255} {
		p := echo(a0(2), a0(1), "abcd")
		p.ttl = ttl
		h.recv(p)
		h.want(pong)
	}
	// checkFrame has seen 64 in all other tests.
	u := h.udp(ep(ipv4.Any, 1000))
	u.SetOption(SOL_IP, IP_TTL, 3)
	h.ttl = 3
	h.sendTo(u, "x", ep(a0(2), 2000), 0)
	h.want(`m2 198.18.0.1:1000 > 198.18.0.2:2000 udp "x" ttl=3`)
	u.SetOption(SOL_IP, IP_TTL, -1)
	h.ttl = 64
	h.sendTo(u, "x", ep(a0(2), 2000), 0)
	h.want(`m2 198.18.0.1:1000 > 198.18.0.2:2000 udp "x"`)
}

func TestC108TOSAndTTLDuringAConnection(t *testing.T) {
	h := newHost(t, 1)
	c, p := h.open(ep(a0(2), 80), nil)
	c.SetOption(SOL_IP, IP_TTL, 7)
	c.SetOption(SOL_IP, IP_TOS, 0xb8)
	h.ttl = 7
	c.Write([]byte("hello"))
	h.poll()
	h.want("m2 198.18.0.1:* > 198.18.0.2:80 tcp PA len 5 tos=0xb8 ttl=7")
	p.ack += 5
	h.recv(p.seg(tcp.ACK, nil, ""))
	h.wantNothing()
}

func TestC13IDsAreUniqueUnlessAtomic(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	if feature.PMTUD {
		h.sendTo(u, "x", ep(a0(2), 2000), 0)
		if p := h.take(); p[6] != 0x40 {
			t.Errorf("without DF: %x", p[:20])
		}
		u.SetOption(SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
	}
	seen := map[[2]uint16]bool{}
	for i := range 2000 {
		to := a0(byte(2 + i%3))
		h.sendTo(u, "x", ep(to, 2000), 0)
		k := [2]uint16{uint16(to & 255), binary.BigEndian.Uint16(h.take()[4:])}
		if seen[k] {
			t.Fatalf("ID %#x to %v again after %d datagrams", k[1], to, i)
		}
		seen[k] = true
	}
}

func TestC16UnknownOptionsAreIgnored(t *testing.T) {
	h := newHost(t, 1)
	for _, opts := range [][]byte{
		{1, 1, 1, 0},
		{0, 0xff, 0xff, 0xff},
		{0x9e, 4, 1, 2},          // unknown
		{148, 4, 0, 0},           // router alert
		{7, 7, 4, 0, 0, 0, 0, 0}, // record route: not filled in
		{68, 8, 5, 0, 0, 0, 0, 0},
		bytes.Repeat([]byte{1}, 40),
	} {
		p := echo(a0(2), a0(1), "abcd")
		p.opts = opts
		h.recv(p)
		h.want(pong)
	}
}

func TestC16IllegalOptionsAreAParameterProblem(t *testing.T) {
	h := newHost(t, 1)
	for _, c := range []struct {
		opts []byte
		ptr  string
	}{
		{[]byte{0x9e, 0, 0, 0}, "15"},
		{[]byte{0x9e, 1, 0, 0}, "15"},
		{[]byte{0x9e, 5, 0, 0}, "15"},
		{[]byte{1, 1, 1, 0x9e}, "17"},
		{[]byte{7, 7, 3, 0, 0, 0, 0, 0}, "16"},
		{[]byte{1, 7, 2, 4}, "16"},
	} {
		p := echo(a0(2), a0(1), "abcd")
		p.opts = c.opts
		h.recv(p)
		quote := p.bytes()
		if q := h.sent[0].f[14+28:]; !bytes.Equal(q, quote) {
			t.Errorf("quotes % x of % x", q, quote)
		}
		h.want("m2 198.18.0.1 > 198.18.0.2 icmp 12/0 " + c.ptr + "000000 len " + itoa(len(quote)) + " tos=0xc0")
		h.recvBroadcast(packet{src: a0(2), dst: a0(255), proto: 17, opts: c.opts})
		h.wantNothing() // about a broadcast, never
		h.drops(ipv4.DropIPOptions, 2)
	}
	// A source route that has not ended would have us pass the packet on.
	p := echo(a0(2), a0(1), "abcd")
	p.opts = []byte{131, 7, 4, 198, 18, 0, 9, 0}
	h.recv(p)
	h.wantNothing()
	h.drops(ipv4.DropIPSourceRoute, 1)
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func TestC14TCPSetsDF(t *testing.T) {
	h := newHost(t, 1)
	c, p := h.open(ep(a0(2), 80), nil) // checkFrame looks at the SYN
	c.Write([]byte("x"))
	h.poll()
	h.recv(tcpPacket(ep(a0(2), 99), ep(a0(1), 99), 1, 0, tcp.SYN, nil, ""))
	h.want("m2 198.18.0.1:* > 198.18.0.2:80 tcp PA len 1", "m2 198.18.0.1:99 > 198.18.0.2:99 tcp RA len 0")
	h.drops(ipv4.DropTCPNoConn, 1)
	_ = p
}

func TestC39MSSOptionIsTheMTULess40(t *testing.T) {
	for _, mtu := range []int{68, 576, 1280, 1500, 9000} {
		h := newHostMTU(t, 1, mtu, Config{})
		c := h.dial(ep(a0(2), 80))
		syn := h.take()
		if syn[40] != 2 || syn[41] != 4 || int(binary.BigEndian.Uint16(syn[42:])) != mtu-40 {
			t.Errorf("MTU %d: options % x", mtu, syn[40:])
		}
		// It is the interface's, not the route's.
		c.Abort()
		h.poll()
	}
}

func TestC40SegmentsFitTheRoutesMTU(t *testing.T) {
	h := newHost(t, 1)
	r := h.rtentry("198.18.0.3", 32, ipv4.Any, "eth0", 0, 0x40)
	r.MTU = 1000
	h.ioctl(SIOCADDRT, r)
	c, _ := h.open(ep(a0(3), 80), []byte{2, 4, 5, 180})
	c.Write(make([]byte, 5000))
	h.poll()
	if n := len(h.sent[0].f); n != 1014 {
		t.Errorf("a full segment makes a frame of %d bytes", n)
	}
	h.sent = nil
	// However small the route's MTU: 68 is the least there is.
	r = h.rtentry("198.18.0.4", 32, ipv4.Any, "eth0", 0, 0x40)
	r.MTU = 1
	h.ioctl(SIOCADDRT, r)
	c, _ = h.open(ep(a0(4), 80), []byte{2, 4, 5, 180})
	c.Write(make([]byte, 100))
	h.poll()
	if n := len(h.sent[0].f); n != 14+68 {
		t.Errorf("a full segment makes a frame of %d bytes", n)
	}
	h.sent = nil
}

func TestC105ECNIsOff(t *testing.T) {
	h := newHostMTU(t, 1, 1500, Config{ECN: tcp.ECNOff})
	c, p := h.open(ep(a0(2), 80), nil)
	x := p.seg(tcp.ACK|tcp.PSH, nil, "data")
	x.tos = 3 // CE
	h.recv(x)
	if c.Buffered() != 4 {
		t.Error("a segment marked CE was not processed")
	}
	h.advance(pkt.Second)
	h.want("m2 198.18.0.1:* > 198.18.0.2:80 tcp A len 0") // without ECE
	if !feature.Listen {
		return
	}
	l := &Listener{New: func() *Conn { c := new(Conn); c.Init(h.s); return c }}
	if err := h.s.Listen(l, ep(ipv4.Any, 7), 1); err != nil {
		t.Fatal(err)
	}
	h.recv(tcpPacket(ep(a0(2), 99), ep(a0(1), 7), 1, 0, tcp.SYN|0xc0, nil, ""))
	h.want("m2 198.18.0.1:7 > 198.18.0.2:99 tcp SA len 0")
}

func TestSpecialDestinationsInSendTo(t *testing.T) {
	h := newHost(t, 1)
	h.defaultRoute()
	u, v := h.udp(ep(ipv4.Any, 1000)), h.udp(ep(ipv4.Loopback, 2000))
	h.sendTo(u, "x", ep(ipv4.Any, 2000), 0) // "this host", as Linux has it
	h.got(v, "127.0.0.1:1000 x")
	h.sendTo(u, "x", ep(a0(2), 0), errno.EINVAL)
	h.sendTo(u, "x", ep(ipv4.Any, 0), errno.EDESTADDRREQ)
	h.wantNothing()
}

func TestC10AddressOfAnInterfaceThatWentDown(t *testing.T) {
	h := newHost(t, 2)
	h.ioctl(SIOCSIFNETMASK, &Ifreq{Name: "eth1", Addr: SockaddrIn(ipv4.Broadcast)}) // which has no route to go
	h.recv(echo(a0(2), a1(1), "abcd"))
	h.want("m2 198.18.1.1 > 198.18.0.2 icmp 0/0 00070009 len 4")
	h.flags("eth1", false)
	h.recv(echo(a0(2), a1(1), "abcd"))
	h.wantNothing()
	h.drops(ipv4.DropIPDest, 1)
	h.flags("eth1", true)
	h.recv(echo(a0(2), a1(1), "abcd"))
	h.want("m2 198.18.1.1 > 198.18.0.2 icmp 0/0 00070009 len 4")
	h.ioctl(SIOCSIFADDR, &Ifreq{Name: "eth1", Addr: SockaddrIn(a1(7))})
	h.recv(echo(a0(2), a1(1), "abcd"))
	h.wantNothing()
	h.drops(ipv4.DropIPDest, 1)
}
