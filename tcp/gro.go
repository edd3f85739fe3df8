package tcp

import "github.com/bonsainet/bonsai/internal/pkt"

// All of this is functions: the names of methods of Segment would be in every binary.

// verified in place of a pseudo-header's sum says that the checksum needs no look.
const verified = ^uint32(0)

// Arrived notes what is known of the frame in b, nil for nothing, until Known is asked for it. A super-segment is one Segment, with more payload than a packet on a wire has: it
// gets one ACK, and counts as many only where their size or number is asked for.
func Arrived(s *Segment, b *pkt.Buf) {
	s.HasTS, s.MSS = false, 0
	if b != nil {
		s.HasTS, s.MSS = pkt.Summed(b) != pkt.SumFull, uint16(pkt.SegmentSize(b))
	}
}

// Verified reports whether the checksum of what has Arrived needs no look.
func Verified(s *Segment) bool { return s.HasTS }

// Known returns, before Parse, what of the payload is one segment's, for SetSize, and what to give to
// Parse in place of pseudo.
func Known(s *Segment, pseudo uint32) (size uint16, p uint32) {
	if Verified(s) {
		pseudo = verified
	}
	return s.MSS, pseudo
}

// SetSize says, after Parse, what of the payload is one segment's; 0: all.
func SetSize(s *Segment, size uint16) {
	if s.Flags&SYN == 0 {
		s.MSS = size
	}
}

// segments returns how many segments s stands for.
func segments(s *Segment) uint32 {
	if n := uint32(len(s.Payload)); s.MSS != 0 && n > uint32(s.MSS) && s.Flags&SYN == 0 {
		return (n + uint32(s.MSS) - 1) / uint32(s.MSS)
	}
	return 1
}

// tallySuper counts the segments that s stands for, besides one.
func (c *Conn) tallySuper(s *Segment) {
	if n := segments(s) - 1; n > 0 {
		t := tallyOf(c)
		t.segsIn += n
		t.dataIn += n
	}
}

// fullSize returns n, the length of a payload, or that of one segment of a super-segment.
func fullSize(s *Segment, n int) int {
	if s.MSS != 0 && s.Flags&SYN == 0 {
		n = min(n, int(s.MSS))
	}
	return n
}
