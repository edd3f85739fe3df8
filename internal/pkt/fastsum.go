package pkt

import "unsafe"

// sumWords is Sum of many bytes at a time: the one's complement sum does not care in
// which byte order it is computed, as long as the result is swapped back (RFC 1071
// section 2B).
func sumWords(b []byte) uint32 { return sumBytes(unsafe.SliceData(b), len(b)) }

// CopySum copies src to dst, which is at least as long, and returns the Sum of it: one
// pass over memory for both.
func CopySum(dst, src []byte) uint32 {
	return copySum(unsafe.SliceData(dst[:len(src)]), unsafe.SliceData(src), len(src))
}
