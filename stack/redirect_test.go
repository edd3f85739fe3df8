package stack

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
)

// redirect is what router from says of the packet in quote: better go by gw.
func redirect(from, gw ipv4.Addr, code byte, quote []byte) packet {
	return icmpPacket(from, a0(1), 5, code, uint32(gw), quote)
}

func TestC23RedirectFromTheCurrentGateway(t *testing.T) {
	h := newHost(t, 2)
	h.defaultRoute() // by station 4
	u := h.udp(ep(ipv4.Any, 1000))
	send := func(want string) []byte {
		t.Helper()
		h.sendTo(u, "x", ep(far, 7), 0)
		if len(h.sent) == 0 {
			t.Fatal("nothing was sent")
		}
		p := h.sent[0].f[14:]
		h.want(want + ` 198.18.0.1:1000 > 198.19.5.5:7 udp "x"`)
		return p
	}
	sent := send("m4")
	if !feature.Redirect {
		h.recv(redirect(a0(4), a0(3), 1, quote(sent)))
		h.drops(ipv4.DropICMPType, 1)
		send("m4")
		return
	}
	foreign := append([]byte(nil), quote(sent)...)
	foreign[15] = 77 // not our address
	direct := append([]byte(nil), quote(sent)...)
	copy(direct[16:], []byte{198, 18, 0, 2}) // no gateway in between
	for name, p := range map[string]packet{
		"from another router":      redirect(a0(2), a0(3), 1, quote(sent)),
		"from far away":            redirect(far, a0(3), 1, quote(sent)),
		"to a gateway not on-link": redirect(a0(4), far, 1, quote(sent)),
		"to one on another link":   redirect(a0(4), a1(3), 1, quote(sent)),
		"to itself":                redirect(a0(4), a0(4), 1, quote(sent)),
		"to us":                    redirect(a0(4), a0(1), 1, quote(sent)),
		"to us on another link":    redirect(a0(4), a1(1), 1, quote(sent)),
		"to the broadcast address": redirect(a0(4), a0(255), 1, quote(sent)),
		"to all":                   redirect(a0(4), ipv4.Broadcast, 1, quote(sent)),
		"to a group":               redirect(a0(4), ipv4.AllHosts, 1, quote(sent)),
		"to nobody":                redirect(a0(4), ipv4.Any, 1, quote(sent)),
		"to 127.0.0.1":             redirect(a0(4), ipv4.Loopback, 1, quote(sent)),
		"with an unknown code":     redirect(a0(4), a0(3), 4, quote(sent)),
		"about a foreign packet":   redirect(a0(4), a0(3), 1, foreign),
		"about what is on-link":    redirect(a0(4), a0(3), 1, direct),
	} {
		h.recv(p)
		if h.s.Drops[ipv4.DropICMPRedirect] != h.seen[ipv4.DropICMPRedirect]+1 {
			t.Errorf("%s: not dropped", name)
		}
		h.seen = h.s.Drops
	}
	h.recv(redirect(a0(4), a0(3), 1, sent[:27]))
	h.drops(ipv4.DropICMPQuote, 1)
	// From the right router but by another link.
	h.recvOn(eth1, frame(mac(11), mac(14), 0x0800, redirect(a0(4), a0(3), 1, quote(sent)).bytes()))
	h.drops(ipv4.DropICMPRedirect, 1)
	send("m4")

	h.recv(redirect(a0(4), a0(3), 1, quote(sent)))
	send("m3")
	h.drops()
	h.sendTo(u, "x", ep(ipv4.AddrOf(198, 19, 5, 6), 7), 0) // that one destination only
	h.want(`m4 198.18.0.1:1000 > 198.19.5.6:7 udp "x"`)
	// The old gateway is no longer the current one; the new one is.
	h.recv(redirect(a0(4), a0(2), 1, quote(sent)))
	h.drops(ipv4.DropICMPRedirect, 1)
	send("m3")
	h.recv(redirect(a0(3), a0(2), 0, quote(sent))) // for a network: the same
	send("m2")
	if n := h.s.routes.Len(); n != 4 {
		t.Errorf("%d routes", n)
	}
	// A connection follows, too.
	c, p := h.open(ep(far, 80), nil)
	c.Write([]byte("1"))
	h.poll()
	h.want("m2 198.18.0.1:* > 198.19.5.5:80 tcp PA len 1")
	h.recv(redirect(a0(2), a0(3), 1, quote(sent)))
	p.ack++
	h.recv(p.seg(tcp.ACK, nil, ""))
	c.Write([]byte("2"))
	h.poll()
	h.want("m3 198.18.0.1:* > 198.19.5.5:80 tcp PA len 1")
	// With its interface the route goes.
	h.flags("eth0", false)
	if n := h.s.routes.Len(); n != 1 {
		t.Errorf("%d routes", n)
	}
	h.seen = h.s.Drops
}

