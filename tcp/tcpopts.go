package tcp

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// Options that few set (feature tcpopts); without it the setters do nothing.

// SetNotSentLowat bounds what is queued and was never sent (TCP_NOTSENT_LOWAT), in bytes, so
// that what the application writes next is as late as can be: Write takes no more while that much
// waits, and the connection is Writable again when half of it is sent. A full segment is always
// taken when nothing waits. 0: the send buffer is the only bound.
func (c *Conn) SetNotSentLowat(n uint32) {
	if feature.TCPOpts {
		c.snd.low[:][0] = n
	}
}

// NotSentLowat returns what SetNotSentLowat has set.
func (c *Conn) NotSentLowat() uint32 {
	if !feature.TCPOpts {
		return 0
	}
	return c.snd.low[:][0]
}

// mayQueue returns how much of n bytes Write may take.
func (c *Conn) mayQueue(n uint32) uint32 {
	low, unsent := c.snd.low[:][0], c.snd.end-c.snd.nxt
	switch {
	case low == 0:
		return n
	case unsent >= low:
		low = 0
	default:
		low = max(low-unsent, uint32(c.snd.mss))
	}
	if n > low {
		n = low
		c.flags |= flagWantWrite
	}
	return n
}

// notSentLow reports whether so little waits that more is wanted.
func (c *Conn) notSentLow() bool {
	low := c.snd.low[:][0]
	return low == 0 || uint64(c.snd.end-c.snd.nxt)*2 < uint64(low)
}

// wakeLow follows the sending of new data while a writer waits.
func (c *Conn) wakeLow() {
	if c.snd.low[:][0] != 0 && c.notSentLow() && uint32(c.Unacked())*3 <= c.sndBuf()*2 {
		c.flags &^= flagWantWrite
		c.events |= Writable
	}
}

// SetSynRetries sets how often the SYN of this connection is sent again (TCP_SYNCNT); 0: as
// often as Env.SynRetries says.
func (c *Conn) SetSynRetries(n uint8) {
	if feature.TCPOpts {
		c.snd.syns[:][0] = n
	}
}

// SynRetries returns how often that is.
func (c *Conn) SynRetries() uint8 {
	if feature.TCPOpts && c.snd.syns[:][0] != 0 {
		return c.snd.syns[:][0]
	}
	return c.env.SynRetries
}

// SetLinger2 sets how many seconds the connection, once closed, waits for the peer's FIN
// (TCP_LINGER2), up to 120; negative: not at all, the peer is sent a reset; 0: Env.FinTimeout.
func (c *Conn) SetLinger2(seconds int) {
	if feature.TCPOpts {
		c.rcv.fin2[:][0] = int8(min(max(seconds, -1), 120))
	}
}

// Linger2 returns how many seconds that is, -1 for not at all.
func (c *Conn) Linger2() int {
	if feature.TCPOpts && c.rcv.fin2[:][0] != 0 {
		return int(c.rcv.fin2[:][0])
	}
	return int(c.env.FinTimeout / pkt.Second)
}

// linger2 does as SetLinger2 has it: never less than the peer's FIN may need, which Linux
// takes for 3.5 RTO.
func (c *Conn) linger2(now pkt.Time) {
	t := c.rcv.fin2[:][0]
	switch {
	case t < 0:
		c.flags |= flagReset
		c.close()
	case t > 0:
		c.timer.lifeAt = now + max(pkt.Time(t)*pkt.Second, 7*c.rtt.rto()/2)
	}
}

// SetWindowClamp bounds the window that the peer is offered (TCP_WINDOW_CLAMP), in bytes; 0:
// the receive buffer does.
func (c *Conn) SetWindowClamp(n uint32) {
	if feature.TCPOpts {
		c.rcv.clamp[:][0] = n
	}
}

// WindowClamp returns what SetWindowClamp has set.
func (c *Conn) WindowClamp() uint32 {
	if !feature.TCPOpts {
		return 0
	}
	return c.rcv.clamp[:][0]
}

// clamped returns the receive buffer's size or the clamp, whichever is less.
func (c *Conn) clamped() uint32 {
	if n := c.rcv.clamp[:][0]; n != 0 {
		return min(n, c.Options.RcvBuf)
	}
	return c.Options.RcvBuf
}
