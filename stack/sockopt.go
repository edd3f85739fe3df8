package stack

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/udp"
)

// Levels and names of socket options, with Linux's numbers.
const (
	SOL_SOCKET = 1
	SOL_IP     = 0
	SOL_TCP    = 6

	SO_REUSEADDR    = 2
	SO_ERROR        = 4
	SO_BROADCAST    = 6
	SO_SNDBUF       = 7
	SO_RCVBUF       = 8
	SO_KEEPALIVE    = 9
	SO_LINGER       = 13 // here: seconds, or -1 for off
	SO_RCVLOWAT     = 18
	SO_BINDTODEVICE = 25 // here: the interface's index, or 0 for any

	IP_TOS          = 1
	IP_TTL          = 2
	IP_MTU_DISCOVER = 10 // see SetMTUDiscover
	IP_RECVERR      = 11
	IP_MTU          = 14

	// Feature multicast: see UDP.SetMreqn.
	IP_MULTICAST_IF    = 32 // here: the interface's index, or 0 for none
	IP_MULTICAST_TTL   = 33 // 1, until it is set; 0: not on the link
	IP_MULTICAST_LOOP  = 34 // whether members on this host get what is sent; so it is, until it is set
	IP_ADD_MEMBERSHIP  = 35
	IP_DROP_MEMBERSHIP = 36
	IP_MULTICAST_ALL   = 49 // 0: only what this socket has joined, not what any has

	TCP_NODELAY       = 1
	TCP_MAXSEG        = 2
	TCP_CORK          = 3
	TCP_KEEPIDLE      = 4 // seconds
	TCP_KEEPINTVL     = 5 // seconds
	TCP_KEEPCNT       = 6
	TCP_SYNCNT        = 7  // 1 to 127
	TCP_LINGER2       = 8  // seconds, up to 120; negative: none
	TCP_DEFER_ACCEPT  = 9  // seconds, a Listener's
	TCP_WINDOW_CLAMP  = 10 // bytes
	TCP_QUICKACK      = 12
	TCP_USER_TIMEOUT  = 18 // milliseconds
	TCP_NOTSENT_LOWAT = 25 // bytes

	// SIOCINQ and SIOCOUTQ have an option's form here: level SOL_SOCKET.
	SIOCINQ  = 0x541b // bytes to read
	SIOCOUTQ = 0x5411 // bytes not acknowledged
)

// Buffer sizes are bytes of data. As Linux does, setsockopt sets twice what it is given, which
// there allows for overhead, and getsockopt returns that: so here it returns twice the bytes of
// data. The least are Linux's too.
const (
	minRcvBuf = 2304 / 2
	minSndBuf = 4608 / 2
	maxBuf    = 1<<30 - 1 // the largest window there is (RFC 7323 section 2.3)
)

// isReuse is SO_REUSEADDR of a connection.
const isReuse connFlags = 1 << 7

