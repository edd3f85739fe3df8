package tcp

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

const (
	optSACKPermitted = 4
	optSACK          = 5

	// maxBlocks is how many SACK blocks fit: "a SACK option that specifies n blocks
	// will have a length of 8*n+2 bytes, so the 40 bytes available for TCP options
	// can specify a maximum of 4 blocks", 3 beside timestamps (RFC 2018 section 3).
	maxBlocks = 4
)

// setSACK keeps the blocks of a SACK option, unparsed.
func (s *Segment) setSACK(v []byte) {
	if len(v)%8 == 0 {
		s.SACK = v
	}
}

// negotiateSACK takes selective acknowledgments into use, if both SYNs permit them
// (RFC 2018 section 2).
func (c *Conn) negotiateSACK(s *Segment) {
	if !s.SACKPermitted {
		c.flags &^= flagSACK
		return
	}
	sackOf(c).high = c.snd.una
	if feature.RACK {
		sackOf(c).rack.round = c.snd.una
	}
}

// sackReport is what the next ACKs tell the peer of data that has arrived out of
// order.
type sackReport struct {
	_ [0]func() // not comparable

	recent [maxBlocks]uint32 // one sequence number in each block, most recent first
	n      uint8
	dup    interval // what arrived twice, for one ACK (RFC 2883); empty if lo == hi
}

// note makes the block that holds seq the first to be reported: "The first SACK
// block [...] MUST specify the contiguous block of data containing the segment
// which triggered this ACK" (RFC 2018 section 4). The others stay, without those that
// it has taken in: "include as many distinct SACK blocks as possible".
func (x *intervals) note(seq uint32) {
	r := &x.report
	v := x.find(seq)
	list := [maxBlocks]uint32{seq}
	n := 1
	for _, old := range r.recent[:r.n] {
		if o := x.find(old); o != nil && o != v && n < maxBlocks {
			list[n] = old
			n++
		}
	}
	r.recent, r.n = list, uint8(n)
}

// find returns the interval that holds seq, or nil.
func (x *intervals) find(seq uint32) *interval {
	for i := range x.v[:x.n] {
		if v := &x.v[i]; !before(seq, v.lo) && before(seq, v.hi) {
			return v
		}
	}
	return nil
}

// noteDuplicate remembers what arrived twice: "the first block of the SACK option should
// be a D-SACK block specifying the sequence numbers for the duplicate segment" (RFC
// 2883 section 4).
func (c *Conn) noteDuplicate(lo, hi uint32) {
	if c.flags&flagSACK == 0 || lo == hi {
		return
	}
	if c.rcv.ooo == nil {
		c.rcv.ooo = newIntervals()
	}
	c.rcv.ooo.report.dup = interval{lo, hi}
}

// noteOverlap remembers the part of [lo, hi) that is here already.
func (c *Conn) noteOverlap(lo, hi uint32) {
	if v := c.rcv.ooo.find(lo); v != nil {
		if before(v.hi, hi) {
			hi = v.hi
		}
		c.noteDuplicate(lo, hi)
	}
}

// sackBlocks collects the blocks to report, at most n, in b.
func (c *Conn) sackBlocks(b *[maxBlocks]interval, n int) int {
	x := c.rcv.ooo
	k := 0
	if d := x.report.dup; d.lo != d.hi {
		b[0] = d
		k = 1
	}
	for _, seq := range x.report.recent[:x.report.n] {
		if v := x.find(seq); v != nil && k < n {
			b[k] = *v
			k++
		}
	}
	return k
}

// sackLen returns how many bytes of options the next ACK needs for its SACK
// blocks.
func (c *Conn) sackLen() int {
	x := c.rcv.ooo
	if x == nil || c.flags&flagSACK == 0 || x.n == 0 && x.report.dup.lo == x.report.dup.hi {
		return 0
	}
	n := maxBlocks
	if feature.Timestamps && c.flags&flagTS != 0 {
		n-- // room for three
	}
	// A small MTU must leave some room for data too.
	if n = min(n, (int(c.snd.mss)-12)/8); n <= 0 {
		return 0
	}
	var b [maxBlocks]interval
	if k := c.sackBlocks(&b, n); k > 0 {
		return 4 + 8*k
	}
	return 0
}

// putSACK writes the option, of the length that sackLen gave, into h.
func (c *Conn) putSACK(h []byte) {
	var b [maxBlocks]interval
	k := c.sackBlocks(&b, (len(h)-4)/8)
	pkt.BigEndian.PutUint32(h, optNop<<24|optNop<<16|optSACK<<8|uint32(2+8*k))
	for i := range b[:k] {
		pkt.BigEndian.PutUint32(h[4+8*i:], b[i].lo)
		pkt.BigEndian.PutUint32(h[8+8*i:], b[i].hi)
	}
	c.rcv.ooo.report.dup = interval{}
}

