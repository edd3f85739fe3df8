package stack

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
	"github.com/bonsainet/bonsai/udp"
)

func TestUDPBind(t *testing.T) {
	h := newHost(t, 2)
	bind := func(a ipv4.Endpoint, flags udp.Flags, want error) *UDP {
		t.Helper()
		u := &UDP{}
		u.Flags = flags
		if err := h.s.OpenUDP(u, a); err != want {
			t.Errorf("bind to %v: %v, want %v", a, err, want)
		}
		return u
	}
	u := bind(ep(a0(1), 1000), 0, nil)
	if err := h.s.OpenUDP(u, ep(a0(1), 1001)); err != errno.EINVAL {
		t.Errorf("bound twice: %v", err)
	}
	bind(ep(a0(1), 1000), 0, errno.EADDRINUSE)
	bind(ep(ipv4.Any, 1000), 0, errno.EADDRINUSE)
	bind(ep(a1(1), 1000), 0, nil)
	bind(ep(a0(1), 1000), udp.ReuseAddr, errno.EADDRINUSE) // both must want it
	bind(ep(a0(2), 1000), 0, errno.EADDRNOTAVAIL)
	bind(ep(far, 0), 0, errno.EADDRNOTAVAIL)
	bind(ep(a0(255), 1000), 0, nil)
	bind(ep(ipv4.Broadcast, 1000), 0, nil)
	bind(ep(ipv4.AllHosts, 1000), 0, nil)
	bind(ep(ipv4.Any, 2000), udp.ReuseAddr, nil)
	bind(ep(a0(1), 2000), udp.ReuseAddr, nil)
	// Sockets of different devices don't meet.
	v := &UDP{}
	v.Ifindex = eth1
	for range 2 {
		if err := h.s.OpenUDP(v, ep(ipv4.Any, 4000)); err != nil {
			t.Error(err)
		}
		v = &UDP{}
		v.Ifindex = eth0
	}
	bind(ep(ipv4.Any, 4000), 0, errno.EADDRINUSE)
	u.Close()
	u = bind(ep(a0(1), 1000), 0, nil)
	u.Close()
	u.Close()
	h.flags("eth1", false) // its address is then nobody's
	bind(ep(a1(1), 3000), 0, errno.EADDRNOTAVAIL)
}

func TestUDPPortZeroIsAFreeOne(t *testing.T) {
	h := newHostMTU(t, 1, 1500, Config{PortMin: 50000, PortMax: 50009})
	seen := map[uint16]bool{}
	for range 10 {
		u := h.udp(ipv4.Endpoint{})
		if p := u.Local.Port; seen[p] || p < 50000 || p > 50009 {
			t.Errorf("port %d", p)
		}
		seen[u.Local.Port] = true
	}
	if err := h.s.OpenUDP(new(UDP), ipv4.Endpoint{}); err != errno.EADDRINUSE {
		t.Errorf("with all ports taken: %v", err)
	}
}

