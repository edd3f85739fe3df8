package tcp

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// Nothing in this file is a rule of its own: it does what Input and Output do, in less, where a
// connection is in the state that most are in most of the time. TestFastPathIsNoOther compares
// the two.

// plainFlags are those of a connection of which nothing unusual is to be expected.
const plainFlags = flagActive | flagWScale | flagTS | flagSACK | flagNoDelay | flagCork | flagTiming | flagTLP |
	flagCwndLimited | flagWantWrite | flagRcvLocked | flagSndLocked | flagReordering

// plain reports whether c is established, with nothing lost, out of order or about to close.
func (c *Conn) plain() bool {
	if c.state != Established || c.flags&^plainFlags != 0 || c.retries != 0 {
		return false
	}
	if x := c.rcv.ooo; x != nil && (x.n != 0 || x.report.dup.lo != x.report.dup.hi) {
		return false
	}
	if c.selective() && (sackOf(c).sacked|sackOf(c).lost != 0 || sackOf(c).plain != 0) {
		return false
	}
	return !(feature.FRTO && c.frto[:][0] != frtoNone && c.frto[:][0] != frtoIdle ||
		feature.ECN && c.ecn[:][0]&^ecnOK != 0 || feature.PLPMTUD && c.snd.q.hole[:][0] != 0)
}

// Predicted is header prediction (Van Jacobson, "4BSD TCP header prediction", 1990): it takes
// the segment in p, which has not been looked at, if that is good and the next in sequence, or
// acknowledges data in order, or both. It reports whether it did: else nothing has happened.
// s is memory for what it reads, with s.ECN set.
func (c *Conn) Predicted(now pkt.Time, p []byte, s *Segment) bool {
	if len(p) < minHeaderLen {
		return false
	}
	r, snd := &c.rcv, &c.snd
	w0, w1 := pkt.BigEndian.Uint64(p), pkt.BigEndian.Uint64(p[8:]) // to the window
	w2 := uint64(pkt.BigEndian.Uint32(p[16:]))
	s.Seq, s.Ack = uint32(w0), uint32(w1>>32)
	acked, wnd := s.Ack-snd.una, uint32(uint16(w1))
	if s.Seq != r.nxt || acked > snd.nxt-snd.una || wnd == 0 || snd.wnd == 0 {
		return false
	}
	if feature.ECN && s.ECN == ce {
		return false
	}
	// One's complement sums: of all 32-bit words, folded once in the end.
	sum := w0>>32 + w0&0xffffffff + w1>>32 + w1&0xffffffff + w2 +
		uint64(c.localAddr) + uint64(c.remoteAddr) + ipv4.ProtoTCP + uint64(len(p))
	hlen := minHeaderLen
	if feature.Timestamps && c.flags&flagTS != 0 {
		if hlen += timestampLen; len(p) < hlen || pkt.BigEndian.Uint32(p[minHeaderLen:]) != timestampHeader {
			return false
		}
		s.setTimestamps(p[minHeaderLen+4:])
		if before(s.TSVal, timestampsOf(c).recent) {
			return false
		}
		sum += timestampHeader + uint64(s.TSVal) + uint64(s.TSEcr)
	}
	// The data offset, no reserved bits, and ACK, maybe with PSH.
	if uint32(w1)>>16&^uint32(PSH) != uint32(hlen)<<10|uint32(ACK) || !c.plain() {
		return false
	}
	n, at := uint32(len(p)-hlen), r.nxt-r.read
	if acked|n == 0 || n > r.adv-r.nxt || r.q.span < at+n && r.q.grow(c.env.Mem, at+n) < at+n {
		return false
	}
	acc := uint32(sum>>32) + uint32(sum>>16)&0xffff + uint32(sum)&0xffff
	if n > 0 { // before it is known to be good: there is nothing yet that it could overwrite
		acc += r.q.writeSum(at, p[hlen:])
	}
	if pkt.Checksum(acc) != 0 {
		c.undoGrow()
		return false
	}

	c.timer.lastRcv = ticks(now)
	c.probes = 0
	if feature.TCPInfo {
		c.tallyIn(n)
	}
	if feature.Keepalive {
		keepaliveOf(c).probes = 0
	}
	if acked > 0 {
		c.acknowledged(now, s, acked)
	}
	if feature.WScale {
		wnd <<= snd.wscale
	}
	if before(snd.wl1, s.Seq) || snd.wl1 == s.Seq && beforeEq(snd.wl2, s.Ack) {
		snd.wl1, snd.wl2, snd.wnd = s.Seq, s.Ack, wnd
		snd.maxWnd = max(snd.maxWnd, wnd)
	}
	if feature.Timestamps && c.flags&flagTS != 0 {
		timestampsOf(c).update(now, s, r.acked)
	}
	if n > 0 {
		r.nxt += n
		r.mss = max(r.mss, uint16(n))
		if feature.Autotune {
			c.tuneReceive(now)
		}
		if c.readable() >= max(c.Options.RcvLowat, 1) {
			c.events |= Readable
		}
		c.acknowledge(now)
	}
	return true
}