// A scoreboard begins with firstRuns and grows as need be to maxRuns: 40 in minimal, 160 in
// client, 640 in full. Beyond that it grows where there is that much in flight: a run for
// every runBytes. What does not fit is forgotten, as SACK information may be: it is advisory
// (RFC 2018 section 8). So a peer that reports crumbs costs no memory (CVE-2019-11478).
const (
	firstRuns = 8
	maxRuns   = 40 << (2 * feature.Profile)
	runBytes  = 512
)

// run is a piece of what is in flight: sent at one time, with one fate.
type run struct {
	_ [0]func() // not comparable

	lo, hi uint32
	at     pkt.Time // when it was last sent
	is     runFlags
}

type runFlags uint8

const (
	runSacked runFlags = 1 << iota // the peer has it
	runLost                        // thought to be lost, and not sent again yet
	runResent                      // sent more than once
)

// scoreboard holds everything in flight, in sequence without gaps. Connections
// with nothing in flight have none: Env keeps them for the next to need one.
type scoreboard struct {
	_ [0]func() // not comparable

	next  *scoreboard
	first int // v[first : first+n] is in use
	n     int
	v     []run
}

// scoreboardShape is a scoreboard as it is allocated: see TCB.
type scoreboardShape struct {
	_ [0]func()
	_ unsafe.Pointer
	_ int
	_ int
	_ []byte
}

// room makes room for one more run and reports whether it may.
func (b *scoreboard) room() bool {
	if b.first+b.n < len(b.v) {
		return true
	}
	if b.first > 0 {
		copy(b.v, b.v[b.first:])
		b.first = 0
		return true
	}
	if b.n >= maxRuns && int(b.v[b.n-1].hi-b.v[0].lo) < b.n*runBytes {
		return false
	}
	n := max(firstRuns, 2*len(b.v))
	if len(b.v) < maxRuns {
		n = min(n, maxRuns)
	}
	v := unsafe.Slice((*run)(pkt.Words(uintptr(n)*unsafe.Sizeof(run{}))), n)
	copy(v, b.v)
	b.v = v
	return true
}

// keepRuns is how long the unused scoreboards are together that an Env keeps.
const keepRuns = 64 * maxRuns

// sackOf returns the state of the feature. It counts if both sides have it: see selective.
func sackOf(c *Conn) *sackState { return (*sackState)(unsafe.Pointer(&c.sack)) }

// sackState is the sender's side: what was sent, and what is known of its fate. It is
// not behind a pointer, as every segment needs it: of many connections, that would be a cache
// miss that waits for another.
type sackState struct {
	_ [0]func() // not comparable

	board   *scoreboard
	reduced pkt.Time // when the window last was
	rack    rackState
	prr     prrState

	sacked uint32 // bytes in runSacked
	lost   uint32 // bytes in runLost
	high   uint32 // behind the highest that is known to have arrived
	twice  bool   // what recovery has sent again was lost again
	plain  uint8  // duplicate ACKs without blocks in a row, up to 3
	mult   uint8  // of RACK's reordering window, in quarters of rack.min
	keep   uint8  // recoveries for which mult lasts
}

// ackInfo is what the ACK in progress says.
type ackInfo struct {
	delivered uint32 // bytes that it reports first
	fack      uint32 // sackState.high before: the order of its blocks says nothing
	dsack     bool   // it reports a duplicate
}

func (st *sackState) runs() []run {
	if st.board == nil {
		return nil
	}
	return st.board.v[st.board.first:][:st.board.n]
}

// sent notes that [lo, hi) was sent for the first time.
func (st *sackState) sent(e *Env, now pkt.Time, lo, hi uint32) {
	b := st.board
	if b == nil {
		if b = (*scoreboard)(e.boards); b == nil {
			b = (*scoreboard)(unsafe.Pointer(new(scoreboardShape)))
		} else {
			e.popBoard(b)
			e.idleRuns = min(e.idleRuns, e.keptRuns)
		}
		b.next, b.first, b.n = nil, 0, 0
		st.board = b
	}
	if b.n > 0 {
		if last := &b.v[b.first+b.n-1]; last.at == now && last.is == 0 {
			last.hi = hi
			return
		}
	}
	if !b.room() {
		b.coarsen()
		if !b.room() { // all different: let the last one grow, as if sent now
			last := &b.v[b.first+b.n-1]
			if last.is == 0 {
				last.hi, last.at = hi, now
				return
			}
			b.forget(st)
			b.room()
		}
	}
	b.v[b.first+b.n] = run{lo: lo, hi: hi, at: now}
	b.n++
}

