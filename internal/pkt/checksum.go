package pkt

import (
	"encoding/binary"
	"math/bits"

	"github.com/bonsainet/bonsai/internal/feature"
)

// Sum adds the bytes of b, taken as big-endian 16-bit words, to acc: a partial
// Internet checksum (RFC 1071). An odd last byte counts as if a zero followed,
// so only the last piece of a packet may have an odd length. At most 65,535
// pieces can be added up before Fold.
func Sum(acc uint32, b []byte) uint32 {
	if feature.FastSum {
		return acc + sumWords(b)
	}
	for len(b) >= 2 {
		acc += uint32(b[0])<<8 | uint32(b[1])
		b = b[2:]
	}
	if len(b) > 0 {
		acc += uint32(b[0]) << 8
	}
	return uint32(fold(acc))
}

// Checksum folds a partial sum and complements it: the value of a checksum
// field (RFC 1071 section 1). Over data that contains its own valid checksum it
// is 0.
func Checksum(acc uint32) uint16 { return ^fold(acc) }

func fold(acc uint32) uint16 {
	acc = acc>>16 + acc&0xffff
	return uint16(acc>>16 + acc)
}

// sumWords is Sum eight bytes at a time: the one's complement sum does not care
// in which byte order it is computed, as long as the result is swapped back
// (RFC 1071 section 2B).
func sumWords(b []byte) uint32 {
	var s, c uint64
	for len(b) >= 64 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), 0)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[8:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[16:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[24:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[32:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[40:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[48:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[56:]), c)
		s += c
		b = b[64:]
	}
	for len(b) >= 8 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), 0)
		s += c
		b = b[8:]
	}
	if len(b) > 0 {
		var w uint64
		for i := len(b) - 1; i >= 0; i-- {
			w = w<<8 | uint64(b[i])
		}
		s, c = bits.Add64(s, w, 0)
		s += c
	}
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	return uint32(bits.ReverseBytes16(fold(uint32(s))))
}
