package tcp

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// maxQuickAcks is how many segments a new connection acknowledges at once, so
// that the peer's slow start is not held up, as Linux does.
const maxQuickAcks = 16

// challengeAcks is how many ACKs a connection sends in a second to segments that
// make no sense: "an implementation SHOULD include an ACK throttling mechanism"
// (RFC 5961 section 7), per connection so that nobody else can count them.
const challengeAcks = 10

// Input takes a segment that has arrived for c: "SEGMENT ARRIVES", RFC 9293
// section 3.10.7. It returns why the segment was dropped, if it was, and whether
// it is to be answered with Reset.
func (c *Conn) Input(now pkt.Time, s *Segment) (d ipv4.Drop, reset bool) {
	switch c.state {
	case Closed:
		return ipv4.DropTCPNoConn, true
	case SynSent:
		return c.inputSynSent(now, s)
	}
	if feature.TCPInfo {
		c.tallyIn(uint32(len(s.Payload)))
		if feature.GRO {
			c.tallySuper(s)
		}
	}
	if feature.Timestamps && c.flags&flagTS != 0 {
		if d := c.checkTimestamps(now, s); d != ipv4.DropNone {
			return d, false
		}
	}
	if c.state == SynReceived && s.Flags&(SYN|ACK|RST) == SYN|ACK && s.Seq+1 == c.rcv.nxt {
		// The peer's answer in a simultaneous open (section 3.5, figure 7, line 6): it
		// repeats the SYN that we have.
		s.Seq++
		if feature.ECN {
			c.negotiateECN(s)
		}
		s.Flags &^= SYN
		s.Wnd >>= c.snd.wscale // the window in a SYN is not scaled
		if c.flags&flagSynPending != 0 {
			c.rcv.acks = 1 // ours will not go out any more, and the peer waits for it
		}
	}
	if feature.Listen && c.state == SynReceived && c.flags&flagActive == 0 && s.Flags&(SYN|ACK|RST) == SYN && s.Seq+1 == c.rcv.nxt {
		if feature.ECN { // "Host A: Sends a non-ECN-setup SYN", when the first was lost (RFC 3168 section 6.1.1.1)
			c.negotiateECN(s)
		}
		c.repeatSyn(now)
		return ipv4.DropTCPSYN, false
	}
	if d := c.acceptable(now, s); d != ipv4.DropNone {
		return d, false
	}
	c.timer.lastRcv = ticks(now)
	if feature.Keepalive {
		keepaliveOf(c).probes = 0
	}
	if s.Flags&(RST|SYN|ACK) != ACK {
		return c.inputControl(now, s)
	}
	if c.state == SynReceived {
		if !before(c.snd.una, s.Ack) || before(c.snd.nxt, s.Ack) {
			return ipv4.DropTCPACK, true
		}
		if feature.Listen && c.probes != 0 && c.defers(now, s) {
			return ipv4.DropNone, false
		}
		c.synAcked(now, s)
		c.snd.wl1 = s.Seq - 1 // the window of this segment counts
	}
	if d := c.inputAck(now, s); d != ipv4.DropNone {
		return d, false
	}
	if c.state == Closed {
		return ipv4.DropNone, false
	}
	if feature.Timestamps && c.flags&flagTS != 0 {
		timestampsOf(c).update(now, s, c.rcv.acked)
	}
	if feature.Urgent && s.Flags&URG != 0 {
		c.inputUrgent(s)
	}
	if feature.ECN && len(s.Payload) > 0 {
		c.inputMarked(s)
	}
	if len(s.Payload) > 0 || s.Flags&FIN != 0 {
		return c.inputData(now, s)
	}
	return ipv4.DropNone, false
}

