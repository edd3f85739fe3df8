package udp

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// Flags are a socket's options.
type Flags uint8

const (
	Broadcast Flags = 1 << iota // SO_BROADCAST: may send to broadcast addresses
	ReuseAddr                   // SO_REUSEADDR: shares its port with others that have it
	RecvErr                     // IP_RECVERR: soft errors are reported as well
	ShutRd                      // shutdown(SHUT_RD)
	ShutWr                      // shutdown(SHUT_WR)
)

// Conn is a UDP socket as far as it needs no stack: where it is bound and
// connected, what it was told, and what it received. The zero Conn is unbound.
type Conn struct {
	Options []byte // IP_OPTIONS of what is sent, raw
	Queue   Queue

	Local  ipv4.Endpoint // address 0.0.0.0: any
	Remote ipv4.Endpoint // zero unless connected

	RcvBuf uint32 // SO_RCVBUF, the limit of Queue in bytes

	Ifindex uint16 // SO_BINDTODEVICE; 0: any interface
	TTL     uint8  // of what is sent; 0: the stack's default
	TOS     uint8
	Flags   Flags

	// SoftErr is the pending error, which the next call returns and clears
	// (SO_ERROR).
	SoftErr errno.Errno
}

// Connected reports whether c has a remote endpoint.
func (c *Conn) Connected() bool { return c.Remote.Port != 0 }

// Match says how well c fits a datagram from src to dst that came in by interface
// ifindex, or by any if that is 0, as an ICMP error about c's own may: 0 if c may not
// have it, and the more, the more of c's own endpoints and interface say so. The
// socket with the highest score gets the datagram; one to a broadcast address goes
// to every socket with a score.
//
// A connected socket takes nothing from others than its peer.
func (c *Conn) Match(src, dst ipv4.Endpoint, ifindex uint16) (score int) {
	if c.Local.Port != dst.Port {
		return 0
	}
	score = 1
	if !c.Local.Addr.IsAny() {
		if c.Local.Addr != dst.Addr {
			return 0
		}
		score += 2
	}
	if c.Connected() {
		if c.Remote != src {
			return 0
		}
		score += 4
	}
	if c.Ifindex != 0 {
		if c.Ifindex != ifindex && ifindex != 0 {
			return 0
		}
		score += 2
	}
	return score
}

// Deliver queues a datagram for the reader.
func (c *Conn) Deliver(mem *pkt.Memory, m *Meta, payload []byte) ipv4.Drop {
	if c.Flags&ShutRd != 0 {
		return ipv4.DropUDPBufferFull
	}
	return c.Queue.Push(mem, int(c.RcvBuf), m, payload)
}

// Error notes what an ICMP error that quotes one of c's datagrams says: e from
// ipv4.ICMPErrno, hard or not. It reports whether the application is to learn of
// it, now.
//
// "UDP MUST pass to the application layer all ICMP error messages that it
// receives from the IP layer." RFC 1122 section 4.1.3.3. An application that is
// not connected could not tell whom it is about: as in Linux, it has to ask by
// IP_RECVERR, and soft errors are only for those that did.
func (c *Conn) Error(e errno.Errno, hard bool) bool {
	if e == 0 || c.Flags&RecvErr == 0 && !(hard && c.Connected()) {
		return false
	}
	c.SoftErr = e
	return true
}

// TakeError returns the pending error and clears it.
func (c *Conn) TakeError() errno.Errno {
	e := c.SoftErr
	c.SoftErr = 0
	return e
}
