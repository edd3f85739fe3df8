//go:build !purego

package pkt

// sumBytes adds up n bytes at p, 65,535 at most, as 16-bit words in network byte order and
// folds the sum to 16 bits.
//
//go:noescape
func sumBytes(p *byte, n int) uint32

// copySum is sumBytes over what it copies from src to dst.
//
//go:noescape
func copySum(dst, src *byte, n int) uint32
