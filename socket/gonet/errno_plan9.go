package gonet

import (
	"syscall"

	"github.com/bonsainet/bonsai/internal/errno"
)

// sysErrno returns the system's error for e, if it has one: Plan 9 knows few.
func sysErrno(e errno.Errno) error {
	switch e {
	case errno.EPERM:
		return syscall.EPERM
	case errno.EACCES:
		return syscall.EACCES
	case errno.EINVAL:
		return syscall.EINVAL
	case errno.EBUSY:
		return syscall.EBUSY
	case errno.EEXIST:
		return syscall.EEXIST
	case errno.ETIMEDOUT:
		return syscall.ETIMEDOUT
	case errno.EAFNOSUPPORT:
		return syscall.EAFNOSUPPORT
	}
	return e
}
