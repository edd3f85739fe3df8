package gonet

import (
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/socket"
	"github.com/bonsainet/bonsai/stack"
)

// PacketConn is a UDP socket: a socket.Packet as a net.PacketConn, and a net.Conn if
// it is connected, with methods of net.UDPConn. It may send to broadcast addresses,
// as package net's may.
type PacketConn socket.Packet

func (c *PacketConn) sock() *socket.Packet { return (*socket.Packet)(c) }

// failed is fail for calls about the peer.
func (c *PacketConn) failed(op, call string, err error) error {
	if err == nil {
		return nil
	}
	return c.fail(op, call, c.RemoteAddr(), err)
}

func (c *PacketConn) fail(op, call string, addr net.Addr, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: "udp", Source: c.LocalAddr(), Addr: addr, Err: sysError(call, err)}
}

// Read implements net.Conn: one datagram, cut to what fits.
func (c *PacketConn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	var m socket.Meta
	n, err := c.sock().ReadFrom(b, &m)
	return n, c.failed("read", "read", err)
}

// Write implements net.Conn: one datagram to the peer.
func (c *PacketConn) Write(b []byte) (int, error) {
	n, err := c.sock().WriteTo(b, ipv4.Endpoint{})
	return n, c.failed("write", "write", err)
}

// ReadFrom implements net.PacketConn: one datagram, cut to what fits.
func (c *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	var m socket.Meta
	n, err := c.sock().ReadFrom(b, &m)
	if err != nil {
		return n, nil, c.failed("read", "recvfrom", err)
	}
	return n, udpAddr(m.Src), nil
}

// ReadFromUDPAddrPort is ReadFrom without allocations.
func (c *PacketConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	var m socket.Meta
	n, err := c.sock().ReadFrom(b, &m)
	if err != nil {
		return n, netip.AddrPort{}, c.failed("read", "recvfrom", err)
	}
	return n, netip.AddrPortFrom(netip.AddrFrom4(m.Src.Addr.As4()), m.Src.Port), nil
}

// WriteTo implements net.PacketConn. addr is a *net.UDPAddr.
func (c *PacketConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	a, ok := addr.(*net.UDPAddr)
	switch {
	case !ok:
		return 0, c.fail("write", "sendto", addr, syscall.EINVAL)
	case a == nil:
		return 0, c.fail("write", "sendto", nil, &net.AddrError{Err: "missing address"})
	case !isPort(a.Port):
		return 0, c.fail("write", "sendto", addr, sysError("sendto", errno.EINVAL))
	}
	return c.writeTo(b, a.AddrPort(), addr)
}

// WriteToUDPAddrPort is WriteTo without allocations.
func (c *PacketConn) WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error) {
	return c.writeTo(b, addr, nil)
}

func (c *PacketConn) writeTo(b []byte, to netip.AddrPort, addr net.Addr) (n int, err error) {
	ip := to.Addr().Unmap()
	switch {
	case c.sock().Remote().Port != 0:
		err = net.ErrWriteToConnected
	case !ip.Is4():
		err = &net.AddrError{Err: "non-IPv4 address", Addr: ip.String()}
	default:
		n, err = c.sock().WriteTo(b, ipv4.Endpoint{Addr: ipv4.AddrFrom4(ip.As4()), Port: to.Port()})
	}
	if err != nil && addr == nil {
		addr = net.UDPAddrFromAddrPort(to)
	}
	return n, c.fail("write", "sendto", addr, err)
}

// Close implements net.Conn.
func (c *PacketConn) Close() error {
	return c.failed("close", "close", c.sock().Close())
}

// LocalAddr implements net.PacketConn: a *net.UDPAddr.
func (c *PacketConn) LocalAddr() net.Addr { return udpAddr(c.sock().Local()) }

// RemoteAddr implements net.Conn: a *net.UDPAddr, or nil if not connected.
func (c *PacketConn) RemoteAddr() net.Addr {
	if e := c.sock().Remote(); e.Port != 0 {
		return udpAddr(e)
	}
	return nil
}

func udpAddr(e ipv4.Endpoint) *net.UDPAddr {
	a := &struct {
		net.UDPAddr
		ip [4]byte
	}{ip: e.Addr.As4()}
	a.IP, a.Port = a.ip[:], int(e.Port)
	return &a.UDPAddr
}

// SetDeadline implements net.Conn.
func (c *PacketConn) SetDeadline(t time.Time) error {
	s := c.sock()
	return c.set(s.SetDeadline(stackTime(s.Stack(), t)))
}

// SetReadDeadline implements net.Conn.
func (c *PacketConn) SetReadDeadline(t time.Time) error {
	s := c.sock()
	return c.set(s.SetReadDeadline(stackTime(s.Stack(), t)))
}

// SetWriteDeadline implements net.Conn. Writes never wait.
func (c *PacketConn) SetWriteDeadline(t time.Time) error {
	s := c.sock()
	return c.set(s.SetWriteDeadline(stackTime(s.Stack(), t)))
}

func (c *PacketConn) set(err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: "set", Net: "udp", Addr: c.LocalAddr(), Err: sysError("setsockopt", err)}
}

// SetReadBuffer sets the size of the receive buffer in bytes.
func (c *PacketConn) SetReadBuffer(bytes int) error {
	return c.set(c.sock().SetOption(stack.SOL_SOCKET, stack.SO_RCVBUF, bytes))
}

// SetWriteBuffer does nothing: datagrams are sent at once.
func (c *PacketConn) SetWriteBuffer(bytes int) error {
	return c.set(c.sock().SetOption(stack.SOL_SOCKET, stack.SO_SNDBUF, bytes))
}
