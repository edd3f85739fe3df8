package stack

import (
	"slices"
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
)

// lonely returns a stack at 198.18.0.1/24 whose frames nobody answers.
func lonely(t *testing.T, cfg Config) *pair {
	p := newPair(t, cfg, 1500, 0)
	p.w[0].lose = func([]byte) bool { return true }
	return p
}

func (p *pair) newConn(i int) *Conn {
	c := new(Conn)
	c.Init(p.s[i])
	return c
}

// run lets d pass, or less if done says so.
func (p *pair) run(d pkt.Time, done func() bool) {
	for limit := p.now + d; (done == nil || !done()) && p.step(limit); {
	}
}

// listen makes stack i listen.
func (p *pair) listen(i int, local ipv4.Endpoint, backlog int) *Listener {
	p.t.Helper()
	if !feature.Listen {
		p.t.Skip("needs feature listen")
	}
	l := new(Listener)
	l.New = func() *Conn { return p.newConn(i) }
	if err := p.s[i].Listen(l, local, backlog); err != nil {
		p.t.Fatal(err)
	}
	return l
}

func TestC56LocalAddressByRouteOrByTheCaller(t *testing.T) {
	h := newHost(t, 2)
	for _, c := range []struct {
		local, remote ipv4.Endpoint
		want          ipv4.Addr
		err           error
	}{
		{ep(ipv4.Any, 0), ep(a0(2), 80), a0(1), nil},
		{ep(ipv4.Any, 0), ep(a1(2), 80), a1(1), nil},
		{ep(a0(1), 0), ep(a1(2), 80), a0(1), nil}, // weak end system: ours, on whatever interface
		{ep(a0(1), 5000), ep(a0(2), 80), a0(1), nil},
		{ep(a0(9), 0), ep(a0(2), 80), ipv4.Any, errno.EADDRNOTAVAIL},
		{ep(a0(1), 5000), ep(a0(2), 80), ipv4.Any, errno.EADDRINUSE}, // the pair exists
		{ep(ipv4.Any, 0), ep(far, 80), ipv4.Any, errno.ENETUNREACH},
		{ep(ipv4.Any, 0), ep(a0(2), 0), ipv4.Any, errno.EADDRNOTAVAIL},
	} {
		x := new(Conn)
		x.Init(h.s)
		err := h.s.Connect(h.now, x, c.local, c.remote)
		if err != c.err || err == nil && x.Local().Addr != c.want {
			t.Errorf("from %v to %v: %v, %v", c.local, c.remote, x.Local(), err)
		}
		h.poll()
		if err == nil {
			if src := ipv4.AddrAt(h.sent[0].f[26:30]); src != c.want {
				t.Errorf("from %v to %v: the SYN comes from %v", c.local, c.remote, src)
			}
			if err := h.s.Connect(h.now, x, c.local, c.remote); err != errno.EISCONN {
				t.Errorf("again: %v", err)
			}
		}
		h.sent = nil
	}
}

func TestC56LocalAddressIsFixedForTheConnection(t *testing.T) {
	p := newPair(t, Config{}, 1500, pkt.Millisecond)
	a, b := p.connect(80)
	local := a.Local()
	p.s[0].Ioctl(SIOCSIFADDR, &Ifreq{Name: "eth0", Addr: SockaddrIn(ipv4.AddrOf(198, 18, 0, 77))})
	if a.Local() != local || b.Remote() != local {
		t.Errorf("%v -> %v", local, a.Local())
	}
}

