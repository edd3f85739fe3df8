package pkt

import "math/bits"

// sumWords is Sum of many bytes at a time: the one's complement sum does not care in
// which byte order it is computed, as long as the result is swapped back (RFC 1071
// section 2B).
func sumWords(b []byte) uint32 {
	if len(b) == 20 { // the IP header, of every packet
		w0, w1 := LittleEndian.Uint64(b), LittleEndian.Uint64(b[8:])
		return folded(w0>>32 + w0&0xffffffff + w1>>32 + w1&0xffffffff + uint64(LittleEndian.Uint32(b[16:])))
	}
	s := uint32(0)
	if n := len(b) &^ 31; n >= 64 { // below, the call costs more than it saves
		s = sumBlocks(&b[0], n)
		b = b[n:]
	}
	return sumRest(s, b)
}

// CopySum copies src to dst, which is as long, and returns the Sum of it: one pass
// over memory for both.
func CopySum(dst, src []byte) uint32 {
	s := uint32(0)
	if n := len(src) &^ 31; n > 0 {
		s = copySumBlocks(&dst[:n][0], &src[0], n)
		dst, src = dst[n:], src[n:]
	}
	copy(dst, src)
	return sumRest(s, src)
}

// sumRest adds the bytes of b, which are few, to s, a sum of little-endian words, and
// returns both as Sum does.
//
//go:noinline
func sumRest(s uint32, b []byte) uint32 {
	acc := uint64(s)
	for len(b) >= 8 {
		w := LittleEndian.Uint64(b)
		acc += w>>32 + w&0xffffffff
		b = b[8:]
	}
	if len(b) >= 4 {
		acc += uint64(LittleEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		acc += uint64(LittleEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) > 0 {
		acc += uint64(b[0])
	}
	return folded(acc)
}

// folded returns a sum of little-endian words, which is below 2^47, as Sum does.
func folded(acc uint64) uint32 {
	return uint32(bits.ReverseBytes16(fold(uint32(acc>>16 + acc&0xffff))))
}