func TestUDPBestMatchReceives(t *testing.T) {
	h := newHost(t, 2)
	reuse := func(local, remote ipv4.Endpoint, ifindex int) *UDP {
		u := new(UDP)
		u.Flags = udp.ReuseAddr
		if err := h.s.OpenUDP(u, local); err != nil {
			t.Fatal(err)
		}
		if e := u.SetOption(SOL_SOCKET, SO_BINDTODEVICE, ifindex); e != 0 {
			t.Fatal(e)
		}
		if remote.Port != 0 {
			if err := u.Connect(h.now, remote); err != nil {
				t.Fatal(err)
			}
		}
		return u
	}
	all := []*UDP{
		reuse(ep(ipv4.Any, 1000), ipv4.Endpoint{}, 0),
		reuse(ep(ipv4.Any, 1000), ipv4.Endpoint{}, eth1),
		reuse(ep(a0(1), 1000), ipv4.Endpoint{}, 0),
		reuse(ep(ipv4.Any, 1000), ep(a0(2), 7), 0),
	}
	for _, c := range []struct {
		ifindex  int
		src, dst ipv4.Endpoint
		want     int
	}{
		{eth0, ep(a0(2), 7), ep(a0(1), 1000), 3},
		{eth0, ep(a0(2), 8), ep(a0(1), 1000), 2},
		{eth0, ep(a0(3), 7), ep(a0(1), 1000), 2},
		{eth0, ep(a0(3), 7), ep(a1(1), 1000), 0},
		{eth1, ep(a1(3), 7), ep(a1(1), 1000), 1},
	} {
		m := mac(1)
		if c.ifindex == eth1 {
			m = mac(11)
		}
		h.recvOn(c.ifindex, frame(m, mac(2), 0x0800, udpPacket(c.src, c.dst, "x").bytes()))
		for i, u := range all {
			want := ""
			if i == c.want {
				want = c.src.String() + " x"
			}
			h.got(u, want)
		}
	}
	// A broadcast goes to each that it fits.
	h.recvBroadcast(udpPacket(ep(a0(3), 7), ep(a0(255), 1000), "all"))
	for i, want := range []string{"198.18.0.3:7 all", "", "", ""} {
		h.got(all[i], want)
	}
	more := reuse(ep(a0(255), 1000), ipv4.Endpoint{}, 0)
	h.recvBroadcast(udpPacket(ep(a0(3), 7), ep(a0(255), 1000), "all"))
	h.got(all[0], "198.18.0.3:7 all")
	h.got(more, "198.18.0.3:7 all")
	h.wantNothing()
	h.drops()
}

func TestUDPConnect(t *testing.T) {
	h := newHost(t, 2)
	u := h.udp(ep(ipv4.Any, 1000))
	if err := u.Connect(h.now, ep(a0(2), 7)); err != nil || u.Local != ep(a0(1), 1000) {
		t.Errorf("%v, local %v", err, u.Local)
	}
	h.recv(udpPacket(ep(a0(2), 7), ep(a0(1), 1000), "yes"), udpPacket(ep(a0(2), 8), ep(a0(1), 1000), "no"), udpPacket(ep(a0(3), 7), ep(a0(1), 1000), "no"))
	h.got(u, "198.18.0.2:7 yes")
	h.got(u, "")
	h.want("m2 198.18.0.1 > 198.18.0.2 icmp 3/3 00000000 len 30 tos=0xc0", "m3 198.18.0.1 > 198.18.0.3 icmp 3/3 00000000 len 30 tos=0xc0")
	h.drops(ipv4.DropUDPPort, 2)
	// An address with the call goes before the peer's.
	h.sendTo(u, "x", ep(a0(3), 9), 0)
	h.sendTo(u, "x", ipv4.Endpoint{}, 0)
	h.want(`m3 198.18.0.1:1000 > 198.18.0.3:9 udp "x"`, `m2 198.18.0.1:1000 > 198.18.0.2:7 udp "x"`)
	// What fails changes nothing.
	if err := u.Connect(h.now, ep(far, 7)); err != errno.ENETUNREACH {
		t.Error(err)
	}
	if err := u.Connect(h.now, ep(a0(255), 7)); err != errno.EACCES {
		t.Error(err)
	}
	h.sendTo(u, "x", ipv4.Endpoint{}, 0)
	h.want(`m2 198.18.0.1:1000 > 198.18.0.2:7 udp "x"`)
	// Undone, everybody's again, and from whatever address fits.
	if err := u.Connect(h.now, ipv4.Endpoint{}); err != nil || u.Connected() || u.Local != ep(ipv4.Any, 1000) {
		t.Errorf("%v, local %v", err, u.Local)
	}
	h.recv(udpPacket(ep(a0(3), 8), ep(a1(1), 1000), "yes"))
	h.got(u, "198.18.0.3:8 yes")
	h.sendTo(u, "x", ipv4.Endpoint{}, errno.EDESTADDRREQ)
	h.sendTo(u, "x", ep(a1(2), 9), 0)
	h.want(`eth1 m12 198.18.1.1:1000 > 198.18.1.2:9 udp "x"`)
	// An address that was bound stays.
	v := h.udp(ep(a1(1), 1001))
	v.Connect(h.now, ep(a0(2), 7))
	v.Connect(h.now, ipv4.Endpoint{})
	if v.Local != ep(a1(1), 1001) {
		t.Error(v.Local)
	}
	h.sendTo(v, "x", ep(a0(2), 7), 0) // the weak model: any address on any link
	h.want(`m2 198.18.1.1:1001 > 198.18.0.2:7 udp "x"`)
}

