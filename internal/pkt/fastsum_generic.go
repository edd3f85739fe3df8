//go:build !amd64 || purego

package pkt

import (
	"math/bits"
	"unsafe"
)

// sumBytes adds up n bytes at p, 65,535 at most, as 16-bit words in network byte order and
// folds the sum to 16 bits.
//
//go:noinline
func sumBytes(p *byte, n int) uint32 {
	b := unsafe.Slice(p, n)
	var s, c uint64
	for ; len(b) >= 32; b = b[32:] {
		s, c = bits.Add64(s, LittleEndian.Uint64(b), 0)
		s, c = bits.Add64(s, LittleEndian.Uint64(b[8:]), c)
		s, c = bits.Add64(s, LittleEndian.Uint64(b[16:]), c)
		s, c = bits.Add64(s, LittleEndian.Uint64(b[24:]), c)
		s += c
	}
	acc := s>>32 + s&0xffffffff
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
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	return uint32(bits.ReverseBytes16(fold(uint32(acc))))
}

// copySum is sumBytes over what it copies from src to dst.
func copySum(dst, src *byte, n int) uint32 {
	copy(unsafe.Slice(dst, n), unsafe.Slice(src, n))
	return sumBytes(dst, n)
}
