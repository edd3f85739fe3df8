package tcp

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// Output puts the next segment that may be sent now into b, from the TCP header
// on, and reports whether there was one. It is called until there is none: the
// deadline is then up to date.
func (c *Conn) Output(now pkt.Time, b *pkt.Buf) bool {
	s := &c.snd
	if feature.ECN {
		c.ecn[:][0] &^= ecnECT
	}
	switch {
	case c.flags&flagReset != 0:
		c.flags &^= flagReset
		c.emit(now, b, s.nxt, 0, RST|ACK)
		return true
	case c.state == Closed:
		return false
	case c.state == SynSent || c.state == SynReceived:
		return c.outputSyn(now, b)
	}
	c.flags &^= flagCwndLimited
	if feature.RACK && c.flags&flagTLPSend != 0 && c.sendProbe(now, b) {
		return true
	}
	if feature.FRTO && c.frtoWaits(now, b) {
		if b.Len() > 0 {
			return true
		}
	} else if c.selective() && sackOf(c).lost > 0 {
		if c.sackRetransmit(now, b) {
			return true
		}
	} else if before(s.rtx, s.rtxEnd) {
		if c.retransmit(now, b) {
			return true
		}
	} else if s.end != s.nxt || c.flags&flagFinQueued != 0 {
		if c.sendNew(now, b) {
			return true
		}
	}
	if c.flags&flagProbe != 0 {
		// A segment from before the window: whatever the peer's window, it answers with
		// an ACK, as Linux probes. (RFC 9293 section 3.8.6.1 sends an octet of new data,
		// which then may have to be taken back.)
		c.flags &^= flagProbe
		c.emit(now, b, s.una-1, 0, ACK)
		return true
	}
	if c.rcv.acks > 0 {
		n := c.rcv.acks - 1
		c.emit(now, b, s.nxt, 0, ACK)
		c.rcv.acks = n
		return true
	}
	return false
}

// Sent reports whether there is nothing left to send for sure, so that Output need not be
// asked again.
func (c *Conn) Sent() bool {
	s := &c.snd
	if s.end != s.nxt || s.rtx != s.rtxEnd || c.rcv.acks != 0 || c.state != Established ||
		c.flags&(flagReset|flagProbe|flagTLPSend) != 0 || c.selective() && sackOf(c).lost > 0 {
		return false
	}
	c.flags &^= flagCwndLimited
	return true
}

// outputSyn sends our SYN, first or again, with the options in Linux's order.
func (c *Conn) outputSyn(now pkt.Time, b *pkt.Buf) bool {
	if c.flags&flagSynPending == 0 {
		if c.rcv.acks > 0 && c.state == SynReceived {
			c.emit(now, b, c.snd.nxt, 0, ACK)
			c.rcv.acks = 0
			return true
		}
		return false
	}
	c.flags &^= flagSynPending
	s := &c.snd
	f := SYN
	ack := uint32(0)
	if c.state == SynReceived {
		f, ack = SYN|ACK, c.rcv.nxt
		c.rcv.acked, c.rcv.acks = ack, 0
	}
	if feature.ECN {
		f |= c.synECN()
	}
	n := minHeaderLen + 4
	if feature.Timestamps && c.flags&flagTS != 0 {
		n += timestampLen
	}
	if feature.WScale && c.flags&flagWScale != 0 {
		n += 4
	}
	if feature.SACK && c.flags&flagSACK != 0 && !(feature.Timestamps && c.flags&flagTS != 0) {
		n += 4
	}
	h := b.Append(n)
	putHeader(h, c.localPort, c.remotePort, s.una, ack, n, f, uint16(c.synWindow()))
	// The MSS option says what we can receive, without regard to options (RFC 6691
	// section 2): the path's MTU, less 40.
	pkt.BigEndian.PutUint32(h[20:], optMSS<<24|4<<16|uint32(s.path))
	n = 24
	if feature.Timestamps && c.flags&flagTS != 0 {
		timestampsOf(c).put(h[n:], now)
		if feature.SACK && c.flags&flagSACK != 0 { // in place of the two NOPs
			h[n], h[n+1] = optSACKPermitted, 2
		}
		n += timestampLen
	} else if feature.SACK && c.flags&flagSACK != 0 {
		h[n], h[n+1], h[n+2], h[n+3] = optNop, optNop, optSACKPermitted, 2
		n += 4
	}
	if feature.WScale && c.flags&flagWScale != 0 {
		appendWScale(h[n:], c.rcv.wscale)
	}
	c.sum(h)
	if s.nxt == s.una {
		s.nxt = s.una + 1
		s.rtxEnd = s.nxt
		c.startTiming(now, s.una)
	} else if feature.TCPInfo {
		c.tallyResent(0)
	}
	s.rtx = s.nxt
	c.armRetransmit(now)
	return true
}