func TestC58EphemeralPorts(t *testing.T) {
	p := lonely(t, Config{PortMin: 50000, PortMax: 50099, MaxConns: 1000})
	remote := ep(ipv4.AddrOf(198, 18, 0, 2), 80)
	var ports []uint16
	for range 100 {
		c := p.newConn(0)
		if err := p.s[0].Connect(p.now, c, ipv4.Endpoint{}, remote); err != nil {
			t.Fatalf("after %d: %v", len(ports), err)
		}
		ports = append(ports, c.Local().Port)
	}
	if err := p.s[0].Connect(p.now, p.newConn(0), ipv4.Endpoint{}, remote); err != errno.EADDRNOTAVAIL {
		t.Errorf("the 101st of 100: %v", err)
	}
	// Another destination has all of them again.
	if err := p.s[0].Connect(p.now, p.newConn(0), ipv4.Endpoint{}, ep(ipv4.AddrOf(198, 18, 0, 2), 81)); err != nil {
		t.Error(err)
	}
	if slices.IsSorted(ports) {
		t.Error("in sequence")
	}
	slices.Sort(ports)
	if len(slices.Compact(ports)) != 100 || ports[0] < 50000 || ports[99] > 50099 {
		t.Errorf("%v", ports)
	}
}

func TestC58PortsDifferByDestinationAndSecret(t *testing.T) {
	first := map[uint16]bool{}
	for seed := range 50 {
		p := lonely(t, Config{})
		p.s[0] = New(Config{Seed: uint64(seed + 100)})
		up(t, p.s[0], p.w[0], ipv4.AddrOf(198, 18, 0, 1))
		c := p.newConn(0)
		if err := p.s[0].Connect(p.now, c, ipv4.Endpoint{}, ep(ipv4.AddrOf(198, 18, 0, 2), 80)); err != nil {
			t.Fatal(err)
		}
		if port := c.Local().Port; port < 49152 {
			t.Errorf("port %d", port)
		}
		first[c.Local().Port] = true
	}
	if len(first) < 45 {
		t.Errorf("%d different first ports of 50", len(first))
	}
}

func TestC58ListenersPortIsNotTaken(t *testing.T) {
	p := newPair(t, Config{PortMin: 50000, PortMax: 50001}, 1500, pkt.Millisecond)
	p.listen(0, ep(ipv4.Any, 50000), 1)
	c := p.newConn(0)
	if err := p.s[0].Connect(p.now, c, ipv4.Endpoint{}, ep(ipv4.AddrOf(198, 18, 0, 2), 80)); err != nil || c.Local().Port != 50001 {
		t.Errorf("%v, %v", c.Local(), err)
	}
}

// resolve makes stack 0 know stack 1's hardware address: in minimal, only one packet waits
// for it.
func (p *pair) resolve() {
	p.t.Helper()
	c := p.newConn(0)
	if err := p.s[0].Connect(p.now, c, ipv4.Endpoint{}, ep(ipv4.AddrOf(198, 18, 0, 2), 9)); err != nil {
		p.t.Fatal(err)
	}
	p.run(100*pkt.Millisecond, nil)
}

func TestC53BacklogIsBounded(t *testing.T) {
	p := newPair(t, Config{}, 1500, pkt.Millisecond)
	l := p.listen(1, ep(ipv4.Any, 80), 2)
	p.resolve()
	var cs []*Conn
	for range 5 {
		c := p.newConn(0)
		if err := p.s[0].Connect(p.now, c, ipv4.Endpoint{}, ep(ipv4.AddrOf(198, 18, 0, 2), 80)); err != nil {
			t.Fatal(err)
		}
		cs = append(cs, c)
	}
	p.run(500*pkt.Millisecond, nil)
	open := 0
	for _, c := range cs {
		if c.State() == tcp.Established {
			open++
		}
	}
	want, most := 2, 2      // as many may be half open at once
	if feature.SynCookies { // they learn only when they send that there was no room
		want, most = 5, 5
	}
	if open != want || p.s[1].tcp.n > most || len(l.queue) > 3 {
		t.Errorf("%d open, %d connections at the listener, with a backlog of 2", open, p.s[1].tcp.n)
	}
	for _, c := range cs {
		c.Write([]byte("x"))
	}
	for n := 0; n < 5; { // the others come in as there is room: their SYNs are sent again
		before := p.now
		if x := l.Accept(); x != nil {
			n++
			continue
		}
		if p.run(pkt.Second, nil); p.now > 200*pkt.Second || before == p.now {
			t.Fatalf("only %d of 5", n)
		}
	}
}

