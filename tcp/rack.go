package tcp

import "github.com/bonsainet/bonsai/internal/pkt"

// rackState is RACK-TLP (RFC 8985): loss is told by time, since a segment that was
// sent a round trip before another that has arrived should have arrived too.
type rackState struct {
	_ [0]func() // not comparable

	at     pkt.Time // when the segment sent last of those that have arrived was sent
	end    uint32   // behind that segment
	rtt    uint32   // its round trip, in us
	min    uint32   // the least round trip of late, in us
	minAt  uint32   // when that was measured, in ms
	round  uint32   // snd.nxt when mult was last raised
	tlpEnd uint32   // if flagTLPOut: behind the tail loss probe
}

const (
	// maxAckDelay is how long a peer may delay an ACK: TLP.max_ack_delay of RFC 8985
	// section 7.2.
	maxAckDelay = 200 * pkt.Millisecond
	// minRTTWindow is how long a least round trip is believed.
	minRTTWindow = 5 * 60 * pkt.Second
	// reoPersist is for how many recoveries a widened reordering window lasts (RFC
	// 8985 section 6.2, step 4).
	reoPersist = 16
)

// arrived is steps 1 to 3 of RFC 8985 section 6.2 for run r, of which the part
// before hi is newly known to have arrived. high is RACK.fack.
func (k *rackState) arrived(now pkt.Time, c *Conn, s *Segment, r *run, hi, high uint32) {
	if k.min == 0 {
		k.min, k.minAt = c.rtt.srtt, ticks(now) // the handshake's: the first flight may end in a probe
	}
	rtt := uint32(min(now-r.at, 100*pkt.Second) / pkt.Microsecond)
	if r.is&runResent != 0 {
		// It was the original that has arrived if the peer echoes an earlier timestamp
		// than the retransmission's, or sooner than a round trip takes (step 2). What arrives
		// out of order is not echoed (RFC 7323 section 4.3); and a short segment takes a little
		// less than a full one, of which the least round trip may be.
		if c.flags&flagTS != 0 && s.HasTS && !before(s.Ack, hi) && before(s.TSEcr, timestampsOf(c).clock(r.at)) || rtt < k.min-k.min/8 {
			return
		}
	} else if before(hi, high) { // sent before what had arrived already: reordering
		c.flags |= flagReordering
	}
	if rtt <= k.min || k.min == 0 || sinceMs(now, k.minAt) > minRTTWindow {
		k.min, k.minAt = max(rtt, 1), ticks(now)
	}
	k.rtt = rtt
	if r.at > k.at || r.at == k.at && before(k.end, hi) {
		k.at, k.end = r.at, hi
	}
}

// reoWnd is RACK.reo_wnd, step 4: nothing when three segments have been SACKed and
// no reordering was ever seen; else a quarter of the least round trip, more for
// each round in which a retransmission proved to be needless, up to SRTT.
func (k *rackState) reoWnd(c *Conn) pkt.Time {
	if c.flags&flagReordering == 0 &&
		(c.flags&(flagRecovery|flagLoss) != 0 || sackOf(c).sacked >= 3*uint32(c.snd.mss)) {
		return 0
	}
	return pkt.Time(min(uint32(sackOf(c).mult+1)*(k.min/4), c.rtt.srtt)) * pkt.Microsecond
}

// detect is step 5: everything sent so long before k.at that it should have
// arrived is lost. It returns how long to wait until more may be.
func (k *rackState) detect(now pkt.Time, c *Conn) (wait pkt.Time) {
	reo := k.reoWnd(c)
	due := pkt.Time(k.rtt)*pkt.Microsecond + reo
	v := sackOf(c).runs()
	for i := range v {
		r := &v[i]
		if r.is&(runSacked|runLost) != 0 || r.at > k.at || r.at == k.at && !before(r.hi, k.end) {
			continue
		}
		if left := r.at + due - now; left <= 0 {
			sackOf(c).lose(r)
		} else {
			wait = max(wait, left)
		}
	}
	return wait
}

// rackAck follows an ACK that moved snd.una by n.
func (c *Conn) rackAck(now pkt.Time, n uint32) {
	st := sackOf(c)
	k := &st.rack
	if c.env.ack.dsack && !before(c.snd.una, k.round) {
		// What was sent again had arrived: wait longer, by a step each round trip (step 4).
		st.mult, st.keep, k.round = min(st.mult+1, 63), reoPersist, c.snd.nxt
	} else if n > 0 && before(k.round, c.snd.una-1<<30) {
		k.round = c.snd.una
	}
	c.tlpAck(n, n == 0 && c.env.ack.delivered == 0)
	if c.flags&flagRecovery != 0 && !before(c.snd.una, c.cc.recover) && st.keep > 0 {
		if st.keep--; st.keep == 0 {
			st.mult = 0
		}
	}
	// Without a gap, what was sent first has arrived first.
	if st.sacked == 0 && (c.env.ack.delivered == 0 || c.flags&(flagRecovery|flagLoss) == 0) {
		if n > 0 { // a peer that sends data all the time must not put it off
			c.armProbe(now)
		}
		return
	}
	if wait := k.detect(now, c); wait > 0 && now+wait < c.timer.rtxAt {
		c.timer.rtxAt = now + wait
		c.flags = c.flags&^flagPersist&^flagTLP | flagReo
	} else if n > 0 {
		c.armProbe(now)
	}
}

