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
	firstRtx uint32   // if retries > 0: when the segment at una was first sent, in ms
	lastRcv  uint32   // of any acceptable segment, in ms
}

// ticks returns now in ms. Differences are good for 49 days: after that an idle
// connection seems to have been idle for less, and is none the worse for it.
func ticks(now pkt.Time) uint32 { return uint32(now / pkt.Millisecond) }

// sinceMs returns the time since ticks was at.
func sinceMs(now pkt.Time, at uint32) pkt.Time { return pkt.Time(ticks(now)-at) * pkt.Millisecond }

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
	at := min(t.rtxAt, t.ackAt, t.lifeAt)
	if feature.Pacing {
		at = min(at, c.release())
	}
	return at
}

// Timeout does what is due at now.
func (c *Conn) Timeout(now pkt.Time) {
	t := &c.timer
	if feature.Pacing {
		c.unhold()
	}
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
	if c.retries == 0 {
		t.firstRtx = ticks(now - c.rtt.rto())
	}
	// "As long as the receiving TCP peer continues to send acknowledgments in response
	// to the probe segments, the sending TCP peer MUST allow the connection to stay open"
	// (RFC 9293 section 3.8.6.1, MUST-37): silence counts, not retransmissions, and not that
	// of one answer that was lost.
	if s.wnd != 0 || c.state == SynSent || sinceMs(now, t.lastRcv) >= 4*maxRTO*pkt.Microsecond {
		if c.givenUp(now) {
			e := errno.ETIMEDOUT
			if c.soft != 0 {
				e = c.soft
			}
			c.fail(e)
			return
		}
	}
	if c.retries < 255 {
		c.retries++
	}
	c.rtt.expired()
	t.rtxAt = now + c.rtt.rto()
	if u := pkt.Time(c.Options.UserTimeout)*pkt.Millisecond - sinceMs(now, t.firstRtx); u > 0 {
		t.rtxAt = min(t.rtxAt, now+u) // on time, not when the next retransmission is due
	}
	if feature.Listen && c.state == SynReceived && c.probes&deferAcked != 0 {
		c.deferTimeout()
		return
	}
	c.flags &^= flagTiming // Karn: no sample from what is sent twice
	if c.state == SynSent || c.state == SynReceived {
		c.flags |= flagSynPending | flagSynLost
		return
	}
	if feature.PLPMTUD {
		c.blackHole(now)
	}
	if feature.FRTO {
		c.frtoTimeout()
	}
	c.cc.timeout(c)
	if c.selective() {
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
		if feature.TCPOpts {
			limit = c.SynRetries()
		}
		if feature.Listen && c.probes&deferAcked != 0 {
			limit = max(limit, c.probes&^deferAcked)
		}
	case c.flags&flagOrphan != 0:
		limit = c.env.OrphanRetries
	}
	if u := pkt.Time(c.Options.UserTimeout) * pkt.Millisecond; u != 0 {
		return sinceMs(now, t.firstRtx) >= u
	}
	return c.retries >= limit
}

// persistTimeout sends a window probe and backs off: "SHOULD increase exponentially
// the interval between successive probes" (RFC 9293 section 3.8.6.1, SHLD-30).
func (c *Conn) persistTimeout(now pkt.Time) {
	t := &c.timer
	limit := c.env.Retries2
	if c.flags&flagOrphan != 0 {
		limit = c.env.OrphanRetries
	}
	if u := pkt.Time(c.Options.UserTimeout) * pkt.Millisecond; c.probes >= limit || u != 0 && c.probes > 0 && sinceMs(now, t.lastRcv) >= u {
		c.fail(errno.ETIMEDOUT)
		return
	}
	c.probes++
	if c.retries < 255 {
		c.retries++
	}
	t.rtxAt = now + c.rtt.backoff(c.retries)
	c.flags |= flagProbe
}

// armPersist starts the persist timer, unless one runs.
func (c *Conn) armPersist(now pkt.Time, d pkt.Time) {
	if c.timer.rtxAt == pkt.Never {
		c.flags |= flagPersist
		c.retries = 0
		c.timer.rtxAt = now + d
	}
}

// armRetransmit starts the retransmission timer: "Every time a packet
// containing data is sent (including a retransmission), if the timer is not
// running, start it" (RFC 6298 section 5.1).
func (c *Conn) armRetransmit(now pkt.Time) {
	if c.timer.rtxAt == pkt.Never || c.flags&flagPersist != 0 {
		c.flags &^= flagPersist
		c.retries = 0
		c.timer.rtxAt = now + c.rtt.rto()
	}
}

// Retries returns how often the oldest segment has been retransmitted by
// timeout. From 3 on (R1) the route and the neighbour are in doubt (RFC 9293 section
// 3.8.3).
func (c *Conn) Retries() int { return int(c.retries) }
