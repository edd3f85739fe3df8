package stack

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/tcp"
)

// setKeepalive does SetOption for SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL and
// TCP_KEEPCNT, in Linux's ranges: 1 to 32767 seconds, 1 to 127 probes.
func (c *Conn) setKeepalive(level, name, v int) Errno {
	k := c.Options.Keepalive()
	switch level<<16 | name {
	case SOL_SOCKET<<16 | SO_KEEPALIVE:
		k.On = v != 0
	case SOL_TCP<<16 | TCP_KEEPIDLE, SOL_TCP<<16 | TCP_KEEPINTVL:
		if v < 1 || v > 32767 {
			return errno.EINVAL
		}
		if name == TCP_KEEPIDLE {
			k.Idle = uint16(v)
		} else {
			k.Interval = uint16(v)
		}
	case SOL_TCP<<16 | TCP_KEEPCNT:
		if v < 1 || v > 127 {
			return errno.EINVAL
		}
		k.Count = uint8(v)
	default:
		return errno.ENOPROTOOPT
	}
	c.SetKeepalive(c.stack().now, k)
	if c.is&isHashed != 0 {
		c.stack().touch(c)
	}
	return 0
}

// keepalive does Option for the same.
func (c *Conn) keepalive(level, name int) (int, Errno) {
	k := tcp.DefaultKeepalive(c.Options.Keepalive())
	switch level<<16 | name {
	case SOL_SOCKET<<16 | SO_KEEPALIVE:
		return btoi(k.On), 0
	case SOL_TCP<<16 | TCP_KEEPIDLE:
		return int(k.Idle), 0
	case SOL_TCP<<16 | TCP_KEEPINTVL:
		return int(k.Interval), 0
	case SOL_TCP<<16 | TCP_KEEPCNT:
		return int(k.Count), 0
	}
	return 0, errno.ENOPROTOOPT
}