// SetOption sets an option of the connection, as setsockopt does. It returns
// ENOPROTOOPT for one that is not known and EINVAL for a value out of range.
func (c *Conn) SetOption(level, name, v int) Errno {
	o := &c.Options
	switch level<<16 | name {
	case SOL_SOCKET<<16 | SO_SNDBUF:
		o.SndBuf = uint32(min(max(v, minSndBuf), maxBuf))
		if feature.Autotune {
			c.LockSndBuf()
		}
	case SOL_SOCKET<<16 | SO_RCVBUF:
		o.RcvBuf = uint32(min(max(v, minRcvBuf), maxBuf))
		if feature.Autotune {
			c.LockRcvBuf()
		}
	case SOL_SOCKET<<16 | SO_LINGER:
		o.Linger = int32(min(max(v, -1), 1<<30))
	case SOL_SOCKET<<16 | SO_RCVLOWAT:
		if v < 0 { // as Linux: all that there can be
			v = maxBuf
		}
		o.RcvLowat = uint32(min(max(v, 1), int(o.RcvBuf)))
	case SOL_SOCKET<<16 | SO_REUSEADDR: // only remembered
		c.is &^= isReuse
		if v != 0 {
			c.is |= isReuse
		}
	case SOL_IP<<16 | IP_TOS:
		o.TOS = uint8(v) &^ 3 // the ECN bits are TCP's (RFC 3168 section 5)
	case SOL_IP<<16 | IP_TTL:
		if v == -1 {
			v = int(c.stack().cfg.TTL)
		}
		if v < 1 || v > 255 {
			return errno.EINVAL
		}
		o.TTL = uint8(v)
	case SOL_TCP<<16 | TCP_NODELAY:
		c.SetNoDelay(v != 0)
	case SOL_TCP<<16 | TCP_CORK:
		c.SetCork(v != 0)
	case SOL_TCP<<16 | TCP_QUICKACK:
		c.SetQuickAck(v != 0)
	case SOL_TCP<<16 | TCP_MAXSEG:
		if v != 0 && (v < 88 || v > 32767) { // Linux's range
			return errno.EINVAL
		}
		o.MaxSeg = uint16(v)
		if c.path.via != 0 {
			c.SetPathMSS(c.pathMSS())
		}
	case SOL_TCP<<16 | TCP_USER_TIMEOUT:
		if v < 0 {
			return errno.EINVAL
		}
		o.UserTimeout = uint32(min(v, 1<<31-1))
	default:
		if feature.PMTUD && level == SOL_IP && name == IP_MTU_DISCOVER {
			return c.SetMTUDiscover(v)
		}
		if feature.TCPOpts && level == SOL_TCP {
			if known, e := c.setTCPOption(name, v); known {
				return e
			}
		}
		if feature.Keepalive {
			return c.setKeepalive(level, name, v)
		}
		return errno.ENOPROTOOPT
	}
	if c.is&isHashed != 0 {
		c.stack().touch(c)
	}
	return 0
}

// Option returns an option of the connection, as getsockopt does.
func (c *Conn) Option(level, name int) (v int, e Errno) {
	o := &c.Options
	switch level<<16 | name {
	case SOL_SOCKET<<16 | SO_ERROR:
		return int(c.Err()), 0
	case SOL_SOCKET<<16 | SO_SNDBUF:
		return int(2 * o.SndBuf), 0
	case SOL_SOCKET<<16 | SO_RCVBUF:
		return int(2 * o.RcvBuf), 0
	case SOL_SOCKET<<16 | SO_LINGER:
		return int(o.Linger), 0
	case SOL_SOCKET<<16 | SO_RCVLOWAT:
		return int(o.RcvLowat), 0
	case SOL_SOCKET<<16 | SO_REUSEADDR:
		return btoi(c.is&isReuse != 0), 0
	case SOL_SOCKET<<16 | SIOCINQ:
		return c.Buffered(), 0
	case SOL_SOCKET<<16 | SIOCOUTQ:
		return c.Unacked(), 0
	case SOL_IP<<16 | IP_TOS:
		return int(o.TOS), 0
	case SOL_IP<<16 | IP_TTL:
		return int(o.TTL), 0
	case SOL_IP<<16 | IP_MTU:
		if c.path.via == 0 {
			return 0, errno.ENOTCONN
		}
		return int(c.path.mtu), 0
	case SOL_TCP<<16 | TCP_NODELAY:
		return btoi(c.NoDelay()), 0
	case SOL_TCP<<16 | TCP_CORK:
		return btoi(c.Cork()), 0
	case SOL_TCP<<16 | TCP_MAXSEG:
		return c.MSS(), 0
	case SOL_TCP<<16 | TCP_USER_TIMEOUT:
		return int(o.UserTimeout), 0
	}
	if feature.PMTUD && level == SOL_IP && name == IP_MTU_DISCOVER {
		return c.MTUDiscover(), 0
	}
	if feature.TCPOpts && level == SOL_TCP {
		if v, known := c.tcpOption(name); known {
			return v, 0
		}
	}
	if feature.Keepalive {
		return c.keepalive(level, name)
	}
	return 0, errno.ENOPROTOOPT
}

