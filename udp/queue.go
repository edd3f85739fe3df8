package udp

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

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
	head, tail *pkt.Chunk
	rd, wr     uint16 // where to read in head, and to write in tail
	n          uint32 // datagrams
	size       uint32 // bytes, Overhead included
}

// Count returns the number of datagrams.
func (q *Queue) Count() int { return int(q.n) }

// Size returns the bytes that the datagrams take of the receive buffer.
func (q *Queue) Size() int { return int(q.size) }

// frameRoom is what an Ethernet frame's datagram needs, in whole chunks.
const frameRoom = (1500 + pkt.ChunkSize - 1) / pkt.ChunkSize * pkt.ChunkSize

// Push appends a datagram, if with it the queue holds no more than limit bytes:
// SO_RCVBUF, Overhead included. An empty queue takes any datagram, so that no
// limit shuts one out for good. Half of the memory is for others: what TCP's windows have promised,
// and queues that are empty. Of that, an empty one takes a frame as long as an eighth is left,
// which is TCP's alone, or more as long as a quarter is. m.Len is set.
func (q *Queue) Push(mem *pkt.Memory, limit int, m *Meta, payload []byte) ipv4.Drop {
	need := Overhead + len(payload)
	if q.n > 0 && int(q.size)+need > limit {
		return ipv4.DropUDPBufferFull
	}
	keep := uint(1) // half of it
	if q.n == 0 {
		if keep = 2; need <= frameRoom {
			keep = 3
		}
	}
	if need-q.room() > int(mem.SpareBut(keep)) {
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
	return pkt.ChunkSize - int(q.wr)
}

func (q *Queue) write(mem *pkt.Memory, p []byte) {
	for len(p) > 0 {
		if q.room() == 0 {
			k := mem.Get()
			if q.tail == nil {
				q.head = k
			} else {
				q.tail.Next = k
			}
			q.tail, q.wr = k, 0
		}
		n := copy(q.tail.Data[q.wr:], p)
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
func (q *Queue) Pop(mem *pkt.Memory, m *Meta, p []byte) (n int, ok bool) {
	if n, ok = q.Peek(m, p); !ok {
		return 0, false
	}
	need := Overhead + int(m.Len)
	q.n--
	q.size -= uint32(need)
	rd := int(q.rd) + need
	for k := q.head; k != nil && (rd >= pkt.ChunkSize || q.n == 0); k = q.head {
		q.head = k.Next
		mem.Put(k)
		rd -= pkt.ChunkSize
	}
	q.rd = uint16(rd)
	if q.n == 0 {
		*q = Queue{}
	}
	return n, true
}

// Reset drops all datagrams and gives their memory back.
func (q *Queue) Reset(mem *pkt.Memory) {
	for ok := true; ok; {
		_, ok = q.Pop(mem, new(Meta), nil)
	}
}

// read fills p from chunk k, beginning at its byte at, and returns where it
// stopped.
//
//go:noinline
func read(k *pkt.Chunk, at int, p []byte) (*pkt.Chunk, int) {
	for len(p) > 0 {
		if at == pkt.ChunkSize {
			k, at = k.Next, 0
		}
		n := copy(p, k.Data[at:])
		p = p[n:]
		at += n
	}
	return k, at
}
