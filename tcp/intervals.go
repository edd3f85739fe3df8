package tcp

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// maxIntervals bounds how many separate pieces of out-of-order data a connection
// holds: 4 in minimal, 16 in client, 64 in full; with feature sack it may be more, where
// they are large: one for every intervalBytes from the first to the last. After a slow start
// that was too fast every second segment is missing. A segment that would make one
// more is dropped; the peer sends it again.
const (
	maxIntervals  = 4 << (2 * feature.Profile)
	intervalBytes = 512
)

// intervals are the pieces of the receive queue beyond rcv.nxt that are filled,
// in sequence, disjoint and not adjacent.
type intervals struct {
	_ [0]func() // not comparable

	v []interval
	n int

	report sackReport // feature sack
}

// intervalsShape is intervals as they are allocated: see TCB.
type intervalsShape struct {
	_ [0]func()
	_ []byte
	_ [unsafe.Sizeof(intervals{}) - 3*pointer]byte
}

func newIntervals() *intervals { return (*intervals)(unsafe.Pointer(new(intervalsShape))) }

type interval struct{ lo, hi uint32 }

// add merges [lo, hi) in and reports whether there was room.
func (x *intervals) add(lo, hi uint32) bool {
	i := 0
	for i < x.n && before(x.v[i].hi, lo) {
		i++
	}
	j := i // v[i:j] touch or overlap [lo, hi)
	for j < x.n && !before(hi, x.v[j].lo) {
		j++
	}
	if i == j {
		if x.n == len(x.v) && !x.grow(lo, hi) {
			return false
		}
		copy(x.v[i+1:x.n+1], x.v[i:x.n])
		x.n++
		x.v[i] = interval{lo, hi}
		return true
	}
	if before(x.v[i].lo, lo) {
		lo = x.v[i].lo
	}
	x.v[i] = interval{lo, maxSeq(hi, x.v[j-1].hi)}
	copy(x.v[i+1:], x.v[j:x.n])
	x.n -= j - i - 1
	return true
}

// grow makes room for [lo, hi), if the data is worth it.
func (x *intervals) grow(lo, hi uint32) bool {
	n := len(x.v)
	if n > 0 {
		if before(x.v[0].lo, lo) {
			lo = x.v[0].lo
		}
		if !feature.SACK || int(maxSeq(hi, x.v[n-1].hi)-lo) < n*intervalBytes {
			return false
		}
	}
	more := max(2*n, maxIntervals)
	v := unsafe.Slice((*interval)(pkt.Words(uintptr(more)*unsafe.Sizeof(interval{}))), more)
	copy(v, x.v)
	x.v = v
	return true
}

// reassemble stores a segment while something is missing before it, or before
// what came earlier: "Segments with higher beginning sequence numbers SHOULD be
// held for later processing" (RFC 9293 section 3.10.7.4, SHLD-31). Each is
// acknowledged at once, and so is one that fills a hole (RFC 5681 section 4.2).
func (c *Conn) reassemble(seq uint32, p []byte) ipv4.Drop {
	r := &c.rcv
	if r.acks < 255 {
		r.acks++ // one for each: the peer counts them
	}
	if len(p) == 0 { // a FIN ahead of data
		return ipv4.DropNone
	}
	if r.ooo == nil {
		r.ooo = newIntervals()
	}
	x := r.ooo
	n := c.storeNew(seq, p)
	if n == 0 {
		return ipv4.DropMemory
	}
	if feature.SACK {
		c.noteOverlap(seq, seq+n)
	}
	if seq != r.nxt {
		if !x.add(seq, seq+n) {
			return ipv4.DropMemory
		}
		if feature.SACK {
			x.note(seq)
		}
		return ipv4.DropNone
	}
	// It takes in those that it reaches, and needs no place among them.
	r.acks = 1 // what was asked for has come: repeating that would ask again
	r.nxt += n
	i := 0
	for ; i < x.n && !before(r.nxt, x.v[i].lo); i++ {
		r.nxt = maxSeq(r.nxt, x.v[i].hi)
	}
	if x.n = copy(x.v, x.v[i:x.n]); x.n == 0 && len(x.v) > maxIntervals {
		x.v = nil
	}
	return ipv4.DropNone
}

// storeNew stores p without touching what an earlier segment has filled: the
// first copy stays, so that nobody can change what was accepted.
func (c *Conn) storeNew(seq uint32, p []byte) uint32 {
	x := c.rcv.ooo
	end := seq + uint32(len(p))
	at := seq
	for i := 0; i < x.n && before(at, end); i++ {
		v := &x.v[i]
		if !before(at, v.hi) {
			continue
		}
		if !before(v.lo, end) {
			break
		}
		if before(at, v.lo) {
			if n := c.store(at, p[at-seq:v.lo-seq]); at+n != v.lo {
				return at + n - seq
			}
		}
		at = v.hi
	}
	if before(at, end) {
		at += c.store(at, p[at-seq:])
	} else {
		at = end
	}
	return at - seq
}
