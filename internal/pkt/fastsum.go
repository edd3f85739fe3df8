package pkt

import (
	"math/bits"
)

// sumWords is Sum eight bytes at a time: the one's complement sum does not care
// in which byte order it is computed, as long as the result is swapped back
// (RFC 1071 section 2B).
func sumWords(b []byte) uint32 {
	var s, c uint64
	for len(b) >= 64 {
		s, c = bits.Add64(s, LittleEndian.Uint64(b), 0)
		s, c = bits.Add64(s, LittleEndian.Uint64(b[8:]), c)
		s, c = bits.Add64(s, LittleEndian.Uint64(b[16:]), c)
		s, c = bits.Add64(s, LittleEndian.Uint64(b[24:]), c)
		s, c = bits.Add64(s, LittleEndian.Uint64(b[32:]), c)
		s, c = bits.Add64(s, LittleEndian.Uint64(b[40:]), c)
		s, c = bits.Add64(s, LittleEndian.Uint64(b[48:]), c)
		s, c = bits.Add64(s, LittleEndian.Uint64(b[56:]), c)
		s += c
		b = b[64:]
	}
	for len(b) >= 8 {
		s, c = bits.Add64(s, LittleEndian.Uint64(b), 0)
		s += c
		b = b[8:]
	}
	var w uint64 // the last 7 bytes at most
	if len(b) >= 4 {
		w = uint64(LittleEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		w += uint64(LittleEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) > 0 {
		w += uint64(b[0])
	}
	s, c = bits.Add64(s, w, 0)
	s += c
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	return uint32(bits.ReverseBytes16(fold(uint32(s))))
}