// synWindow is the window in our SYN, never scaled: whole segments, as Linux
// offers.
func (c *Conn) synWindow() uint32 {
	w := min(c.rcvBuf(), 65535)
	if m := uint32(c.snd.path); w > m && m > 0 {
		w -= w % m
	}
	return w
}

// flight returns how much of what we sent is thought to be in the network. After
// a timeout, that is only what was sent since.
func (c *Conn) flight() uint32 {
	s := &c.snd
	if c.selective() {
		return s.nxt - s.una - sackOf(c).sacked - sackOf(c).lost
	}
	if c.flags&flagRecovery == 0 && before(s.rtx, s.rtxEnd) {
		return s.rtx - s.una
	}
	return s.nxt - s.una
}

// retransmit sends the next segment of [rtx, rtxEnd): the first one always, more
// as the congestion window allows.
func (c *Conn) retransmit(now pkt.Time, b *pkt.Buf) bool {
	s := &c.snd
	n := min(c.segmentSize(), s.rtxEnd-s.rtx)
	if s.rtx != s.una && (s.rtx-s.una+n > c.cc.cwnd || s.rtx-s.una+n > s.wnd) {
		c.flags |= flagCwndLimited
		return false
	}
	if feature.Pacing && c.held(now) {
		return false
	}
	seq := s.rtx
	s.rtx += n
	c.resend(now, b, seq, n)
	return true
}

// resend sends n sequence numbers from seq on again.
func (c *Conn) resend(now pkt.Time, b *pkt.Buf, seq, n uint32) {
	f := ACK
	// Our FIN is the last sequence number before nxt; it may be all there is.
	if c.flags&flagFinSent != 0 && seq+n == c.snd.nxt {
		n--
		f |= FIN
	}
	c.flags &^= flagTiming
	if feature.TCPInfo {
		c.tallyResent(n)
	}
	c.sendData(now, b, seq, n, f)
}

// segmentSize returns the payload of a full segment: less than MSS while there are
// SACK blocks to send.
func (c *Conn) segmentSize() uint32 {
	n := uint32(c.snd.mss)
	if feature.SACK && c.rcv.ooo != nil {
		n -= uint32(c.sackLen())
	}
	return n
}