func TestC23FloodOfRedirectsDoesNotFillTheTable(t *testing.T) {
	if !feature.Redirect {
		t.Skip("needs feature redirect")
	}
	h := newHost(t, 1)
	h.defaultRoute()
	u := h.udp(ep(ipv4.Any, 1000))
	for i := range uint32(20000) {
		to := ipv4.Addr(uint32(far) + i)
		p := udpPacket(ep(a0(1), 1000), ep(to, 7), "x").bytes()
		h.recv(redirect(a0(4), a0(3), 1, quote(p)))
		if i%1000 == 999 { // the latest always has room
			h.sendTo(u, "x", ep(to, 7), 0)
			h.want(`m3 198.18.0.1:1000 > ` + to.String() + `:7 udp "x"`)
		}
	}
	if n := h.s.routes.Len(); n > 8192 {
		t.Errorf("%d routes", n)
	}
	// The administrator's routes find room as well.
	h.route("198.19.77.0", 24, a0(2), "", 0, 0)
	h.sendTo(u, "x", ep(ipv4.AddrOf(198, 19, 77, 1), 7), 0)
	h.drops()
	h.sent = nil
}

func TestC23RedirectToADeadGatewayIsForgotten(t *testing.T) {
	if !feature.Redirect {
		t.Skip("needs feature redirect")
	}
	h := newHost(t, 1)
	h.defaultRoute()
	u := h.udp(ep(ipv4.Any, 1000))
	h.sendTo(u, "1", ep(far, 7), 0)
	h.recv(redirect(a0(4), a0(9), 1, quote(h.take())))
	h.sendTo(u, "2", ep(far, 7), 0)
	h.advance(4 * pkt.Second)
	h.want("all arp who-has 198.18.0.9 tell 198.18.0.1", "all arp who-has 198.18.0.9 tell 198.18.0.1", "all arp who-has 198.18.0.9 tell 198.18.0.1")
	h.sendTo(u, "3", ep(far, 7), 0)
	h.want(`m4 198.18.0.1:1000 > 198.19.5.5:7 udp "3"`)
	h.drops(ipv4.DropNeighbour, 1)
}

func TestC22RoutesByLongestPrefix(t *testing.T) {
	h := newHost(t, 2)
	h.defaultRoute()
	h.route("198.19.0.0", 16, a0(3), "", 0, 0)
	h.route("198.19.5.0", 24, a1(2), "", 0, 0)
	h.route("198.19.5.5", 32, a1(3), "", 0, 0)
	h.route("198.19.6.0", 24, a0(2), "", 0, 0x200) // reject
	u := h.udp(ep(ipv4.Any, 1000))
	for _, c := range []struct {
		to   ipv4.Addr
		want string
		e    errno.Errno
	}{
		{a0(2), "m2 198.18.0.1", 0},
		{a1(2), "eth1 m12 198.18.1.1", 0},
		{ipv4.AddrOf(1, 2, 3, 4), "m4 198.18.0.1", 0},
		{ipv4.AddrOf(198, 19, 9, 9), "m3 198.18.0.1", 0},
		{ipv4.AddrOf(198, 19, 5, 6), "eth1 m12 198.18.1.1", 0},
		{ipv4.AddrOf(198, 19, 5, 5), "eth1 m13 198.18.1.1", 0},
		{ipv4.AddrOf(198, 19, 6, 1), "", errno.EHOSTUNREACH},
	} {
		h.sendTo(u, "x", ep(c.to, 7), c.e)
		if c.e == 0 {
			h.want(c.want + ":1000 > " + c.to.String() + `:7 udp "x"`)
		}
		x := new(Conn)
		x.Init(h.s)
		if err := h.s.Connect(h.now, x, ipv4.Endpoint{}, ep(c.to, 80)); err != c.e.Err() {
			t.Errorf("connect to %v: %v", c.to, err)
		} else if err == nil {
			h.poll()
			h.want(c.want + ":* > " + c.to.String() + `:80 tcp S len 0`)
			x.Abort()
			h.poll()
		}
	}
	h.wantNothing()
}

