package tcp

import "github.com/bonsainet/bonsai/internal/feature"

// chunkSize is the size of a chunk in bytes, header included: 1 KiB in minimal,
// 4 KiB in client and in full.
const chunkSize = 1024 << (2 * min(feature.Profile, 1))

const chunkData = chunkSize - 8

// chunk is the unit in which connections hold data.
type chunk struct {
	next *chunk
	data [chunkData]byte
}

// Memory is the pool of chunks that all connections of a stack share, and the
// bound on what they hold together. The zero Memory holds nothing: set Limit.
type Memory struct {
	free *chunk
	kept uint32 // chunks in the free list
	used uint32 // chunks that connections hold

	// Limit is the number of bytes that all connections may hold together, in
	// whole chunks.
	Limit uint32
	// Keep is the number of unused bytes that are kept for later; the rest is
	// left to the garbage collector.
	Keep uint32
}

// Used returns the number of bytes that connections hold.
func (m *Memory) Used() uint32 { return m.used * chunkSize }

func (m *Memory) get() *chunk {
	if m.used >= m.Limit/chunkSize {
		return nil
	}
	m.used++
	k := m.free
	if k == nil {
		return new(chunk)
	}
	m.free = k.next
	m.kept--
	k.next = nil
	return k
}

func (m *Memory) put(k *chunk) {
	m.used--
	if m.kept >= m.Keep/chunkSize {
		return
	}
	k.next = m.free
	m.free = k
	m.kept++
}

// chain is a byte queue in chunks: data is appended or written at an offset,
// read at an offset and dropped from the front. An empty chain holds no memory.
//
// A cursor remembers the chunk of the last access, so that sending,
// retransmitting and reassembling in sequence never walk the chain.
type chain struct {
	head, tail, cur *chunk
	off             uint32 // where in head the queue begins
	span            uint32 // bytes from there to the end of tail
	curAt           uint32 // position of cur's first byte, counted from head's
}

// grow makes the chain reach n bytes from its front, as far as memory allows,
// and returns how far it reaches.
func (q *chain) grow(m *Memory, n uint32) uint32 {
	for q.span < n {
		k := m.get()
		if k == nil {
			break
		}
		if q.tail == nil {
			q.head, q.cur = k, k
			q.off, q.curAt = 0, 0
		} else {
			q.tail.next = k
		}
		q.tail = k
		q.span += chunkData
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
		q.cur, q.curAt = q.head, 0
	}
	for at-q.curAt >= chunkData {
		q.cur = q.cur.next
		q.curAt += chunkData
	}
	return q.cur.data[at-q.curAt:]
}

// write copies p to position at, which grow has made room for.
func (q *chain) write(at uint32, p []byte) {
	for len(p) > 0 {
		n := copy(q.seek(at), p)
		p = p[n:]
		at += uint32(n)
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
func (q *chain) drop(m *Memory, n, left uint32) {
	q.off += n
	q.span -= n
	for q.head != nil && (q.off >= chunkData || left == 0) {
		k := q.head
		q.head = k.next
		m.put(k)
		if q.cur == k {
			q.cur, q.curAt = q.head, 0
		} else {
			q.curAt -= chunkData
		}
		q.off -= min(q.off, chunkData)
	}
	if q.head == nil {
		*q = chain{}
	}
}

// clear gives all memory back.
func (q *chain) clear(m *Memory) { q.drop(m, 0, 0) }
