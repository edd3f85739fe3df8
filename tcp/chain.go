package tcp

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// chain is a byte queue in chunks: data is appended or written at an offset,
// read at an offset and dropped from the front. An empty chain holds no memory.
//
// A cursor remembers the chunk of the last access by position, so that sending,
// retransmitting and reassembling in sequence never walk the chain. What the application
// does at the other end, fill and front, leaves the cursor alone.
type chain struct {
	_ [0]func() // not comparable

	tail, cur *pkt.Chunk                // a ring: behind the last is the first
	off       uint32                    // where in head the queue begins
	span      uint32                    // bytes from there to the end of tail
	curAt     uint32                    // position of cur's first byte, counted from head's
	hole      [feature.LenPLPMTUD]uint8 // of the send queue, where there is room: place in Env.holes, from 1; 0: none
}

// grow makes the chain reach n bytes from its front, as far as memory allows,
// and returns how far it reaches.
func (q *chain) grow(m *pkt.Memory, n uint32) uint32 {
	for q.span < n {
		if q.tail != nil && m.Spare() == 0 {
			break
		}
		k := m.Get()
		if k == nil {
			break
		}
		if q.tail == nil {
			k.Next, q.cur = k, k
			q.off, q.curAt = 0, 0
		} else {
			k.Next, q.tail.Next = q.tail.Next, k
		}
		q.tail = k
		q.span += pkt.ChunkSize
	}
	return q.span
}

// seek moves the cursor to the chunk that holds position at and returns the
// rest of that chunk. at must be below span.
//
//go:noinline
func (q *chain) seek(at uint32) []byte {
	at += q.off
	if at < q.curAt {
		q.cur, q.curAt = q.tail.Next, 0
	}
	for at-q.curAt >= pkt.ChunkSize {
		q.cur = q.cur.Next
		q.curAt += pkt.ChunkSize
	}
	return q.cur.Data[at-q.curAt:]
}

// write copies p to position at, which grow has made room for.
func (q *chain) write(at uint32, p []byte) {
	for len(p) > 0 {
		n := copy(q.seek(at), p)
		p = p[n:]
		at += uint32(n)
	}
}

// fill copies p to position i of chunk k, which was the last one before grow made room for p,
// and to those behind it; with k nil, to the queue's beginning.
func (q *chain) fill(k *pkt.Chunk, i uint32, p []byte) {
	if k == nil {
		k, i = q.tail.Next, 0
	}
	for ; len(p) > 0; k, i = k.Next, 0 {
		p = p[copy(k.Data[i:], p):]
	}
}

// front fills p from the beginning of the queue.
func (q *chain) front(p []byte) {
	k, i := q.tail.Next, q.off
	for ; len(p) > 0; k, i = k.Next, 0 {
		p = p[copy(p, k.Data[i:]):]
	}
}

// read fills p from position at.
func (q *chain) read(at uint32, p []byte) {
	for len(p) > 0 {
		n := copy(p, q.seek(at))
		p = p[n:]
		at += uint32(n)
	}
}

// drop takes n bytes off the front. left is the number of bytes that the queue
// still has to hold; with none left it gives all its memory back.
func (q *chain) drop(m *pkt.Memory, n, left uint32) {
	if k := q.tail; feature.FastPath && left == 0 && k != nil && k.Next == k { // the same, in short
		m.Put(k)
		q.tail, q.cur = nil, nil
		q.off, q.span, q.curAt = 0, 0, 0
		return
	}
	q.off += n
	q.span -= n
	for q.tail != nil && (q.off >= pkt.ChunkSize || left == 0) {
		k := q.tail.Next
		if q.cur == k {
			q.cur, q.curAt = k.Next, 0
		} else {
			q.curAt -= pkt.ChunkSize
		}
		if q.tail == k {
			q.tail = nil
		} else {
			q.tail.Next = k.Next
		}
		m.Put(k)
		q.off -= min(q.off, pkt.ChunkSize)
	}
	if q.tail == nil {
		q.cur = nil
		q.off, q.span, q.curAt = 0, 0, 0
	}
}

// clear gives all memory back.
func (q *chain) clear(m *pkt.Memory) { q.drop(m, 0, 0) }
