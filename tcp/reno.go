package tcp

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

const infinite = 1 << 30

// maxStretch is how many segments one ACK may stand for.
const maxStretch = 8

// reno is the congestion control of RFC 5681 with NewReno's recovery (RFC 6582):
// what is left when nothing better is in the build. All counts are in bytes.
type reno struct {
	cwnd     uint32
	ssthresh uint32
	acked    uint32 // acknowledged in congestion avoidance since the last increase
	recover  uint32 // sequence number that ends recovery
	sentAt   uint32 // when data was last sent, in ms
}

// open sets the initial window: "min (10*MSS, max (2*MSS, 14600))" (RFC 6928
// section 2), or one segment if our SYN was lost (RFC 5681 section 3.1). Minimal
// starts with RFC 5681's.
func (r *reno) open(c *Conn, synLost bool) {
	mss := uint32(c.snd.mss)
	r.ssthresh = infinite
	r.recover = c.snd.una - 1
	r.cwnd = initialWindow(mss)
	if synLost {
		r.cwnd = mss
	}
}

func initialWindow(mss uint32) uint32 {
	if feature.Profile == feature.Minimal {
		return min(4*mss, max(2*mss, 4380))
	}
	return min(10*mss, max(2*mss, 14600))
}

// onAck takes an ACK of n new bytes: recovery goes on with it, or the window
// opens.
func (r *reno) onAck(now pkt.Time, c *Conn, n uint32) {
	if c.flags&flagRecovery != 0 {
		r.partialAck(c, n)
		return
	}
	c.dupacks = 0
	r.recover = maxSeq(r.recover, c.snd.una-1) // never 2^31 behind
	r.grow(now, c, n)
}

// grow opens the window for n acknowledged bytes (RFC 5681 section 3.1), which it counts
// up to maxStretch segments an ACK: RFC 3465 with a larger L, since peers that take in
// batches acknowledge them at once. While the window is not what holds data back, it
// says nothing about the path, and stays (RFC 7661).
func (r *reno) grow(now pkt.Time, c *Conn, n uint32) {
	mss := uint32(c.snd.mss)
	if c.flags&flagCwndLimited == 0 {
		if feature.CUBIC {
			c.cubicIdle(now)
		}
		return
	}
	if r.cwnd < r.ssthresh {
		n = min(n, maxStretch*mss)
		if feature.HyStart && r.ssthresh == infinite && c.selective() {
			n = c.hystart(n)
		}
		r.cwnd += n
		return
	}
	if feature.CUBIC {
		c.cubicGrow(now, n)
		return
	}
	r.acked += n
	if r.acked >= r.cwnd {
		r.acked -= r.cwnd
		r.cwnd += mss
	}
}

// partialAck is RFC 6582 section 3.2 step 3.
func (r *reno) partialAck(c *Conn, n uint32) {
	mss := uint32(c.snd.mss)
	s := &c.snd
	if !before(s.una, r.recover) {
		// "Set cwnd to [...] min (ssthresh, max(FlightSize, SMSS) + SMSS)": never a burst.
		r.cwnd = min(r.ssthresh, max(s.nxt-s.una, mss)+mss)
		c.dupacks = 0
		c.flags &^= flagRecovery
		return
	}
	// "retransmit the first unacknowledged segment. Deflate the congestion window by
	// the amount of new data acknowledged [...] if the partial ACK acknowledges at
	// least one SMSS of new data, then add back SMSS bytes".
	if !before(s.una, s.rtx) { // else it is a piece of what was just sent again: ACK splitting
		s.rtx, s.rtxEnd = s.una, s.una+min(mss, s.nxt-s.una)
	}
	r.cwnd -= min(n, r.cwnd)
	if n >= mss {
		r.cwnd += mss
	}
	r.cwnd = max(r.cwnd, mss)
}

