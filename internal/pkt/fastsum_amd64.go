//go:build !purego

package pkt

// sumBlocks adds up n bytes at p as little-endian 16-bit words; n is a multiple of
// 32, 32 at least and 65,536 at most.
//
//go:noescape
func sumBlocks(p *byte, n int) uint32

// copySumBlocks is sumBlocks over what it copies from src to dst.
//
//go:noescape
func copySumBlocks(dst, src *byte, n int) uint32
