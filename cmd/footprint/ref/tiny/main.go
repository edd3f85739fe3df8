// Command tiny is the smallest program that fetches a page: the engine alone,
// driven by a loop, over frames that it reads from and writes to its standard
// input, a socket that keeps their bounds. It prints the page. Without a
// package of the standard library, it calls the kernel itself.
package main

import (
	"unsafe"

	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/tcp"
)

type link struct{}

func (link) Send(bufs []*netif.Buf) error {
	for _, b := range bufs {
		f := b.Bytes()
		call(sysWrite, 0, uintptr(unsafe.Pointer(&f[0])), uintptr(len(f)))
	}
	return nil
}

func (link) Recv(bufs []*netif.Buf) (int, error) {
	p := bufs[0].Space()
	n := call(sysRead, 0, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if int(n) <= 0 {
		return 0, nil
	}
	bufs[0].SetLen(int(n))
	return 1, nil
}

func (link) MTU() int                { return 1500 }
func (link) HardwareAddr() netif.MAC { return netif.MAC{2, 0, 0, 0, 0, 1} }
func (link) Close() error            { return nil }

// now returns the time by CLOCK_MONOTONIC.
func now() stack.Time {
	var t [2]int
	call(sysClock, 1, uintptr(unsafe.Pointer(&t)), 0)
	return stack.Time(t[0])*1e9 + stack.Time(t[1])
}

// wait waits for a frame, until deadline at most, and reports whether there is
// one.
func wait(deadline stack.Time) bool {
	ms := min(max(0, (deadline-now())/1e6+1), 1000)
	fd := [2]int32{0, 1} // standard input, POLLIN
	return int(call(sysPoll, uintptr(unsafe.Pointer(&fd)), 1, uintptr(ms))) > 0
}

func main() {
	s := stack.New(stack.Config{})
	index, err := s.AddInterface("eth0", link{})
	r := stack.Ifreq{Name: "eth0", Addr: stack.SockaddrIn(ipv4.AddrOf(198, 18, 0, 1))}
	if err == nil {
		err = s.Ioctl(stack.SIOCSIFADDR, &r)
	}
	r.Flags = netif.IFF_UP | netif.IFF_RUNNING
	if err == nil {
		err = s.Ioctl(stack.SIOCSIFFLAGS, &r)
	}
	var c stack.Conn
	c.Init(s)
	if err == nil {
		err = s.Connect(now(), &c, ipv4.Endpoint{}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2), Port: 80})
	}
	if err != nil {
		println(err.Error())
		return
	}
	request := []byte("GET / HTTP/1.0\r\n\r\n")
	frames := []*netif.Buf{s.NewBuf()}
	var buf [512]byte
	for {
		if wait(s.Poll(now())) {
			n, _ := link{}.Recv(frames)
			s.Input(now(), index, frames[:n])
		}
		for {
			k, e := s.Ready()
			if k == nil {
				break
			}
			if e&tcp.Failed != 0 {
				println(c.Err().Error())
				return
			}
			if e&tcp.Writable != 0 && len(request) > 0 {
				n, _ := c.Write(request)
				request = request[n:]
			}
			for e&tcp.Readable != 0 {
				n, e := c.Read(buf[:])
				if n == 0 {
					if e == 0 { // the end of the page
						c.Close(now())
						s.Poll(now())
						return
					}
					break
				}
				call(sysWrite, 1, uintptr(unsafe.Pointer(&buf)), uintptr(n))
			}
		}
	}
}
