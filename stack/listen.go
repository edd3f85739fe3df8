package stack

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/tcp"
)

// Acceptable: a listener has a connection for Accept.
const Acceptable tcp.Events = 1 << 7

// Listener waits for connections (feature listen).
type Listener struct {
	Sock
	// New returns the Conn for a connection that is being opened, after Init. It
	// may return nil to refuse it.
	New func() *Conn

	stack *Stack
	queue []*TCB

	// Options of the connections, if RcvBuf is not 0.
	Options tcp.Options

	local   ipv4.Endpoint
	backlog int
	half    int      // in SYN-RECEIVED
	defers  uint8    // TCP_DEFER_ACCEPT, in retransmissions
	cookies pkt.Time // feature syncookies: until when ACKs may bring one back
}

// listenTable holds the listeners.
type listenTable struct {
	list      []*Listener
	cookieKey tcp.Secret // feature syncookies, once one was needed
}

// listenTableShape is a listenTable as it is allocated: see tcp.TCB.
type listenTableShape struct {
	_ [0]func()
	_ []byte
	_ [unsafe.Sizeof(listenTable{}) - 3*pointer]byte
}

func listenOf(s *Stack) *listenTable { return (*listenTable)(s.listen) }

// find returns the listener for connections to local: one bound to the address
// goes before one for any.
func (t *listenTable) find(local ipv4.Endpoint) (best *Listener) {
	for _, l := range t.list {
		if l.local == local {
			return l
		}
		if l.local.Port == local.Port && l.local.Addr.IsAny() {
			best = l
		}
	}
	return best
}

func (s *Stack) startListening(l *Listener, local ipv4.Endpoint, backlog int) error {
	if backlog < 0 {
		backlog = 4096 // Linux's SOMAXCONN
	}
	if l.stack != nil {
		if l.stack != s || local != l.local && local != (ipv4.Endpoint{}) {
			return errno.EINVAL
		}
		l.backlog = backlog
		return nil
	}
	if s.listen == nil {
		s.listen = unsafe.Pointer(new(listenTableShape))
	}
	if !local.Addr.IsAny() && !s.isLocal(local.Addr) {
		return errno.EADDRNOTAVAIL
	}
	if local.Port == 0 {
		n := uint32(s.cfg.PortMax-s.cfg.PortMin) + 1
		at := uint32(s.random())
		for i := uint32(0); i < n && local.Port == 0; i++ {
			p := s.cfg.PortMin + uint16((at+i)%n)
			if !listenOf(s).taken(ipv4.Endpoint{Addr: local.Addr, Port: p}) {
				local.Port = p
			}
		}
		if local.Port == 0 {
			return errno.EADDRINUSE
		}
	} else if listenOf(s).taken(local) {
		return errno.EADDRINUSE
	}
	l.stack, l.local, l.backlog, l.quiet = s, local, backlog, false
	pkt.Append((*[]unsafe.Pointer)(unsafe.Pointer(&listenOf(s).list)), unsafe.Pointer(l))
	return nil
}

// taken reports whether a listener on e would take connections of another.
func (t *listenTable) taken(e ipv4.Endpoint) bool {
	for _, l := range t.list {
		if l.local.Port == e.Port && (l.local.Addr == e.Addr || l.local.Addr.IsAny() || e.Addr.IsAny()) {
			return true
		}
	}
	return false
}

// Local returns the endpoint that l is bound to.
func (l *Listener) Local() ipv4.Endpoint { return l.local }

// Accept returns an established connection, or nil.
func (l *Listener) Accept() *Conn {
	if len(l.queue) == 0 {
		return nil
	}
	c := l.queue[0].Conn()
	n := copy(l.queue, l.queue[1:])
	l.queue[n] = nil
	l.queue = l.queue[:n]
	return c
}

// Close stops listening and resets the connections that nobody has accepted.
func (l *Listener) Close(now pkt.Time) {
	s := l.stack
	if s == nil {
		return
	}
	list := (*[]unsafe.Pointer)(unsafe.Pointer(&listenOf(s).list)) // as pkt.Append has it
	for i, x := range *list {
		if x == unsafe.Pointer(l) {
			*list = append((*list)[:i], (*list)[i+1:]...)
			break
		}
	}
	for _, c := range l.queue {
		c.Conn().Abort()
	}
	l.stack, l.queue, l.quiet = nil, nil, true
	if l.half == 0 {
		return
	}
	for _, c := range s.tcp.buckets {
		for ; c != nil; c = c.hash {
			if listenerOf(c) == l {
				c.Abort()
			}
		}
	}
}

