package stack

import (
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/tcp"
)

// cookieLife is how long after the last cookie an ACK may bring one back: what guesses them has
// no chance at other times.
const cookieLife = 128 * pkt.Second

// sendCookie answers a SYN for which l has no room with a cookie in place of state.
func (s *Stack) sendCookie(l *Listener, local, remote ipv4.Endpoint, seg *tcp.Segment) ipv4.Drop {
	var way path
	if s.tcp.lookupTimeWait(local, remote) != nil {
		return ipv4.DropBacklog // its numbers must not be used again: later
	}
	if _, e := s.route(&way, local.Addr, remote.Addr, 0); e != 0 {
		return ipv4.DropNoRoute
	}
	t := listenOf(s)
	for t.cookieKey == (tcp.Secret{}) {
		t.cookieKey = tcp.Secret{s.secret(), s.secret()}
	}
	l.cookies = s.now + cookieLife
	_, off := s.tcp.key.ISN(s.now, local, remote)
	b := s.pool.Get()
	t.cookieKey.AnswerSYN(s.now, &s.tcp.env, l.rcvBuf(s), seg, local, remote, way.mtu-ipv4.MinHeaderLen-20, off, b)
	h := ipv4.Header{Src: local.Addr, Dst: remote.Addr, Proto: ipv4.ProtoTCP, TTL: s.cfg.TTL, DF: true}
	return s.sendIP(b, &h, &way)
}

// rcvBuf returns the receive buffer of l's connections.
func (l *Listener) rcvBuf(s *Stack) uint32 {
	if l.Options.RcvBuf != 0 {
		return l.Options.RcvBuf
	}
	return s.cfg.RcvBuf
}

// takeCookie opens the connection for which seg brings back a cookie, and reports whether it
// did; it has taken seg then.
func (s *Stack) takeCookie(l *Listener, local, remote ipv4.Endpoint, seg *tcp.Segment) (taken bool, d ipv4.Drop, reset bool) {
	if s.now >= l.cookies || seg.Flags&(tcp.SYN|tcp.RST|tcp.ACK) != tcp.ACK {
		return false, 0, false
	}
	if len(l.queue) > l.backlog || s.tcp.n >= s.cfg.MaxConns {
		return true, ipv4.DropBacklog, false
	}
	_, off := s.tcp.key.ISN(s.now, local, remote)
	if !listenOf(s).cookieKey.Cookie(s.now, seg, local, remote) {
		return false, 0, false
	}
	c := l.New()
	if c == nil {
		return true, ipv4.DropBacklog, false
	}
	if _, e := s.route(&c.path, local.Addr, remote.Addr, 0); e != 0 {
		return true, ipv4.DropNoRoute, false
	}
	if l.Options.RcvBuf != 0 {
		c.Options = l.Options
	}
	c.Conn.AcceptCookie(s.now, seg, local, remote, c.pathMSS(), off)
	s.begin(l, c)
	d, reset = c.Conn.Input(s.now, seg)
	s.output(c) // and so into the queue, before the next one asks for room
	return true, d, reset
}