func TestC22LeastMetricWins(t *testing.T) {
	h := newHost(t, 2)
	h.route("0.0.0.0", 0, a0(2), "", 11, 0)
	h.route("0.0.0.0", 0, a0(3), "", 6, 0)
	h.route("0.0.0.0", 0, a1(4), "", 21, 0)
	u := h.udp(ep(ipv4.Any, 1000))
	want := func(s string) {
		t.Helper()
		h.sendTo(u, "x", ep(far, 7), 0)
		h.want(s + `:1000 > 198.19.5.5:7 udp "x"`)
	}
	want("m3 198.18.0.1")
	h.ioctl(SIOCDELRT, h.rtentry("0.0.0.0", 0, a0(3), "", 0, 0))
	want("m2 198.18.0.1")
	h.flags("eth0", false)
	want("eth1 m14 198.18.1.1")
	h.flags("eth1", false)
	h.sendTo(u, "x", ep(far, 7), errno.ENETUNREACH)
	// Up again: the connected route comes back, those of the administrator do not.
	h.flags("eth1", true)
	h.sendTo(u, "x", ep(far, 7), errno.ENETUNREACH)
	h.sendTo(u, "x", ep(a1(9), 7), 0)
	h.want("eth1 all arp who-has 198.18.1.9 tell 198.18.1.1")
}

func TestC22BoundToDevice(t *testing.T) {
	h := newHost(t, 2)
	h.defaultRoute()
	u := h.udp(ep(ipv4.Any, 1000))
	if e := u.SetOption(SOL_SOCKET, SO_BINDTODEVICE, eth1); e != 0 {
		t.Fatal(e)
	}
	h.sendTo(u, "x", ep(a1(2), 7), 0)
	h.want(`eth1 m12 198.18.1.1:1000 > 198.18.1.2:7 udp "x"`)
	// Without a route there: on the link, as Linux has it.
	h.sendTo(u, "x", ep(far, 7), 0)
	h.want("eth1 all arp who-has 198.19.5.5 tell 198.18.1.1")
	h.route("0.0.0.0", 0, a1(3), "", 5, 0)
	h.sendTo(u, "x", ep(far, 7), 0)
	h.want(`eth1 m13 198.18.1.1:1000 > 198.19.5.5:7 udp "x"`)
	h.recv(udpPacket(ep(a0(2), 7), ep(a0(1), 1000), "x"))
	h.got(u, "")
	h.want("m2 198.18.0.1 > 198.18.0.2 icmp 3/3 00000000 len 29 tos=0xc0")
	h.drops(ipv4.DropUDPPort, 1)
	if e := u.SetOption(SOL_SOCKET, SO_BINDTODEVICE, 9); e != errno.ENODEV {
		t.Error(e)
	}
	u.SetOption(SOL_SOCKET, SO_BINDTODEVICE, 0)
	h.sendTo(u, "x", ep(far, 7), 0)
	h.want(`m4 198.18.0.1:1000 > 198.19.5.5:7 udp "x"`)
}

