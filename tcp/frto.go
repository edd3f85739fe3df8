package tcp

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// What Conn.frto is: steps of RFC 5682 section 2.1 and, with SACK, 3.1.
const (
	frtoNone  = iota
	frtoFirst // step 2: the first segment is sent again, its ACK awaited
	frtoNew2  // step 3: two segments of new data may be sent
	frtoNew1  // one
	frtoLast  // none: the ACK that follows decides
	frtoIdle  // nothing; the state is kept for the next timeout
)

// frtoState is what a timeout has changed, should it have been for nothing.
type frtoState struct {
	_ [0]func() // not comparable

	end      uint32 // snd.nxt at the timeout: "recover"
	cwnd     uint32
	ssthresh uint32 // RFC 4015's pipe_prev: at least what was in flight
	sacked   uint32 // bytes SACKed at the timeout
	cubic    cubicState
}

func frtoOf(c *Conn) *frtoState { return *(**frtoState)(unsafe.Pointer(&c.start)) }

// frtoTimeout is step 1, before the windows are reduced. A timeout in the recovery from another,
// or in fast recovery, is taken as it is.
func (c *Conn) frtoTimeout() {
	step := &c.frto[:][0]
	if *step != frtoNone && *step != frtoIdle { // again: the windows are those from before the first
		*step = frtoFirst
		return
	}
	s := &c.snd
	if c.flags&(flagRecovery|flagLoss) != 0 || before(s.rtx, s.rtxEnd) || s.una == s.nxt {
		return
	}
	if *step == frtoNone { // what is there is of the first slow start, which is over
		c.start[:][0] = unsafe.Pointer(new(frtoState))
	}
	*step = frtoFirst
	f := frtoOf(c)
	*f = frtoState{end: s.nxt, cwnd: c.cc.cwnd, ssthresh: max(c.cc.ssthresh, c.flight())}
	if c.selective() {
		f.sacked = sackOf(c).sacked
	}
	if feature.CUBIC && cubicOf(c) != nil {
		f.cubic = *cubicOf(c)
	}
}

func (c *Conn) frtoEnd() { c.frto[:][0] = frtoIdle }

// frtoAck takes an ACK of n new bytes, or a duplicate one.
func (c *Conn) frtoAck(now pkt.Time, n uint32) {
	s := &c.snd
	switch step := c.frto[:][0]; {
	case step == frtoNone || step == frtoIdle:
	case !before(s.una, frtoOf(c).end):
		// All is acknowledged: as likely by the retransmission as without it.
		c.frtoEnd()
	case step == frtoFirst:
		// "When a new acknowledgment arrives" for the retransmission, "transmit up to two new
		// (previously unsent) segments". Without any, nothing can be learned.
		switch {
		case n == 0 && c.selective(): // stay in step 2
		case n == 0 || s.end == s.nxt || !before(s.nxt, s.una+s.wnd):
			c.frtoEnd()
		default:
			c.frto[:][0] = frtoNew2
		}
	case n > 0 || c.frtoSacked() > frtoOf(c).sacked:
		// It acknowledges data that was not sent again after the timeout: that was spurious.
		c.frtoUndo(now, n)
	default:
		// A duplicate, or just the new data has arrived: the timeout was for good reason. "set the
		// congestion window to no more than 3 * MSS, and continue with the slow start algorithm".
		c.cc.cwnd = min(c.cc.cwnd, 3*uint32(s.mss))
		c.frtoEnd()
	}
}

// frtoSacked returns how much of what was sent before the timeout, and only then, the peer
// reports to have.
func (c *Conn) frtoSacked() (n uint32) {
	if !c.selective() {
		return 0
	}
	v := sackOf(c).runs()
	for i := range v {
		if r := &v[i]; r.is&(runSacked|runResent) == runSacked && before(r.lo, frtoOf(c).end) {
			n += r.hi - r.lo
		}
	}
	return n
}

// frtoUndo takes the timeout back: nothing is lost, and the windows are what they were, as far as
// that sends no burst: "SND.CWND <- FlightSize + min(bytes_acked, IW)" and "ssthresh <-
// pipe_prev" (RFC 4015 section 3.2); CUBIC's too (RFC 9438 section 4.9).
func (c *Conn) frtoUndo(now pkt.Time, n uint32) {
	f := frtoOf(c)
	c.frtoEnd()
	if f.ssthresh == infinite { // the first slow start goes on
		c.frto[:][0], c.start[:][0] = frtoNone, nil
	}
	s := &c.snd
	mss := uint32(s.mss)
	if c.selective() {
		st := sackOf(c)
		v := st.runs()
		for i := range v {
			v[i].is &^= runLost
		}
		st.lost = 0
		c.flags &^= flagLoss
	}
	s.rtx, s.rtxEnd = s.nxt, s.nxt
	c.cc.recover = s.una - 1
	c.cc.ssthresh = f.ssthresh
	c.cc.cwnd = min(max(f.cwnd, c.cc.cwnd), c.flight()+max(min(n, initialWindow(mss)), mss))
	if feature.CUBIC && cubicOf(c) != nil {
		*cubicOf(c) = f.cubic
	}
	if feature.ECN {
		c.ecnUndone()
	}
	c.retries = 0
	c.timer.rtxAt = now + c.rtt.rto()
}

// frtoWaits reports whether F-RTO says what to send: new data, which is then in b, or nothing
// until the next ACK.
func (c *Conn) frtoWaits(now pkt.Time, b *pkt.Buf) bool {
	step := &c.frto[:][0]
	switch *step {
	case frtoNew2, frtoNew1:
		rtx, end := c.snd.rtx, c.snd.rtxEnd
		if c.sendNew(now, b) {
			c.snd.rtx, c.snd.rtxEnd = rtx, end // still to be sent again, if it comes to that
			*step++
			return true
		}
		if *step == frtoNew2 {
			c.frtoEnd()
			return false
		}
		*step = frtoLast
	case frtoLast:
	default:
		return false
	}
	return true
}
