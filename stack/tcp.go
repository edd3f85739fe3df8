package stack

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
)

// Conn is a TCP connection of a stack. Its memory is the caller's: a socket can
// hold it by value, as a TCB. Init comes first, then Stack.Connect or a Listener.
type Conn struct {
	tcp.Conn
	place
}

// place is what the stack knows of a connection. Its pointers are where TCB has them.
type place struct {
	_ [0]func() // not comparable: spares the code that would compare it

	Sock
	hash     *Conn                             // next in the table's bucket
	next     *Conn                             // next in the stack's dirty list
	listener [feature.LenListen]unsafe.Pointer // *Listener, until it is accepted
	path     path
}

// stack returns the stack that c belongs to.
//
//go:noinline
func (c *Conn) stack() *Stack { return (*Stack)(c.Env().Owner) }

type connFlags uint8

const (
	isDirty  connFlags = 1 << iota // in the dirty list
	isHashed                       // in the table
	isOrphan                       // counted as such
)

// Init prepares c for use with s, with the stack's default options. A connection that it
// still holds is reset, and forgotten with all that Ready would have said of it. c must not
// have belonged to another stack.
func (c *Conn) Init(s *Stack) {
	if c.is&isHashed != 0 {
		c.Abort()
		s.output(c)
	}
	// The lists that it may be in stay whole: they will find a connection with nothing to
	// send and nothing to say.
	next, ready, queued, dirty := c.next, c.Sock.next, c.queued, c.is&isDirty
	*tcbOf(c) = TCB{}
	c.next, c.Sock.next, c.queued, c.is = next, ready, queued, dirty
	c.Conn.Init(&s.tcp.env, tcp.Options{
		RcvBuf: s.cfg.RcvBuf, SndBuf: s.cfg.SndBuf, Linger: -1, RcvLowat: 1, TTL: s.cfg.TTL,
	})
}

// Connect opens a connection from local to remote. A zero address or port in
// local is chosen: the address by the route, the port at random (RFC 6056). The
// outcome is an event, Opened or Failed.
//
// It returns EADDRNOTAVAIL for a local address that is not ours or when no port
// is left, EADDRINUSE for a pair that exists, ENETUNREACH without a route or for
// a broadcast or multicast address, EISCONN if c is in use and ENOBUFS at the limit.
func (s *Stack) Connect(now pkt.Time, c *Conn, local, remote ipv4.Endpoint) error {
	s.now = now
	if c.State() != tcp.Closed || c.is&isHashed != 0 {
		return errno.EISCONN
	}
	if remote.Addr.IsAny() { // to this host, as Linux has it
		remote.Addr = ipv4.Loopback
	}
	if remote.Port == 0 {
		return errno.EADDRNOTAVAIL
	}
	if !local.Addr.IsAny() && !s.isLocal(local.Addr) {
		return errno.EADDRNOTAVAIL
	}
	src, e := s.route(&c.path, local.Addr, remote.Addr, 0)
	if e != 0 {
		return e
	}
	// "A TCP implementation MUST reject as an error a local OPEN call for an invalid
	// remote IP address (e.g., a broadcast or multicast address)" (RFC 9293 section
	// 3.9.1.1, MUST-46): with Linux's error.
	if c.path.group() {
		return errno.ENETUNREACH
	}
	if src.IsAny() {
		return errno.EADDRNOTAVAIL
	}
	if s.tcp.n >= s.cfg.MaxConns {
		return errno.ENOBUFS
	}
	local.Addr = src
	if local.Port == 0 {
		if local.Port = s.tcp.choosePort(s, local.Addr, remote); local.Port == 0 {
			return errno.EADDRNOTAVAIL
		}
	} else if s.tcp.lookup(local, remote) != nil || !s.tcp.evictTimeWait(now, local, remote) {
		return errno.EADDRINUSE
	}
	if feature.TCPOpts {
		s.clampByRoute(c, remote.Addr)
	}
	iss, off := s.tcp.key.ISN(now, local, remote)
	c.Conn.Open(now, local, remote, c.pathMSS(), iss, off)
	s.tcp.add(c)
	s.touch(c)
	return nil
}