// sendNew sends the next segment of new data, if windows, Nagle and silly window
// avoidance let it (RFC 9293 section 3.8.6.2.1).
func (c *Conn) sendNew(now pkt.Time, b *pkt.Buf) bool {
	s := &c.snd
	if c.flags&flagFinSent != 0 {
		return false
	}
	queued := s.end - s.nxt
	mss := c.segmentSize()
	if feature.PLPMTUD && c.snd.q.hole[:][0] != 0 {
		mss = c.probeSize(now, mss)
	}
	room := s.una + s.wnd - s.nxt // may be negative: the peer has shrunk its window
	if int32(room) < 0 {
		room = 0
	}
	fin := c.flags&flagFinQueued != 0
	inFlight := s.nxt - s.una
	if inFlight == 0 && s.end != s.una {
		c.cc.idle(c, now)
	}
	n := min(queued, mss, room)
	if feature.TSO && n == mss && queued > n && room > n && pkt.Super(b) != 0 {
		n = c.superSize(now, b, mss, min(queued, room))
	}
	if pipe := c.flight(); n > 0 && pipe > 0 && pipe+n > c.cc.cwnd+c.cc.limitedTransmit(c) {
		c.flags |= flagCwndLimited
		return false
	}
	last := n == queued
	force := c.flags&flagProbe != 0
	switch {
	case n >= mss && n > 0:
	case queued == 0: // only our FIN
		if room == 0 && !force {
			if inFlight == 0 {
				c.armPersist(now, c.rtt.rto())
			}
			return false
		}
	case n == 0: // zero window
		if inFlight == 0 {
			c.armPersist(now, c.rtt.rto())
		}
		return false
	case force:
	case last && c.mayBeSmall(now, fin):
	case n >= s.maxWnd/2 && !last: // "[if] min(D,U) >= Fs * Max(SND.WND)"
	default:
		if !last && inFlight == 0 {
			// A window too small to fill: wait for a better one. "The override timeout
			// should be in the range 0.1 - 1.0 seconds."
			c.armPersist(now, min(c.rtt.rto(), pkt.Second))
		}
		return false
	}
	if feature.ECN && c.ecnHolds(now, force) || feature.Pacing && !force && c.held(now) {
		return false
	}
	if force {
		c.flags &^= flagProbe
	}
	f := ACK
	if last && fin && (n < room || n == 0 && force) {
		f |= FIN
		c.flags |= flagFinSent
	}
	seq := s.nxt
	s.nxt += n
	if feature.PLPMTUD && mss > uint32(s.mss) && n == mss {
		c.probing(n)
	}
	if feature.TCPOpts && c.flags&flagWantWrite != 0 {
		c.wakeLow()
	}
	if n < mss && n > 0 {
		s.small = s.nxt
	}
	if f&FIN != 0 {
		s.nxt++
	}
	if c.flags&flagRecovery == 0 { // else it is how far recovery has come: partialAck
		s.rtx, s.rtxEnd = s.nxt, s.nxt
	}
	if c.selective() {
		sackOf(c).sent(c.env, now, seq, s.nxt)
	}
	if c.flags&flagTiming == 0 {
		c.startTiming(now, seq)
	}
	if feature.ECN && n > 0 {
		c.ecnCapable()
	}
	if feature.TSO && n > mss {
		c.superSent(b, n, mss)
	}
	c.sendData(now, b, seq, n, f)
	return true
}

// mayBeSmall is Nagle's algorithm as Minshall refined it: a segment that is not
// full waits only for another such one (RFC 9293 section 3.7.4, MUST-17; TCP_CORK
// waits for more data in any case).
func (c *Conn) mayBeSmall(now pkt.Time, fin bool) bool {
	s := &c.snd
	switch {
	case fin:
		return true
	case c.flags&flagCork != 0:
		if s.nxt == s.una {
			c.armPersist(now, corkTimeout)
		}
		return false
	}
	return c.flags&flagNoDelay != 0 || !before(s.una, s.small)
}

func (c *Conn) startTiming(now pkt.Time, seq uint32) {
	c.flags |= flagTiming
	c.rtt.seq, c.rtt.at = seq, uint32(now/pkt.Microsecond)
}

// sendData emits n bytes from seq on and starts the retransmission timer.
func (c *Conn) sendData(now pkt.Time, b *pkt.Buf, seq, n uint32, f Flags) {
	// "MUST set the PSH bit in the last buffered segment (i.e., when there is no more
	// queued data to be sent)" (RFC 9293 section 3.9.1.2, MUST-61).
	if n > 0 && seq+n == c.snd.end {
		f |= PSH
	}
	if feature.TCPInfo {
		c.tallyData(n)
	}
	c.emit(now, b, seq, n, f)
	if feature.Pacing {
		c.paced(now, n)
	}
	c.cc.sentAt = ticks(now)
	c.armRetransmit(now)
	if c.selective() {
		if c.flags&flagRecovery != 0 {
			sackOf(c).prr.out += n
		}
		if feature.RACK {
			c.armProbe(now)
		}
	}
}

// emit builds a segment with n bytes of the send queue. Every segment
// acknowledges what we have and advertises our window.
func (c *Conn) emit(now pkt.Time, b *pkt.Buf, seq, n uint32, f Flags) {
	r := &c.rcv
	hlen := minHeaderLen
	ts := feature.Timestamps && c.flags&flagTS != 0 && f&RST == 0
	if ts {
		hlen += timestampLen
	}
	sack := 0
	if feature.SACK && r.ooo != nil && f&RST == 0 {
		sack = c.sackLen()
	}
	p := b.Append(hlen + sack + int(n))
	if sack > 0 {
		c.putSACK(p[hlen : hlen+sack])
		hlen += sack
	}
	h := p[:hlen]
	putHeader(h, c.localPort, c.remotePort, seq, r.nxt, hlen, f, c.window())
	if ts {
		timestampsOf(c).put(h[minHeaderLen:], now)
	}
	if feature.Urgent {
		c.outputUrgent(h, seq)
	}
	if feature.ECN {
		c.outputECN(h, f)
	}
	if feature.TSO && pkt.MayBePartial(b) {
		if n > 0 {
			c.snd.q.read(seq-c.snd.una, p[hlen:])
		}
		c.putPartial(b, p)
	} else if feature.FastSum {
		c.fillSum(p, hlen, seq-c.snd.una)
	} else {
		if n > 0 {
			c.snd.q.read(seq-c.snd.una, p[hlen:])
		}
		c.sum(p)
	}
	if feature.TCPInfo {
		c.tallyOut()
	}
	r.acked, r.acks = r.nxt, 0
	c.timer.ackAt = pkt.Never
}