func TestC22SourceAddressSelection(t *testing.T) {
	h := newHost(t, 1)
	h.ioctl(SIOCSIFADDR, &Ifreq{Name: "eth0:1", Addr: SockaddrIn(ipv4.AddrOf(198, 18, 7, 1))})
	h.ioctl(SIOCSIFNETMASK, &Ifreq{Name: "eth0:1", Addr: SockaddrIn(ipv4.Mask(24))})
	h.station("eth0", ipv4.AddrOf(198, 18, 7, 2), mac(72))
	u := h.udp(ep(ipv4.Any, 1000))
	h.sendTo(u, "x", ep(a0(2), 7), 0)
	h.want(`m2 198.18.0.1:1000 > 198.18.0.2:7 udp "x"`)
	h.sendTo(u, "x", ep(ipv4.AddrOf(198, 18, 7, 2), 7), 0)
	h.want(`m72 198.18.7.1:1000 > 198.18.7.2:7 udp "x"`)
	// By a gateway: the address that shares its network.
	h.route("0.0.0.0", 0, ipv4.AddrOf(198, 18, 7, 2), "", 0, 0)
	h.sendTo(u, "x", ep(far, 7), 0)
	h.want(`m72 198.18.7.1:1000 > 198.19.5.5:7 udp "x"`)
	// Who has it is asked from the address of its network.
	h.sendTo(u, "x", ep(ipv4.AddrOf(198, 18, 7, 9), 7), 0)
	h.want("all arp who-has 198.18.7.9 tell 198.18.7.1")
}

func TestC22LinkWithoutAddressSendsFromAnother(t *testing.T) {
	h := newHost(t, 2)
	h.ioctl(SIOCSIFADDR, &Ifreq{Name: "eth1", Addr: SockaddrIn(ipv4.Any)})
	h.route("198.19.0.0", 16, ipv4.Any, "eth1", 0, 0)
	h.station("eth1", far, mac(50))
	u := h.udp(ep(ipv4.Any, 1000))
	h.sendTo(u, "x", ep(far, 7), 0)
	h.want(`eth1 m50 198.18.0.1:1000 > 198.19.5.5:7 udp "x"`)
	h.sendTo(u, "x", ep(ipv4.AddrOf(198, 19, 5, 6), 7), 0)
	h.want("eth1 all arp who-has 198.19.5.6 tell 198.18.0.1")
}

func TestC55ConnectRefusesWhatIsNoHost(t *testing.T) {
	h := newHost(t, 1)
	h.defaultRoute()
	for _, c := range []struct {
		to ipv4.Endpoint
		e  error
	}{
		{ep(a0(255), 80), errno.ENETUNREACH}, {ep(ipv4.Broadcast, 80), errno.ENETUNREACH}, {ep(ipv4.AllHosts, 80), errno.ENETUNREACH},
	} {
		x := new(Conn)
		x.Init(h.s)
		if err := h.s.Connect(h.now, x, ipv4.Endpoint{}, c.to); err != c.e {
			t.Errorf("connect to %v: %v, want %v", c.to, err, c.e)
		}
	}
	h.wantNothing()
	_ = netif.IFF_UP
}

func TestC23RedirectsExpire(t *testing.T) {
	if !feature.Redirect {
		t.Skip("needs feature redirect")
	}
	h := newHost(t, 1)
	h.defaultRoute()
	u := h.udp(ep(ipv4.Any, 1000))
	h.sendTo(u, "x", ep(far, 7), 0)
	h.recv(redirect(a0(4), a0(3), 1, quote(h.take())))
	h.advance(4 * pkt.Minute)
	h.sendTo(u, "x", ep(far, 7), 0)
	h.want(`m3 198.18.0.1:1000 > 198.19.5.5:7 udp "x"`)
	h.advance(61 * pkt.Second)
	if h.s.routes.Len() != 2 {
		t.Errorf("%d routes", h.s.routes.Len())
	}
	h.sendTo(u, "x", ep(far, 7), 0)
	h.want(`m4 198.18.0.1:1000 > 198.19.5.5:7 udp "x"`)
}
