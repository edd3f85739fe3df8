// Command tap is the reference client on net.Conn, over a TAP device.
package main

import (
	"os"

	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/tap"
	"github.com/bonsainet/bonsai/socket/gonet"
)

func main() {
	dev, err := tap.Open(tap.Config{Name: "bonsai0", Up: true})
	if err == nil {
		err = fetch(gonet.New(gonet.Config{}), dev)
	}
	if err != nil {
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
