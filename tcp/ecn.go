package tcp

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// ECNMode says when explicit congestion notification (RFC 3168) is used: the values of Linux's
// net.ipv4.tcp_ecn by another count, so that its default is zero.
type ECNMode uint8

const (
	ECNAnswer ECNMode = iota // when the peer asks: tcp_ecn = 2
	ECNAsk                   // we ask as well: tcp_ecn = 1
	ECNOff                   // never: tcp_ecn = 0
)

// What Conn.ecn is.
const (
	ecnOK     = 1 << iota // negotiated, or asked for
	ecnEcho               // a packet was marked: ECE on every ACK until CWR arrives
	ecnCWR                // the next new data says that the window was reduced
	ecnWindow             // no further reduction until more than cc.recover is acknowledged
	ecnMarked             // and that is so for ECE, not for a loss
	ecnECT                // the segment that Output returns has new data
	ecnHold               // the window is one segment, and still too large: wait for the timer
)

// Codepoints of the IPv4 header.
const (
	ect0 = 2
	ce   = 3
)

// synECN returns the flags that negotiate ECN in our SYN: "an ECN-setup SYN packet" has ECE and
// CWR, "an ECN-setup SYN-ACK packet" only ECE (RFC 3168 section 6.1.1). A SYN that is sent again
// asks for nothing, for it may be what asks that is dropped (section 6.1.1.1).
func (c *Conn) synECN() Flags {
	switch {
	case c.ecn[:][0]&ecnOK == 0:
		return 0
	case c.state == SynReceived:
		return ECE
	case c.flags&flagSynLost != 0:
		return 0
	}
	return ECE | CWR
}

// asksECN reports whether s is an ECN-setup SYN. One with a codepoint, which no SYN may have, has
// come through a network that makes its own use of these bits: Linux does not trust it either.
func (s *Segment) asksECN() bool { return s.Flags&(ECE|CWR) == ECE|CWR && s.ECN == 0 }

// negotiateECN takes the peer's SYN or SYN-ACK. Its flags mean nothing else.
func (c *Conn) negotiateECN(s *Segment) {
	if ok := s.Flags&(ECE|CWR) == ECE; s.Flags&ACK != 0 && !ok || s.Flags&ACK == 0 && !s.asksECN() {
		c.ecn[:][0] = 0
	}
	s.Flags &^= ECE | CWR
}

// inputMarked takes a segment with data that lies in the window, as a receiver: after CE, "that TCP
// receiver continues to set the ECN-Echo flag in all the ACK packets it sends [...] until it
// receives a CWR packet" (section 6.1.3), which may be marked, too. Both are acknowledged without
// delay, since the peer's window may be small (so does Linux).
func (c *Conn) inputMarked(s *Segment) {
	e := &c.ecn[:][0]
	if *e&ecnOK == 0 {
		return
	}
	if s.Flags&CWR != 0 {
		*e &^= ecnEcho
		c.rcv.acks = max(c.rcv.acks, 1)
	}
	if s.ECN == ce {
		if *e&ecnEcho == 0 {
			c.rcv.quick = max(c.rcv.quick, 2)
		}
		*e |= ecnEcho
	}
}

// inputEcho takes an ACK that is not an old one, before anything else does. ECE is to "be treated
// just as a congestion loss", but not "more than once every window of data" (section 6.1.2). So
// the window is reduced as for a loss, by CUBIC to 0.7, as Linux has it, not to RFC 8511's 0.85.
func (c *Conn) inputEcho(s *Segment) {
	e := &c.ecn[:][0]
	if *e&ecnWindow != 0 && before(c.cc.recover, s.Ack) {
		*e &^= ecnWindow | ecnMarked
	}
	if s.Flags&ECE == 0 || *e&ecnOK == 0 {
		return
	}
	// "The sending TCP SHOULD NOT increase the congestion window in response to the receipt of
	// an ECN-Echo ACK packet."
	c.flags &^= flagCwndLimited
	if c.flags&(flagRecovery|flagLoss) != 0 || *e&ecnWindow != 0 {
		c.ecnConfirms()
		return
	}
	r, mss := &c.cc, uint32(c.snd.mss)
	w := r.cwnd
	// "the sending TCP MUST reset the retransmit timer on receiving the ECN-Echo packet when the
	// congestion window is one. The sending TCP will then be able to send a new packet only when
	// the retransmit timer expires." Not so Linux, whose window is never below two.
	if w <= mss {
		*e |= ecnHold
	}
	r.ssthresh = c.lowered(w)
	r.cwnd = r.ssthresh
	// ssthresh is at least two segments, the window one (RFC 9438 section 4.6).
	if r.ssthresh == 2*mss {
		r.cwnd = min(r.cwnd, max(w/2, mss))
	}
	r.acked = 0
	r.recover = c.snd.nxt
	*e |= ecnMarked
}

