// Command all is the reference client and more: it uses every kind of socket
// and option, so that each feature that is on is in the binary with all that it
// adds. A feature that only a call switches on costs other programs its seam
// alone.
package main

import (
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
	"github.com/bonsainet/bonsai/socket"
	"github.com/bonsainet/bonsai/stack"
)

// link is a device without frames, and a clock that stands still.
type link struct{ closed chan struct{} }

func (l *link) Send([]*netif.Buf) error        { return nil }
func (l *link) Recv([]*netif.Buf) (int, error) { <-l.closed; return 0, socket.ErrClosed }
func (l *link) MTU() int                       { return 1500 }
func (l *link) HardwareAddr() netif.MAC        { return netif.MAC{2, 0, 0, 0, 0, 1} }
func (l *link) Close() error                   { close(l.closed); return nil }

func (l *link) Now() socket.Time                  { return 0 }
func (l *link) Timer(func()) func(at socket.Time) { return func(socket.Time) {} }

var (
	peer = ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 9), Port: 80}
	buf  [2048]byte
)

func main() {
	l := &link{make(chan struct{})}
	s := socket.New(stack.Config{}, l)
	index, err := s.Attach("eth0", l)
	configure(s)
	check(err)
	s.Do(func(e *stack.Stack) {
		check(e.Capture(index, func(stack.Time, []byte, bool) { println("frame") }))
		check(e.ProbeAddress(0, index, peer.Addr))
		state, _ := e.AddressState(index)
		println(state, e.Usage().Conns)
	})
	c, err := s.Dial(ipv4.Endpoint{}, peer, 0)
	check(err)
	stream(c)
	serve(s)
	datagrams(s)
	packets(s)
	frames(s)
	s.Close()
}

func check(err error) {
	if err != nil {
		println(err.Error())
	}
}

func stream(c *socket.Conn) {
	check(c.SetOption(stack.SOL_SOCKET, stack.SO_KEEPALIVE, 1))
	check(c.SetOption(stack.SOL_TCP, stack.TCP_NODELAY, 1))
	v, err := c.Option(stack.SOL_SOCKET, stack.SO_ERROR)
	check(err)
	println(v, c.State(), c.Local().Port, c.Remote().Port)
	check(c.SetDeadline(1))
	_, err = c.Write(buf[:])
	check(err)
	_, err = c.Read(buf[:])
	check(err)
	check(c.CloseWrite())
	check(c.CloseRead())
	check(c.Do(func(e *stack.Conn) { e.Abort() }))
	check(c.Abort())
	check(c.Close())
}

func serve(s *socket.Stack) {
	l, err := s.Listen(ipv4.Endpoint{Port: 80}, 5)
	if err != nil {
		return
	}
	c, err := l.Accept()
	check(err)
	stream(c)
	println(l.Local().Port)
	check(l.Close())
}

func datagrams(s *socket.Stack) {
	p, err := s.OpenPacket(ipv4.Endpoint{Port: 53}, 0)
	check(err)
	check(p.Connect(peer))
	check(p.SetOption(stack.SOL_SOCKET, stack.SO_BROADCAST, 1))
	v, err := p.Option(stack.SOL_SOCKET, stack.SO_ERROR)
	check(err)
	println(v)
	check(p.SetMreqn(stack.IP_ADD_MEMBERSHIP, &stack.Mreqn{Multiaddr: ipv4.AddrOf(233, 252, 0, 1), Ifindex: 2}))
	_, err = p.WriteTo(buf[:], peer)
	check(err)
	var m socket.Meta
	_, err = p.ReadFrom(buf[:], &m)
	check(err)
	check(p.Close())
}

func packets(s *socket.Stack) {
	r, err := s.OpenRaw(1)
	if err != nil {
		return
	}
	check(r.Do(func(e *stack.Raw) { e.HdrIncl = true }))
	_, err = r.WriteTo(buf[:], peer.Addr)
	check(err)
	var m socket.Meta
	_, err = r.ReadFrom(buf[:], &m)
	check(err)
	check(r.Close())
}

func frames(s *socket.Stack) {
	p, err := s.OpenPacketSocket(stack.ETH_P_ALL, 0, false)
	if err != nil {
		return
	}
	check(p.Do(func(e *stack.PacketSocket) { e.IgnoreOutgoing = true }))
	var a socket.LinkAddr
	_, _, err = p.ReadFrom(buf[:], &a)
	check(err)
	_, err = p.WriteTo(buf[:], &a)
	check(err)
	check(p.Close())
}

// configure calls the ioctls of each kind.
func configure(s *socket.Stack) {
	r := stack.Ifreq{Name: "eth0", Addr: stack.SockaddrIn(ipv4.AddrOf(198, 18, 0, 1))}
	check(s.Ioctl(stack.SIOCSIFADDR, &r))
	r.Addr = stack.SockaddrIn(ipv4.Mask(24))
	check(s.Ioctl(stack.SIOCSIFNETMASK, &r))
	r.Flags = netif.IFF_UP | netif.IFF_RUNNING
	check(s.Ioctl(stack.SIOCSIFFLAGS, &r))
	r.Data = &stack.EthtoolDrvinfo{Cmd: stack.ETHTOOL_GDRVINFO}
	check(s.Ioctl(stack.SIOCETHTOOL, &r))
	check(s.Ioctl(stack.SIOCGIFCONF, &stack.Ifconf{}))
	check(s.Ioctl(stack.SIOCSARP, &stack.Arpreq{PA: stack.SockaddrIn(peer.Addr)}))
	check(s.Ioctl(stack.SIOCADDRT, &stack.Rtentry{
		Dst:     stack.SockaddrIn(ipv4.Any),
		Genmask: stack.SockaddrIn(ipv4.Any),
		Gateway: stack.SockaddrIn(ipv4.AddrOf(198, 18, 0, 254)),
		Flags:   route.RTF_UP | route.RTF_GATEWAY,
	}))
}