// onDupAck is RFC 5681 section 3.2 with RFC 3042 and RFC 6582 section 3.2 step 2.
func (r *reno) onDupAck(now pkt.Time, c *Conn) {
	s := &c.snd
	mss := uint32(s.mss)
	if c.flags&flagRecovery != 0 {
		r.cwnd += mss // another segment has left the network
		return
	}
	c.dupacks += min(1, 255-c.dupacks)
	// "the Cumulative Acknowledgment field covers more than recover": else these
	// are echoes of what a timeout has sent again.
	if c.dupacks != 3 || before(s.una-1, r.recover) && !(feature.ECN && c.ecnAnswered()) {
		return
	}
	if feature.PLPMTUD && c.probeLost(now) {
		s.rtx, s.rtxEnd = s.una, s.una+min(uint32(holeOf(c).high), s.nxt-s.una)
		return
	}
	r.ssthresh = r.reduced(c)
	r.cwnd = r.ssthresh + 3*mss
	r.recover = s.nxt
	r.acked = 0
	c.flags |= flagRecovery
	c.flags &^= flagTiming
	s.rtx, s.rtxEnd = s.una, s.una+min(mss, s.nxt-s.una)
}

// reduced returns ssthresh after a loss: "max (FlightSize / 2, 2*SMSS)" (RFC 5681
// section 3.1, equation 4).
func (r *reno) reduced(c *Conn) uint32 {
	if feature.ECN && c.ecnForgives() {
		return r.ssthresh
	}
	flight := c.snd.nxt - c.snd.una
	if !c.selective() {
		flight = c.flight()
	}
	// "When [RFC3042] is in use, additional data sent in limited transmit MUST NOT be
	// included in this calculation": it is what goes beyond cwnd.
	return c.lowered(min(flight, r.cwnd))
}

// lowered returns what a loss leaves of a window of n bytes.
func (c *Conn) lowered(n uint32) uint32 {
	if feature.ECN {
		c.ecnReduced()
	}
	n2 := n / 2
	if feature.CUBIC {
		n2 = c.cubicReduced(n)
	}
	return max(n2, 2*uint32(c.snd.mss))
}

// limitedTransmit returns how much may be sent beyond cwnd: "On the first and second
// duplicate ACKs received at a sender, a TCP SHOULD send a segment of previously
// unsent data" (RFC 5681 section 3.2, RFC 3042).
func (r *reno) limitedTransmit(c *Conn) uint32 {
	if c.flags&flagRecovery != 0 {
		return 0
	}
	return uint32(min(c.dupacks, 2)) * uint32(c.snd.mss)
}

// timeout is RFC 5681 section 3.1, equation 4, and RFC 6582 section 3.2 step 4.
func (r *reno) timeout(c *Conn) {
	s := &c.snd
	mss := uint32(s.mss)
	// "when a TCP sender detects segment loss using the retransmission timer and
	// the given segment has already been retransmitted [...] ssthresh is held
	// constant".
	// In fast recovery by SACK it is the answer to the loss of this flight already; the
	// window that proportional rate reduction has left is no measure of the path.
	if c.retries == 1 && !(c.selective() && c.flags&flagRecovery != 0) {
		r.ssthresh = r.reduced(c)
	}
	if feature.CUBIC {
		c.cubicTimeout()
	}
	if feature.ECN {
		c.ecnReduced()
	}
	r.cwnd = mss
	r.acked = 0
	c.dupacks = 0
	r.recover = s.nxt
	c.flags &^= flagRecovery
}

// idle restarts: "a TCP SHOULD set cwnd to no more than RW before beginning
// transmission if the TCP has not sent data in an interval exceeding the
// retransmission timeout" (RFC 5681 section 4.1).
func (r *reno) idle(c *Conn, now pkt.Time) {
	if feature.CUBIC {
		c.cubicIdle(now)
	}
	if sinceMs(now, c.cc.sentAt) > c.rtt.rto() {
		r.cwnd = min(r.cwnd, initialWindow(uint32(c.snd.mss)))
	}
}
