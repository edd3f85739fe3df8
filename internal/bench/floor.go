package bench

import (
	"time"

	"github.com/bonsainet/bonsai/internal/pkt"
)

// done completes n at the end of a slice.
func (n Count) done(l loop, bytes int64) Count {
	n.Elapsed = time.Since(l.start)
	n.Bytes = bytes
	return n
}

// FloorSubject is the least that a stack on each side has to do to each byte of payload:
// a copy from the program into the frame and one from there to the other program, and a
// checksum at each end, with this build's functions. No queue, header, table or window.
func FloorSubject() Subject {
	return Subject{"pair", "floor", "two copies and two checksums for each byte, nothing else", openFloor}
}

func openFloor(work string, o Options) (*Case, error) {
	if work != "up" {
		return nil, ErrNotHere
	}
	const headers = 14 + 20 + 32 // Ethernet, IPv4, TCP with timestamps
	mss := o.mtu() - 52
	// As many frames as a window has, so that they lie in the same cache as a stack's.
	frames := make([][]byte, 4*(Chunk/mss+1))
	left := make([]int, len(frames))
	for i := range frames {
		frames[i] = make([]byte, headers+mss)
	}
	src, dst := make([]byte, Chunk), make([]byte, Chunk)
	var sent uint64
	var bad uint32
	return &Case{
		Run: func(b Budget) (n Count, err error) {
			l := b.begin()
			for k := l.next(4); k > 0; k = l.next(4) {
				used := 0
				for range k {
					for p := src; len(p) > 0; used++ {
						f := frames[used][headers:]
						m := copy(f, p)
						bad ^= uint32(pkt.Checksum(pkt.Sum(0, f[:m])))
						left[used], p = m, p[m:]
					}
				}
				at := 0
				for i := range used {
					f := frames[i][headers:][:left[i]]
					bad ^= uint32(pkt.Checksum(pkt.Sum(0, f)))
					if at+len(f) > Chunk {
						at = 0
					}
					at += copy(dst[at:], f)
					n.Bytes += int64(len(f))
				}
				sent += uint64(used)
				n.Ops += int64(k)
			}
			if bad != 0 { // each frame's checksum was taken twice
				return n, errStall
			}
			return n.done(l, n.Bytes), nil
		},
		Frames: func() (near, far uint64) { return sent, 0 },
		Close:  func() {},
	}, nil
}