// inputSynSent is RFC 9293 section 3.10.7.3.
func (c *Conn) inputSynSent(now pkt.Time, s *Segment) (d ipv4.Drop, reset bool) {
	acked := s.Flags&ACK != 0
	if acked && (s.Ack != c.snd.nxt || s.Ack == c.snd.una) { // only our SYN is out, or not even that
		return ipv4.DropTCPACK, true
	}
	if s.Flags&RST != 0 {
		if !acked {
			return ipv4.DropTCPReset, false
		}
		c.fail(errno.ECONNREFUSED)
		return ipv4.DropNone, false
	}
	if s.Flags&SYN == 0 {
		return ipv4.DropTCPNoConn, false
	}
	c.timer.lastRcv = ticks(now)
	c.takeSyn(now, s)
	if !acked { // simultaneous open
		c.setState(SynReceived)
		c.flags |= flagSynPending
		c.flags &^= flagTiming // Karn: our SYN goes out again
		c.snd.rtx = c.snd.una
		return ipv4.DropNone, false
	}
	c.synAcked(now, s)
	c.snd.wl2 = s.Ack
	c.rcv.acks = 1
	s.Seq++
	if len(s.Payload) > 0 || s.Flags&FIN != 0 {
		return c.inputData(now, s)
	}
	return ipv4.DropNone, false
}

// synAcked takes the acknowledgment of our SYN.
func (c *Conn) synAcked(now pkt.Time, s *Segment) {
	if feature.Listen && c.probes&deferAcked != 0 {
		c.deferSample()
	} else if c.flags&flagTiming != 0 {
		c.flags &^= flagTiming
		c.rtt.sample(sinceUs(now, c.rtt.at))
	} else if feature.Timestamps && c.flags&flagTS != 0 && s.HasTS {
		c.sampleEcho(now, s) // our SYN went out twice
	}
	snd := &c.snd
	snd.una++
	snd.rtx, snd.rtxEnd = snd.una, snd.una
	c.flags &^= flagSynPending
	c.established(now)
}

// takeSyn takes the peer's sequence number, window and options from its SYN.
func (c *Conn) takeSyn(now pkt.Time, s *Segment) {
	r := &c.rcv
	r.nxt = s.Seq + 1
	r.read, r.acked = r.nxt, r.nxt
	r.adv = r.nxt + c.synWindow()
	if s.MSS != 0 {
		c.snd.peer = max(s.MSS, minMSS)
	}
	if feature.WScale {
		c.negotiateWScale(s)
	} else {
		r.wscale = 0
	}
	if feature.Timestamps {
		c.negotiateTimestamps(now, s)
	}
	if feature.SACK {
		c.negotiateSACK(s)
	}
	if feature.ECN {
		c.negotiateECN(s)
	}
	c.snd.wnd = uint32(s.Wnd) // not scaled in a SYN (RFC 7323 section 2.2)
	c.snd.maxWnd = c.snd.wnd
	c.snd.wl1 = s.Seq
}

// acceptable is the first check of section 3.10.7.4: does the segment lie in the
// window (table 6)? One that does not is answered with an ACK, unless it is a
// reset.
func (c *Conn) acceptable(now pkt.Time, s *Segment) ipv4.Drop {
	r := &c.rcv
	n := s.Len()
	wnd := r.adv - r.nxt
	ok := false
	switch {
	case n == 0 && wnd == 0:
		ok = s.Seq == r.nxt
	case n == 0:
		ok = s.Seq-r.nxt < wnd || s.Seq == r.nxt
	case wnd == 0:
		// "If the RCV.WND is zero, no segments will be acceptable, but special allowance
		// should be made to accept valid ACKs, URGs, and RSTs" (MUST-66): its data will be
		// cut.
		ok = s.Seq == r.nxt
	default:
		ok = s.Seq-r.nxt < wnd || s.Seq+n-1-r.nxt < wnd || before(s.Seq, r.nxt) && before(r.nxt, s.Seq+n)
	}
	if ok {
		return ipv4.DropNone
	}
	if s.Flags&RST != 0 {
		return ipv4.DropTCPReset
	}
	// "If an incoming segment is not acceptable, an acknowledgment should be sent":
	// always for data, which the peer sent again for want of one; else with care,
	// so that two confused peers don't answer each other for ever.
	if len(s.Payload) > 0 || s.Flags&FIN != 0 {
		r.acks = max(r.acks, 1)
		if feature.SACK && before(s.Seq, r.nxt) {
			c.noteDuplicate(s.Seq, s.Seq+min(uint32(len(s.Payload)), r.nxt-s.Seq))
		}
	} else {
		c.challenge(now)
	}
	return ipv4.DropTCPSequence
}

