package pkt

import "unsafe"

// Pointers returns the memory of an array of n pointers. make, append and copy of a []*T
// have T's descriptor in the program, with those of all types that its fields lead to: see
// tcp.TCB.
//
//go:noinline
func Pointers(n int) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(make([]unsafe.Pointer, n)))
}

// Words returns the memory of n bytes of what has no pointers.
//
//go:noinline
func Words(n uintptr) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(make([]uint64, (n+7)/8)))
}

// Append is append for a []*T of any T.
//
//go:noinline
func Append(list *[]unsafe.Pointer, p unsafe.Pointer) { *list = append(*list, p) }