// rackTimeout is what the reordering timer does: what it was waiting for is lost (RFC
// 8985 section 6.3).
func (c *Conn) rackTimeout(now pkt.Time) {
	c.flags &^= flagReo
	c.timer.rtxAt = now + c.rtt.rto()
	k := &sackOf(c).rack
	if wait := k.detect(now, c); wait > 0 {
		c.timer.rtxAt = now + wait
		c.flags |= flagReo
	}
	if sackOf(c).lost > 0 && c.flags&(flagRecovery|flagLoss) == 0 {
		c.env.ack.delivered = 0
		c.beginRecovery(now)
		c.prrAck(false)
	} // else what was found lost has left the window as much room
}

// armProbe turns the retransmission timer into one for a tail loss probe, where
// one is due earlier: RFC 8985 section 7.2.
func (c *Conn) armProbe(now pkt.Time) {
	t, s := &c.timer, &c.snd
	if c.flags&(flagRecovery|flagLoss|flagPersist|flagTLPOut|flagReo) != 0 || c.retries > 0 ||
		sackOf(c).sacked > 0 || s.una == s.nxt || t.rtxAt == pkt.Never {
		return
	}
	pto := pkt.Second
	if c.rtt.srtt != 0 {
		// Two round trips, and what the peer may wait for a second segment when there is
		// none.
		pto = 2 * pkt.Time(c.rtt.srtt) * pkt.Microsecond
		if s.nxt-s.una <= uint32(s.mss) {
			pto += maxAckDelay
		} else {
			pto += 2 * pkt.Millisecond // timers are not exact
		}
	}
	// One that runs starts again with new data.
	// "If (Now() + PTO > TCP_RTO_expiration()): PTO = TCP_RTO_expiration() - Now()":
	// the probe comes first in any case, so that one lost segment is no timeout.
	if c.flags&flagTLP != 0 {
		t.rtxAt = now + min(pto, c.rtt.rto())
	} else {
		t.rtxAt = min(t.rtxAt, now+pto)
	}
	c.flags |= flagTLP
}

// probeTimeout calls for a tail loss probe: new data, if there is any and the peer's
// window allows it, else the last segment again (RFC 8985 section 7.3).
func (c *Conn) probeTimeout(now pkt.Time) {
	c.flags &^= flagTLP
	c.flags |= flagTLPSend | flagTLPOut
	c.timer.rtxAt = now + c.rtt.rto()
}

// sendProbe sends it.
func (c *Conn) sendProbe(now pkt.Time, b *pkt.Buf) bool {
	c.flags &^= flagTLPSend
	s, st := &c.snd, sackOf(c)
	end := s.nxt
	c.flags &^= flagTLPResent
	if s.end != s.nxt && c.flags&flagFinSent == 0 {
		cwnd := c.cc.cwnd
		c.cc.cwnd = infinite
		ok := c.sendNew(now, b)
		c.cc.cwnd = cwnd
		if ok {
			st.rack.tlpEnd = s.nxt
			return true
		}
	}
	st.rack.tlpEnd = end
	v := st.runs()
	if len(v) == 0 || v[len(v)-1].is&(runSacked|runLost) != 0 {
		c.flags &^= flagTLPOut
		return false
	}
	n := min(c.segmentSize(), v[len(v)-1].hi-v[len(v)-1].lo)
	i := len(v) - 1
	if n < v[i].hi-v[i].lo && st.board.split(i, s.nxt-n) {
		i++
	}
	r := &st.runs()[i]
	r.is |= runResent
	r.at = now
	c.flags |= flagTLPResent
	c.resend(now, b, s.nxt-n, n)
	return true
}

// tlpAck ends the episode: section 7.4. A probe that was a retransmission has
// repaired a loss, which the congestion window has to answer for, when an ACK goes
// beyond it and none has shown a duplicate. dup says that this one is a duplicate ACK.
func (c *Conn) tlpAck(n uint32, dup bool) {
	st := sackOf(c)
	k := &st.rack
	if c.flags&flagTLPOut == 0 || before(c.snd.una, k.tlpEnd) {
		return
	}
	switch {
	case c.flags&flagTLPResent == 0 || c.env.ack.dsack:
	case c.snd.una != k.tlpEnd:
		if c.flags&(flagRecovery|flagLoss) == 0 {
			c.cc.ssthresh = c.cc.reduced(c)
			c.cc.cwnd = c.cc.ssthresh
		}
	case !dup: // maybe of the original: the next ACK tells
		return
	}
	c.flags &^= flagTLPOut | flagTLPResent
}