// challenge sends an ACK, if there is budget for one (RFC 5961 section 7).
//
//go:noinline
func (c *Conn) challenge(now pkt.Time) {
	r := &c.rcv
	if sec := uint32(now / pkt.Second); sec != r.second || r.budget == 0 && r.second == 0 {
		r.second, r.budget = sec, challengeAcks+1
	}
	if r.budget > 1 {
		r.budget--
		r.acks = max(r.acks, 1)
	}
}

// inputControl handles what is not a plain ACK: second, fourth and fifth check of
// section 3.10.7.4.
func (c *Conn) inputControl(now pkt.Time, s *Segment) (d ipv4.Drop, reset bool) {
	switch {
	case s.Flags&RST != 0 && c.state == TimeWait:
		return ipv4.DropTCPReset, false // RFC 1337 section 3, fix F1
	case s.Flags&RST != 0:
		// Only one that "exactly matches the next expected sequence number (RCV.NXT)"
		// resets: in the window, but elsewhere, it may be forged, and gets a challenge ACK
		// (RFC 9293 section 3.10.7.4; RFC 5961 section 3.2).
		if s.Seq != c.rcv.nxt {
			c.challenge(now)
			return ipv4.DropTCPReset, false
		}
		e := errno.ECONNRESET
		switch c.state {
		case SynReceived:
			e = errno.ECONNREFUSED
		case CloseWait:
			e = errno.EPIPE
		case Closing, LastAck:
			e = 0
		}
		c.fail(e)
		return ipv4.DropNone, false
	case s.Flags&SYN != 0:
		// "If the SYN bit is set, irrespective of the sequence number, TCP endpoints
		// MUST send a "challenge ACK" to the remote peer" (RFC 9293 section 3.10.7.4).
		c.challenge(now)
		return ipv4.DropTCPSYN, false
	}
	return ipv4.DropTCPNoACK, false // "if the ACK bit is off, drop the segment and return"
}

// inputAck is the fifth check of section 3.10.7.4.
func (c *Conn) inputAck(now pkt.Time, s *Segment) ipv4.Drop {
	snd := &c.snd
	// "The ACK value is considered acceptable only if it is in the range of
	// ((SND.UNA - MAX.SND.WND) <= SEG.ACK <= SND.NXT)" (RFC 5961 section 5.2).
	if before(snd.nxt, s.Ack) || before(s.Ack, snd.una-snd.maxWnd) {
		c.challenge(now)
		return ipv4.DropTCPACK
	}
	c.probes = 0
	wnd := uint32(s.Wnd)
	if feature.WScale {
		wnd <<= snd.wscale
	}
	acked := s.Ack - snd.una
	if feature.ECN && int32(acked) >= 0 {
		c.inputEcho(s)
	}
	sack := c.selective() && int32(acked) >= 0
	if sack {
		sackOf(c).input(now, c, s)
	}
	// The definition of a duplicate in RFC 5681 section 2.
	dup := acked == 0 && snd.una != snd.nxt && wnd == snd.wnd && len(s.Payload) == 0 && s.Flags&FIN == 0
	if int32(acked) > 0 {
		c.ackNew(now, s, acked)
	} else if !sack && dup {
		c.cc.onDupAck(now, c)
	}
	if sack {
		c.sackAck(now, acked, dup && len(s.SACK) == 0)
	}
	if feature.FRTO && (int32(acked) > 0 || dup) {
		c.frtoAck(now, acked)
	}
	// "If SND.WL1 < SEG.SEQ or (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK)": an old
	// segment does not move the window.
	if int32(acked) >= 0 && (before(snd.wl1, s.Seq) || snd.wl1 == s.Seq && beforeEq(snd.wl2, s.Ack)) {
		snd.wl1, snd.wl2 = s.Seq, s.Ack
		if snd.wnd == 0 && wnd > 0 {
			c.windowOpens()
		}
		snd.wnd = wnd
		snd.maxWnd = max(snd.maxWnd, wnd)
	}
	return ipv4.DropNone
}

// windowOpens ends a time of waiting for the peer's reader.
func (c *Conn) windowOpens() {
	s := &c.snd
	c.retries = 0
	switch {
	case c.flags&flagPersist != 0:
		c.timer.stopRetransmit(c) // Output arms it again, should this not suffice
	// Else it was closed on what we had sent, which then was for nothing.
	case c.selective() && s.una != s.nxt:
		sackOf(c).timeout()
		c.flags |= flagLoss
		c.cc.recover = s.nxt
	default:
		s.rtx, s.rtxEnd = s.una, s.nxt
	}
}