// sum writes the checksum of the segment p.
func (c *Conn) sum(p []byte) { putSum(p, c.localAddr, c.remoteAddr) }

// rcvBuf returns how much may be held for the reader.
func (c *Conn) rcvBuf() uint32 {
	if feature.TCPOpts {
		return c.clamped()
	}
	return c.Options.RcvBuf
}

// free returns how large a window the receive buffer has room for.
func (c *Conn) free() uint32 {
	r := &c.rcv
	used := r.nxt - r.read
	if used >= c.rcvBuf() {
		return 0
	}
	n := min(c.rcvBuf()-used, 65535<<r.wscale) // what the header can say
	// When the stack's memory runs out, peers are slowed down: what is still free
	// is more than anybody may be promised. An empty queue gets a chunk even then, or
	// a full segment: less would leave the peer to its silly window avoidance.
	left := c.env.Mem.Spare()
	if r.q.tail == nil {
		left = max(left, pkt.ChunkSize, uint32(r.mss))
	}
	return min(n, left)
}

// worth reports whether a window that opens from wnd to free bytes does so by a
// step that is worth it: "min( Fr * RCV.BUFF, Eff.snd.MSS )" with Fr = 1/2 (RFC
// 9293 section 3.8.6.2.2, MUST-39). Nothing more can be hoped for when an
// empty queue has a window of zero.
func (c *Conn) worth(wnd, free uint32) bool {
	r := &c.rcv
	return free > wnd && (free-wnd >= min(c.rcvBuf()/2, uint32(r.mss)) || wnd == 0 && r.q.tail == nil)
}

// window moves the right edge of the receive window and returns the field for
// the header. The edge never moves back (RFC 9293 section 3.8.6, SHLD-14), and forward
// only in steps that are worth it. While memory is short the field is 0, and the edge
// stays where it is.
func (c *Conn) window() uint16 {
	r := &c.rcv
	if r.short {
		if r.q.tail != nil && c.env.Mem.Spare() < max(pkt.ChunkSize, uint32(r.mss)) {
			return 0
		}
		r.short = false
	}
	wnd := r.adv - r.nxt
	if int32(wnd) < 0 {
		wnd = 0
	}
	if free := c.free(); c.worth(wnd, free) {
		wnd = free
	}
	shift := uint8(0)
	if feature.WScale {
		shift = r.wscale
	}
	// Rounding down may take back some of what was promised, up to 2^shift-1 bytes,
	// which a peer must bear (RFC 7323 section 2.4); rounding up each time would let
	// small segments fill more than the buffer. So round up, within limits.
	field := wnd >> shift
	if before(r.nxt+field<<shift, r.adv) && r.adv-r.read <= c.rcvBuf()+c.rcvBuf()/8 {
		field++
	}
	field = min(field, 65535)
	if edge := r.nxt + field<<shift; before(r.adv, edge) {
		r.adv = edge
	}
	return uint16(field)
}

// updateWindow sends an ACK when reading has opened the window so far that the
// peer should know at once: it has doubled, as with Linux.
func (c *Conn) updateWindow() {
	r := &c.rcv
	switch c.state {
	case Established, FinWait1, FinWait2:
	default:
		return
	}
	wnd := r.adv - r.nxt
	if r.short {
		wnd = 0
	}
	if feature.FastPath && 2*wnd > c.rcvBuf() { // more than free can be
		return
	}
	if free := c.free(); free >= 2*wnd && c.worth(wnd, free) {
		r.acks = max(r.acks, 1)
	}
}
