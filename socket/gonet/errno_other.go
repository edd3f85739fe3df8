//go:build !plan9 && (!linux || mips || mipsle || mips64 || mips64le)

package gonet

import (
	"syscall"

	"github.com/bonsainet/bonsai/internal/errno"
)

// sysErrno returns the system's error for e: by name, since the numbers are not
// Linux's. What the system does not know stays as it is.
func sysErrno(e errno.Errno) error {
	switch e {
	case errno.EPERM:
		return syscall.EPERM
	case errno.ENOENT:
		return syscall.ENOENT
	case errno.ESRCH:
		return syscall.ESRCH
	case errno.EINTR:
		return syscall.EINTR
	case errno.EIO:
		return syscall.EIO
	case errno.ENXIO:
		return syscall.ENXIO
	case errno.EBADF:
		return syscall.EBADF
	case errno.EAGAIN:
		return syscall.EAGAIN
	case errno.ENOMEM:
		return syscall.ENOMEM
	case errno.EACCES:
		return syscall.EACCES
	case errno.EFAULT:
		return syscall.EFAULT
	case errno.EBUSY:
		return syscall.EBUSY
	case errno.EEXIST:
		return syscall.EEXIST
	case errno.ENODEV:
		return syscall.ENODEV
	case errno.EINVAL:
		return syscall.EINVAL
	case errno.EMFILE:
		return syscall.EMFILE
	case errno.ENOTTY:
		return syscall.ENOTTY
	case errno.EPIPE:
		return syscall.EPIPE
	case errno.EPROTO:
		return syscall.EPROTO
	case errno.EDESTADDRREQ:
		return syscall.EDESTADDRREQ
	case errno.EMSGSIZE:
		return syscall.EMSGSIZE
	case errno.EPROTOTYPE:
		return syscall.EPROTOTYPE
	case errno.ENOPROTOOPT:
		return syscall.ENOPROTOOPT
	case errno.EPROTONOSUPPORT:
		return syscall.EPROTONOSUPPORT
	case errno.EOPNOTSUPP:
		return syscall.EOPNOTSUPP
	case errno.EAFNOSUPPORT:
		return syscall.EAFNOSUPPORT
	case errno.EADDRINUSE:
		return syscall.EADDRINUSE
	case errno.EADDRNOTAVAIL:
		return syscall.EADDRNOTAVAIL
	case errno.ENETDOWN:
		return syscall.ENETDOWN
	case errno.ENETUNREACH, errno.ENONET:
		return syscall.ENETUNREACH
	case errno.ECONNABORTED:
		return syscall.ECONNABORTED
	case errno.ECONNRESET:
		return syscall.ECONNRESET
	case errno.ENOBUFS:
		return syscall.ENOBUFS
	case errno.EISCONN:
		return syscall.EISCONN
	case errno.ENOTCONN:
		return syscall.ENOTCONN
	case errno.ETIMEDOUT:
		return syscall.ETIMEDOUT
	case errno.ECONNREFUSED:
		return syscall.ECONNREFUSED
	case errno.EHOSTUNREACH, errno.EHOSTDOWN:
		return syscall.EHOSTUNREACH
	case errno.EALREADY:
		return syscall.EALREADY
	case errno.EINPROGRESS:
		return syscall.EINPROGRESS
	}
	return e
}
