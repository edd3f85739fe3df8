package bench

import (
	"errors"
	"fmt"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/tcp"
	"github.com/bonsainet/bonsai/udp"
)

// exchange is one end of a link that costs next to nothing: frames change hands for empty
// Bufs, and are there at once.
type exchange struct {
	mtu  int
	mac  netif.MAC
	peer *exchange
	in   []*netif.Buf // for this end
	free []*netif.Buf // this end's
	sent uint64
}

func (x *exchange) Send(bufs []*netif.Buf) error {
	x.sent += uint64(len(bufs))
	for i, b := range bufs {
		x.peer.in = append(x.peer.in, b)
		if n := len(x.free) - 1; n >= 0 {
			bufs[i], x.free = x.free[n], x.free[:n]
		} else {
			bufs[i] = netif.NewBuf(b.Cap())
		}
	}
	return nil
}

func (x *exchange) Recv([]*netif.Buf) (int, error) { return 0, errno.ENODEV } // nobody waits
func (x *exchange) MTU() int                       { return x.mtu }
func (x *exchange) HardwareAddr() netif.MAC        { return x.mac }
func (x *exchange) Close() error                   { return nil }

// Pair is two engines on one core with no link in between: what it costs is two stacks,
// copies and checksums included.
type Pair struct {
	now  pkt.Time
	S    [2]*stack.Stack
	x    [2]*exchange
	l    []*stack.Listener // at port 80 and those after it
	port uint16            // the next local one, for connections without a listener
}

