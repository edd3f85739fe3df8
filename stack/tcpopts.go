package stack

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/tcp"
)

// minClamp is the least TCP_WINDOW_CLAMP, half of Linux's least receive buffer.
const minClamp = 2304 / 2

// setTCPOption does SetOption for TCP_SYNCNT, TCP_LINGER2, TCP_WINDOW_CLAMP and
// TCP_NOTSENT_LOWAT, in Linux's ranges, and reports whether name is one of them.
func (c *Conn) setTCPOption(name, v int) (known bool, e Errno) {
	switch name {
	case TCP_SYNCNT:
		if v < 1 || v > 127 {
			return true, errno.EINVAL
		}
		c.SetSynRetries(uint8(v))
	case TCP_LINGER2:
		c.SetLinger2(v)
	case TCP_WINDOW_CLAMP:
		switch {
		case v != 0:
			v = max(v, minClamp)
		case c.State() != tcp.Closed:
			return true, errno.EINVAL
		}
		c.SetWindowClamp(uint32(v))
	case TCP_NOTSENT_LOWAT:
		c.SetNotSentLowat(uint32(v))
	default:
		return false, 0
	}
	return true, 0
}

// tcpOption does Option for the same.
func (c *Conn) tcpOption(name int) (v int, known bool) {
	switch name {
	case TCP_SYNCNT:
		return int(c.SynRetries()), true
	case TCP_LINGER2:
		return c.Linger2(), true
	case TCP_WINDOW_CLAMP:
		return int(c.WindowClamp()), true
	case TCP_NOTSENT_LOWAT:
		return int(int32(c.NotSentLowat())), true
	}
	return 0, false
}

// clampByRoute takes the window of the route to dst for c's clamp, if it has none (RTF_WINDOW).
func (s *Stack) clampByRoute(c *Conn, dst ipv4.Addr) {
	if r := s.routes.LookupOn(dst, 0, 0); r != nil && c.WindowClamp() == 0 {
		c.SetWindowClamp(r.Window)
	}
}