func TestUDPBroadcastNeedsPermission(t *testing.T) {
	h := newHost(t, 2)
	u := h.udp(ep(ipv4.Any, 1000))
	for _, a := range []ipv4.Addr{a0(255), a1(255)} {
		h.sendTo(u, "x", ep(a, 7), errno.EACCES)
	}
	h.sendTo(u, "x", ep(ipv4.Broadcast, 7), errno.ENETUNREACH) // which of the links?
	h.defaultRoute()
	h.sendTo(u, "x", ep(ipv4.Broadcast, 7), errno.EACCES)
	h.wantNothing()
	u.SetOption(SOL_SOCKET, SO_BROADCAST, 1)
	for _, a := range []ipv4.Addr{a0(255), ipv4.Broadcast, a1(255)} {
		h.sendTo(u, "x", ep(a, 7), 0)
	}
	h.want(`all 198.18.0.1:1000 > 198.18.0.255:7 udp "x"`, `all 198.18.0.1:1000 > 255.255.255.255:7 udp "x"`,
		`eth1 all 198.18.1.1:1000 > 198.18.1.255:7 udp "x"`)
	// The address that it is bound to says which link.
	v := h.udp(ep(a1(1), 1001))
	v.SetOption(SOL_SOCKET, SO_BROADCAST, 1)
	h.sendTo(v, "x", ep(ipv4.Broadcast, 7), 0)
	h.want(`eth1 all 198.18.1.1:1001 > 255.255.255.255:7 udp "x"`)
	// Or the device, also when it has no address yet, as for DHCP.
	v = h.udp(ep(ipv4.Any, 68))
	v.SetOption(SOL_SOCKET, SO_BROADCAST, 1)
	v.SetOption(SOL_SOCKET, SO_BINDTODEVICE, eth1)
	h.sendTo(v, "x", ep(ipv4.Broadcast, 67), 0)
	h.want(`eth1 all 198.18.1.1:68 > 255.255.255.255:67 udp "x"`)
	h.ioctl(SIOCSIFADDR, &Ifreq{Name: "eth1", Addr: SockaddrIn(ipv4.Any)})
	h.sendTo(v, "x", ep(ipv4.Broadcast, 67), 0)
	h.want(`eth1 all 0.0.0.0:68 > 255.255.255.255:67 udp "x"`)
	u.SetOption(SOL_SOCKET, SO_BROADCAST, 0)
	h.sendTo(u, "x", ep(ipv4.Broadcast, 7), errno.EACCES)
	// A socket bound to the broadcast address has a source all the same.
	w := h.udp(ep(a0(255), 1002))
	for range 2 {
		h.sendTo(w, "x", ep(a0(2), 7), 0)
		h.want(`m2 198.18.0.1:1002 > 198.18.0.2:7 udp "x"`)
	}
}

func TestUDPMulticastStaysOnTheLink(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	group := ipv4.AddrOf(239, 129, 2, 3)
	h.sendTo(u, "x", ep(group, 7), errno.ENETUNREACH)
	h.defaultRoute()
	h.ttl = 1
	h.sendTo(u, "x", ep(group, 7), 0)
	h.want(`01:00:5e:01:02:03 198.18.0.1:1000 > 239.129.2.3:7 udp "x" ttl=1`)
	u.SetOption(SOL_IP, IP_TTL, 5)
	if feature.Multicast { // which Linux has another option for
		h.sendTo(u, "x", ep(group, 7), 0)
		h.want(`01:00:5e:01:02:03 198.18.0.1:1000 > 239.129.2.3:7 udp "x" ttl=1`)
		u.SetOption(SOL_IP, IP_MULTICAST_TTL, 5)
	}
	h.ttl = 5
	h.sendTo(u, "x", ep(group, 7), 0)
	h.want(`01:00:5e:01:02:03 198.18.0.1:1000 > 239.129.2.3:7 udp "x" ttl=5`)
}

