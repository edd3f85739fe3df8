package netif

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// Offloads says whether the stacks of this build use what an Offloader has: features gro and tso.
const Offloads = feature.GRO && feature.TSO

// An Offloader is a Device that moves TCP super-segments: many segments of one connection under
// one header, as long as an IPv4 packet can be. It also takes and gives frames whose checksum is
// not computed, or known to be right. Both are said of the Buf: see SegmentSize and Sum there.
//
// It is an Offloader for stacks that have the features gro and tso. For all others it is any
// Device: nothing but whole frames of its MTU with checksums.
type Offloader interface {
	Device

	// Offload says, before the first Recv and Send, that who uses the device takes such frames;
	// until then it gives none. It returns whether Send does.
	//
	// A frame that Send is given then may
	//
	//   - have a SegmentSize that, with its headers, fits the MTU: TCP over IPv4 with DF set. The
	//     device sends it as so many segments, or hands it on whole to who takes it so. PSH and FIN
	//     are the last one's, all other flags and options each one's. CWR and URG are never set.
	//   - be SumPartial, which all of the former are.
	//
	// Recv then may return such frames too, in Bufs of its own, of SuperSize bytes, which it takes
	// back in exchange at the next call.
	Offload() bool
}

// SuperSize is the size of a Buf for the largest super-segment, in bytes.
const SuperSize = pkt.SuperSize

// States of a frame's checksum: see pkt.SumState.
const (
	SumFull     = pkt.SumFull
	SumPartial  = pkt.SumPartial
	SumVerified = pkt.SumVerified
)

// SegmentSize returns the payload of each segment but the last, in bytes, if the frame in b is a TCP
// super-segment, else 0.
func SegmentSize(b *Buf) int { return pkt.SegmentSize(b) }

// SetSegmentSize makes the frame in b a super-segment; 0: it is none. Reset and Space do that too.
func SetSegmentSize(b *Buf, n int) { pkt.SetSegmentSize(b, n) }

// Summed returns what is known of the checksum of the frame in b.
func Summed(b *Buf) pkt.SumState { return pkt.Summed(b) }

// SetSummed says what is known of the checksum of the frame in b.
func SetSummed(b *Buf, s pkt.SumState) { pkt.SetSummed(b, s) }
