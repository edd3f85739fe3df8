// Command core is the reference client on the engine alone: stack and tcp,
// driven by a loop. It sets up an interface, connects, writes, reads and closes.
package main

import (
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/tcp"
)

// device is a link without frames, and a clock: each Recv is a millisecond.
type device struct{ now stack.Time }

func (d *device) Send([]*netif.Buf) error        { return nil }
func (d *device) Recv([]*netif.Buf) (int, error) { d.now += 1e6; return 0, nil }
func (d *device) MTU() int                       { return 1500 }
func (d *device) HardwareAddr() netif.MAC        { return netif.MAC{2, 0, 0, 0, 0, 1} }
func (d *device) Close() error                   { return nil }

func main() {
	dev := new(device)
	s := stack.New(stack.Config{})
	eth0, err := s.AddInterface("eth0", dev)
	if err == nil {
		err = configure(s)
	}
	c := new(stack.TCB).Conn() // it would do with a stack.Conn, and pay for the description of it: see tcp.TCB
	c.Init(s)
	if err == nil {
		err = s.Connect(dev.now, c, ipv4.Endpoint{}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 1, 1), Port: 80})
	}
	if err != nil {
		println(err.Error())
		return
	}

	request := []byte("GET / HTTP/1.0\r\n\r\n")
	frames := []*netif.Buf{s.NewBuf()}
	buf := make([]byte, 1024)
	total := 0
	for done := false; !done; {
		n, _ := dev.Recv(frames)
		s.Input(dev.now, eth0, frames[:n])
		s.Poll(dev.now)
		for {
			k, e := s.Ready()
			if k == nil {
				break
			}
			if e&tcp.Failed != 0 {
				println(c.Err().Error())
				return
			}
			if e&tcp.Writable != 0 {
				n, _ := c.Write(request)
				request = request[n:]
			}
			for e&tcp.Readable != 0 {
				n, e := c.Read(buf)
				if total += n; n == 0 {
					done = e == 0
					break
				}
			}
		}
	}
	c.Close(dev.now)
	s.Poll(dev.now)
	println(total)
}

// configure brings up eth0, as ifconfig and route do.
func configure(s *stack.Stack) error {
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