func TestUDPChecksums(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	p := udpPacket(ep(a0(2), 7), ep(a0(1), 1000), "data")
	p.payload[6], p.payload[7] = 0, 0 // none
	h.recv(p)
	h.got(u, "198.18.0.2:7 data")
	p.payload[7] = 1
	h.recv(p)
	p.payload[6], p.payload[7] = 0xff, 0xff
	h.recv(p)
	h.drops(ipv4.DropUDPChecksum, 2)
	for _, n := range []byte{7, 0, 13} {
		p.payload[5] = n
		h.recv(p)
	}
	h.drops(ipv4.DropUDPLen, 3)
	p.payload = p.payload[:7]
	h.recv(p)
	h.drops(ipv4.DropUDPShort, 1)
	h.got(u, "")
	h.wantNothing()
}

func TestUDPQueueIsBounded(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	u.SetOption(SOL_SOCKET, SO_RCVBUF, 2048)
	p := udpPacket(ep(a0(2), 7), ep(a0(1), 1000), strings.Repeat("x", 500))
	for range 100 {
		h.recv(p)
	}
	n := u.Queue.Count()
	if n < 3 || n > 4 {
		t.Errorf("%d datagrams are queued", n)
	}
	h.drops(ipv4.DropUDPBufferFull, 100-n)
	h.wantNothing() // no port unreachable
	u.Close()
	if h.s.mem.Used() != 0 {
		t.Error("memory is left")
	}
	// Many sockets: the stack's memory is the limit.
	h = newHostMTU(t, 1, 1500, Config{Memory: 64 << 10})
	for i := range uint16(40) {
		h.udp(ep(ipv4.Any, 1000+i))
	}
	for range 8 {
		for i := range uint16(40) {
			h.recv(udpPacket(ep(a0(2), 7), ep(a0(1), 1000+i), strings.Repeat("x", 500)))
		}
	}
	if used := h.s.Usage().Memory; used > 64<<10 || h.s.Drops[ipv4.DropMemory] == 0 {
		t.Errorf("%d bytes, %d dropped", used, h.s.Drops[ipv4.DropMemory])
	}
	h.seen = h.s.Drops
}

// What nobody reads of UDP is not at the expense of what the window of a connection has promised,
// nor, from however many sockets, of a connection that holds nothing.
func TestUDPLeavesMemoryToTCP(t *testing.T) {
	for name, x := range map[string]struct {
		sockets int
		rcvBuf  uint32
	}{
		"one socket":   {1, 12 * pkt.ChunkSize},
		"many sockets": {80, 1000},
	} {
		h := newHostMTU(t, 1, 1500, Config{Memory: 64 * pkt.ChunkSize, RcvBuf: max(x.rcvBuf, minRcvBuf)})
		c, p := h.open(ep(a0(2), 80), []byte{2, 4, 5, 180})
		window := int(min(x.rcvBuf, 65535, h.s.cfg.RcvBuf))
		for i := range x.sockets {
			u := h.udp(ep(ipv4.Any, 1000+uint16(i)))
			u.RcvBuf = 1 << 20
		}
		datagram := strings.Repeat("x", 500)
		for range 64 * pkt.ChunkSize / 500 / x.sockets * 2 {
			for i := range x.sockets {
				h.recv(udpPacket(ep(a0(2), 7), ep(a0(1), 1000+uint16(i)), datagram))
			}
		}
		if h.s.Drops[ipv4.DropMemory] == 0 {
			t.Errorf("%s: memory is not short", name)
		}
		h.seen = h.s.Drops
		for n := 0; n+500 <= window; n += 500 {
			h.recv(p.seg(tcp.ACK, nil, strings.Repeat("y", 500)))
			p.seq += 500
			h.sent = nil
		}
		if n := c.Buffered(); n < window/500*500 {
			t.Errorf("%s: of a window of %d, %d octets have room", name, window, n)
		}
		h.seen = h.s.Drops
	}
}

