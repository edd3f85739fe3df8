package socket_test

import (
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/netif/emu/wall"
	"github.com/bonsainet/bonsai/socket"
	"github.com/bonsainet/bonsai/stack"
)

// A connection without package net. The clock is that of emulated links; a program
// without package time brings its own.
func Example() {
	dev, _ := emu.NewLink(emu.Config{})
	s := socket.New(stack.Config{}, wall.New())
	defer s.Close()
	s.Attach("eth0", dev)
	s.Ioctl(stack.SIOCSIFADDR, &stack.Ifreq{Name: "eth0", Addr: stack.SockaddrIn(ipv4.AddrOf(198, 18, 0, 2))})
	s.Ioctl(stack.SIOCSIFFLAGS, &stack.Ifreq{Name: "eth0", Flags: netif.IFF_UP | netif.IFF_RUNNING})

	c, err := s.Dial(ipv4.Endpoint{}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 1), Port: 7}, s.Now()+1e9)
	if err != nil {
		println(err.Error())
		return
	}
	defer c.Close()
	c.Write([]byte("hello"))
	buf := make([]byte, 100)
	n, _ := c.Read(buf)
	println(string(buf[:n]))
}
