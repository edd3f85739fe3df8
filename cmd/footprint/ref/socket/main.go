// Command socket is the reference client on blocking sockets. It sets up an
// interface, connects, writes, reads and closes.
package main

import (
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
	"github.com/bonsainet/bonsai/socket"
	"github.com/bonsainet/bonsai/stack"
)

// link is a device without frames, and a clock that stands still: the two that a
// program has to bring.
type link struct{ closed chan struct{} }

func (l *link) Send([]*netif.Buf) error        { return nil }
func (l *link) Recv([]*netif.Buf) (int, error) { <-l.closed; return 0, socket.ErrClosed }
func (l *link) MTU() int                       { return 1500 }
func (l *link) HardwareAddr() netif.MAC        { return netif.MAC{2, 0, 0, 0, 0, 1} }
func (l *link) Close() error                   { close(l.closed); return nil }

func (l *link) Now() socket.Time                  { return 0 }
func (l *link) Timer(func()) func(at socket.Time) { return func(socket.Time) {} }

func main() {
	l := &link{make(chan struct{})}
	s := socket.New(stack.Config{}, l)
	if err := fetch(s, l); err != nil {
		println(err.Error())
	}
	s.Close()
}

func fetch(s *socket.Stack, l *link) error {
	if _, err := s.Attach("eth0", l); err != nil {
		return err
	}
	if err := configure(s); err != nil {
		return err
	}
	c, err := s.Dial(ipv4.Endpoint{}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 1, 1), Port: 80}, 0)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return err
	}
	buf := make([]byte, 1024)
	total := 0
	for {
		n, err := c.Read(buf)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		total += n
	}
	println(total)
	return nil
}

// configure brings up eth0, as ifconfig and route do.
func configure(s *socket.Stack) error {
	r := stack.Ifreq{Name: "eth0", Addr: stack.SockaddrIn(ipv4.AddrOf(198, 18, 0, 1))}
	if err := s.Ioctl(stack.SIOCSIFADDR, &r); err != nil {
		return err
	}
	r.Addr = stack.SockaddrIn(ipv4.Mask(24))
	if err := s.Ioctl(stack.SIOCSIFNETMASK, &r); err != nil {
		return err
	}
	r.Flags = netif.IFF_UP | netif.IFF_RUNNING
	if err := s.Ioctl(stack.SIOCSIFFLAGS, &r); err != nil {
		return err
	}
	return s.Ioctl(stack.SIOCADDRT, &stack.Rtentry{
		Dst:     stack.SockaddrIn(ipv4.Any),
		Genmask: stack.SockaddrIn(ipv4.Any),
		Gateway: stack.SockaddrIn(ipv4.AddrOf(198, 18, 0, 254)),
		Flags:   route.RTF_UP | route.RTF_GATEWAY,
	})
}
