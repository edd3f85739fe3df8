// Package gvisorpeer is gVisor's network stack as the peer on a device: another
// implementation of TCP/IP in the same process, with the functions of package net.
package gvisorpeer

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"github.com/bonsainet/bonsai/netif"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/raw"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const nic = 1

// Peer is a host with one interface.
type Peer struct {
	Stack *stack.Stack
	addr  netip.Prefix
	link  *link
}

// New returns a host on dev, which it then owns, with an address such as
// "198.18.0.1/24" and all other networks behind gateway, unless that is empty. Its
// TCP has SACK, RACK, CUBIC and automatic buffers up to 4 MiB.
func New(dev netif.Device, address, gateway string) (*Peer, error) {
	return open(dev, address, gateway, false)
}

// NewOffload is New with super-segments and checksums left to dev, if it is a netif.Offloader.
func NewOffload(dev netif.Device, address, gateway string) (*Peer, error) {
	return open(dev, address, gateway, true)
}

func open(dev netif.Device, address, gateway string, offload bool) (*Peer, error) {
	addr, err := netip.ParsePrefix(address)
	if err != nil {
		return nil, err
	}
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocolCUBIC, udp.NewProtocol, icmp.NewProtocol4},
		RawFactory:         raw.EndpointFactory{},
	})
	p := &Peer{Stack: s, addr: addr, link: newLink(dev, offload)}
	if e := s.CreateNIC(nic, p.link); e != nil {
		return nil, errors.New(e.String())
	}
	ip := tcpip.AddrFrom4(addr.Addr().As4())
	e := s.AddProtocolAddress(nic, tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: ip, PrefixLen: addr.Bits()},
	}, stack.AddressProperties{})
	if e != nil {
		return nil, errors.New(e.String())
	}
	subnet := tcpip.AddressWithPrefix{Address: ip, PrefixLen: addr.Bits()}.Subnet()
	routes := []tcpip.Route{{Destination: subnet, NIC: nic}}
	if gateway != "" {
		gw, err := netip.ParseAddr(gateway)
		if err != nil {
			return nil, err
		}
		all, _ := tcpip.NewSubnet(tcpip.AddrFrom4([4]byte{}), tcpip.MaskFromBytes(make([]byte, 4)))
		routes = append(routes, tcpip.Route{Destination: all, Gateway: tcpip.AddrFrom4(gw.As4()), NIC: nic})
	}
	s.SetRouteTable(routes)
	return p, nil
}

// full turns "198.18.0.1:80" or ":80" into gVisor's type of address.
func full(address string) (tcpip.FullAddress, error) {
	host, _, err := net.SplitHostPort(address)
	if err == nil && host == "" {
		address = "0.0.0.0" + address
	}
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return tcpip.FullAddress{}, err
	}
	f := tcpip.FullAddress{NIC: nic, Port: a.Port()}
	if !a.Addr().IsUnspecified() {
		f.Addr = tcpip.AddrFrom4(a.Addr().As4())
	}
	return f, nil
}

// Listen waits for TCP connections to address, such as ":80".
func (p *Peer) Listen(address string) (net.Listener, error) {
	a, err := full(address)
	if err != nil {
		return nil, err
	}
	return gonet.ListenTCP(p.Stack, a, ipv4.ProtocolNumber)
}

// Dial opens a TCP connection.
func (p *Peer) Dial(ctx context.Context, address string) (net.Conn, error) {
	a, err := full(address)
	if err != nil {
		return nil, err
	}
	c, err := gonet.DialContextTCP(ctx, p.Stack, a, ipv4.ProtocolNumber)
	if err != nil {
		return nil, err // not c, which would be an interface that is not nil
	}
	return c, nil
}

// ListenPacket opens a UDP socket at address.
func (p *Peer) ListenPacket(address string) (net.PacketConn, error) {
	a, err := full(address)
	if err != nil {
		return nil, err
	}
	wq := new(waiter.Queue)
	ep, e := p.Stack.NewEndpoint(udp.ProtocolNumber, ipv4.ProtocolNumber, wq)
	if e != nil {
		return nil, errors.New(e.String())
	}
	// Else gVisor sets "don't fragment" on what it fragments, and identifies all of
	// it by 0, so that the fragments of two datagrams get mixed up.
	e = ep.SetSockOptInt(tcpip.MTUDiscoverOption, int(tcpip.PMTUDiscoveryDont))
	if e == nil {
		e = ep.Bind(a)
	}
	if e != nil {
		ep.Close()
		return nil, errors.New(e.String())
	}
	ep.SocketOptions().SetReceiveBufferSize(1<<20, false)
	return gonet.NewUDPConn(wq, ep), nil
}

// DialUDP opens a UDP socket at local that is connected to remote.
func (p *Peer) DialUDP(local, remote netip.AddrPort) (net.Conn, error) {
	l, err := full(local.String())
	if err != nil {
		return nil, err
	}
	r, err := full(remote.String())
	if err != nil {
		return nil, err
	}
	c, err := gonet.DialUDP(p.Stack, &l, &r, ipv4.ProtocolNumber)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Addr returns the host's address.
func (p *Peer) Addr() netip.Addr { return p.addr.Addr() }

// Close closes the device and all connections.
func (p *Peer) Close() {
	p.link.Close()
	p.Stack.Destroy()
}