// SetOption sets an option of the socket, as setsockopt does.
func (u *UDP) SetOption(level, name, v int) Errno {
	switch level<<16 | name {
	case SOL_SOCKET<<16 | SO_RCVBUF:
		u.RcvBuf = uint32(min(max(v, minRcvBuf), maxBuf))
	case SOL_SOCKET<<16 | SO_SNDBUF: // nothing is queued
	case SOL_SOCKET<<16 | SO_BROADCAST:
		u.setFlag(udp.Broadcast, v)
	case SOL_SOCKET<<16 | SO_REUSEADDR:
		u.setFlag(udp.ReuseAddr, v)
	case SOL_SOCKET<<16 | SO_BINDTODEVICE:
		if v != 0 && u.stack.interfaceByIndex(int32(v)) == nil {
			return errno.ENODEV
		}
		u.Ifindex = uint16(v)
		u.path.forget()
	case SOL_IP<<16 | IP_RECVERR:
		u.setFlag(udp.RecvErr, v)
	case SOL_IP<<16 | IP_TOS:
		u.TOS = uint8(v)
	case SOL_IP<<16 | IP_TTL:
		if v == -1 {
			v = 0
		} else if v < 1 || v > 255 {
			return errno.EINVAL
		}
		u.TTL = uint8(v)
	default:
		if feature.PMTUD && level == SOL_IP && name == IP_MTU_DISCOVER {
			return u.SetMTUDiscover(v)
		}
		if feature.Multicast && level == SOL_IP {
			u.path.forget()
			return u.stack.setGroupOption(&u.mc, name, v, int32(u.Ifindex))
		}
		return errno.ENOPROTOOPT
	}
	return 0
}

func (u *UDP) setFlag(f udp.Flags, v int) {
	u.Flags &^= f
	u.path.forget() // which may need SO_BROADCAST
	if v != 0 {
		u.Flags |= f
	}
}

// Option returns an option of the socket, as getsockopt does.
func (u *UDP) Option(level, name int) (v int, e Errno) {
	switch level<<16 | name {
	case SOL_SOCKET<<16 | SO_ERROR:
		return int(u.TakeError()), 0
	case SOL_SOCKET<<16 | SO_RCVBUF:
		return int(2 * u.RcvBuf), 0
	case SOL_SOCKET<<16 | SO_BROADCAST:
		return btoi(u.Flags&udp.Broadcast != 0), 0
	case SOL_SOCKET<<16 | SO_REUSEADDR:
		return btoi(u.Flags&udp.ReuseAddr != 0), 0
	case SOL_SOCKET<<16 | SO_BINDTODEVICE:
		return int(u.Ifindex), 0
	case SOL_SOCKET<<16 | SIOCINQ:
		return u.Queue.NextLen(), 0
	case SOL_IP<<16 | IP_RECVERR:
		return btoi(u.Flags&udp.RecvErr != 0), 0
	case SOL_IP<<16 | IP_TOS:
		return int(u.TOS), 0
	case SOL_IP<<16 | IP_TTL:
		if u.TTL == 0 {
			return int(u.stack.cfg.TTL), 0
		}
		return int(u.TTL), 0
	case SOL_IP<<16 | IP_MTU:
		if !u.Connected() {
			return 0, errno.ENOTCONN
		}
		e = u.route(u.Remote.Addr)
		return int(u.path.mtu), e
	}
	if feature.PMTUD && level == SOL_IP && name == IP_MTU_DISCOVER {
		return u.MTUDiscover(), 0
	}
	if feature.Multicast && level == SOL_IP {
		return groupOption(&u.mc, name)
	}
	return 0, errno.ENOPROTOOPT
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
