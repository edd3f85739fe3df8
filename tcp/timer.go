package tcp

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

const (
	// delayedAck is how long an ACK may wait for company: "the delay MUST be less
	// than 0.5 seconds" (RFC 9293 section 3.8.6.3, MUST-40). Linux begins with 40 ms
	// too.
	delayedAck = 40 * pkt.Millisecond
	// corkTimeout bounds how long TCP_CORK holds a segment.
	corkTimeout = 200 * pkt.Millisecond
)

// timers are a connection's deadlines; pkt.Never when off.
type timers struct {
	_ [0]func() // not comparable

	rtxAt    pkt.Time // retransmission, or persist if flagPersist
	ackAt    pkt.Time // delayed ACK
	lifeAt   pkt.Time // keepalive, or FIN-WAIT-2 of an orphan
	firstRtx pkt.Time // if retries > 0: when the segment at una was first sent
	lastSent pkt.Time // of data
	lastRcv  pkt.Time // of any acceptable segment
	retries  uint8    // timeouts since the last ACK of new data: the backoff
	probes   uint8    // window probes since the peer was last heard
}

func (t *timers) clear() { t.rtxAt, t.ackAt, t.lifeAt = pkt.Never, pkt.Never, pkt.Never }

// stopRetransmit turns the retransmission and persist timers off.
func (t *timers) stopRetransmit(c *Conn) {
	t.rtxAt = pkt.Never
	c.flags &^= flagPersist | flagReo | flagTLP
}

// Deadline returns the time by which Timeout must be called. It is valid after
// Output has returned false.
func (c *Conn) Deadline() pkt.Time {
	t := &c.timer
	return min(t.rtxAt, t.ackAt, t.lifeAt)
}

// Timeout does what is due at now.
func (c *Conn) Timeout(now pkt.Time) {
	t := &c.timer
	if now >= t.ackAt {
		t.ackAt = pkt.Never
		c.rcv.acks = max(c.rcv.acks, 1)
	}
	if now >= t.rtxAt {
		if feature.RACK && c.flags&flagReo != 0 {
			c.rackTimeout(now)
		} else if feature.RACK && c.flags&flagTLP != 0 {
			c.probeTimeout(now)
		} else if c.flags&flagPersist != 0 {
			c.persistTimeout(now)
		} else {
			c.retransmitTimeout(now)
		}
	}
	if now >= t.lifeAt {
		if feature.Keepalive && c.flags&flagOrphan == 0 {
			c.keepaliveTimeout(now)
			return
		}
		c.close()
	}
}

// retransmitTimeout is RFC 6298 section 5.4 to 5.7.
func (c *Conn) retransmitTimeout(now pkt.Time) {
	t, s := &c.timer, &c.snd
	if t.retries == 0 {
		t.firstRtx = now - c.rtt.rto()
	}
	// "As long as the receiving TCP peer continues to send acknowledgments in response
	// to the probe segments, the sending TCP peer MUST allow the connection to stay open"
	// (RFC 9293 section 3.8.6.1, MUST-37): silence counts, not retransmissions.
	if s.wnd != 0 || c.state == SynSent || now-t.lastRcv >= maxRTO*pkt.Microsecond {
		if c.givenUp(now) {
			e := errno.ETIMEDOUT
			if c.soft != 0 {
				e = c.soft
			}
			c.fail(e)
			return
		}
	}
	if t.retries < 255 {
		t.retries++
	}
	c.rtt.expired()
	t.rtxAt = now + c.rtt.rto()
	if u := c.Options.UserTimeout; u != 0 && t.firstRtx+u > now {
		t.rtxAt = min(t.rtxAt, t.firstRtx+u) // on time, not when the next retransmission is due
	}
	c.flags &^= flagTiming // Karn: no sample from what is sent twice
	if c.state == SynSent || c.state == SynReceived {
		c.flags |= flagSynPending | flagSynLost
		return
	}
	c.cc.timeout(c)
	if feature.SACK && c.sack != nil {
		sackOf(c).timeout()
		c.flags = c.flags&^flagTLPOut | flagLoss
		return
	}
	s.rtx, s.rtxEnd = s.una, s.nxt
}

// givenUp reports whether R2 is reached (RFC 9293 section 3.8.3, MUST-20, 21 and
// 23; RFC 5482 for the user's own bound).
func (c *Conn) givenUp(now pkt.Time) bool {
	t := &c.timer
	limit := c.env.Retries2
	switch {
	case c.state == SynSent || c.state == SynReceived:
		limit = c.env.SynRetries
	case c.flags&flagOrphan != 0:
		limit = c.env.OrphanRetries
	}
	if u := c.Options.UserTimeout; u != 0 {
		return now-t.firstRtx >= u
	}
	return t.retries >= limit
}

// persistTimeout sends a window probe and backs off: "SHOULD increase exponentially
// the interval between successive probes" (RFC 9293 section 3.8.6.1, SHLD-30).
func (c *Conn) persistTimeout(now pkt.Time) {
	t := &c.timer
	limit := c.env.Retries2
	if c.flags&flagOrphan != 0 {
		limit = c.env.OrphanRetries
	}
	if u := c.Options.UserTimeout; t.probes >= limit || u != 0 && t.probes > 0 && now-t.lastRcv >= u {
		c.fail(errno.ETIMEDOUT)
		return
	}
	t.probes++
	if t.retries < 255 {
		t.retries++
	}
	t.rtxAt = now + c.rtt.backoff(t.retries)
	c.flags |= flagProbe
}

// armPersist starts the persist timer, unless one runs.
//
//go:noinline
func (c *Conn) armPersist(now pkt.Time, d pkt.Time) {
	if c.timer.rtxAt == pkt.Never {
		c.flags |= flagPersist
		c.timer.retries = 0
		c.timer.rtxAt = now + d
	}
}

// armRetransmit starts the retransmission timer: "Every time a packet
// containing data is sent (including a retransmission), if the timer is not
// running, start it" (RFC 6298 section 5.1).
func (c *Conn) armRetransmit(now pkt.Time) {
	if c.timer.rtxAt == pkt.Never || c.flags&flagPersist != 0 {
		c.flags &^= flagPersist
		c.timer.retries = 0
		c.timer.rtxAt = now + c.rtt.rto()
	}
}

// Retries returns how often the oldest segment has been retransmitted by
// timeout. From 3 on (R1) the route and the neighbour are in doubt (RFC 9293 section
// 3.8.3).
func (c *Conn) Retries() int { return int(c.timer.retries) }