// inputListen is RFC 9293 section 3.10.7.2: a segment for no connection may open
// one.
func (s *Stack) inputListen(local, remote ipv4.Endpoint, seg *tcp.Segment) (d ipv4.Drop, reset bool) {
	l := listenOf(s).find(local)
	if l == nil {
		return ipv4.DropTCPNoConn, true
	}
	if feature.SynCookies && l.cookies != 0 {
		if taken, d, reset := s.takeCookie(l, local, remote, seg); taken {
			return d, reset
		}
	}
	switch {
	case seg.Flags&tcp.RST != 0: // "should be ignored"
		return ipv4.DropTCPNoConn, false
	case seg.Flags&tcp.ACK != 0: // "Any acknowledgment is bad if it arrives on a connection still in the LISTEN state"
		return ipv4.DropTCPNoConn, true
	case seg.Flags&tcp.SYN == 0:
		return ipv4.DropTCPNoConn, false
	case s.isBroadcast(remote.Addr):
		return ipv4.DropTCPSYNSource, false
	}
	// One more than the backlog may wait for Accept, as in Linux.
	if half := l.half >= max(l.backlog, 1); half || len(l.queue) > l.backlog || s.tcp.n >= s.cfg.MaxConns {
		if feature.SynCookies && half && len(l.queue) <= l.backlog {
			return s.sendCookie(l, local, remote, seg), false
		}
		return ipv4.DropBacklog, false // as if lost: the peer tries again
	}
	c := l.New()
	if c == nil {
		return ipv4.DropBacklog, false
	}
	if _, e := s.route(&c.path, local.Addr, remote.Addr, 0); e != 0 {
		return ipv4.DropNoRoute, false
	}
	if l.Options.RcvBuf != 0 {
		c.Options = l.Options
	}
	if feature.TCPOpts {
		s.clampByRoute(c, remote.Addr)
	}
	iss, off := s.tcp.key.ISN(s.now, local, remote)
	if t := s.tcp.lookupTimeWait(local, remote); t != nil { // it reopens that one
		iss = t.NextISN(iss)
		s.tcp.removeTimeWait(t)
	}
	c.Conn.Accept(s.now, seg, local, remote, c.pathMSS(), iss, off)
	c.Conn.Defer(l.defers)
	s.begin(l, c)
	return ipv4.DropNone, false
}

// begin takes c, a half open connection of l, into the table.
func (s *Stack) begin(l *Listener, c *Conn) {
	c.listener[:][0] = unsafe.Pointer(l)
	l.half++
	s.tcp.add(c)
	s.touch(c)
}

// full reports whether c, half open, has to stay so, since nobody accepts: the ACK that
// would open it is as if lost, and our SYN-ACK, sent again, will ask for another one. So
// does Linux, without tcp_abort_on_overflow.
func (s *Stack) full(c *Conn, seg *tcp.Segment) bool {
	l := listenerOf(c)
	return len(l.queue) > l.backlog && seg.Flags&(tcp.SYN|tcp.RST|tcp.ACK) == tcp.ACK
}

func listenerOf(c *Conn) *Listener { return *(**Listener)(unsafe.Pointer(&c.listener)) }

// accepted follows a connection of a listener until somebody has it.
func (s *Stack) accepted(c *Conn, e tcp.Events) {
	l := listenerOf(c)
	switch {
	case e&tcp.Opened != 0:
		c.listener[:][0] = nil
		l.half--
		l.queue = append(l.queue, tcbOf(c))
		s.notify(&l.Sock, Acceptable)
		if e &^= tcp.Opened; e != 0 {
			s.notify(&c.Sock, e)
		}
	case c.Done(): // in SYN-RECEIVED: the listener goes on without it
		c.listener[:][0] = nil
		l.half--
	}
}

// reopen reports whether seg may begin a new connection in place of t, which
// lasts until one does.
func (s *Stack) reopen(t *timeWait, seg *tcp.Segment) bool {
	return listenOf(s).find(t.Local) != nil && t.Reopens(seg)
}
