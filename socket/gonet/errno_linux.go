//go:build !mips && !mipsle && !mips64 && !mips64le

package gonet

import (
	"syscall"

	"github.com/bonsainet/bonsai/internal/errno"
)

// sysErrno returns the system's error for e.
func sysErrno(e errno.Errno) error { return syscall.Errno(e) }
