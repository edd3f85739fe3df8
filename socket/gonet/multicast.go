package gonet

import (
	"net"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/socket"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/udp"
)

// MulticastConn is a PacketConn with what golang.org/x/net/ipv4 adds to one for groups (feature
// multicast): it may be made of any. Where that takes a *net.Interface it takes a name, which may be
// empty where that may be nil. Membership is for all sources.
type MulticastConn struct{ *PacketConn }

func (s *Stack) listenMulticast(network, ifname string, gaddr *net.UDPAddr) (c MulticastConn, err error) {
	if network != "udp" && network != "udp4" {
		return c, net.UnknownNetworkError(network)
	}
	if gaddr == nil || gaddr.IP == nil {
		return c, &net.AddrError{Err: "missing address", Addr: gaddr.String()}
	}
	if !isPort(gaddr.Port) {
		return c, sysError("bind", errno.EINVAL)
	}
	p, err := s.Socket.OpenPacket(ipv4.Endpoint{Port: uint16(gaddr.Port)}, udp.Broadcast|udp.ReuseAddr)
	if err != nil {
		return c, sysError("bind", err)
	}
	c.PacketConn = (*PacketConn)(p)
	if ifname != "" {
		err = c.setInterface(ifname)
	}
	if err == nil {
		err = c.setOption(stack.IP_MULTICAST_LOOP, 0)
	}
	if err == nil {
		err = c.member(stack.IP_ADD_MEMBERSHIP, ifname, gaddr)
	}
	if err != nil {
		p.Close()
		return MulticastConn{}, err
	}
	return c, nil
}

// JoinGroup makes c a member of a group, a *net.UDPAddr or *net.IPAddr, on an interface.
func (c MulticastConn) JoinGroup(ifname string, group net.Addr) error {
	return c.failed("setsockopt", "setsockopt", c.member(stack.IP_ADD_MEMBERSHIP, ifname, group))
}

// LeaveGroup ends that.
func (c MulticastConn) LeaveGroup(ifname string, group net.Addr) error {
	return c.failed("setsockopt", "setsockopt", c.member(stack.IP_DROP_MEMBERSHIP, ifname, group))
}

// SetMulticastInterface makes c send to groups by an interface.
func (c MulticastConn) SetMulticastInterface(ifname string) error {
	return c.failed("setsockopt", "setsockopt", c.setInterface(ifname))
}

// SetMulticastTTL says how many routers what is sent to groups may pass, and one: 1, until it is set. 0
// keeps it to members on this host.
func (c MulticastConn) SetMulticastTTL(ttl int) error {
	return c.failed("setsockopt", "setsockopt", c.setOption(stack.IP_MULTICAST_TTL, ttl))
}

// SetMulticastLoopback says whether members on this host get what is sent to groups.
func (c MulticastConn) SetMulticastLoopback(on bool) error {
	v := 0
	if on {
		v = 1
	}
	return c.failed("setsockopt", "setsockopt", c.setOption(stack.IP_MULTICAST_LOOP, v))
}

func (c MulticastConn) setOption(name, v int) error {
	return sysError("setsockopt", c.sock().SetOption(stack.SOL_IP, name, v))
}

func (c MulticastConn) setInterface(ifname string) error {
	index, err := interfaceIndex(c.sock().Stack(), ifname)
	if err != nil {
		return err
	}
	return c.setOption(stack.IP_MULTICAST_IF, int(index))
}

func (c MulticastConn) member(name int, ifname string, group net.Addr) error {
	var ip net.IP
	switch a := group.(type) {
	case nil:
		return &net.AddrError{Err: "missing address"}
	case *net.UDPAddr:
		if a != nil {
			ip = a.IP
		}
	case *net.IPAddr:
		if a != nil {
			ip = a.IP
		}
	}
	if ip = ip.To4(); ip == nil {
		return &net.AddrError{Err: "non-IPv4 address", Addr: group.String()}
	}
	index, err := interfaceIndex(c.sock().Stack(), ifname)
	if err != nil {
		return err
	}
	return sysError("setsockopt", c.sock().SetMreqn(name, &stack.Mreqn{Multiaddr: ipv4.AddrAt(ip), Ifindex: index}))
}

// interfaceIndex returns the index of an interface, 0 for no name.
func interfaceIndex(s *socket.Stack, name string) (int32, error) {
	if name == "" {
		return 0, nil
	}
	r := stack.Ifreq{Name: name}
	if err := s.Ioctl(stack.SIOCGIFINDEX, &r); err != nil {
		return 0, sysError("SIOCGIFINDEX", err)
	}
	return r.Value, nil
}