// pathMSS is the MTU less the fixed headers (RFC 6691 section 2).
func (c *Conn) pathMSS() uint16 { return c.path.mtu - ipv4.MinHeaderLen - 20 }

// Write queues data to send; see tcp.Conn.Write. Poll sends it.
func (c *Conn) Write(p []byte) (int, Errno) {
	n, e := c.Conn.Write(p)
	if n > 0 {
		c.stack().touch(c)
	}
	return n, e
}

// Read takes data that has arrived; see tcp.Conn.Read.
func (c *Conn) Read(p []byte) (int, Errno) {
	n, e := c.Conn.Read(p)
	if c.Conn.Pending() {
		c.stack().touch(c)
	}
	return n, e
}

// CloseWrite ends our side of the stream; see tcp.Conn.CloseWrite.
func (c *Conn) CloseWrite() Errno {
	e := c.Conn.CloseWrite()
	c.stack().touch(c)
	return e
}

// CloseRead throws away what arrives; see tcp.Conn.CloseRead.
func (c *Conn) CloseRead() Errno {
	e := c.Conn.CloseRead()
	c.stack().touch(c)
	return e
}

// Close gives c to the stack, which finishes the connection by itself. The owner
// hears no more of it.
func (c *Conn) Close(now pkt.Time) {
	c.quiet = true
	s := c.stack()
	c.Conn.Close(now)
	if c.is&(isHashed|isOrphan) == isHashed {
		c.is |= isOrphan
		// Peers that never finish must not fill the table: what it can't keep is reset.
		if s.tcp.orphans++; s.tcp.orphans > s.cfg.MaxOrphans {
			c.Conn.Abort()
		}
	}
	s.touch(c)
}

// Abort resets the connection; see tcp.Conn.Abort.
func (c *Conn) Abort() {
	c.quiet = true
	c.Conn.Abort()
	c.stack().touch(c)
}

// refill wakes the writers that found no memory.
func (s *Stack) refill() {
	s.tcp.env.Starved = false
	for _, c := range s.tcp.buckets {
		for ; c != nil; c = c.hash {
			if c.Refill() {
				s.touch(c)
			}
		}
	}
}

// touch makes the next Poll look at c.
//
//go:noinline
func (s *Stack) touch(c *Conn) {
	if c.is&isDirty == 0 {
		c.is |= isDirty
		s.dirty.push(c)
	}
}

type connList struct{ head, tail *Conn }

func (l *connList) push(c *Conn) {
	if l.tail == nil {
		l.head = c
	} else {
		l.tail.next = c
	}
	l.tail = c
}

func (l *connList) pop() *Conn {
	c := l.head
	if c != nil {
		l.head = c.next
		if l.head == nil {
			l.tail = nil
		}
		c.next = nil
	}
	return c
}

// outputDirty sends what the connections that were touched have to send.
func (s *Stack) outputDirty() {
	for {
		c := s.dirty.pop()
		if c == nil {
			return
		}
		c.is &^= isDirty
		s.output(c)
	}
}

// output sends what c may send now, arms its timer, and lets go of it when it is
// over.
func (s *Stack) output(c *Conn) {
	super := feature.TSO && offloaderOf(s, &c.path) != nil
	switch {
	case feature.FastPath && !(super && c.Conn.Bulk()) && s.express(c):
	case super:
		s.outputSuper(c)
	default:
		b := s.spare
		if b == nil {
			b = s.pool.Get()
		}
		for c.Conn.Output(s.now, b) {
			s.sendSegment(c, b)
			b = s.pool.Get()
			if c.Conn.Sent() {
				break
			}
		}
		s.spare = b
	}
	if e := c.TakeEvents(); feature.Listen && listenerOf(c) != nil {
		s.accepted(c, e)
	} else if e != 0 {
		s.notify(&c.Sock, e)
	}
	if c.is&isHashed == 0 {
		return
	}
	switch {
	case c.Done():
		s.tcp.remove(s, c)
	case c.State() == tcp.TimeWait:
		s.tcp.remove(s, c)
		s.tcp.addTimeWait(s, c.Conn.TimeWait(s.now))
	case hashed:
		s.timers.set(c, c.Deadline())
	}
}