// ecnReduced notes that the congestion window is reduced: "for any reason (because of a
// retransmit timeout, a Fast Retransmit, or in response to an ECN Notification), the TCP sender
// sets the CWR flag in the TCP header of the first new data packet sent after" (section 6.1.2).
// The peer echoes until it has that, so what is sent before, up to the recover that the caller
// sets, can't call for another reduction.
func (c *Conn) ecnReduced() {
	e := &c.ecn[:][0]
	if *e&ecnOK != 0 {
		*e = *e&^ecnMarked | ecnCWR | ecnWindow
	}
}

// ecnAnswered reports whether the window was reduced for ECE less than a window of data ago.
func (c *Conn) ecnAnswered() bool {
	return c.ecn[:][0]&ecnMarked != 0 && !before(c.cc.recover, c.snd.una)
}

// ecnForgives reports whether a loss is no reason to reduce the window, since ECE was: once, as
// "if any retransmitted packets are dropped", that is "a new instance of congestion" (section
// 6.1.2).
func (c *Conn) ecnForgives() bool {
	ok := c.ecnAnswered()
	c.ecn[:][0] &^= ecnMarked
	return ok
}

// ecnUndone follows the undoing of a reduction that was for a loss that was none.
func (c *Conn) ecnUndone() { c.ecn[:][0] &^= ecnCWR | ecnWindow | ecnMarked }

// ecnConfirms takes ECE while the answer to a loss is under way: even if that was none, there was
// congestion, and the reduction stays.
func (c *Conn) ecnConfirms() {
	if c.selective() {
		sackOf(c).prr.back = 0
	}
	if feature.FRTO && c.frto[:][0] != frtoNone {
		c.frtoEnd()
	}
}

// ecnCapable makes the segment in progress ECN-capable. Only new data is: "ECN-capable TCP
// implementations MUST NOT set either ECT codepoint" in retransmissions (section 6.1.5), nor in
// pure ACKs and window probes (6.1.4, 6.1.6); and not where we have also sent a SYN that did not
// ask (6.1.1).
func (c *Conn) ecnCapable() {
	if e := &c.ecn[:][0]; *e&ecnOK != 0 && c.flags&(flagActive|flagSynLost) != flagActive|flagSynLost {
		*e |= ecnECT
	}
}

// outputECN sets the flags of a segment that has a header h and flags f.
func (c *Conn) outputECN(h []byte, f Flags) {
	e := &c.ecn[:][0]
	if *e&ecnEcho != 0 && f&(ACK|RST) == ACK {
		h[13] |= byte(ECE)
	}
	if *e&(ecnECT|ecnCWR) == ecnECT|ecnCWR {
		h[13] |= byte(CWR)
		*e &^= ecnCWR
	}
}

// ecnHolds reports whether new data has to wait for the timer that ends ecnHold, of which force
// says that it has.
func (c *Conn) ecnHolds(now pkt.Time, force bool) bool {
	e := &c.ecn[:][0]
	if force {
		*e &^= ecnHold
	}
	if *e&ecnHold == 0 {
		return false
	}
	if c.snd.una == c.snd.nxt {
		c.armPersist(now, c.rtt.rto())
	}
	return true
}

// Codepoint returns what the low two bits of the TOS of the segment are to be that Output has
// just returned: 2, ECT(0), or 0 (feature ecn).
func (c *Conn) Codepoint() uint8 {
	if c.ecn[:][0]&ecnECT != 0 {
		return ect0
	}
	return 0
}