// undoGrow gives the memory back that was taken for a segment with a wrong checksum.
func (c *Conn) undoGrow() {
	if r := &c.rcv; r.nxt == r.read {
		r.q.clear(c.env.Mem)
	}
}

// Follow takes the segments in frames[1:] that are each the next behind the one before and differ
// in the data only, and returns their number. In frames[0] is the one that Predicted has just taken;
// at is where TCP's headers begin; behind the packet the frame has nothing. Of what
// Predicted does, only what the data changes is left to do.
func (c *Conn) Follow(now pkt.Time, frames []*pkt.Buf, at int) (count int) {
	r := &c.rcv
	first := frames[0].Bytes()
	p := first[at:]
	hlen := minHeaderLen
	if feature.Timestamps && c.flags&flagTS != 0 {
		hlen += timestampLen
	}
	if len(p) <= TrainHeader || pkt.BigEndian.Uint32(p[4:]) != c.snd.wl1 {
		return 0
	}
	// All but the sequence number and the checksum is the same, and PSH, which may be.
	const psh = uint64(PSH) << 16
	same := pkt.BigEndian.Uint64(p[8:]) | psh // ACK, data offset, flags and window
	base := uint64(c.localAddr) + uint64(c.remoteAddr) + ipv4.ProtoTCP + uint64(len(p))
	ts := uint64(0)
	if hlen > minHeaderLen {
		ts = pkt.BigEndian.Uint64(p[minHeaderLen+4:])
		base += timestampHeader + ts>>32 + ts&0xffffffff
	}
	n := uint32(len(p) - hlen)
	if n > uint32(r.mss) {
		return 0
	}
	for _, b := range frames[1:] {
		f := b.Bytes()
		if c.Overdue() || len(f) != len(first) || !SameHeaders(f, first) {
			break
		}
		p := f[at:]
		w0, w1 := pkt.BigEndian.Uint64(p), pkt.BigEndian.Uint64(p[8:])
		if uint32(w0) != r.nxt || w1|psh != same {
			break
		}
		if hlen > minHeaderLen && (pkt.BigEndian.Uint64(p[minHeaderLen+4:]) != ts || pkt.BigEndian.Uint32(p[minHeaderLen:]) != timestampHeader) {
			break
		}
		at := r.nxt - r.read
		if n > r.adv-r.nxt || r.q.span < at+n && r.q.grow(c.env.Mem, at+n) < at+n {
			break
		}
		sum := base + w0>>32 + w0&0xffffffff + w1>>32 + w1&0xffffffff + uint64(pkt.BigEndian.Uint32(p[16:]))
		if pkt.Checksum(uint32(sum>>32)+uint32(sum>>16)&0xffff+uint32(sum)&0xffff+r.q.writeSum(at, p[hlen:])) != 0 {
			c.undoGrow()
			break
		}
		c.snd.wl1 = r.nxt
		r.nxt += n
		count++
		c.acknowledge(now)
	}
	if count > 0 {
		if c.readable() >= max(c.Options.RcvLowat, 1) {
			c.events |= Readable
		}
		if feature.TCPInfo {
			t := tallyOf(c)
			t.segsIn += uint32(count)
			t.dataIn += uint32(count)
		}
	}
	return count
}

// SameHeaders reports whether two frames are the same from Ethernet's header to the TCP ports.
func SameHeaders(f, g []byte) bool {
	f, g = f[:38], g[:38]
	le := pkt.LittleEndian
	return le.Uint64(f) == le.Uint64(g) && le.Uint64(f[8:]) == le.Uint64(g[8:]) && le.Uint64(f[16:]) == le.Uint64(g[16:]) &&
		le.Uint64(f[24:]) == le.Uint64(g[24:]) && le.Uint64(f[30:]) == le.Uint64(g[30:])
}

// acknowledged is what inputAck does with an acknowledgment of n new bytes.
func (c *Conn) acknowledged(now pkt.Time, s *Segment, n uint32) {
	snd := &c.snd
	sack := c.selective()
	if sack {
		st := sackOf(c)
		c.env.ack = ackInfo{fack: st.high}
		st.acked(now, c, s)
	}
	c.ackNew(now, s, n)
	if !sack {
		return
	}
	if feature.RACK {
		if k := &sackOf(c).rack; before(k.round, snd.una-1<<30) {
			k.round = snd.una
		}
		c.armProbe(now)
	}
	c.cc.recover = maxSeq(c.cc.recover, snd.una-1)
	c.cc.grow(now, c, n)
	if snd.una == snd.nxt {
		sackOf(c).release(c.env)
	}
}

