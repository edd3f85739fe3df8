package pkt

import "github.com/bonsainet/bonsai/internal/feature"

// All of this is functions, since the name of a method of Buf would be in every binary.

// offloadLen is how many bytes in front of a Buf's headroom hold what features gro and tso know
// of its frame: there, a Buf costs nothing more where they are off.
const offloadLen = 8 * feature.LenGRO

// Where in them.
const (
	offSize  = 0 // payload of a segment
	offSum   = 2 // SumState
	offMay   = 3 // not 0: of an empty Buf, that TCP may leave its checksum to the device
	offSuper = 4 // likewise, how long a packet it may put there as a super-segment; 0: none
)

// SumState says what is known of the checksum of the TCP segment or UDP datagram in a frame.
type SumState uint8

const (
	// SumFull: the checksum is in the frame. It is not known whether it is right.
	SumFull SumState = iota
	// SumPartial: in its place is that of the pseudo header alone, not complemented. Who sends
	// the frame on a wire completes it; in a frame that has arrived, the data never was on one,
	// and is good.
	SumPartial
	// SumVerified: the checksum is in the frame, and right; or that of a super-segment was, of
	// each segment.
	SumVerified
)

// SegmentSize returns the payload of each segment but the last, in bytes, if the frame is a TCP
// super-segment: many segments under one header, whose IPv4 header gives the length of all
// together. For any other frame it is 0. (Linux's gso_size.)
func SegmentSize(b *Buf) int {
	if !feature.GRO {
		return 0
	}
	return int(LittleEndian.Uint16(b.mem[offSize:]))
}

// SetSegmentSize makes the frame a super-segment; 0: it is none.
func SetSegmentSize(b *Buf, n int) {
	if feature.GRO {
		LittleEndian.PutUint16(b.mem[offSize:], uint16(n))
	}
}

// Summed returns what is known of the frame's checksum.
func Summed(b *Buf) SumState {
	if !feature.GRO {
		return SumFull
	}
	return SumState(b.mem[offSum])
}

// SetSummed says what is known of the frame's checksum.
func SetSummed(b *Buf, s SumState) {
	if feature.GRO {
		b.mem[offSum] = byte(s)
	}
}

// CopyOffload makes what is known of the frame in to the same as of that in from.
func CopyOffload(to, from *Buf) {
	if feature.GRO {
		copy(to.mem[:offSuper], from.mem[:offSuper])
	}
}

func clearOffload(b *Buf) { clear(b.mem[:offloadLen]) }

// SuperSize is the size of a Buf for the largest super-segment: the largest IPv4 packet in an
// Ethernet frame with a VLAN tag.
const SuperSize = 65535 + 18
