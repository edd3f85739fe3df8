//go:build !amd64

package main

// The program is for linux/amd64, where footprint tiny runs it. Elsewhere it only
// compiles.
const (
	sysRead = iota
	sysWrite
	sysPoll
	sysClock
)

func call(n, a, b, c uintptr) uintptr { panic("not here") }
