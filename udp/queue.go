package udp

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
)

// chunkSize is the size of a chunk in bytes, header included: 1 KiB in minimal,
// 2 KiB in client, 4 KiB in full.
const chunkSize = 1024 << feature.Profile

const chunkData = chunkSize - 8

// chunk is the unit in which queues hold data.
type chunk struct {
	next *chunk
	data [chunkData]byte
}

// Memory is the pool of chunks that all queues of a stack share, and the bound on
// what they hold together. The zero Memory holds nothing: set Limit.
type Memory struct {
	free *chunk
	kept uint32 // chunks in the free list
	used uint32 // chunks that queues hold

	// Limit is the number of bytes that all queues may hold together, in whole
	// chunks.
	Limit uint32
	// Keep is the number of unused bytes that are kept for later; the rest is
	// left to the garbage collector.
	Keep uint32
}

// Used returns the number of bytes that queues hold.
func (m *Memory) Used() uint32 { return m.used * chunkSize }

func (m *Memory) get() *chunk {
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

// Meta is what a receiver may ask about a datagram: its source, and what
// IP_PKTINFO, IP_RECVTTL and IP_RECVTOS report.
type Meta struct {
	Src     ipv4.Endpoint
	Dst     ipv4.Addr // the address it was sent to
	Len     uint16    // of its payload, in bytes
	Ifindex uint16    // the interface that it came in by
	TTL     uint8     // hops
	TOS     uint8
}

// Overhead is what a datagram takes of the receive buffer besides its payload, in
// bytes: its Meta, which queues hold as it lies in memory.
const Overhead = int(unsafe.Sizeof(Meta{}))

func (m *Meta) bytes() []byte { return unsafe.Slice((*byte)(unsafe.Pointer(m)), Overhead) }

// Queue holds received datagrams in order: each a Meta and a payload, one behind
// the other in a chain of chunks. The zero Queue is empty, and an empty Queue
// holds no memory.
type Queue struct {
	head, tail *chunk
	rd, wr     uint16 // where to read in head, and to write in tail
	n          uint32 // datagrams
	size       uint32 // bytes, Overhead included
}

// Count returns the number of datagrams.
func (q *Queue) Count() int { return int(q.n) }

// Size returns the bytes that the datagrams take of the receive buffer.
func (q *Queue) Size() int { return int(q.size) }

// Push appends a datagram, if with it the queue holds no more than limit bytes:
// SO_RCVBUF, Overhead included. An empty queue takes any datagram, so that no
// limit shuts one out for good. m.Len is set.
func (q *Queue) Push(mem *Memory, limit int, m *Meta, payload []byte) ipv4.Drop {
	need := Overhead + len(payload)
	if q.n > 0 && int(q.size)+need > limit {
		return ipv4.DropUDPBufferFull
	}
	chunks := (need - q.room() + chunkData - 1) / chunkData
	if int(mem.used)+chunks > int(mem.Limit/chunkSize) {
		return ipv4.DropMemory
	}
	m.Len = uint16(len(payload))
	q.write(mem, m.bytes())
	q.write(mem, payload)
	q.n++
	q.size += uint32(need)
	return ipv4.DropNone
}

// room returns the bytes free in the last chunk.
func (q *Queue) room() int {
	if q.tail == nil {
		return 0
	}
	return chunkData - int(q.wr)
}

func (q *Queue) write(mem *Memory, p []byte) {
	for len(p) > 0 {
		if q.room() == 0 {
			k := mem.get()
			if q.tail == nil {
				q.head = k
			} else {
				q.tail.next = k
			}
			q.tail, q.wr = k, 0
		}
		n := copy(q.tail.data[q.wr:], p)
		q.wr += uint16(n)
		p = p[n:]
	}
}

// Peek reads the first datagram: m becomes its Meta, and as much of its payload as
// there is room for is copied to p. It returns the number of bytes copied, less
// than m.Len where p is too short, and false when the queue is empty.
func (q *Queue) Peek(m *Meta, p []byte) (n int, ok bool) {
	if q.n == 0 {
		return 0, false
	}
	k, at := read(q.head, int(q.rd), m.bytes())
	n = min(len(p), int(m.Len))
	read(k, at, p[:n])
	return n, true
}

// NextLen returns the length of the first datagram's payload, 0 if there is none
// (SIOCINQ).
func (q *Queue) NextLen() int {
	var m Meta
	q.Peek(&m, nil)
	return int(m.Len)
}

// Pop is Peek, and takes the datagram off the queue. What p has no room for is
// lost, as recvmsg has it.
func (q *Queue) Pop(mem *Memory, m *Meta, p []byte) (n int, ok bool) {
	if n, ok = q.Peek(m, p); !ok {
		return 0, false
	}
	need := Overhead + int(m.Len)
	q.n--
	q.size -= uint32(need)
	rd := int(q.rd) + need
	for k := q.head; k != nil && (rd >= chunkData || q.n == 0); k = q.head {
		q.head = k.next
		mem.put(k)
		rd -= chunkData
	}
	q.rd = uint16(rd)
	if q.n == 0 {
		*q = Queue{}
	}
	return n, true
}

// Reset drops all datagrams and gives their memory back.
func (q *Queue) Reset(mem *Memory) {
	for ok := true; ok; {
		_, ok = q.Pop(mem, new(Meta), nil)
	}
}

// read fills p from chunk k, beginning at its byte at, and returns where it
// stopped.
//
//go:noinline
func read(k *chunk, at int, p []byte) (*chunk, int) {
	for len(p) > 0 {
		if at == chunkData {
			k, at = k.next, 0
		}
		n := copy(p, k.data[at:])
		p = p[n:]
		at += n
	}
	return k, at
}