func TestUDPTruncates(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	p := udpPacket(ep(a0(2), 7), ep(a0(1), 1000), "0123456789")
	p.tos, p.ttl = 0x20, 33
	h.recv(p, p)
	var m udp.Meta
	var b [4]byte
	if n, e := u.RecvFrom(b[:], &m); n != 4 || e != 0 || m.Len != 10 || string(b[:]) != "0123" ||
		m.TTL != 33 || m.TOS != 0x20 || m.Dst != a0(1) || m.Ifindex != eth0 {
		t.Errorf("%d, %v, %+v", n, e, m)
	}
	if v, _ := u.Option(SOL_SOCKET, SIOCINQ); v != 10 {
		t.Errorf("SIOCINQ %d", v)
	}
	h.got(u, "198.18.0.2:7 0123456789")
	h.recv(udpPacket(ep(a0(2), 7), ep(a0(1), 1000), ""))
	h.got(u, "198.18.0.2:7 ")
	h.got(u, "")
}

// join connects two hosts by a wire in virtual time.
func join(a, b *host, lose func(f []byte) bool) {
	for range 100 {
		sa, sb := a.sent, b.sent
		a.sent, b.sent = nil, nil
		if len(sa)+len(sb) == 0 {
			return
		}
		for _, x := range sa {
			if lose == nil || !lose(x.f) {
				b.recvOn(eth0, x.f)
			}
		}
		for _, x := range sb {
			if lose == nil || !lose(x.f) {
				a.recvOn(eth0, x.f)
			}
		}
	}
	a.Fatal("they don't stop talking")
}

// newOther is a host at 198.18.0.5, station m5, that knows nobody and shares a link
// with a newHost's.
func newOther(t *testing.T) *host {
	h := newHost(t, 1)
	h.ioctl(SIOCSIFADDR, &Ifreq{Name: "eth0", Addr: SockaddrIn(a0(5))})
	r := &Ifreq{Name: "eth0"}
	r.Addr.Family = netif.ARPHRD_ETHER
	m := mac(5)
	copy(r.Addr.Data[:], m[:])
	h.ioctl(SIOCSIFHWADDR, r)
	return h
}

func TestUDPBetweenTwoStacks(t *testing.T) {
	a, b := newHost(t, 1), newOther(t)
	u, v := a.udp(ep(ipv4.Any, 1000)), b.udp(ep(ipv4.Any, 2000))
	sizes := []int{0, 1, 1472}
	if feature.Reassembly && feature.Fragmentation {
		sizes = append(sizes, 1473, 3000, 20000)
	}
	for _, n := range sizes {
		data := strings.Repeat(fmt.Sprint(n), n)[:n]
		a.sendTo(u, data, ep(a0(5), 2000), 0)
		join(a, b, nil)
		b.got(v, "198.18.0.1:1000 "+data)
		b.sendTo(v, data, ep(a0(1), 1000), 0)
		join(a, b, nil)
		a.got(u, "198.18.0.5:2000 "+data)
	}
	// To a closed port: refused.
	u.Connect(a.now, ep(a0(5), 9))
	a.sendTo(u, "x", ipv4.Endpoint{}, 0)
	join(a, b, nil)
	a.sendTo(u, "x", ipv4.Endpoint{}, errno.ECONNREFUSED)
	b.drops(ipv4.DropUDPPort, 1)
}

// sink is a device that takes everything.
type sink struct{ idleDevice }

func (*sink) Send([]*netif.Buf) error { return nil }

