package tcp

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// The application's calls: RFC 9293 section 3.9.1, but for OPEN, which is in conn.go.

// Err returns why the connection failed, once (as SO_ERROR), or 0.
func (c *Conn) Err() errno.Errno {
	e := c.err
	c.err = 0
	return e
}

// SoftErr returns what ICMP last reported about this connection without ending
// it, or 0 (RFC 9293 section 3.9.2.2, SHLD-25).
func (c *Conn) SoftErr() errno.Errno { return c.soft }

// readable returns the number of bytes that are there in sequence.
func (c *Conn) readable() uint32 {
	n := c.rcv.nxt - c.rcv.read
	if n > 0 && c.flags&flagFinRcvd != 0 {
		n--
	}
	return n
}

// Buffered returns the number of bytes that can be read (SIOCINQ).
func (c *Conn) Buffered() int { return int(c.readable()) }

// Unacked returns the number of bytes written that the peer has not
// acknowledged (SIOCOUTQ).
//
//go:noinline
func (c *Conn) Unacked() int {
	n := c.snd.end - c.snd.una
	if c.state == SynSent || c.state == SynReceived {
		n--
	}
	if int32(n) < 0 { // our FIN is acknowledged as well
		n = 0
	}
	return int(n)
}

// Write queues as much of p as the send buffer takes and returns its length;
// the data goes out with the next Output. It returns EAGAIN when nothing fits,
// EPIPE after CloseWrite or when the connection is gone, or why it failed.
func (c *Conn) Write(p []byte) (int, errno.Errno) {
	if c.err != 0 {
		return 0, c.Err()
	}
	switch c.state {
	case Established, CloseWait, SynSent, SynReceived:
	default:
		return 0, errno.EPIPE
	}
	if c.flags&flagFinQueued != 0 {
		return 0, errno.EPIPE
	}
	if len(p) == 0 {
		return 0, 0
	}
	used := uint32(c.Unacked())
	n := uint32(0)
	if b := c.sndBuf(); b > used {
		n = b - used
	}
	if uint64(len(p)) <= uint64(n) {
		n = uint32(len(p))
	} else {
		c.flags |= flagWantWrite
	}
	if feature.TCPOpts {
		n = c.mayQueue(n)
	}
	if c.snd.q.tail == nil && c.env.Mem.Low() {
		c.flags |= flagWantWrite
		c.env.Starved = true // no ACK will tell when to try again: Refill does
		return 0, errno.EAGAIN
	}
	most := c.snd.q.span + c.env.Mem.SendSpare()
	if c.snd.q.tail == nil {
		most = max(most, pkt.ChunkSize)
	}
	if used+n > most {
		n = most - min(most, used)
		c.flags |= flagWantWrite
	}
	last, at := c.snd.q.tail, used+pkt.ChunkSize-c.snd.q.span // where in it the data ends
	if have := c.snd.q.grow(c.env.Mem, used+n); have < used+n {
		n = have - min(have, used)
		c.flags |= flagWantWrite
	}
	if n == 0 {
		return 0, errno.EAGAIN
	}
	if feature.Autotune {
		c.snd.q.fill(last, at, p[:n])
	} else { // a short queue: the cursor is never far away
		c.snd.q.write(used, p[:n])
	}
	c.snd.end += n
	return int(n), 0
}

// Refill makes c Writable if a Write found no memory at all, and reports whether
// one did: there is some again.
func (c *Conn) Refill() bool {
	if c.flags&flagWantWrite == 0 || c.snd.q.tail != nil {
		return false
	}
	c.flags &^= flagWantWrite
	c.events |= Writable
	return true
}

// Read takes up to len(p) bytes that have arrived. It returns 0 and no error at
// the end of the stream, EAGAIN when there is nothing yet, and why the
// connection failed once all data is read.
func (c *Conn) Read(p []byte) (int, errno.Errno) {
	n := c.readable()
	if n == 0 || len(p) == 0 {
		switch {
		case n > 0 || c.flags&(flagFinRcvd|flagReadClosed) != 0:
			return 0, 0
		case c.err != 0:
			return 0, c.Err()
		case c.state == Closed:
			return 0, 0
		}
		return 0, errno.EAGAIN
	}
	if uint64(n) > uint64(len(p)) {
		n = uint32(len(p))
	}
	if feature.Autotune {
		c.rcv.q.front(p[:n])
	} else {
		c.rcv.q.read(0, p[:n])
	}
	c.consume(n)
	return int(n), 0
}

