package main

// Numbers of Linux's system calls.
const (
	sysRead  = 0
	sysWrite = 1
	sysPoll  = 7
	sysClock = 228
)

// call makes a system call, without package syscall, which keeps 29 KB.
//
//go:noescape
func call(n, a, b, c uintptr) uintptr
