package emu

import (
	"math/bits"
	"math/rand/v2"
	"sync"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/netif"
)

const (
	never netif.Time = 1<<63 - 1
	ask   netif.Time = -1 // for send and take: ask the clock, if the time matters

	headerLen = 14
	tagLen    = 4
)

// pipe is one direction: a queue between a sender and a receiver. Frames that
// need no delay pass through fifo, which is all that a perfect path uses; the
// others wait in the heap, and what is in fifo is older than what is there.
//
// Its memory is what it was given: at most limit Bufs, because it allocates one
// only when it takes a frame and has none to give back.
type pipe struct {
	mu    sync.Mutex
	cond  sync.Cond
	clock Clock
	limit int // frames
	mtu   int

	fifo []*netif.Buf // due frames: fifo[head:]
	head int
	free []*netif.Buf // empty ones: last in, first out, since that one is in the cache
	wire              // frames with a time: impair.go

	// Features gro and tso.
	whole bool         // the receiver takes super-segments
	more  int          // frames that those in fifo stand for, besides themselves
	large []*netif.Buf // empty ones
	lent  []*netif.Buf // what the receiver gave for the large ones that it has

	path    Path
	perfect bool
	rng     rand.PCG
	stats   Stats

	down   bool // no carrier
	dead   bool // an end is closed, for good
	closed bool // the receiver's end

	waiting bool                // the receiver is in cond.Wait
	called  bool                // back, by interrupt
	set     func(at netif.Time) // its timer, once it needed one
	armed   netif.Time          // when that goes off
}

func (q *pipe) init(mtu, frames int, p Path, seed, stream uint64, clock Clock) {
	q.mtu, q.limit, q.clock = mtu, frames, clock
	if mtu == 0 {
		q.mtu = defaultMTU
	}
	if frames == 0 {
		q.limit = defaultFrames
	}
	q.cond.L = &q.mu
	q.armed = never
	q.rng.Seed(seed, stream)
	q.setPath(p)
}

func (q *pipe) setPath(p Path) {
	q.perfect = p.perfect()
	if p.Rate > 0 && p.Queue == 0 && p.QueueBytes == 0 {
		p.Queue = defaultQueue
	}
	if p.ReorderBy == 0 {
		p.ReorderBy = 1
	}
	if p.ReorderHold == 0 {
		p.ReorderHold = defaultHold
	}
	if p.CorruptBits == 0 {
		p.CorruptBits = 1
	}
	if p.Burst.Loss == 0 {
		p.Burst.Loss = 1
	}
	if p.Burst.Enter == 0 {
		q.bad = false
	}
	q.path = p
}

// now returns the time, or 0 when the link has no clock and so nothing with
// a time either.
func (q *pipe) now() netif.Time {
	if q.clock == nil {
		return 0
	}
	return q.clock.Now()
}

func (q *pipe) len() int { return len(q.fifo) - q.head + len(q.heap) + len(q.held) }

// send takes the frames in bufs, which arrive at the given time, and puts empty
// Bufs in their places.
func (q *pipe) send(at netif.Time, bufs []*netif.Buf) errno.Errno {
	q.mu.Lock()
	var err errno.Errno
	switch {
	case q.down || q.dead:
		for _, b := range bufs {
			q.count(b.Len())
		}
		q.stats.Down += uint64(len(bufs))
		err = errno.ENETDOWN
	case q.perfect && len(q.heap) == 0 && len(q.held) == 0:
		for i, b := range bufs {
			if netif.Offloads && netif.Summed(b) == netif.SumPartial {
				if e, done := q.sendOffloaded(at, bufs, i); done {
					err = max(err, e)
					continue
				}
			}
			if e := q.admit(b.Bytes()); e != 0 {
				err = e
				continue
			}
			var in *netif.Buf
			in, bufs[i] = q.swap(b)
			q.push(in)
		}
	default:
		if at == ask {
			at = q.now()
		}
		for i, b := range bufs {
			if netif.Offloads && netif.Summed(b) == netif.SumPartial {
				if e, done := q.sendOffloaded(at, bufs, i); done {
					err = max(err, e)
					continue
				}
			}
			if e := q.admit(b.Bytes()); e != 0 {
				err = e
			} else if q.transmit(at, b.Bytes()) && !q.lose() {
				var in *netif.Buf
				in, bufs[i] = q.swap(b)
				q.launch(at, in)
			}
		}
	}
	q.wakeAndUnlock(at)
	return err
}

