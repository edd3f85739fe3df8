//go:build amd64 || arm64

package pktest

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"time"
	"unsafe"
)

// Start implements Target.
func (k *Kernel) Start(c *Call) {
	switch c.Name {
	case "socket":
		k.in(func() {
			fd, err := syscall.Socket(syscall.AF_INET, c.Type|syscall.SOCK_CLOEXEC, c.Proto)
			c.set(fd, err)
		})
		k.opened(c)
		if c.Errno == 0 && c.Type&15 == sockStream {
			name := "reno"
			if hasCubic() {
				name = "cubic"
			}
			syscall.SetsockoptString(c.Ret, solTCP, syscall.TCP_CONGESTION, name)
		}
		c.Done = true
	case "bind", "listen", "close", "fcntl", "setsockopt", "getsockopt", "ioctl", "shutdown":
		k.quick(c)
		c.Done = true
	case "connect", "accept", "recvfrom", "sendto", "poll":
		// The result is c's own only when Wait has seen it end.
		run := *c
		over := make(chan struct{})
		go func() {
			k.slow(&run)
			close(over)
			k.ended <- k.took(c, &run)
		}()
		select { // most are over at once
		case <-over:
			for !c.Done {
				(<-k.ended).Done = true
			}
		case <-time.After(2 * time.Millisecond):
		}
	default:
		c.Err = unsupported("call %s", c.Name)
		c.Done = true
	}
}

// took copies the result of a call that ran apart.
func (k *Kernel) took(c, run *Call) *Call {
	c.Result, c.Poll = run.Result, run.Poll
	if c.Name == "accept" {
		k.opened(c)
	}
	return c
}

// opened notes a new file descriptor, for Close.
func (k *Kernel) opened(c *Call) {
	if c.Errno == 0 {
		k.mu.Lock()
		k.fds[c.Ret] = true
		k.mu.Unlock()
	}
}

// set takes the result of a call.
func (c *Call) set(n int, err error) {
	c.Ret = n
	if e, ok := err.(syscall.Errno); ok {
		c.Ret, c.Errno = -1, int(e)
	}
}

func sockaddr(a netip.AddrPort) syscall.Sockaddr {
	return &syscall.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

// quick makes calls that don't block.
func (k *Kernel) quick(c *Call) {
	switch c.Name {
	case "bind":
		c.set(0, syscall.Bind(c.FD, sockaddr(c.Addr)))
	case "listen":
		c.set(0, syscall.Listen(c.FD, c.N))
	case "shutdown":
		c.set(0, syscall.Shutdown(c.FD, c.N))
	case "close":
		k.mu.Lock()
		delete(k.fds, c.FD)
		k.mu.Unlock()
		c.set(0, syscall.Close(c.FD))
	case "fcntl":
		n, _, e := syscall.Syscall(syscall.SYS_FCNTL, uintptr(c.FD), uintptr(c.N), uintptr(c.Flags))
		c.setErrno(int(n), e)
		if c.N == fGetfl {
			c.Ret &= oNonblock | 3
		}
	case "setsockopt":
		b := c.Data
		for _, v := range c.Value {
			b = binary.NativeEndian.AppendUint32(b, uint32(v))
		}
		b = append(b, 0)
		_, _, e := syscall.Syscall6(syscall.SYS_SETSOCKOPT, uintptr(c.FD), uintptr(c.Level), uintptr(c.Opt),
			uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)-1), 0)
		c.setErrno(0, e)
	case "getsockopt":
		var b [256]byte
		n := uint32(len(b))
		_, _, e := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(c.FD), uintptr(c.Level), uintptr(c.Opt),
			uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)), 0)
		c.setErrno(0, e)
		for i := 0; i+4 <= int(n) && e == 0; i += 4 {
			c.Out = append(c.Out, int32(binary.NativeEndian.Uint32(b[i:])))
		}
	case "ioctl":
		var v int32
		c.setErrno(0, ioctl(c.FD, uintptr(c.Opt), unsafe.Pointer(&v)))
		c.Out = []int32{v}
	}
}

func (c *Call) setErrno(n int, e syscall.Errno) {
	if c.Ret = n; e != 0 {
		c.Ret, c.Errno = -1, int(e)
	}
}

// slow makes calls that may block.
func (k *Kernel) slow(c *Call) {
	var err error
	var from syscall.Sockaddr
	switch c.Name {
	case "connect":
		if !c.Addr.IsValid() { // AF_UNSPEC
			var sa [16]byte
			_, _, e := syscall.Syscall(syscall.SYS_CONNECT, uintptr(c.FD), uintptr(unsafe.Pointer(&sa[0])), 16)
			c.setErrno(0, e)
			return
		}
		c.set(0, syscall.Connect(c.FD, sockaddr(c.Addr)))
	case "accept":
		var fd int
		fd, from, err = syscall.Accept4(c.FD, c.Flags|syscall.SOCK_CLOEXEC)
		c.set(fd, err)
	case "recvfrom":
		b := make([]byte, max(c.N, 1))
		var n int
		n, from, err = syscall.Recvfrom(c.FD, b[:c.N], c.Flags)
		c.set(n, err)
		if err == nil {
			c.Bytes = b[:min(n, c.N)]
		}
	case "sendto":
		var to syscall.Sockaddr
		if c.Addr.IsValid() {
			to = sockaddr(c.Addr)
		}
		n, err := syscall.SendmsgN(c.FD, c.Data, nil, to, c.Flags|syscall.MSG_NOSIGNAL)
		c.set(n, err)
	case "poll":
		k.poll(c)
	}
	if a, ok := from.(*syscall.SockaddrInet4); ok {
		c.From = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	}
}

func (k *Kernel) poll(c *Call) {
	type pollfd struct {
		fd              int32
		events, revents int16
	}
	p := make([]pollfd, len(c.Poll)+1)
	for i, f := range c.Poll {
		p[i] = pollfd{int32(f.FD), f.Events, 0}
	}
	ts := syscall.NsecToTimespec(int64(c.N) * 1e6)
	var arg unsafe.Pointer
	if c.N >= 0 {
		arg = unsafe.Pointer(&ts)
	}
	n, _, e := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p[0])), uintptr(len(c.Poll)), uintptr(arg), 0, 0, 0)
	c.setErrno(int(n), e)
	c.Poll = append([]PollFD(nil), c.Poll...)
	for i := range c.Poll {
		c.Poll[i].Revents = p[i].revents
	}
}