// ackNew takes the acknowledgment of n sequence numbers.
func (c *Conn) ackNew(now pkt.Time, s *Segment, n uint32) {
	snd := &c.snd
	t := &c.timer
	if c.flags&flagTiming != 0 && before(c.rtt.seq, s.Ack) {
		c.flags &^= flagTiming
		c.rtt.sample(sinceUs(now, c.rtt.at))
	} else if feature.Timestamps && c.retries > 0 && c.flags&flagTS != 0 && s.HasTS {
		c.sampleEcho(now, s) // Karn's problem, solved by RTTM
	}
	if feature.TCPInfo {
		tallyOf(c).acked += uint64(n)
	}
	data := n
	finAcked := c.flags&flagFinSent != 0 && s.Ack == snd.nxt
	if finAcked {
		data--
	}
	snd.una = s.Ack
	if before(snd.rtx, s.Ack) {
		snd.rtx = s.Ack
	}
	if before(snd.rtxEnd, snd.rtx) {
		snd.rtxEnd = snd.rtx
	}
	if before(snd.small, s.Ack) {
		snd.small = s.Ack
	}
	if data > 0 {
		snd.q.drop(c.env.Mem, data, uint32(c.Unacked()))
		if feature.Autotune && c.flags&flagWantWrite != 0 {
			c.tuneSend()
		}
		if c.flags&flagWantWrite != 0 && uint32(c.Unacked())*3 <= c.sndBuf()*2 && (!feature.TCPOpts || c.notSentLow()) {
			c.flags &^= flagWantWrite
			c.events |= Writable
		}
	}
	if feature.PLPMTUD && c.snd.q.hole[:][0] != 0 {
		c.probeArrived(now)
	}
	if !c.selective() {
		c.cc.onAck(now, c, n)
	}
	c.retries = 0
	c.soft = 0
	// "When all outstanding data has been acknowledged, turn off the retransmission
	// timer [...] When an ACK is received that acknowledges new data, restart the
	// retransmission timer" (RFC 6298 sections 5.2 and 5.3).
	if snd.una == snd.nxt {
		t.stopRetransmit(c)
	} else {
		c.flags &^= flagReo | flagTLP
		t.rtxAt = now + c.rtt.rto()
	}
	if finAcked {
		c.finAcked(now)
	}
}

// finAcked is what the acknowledgment of our FIN does to each state.
func (c *Conn) finAcked(now pkt.Time) {
	c.events |= Writable // for who lingers
	switch c.state {
	case FinWait1:
		c.setState(FinWait2)
		if c.flags&flagOrphan != 0 {
			c.awaitFin(now)
		}
	case Closing:
		c.setState(TimeWait)
	case LastAck:
		c.events |= Failed
		c.close()
	}
}

// inputData is the seventh and eighth check of section 3.10.7.4: the text and the
// FIN.
func (c *Conn) inputData(now pkt.Time, s *Segment) (d ipv4.Drop, reset bool) {
	r := &c.rcv
	switch c.state {
	case Established, FinWait1, FinWait2:
	default: // "This should not occur since a FIN has been received": a repetition
		r.acks = max(r.acks, 1)
		return ipv4.DropTCPSequence, false
	}
	seq, p, fin := s.Seq, s.Payload, s.Flags&FIN != 0
	if old := r.nxt - seq; int32(old) > 0 {
		r.acks = max(r.acks, 1) // a repetition: our ACK was lost, or a probe
		if feature.SACK {
			c.noteDuplicate(seq, seq+min(old, uint32(len(p))))
		}
		if old > uint32(len(p)) || old == uint32(len(p)) && !fin {
			return ipv4.DropTCPSequence, false
		}
		p = p[old:]
		seq = r.nxt
	}
	if room := r.adv - seq; uint32(len(p)) > room {
		p, fin = p[:room], false
		r.acks = max(r.acks, 1)
	}
	if c.flags&flagOrphan != 0 && len(p) > 0 {
		// "if new data is received after CLOSE is called, its TCP SHOULD send a RST to
		// show that data was lost" (RFC 1122 section 4.2.2.13).
		c.fail(0)
		return ipv4.DropTCPNoConn, true
	}
	if fin {
		c.flags |= flagFinSeen
		r.fin = seq + uint32(len(p))
	}
	full := len(p)
	if feature.GRO {
		full = fullSize(s, full)
	}
	r.mss = max(r.mss, uint16(min(full, 65535)))
	if seq != r.nxt || r.ooo != nil && r.ooo.n > 0 {
		d = c.reassemble(seq, p)
	} else if len(p) > 0 {
		n := c.store(seq, p)
		if n == 0 {
			d = ipv4.DropMemory
		}
		r.nxt += n
	}
	if d == ipv4.DropMemory && seq == r.nxt {
		// The window had promised room, for promises to all connections together are more
		// than there is. Silence would be the end of the connection, by the peer's R2; a
		// window of zero makes it probe for as long as it takes (RFC 9293 section 3.8.6.1,
		// and Linux since 6.7).
		r.short = true
		r.acks = max(r.acks, 1)
		return d, false
	}
	c.delivered(now)
	return d, false
}