// Train is a row of segments of new data that follow each other at once. They are full, but
// maybe for the last, and their headers are the same but for the sequence number and the
// checksum; and the PSH bit of the last.
type Train struct {
	Len  int    // segments
	Size int    // bytes of each, header included
	Last int    // bytes of the last one
	seq  uint32 // of the next
	at   uint32 // its place in the send queue
	sum  uint32 // of the header without the sequence number, and of the pseudo header without length
	hlen int
	push bool // the last is the end of what is queued
}

// TrainHeader is the length of a Train's TCP header at the most, in bytes.
const TrainHeader = minHeaderLen + timestampLen

// Depart reports whether data may be sent now, without a question that only Output asks, and
// makes t of it: it is then sent, as far as c knows. The header, of at most TrainHeader
// bytes, goes into h.
func (c *Conn) Depart(now pkt.Time, t *Train, h []byte) bool {
	s, r := &c.snd, &c.rcv
	if s.end == s.nxt || !c.plain() || c.flags&flagCork != 0 || c.dupacks != 0 || feature.ECN && c.ecn[:][0] != 0 ||
		feature.Pacing && (c.pace[:][0] != nil || c.paceable()) {
		return false
	}
	mss, flight := uint32(s.mss), s.nxt-s.una
	if flight == 0 {
		c.cc.idle(c, now)
	}
	queued, room := s.end-s.nxt, s.una+s.wnd-s.nxt
	if int32(room) < 0 || c.cc.cwnd < flight {
		return false
	}
	room = min(room, c.cc.cwnd-flight)
	n := min(queued, room) / mss // full ones
	size := n * mss
	t.Len, t.Last = int(n), int(mss)
	if rest := queued - size; rest > 0 && rest < mss && rest <= room-size && (c.flags&flagNoDelay != 0 || !before(s.una, s.small)) {
		t.Len, t.Last = t.Len+1, int(rest)
		size = queued
		s.small = s.end
	}
	if size == 0 {
		return false
	}
	t.hlen = minHeaderLen
	if feature.Timestamps && c.flags&flagTS != 0 {
		t.hlen += timestampLen
		timestampsOf(c).put(h[minHeaderLen:], now)
	}
	t.Size, t.Last, t.push = t.hlen+int(mss), t.hlen+t.Last, size == queued
	t.seq, t.at = s.nxt, flight
	putHeader(h, c.localPort, c.remotePort, 0, r.nxt, t.hlen, ACK, c.window())
	w0, w1 := pkt.BigEndian.Uint64(h), pkt.BigEndian.Uint64(h[8:])
	sum := w0>>32 + w1>>32 + w1&0xffffffff + uint64(c.localAddr) + uint64(c.remoteAddr) + ipv4.ProtoTCP
	if t.hlen > minHeaderLen {
		w := pkt.BigEndian.Uint64(h[minHeaderLen+4:])
		sum += timestampHeader + w>>32 + w&0xffffffff
	}
	t.sum = uint32(sum>>32) + uint32(sum>>16)&0xffff + uint32(sum)&0xffff

	c.flags &^= flagCwndLimited
	s.nxt += size
	s.rtx, s.rtxEnd = s.nxt, s.nxt
	if feature.TCPOpts && c.flags&flagWantWrite != 0 {
		c.wakeLow()
	}
	if c.selective() {
		sackOf(c).sent(c.env, now, t.seq, s.nxt)
	}
	if c.flags&flagTiming == 0 {
		c.startTiming(now, t.seq)
	}
	if feature.TCPInfo {
		k := tallyOf(c)
		k.sent += uint64(size)
		k.dataOut += uint32(t.Len)
		k.segsOut += uint32(t.Len)
	}
	c.cc.sentAt = ticks(now)
	c.armRetransmit(now)
	if feature.RACK && c.selective() {
		c.armProbe(now)
		if t.Len > 1 { // the second segment starts it again
			c.armProbe(now)
		}
	}
	r.acked, r.acks = r.nxt, 0
	c.timer.ackAt = pkt.Never
	return true
}

// Next makes p, which begins with the header that Depart gave, the next segment of t, and the
// last one of all if last says so.
func (c *Conn) Next(t *Train, p []byte, last bool) {
	pkt.BigEndian.PutUint32(p[4:], t.seq)
	acc := t.sum + t.seq>>16 + t.seq&0xffff + uint32(len(p)) + c.snd.q.readSum(t.at, p[t.hlen:])
	if last && t.push {
		p[13] |= byte(PSH)
		acc += uint32(PSH)
	}
	pkt.BigEndian.PutUint16(p[16:], pkt.Checksum(acc))
	n := uint32(len(p) - t.hlen)
	t.seq += n
	t.at += n
}