// As in Linux, one more than the backlog may wait for Accept, none less than that even with a
// backlog of 0; and one below 0 is as large as any.
func TestC53AcceptQueueIsOfTheBacklogAndOne(t *testing.T) {
	for backlog, want := range map[int]int{0: 1, 1: 2, 4: 5, -1: 8} {
		p := newPair(t, Config{}, 1500, pkt.Millisecond)
		l := p.listen(1, ep(ipv4.Any, 80), backlog)
		p.resolve()
		for range 8 {
			c := p.newConn(0)
			if err := p.s[0].Connect(p.now, c, ipv4.Endpoint{}, ep(ipv4.AddrOf(198, 18, 0, 2), 80)); err != nil {
				t.Fatal(err)
			}
			c.Write([]byte("x"))
			p.run(100*pkt.Millisecond, nil)
		}
		if p.run(10*pkt.Second, nil); len(l.queue) != want {
			t.Errorf("with a backlog of %d, %d wait for Accept, want %d", backlog, len(l.queue), want)
		}
		for n := 0; n < min(want+1, 8); { // the others come in when there is room
			if l.Accept() != nil {
				n++
			} else if p.run(pkt.Second, nil); p.now > 300*pkt.Second {
				t.Fatalf("backlog %d: only %d", backlog, n)
			}
		}
	}
}

// Handshakes that go on at once all count, and listen(2) may change the bound at any time.
func TestC53AcceptQueueIsBoundedWhateverIsHalfOpen(t *testing.T) {
	p := newPair(t, Config{}, 1500, 100*pkt.Millisecond)
	l := p.listen(1, ep(ipv4.Any, 80), 4)
	p.resolve()
	dial := func(n int) {
		for range n {
			c := p.newConn(0)
			if err := p.s[0].Connect(p.now, c, ipv4.Endpoint{}, ep(ipv4.AddrOf(198, 18, 0, 2), 80)); err != nil {
				t.Fatal(err)
			}
			c.Write([]byte("x"))
		}
	}
	dial(3)
	p.run(290*pkt.Millisecond, nil) // half open: the last ACKs are on their way
	dial(3)
	p.run(5*pkt.Second, nil)
	if len(l.queue) != 5 || l.half > 4 {
		t.Errorf("%d wait and %d are half open, with a backlog of 4", len(l.queue), l.half)
	}
	if err := p.s[1].Listen(l, l.Local(), 1); err != nil || l.backlog != 1 {
		t.Errorf("listen again: %v, a backlog of %d", err, l.backlog)
	}
	if err := p.s[1].Listen(l, ep(ipv4.Any, 81), 1); err != errno.EINVAL {
		t.Errorf("listen again elsewhere: %v", err)
	}
	for n := 0; n < 5; n++ {
		if l.Accept() == nil {
			t.Fatal("nothing to accept")
		}
	}
	for n := 0; n < 1; { // and the last one comes in when it tries again
		if l.Accept() != nil {
			n++
		} else if p.run(pkt.Second, nil); p.now > 300*pkt.Second {
			t.Fatal("the last one does not")
		}
	}
	l.Close(p.now)
	if err := p.s[1].Listen(l, ep(ipv4.Any, 81), 2); err != nil || l.half != 0 {
		t.Errorf("a new life: %v, %d half open", err, l.half)
	}
}

