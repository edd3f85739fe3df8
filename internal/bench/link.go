package bench

import (
	"errors"
	"net"
	"runtime"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/socket"
	"github.com/bonsainet/bonsai/socket/gonet"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/tcp"
)

// Addresses of the two hosts on an emulated link.
const (
	NearAddr = "198.18.0.1"
	FarAddr  = "198.18.0.2"
)

// Ports of the works: the listener's, and those of the UDP sockets.
const (
	Port    = 80
	NearUDP = 5001
	FarUDP  = 5002
)

// errListen says why a build can't take connections.
var errListen = errors.New("this build can't accept connections: add -tags full, or with_listen")

// SocketsSubject is bonsai's blocking sockets over an emulated link.
func SocketsSubject() Subject {
	return Subject{"sockets", "bonsai", "two stacks with blocking net.Conns over an emulated link, in full with super-segments", func(work string, o Options) (*Case, error) {
		return openSockets(work, o, false)
	}}
}

func openSockets(work string, o Options, mtuOnly bool) (*Case, error) {
	if work == "crr" && !feature.Listen {
		return nil, errListen
	}
	e, err := openLink(o, mtuOnly)
	if err != nil {
		return nil, err
	}
	return e.Open(work, o)
}

// host returns a stack on a device.
func host(o Options, dev netif.Device, addr string) (*gonet.Stack, error) {
	s := gonet.New(gonet.Config{Stack: o.config()})
	err := s.Attach("eth0", dev)
	if err == nil {
		err = s.Configure("eth0", addr+"/24", "")
	}
	if err != nil {
		s.Close()
		dev.Close()
		return nil, err
	}
	return s, nil
}

// openLink returns two stacks of ours on a perfect link.
func openLink(o Options, mtuOnly bool) (*Ends, error) {
	da, db := emu.NewLink(emu.Config{MTU: o.MTU})
	var x, y netif.Device = da, db
	if mtuOnly {
		x, y = plain{da}, plain{db}
	}
	a, err := host(o, x, NearAddr)
	if err != nil {
		return nil, err
	}
	b, err := host(o, y, FarAddr)
	if err != nil {
		a.Close()
		return nil, err
	}
	e := &Ends{Frames: LinkFrames(da), Close: func() { a.Close(); b.Close() }}
	if feature.Listen {
		l, err := b.Listen("tcp", ":80")
		if err != nil {
			e.Close()
			return nil, err
		}
		e.Connect = Dialed(l, func() (net.Conn, error) { return a.Dial("tcp", FarAddr+":80") })
	} else {
		port := uint16(1024)
		e.Connect = func() (near, far net.Conn, err error) {
			port = max(port+1, 1024)
			return together(a.Socket, b.Socket, ipv4.Endpoint{Addr: address(0), Port: port}, ipv4.Endpoint{Addr: address(1), Port: Port})
		}
	}
	e.Datagrams = func() (near, far net.Conn, err error) {
		da := gonet.Dialer{Stack: a, LocalAddr: &net.UDPAddr{Port: NearUDP}}
		db := gonet.Dialer{Stack: b, LocalAddr: &net.UDPAddr{Port: FarUDP}}
		if near, err = da.Dial("udp", FarAddr+":5002"); err == nil {
			far, err = db.Dial("udp", NearAddr+":5001")
		}
		return near, far, err
	}
	return e, nil
}

// Dialed returns an Ends.Connect of dial and a listener for it.
func Dialed(l net.Listener, dial func() (net.Conn, error)) func() (near, far net.Conn, err error) {
	return func() (near, far net.Conn, err error) {
		if near, err = dial(); err != nil {
			return nil, nil, err
		}
		if far, err = l.Accept(); err != nil {
			near.Close()
			return nil, nil, err
		}
		return near, far, nil
	}
}

// LinkFrames returns a Case.Frames of the near end of a link.
func LinkFrames(near *emu.Port) func() (near, far uint64) {
	return func() (uint64, uint64) {
		out, in := near.Stats()
		return out.Sent, in.Sent
	}
}

// together opens a connection from both sides at the same time (RFC 9293 section 3.5),
// which takes no listener: each has sent its SYN before it sees the other's.
func together(a, b *socket.Stack, local, remote ipv4.Endpoint) (near, far net.Conn, err error) {
	ca, cb := a.NewConn(), b.NewConn()
	var ea, eb *stack.Conn
	ca.Do(func(c *stack.Conn) { ea = c })
	cb.Do(func(c *stack.Conn) { eb = c })
	a.Do(func(sa *stack.Stack) {
		b.Do(func(sb *stack.Stack) {
			err = errors.Join(sa.Connect(a.Now(), ea, local, remote), sb.Connect(b.Now(), eb, remote, local))
		})
	})
	for _, c := range []*socket.Conn{ca, cb} {
		for err == nil && c.State() != tcp.Established {
			if c.State() == tcp.Closed {
				err = errors.New("no connection")
			}
			runtime.Gosched()
		}
	}
	return (*gonet.Conn)(ca), (*gonet.Conn)(cb), err
}
