package tcp

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// prrState is proportional rate reduction (RFC 9937): it spreads the reduction of
// the window over a round trip, and never sends a burst.
type prrState struct {
	delivered uint32 // bytes since recovery began
	out       uint32 // bytes sent since
	flight    uint32 // RecoverFS: bytes in flight when it began

	from, to uint32 // what was in flight then
	resent   uint32 // segments sent again since that are not known to have arrived twice; 0: no undoing
	back     uint32 // ssthresh, should all of them have been for nothing
}

// sackAck follows an ACK, after snd.una has moved by n: find losses, begin or end
// recovery, and set the congestion window. plain says that it is a duplicate without
// blocks.
func (c *Conn) sackAck(now pkt.Time, n uint32, plain bool) {
	st := sackOf(c)
	lost := st.lost // before this ACK
	if st.sacked != 0 {
		st.plain = 0
	} else if plain || st.plain > 0 && n > 0 {
		c.plainAck(now, n)
	}
	if st.plain >= 3 { // what RACK would make of these ACKs is that all of a flight is lost
	} else if feature.RACK {
		c.rackAck(now, n)
	} else {
		st.detect(uint32(c.snd.mss))
	}
	ended := c.flags&(flagRecovery|flagLoss) != 0 && !before(c.snd.una, c.cc.recover)
	if ended {
		c.endRecovery()
	}
	wnd := c.cc.cwnd
	switch {
	case c.flags&flagRecovery != 0:
		if st.twice {
			c.reduceAgain(now)
		}
		c.prrAck(n > 0 && st.lost <= lost)
	case feature.PLPMTUD && st.lost > 0 && c.flags&flagLoss == 0 && c.probeLost(now):
		c.flags |= flagLoss // sent again, without a reduction
		c.cc.recover = c.snd.nxt
	case st.lost > 0 && c.flags&flagLoss == 0:
		if c.beginRecovery(now); ended {
			// Another loss at the end of the last recovery, where for want of data next to nothing
			// may be in flight: that is no measure of the path.
			c.cc.ssthresh = c.lowered(wnd)
		}
		c.prrAck(false)
	case n > 0:
		c.cc.recover = maxSeq(c.cc.recover, c.snd.una-1)
		c.cc.grow(now, c, n)
		if ended {
			// Where there was nothing to send meanwhile, the whole window would go out at once and
			// overrun the queue again: slow start leads there.
			c.cc.cwnd = min(c.cc.cwnd, c.flight()+initialWindow(uint32(c.snd.mss)))
		}
	}
	if c.snd.una == c.snd.nxt {
		st.release(c.env)
	}
}

// plainAck takes an ACK that moved snd.una by n, or a duplicate if that is 0, of a peer that
// has ceased to send SACK blocks, which some do after their FIN. Three duplicates count as
// without SACK (RFC 5681 section 3.2), and so do partial ACKs (RFC 6582 section 3.2).
func (c *Conn) plainAck(now pkt.Time, n uint32) {
	st, mss := sackOf(c), uint32(c.snd.mss)
	switch {
	case n > 0 && (c.flags&flagRecovery == 0 || !before(c.snd.una, c.cc.recover)):
		st.plain = 0
		return
	case n == 0 && c.flags&flagLoss != 0, n == 0 && st.plain == 0 && c.flags&flagTLPOut != 0,
		n == 0 && st.plain < 3 && before(c.snd.una-1, c.cc.recover) && !(feature.ECN && c.ecnAnswered()): // echoes of what was sent again
		return
	case n == 0:
		// Without SACK each stands for a segment that was delivered (RFC 9937 section 6).
		c.env.ack.delivered = mss
		st.plain += uint8(min(3-st.plain, 1))
		if st.plain < 3 || c.flags&flagRecovery != 0 {
			return
		}
	case st.plain < 3:
		return
	}
	if v := st.runs(); len(v) > 0 { // the first segment in flight is lost
		if v[0].hi-v[0].lo > mss {
			st.board.split(0, v[0].lo+mss)
		}
		st.lose(&st.runs()[0])
	}
}

