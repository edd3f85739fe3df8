// Package errno holds the engine's errors: Linux's error numbers as one-byte
// constants, so that an error costs no allocation, and socket/gonet can turn
// one into the syscall.Errno that errors.Is expects.
package errno

// Errno is a Linux error number. It implements error; its zero value means no
// error and must not be stored in an error interface: use Err.
type Errno uint8

// The numbers are those of Linux on every architecture but mips, where
// socket/gonet translates them by name.
const (
	EPERM           Errno = 1
	ENOENT          Errno = 2
	ESRCH           Errno = 3
	EINTR           Errno = 4
	EIO             Errno = 5
	ENXIO           Errno = 6
	EBADF           Errno = 9
	EAGAIN          Errno = 11
	ENOMEM          Errno = 12
	EACCES          Errno = 13
	EFAULT          Errno = 14
	EBUSY           Errno = 16
	EEXIST          Errno = 17
	ENODEV          Errno = 19
	EINVAL          Errno = 22
	EMFILE          Errno = 24
	ENOTTY          Errno = 25
	EPIPE           Errno = 32
	ENONET          Errno = 64
	EPROTO          Errno = 71
	EDESTADDRREQ    Errno = 89
	EMSGSIZE        Errno = 90
	EPROTOTYPE      Errno = 91
	ENOPROTOOPT     Errno = 92
	EPROTONOSUPPORT Errno = 93
	EOPNOTSUPP      Errno = 95
	EPFNOSUPPORT    Errno = 96
	EAFNOSUPPORT    Errno = 97
	EADDRINUSE      Errno = 98
	EADDRNOTAVAIL   Errno = 99
	ENETDOWN        Errno = 100
	ENETUNREACH     Errno = 101
	ECONNABORTED    Errno = 103
	ECONNRESET      Errno = 104
	ENOBUFS         Errno = 105
	EISCONN         Errno = 106
	ENOTCONN        Errno = 107
	ETIMEDOUT       Errno = 110
	ECONNREFUSED    Errno = 111
	EHOSTDOWN       Errno = 112
	EHOSTUNREACH    Errno = 113
	EALREADY        Errno = 114
	EINPROGRESS     Errno = 115
)

// Err returns e as an error, or nil when e is zero.
func (e Errno) Err() error {
	if e == 0 {
		return nil
	}
	return e
}

// Error returns "errno N": the texts are left to socket/gonet, whose
// syscall.Errno has them.
func (e Errno) Error() string {
	var b [9]byte
	i := len(b)
	for n := e; ; n /= 10 {
		i--
		b[i] = '0' + byte(n%10)
		if n < 10 {
			break
		}
	}
	return "errno " + string(b[i:])
}
