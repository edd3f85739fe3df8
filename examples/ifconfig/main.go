// Command ifconfig reads and sets interfaces of a stack by the ioctls that busybox
// makes, and prints them as ifconfig(8) does: those of a stack that has just started,
// lo and eth0 on an emulated link, after what its arguments ask for:
//
//	go run ./examples/ifconfig
//	go run ./examples/ifconfig eth0 198.18.0.2 netmask 255.255.255.0 mtu 1400 up
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/bonsainet/bonsai/examples/internal/show"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/socket/gonet"
	"github.com/bonsainet/bonsai/stack"
)

func main() {
	s := gonet.New(gonet.Config{})
	port, _ := emu.NewLink(emu.Config{})
	show.Check(s.Attach("eth0", port))
	if len(os.Args) > 1 {
		show.Check(set(s, os.Args[1], os.Args[2:]))
	}
	for r := (stack.Ifreq{Value: 1}); s.Ioctl(stack.SIOCGIFNAME, &r) == nil; r.Value++ {
		show.Interface(os.Stdout, s, r.Name)
	}
}

// set does what "ifconfig name args..." asks for.
func set(s *gonet.Stack, name string, args []string) error {
	for len(args) > 0 {
		r := stack.Ifreq{Name: name}
		word, value, rest := args[0], args[0], args[1:]
		req := uint32(stack.SIOCSIFADDR)
		switch word {
		case "up", "down":
			if err := s.Ioctl(stack.SIOCGIFFLAGS, &r); err != nil {
				return err
			}
			r.Flags |= netif.IFF_UP | netif.IFF_RUNNING
			if word == "down" {
				r.Flags &^= netif.IFF_UP
			}
			req, value = stack.SIOCSIFFLAGS, ""
		case "netmask":
			req = stack.SIOCSIFNETMASK
		case "broadcast":
			req = stack.SIOCSIFBRDADDR
		case "mtu":
			req = stack.SIOCSIFMTU
		default:
			rest = args // the address stands alone
		}
		if value != "" {
			if len(rest) == 0 {
				return fmt.Errorf("%s: a value is missing", word)
			}
			value, rest = rest[0], rest[1:]
			n, err := strconv.Atoi(value)
			addr, ok := ipv4.ParseAddr(value)
			if (word == "mtu" && err != nil) || (word != "mtu" && !ok) {
				return fmt.Errorf("%s: not a number or address", value)
			}
			r.Value, r.Addr = int32(n), stack.SockaddrIn(addr)
		}
		if err := s.Ioctl(req, &r); err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
		args = rest
	}
	return nil
}
