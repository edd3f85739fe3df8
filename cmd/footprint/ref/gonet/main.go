// Command gonet is the reference client on net.Conn, over a device that does
// nothing.
package main

import (
	"net"
	"os"

	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/socket/gonet"
)

type link struct{ closed chan struct{} }

func (l *link) Send([]*netif.Buf) error        { return nil }
func (l *link) Recv([]*netif.Buf) (int, error) { <-l.closed; return 0, net.ErrClosed }
func (l *link) MTU() int                       { return 1500 }
func (l *link) HardwareAddr() netif.MAC        { return netif.MAC{2, 0, 0, 0, 0, 1} }
func (l *link) Close() error                   { close(l.closed); return nil }

func main() {
	s := gonet.New(gonet.Config{})
	if err := fetch(s, &link{make(chan struct{})}); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}

func fetch(s *gonet.Stack, dev netif.Device) error {
	if err := s.Attach("eth0", dev); err != nil {
		return err
	}
	if err := s.Configure("eth0", "198.18.0.1/24", "198.18.0.254"); err != nil {
		return err
	}
	c, err := s.Dial("tcp4", os.Args[1])
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return err
	}
	var buf [512]byte
	for {
		n, err := c.Read(buf[:])
		if err != nil {
			return err
		}
		os.Stdout.Write(buf[:n])
	}
}
