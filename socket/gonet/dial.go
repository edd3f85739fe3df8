package gonet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/socket"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/udp"
)

// Dialer opens connections, as net.Dialer does.
type Dialer struct {
	// Stack must be set: there is no default.
	Stack *Stack
	// Timeout and Deadline bound each call, name resolution included; 0 is none.
	Timeout  time.Duration
	Deadline time.Time
	// LocalAddr is a *net.TCPAddr or *net.UDPAddr, or nil for any.
	LocalAddr net.Addr
	// Resolver is used instead of the Stack's, if not nil.
	Resolver *net.Resolver
}

// Dial is Dialer.Dial with default settings.
func (s *Stack) Dial(network, address string) (net.Conn, error) {
	return s.DialContext(context.Background(), network, address)
}

// DialContext is Dialer.DialContext with default settings: what http.Transport
// wants.
func (s *Stack) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := Dialer{Stack: s}
	return d.DialContext(ctx, network, address)
}

// Dial connects to address on the network "tcp", "tcp4", "udp" or "udp4".
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext is Dial that gives up when ctx is done. A host name may have several
// addresses: they are tried in turn, and share the time.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	deadline := d.Deadline
	if d.Timeout > 0 {
		if t := time.Now().Add(d.Timeout); deadline.IsZero() || t.Before(deadline) {
			deadline = t
		}
	}
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	local, validPort, err := localEndpoint(network, d.LocalAddr)
	var addrs []netip.Addr
	var port uint16
	if err == nil {
		r := d.Resolver
		if r == nil {
			r = d.Stack.Resolver
		}
		addrs, port, err = resolve(ctx, r, network, address)
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	var first error
	for i, a := range addrs {
		remote := ipv4.Endpoint{Addr: ipv4.AddrFrom4(a.As4()), Port: port}
		one, cancel := share(ctx, len(addrs)-i)
		var c net.Conn
		err := sysError("bind", errno.EINVAL)
		if validPort {
			c, err = d.Stack.dial(one, network, local, remote)
		}
		cancel()
		if err == nil {
			return c, nil
		}
		if first == nil {
			e := &net.OpError{Op: "dial", Net: network, Source: d.LocalAddr, Err: err}
			if isUDP(network) {
				e.Addr = udpAddr(remote)
			} else {
				e.Addr = tcpAddr(remote)
			}
			first = e
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// share gives the first of n addresses its part of the time until ctx's deadline,
// but 2 seconds if there are as many.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || n == 1 {
		return ctx, func() {}
	}
	left := time.Until(deadline)
	return context.WithTimeout(ctx, max(left/time.Duration(n), min(left, 2*time.Second)))
}

func isUDP(network string) bool { return network[0] == 'u' }

// dial opens one connection.
func (s *Stack) dial(ctx context.Context, network string, local, remote ipv4.Endpoint) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, contextError(err)
	}
	if isUDP(network) {
		p, err := s.Socket.OpenPacket(local, udp.Broadcast)
		if err != nil {
			return nil, sysError("bind", err)
		}
		if err := p.Connect(remote); err != nil {
			p.Close()
			return nil, sysError("connect", err)
		}
		return (*PacketConn)(p), nil
	}
	c := s.Socket.NewConn()
	c.SetOption(stack.SOL_TCP, stack.TCP_NODELAY, 1)
	stop := context.AfterFunc(ctx, func() { c.Close() })
	err := c.Connect(local, remote)
	if !stop() && ctx.Err() != nil {
		c.Close()
		return nil, contextError(ctx.Err())
	}
	if err != nil {
		call := "connect"
		if err == errno.EADDRNOTAVAIL.Err() && !local.Addr.IsAny() {
			call = "bind"
		}
		return nil, sysError(call, err)
	}
	return (*Conn)(c), nil
}

// Listen waits for connections to address on the network "tcp" or "tcp4" (feature
// listen).
func (s *Stack) Listen(network, address string) (net.Listener, error) {
	local, err := s.listenEndpoint(network, address, "tcp")
	var addr net.Addr
	if err == nil {
		addr = tcpAddr(local)
		if !feature.Listen {
			err = errno.EOPNOTSUPP
		} else {
			var l net.Listener
			if l, err = s.listen(local); err == nil {
				return l, nil
			}
		}
	}
	return nil, &net.OpError{Op: "listen", Net: network, Addr: addr, Err: sysError("bind", err)}
}