// sendCopy is send for one frame that others get too.
func (q *pipe) sendCopy(at netif.Time, frame *netif.Buf) {
	q.mu.Lock()
	if q.down || q.dead {
		q.count(frame.Len())
		q.stats.Down++
	} else if q.admit(frame.Bytes()) == 0 && (q.perfect || q.transmit(at, frame.Bytes()) && !q.lose()) {
		q.launch(at, q.copy(frame))
	}
	q.wakeAndUnlock(at)
}

// wakeAndUnlock wakes the receiver if it waits and there is something for it, or
// sees to it that a timer will.
func (q *pipe) wakeAndUnlock(now netif.Time) {
	wake := false
	if q.waiting {
		at := q.next()
		wake = at <= now || at == 0
		if !wake && at < q.armed {
			q.arm(at)
		}
		q.waiting = !wake
	}
	q.mu.Unlock()
	if wake {
		q.cond.Signal()
	}
}

func (q *pipe) count(n int) {
	q.stats.Sent++
	q.stats.SentBytes += uint64(n)
}

func (q *pipe) delivered(n int) {
	q.stats.Delivered++
	q.stats.DeliveredBytes += uint64(n)
}

// admit counts a frame and says why it can't be taken, or 0.
func (q *pipe) admit(frame []byte) errno.Errno {
	q.count(len(frame))
	if !q.fits(frame) {
		q.stats.BadLength++
		return errno.EMSGSIZE
	}
	if q.len()+q.more >= q.limit {
		q.stats.Overruns++
		return errno.ENOBUFS
	}
	return 0
}

// fits says whether a frame has a header, and no more behind it than the MTU
// and a VLAN tag.
func (q *pipe) fits(frame []byte) bool {
	n := len(frame) - headerLen
	return n >= 0 && (n <= q.mtu || n <= q.mtu+tagLen && frame[12] == 0x81 && frame[13] == 0)
}

// swap takes a full Buf for an empty one that is no smaller. When there is only
// a smaller one it copies the frame into that, and gives the same Buf back.
func (q *pipe) swap(full *netif.Buf) (in, back *netif.Buf) {
	n := len(q.free) - 1
	if n < 0 {
		return full, netif.NewBuf(full.Cap()) // as large, so that no side has to copy
	}
	back = q.free[n]
	if back.Cap() < full.Cap() {
		return q.copy(full), full
	}
	q.free = q.free[:n]
	back.Reset()
	return full, back
}

// copy returns a Buf of the pipe's with a copy of a frame.
func (q *pipe) copy(frame *netif.Buf) *netif.Buf {
	var b *netif.Buf
	if n := len(q.free) - 1; n >= 0 {
		b = q.free[n]
		q.free = q.free[:n]
	}
	if b == nil || b.Cap() < frame.Len() {
		b = netif.NewBuf(max(frame.Cap(), frame.Len()))
	}
	b.CopyFrom(frame.Bytes())
	if netif.Offloads {
		netif.SetSummed(b, netif.Summed(frame))
	}
	return b
}

func (q *pipe) push(b *netif.Buf) {
	if len(q.fifo) == cap(q.fifo) && 2*q.head >= len(q.fifo) {
		q.fifo = q.fifo[:copy(q.fifo, q.fifo[q.head:])]
		q.head = 0
	}
	q.fifo = append(q.fifo, b)
}

// take puts the frames that are due into bufs.
func (q *pipe) take(now netif.Time, bufs []*netif.Buf) int {
	n := 0
	if netif.Offloads && len(q.lent) > 0 {
		q.takeBack(bufs)
	}
	whole := 0
	for n < len(bufs) && q.head < len(q.fifo) {
		if netif.Offloads && netif.SegmentSize(q.fifo[q.head]) != 0 {
			if whole++; whole > maxWhole {
				return n
			}
		}
		bufs[n] = q.deliver(q.fifo[q.head], bufs[n])
		q.head++
		n++
	}
	if q.head == len(q.fifo) {
		q.fifo, q.head = q.fifo[:0], 0
	}
	if n == len(bufs) || len(q.heap) == 0 && len(q.held) == 0 {
		return n
	}
	if now == ask {
		now = q.now()
	}
	for n < len(bufs) {
		b := q.arrived(now)
		if b == nil {
			break
		}
		bufs[n] = q.deliver(b, bufs[n])
		n++
	}
	return n
}