// consume takes n bytes off the receive queue and tells the peer of the room,
// if that is worth a segment.
func (c *Conn) consume(n uint32) {
	if feature.TCPInfo && n > 0 {
		tallyOf(c).read += uint64(n)
	}
	c.rcv.read += n
	left := c.readable()
	if c.rcv.ooo != nil && c.rcv.ooo.n > 0 {
		left++
	}
	c.rcv.q.drop(c.env.Mem, n, left)
	c.updateWindow()
}

// CloseWrite ends our side of the stream once all that was written is sent: the
// half close of RFC 9293 section 3.6.
func (c *Conn) CloseWrite() errno.Errno {
	switch c.state {
	case SynSent, Closed, Listen:
		return errno.ENOTCONN
	}
	if c.flags&flagFinQueued != 0 {
		return 0
	}
	c.flags |= flagFinQueued
	switch c.state {
	case Established:
		c.setState(FinWait1)
	case CloseWait:
		c.setState(LastAck)
	}
	return 0
}

// CloseRead throws away what has arrived and what will: reads see the end of
// the stream.
func (c *Conn) CloseRead() errno.Errno {
	switch c.state {
	case SynSent, Closed, Listen:
		return errno.ENOTCONN
	}
	c.flags |= flagReadClosed
	c.consume(c.readable())
	c.events |= Readable
	return 0
}

// Close says that nobody holds the connection any more: it goes on by itself
// until what was written is acknowledged. "If such a host issues a CLOSE call
// while received data is still pending in TCP, or if new data is received after
// CLOSE is called, its TCP SHOULD send a RST to show that data was lost"
// (RFC 1122 section 4.2.2.13; RFC 2525 section 2.17).
func (c *Conn) Close(now pkt.Time) {
	if c.flags&flagOrphan != 0 {
		return
	}
	lost := c.readable() > 0
	c.flags |= flagOrphan
	switch {
	case c.state == SynSent:
		c.close()
		return
	case lost || c.Options.Linger == 0:
		c.Abort()
		return
	}
	c.CloseWrite()
	c.timer.lifeAt = pkt.Never // of keepalive: from now on it would end the connection
	if c.state == FinWait2 {
		c.awaitFin(now)
	}
	c.dropUnreachable()
}

// awaitFin bounds how long an orphan waits for the peer's FIN.
func (c *Conn) awaitFin(now pkt.Time) {
	c.timer.lifeAt = now + c.env.FinTimeout
	if feature.TCPOpts {
		c.linger2(now)
	}
}

// Abort ends the connection at once; the peer is sent a reset if it knows of
// the connection (RFC 9293 section 3.10.5).
func (c *Conn) Abort() {
	c.flags |= flagOrphan
	switch c.state {
	case SynReceived, Established, FinWait1, FinWait2, CloseWait:
		c.flags |= flagReset
	case Closing, LastAck, TimeWait: // nothing to say: only delete the TCB
		if c.snd.una != c.snd.nxt && c.Options.Linger == 0 {
			c.flags |= flagReset
		}
	}
	c.close()
}

// SetNoDelay turns Nagle's algorithm off or on (TCP_NODELAY).
func (c *Conn) SetNoDelay(on bool) { c.flags = c.flags.set(flagNoDelay, on) }

// SetCork holds back segments that are not full (TCP_CORK), for at most 200 ms.
func (c *Conn) SetCork(on bool) { c.flags = c.flags.set(flagCork, on) }

// NoDelay reports whether Nagle's algorithm is off.
func (c *Conn) NoDelay() bool { return c.flags&flagNoDelay != 0 }

// Cork reports whether segments that are not full are held back.
func (c *Conn) Cork() bool { return c.flags&flagCork != 0 }

func (f flags) set(bit flags, on bool) flags {
	if on {
		return f | bit
	}
	return f &^ bit
}

// MSS returns the payload of a full segment, in bytes.
func (c *Conn) MSS() int { return int(c.snd.mss) }

// SetQuickAck acknowledges the next segments at once, or lets ACKs be delayed
// again (TCP_QUICKACK).
func (c *Conn) SetQuickAck(on bool) {
	c.rcv.quick = 0
	if on {
		c.rcv.quick = maxQuickAcks
		if c.timer.ackAt != pkt.Never {
			c.rcv.acks = max(c.rcv.acks, 1)
		}
	}
}