// A connection that the stack still holds may be given a new life: what it was ends.
func TestInitOfAConnectionInUse(t *testing.T) {
	for name, before := range map[string]func(p *pair, c *Conn){
		"nothing":    func(p *pair, c *Conn) {},
		"to be sent": func(p *pair, c *Conn) { c.Write([]byte("x")) },
		"has news":   func(p *pair, c *Conn) { p.s[0].notify(&c.Sock, tcp.Readable) },
		"closed":     func(p *pair, c *Conn) { c.Close(p.now) },
		"reset":      func(p *pair, c *Conn) { c.Abort() },
		"being opened": func(p *pair, c *Conn) {
			c.Init(p.s[0])
			p.s[0].Connect(p.now, c, ipv4.Endpoint{}, ep(ipv4.AddrOf(198, 18, 0, 2), 81))
		},
	} {
		p := newPair(t, Config{}, 1500, pkt.Millisecond)
		first, firstPeer := p.connect(80)
		c, peer := p.connect(80)
		last, lastPeer := p.connect(80)
		p.run(pkt.Second, nil)
		for k, _ := p.s[0].Ready(); k != nil; k, _ = p.s[0].Ready() {
		}
		first.Write([]byte("a"))
		p.s[0].notify(&first.Sock, tcp.Readable)
		if before(p, c); name == "being opened" {
			peer = nil
		}
		last.Write([]byte("b"))
		p.s[0].notify(&last.Sock, tcp.Readable)
		c.Init(p.s[0])
		if k, _ := p.s[0].Ready(); k != &first.Sock {
			t.Errorf("%s: first is not heard of", name)
		}
		if k, _ := p.s[0].Ready(); k != &last.Sock {
			t.Errorf("%s: last is not heard of", name)
		}
		if k, e := p.s[0].Ready(); k != nil {
			t.Errorf("%s: %#x of nobody", name, e)
		}
		p.run(pkt.Second, nil)
		if firstPeer.Buffered() != 1 || lastPeer.Buffered() != 1 {
			t.Errorf("%s: what the others wrote was not sent", name)
		}
		if peer != nil && (peer.State() != tcp.Closed || p.s[0].tcp.n != 2) {
			t.Errorf("%s: the peer is in %s, %d connections", name, peer.State(), p.s[0].tcp.n)
		}
		l := p.listen(1, ep(ipv4.Any, 82), 1)
		if err := p.s[0].Connect(p.now, c, ipv4.Endpoint{}, ep(ipv4.AddrOf(198, 18, 0, 2), 82)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		p.run(pkt.Second, nil)
		if c.State() != tcp.Established || l.Accept() == nil {
			t.Errorf("%s: the new connection is in %s", name, c.State())
		}
	}
}

func TestC53OneListenerDoesNotDisturbAnother(t *testing.T) {
	p := newPair(t, Config{}, 1500, pkt.Millisecond)
	a := p.listen(1, ep(ipv4.AddrOf(198, 18, 0, 2), 80), 5)
	other := p.listen(1, ep(ipv4.AddrOf(127, 0, 0, 1), 80), 5) // same port, another address
	b := p.listen(1, ep(ipv4.Any, 81), 5)
	for _, e := range []ipv4.Endpoint{ep(ipv4.Any, 80), ep(ipv4.AddrOf(198, 18, 0, 2), 80), ep(ipv4.AddrOf(198, 18, 0, 2), 81), ep(ipv4.Any, 81)} {
		if err := p.s[1].Listen(new(Listener), e, 1); err != errno.EADDRINUSE {
			t.Errorf("a second one on %v: %v", e, err)
		}
	}
	if err := p.s[1].Listen(new(Listener), ep(ipv4.AddrOf(198, 18, 0, 99), 90), 1); err != errno.EADDRNOTAVAIL {
		t.Errorf("on an address that is not ours: %v", err)
	}
	connect := func(port uint16) *Conn {
		c := p.newConn(0)
		if err := p.s[0].Connect(p.now, c, ipv4.Endpoint{}, ep(ipv4.AddrOf(198, 18, 0, 2), port)); err != nil {
			t.Fatal(err)
		}
		p.run(100*pkt.Millisecond, nil)
		return c
	}
	c80, c81 := connect(80), connect(81)
	accepted := b.Accept()
	if accepted == nil || other.Accept() != nil {
		t.Fatal("the wrong listener has it")
	}
	a.Close(p.now) // resets what nobody has accepted, and nothing else
	p.run(100*pkt.Millisecond, nil)
	if c80.State() != tcp.Closed || c81.State() != tcp.Established || accepted.State() != tcp.Established {
		t.Errorf("%s, %s, %s", c80.State(), c81.State(), accepted.State())
	}
	if c := connect(81); c.State() != tcp.Established {
		t.Errorf("%s", c.State())
	}
	if c := connect(80); c.State() != tcp.Closed || c.Err() != errno.ECONNREFUSED {
		t.Errorf("%s", c.State())
	}
}

func TestC60ClosedPortRefuses(t *testing.T) {
	p := newPair(t, Config{}, 1500, pkt.Millisecond)
	c := p.newConn(0)
	if err := p.s[0].Connect(p.now, c, ipv4.Endpoint{}, ep(ipv4.AddrOf(198, 18, 0, 2), 9)); err != nil {
		t.Fatal(err)
	}
	p.run(pkt.Second, func() bool { return c.State() == tcp.Closed })
	if e := c.Err(); e != errno.ECONNREFUSED || p.now > 1100*pkt.Millisecond {
		t.Errorf("%v after %d ms", e, p.now/pkt.Millisecond)
	}
}

func TestC77OrphansAreBounded(t *testing.T) {
	p := newPair(t, Config{MaxConns: 16, MaxOrphans: 3}, 1500, pkt.Millisecond)
	l := p.listen(1, ep(ipv4.Any, 80), 16)
	p.resolve()
	var cs []*Conn
	for range 6 {
		c := p.newConn(0)
		if err := p.s[0].Connect(p.now, c, ipv4.Endpoint{}, ep(ipv4.AddrOf(198, 18, 0, 2), 80)); err != nil {
			t.Fatal(err)
		}
		cs = append(cs, c)
	}
	p.run(pkt.Second, nil)
	for _, c := range cs {
		c.Close(p.now)
	}
	p.run(pkt.Second, nil)
	if n := p.s[0].tcp.orphans; n != 3 {
		t.Errorf("%d orphans", n)
	}
	reset := 0
	for c := l.Accept(); c != nil; c = l.Accept() {
		if c.State() == tcp.Closed {
			reset++
		}
	}
	if reset != 3 {
		t.Errorf("%d reset", reset)
	}
	p.run(100*pkt.Second, nil) // FIN-WAIT-2 ends
	if p.s[0].tcp.orphans != 0 || p.s[0].tcp.n != 0 {
		t.Errorf("%d orphans, %d connections left", p.s[0].tcp.orphans, p.s[0].tcp.n)
	}
}

func TestC75TimeWaitLasts60s(t *testing.T) {
	p := newPair(t, Config{}, 1500, pkt.Millisecond)
	a, b := p.connect(80)
	a.Close(p.now)
	p.run(pkt.Second, nil)
	b.Close(p.now)
	p.run(10*pkt.Millisecond, func() bool { return p.s[0].tcp.twN == 1 })
	begin := p.now
	p.run(59*pkt.Second, nil)
	if p.s[0].tcp.twN != 1 {
		t.Fatal("gone early")
	}
	p.run(2*pkt.Second, nil)
	if p.s[0].tcp.twN != 0 {
		t.Errorf("still there after %d s", (p.now-begin)/pkt.Second)
	}
}

func TestConnectToItself(t *testing.T) {
	// Simultaneous open with oneself, as Linux has it.
	p := newPair(t, Config{}, 1500, pkt.Millisecond)
	c := p.newConn(0)
	me := ep(ipv4.AddrOf(198, 18, 0, 1), 5555)
	if err := p.s[0].Connect(p.now, c, me, me); err != nil {
		t.Fatal(err)
	}
	p.run(pkt.Second, func() bool { return c.State() == tcp.Established })
	if c.State() != tcp.Established {
		t.Fatal(c.State())
	}
	c.Write([]byte("hello"))
	p.run(pkt.Second, func() bool { return c.Buffered() == 5 })
	var buf [10]byte
	if n, e := c.Read(buf[:]); string(buf[:n]) != "hello" || e != 0 {
		t.Fatalf("%q, %v", buf[:n], e)
	}
	c.Close(p.now)
	p.run(200*pkt.Second, nil)
	if p.s[0].tcp.n != 0 || p.s[0].mem.Used() != 0 {
		t.Errorf("%s: %d connections, %d bytes left", c.State(), p.s[0].tcp.n, p.s[0].mem.Used())
	}
}

// RFC 1122 section 2.3.2.1: what TCP hears from beyond spares the neighbour the question.
func TestC04ForwardProgressSparesARP(t *testing.T) {
	for _, progress := range []bool{true, false} {
		h := newHost(t, 1)
		n := h.s.ifaces[1].Neigh.Find(a0(2))
		c, p := h.open(ep(a0(2), 80), []byte{2, 4, 5, 180})
		n.State = netif.StateStale
		c.Write([]byte("abc"))
		h.poll()
		h.sent = nil
		if n.State != netif.StateDelay {
			t.Fatalf("state %#x", n.State)
		}
		if progress {
			p.ack += 3
		}
		h.recv(p.seg(tcp.ACK, nil, "")) // else it only shows that we hear them
		if got := n.State == netif.StateReachable; got != progress {
			t.Errorf("progress %v: state %#x", progress, n.State)
		}
		h.sent = nil
		h.advance(6 * pkt.Second)
		asked := false
		for _, f := range h.sent {
			asked = asked || strings.Contains(h.text(f), "arp who-has")
		}
		if h.sent = nil; asked == progress {
			t.Errorf("progress %v: asked %v", progress, asked)
		}
		c.Abort()
		h.poll()
		h.sent = nil
		h.seen = h.s.Drops
	}
}

// A device that receives no more takes its interface down, and everybody learns.
func TestDeviceGone(t *testing.T) {
	h := newHost(t, 2)
	c, _ := h.open(ep(a0(2), 80), []byte{2, 4, 5, 180})
	other := h.dial(ep(a1(2), 80))
	opening := h.dial(ep(a0(3), 80))
	u := h.udp(ep(ipv4.Any, 1000))
	h.sent = nil
	h.s.DeviceGone(h.now, eth0)
	h.poll()
	if e := opening.Err(); e != errno.ENETDOWN || opening.State() != tcp.Closed {
		t.Errorf("a connection that is being opened: %v, %s", e, opening.State())
	}
	if e := c.SoftErr(); e != errno.ENETDOWN || c.State() != tcp.Established {
		t.Errorf("an open one: %v, %s", e, c.State())
	}
	if other.SoftErr() != 0 {
		t.Errorf("one elsewhere: %v", other.SoftErr())
	}
	h.sendTo(u, "x", ep(a0(2), 7), errno.ENETUNREACH)
	if err := h.s.Connect(h.now, func() *Conn { c := new(Conn); c.Init(h.s); return c }(), ipv4.Endpoint{}, ep(a0(2), 80)); err != errno.ENETUNREACH {
		t.Errorf("a new one: %v", err)
	}
	r := &Ifreq{Name: "eth0"}
	h.ioctl(SIOCGIFFLAGS, r)
	if r.Flags&(netif.IFF_UP|netif.IFF_RUNNING) != 0 || h.s.ifaces[1].Stats.RxErrors != 1 {
		t.Errorf("flags %#x, %d errors", r.Flags, h.s.ifaces[1].Stats.RxErrors)
	}
	h.flags("eth0", true)
	h.ioctl(SIOCGIFFLAGS, r)
	if r.Flags&netif.IFF_UP == 0 || r.Flags&netif.IFF_RUNNING != 0 {
		t.Errorf("flags %#x", r.Flags)
	}
}
