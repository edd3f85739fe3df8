package pkt

import "github.com/bonsainet/bonsai/internal/feature"

// ChunkSize is how many bytes a Chunk holds: 1 KiB in minimal, 4 KiB in client and
// in full.
const ChunkSize = 1024 << (2 * min(feature.Profile, 1))

// Chunk is the unit in which sockets hold data. What links chunks lies apart from the data, so that
// queues are walked without a look at memory that the cache has lost.
type Chunk struct {
	Next *Chunk
	Data *[ChunkSize]byte
}

// Memory is the pool of Chunks that all sockets of a stack share, and the bound on
// what they hold together. The zero Memory holds nothing: set Limit.
type Memory struct {
	_ [0]func() // not comparable

	free *Chunk
	kept uint32 // chunks in the free list
	idle uint32 // of those, the ones that nobody has wanted since the last Trim
	used uint32 // chunks that sockets hold

	// Limit is the number of bytes that all sockets may hold together, in whole
	// chunks.
	Limit uint32
	// Keep is the number of unused bytes that are kept for later; the rest is left
	// to the garbage collector.
	Keep uint32
}

// Kept returns the number of unused bytes that are kept for later.
func (m *Memory) Kept() uint32 { return m.kept * ChunkSize }

// Used returns the number of bytes that sockets hold.
func (m *Memory) Used() uint32 { return m.used * ChunkSize }

// Left returns the number of bytes of data that sockets may still take.
func (m *Memory) Left() uint32 { return (m.Limit/ChunkSize - m.used) * ChunkSize }

// Spare is Left without the last quarter of the chunks, which is for queues that
// hold nothing, one chunk each: otherwise those who wait for memory could hold all
// of it.
func (m *Memory) Spare() uint32 {
	n := m.Limit / ChunkSize
	n -= n / 4
	if m.used >= n {
		return 0
	}
	return (n - m.used) * ChunkSize
}

// SpareBut is Left without the last 1/2^k of the chunks. (Spare of it would be larger code.)
func (m *Memory) SpareBut(k uint) uint32 {
	n := m.Limit / ChunkSize
	n -= n >> k
	if m.used >= n {
		return 0
	}
	return (n - m.used) * ChunkSize
}

// SendSpare is Spare without another quarter, which is for what receive windows have
// promised: what is written must not take the memory of what peers were asked to send. Datagrams keep
// to that too: see udp.Queue.
func (m *Memory) SendSpare() uint32 {
	left, promised := m.Spare(), m.Limit/ChunkSize/4*ChunkSize
	return left - min(left, promised)
}

// Low reports whether so little is left that only TCP may have it, to receive.
func (m *Memory) Low() bool {
	n := m.Limit / ChunkSize
	return m.used >= n-n/8
}

// Get returns a Chunk whose Next is nil, or nil at the limit.
func (m *Memory) Get() *Chunk {
	if m.used >= m.Limit/ChunkSize {
		return nil
	}
	m.used++
	k := m.free
	if k == nil {
		return &Chunk{Data: new([ChunkSize]byte)}
	}
	m.free = k.Next
	m.kept--
	m.idle = min(m.idle, m.kept)
	k.Next = nil
	return k
}

// Trim leaves those chunks to the garbage collector that were not needed since the
// last call: what traffic needs again and again is kept, what it needed once is not.
func (m *Memory) Trim() {
	for ; m.idle > 0; m.idle-- {
		m.free = m.free.Next
		m.kept--
	}
	m.idle = m.kept
}

// Put takes a Chunk back.
func (m *Memory) Put(k *Chunk) {
	m.used--
	if m.kept >= m.Keep/ChunkSize {
		return
	}
	k.Next = m.free
	m.free = k
	m.kept++
}
