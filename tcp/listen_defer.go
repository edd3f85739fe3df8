package tcp

import "github.com/bonsainet/bonsai/internal/pkt"

// A passive open that waits for data (TCP_DEFER_ACCEPT, feature listen). In SYN-RECEIVED, where
// there is no window to probe, Conn.probes holds how often the SYN-ACK would have to time out
// before the peer's ACK counts without data, and deferAcked once that ACK has come. rtt.seq is
// then the round trip that it measured, in us.
const deferAcked = 1 << 7

// Defer makes c, after Accept, stay in SYN-RECEIVED until data or a FIN arrives, or for as long as
// n timeouts of the SYN-ACK take: 1, 3, 7 s and so on. More than 127, which are 4 hours, are as many; 0 is not at all.
func (c *Conn) Defer(n uint8) { c.probes = min(n, deferAcked-1) }

// defers reports whether s, an acceptable ACK of our SYN, is to be forgotten, since it brings
// nothing with it.
func (c *Conn) defers(now pkt.Time, s *Segment) bool {
	if len(s.Payload) > 0 || s.Flags&FIN != 0 || c.retries >= c.probes&^deferAcked {
		return false
	}
	if c.probes&deferAcked == 0 {
		c.probes |= deferAcked
		c.rtt.seq = uint32(sinceUs(now, c.rtt.at) / pkt.Microsecond)
	}
	return true
}

// deferTimeout is the timeout of a SYN-ACK that the peer has acknowledged: it only goes out again
// when waiting is over, "to give last chance for data or ACK" (Linux's syn_ack_recalc). Nothing
// is lost: no backoff and no smaller window come of it.
func (c *Conn) deferTimeout() {
	if c.retries >= c.probes&^deferAcked {
		c.flags |= flagSynPending
	}
}

// deferSample takes the round trip of the handshake from the ACK that was forgotten.
func (c *Conn) deferSample() {
	if c.flags&flagTiming != 0 {
		c.flags &^= flagTiming
		c.rtt.sample(pkt.Time(c.rtt.seq) * pkt.Microsecond)
	}
}
