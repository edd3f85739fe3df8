package gonet_test

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/bonsainet/bonsai/netif/emu"
)

// The standard checks of a net.Conn, between two stacks of ours.
func TestConn(t *testing.T) {
	needListen(t)
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		a, b := newPair(t, emu.Config{})
		l, err := b.Listen("tcp", "198.18.0.2:7")
		if err != nil {
			return nil, nil, nil, err
		}
		if c1, err = a.Dial("tcp", l.Addr().String()); err != nil {
			return nil, nil, nil, err
		}
		if c2, err = l.Accept(); err != nil {
			return nil, nil, nil, err
		}
		return c1, c2, func() {
			c1.Close()
			c2.Close()
			l.Close()
			a.Close()
			b.Close()
		}, nil
	})
}
