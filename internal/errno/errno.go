// Package errno holds the engine's errors: Linux's error numbers as one-byte
// constants, so that an error costs no allocation, and socket/gonet can turn
// one into the syscall.Errno that errors.Is expects.
package errno

import "github.com/bonsainet/bonsai/internal/feature"

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
//
//go:noinline
func (e Errno) Err() error {
	if e == 0 {
		return nil
	}
	return e
}

// names holds the names, each behind its number with the top bit set.
const names = "\x81EPERM\x82ENOENT\x83ESRCH\x84EINTR\x85EIO\x86ENXIO\x89EBADF\x8bEAGAIN\x8cENOMEM\x8dEACCES" +
	"\x8eEFAULT\x90EBUSY\x91EEXIST\x93ENODEV\x96EINVAL\x98EMFILE\x99ENOTTY\xa0EPIPE\xc0ENONET\xc7EPROTO" +
	"\xd9EDESTADDRREQ\xdaEMSGSIZE\xdbEPROTOTYPE\xdcENOPROTOOPT\xddEPROTONOSUPPORT\xdfEOPNOTSUPP" +
	"\xe0EPFNOSUPPORT\xe1EAFNOSUPPORT\xe2EADDRINUSE\xe3EADDRNOTAVAIL\xe4ENETDOWN\xe5ENETUNREACH" +
	"\xe7ECONNABORTED\xe8ECONNRESET\xe9ENOBUFS\xeaEISCONN\xebENOTCONN\xeeETIMEDOUT\xefECONNREFUSED" +
	"\xf0EHOSTDOWN\xf1EHOSTUNREACH\xf2EALREADY\xf3EINPROGRESS\x80"

// Error returns the name of e, such as ENODEV; "errno N" in minimal, or if it has none. The
// texts are left to socket/gonet, whose syscall.Errno has them.
//
//go:noinline
func (e Errno) Error() string {
	if feature.Profile > feature.Minimal && e < 0x80 {
		for i := 0; i < len(names); i++ {
			if names[i] != 0x80|byte(e) {
				continue
			}
			for k := i + 1; k < len(names); k++ {
				if names[k] >= 0x80 {
					return names[i+1 : k]
				}
			}
		}
	}
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
