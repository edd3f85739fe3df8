package emu

import "github.com/bonsainet/bonsai/netif"

// wire holds the frames of a pipe that have a time, and the state of its
// impairments.
type wire struct {
	heap  []flight // the earliest first
	held  []holding
	order uint64 // of the last one that went into the heap
	seq   uint64 // of the last frame that was taken
	top   uint64 // highest seq delivered

	busy    netif.Time // the transmitter is, until then
	rem     int64      // and this many ns/Rate longer
	queue   []waiting  // frames that wait for it: queue[qhead:]
	qhead   int
	qbytes  int
	mark    bool // the frame that transmit took last is to be marked
	lastDue netif.Time
	bad     bool // the Gilbert-Elliott channel's state
}

// flight is a frame on its way. Those due at the same time arrive by order.
type flight struct {
	due        netif.Time
	order, seq uint64
	buf        *netif.Buf
}

// holding is a frame that lets others pass.
type holding struct {
	flight
	left int // how many more
}

// waiting is a frame in the queue, until its transmission starts.
type waiting struct {
	start netif.Time
	size  int
}

// transmit puts a frame that arrives now behind the others into the queue, and
// says whether there was room.
func (q *pipe) transmit(now netif.Time, frame []byte) bool {
	p := &q.path
	n := len(frame)
	q.mark = false
	if p.Rate == 0 {
		return true
	}
	for q.qhead < len(q.queue) && q.queue[q.qhead].start <= now {
		q.qbytes -= q.queue[q.qhead].size
		q.qhead++
	}
	if q.qhead == len(q.queue) {
		q.queue, q.qhead = q.queue[:0], 0
	}
	if q.busy <= now {
		q.busy, q.rem = now, 0
	} else {
		if p.Queue > 0 && len(q.queue)-q.qhead >= p.Queue || p.QueueBytes > 0 && q.qbytes+n > p.QueueBytes {
			q.stats.QueueDrops++
			return false
		}
		if p.Mark > 0 && len(q.queue)-q.qhead >= p.Mark || p.MarkBytes > 0 && q.qbytes >= p.MarkBytes {
			if q.mark = capable(frame); q.mark {
				q.stats.Marked++
			} else if p.DropNotECT && !marked(frame) {
				q.stats.QueueDrops++
				return false
			}
		}
		if len(q.queue) == cap(q.queue) && 2*q.qhead >= len(q.queue) {
			q.queue = q.queue[:copy(q.queue, q.queue[q.qhead:])]
			q.qhead = 0
		}
		q.queue = append(q.queue, waiting{q.busy, n})
		q.qbytes += n
	}
	t := int64(n)*8e9 + q.rem
	q.busy += netif.Time(t / p.Rate)
	q.rem = t % p.Rate
	return true
}

// lose says whether the frame is lost.
func (q *pipe) lose() bool {
	p := &q.path
	loss := p.Loss
	if p.Burst.Enter > 0 {
		if q.bad {
			q.bad = !q.chance(p.Burst.Leave)
		} else {
			q.bad = q.chance(p.Burst.Enter)
		}
		if q.bad {
			loss = p.Burst.Loss
		}
	}
	if !q.chance(loss) {
		return false
	}
	q.stats.Lost++
	return true
}

// launch sends a frame on its way, which is the pipe's own and was not lost.
func (q *pipe) launch(now netif.Time, b *netif.Buf) {
	p := &q.path
	if q.mark {
		setCE(b.Bytes())
	}
	if q.chance(p.Corrupt) {
		q.stats.Corrupted++
		frame := b.Bytes()
		for range p.CorruptBits {
			bit := q.upTo(uint64(len(frame))*8 - 1)
			frame[bit/8] ^= 1 << (bit % 8)
		}
	}
	q.seq++
	var twin *netif.Buf
	if q.chance(p.Duplicate) && q.len()+1 < q.limit {
		q.stats.Duplicated++
		twin = q.copy(b)
	}
	q.fly(now, b)
	if twin != nil {
		q.fly(now, twin)
	}
}

func (q *pipe) fly(now netif.Time, b *netif.Buf) {
	p := &q.path
	due := now
	if p.Rate > 0 {
		due = q.busy
	}
	due += p.Delay
	if p.Jitter > 0 {
		due += netif.Time(q.upTo(uint64(p.Jitter)))
	}
	if q.chance(p.Reorder) {
		q.held = append(q.held, holding{flight{max(due, q.lastDue) + p.ReorderHold, 0, q.seq, b}, p.ReorderBy})
		return
	}
	if due < q.lastDue && !p.Overtake {
		due = q.lastDue
	}
	q.lastDue = max(q.lastDue, due)
	if due <= now && len(q.heap) == 0 && len(q.held) == 0 {
		q.push(b)
		q.top = q.seq
		return
	}
	q.insert(flight{due, 0, q.seq, b})

	kept := q.held[:0]
	for _, h := range q.held {
		if h.left--; h.left > 0 {
			kept = append(kept, h)
			continue
		}
		h.due = min(h.due, due)
		q.insert(h.flight)
	}
	q.held = kept
}

// arrived takes the next frame that is due off the wire, or returns nil.
func (q *pipe) arrived(now netif.Time) *netif.Buf {
	for i := 0; i < len(q.held); {
		if q.held[i].due > now {
			i++
			continue
		}
		q.insert(q.held[i].flight)
		q.held = append(q.held[:i], q.held[i+1:]...)
	}
	if len(q.heap) == 0 || q.heap[0].due > now {
		return nil
	}
	e := q.remove()
	if e.seq < q.top {
		q.stats.Reordered++
	} else {
		q.top = e.seq
	}
	return e.buf
}

func (w *wire) next() netif.Time {
	at := never
	if len(w.heap) > 0 {
		at = w.heap[0].due
	}
	for i := range w.held {
		at = min(at, w.held[i].due)
	}
	return at
}

// clear forgets all frames, which the caller has taken, and what they would
// have done to those that follow.
func (w *wire) clear(now netif.Time) {
	clear(w.heap)
	clear(w.held)
	w.heap, w.held = w.heap[:0], w.held[:0]
	w.queue, w.qhead, w.qbytes = w.queue[:0], 0, 0
	w.busy, w.rem, w.lastDue = now, 0, now
}

func (a *flight) before(b *flight) bool {
	return a.due < b.due || a.due == b.due && a.order < b.order
}

// insert puts a frame into the heap, behind all that are due at the same time.
func (w *wire) insert(e flight) {
	w.order++
	e.order = w.order
	i := len(w.heap)
	w.heap = append(w.heap, e)
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(&w.heap[up]) {
			break
		}
		w.heap[i] = w.heap[up]
		i = up
	}
	w.heap[i] = e
}

// remove takes the first frame out of the heap.
func (w *wire) remove() flight {
	first := w.heap[0]
	n := len(w.heap) - 1
	e := w.heap[n]
	w.heap[n] = flight{}
	w.heap = w.heap[:n]
	i := 0
	for {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && w.heap[c+1].before(&w.heap[c]) {
			c++
		}
		if !w.heap[c].before(&e) {
			break
		}
		w.heap[i] = w.heap[c]
		i = c
	}
	if n > 0 {
		w.heap[i] = e
	}
	return first
}
