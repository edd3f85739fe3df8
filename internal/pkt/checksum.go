package pkt

import "github.com/bonsainet/bonsai/internal/feature"

// Sum adds the bytes of b, taken as big-endian 16-bit words, to acc: a partial
// Internet checksum (RFC 1071). An odd last byte counts as if a zero followed,
// so only the last piece of a packet may have an odd length. A piece has at most
// 65,535 bytes, and at most 65,535 pieces can be added up before Checksum.
func Sum(acc uint32, b []byte) uint32 {
	if feature.FastSum {
		return acc + sumWords(b)
	}
	return sumPairs(acc, b)
}

// sumPairs is Sum two bytes at a time. In line it would be in every caller, and
// who does without FastSum counts bytes.
//
//go:noinline
func sumPairs(acc uint32, b []byte) uint32 {
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