// coarsen joins neighbours of the same fate, as if both were sent with the later:
// loss is then found later, never wrongly.
func (b *scoreboard) coarsen() {
	v := b.v[b.first:][:b.n]
	w := 0
	joined := false
	for i := 1; i < len(v); i++ {
		if v[w].is == v[i].is && !joined {
			v[w].hi = v[i].hi
			v[w].at = max(v[w].at, v[i].at)
			joined = v[i].is&runSacked == 0 // at most two into one: times stay apart
			continue
		}
		joined = false
		w++
		v[w] = v[i]
	}
	b.n = w + 1
}

// forget takes all as sent and nothing known.
func (b *scoreboard) forget(st *sackState) {
	v := b.v[b.first:][:b.n]
	for i := range v {
		v[i].is = runResent
	}
	b.coarsen()
	st.sacked, st.lost = 0, 0
}

// release gives the scoreboard back: nothing is in flight.
func (st *sackState) release(e *Env) {
	if b := st.board; b != nil {
		st.board = nil
		if n := int32(len(b.v)); e.keptRuns+n <= keepRuns && n <= 4*maxRuns {
			b.next, e.boards = (*scoreboard)(e.boards), unsafe.Pointer(b)
			e.keptRuns += n
		}
	}
	st.sacked, st.lost = 0, 0
}

func (e *Env) popBoard(b *scoreboard) {
	e.boards = unsafe.Pointer(b.next)
	e.keptRuns -= int32(len(b.v))
}

// Keeps reports whether there is anything for Trim to do.
func (e *Env) Keeps() bool { return e.boards != nil }

// Trim leaves those unused scoreboards to the garbage collector that no connection has
// needed since the last call, which are at the list's end: see pkt.Memory.Trim.
func (e *Env) Trim() {
	keep := e.keptRuns - e.idleRuns
	e.keptRuns = 0
	at := &e.boards
	for *at != nil && e.keptRuns < keep {
		b := (*scoreboard)(*at)
		e.keptRuns += int32(len(b.v))
		at = (*unsafe.Pointer)(unsafe.Pointer(&b.next))
	}
	*at = nil
	e.idleRuns = e.keptRuns
}

// split makes a run boundary at seq, which lies within run i, and reports whether
// there was room.
func (b *scoreboard) split(i int, seq uint32) bool {
	if !b.room() {
		return false
	}
	v := b.v[b.first:][:b.n+1]
	copy(v[i+1:], v[i:b.n])
	b.n++
	v[i].hi = seq
	v[i+1].lo = seq
	return true
}

// input takes what an ACK says: everything before s.Ack has arrived, and so have
// the blocks of its SACK option.
func (st *sackState) input(now pkt.Time, c *Conn, s *Segment) {
	c.env.ack = ackInfo{fack: st.high}
	st.acked(now, c, s)
	blocks := s.SACK
	for i := 0; len(blocks) >= 8; i++ {
		lo, hi := pkt.BigEndian.Uint32(blocks), pkt.BigEndian.Uint32(blocks[4:])
		blocks = blocks[8:]
		if i == 0 && st.isDuplicate(lo, hi, s.Ack, blocks) {
			c.env.ack.dsack = true
			if feature.TCPInfo {
				tallyOf(c).dups++
			}
			c.undo(lo, hi)
			continue
		}
		if before(lo, s.Ack) || !before(lo, hi) || before(c.snd.nxt, hi) {
			continue // old, or nonsense
		}
		st.mark(now, c, s, lo, hi)
	}
	if b := st.board; b != nil && b.n > len(b.v)/2 {
		b.joinSacked()
	}
}

// isDuplicate reports whether the first block is a D-SACK: it lies before the
// ACK, or within the second block (RFC 2883 section 4).
func (st *sackState) isDuplicate(lo, hi, ack uint32, rest []byte) bool {
	if !before(ack, hi) {
		return before(lo, hi) && before(ack-hi, 1<<30)
	}
	if len(rest) < 8 {
		return false
	}
	return !before(lo, pkt.BigEndian.Uint32(rest)) && !before(pkt.BigEndian.Uint32(rest[4:]), hi)
}

// acked takes everything before s.Ack off the scoreboard.
func (st *sackState) acked(now pkt.Time, c *Conn, s *Segment) {
	b := st.board
	if b == nil {
		return
	}
	for b.n > 0 {
		r := &b.v[b.first]
		if !before(r.lo, s.Ack) {
			break
		}
		hi := r.hi
		if before(s.Ack, hi) {
			hi = s.Ack
		}
		n := hi - r.lo
		if r.is&runSacked != 0 {
			st.sacked -= n
		} else {
			st.arrived(now, c, s, r, n, hi)
		}
		if r.lo = hi; r.lo == r.hi {
			b.first++
			b.n--
		}
	}
	if b.n == 0 {
		b.first = 0
	}
}

