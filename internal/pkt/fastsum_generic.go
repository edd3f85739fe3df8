//go:build !amd64 || purego

package pkt

import (
	"math/bits"
	"unsafe"
)

// sumBlocks adds up n bytes at p as little-endian 16-bit words; n is a multiple of
// 32, 32 at least and 65,536 at most.
func sumBlocks(p *byte, n int) uint32 {
	var s, c uint64
	for b := unsafe.Slice(p, n); len(b) >= 32; b = b[32:] {
		s, c = bits.Add64(s, LittleEndian.Uint64(b), 0)
		s, c = bits.Add64(s, LittleEndian.Uint64(b[8:]), c)
		s, c = bits.Add64(s, LittleEndian.Uint64(b[16:]), c)
		s, c = bits.Add64(s, LittleEndian.Uint64(b[24:]), c)
		s += c
	}
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	return uint32(fold(uint32(s)))
}

// copySumBlocks is sumBlocks over what it copies from src to dst.
func copySumBlocks(dst, src *byte, n int) uint32 {
	copy(unsafe.Slice(dst, n), unsafe.Slice(src, n))
	return sumBlocks(dst, n)
}
