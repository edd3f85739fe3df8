package gonet

import (
	"context"
	"net"
	"net/netip"
)

// dialDNS connects the resolver to a nameserver of ours, whatever the system's
// /etc/resolv.conf says.
func (s *Stack) dialDNS(ctx context.Context, network, _ string) (net.Conn, error) {
	if len(s.servers) == 0 {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.AddrError{Err: "no nameservers configured"}}
	}
	at := s.server.Load()
	server := s.servers[int(at)%len(s.servers)]
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		host, port = server, "53"
	}
	if _, err := netip.ParseAddr(host); err != nil { // a name would ask for itself
		return nil, err
	}
	c, err := s.DialContext(ctx, network, net.JoinHostPort(host, port))
	if err != nil {
		s.server.CompareAndSwap(at, at+1)
		return nil, err
	}
	if p, ok := c.(*PacketConn); ok {
		return &dnsConn{p, s, at}, nil
	}
	return c, nil
}

// dnsConn is a connection to a nameserver over UDP. When it does not answer, the
// next question is for the next server.
type dnsConn struct {
	*PacketConn
	s  *Stack
	at uint32 // of the server
}

func (c *dnsConn) Read(b []byte) (int, error) {
	n, err := c.PacketConn.Read(b)
	if err != nil {
		c.s.server.CompareAndSwap(c.at, c.at+1)
	}
	return n, err
}