// store copies p, which begins at seq, into the receive queue and returns how
// much of it memory had room for.
func (c *Conn) store(seq uint32, p []byte) uint32 {
	r := &c.rcv
	at := seq - r.read
	n := uint32(len(p))
	if at > r.q.span && at-r.q.span >= c.env.Mem.Spare() {
		return 0 // out of order, and beyond what can be held: take no memory in vain
	}
	if have := r.q.grow(c.env.Mem, at+n); have < at+n {
		if have <= at {
			return 0
		}
		n = have - at
	}
	r.q.write(at, p[:n])
	return n
}

// delivered does what follows from an advance of rcv.nxt: the peer's FIN, the
// application's wake-up and the ACK.
func (c *Conn) delivered(now pkt.Time) {
	r := &c.rcv
	if feature.Autotune {
		c.tuneReceive(now)
	}
	if c.flags&(flagFinSeen|flagFinRcvd) == flagFinSeen && r.nxt == r.fin {
		c.flags |= flagFinRcvd
		r.nxt++
		r.adv = maxSeq(r.adv, r.nxt) // a FIN needs no room in the buffer
		if r.ooo != nil {
			r.ooo.n = 0 // nothing comes behind it
		}
		r.acks = max(r.acks, 1)
		c.events |= Readable
		switch c.state {
		case Established:
			c.setState(CloseWait)
		case FinWait1: // our FIN is not acknowledged yet
			c.setState(Closing)
		case FinWait2:
			c.setState(TimeWait)
		}
	}
	if c.flags&flagReadClosed != 0 {
		c.consume(c.readable())
	} else if c.readable() >= max(c.Options.RcvLowat, 1) || c.flags&flagFinRcvd != 0 {
		c.events |= Readable
	}
	c.acknowledge(now)
}

// acknowledge decides when: "a TCP endpoint SHOULD implement a delayed ACK [...]
// An ACK SHOULD be generated for at least every second full-sized segment or
// 2*RMSS bytes of new data" (RFC 9293 section 3.8.6.3, SHLD-18 and 19).
func (c *Conn) acknowledge(now pkt.Time) {
	r := &c.rcv
	n := r.nxt - r.acked
	switch {
	case n == 0 || r.acks > 0:
	case n >= 2*uint32(r.mss):
		r.acks = 1
	case r.quick > 0:
		r.quick--
		r.acks = 1
	case c.timer.ackAt == pkt.Never:
		c.timer.ackAt = now + delayedAck
	}
}

// ICMP takes an error message about the segment that began at seq, which must be
// "within the range SND.UNA =< SEG.SEQ < SND.NXT" (RFC 5927 section 4.1). During
// the open it ends the attempt; later it is only remembered: even "hard" errors
// may be forged or pass (RFC 5461; RFC 9293 section 3.9.2.2).
func (c *Conn) ICMP(e errno.Errno, seq uint32) ipv4.Drop {
	if before(seq, c.snd.una) || !before(seq, c.snd.nxt) {
		return ipv4.DropICMPSequence
	}
	c.Unreachable(e)
	return ipv4.DropNone
}

// Unreachable says that our own side can't reach the peer, as when its neighbour
// does not answer.
func (c *Conn) Unreachable(e errno.Errno) {
	if c.state == SynSent {
		c.fail(e)
		return
	}
	c.soft = e
}