// NewPair returns 198.18.0.1 and 198.18.0.2.
func NewPair(cfg stack.Config, mtu int) (*Pair, error) {
	p := &Pair{now: pkt.Second, port: 1024}
	for i := range p.x {
		p.x[i] = &exchange{mtu: mtu, mac: netif.MAC{2, 0, 0, 0, 0, byte(i + 1)}}
	}
	p.x[0].peer, p.x[1].peer = p.x[1], p.x[0]
	for i := range p.S {
		cfg.Seed = uint64(i + 1)
		s := stack.New(cfg)
		p.S[i] = s
		if _, err := s.AddInterface("eth0", p.x[i]); err != nil {
			return nil, err
		}
		r := stack.Ifreq{Name: "eth0", Addr: stack.SockaddrIn(address(i)), Flags: netif.IFF_UP | netif.IFF_RUNNING}
		for _, req := range []uint32{stack.SIOCSIFADDR, stack.SIOCSIFFLAGS} {
			if err := s.Ioctl(req, &r); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// address returns host i's.
func address(i int) ipv4.Addr { return ipv4.AddrOf(198, 18, 0, byte(i+1)) }

// step gives host i what has arrived and polls it.
func (p *Pair) step(i int) {
	s, x := p.S[i], p.x[i]
	if len(x.in) > 0 {
		s.Input(p.now, 2, x.in)
		x.peer.free = append(x.peer.free, x.in...)
		x.in = x.in[:0]
	}
	s.Poll(p.now)
	for k, _ := s.Ready(); k != nil; k, _ = s.Ready() {
	}
}

// quiet says whether no frame is under way.
func (p *Pair) quiet() bool { return len(p.x[0].in)+len(p.x[1].in) == 0 }

// Settle steps both hosts until nothing is under way.
func (p *Pair) Settle() {
	for {
		p.step(0)
		p.step(1)
		p.now += 10 * pkt.Microsecond
		if p.quiet() {
			return
		}
	}
}

// Sleep lets time pass for both.
func (p *Pair) Sleep(t pkt.Time) {
	for end := p.now + t; p.now < end; {
		next := end
		for i := range p.S {
			next = min(next, p.S[i].Poll(p.now))
		}
		p.Settle()
		p.now = max(p.now, next)
	}
}

// perListener is how many connections go to one port: there are 64,000 on the other side.
const perListener = 30_000

// Connect opens a connection from host 0 to host 1. Without feature listen, both open it
// at the same time (RFC 9293 section 3.5).
func (p *Pair) Connect() (a, b *stack.Conn, err error) {
	k := p.S[0].Usage().Conns / perListener
	remote := ipv4.Endpoint{Addr: address(1), Port: uint16(80 + k)}
	a = new(stack.Conn)
	a.Init(p.S[0])
	if feature.Listen {
		for len(p.l) <= k {
			l := &stack.Listener{New: func() *stack.Conn { c := new(stack.Conn); c.Init(p.S[1]); return c }}
			if err := p.S[1].Listen(l, ipv4.Endpoint{Port: uint16(80 + len(p.l))}, 1); err != nil {
				return nil, nil, err
			}
			p.l = append(p.l, l)
		}
		if err := p.S[0].Connect(p.now, a, ipv4.Endpoint{}, remote); err != nil {
			return nil, nil, err
		}
		p.Settle()
		b = p.l[k].Accept()
	} else {
		b = new(stack.Conn)
		b.Init(p.S[1])
		local := ipv4.Endpoint{Addr: address(0), Port: p.port}
		p.port = max(p.port+1, 1024)
		if err := errors.Join(p.S[0].Connect(p.now, a, local, remote), p.S[1].Connect(p.now, b, remote, local)); err != nil {
			return nil, nil, err
		}
		p.Settle()
	}
	if b == nil || a.State() != tcp.Established || b.State() != tcp.Established {
		return nil, nil, fmt.Errorf("no connection: %v", a.State())
	}
	return a, b, nil
}

// stream is one direction of a connection in a pair.
type stream struct {
	p        *Pair
	from     int // the host that sends
	src, dst *stack.Conn
	w, r     []byte
	idle     int // steps in which nothing arrived
}

func (p *Pair) stream(from int, src, dst *stack.Conn, size int) *stream {
	return &stream{p: p, from: from, src: src, dst: dst, w: make([]byte, size), r: make([]byte, Chunk)}
}

// errStall is for what should never happen.
var errStall = errors.New("nothing moves any more")

// send moves n bytes, in calls of len(w) and len(r) bytes.
func (m *stream) send(n int) error {
	for left, got := n, 0; got < n; {
		k, err := m.write(left)
		if err != nil {
			return err
		}
		left -= k
		m.p.step(m.from)
		m.p.step(1 - m.from)
		k, err = m.read()
		if err != nil {
			return err
		}
		got += k
		m.p.step(1 - m.from)
		if err := m.pace(k); err != nil {
			return err
		}
	}
	return nil
}

// pace lets time go on, further if nothing arrived: a delayed ACK, say.
func (m *stream) pace(got int) error {
	m.p.now += 10 * pkt.Microsecond
	if got > 0 || !m.p.quiet() {
		m.idle = 0
		return nil
	}
	if m.idle++; m.idle > 1000 {
		return errStall
	}
	m.p.Sleep(50 * pkt.Millisecond)
	return nil
}

// write queues up to n bytes.
func (m *stream) write(n int) (sent int, err error) {
	for sent < n {
		size := min(len(m.w), n-sent)
		k, e := m.src.Write(m.w[:size])
		sent += k
		if e == errno.EAGAIN || k < size {
			break
		}
		if e != 0 {
			return sent, e
		}
	}
	return sent, nil
}

// read takes all that has arrived.
func (m *stream) read() (got int, err error) {
	for {
		k, e := m.dst.Read(m.r)
		got += k
		if e == errno.EAGAIN {
			return got, nil
		}
		if e != 0 || k == 0 {
			return got, fmt.Errorf("read: %w", e)
		}
	}
}

// frames is a Case's.
func (p *Pair) frames() (near, far uint64) { return p.x[0].sent, p.x[1].sent }

// PairSubjects are bonsai without sockets.
func PairSubjects() []Subject {
	fixed := Subject{"pair", "bonsai", "two engines on one core, no sockets, no link; buffers of 256 KiB, or minimal's", func(work string, o Options) (*Case, error) {
		if feature.Profile > feature.Minimal {
			o.Buffers = 256 << 10
		}
		return openPair(work, o)
	}}
	if !feature.Autotune {
		return []Subject{fixed}
	}
	return []Subject{fixed, {"pair", "bonsai-grown", "the same, with buffers that grow as far as the profile lets them", func(work string, o Options) (*Case, error) {
		if work != "up" {
			return nil, ErrNotHere
		}
		return openPair(work, o)
	}}}
}

// config is what a stack of ours has besides the profile's defaults: room for the
// connections that the works open, and an end to those in TIME-WAIT, of which tens of
// thousands arise in a second.
func (o Options) config() stack.Config {
	c := stack.Config{
		MaxConns: o.conns() + 16, MaxTimeWait: 8192, PortMin: 1024, PortMax: 65535,
		RcvBuf: o.Buffers, SndBuf: o.Buffers, MaxRcvBuf: o.Buffers, MaxSndBuf: o.Buffers,
	}
	if feature.Profile == feature.Minimal {
		c.Memory = 1 << 20
	}
	return c
}

func openPair(work string, o Options) (*Case, error) {
	p, err := NewPair(o.config(), o.mtu())
	if err != nil {
		return nil, err
	}
	c, err := p.Open(work, o)
	if err != nil {
		return nil, err
	}
	c.Frames, c.Close = p.frames, func() {}
	return c, nil
}

// Open sets up a work on the pair.
func (p *Pair) Open(work string, o Options) (*Case, error) {
	switch work {
	case "udp":
		return p.openUDP()
	case "crr":
		return &Case{Run: p.connectClose}, nil
	case "idle":
		return p.openIdle(o.conns(), max(1, o.conns()/100))
	}
	a, b, err := p.Connect()
	if err != nil {
		return nil, err
	}
	switch work {
	case "up":
		return bulk(p.stream(0, a, b, Chunk))
	case "both":
		return p.openBoth(a, b)
	case "rr1":
		return p.roundTrips([][2]*stack.Conn{{a, b}}, 1), nil
	case "rr64":
		return p.roundTrips([][2]*stack.Conn{{a, b}}, 64), nil
	case "rr16k":
		return p.roundTrips([][2]*stack.Conn{{a, b}}, 16<<10), nil
	case "small":
		return small(p.stream(0, a, b, 64))
	}
	return nil, ErrNotHere // down is up, with other names
}

// warm is how many bytes are sent until windows and buffers have grown.
const warm = 64 << 20

func bulk(m *stream) (*Case, error) {
	if err := m.send(warm); err != nil {
		return nil, err
	}
	return &Case{Run: func(b Budget) (n Count, err error) {
		l := b.begin()
		for k := l.next(16); k > 0 && err == nil; k = l.next(16) { // fewer would leave the buffers empty
			err = m.send(k * Chunk)
			n.Ops += int64(k)
		}
		return n.done(l, n.Ops*Chunk), err
	}}, nil
}

// small sends in calls of 64 bytes, 4 KiB to a step: what a program that writes lines does
// between two calls of its loop.
func small(m *stream) (*Case, error) {
	const calls = 64
	return &Case{Run: func(b Budget) (n Count, err error) {
		l := b.begin()
		for k := l.next(calls); k > 0 && err == nil; k = l.next(calls) {
			err = m.send(k * len(m.w))
			n.Ops += int64(k)
		}
		return n.done(l, n.Ops*int64(len(m.w))), err
	}}, nil
}

// openBoth sends both ways in each step.
func (p *Pair) openBoth(a, b *stack.Conn) (*Case, error) {
	m := [2]*stream{p.stream(0, a, b, Chunk), p.stream(1, b, a, Chunk)}
	send := func(n int) error {
		left, got := [2]int{n, n}, [2]int{}
		for got[0]+got[1] < 2*n {
			arrived := 0
			for i, s := range m {
				k, err := s.write(left[i])
				if err != nil {
					return err
				}
				left[i] -= k
				p.step(i)
				p.step(1 - i)
				if k, err = s.read(); err != nil {
					return err
				}
				got[i] += k
				arrived += k
			}
			if err := m[0].pace(arrived); err != nil {
				return err
			}
		}
		return nil
	}
	if err := send(warm / 2); err != nil {
		return nil, err
	}
	return &Case{Run: func(b Budget) (n Count, err error) {
		l := b.begin()
		n.Both = true
		for k := l.next(4); k > 0 && err == nil; k = l.next(4) {
			err = send(k * Chunk)
			n.Ops += int64(2 * k)
		}
		return n.done(l, n.Ops*Chunk), err
	}}, nil
}

// roundTrips sends a request and its answer over each connection in turn.
func (p *Pair) roundTrips(conns [][2]*stack.Conn, size int) *Case {
	out, in := make([]byte, size), make([]byte, size)
	next := 0
	one := func() error {
		c := conns[next]
		if next++; next == len(conns) {
			next = 0
		}
		if err := p.oneWay(0, c[0], c[1], out, in); err != nil {
			return err
		}
		err := p.oneWay(1, c[1], c[0], out, in)
		p.now += 10 * pkt.Microsecond
		return err
	}
	return &Case{Run: func(b Budget) (n Count, err error) {
		l := b.begin()
		for k := l.next(32); k > 0; k = l.next(32) {
			for range k {
				if err := one(); err != nil {
					return n, err
				}
			}
			n.Ops += int64(k)
		}
		return n.done(l, 2*n.Ops*int64(size)), nil
	}}
}

// oneWay sends out from a, on host i, to b. What fits in a window takes one step of each.
func (p *Pair) oneWay(i int, a, b *stack.Conn, out, in []byte) error {
	for sent, got, idle := 0, 0, 0; got < len(out); {
		if sent < len(out) {
			k, e := a.Write(out[sent:])
			sent += k
			if e != 0 && e != errno.EAGAIN {
				return e
			}
		}
		p.step(i)
		p.step(1 - i)
		k, e := b.Read(in)
		got += k
		if e != 0 && e != errno.EAGAIN {
			return e
		}
		if k == 0 {
			if idle++; idle > 1000 {
				return errStall
			}
			p.Sleep(10 * pkt.Millisecond)
		}
	}
	return nil
}

// Idle opens n connections.
func (p *Pair) Idle(n int) (conns [][2]*stack.Conn, err error) {
	for range n {
		a, b, err := p.Connect()
		if err != nil {
			return nil, fmt.Errorf("connection %d: %w", len(conns), err)
		}
		conns = append(conns, [2]*stack.Conn{a, b})
	}
	return conns, nil
}

// openIdle opens n connections and uses some of them, at even distances.
func (p *Pair) openIdle(n, active int) (*Case, error) {
	conns, err := p.Idle(n)
	if err != nil {
		return nil, err
	}
	var used [][2]*stack.Conn
	for i := range active {
		used = append(used, conns[i*n/active])
	}
	c := p.roundTrips(used, 64)
	run := c.Run
	c.Run = func(b Budget) (Count, error) { // the others are not garbage
		n, err := run(b)
		_ = conns[0]
		return n, err
	}
	return c, nil
}

// connectClose opens connections and closes them at both ends. The near one is left in
// TIME-WAIT.
func (p *Pair) connectClose(b Budget) (n Count, err error) {
	l := b.begin()
	for k := l.next(8); k > 0; k = l.next(8) {
		for range k {
			a, z, err := p.Connect()
			if err != nil {
				return n, err
			}
			a.Close(p.now)
			p.Settle()
			z.Close(p.now)
			p.Settle()
			p.now += 5 * pkt.Millisecond // 12,000 in a minute, which the ports can bear
		}
		n.Ops += int64(k)
	}
	if u := p.S[0].Usage(); u.Conns > 0 {
		return n, fmt.Errorf("%d connections are not closed", u.Conns)
	}
	return n.done(l, 0), nil
}

func (p *Pair) openUDP() (*Case, error) {
	var u [2]stack.UDP
	for i := range u {
		u[i].RcvBuf = 256 << 10
		if err := p.S[i].OpenUDP(&u[i], ipv4.Endpoint{Port: 53}); err != nil {
			return nil, err
		}
	}
	size := min(Datagram, p.x[0].mtu-28)
	buf := make([]byte, size)
	var m udp.Meta
	burst := func(k int) (got int, err error) {
		for range k {
			if _, e := u[0].SendTo(p.now, buf, ipv4.Endpoint{Addr: address(1), Port: 53}); e != 0 {
				return got, e
			}
		}
		p.Settle()
		for range k {
			k, e := u[1].RecvFrom(buf, &m)
			if e == errno.EAGAIN {
				break
			}
			if e != 0 || k != size {
				return got, fmt.Errorf("a datagram of %d bytes: %w", k, e)
			}
			got++
		}
		if _, e := u[1].SendTo(p.now, buf[:1], ipv4.Endpoint{Addr: address(0), Port: 53}); e != 0 {
			return got, e
		}
		p.Settle()
		_, e := u[0].RecvFrom(buf, &m)
		return got, e.Err()
	}
	if _, err := burst(1); err != nil { // ARP
		return nil, err
	}
	return &Case{Run: func(b Budget) (n Count, err error) {
		l := b.begin()
		for k := l.next(Burst); k > 0 && err == nil; k = l.next(Burst) {
			var got int
			got, err = burst(k)
			n.Ops += int64(got)
			n.Lost += int64(k - got)
		}
		return n.done(l, n.Ops*int64(size)), err
	}}, nil
}