// deliver exchanges a full Buf for the receiver's empty one, and returns what
// the receiver gets.
func (q *pipe) deliver(full, empty *netif.Buf) *netif.Buf {
	if netif.Offloads && netif.SegmentSize(full) != 0 {
		return q.deliverWhole(full, empty)
	}
	n := full.Len()
	q.delivered(n)
	if full.Cap() < empty.Cap() && n <= empty.Cap() {
		empty.CopyFrom(full.Bytes())
		if netif.Offloads {
			netif.SetSummed(empty, netif.Summed(full))
		}
		full, empty = empty, full
	} else if full.Cap() < empty.Cap() { // a frame that begins in the headroom
		b := netif.NewBuf(n)
		b.CopyFrom(full.Bytes())
		if netif.Offloads {
			netif.SetSummed(b, netif.Summed(full))
		}
		full, empty = b, full
	}
	q.free = append(q.free, empty)
	return full
}

// next returns when the next frame is due: 0 if one waits already.
func (q *pipe) next() netif.Time {
	if q.head < len(q.fifo) {
		return 0
	}
	return q.wire.next()
}

// recv waits for frames.
func (q *pipe) recv(bufs []*netif.Buf) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if q.closed {
			return 0, errno.ENODEV
		}
		if n := q.take(ask, bufs); n > 0 || len(bufs) == 0 || q.called {
			q.called = false
			return n, nil
		}
		if at := q.next(); at != never && at != q.armed {
			q.arm(at)
		}
		q.waiting = true
		q.cond.Wait()
		q.waiting = false
	}
}

// interrupt makes recv return.
func (q *pipe) interrupt() {
	q.mu.Lock()
	q.called = true
	q.mu.Unlock()
	q.cond.Signal()
}

func (q *pipe) arm(at netif.Time) {
	if q.set == nil {
		q.set = q.clock.Timer(q.timer)
	}
	q.armed = at
	q.set(at)
}

func (q *pipe) timer() {
	q.mu.Lock()
	q.armed = never
	q.mu.Unlock()
	q.cond.Signal()
}

// setDown loses what is under way, but not what has arrived.
func (q *pipe) setDown(down bool) {
	q.mu.Lock()
	q.down = down
	if down {
		q.cut()
	}
	q.mu.Unlock()
}

// cut loses what is under way.
func (q *pipe) cut() {
	now := q.now()
	for b := q.arrived(now); b != nil; b = q.arrived(now) {
		q.push(b)
	}
	for _, e := range q.heap {
		q.free = append(q.free, e.buf)
	}
	for _, h := range q.held {
		q.free = append(q.free, h.buf)
	}
	q.stats.Down += uint64(len(q.heap) + len(q.held))
	q.wire.clear(now)
}

// end drops all that is sent from now on. What is under way arrives.
func (q *pipe) end() {
	q.mu.Lock()
	q.dead = true
	q.mu.Unlock()
}

// close ends the receiver: what was under way to it is lost.
func (q *pipe) close() {
	q.mu.Lock()
	q.cut() // under the same lock: else SetDown(false) and a Send may come between
	q.down, q.dead, q.closed = true, true, true
	q.stats.Down += uint64(q.len() + q.more)
	q.fifo, q.free, q.head = nil, nil, 0
	q.more, q.large, q.lent = 0, nil, nil
	q.mu.Unlock()
	q.cond.Broadcast()
}

func (q *pipe) readStats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stats
}

// chance is true with probability p.
func (q *pipe) chance(p float64) bool {
	return p > 0 && float64(q.rng.Uint64()>>11) < p*(1<<53)
}

// upTo returns a number from 0 to n, all equally likely.
func (q *pipe) upTo(n uint64) uint64 {
	hi, _ := bits.Mul64(q.rng.Uint64(), n+1)
	return hi
}
