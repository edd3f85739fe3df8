package pkt

import "github.com/bonsainet/bonsai/internal/feature"

// Headroom is what a sender leaves free in front of a payload, in bytes: a
// 12-byte virtio header, Ethernet with a VLAN tag, and an IPv4 header with all
// of its options.
const Headroom = 96 + offloadLen

// Buf is the memory of one frame: the bytes of the frame lie somewhere in the
// middle of it, so that headers can be put in front without copying.
//
// A Buf has one owner at a time. Devices hand frames over by exchange: who
// gives a full Buf gets an empty one back (see netif.Device).
type Buf struct {
	mem      []byte
	off, end int
}

// NewBuf allocates an empty Buf that can hold a frame of size bytes behind
// Headroom.
//
//go:noinline
func NewBuf(size int) *Buf {
	b := &Buf{mem: make([]byte, Headroom+size)}
	b.off, b.end = Headroom, Headroom
	return b
}

// Bytes returns the frame. The slice is valid until the Buf changes hands.
func (b *Buf) Bytes() []byte { return b.mem[b.off:b.end] }

// Len returns the number of bytes in the frame.
func (b *Buf) Len() int { return b.end - b.off }

// Cap returns the size of the largest frame that fits behind Headroom.
func (b *Buf) Cap() int { return len(b.mem) - Headroom }

// Reset empties the Buf and restores its headroom.
func (b *Buf) Reset() {
	b.off, b.end = Headroom, Headroom
	if feature.GRO {
		clearOffload(b)
	}
}

// Space empties the Buf and returns the memory into which a device may read a
// frame; SetLen then says how much it read.
func (b *Buf) Space() []byte {
	b.Reset()
	return b.mem[Headroom:]
}

// SetLen makes the frame the n bytes behind its first one. n must be within
// the Buf's memory.
func (b *Buf) SetLen(n int) { b.end = b.off + n }

// Append extends the frame by n bytes and returns them, with whatever the
// memory held before. It panics when they do not fit: callers size their
// frames by the interface's MTU.
//
//go:noinline
func (b *Buf) Append(n int) []byte {
	e := b.end
	b.end += n
	return b.mem[e:b.end:b.end]
}

// Prepend puts n bytes in front of the frame and returns them, with whatever
// the memory held before.
func (b *Buf) Prepend(n int) []byte {
	b.off -= n
	return b.mem[b.off : b.off+n : b.off+n]
}

// TrimFront takes n bytes off the front of the frame.
func (b *Buf) TrimFront(n int) { b.off += n }

// CopyFrom makes the frame a copy of p, cut to what fits.
func (b *Buf) CopyFrom(p []byte) { b.SetLen(copy(b.Space(), p)) }

// Pool is a free list of Bufs of one size. The zero Pool is not usable: see
// Init. It is not safe for concurrent use.
type Pool struct {
	free []*Buf
	size int
}

// Init makes p an empty pool of Bufs for frames of up to size bytes, which keeps
// at most keep of them for later and leaves the rest to the garbage collector.
func (p *Pool) Init(size, keep int) { p.free, p.size = make([]*Buf, 0, keep), size }

// Size returns the size of the largest frame that fits the pool's Bufs.
func (p *Pool) Size() int { return p.size }

// Len returns the number of unused Bufs.
func (p *Pool) Len() int { return len(p.free) }

// Get returns an empty Buf, from the free list if it has one.
//
//go:noinline
func (p *Pool) Get() *Buf {
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		b.Reset()
		return b
	}
	return NewBuf(p.size)
}

// Put gives a Buf back. One that is too small for this pool is dropped.
//
//go:noinline
func (p *Pool) Put(b *Buf) {
	if len(p.free) < cap(p.free) && b.Cap() >= p.size && (!feature.TSO || b.Cap() < SuperSize) {
		p.free = append(p.free, b)
	}
}