// beginRecovery reduces the window once for all losses of this flight.
func (c *Conn) beginRecovery(now pkt.Time) {
	st := sackOf(c)
	back := max(c.cc.ssthresh, c.cc.cwnd)
	c.cc.ssthresh = c.cc.reduced(c)
	c.cc.recover = c.snd.nxt
	c.flags |= flagRecovery
	c.flags &^= flagTiming
	st.prr = prrState{
		flight: max(c.snd.nxt-c.snd.una-st.sacked+c.env.ack.delivered, 1),
		from:   c.snd.una, to: c.snd.nxt, back: back,
	}
	st.reduced, st.twice = now, false
}

// reduceAgain answers "the loss of a retransmission": it is to "be taken as two indications
// of congestion and, therefore, cwnd (and ssthresh) MUST be lowered twice in this case" (RFC
// 5681 section 4.3). After a start that was too fast by half, one reduction leaves more than
// the path holds. Only what was sent since the last reduction counts.
func (c *Conn) reduceAgain(now pkt.Time) {
	st := sackOf(c)
	r := &c.cc
	r.cwnd = r.ssthresh
	r.ssthresh = c.lowered(r.cwnd) // whatever is in flight: there may be nothing to send
	p := &st.prr
	p.delivered, p.out, p.flight, st.reduced = 0, 0, max(c.flight(), 1), now
	st.twice = false
}

// undo takes a D-SACK of [lo, hi). When all that recovery has sent again had arrived the first
// time, nothing was lost, and the window was reduced for nothing: it is restored (RFC 9438
// section 4.9.2), here by slow start up to it (RFC 4015 section 3).
func (c *Conn) undo(lo, hi uint32) {
	st := sackOf(c)
	p := &st.prr
	if p.resent == 0 || c.flags&flagTLPResent != 0 || before(lo, p.from) || before(p.to, hi) {
		return
	}
	if p.resent--; p.resent > 0 || st.lost > 0 {
		return
	}
	if c.flags&flagRecovery != 0 {
		c.flags &^= flagRecovery
		c.cc.cwnd = c.flight() + uint32(c.snd.mss)
	}
	c.cc.ssthresh = max(c.cc.ssthresh, p.back)
	if feature.ECN && p.back != 0 {
		c.ecnUndone()
	}
	c.flags |= flagReordering // for RACK: three segments out of order are no loss here
}

func (c *Conn) endRecovery() {
	if c.flags&flagRecovery != 0 {
		c.cc.cwnd = c.cc.ssthresh // what the reduction was for (RFC 9937 section 6)
	}
	c.flags &^= flagRecovery | flagLoss
}

// prrAck sets the window for what this ACK lets out: RFC 9937 section 6. safe says
// that it moved snd.una and showed no new loss.
func (c *Conn) prrAck(safe bool) {
	st := sackOf(c)
	p := &st.prr
	mss := uint32(c.snd.mss)
	p.delivered += c.env.ack.delivered
	pipe := c.flight()
	var n uint32
	if pipe > c.cc.ssthresh {
		n = uint32((uint64(p.delivered)*uint64(c.cc.ssthresh) + uint64(p.flight) - 1) / uint64(p.flight))
		n -= min(n, p.out)
	} else {
		n = max(p.delivered-min(p.out, p.delivered), c.env.ack.delivered)
		if safe {
			n += mss
		}
		n = min(n, c.cc.ssthresh-pipe)
	}
	if p.out == 0 {
		n = max(n, mss) // the fast retransmit itself
	}
	c.cc.cwnd = pipe + n
}

// sackRetransmit sends the next piece that is lost, as the window allows.
func (c *Conn) sackRetransmit(now pkt.Time, b *pkt.Buf) bool {
	st, s := sackOf(c), &c.snd
	r := st.nextLost(c.segmentSize())
	if r == nil {
		return false
	}
	n := min(r.hi-r.lo, c.segmentSize())
	pipe := c.flight()
	if pipe > 0 && pipe+n > c.cc.cwnd || r.lo != s.una && r.lo+n-s.una > s.wnd {
		c.flags |= flagCwndLimited
		return false
	}
	if feature.Pacing && c.held(now) {
		return false
	}
	// Where the scoreboard has no room to tell them apart, the rest of r counts as
	// sent as well: it will be found lost again.
	lo := r.lo
	st.resent(now, r)
	if c.flags&flagRecovery != 0 {
		st.prr.resent++
	}
	c.resend(now, b, lo, n)
	return true
}