// sendSegment sends the segment in b along c's path.
func (s *Stack) sendSegment(c *Conn, b *pkt.Buf) {
	local, remote := c.Local(), c.Remote()
	if !c.path.valid(s) {
		if _, e := s.route(&c.path, local.Addr, remote.Addr, 0); e != 0 {
			s.pool.Put(b)
			s.drop(ipv4.DropNoRoute)
			c.Conn.Unreachable(e)
			return
		}
		c.Conn.SetPathMSS(c.pathMSS())
		n := b.Len() + ipv4.MinHeaderLen
		if feature.TSO {
			n = wireLen(b, ipv4.MinHeaderLen)
		}
		if feature.PMTUD && n > int(c.path.mtu) { // it has shrunk
			s.pool.Put(b)
			c.Conn.Resegment(0, true)
			return
		}
	}
	h := ipv4.Header{
		Src: local.Addr, Dst: remote.Addr, Proto: ipv4.ProtoTCP,
		TTL: c.Options.TTL, TOS: c.Options.TOS,
		DF: feature.PMTUD && c.dontFragment(),
	}
	if feature.ECN {
		h.TOS = c.tos()
	}
	if d := s.sendIP(b, &h, &c.path); d != ipv4.DropNone {
		s.drop(d)
	}
}

// progress follows a segment for c, whose snd.una was una.
func (s *Stack) progress(c *Conn, una uint32) {
	// "Advice from the transport layer" that the neighbour forwards: no need to ask it
	// (RFC 1122 section 2.3.2.1; Linux's dst_confirm).
	if n := c.path.neigh; n != nil && n.State&(netif.StateDelay|netif.StateProbe) != 0 && c.Una() != una {
		n.Confirm(s.now)
	}
	if s.touch(c); c.Overdue() || feature.Listen && listenerOf(c) != nil {
		s.output(c)
	}
}

// inputTCP gives a segment to its connection, to one in TIME-WAIT or to a
// listener; there being none, the sender is told (RFC 9293 section 3.10.7.1).
func (s *Stack) inputTCP(h *ipv4.Header, p []byte) ipv4.Drop {
	seg := &s.seg
	pseudo := ipv4.PseudoSum(h.Src, h.Dst, ipv4.ProtoTCP, len(p))
	var size uint16
	if feature.GRO {
		size, pseudo = tcp.Known(seg, pseudo)
	}
	if d := tcp.Parse(p, pseudo, seg); d != ipv4.DropNone {
		return d
	}
	if feature.GRO {
		tcp.SetSize(seg, size)
	}
	if feature.ECN {
		seg.ECN = h.TOS & 3
	}
	local, remote := ipv4.Endpoint{Addr: h.Dst, Port: seg.DstPort}, ipv4.Endpoint{Addr: h.Src, Port: seg.SrcPort}
	d, reset := ipv4.DropTCPNoConn, true
	if c := s.tcp.lookup(local, remote); c != nil {
		if feature.Listen && listenerOf(c) != nil && s.full(c, seg) {
			return ipv4.DropBacklog
		}
		una := c.Una()
		d, reset = c.Conn.Input(s.now, seg)
		s.progress(c, una)
	} else if t := s.tcp.lookupTimeWait(local, remote); t != nil && !(feature.Listen && s.listen != nil && s.reopen(t, seg)) {
		b := s.pool.Get()
		expire := t.ExpireAt
		d, reset = t.Input(s.now, seg, b)
		if t.ExpireAt != expire { // restarted: no longer the oldest
			s.tcp.cutTimeWait(t)
			s.tcp.pushTimeWait(t)
		}
		if reset {
			s.reply(b, h, ipv4.ProtoTCP, t.TTL, t.TOS)
		} else {
			s.pool.Put(b)
		}
		return d
	} else if feature.Listen && s.listen != nil {
		d, reset = s.inputListen(local, remote, seg)
	}
	if reset {
		b := s.pool.Get()
		if tcp.Reset(seg, h.Dst, h.Src, b) {
			s.reply(b, h, ipv4.ProtoTCP, s.cfg.TTL, h.TOS&^3)
		} else {
			s.pool.Put(b)
		}
	}
	return d
}