// mark takes [lo, hi) as arrived.
func (st *sackState) mark(now pkt.Time, c *Conn, s *Segment, lo, hi uint32) {
	b := st.board
	if b == nil {
		return
	}
	v := st.runs()
	i, j := 0, len(v) // the first run that ends behind lo
	for i < j {
		if m := int(uint(i+j) >> 1); before(lo, v[m].hi) {
			j = m
		} else {
			i = m + 1
		}
	}
	for ; i < b.n; i++ {
		r := &b.v[b.first+i]
		if !before(r.lo, hi) {
			break
		}
		if r.is&runSacked != 0 {
			continue
		}
		if before(r.lo, lo) {
			if !b.split(i, lo) {
				continue
			}
			continue // the second half is next
		}
		if before(hi, r.hi) {
			if !b.split(i, hi) {
				break
			}
			r = &b.v[b.first+i]
		}
		n := r.hi - r.lo
		st.arrived(now, c, s, r, n, r.hi)
		st.sacked += n
		r.is |= runSacked
	}
}

// arrived notes that n bytes of r, up to hi, are known to have arrived just now.
func (st *sackState) arrived(now pkt.Time, c *Conn, s *Segment, r *run, n, hi uint32) {
	c.env.ack.delivered += n
	if r.is&runLost != 0 {
		st.lost -= n
		if n == r.hi-r.lo {
			r.is &^= runLost
		}
	}
	if feature.RACK {
		st.rack.arrived(now, c, s, r, hi, c.env.ack.fack)
	}
	st.high = maxSeq(st.high, hi)
}

// joinSacked makes one run of adjacent ones that the peer has.
func (b *scoreboard) joinSacked() {
	v := b.v[b.first:][:b.n]
	w := 0
	for i := 1; i < len(v); i++ {
		if v[w].is&v[i].is&runSacked != 0 {
			v[w].hi = v[i].hi
			continue
		}
		w++
		v[w] = v[i]
	}
	b.n = w + 1
}

// lose marks r as lost.
func (st *sackState) lose(r *run) {
	if r.is&(runLost|runSacked) == 0 {
		if r.is&runResent != 0 && r.at >= st.reduced {
			st.twice = true
		}
		r.is |= runLost
		st.lost += r.hi - r.lo
	}
}

// detect finds what is lost by counting: "either DupThresh discontiguous SACKed
// sequences have arrived above 'SeqNum' or more than (DupThresh - 1) * SMSS bytes
// with sequence numbers greater than 'SeqNum' have been SACKed" (RFC 6675 section
// 4, IsLost). What was sent again is left to the timer.
func (st *sackState) detect(mss uint32) {
	v := st.runs()
	bytes, seqs := uint32(0), 0
	for i := len(v) - 1; i >= 0; i-- {
		r := &v[i]
		if r.is&runSacked != 0 {
			bytes += r.hi - r.lo
			if i+1 == len(v) || v[i+1].is&runSacked == 0 {
				seqs++
			}
		} else if r.is&runResent == 0 && (seqs >= 3 || bytes > 2*mss) {
			st.lose(r)
		}
	}
}

// timeout takes all that the peer does not have as lost: RFC 6675 section 5.1. A
// peer that has thrown away what it reported, as it may, is found out by the
// first byte being among it; then nothing it said is believed (RFC 2018 section
// 8).
func (st *sackState) timeout() {
	st.prr.resent = 0
	v := st.runs()
	if len(v) > 0 && v[0].is&runSacked != 0 {
		for i := range v {
			v[i].is &^= runSacked
		}
		st.sacked = 0
	}
	for i := range v {
		st.lose(&v[i])
	}
}

// nextLost returns the first run that is lost and at most n bytes of it, cut off
// as a run of its own if there is room.
func (st *sackState) nextLost(n uint32) *run {
	b := st.board
	if st.lost == 0 || b == nil {
		return nil
	}
	for i := range b.n {
		r := &b.v[b.first+i]
		if r.is&runLost == 0 {
			continue
		}
		if r.hi-r.lo > n && b.split(i, r.lo+n) {
			r = &b.v[b.first+i]
		}
		return r
	}
	return nil
}

// resent notes that r was sent again.
func (st *sackState) resent(now pkt.Time, r *run) {
	if r.is&runLost != 0 {
		st.lost -= r.hi - r.lo
	}
	r.is = r.is&^runLost | runResent
	r.at = now
}