func TestUDPAllocatesNothing(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	h.noCheck = true
	h.s.ifaces[eth0-1].Dev = &sink{idleDevice{mtu: 1500, hw: mac(1)}}
	in := []*netif.Buf{netif.NewBuf(1514)}
	in[0].CopyFrom(frame(mac(1), mac(2), 0x0800, udpPacket(ep(a0(2), 7), ep(a0(1), 1000), "data").bytes()))
	var p [100]byte
	var m udp.Meta
	run := func(name string, f func()) {
		t.Helper()
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	run("receive", func() {
		h.s.Input(h.now, eth0, in)
		if n, e := u.RecvFrom(p[:], &m); n != 4 || e != 0 {
			t.Fatal(n, e)
		}
	})
	run("send", func() { u.SendTo(h.now, p[:], ep(a0(2), 7)); h.s.Poll(h.now) })
	in[0].CopyFrom(frame(mac(1), mac(2), 0x0800, echo(a0(2), a0(1), "data").bytes()))
	run("answer echo", func() { h.s.Input(h.now, eth0, in); h.s.Poll(h.now) })
	v := h.udp(ep(ipv4.Any, 1001))
	run("to ourselves", func() {
		u.SendTo(h.now, p[:], ep(a0(1), 1001))
		h.s.Poll(h.now)
		if n, e := v.RecvFrom(p[:], &m); n != 100 || e != 0 {
			t.Fatal(n, e)
		}
	})
	if feature.Fragmentation && poolKeep >= batch {
		big := make([]byte, 30000)
		run("send in fragments", func() { u.SendTo(h.now, big, ep(a0(2), 7)); h.s.Poll(h.now) })
	}
	if n := h.s.Usage().Frames; n > poolKeep {
		t.Errorf("%d buffers are kept", n)
	}
}

func TestUDPDeviceThatRefuses(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	h.fail = true
	h.sendTo(u, "x", ep(a0(2), 7), 0)
	h.sent = nil
	h.drops(ipv4.DropDevice, 1)
	if h.s.ifaces[eth0-1].Stats.TxErrors != 1 {
		t.Error("not counted")
	}
}

func TestUDPInterfaceDownAndUp(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	u.Connect(h.now, ep(a0(2), 7))
	v := h.udp(ep(ipv4.Any, 1001))
	h.flags("eth0", false)
	h.sendTo(u, "x", ipv4.Endpoint{}, errno.ENETUNREACH)
	h.sendTo(v, "x", ep(a0(2), 7), errno.ENETUNREACH)
	v.SetOption(SOL_SOCKET, SO_BINDTODEVICE, eth0)
	h.sendTo(v, "x", ep(a0(2), 7), errno.ENETUNREACH)
	h.flags("eth0", true)
	h.sendTo(u, "x", ipv4.Endpoint{}, 0)
	h.want("all arp who-has 198.18.0.2 tell 198.18.0.1")
	h.recvARP(2, mac(2), a0(2), a0(1))
	h.want(`m2 198.18.0.1:1000 > 198.18.0.2:7 udp "x"`)
	h.sendTo(v, "x", ep(a0(2), 7), 0)
	h.want(`m2 198.18.0.1:1001 > 198.18.0.2:7 udp "x"`)
	_ = pkt.Second
}

func TestUDPShutdownAsKernel(t *testing.T) {
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	if e := u.Shutdown(2); e != errno.ENOTCONN {
		t.Error(e)
	}
	u.Connect(h.now, ep(a0(2), 7))
	if e := u.Shutdown(3); e != errno.EINVAL {
		t.Error(e)
	}
	h.recv(udpPacket(ep(a0(2), 7), ep(a0(1), 1000), "early"))
	h.events(u)
	if e := u.Shutdown(0); e != 0 || h.events(u)&tcpReadWrite == 0 {
		t.Error(e)
	}
	h.recv(udpPacket(ep(a0(2), 7), ep(a0(1), 1000), "late"))
	h.drops(ipv4.DropUDPBufferFull, 1)
	h.got(u, "198.18.0.2:7 early")
	if n, e := u.RecvFrom(make([]byte, 10), new(udp.Meta)); n != 0 || e != 0 {
		t.Errorf("%d, %v", n, e)
	}
	h.sendTo(u, "x", ipv4.Endpoint{}, 0)
	h.want(`m2 198.18.0.1:1000 > 198.18.0.2:7 udp "x"`)
	u.Shutdown(1)
	h.sendTo(u, "x", ipv4.Endpoint{}, errno.EPIPE)
}
