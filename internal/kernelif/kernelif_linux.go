// Package kernelif configures interfaces of the Linux kernel, as far as examples and
// tests need it.
package kernelif

import (
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"github.com/bonsainet/bonsai/ipv4"
)

// SetAddr gives an interface an address with the length of its network's prefix: what
// ifconfig(8) does.
func SetAddr(name string, p netip.Prefix) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer syscall.Close(fd)
	for _, r := range []struct {
		name string
		req  uintptr
		addr [4]byte
	}{
		{"SIOCSIFADDR", syscall.SIOCSIFADDR, p.Addr().As4()},
		{"SIOCSIFNETMASK", syscall.SIOCSIFNETMASK, ipv4.Mask(uint8(p.Bits())).As4()},
	} {
		ifr := ifreq{family: syscall.AF_INET, addr: r.addr}
		copy(ifr.name[:], name)
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), r.req, uintptr(unsafe.Pointer(&ifr))); e != 0 {
			return os.NewSyscallError(r.name, e)
		}
	}
	return nil
}

// ifreq is C's struct of that name with a sockaddr_in in it.
type ifreq struct {
	name         [syscall.IFNAMSIZ]byte
	family, port uint16
	addr         [4]byte
	_            [16]byte
}

// Cubic is a Control of net.Dialer and net.ListenConfig: it asks the kernel for CUBIC, Linux's
// default, whatever this machine's is. BBR paces by a timer, and says nothing of a stack
// that shares the machine with it.
func Cubic(network, address string, c syscall.RawConn) (err error) {
	if e := c.Control(func(fd uintptr) {
		err = os.NewSyscallError("TCP_CONGESTION cubic", syscall.SetsockoptString(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CONGESTION, "cubic"))
	}); e != nil {
		return e
	}
	return err
}