// ListenPacket opens a UDP socket at address on the network "udp" or "udp4".
func (s *Stack) ListenPacket(network, address string) (net.PacketConn, error) {
	local, err := s.listenEndpoint(network, address, "udp")
	var addr net.Addr
	if err == nil {
		addr = udpAddr(local)
		var p *socket.Packet
		if p, err = s.Socket.OpenPacket(local, udp.Broadcast); err == nil {
			return (*PacketConn)(p), nil
		}
	}
	return nil, &net.OpError{Op: "listen", Net: network, Addr: addr, Err: sysError("bind", err)}
}

// ListenMulticastUDP opens a UDP socket that is a member of group gaddr on an interface, of the one that the
// routes lead to if ifname is empty, and that shares its port with others of this kind, on the network "udp" or
// "udp4". As that of package net, it is bound to gaddr's port and no address, sends to groups by that
// interface, and members on this host get nothing of what it sends: see SetMulticastLoopback. It fails with
// EOPNOTSUPP without feature multicast.
func (s *Stack) ListenMulticastUDP(network, ifname string, gaddr *net.UDPAddr) (MulticastConn, error) {
	var addr net.Addr // or an interface that holds nil
	if gaddr != nil {
		addr = gaddr
	}
	err := sysError("setsockopt", errno.EOPNOTSUPP)
	if feature.Multicast {
		var c MulticastConn
		if c, err = s.listenMulticast(network, ifname, gaddr); err == nil {
			return c, nil
		}
	}
	return MulticastConn{}, &net.OpError{Op: "listen", Net: network, Addr: addr, Err: err}
}

func (s *Stack) listenEndpoint(network, address, want string) (e ipv4.Endpoint, err error) {
	if network != want && network != want+"4" && network != want+"6" {
		return e, net.UnknownNetworkError(network)
	}
	addrs, port, err := resolve(context.Background(), s.Resolver, network, address)
	if err == nil {
		e = ipv4.Endpoint{Addr: ipv4.AddrFrom4(addrs[0].As4()), Port: port}
	}
	return e, err
}

// localEndpoint returns the endpoint in addr, which must fit the network, and whether
// its port is one.
func localEndpoint(network string, addr net.Addr) (e ipv4.Endpoint, validPort bool, err error) {
	if addr == nil {
		return e, true, nil
	}
	var ap netip.AddrPort
	ok := false
	switch a := addr.(type) {
	case *net.TCPAddr:
		ap, ok = a.AddrPort(), network != "" && !isUDP(network)
		validPort = a == nil || isPort(a.Port)
	case *net.UDPAddr:
		ap, ok = a.AddrPort(), network != "" && isUDP(network)
		validPort = a == nil || isPort(a.Port)
	}
	if !ok {
		return e, false, &net.AddrError{Err: "mismatched local address type", Addr: addr.String()}
	}
	e.Port = ap.Port()
	if a := ap.Addr().Unmap(); a.Is4() {
		e.Addr = ipv4.AddrFrom4(a.As4())
	} else if a.IsValid() && !a.IsUnspecified() {
		return e, false, &net.AddrError{Err: "non-IPv4 address", Addr: addr.String()}
	}
	return e, validPort, nil
}

func isPort(n int) bool { return n == n&0xffff }

// resolve returns the addresses, at least one, and the port in address. An empty host
// is 0.0.0.0.
func resolve(ctx context.Context, r *net.Resolver, network, address string) ([]netip.Addr, uint16, error) {
	switch network {
	case "tcp", "tcp4", "udp", "udp4":
	case "tcp6", "udp6":
		return nil, 0, os.NewSyscallError("socket", sysErrno(errno.EAFNOSUPPORT))
	default:
		return nil, 0, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, 0, err
	}
	port, err := r.LookupPort(ctx, network, service)
	if err != nil {
		return nil, 0, err
	}
	if host == "" {
		return []netip.Addr{netip.IPv4Unspecified()}, uint16(port), nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a = a.Unmap(); !a.Is4() {
			return nil, 0, &net.AddrError{Err: "no suitable address found", Addr: host}
		}
		return []netip.Addr{a}, uint16(port), nil
	}
	addrs, err := r.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return nil, 0, err
	}
	n := 0
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			addrs[n] = a
			n++
		}
	}
	if n == 0 {
		return nil, 0, &net.AddrError{Err: "no suitable address found", Addr: host}
	}
	return addrs[:n], uint16(port), nil
}
