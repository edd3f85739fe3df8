package tcp

import "github.com/bonsainet/bonsai/internal/feature"

// InFlight reports whether seq is the number of something sent and not
// acknowledged.
func (c *Conn) InFlight(seq uint32) bool {
	return !before(seq, c.snd.una) && before(seq, c.snd.nxt)
}

// Resegment sends again at once, in segments of the present size, what is in
// flight: a router could not forward it. "a retransmission caused by a Datagram Too Big
// message should not change the congestion window" (RFC 1191 section 6.4).
func (c *Conn) Resegment() {
	s := &c.snd
	if !c.state.synchronized() || s.una == s.nxt {
		return
	}
	c.flags &^= flagTiming
	if feature.SACK && c.sack != nil {
		sackOf(c).timeout()
		c.flags |= flagLoss // no reduction for these
		c.cc.recover = s.nxt
		return
	}
	s.rtx, s.rtxEnd = s.una, s.nxt
}
