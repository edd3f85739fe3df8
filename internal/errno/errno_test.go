//go:build linux

package errno

import (
	"errors"
	"syscall"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
)

func TestNumbersAreLinuxs(t *testing.T) {
	for e, want := range map[Errno]syscall.Errno{
		EPERM: syscall.EPERM, ENOENT: syscall.ENOENT, ESRCH: syscall.ESRCH, EINTR: syscall.EINTR, EIO: syscall.EIO,
		ENXIO: syscall.ENXIO, EBADF: syscall.EBADF, EAGAIN: syscall.EAGAIN, ENOMEM: syscall.ENOMEM,
		EACCES: syscall.EACCES, EFAULT: syscall.EFAULT, EBUSY: syscall.EBUSY, EEXIST: syscall.EEXIST,
		ENODEV: syscall.ENODEV, EINVAL: syscall.EINVAL, EMFILE: syscall.EMFILE, ENOTTY: syscall.ENOTTY,
		EPIPE: syscall.EPIPE, ENONET: 64, EPROTO: syscall.EPROTO,
		EDESTADDRREQ: syscall.EDESTADDRREQ, EMSGSIZE: syscall.EMSGSIZE, EPROTOTYPE: syscall.EPROTOTYPE,
		ENOPROTOOPT: syscall.ENOPROTOOPT, EPROTONOSUPPORT: syscall.EPROTONOSUPPORT, EOPNOTSUPP: syscall.EOPNOTSUPP,
		EAFNOSUPPORT: syscall.EAFNOSUPPORT, EADDRINUSE: syscall.EADDRINUSE, EADDRNOTAVAIL: syscall.EADDRNOTAVAIL,
		ENETDOWN: syscall.ENETDOWN, ENETUNREACH: syscall.ENETUNREACH, ECONNABORTED: syscall.ECONNABORTED,
		ECONNRESET: syscall.ECONNRESET, ENOBUFS: syscall.ENOBUFS, EISCONN: syscall.EISCONN, ENOTCONN: syscall.ENOTCONN,
		ETIMEDOUT: syscall.ETIMEDOUT, ECONNREFUSED: syscall.ECONNREFUSED, EHOSTDOWN: syscall.EHOSTDOWN,
		EHOSTUNREACH: syscall.EHOSTUNREACH, EALREADY: syscall.EALREADY, EINPROGRESS: syscall.EINPROGRESS,
	} {
		if syscall.Errno(e) != want {
			t.Errorf("%v: %d, want %d (%v)", e, e, want, want)
		}
	}
}

func TestErr(t *testing.T) {
	if err := Errno(0).Err(); err != nil {
		t.Errorf("no error is %v", err)
	}
	if err := ECONNRESET.Err(); !errors.Is(err, ECONNRESET) || errors.Is(err, EPIPE) {
		t.Errorf("%v", err)
	}
	if n := testing.AllocsPerRun(100, func() { sink = ECONNRESET.Err() }); n != 0 {
		t.Errorf("an error costs %v allocations", n)
	}
}

var sink error

func TestErrorText(t *testing.T) {
	want := map[Errno]string{7: "errno 7", 127: "errno 127", 254: "errno 254", 255: "errno 255", EPERM: "errno 1", EINPROGRESS: "errno 115"}
	if feature.Profile > feature.Minimal {
		for e, s := range map[Errno]string{EPERM: "EPERM", EIO: "EIO", ENODEV: "ENODEV", EMSGSIZE: "EMSGSIZE", ENETDOWN: "ENETDOWN",
			ECONNRESET: "ECONNRESET", EINPROGRESS: "EINPROGRESS"} {
			want[e] = s
		}
	}
	for e, want := range want {
		if got := e.Error(); got != want {
			t.Errorf("%d: %q", uint8(e), got)
		}
	}
}
