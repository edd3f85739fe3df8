package gonet

import (
	"io"
	"net"
	"time"

	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/socket"
	"github.com/bonsainet/bonsai/stack"
)

// Conn is a socket.Conn as a net.Conn, with the methods of net.TCPConn. It is the
// same object: either can be converted to the other. The Net of its errors is "tcp",
// also where "tcp4" was dialed.
type Conn socket.Conn

func (c *Conn) sock() *socket.Conn { return (*socket.Conn)(c) }

// fail returns the error of operation op, which failed in system call call.
func (c *Conn) fail(op, call string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: sysError(call, err)}
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.sock().Read(p)
	if n == 0 && len(p) > 0 {
		if err == nil {
			return 0, io.EOF
		}
		return 0, c.fail("read", "read", err)
	}
	return n, c.fail("read", "read", err)
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.sock().Write(p)
	return n, c.fail("write", "write", err)
}

// Close implements net.Conn. With SetLinger above 0 it waits so long.
func (c *Conn) Close() error { return c.fail("close", "close", c.sock().Close()) }

// CloseRead shuts down the reading side.
func (c *Conn) CloseRead() error { return c.fail("close", "shutdown", c.sock().CloseRead()) }

// CloseWrite shuts down the writing side: the peer reads EOF.
func (c *Conn) CloseWrite() error { return c.fail("close", "shutdown", c.sock().CloseWrite()) }

// LocalAddr implements net.Conn: a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return tcpAddr(c.sock().Local()) }

// RemoteAddr implements net.Conn: a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return tcpAddr(c.sock().Remote()) }

func tcpAddr(e ipv4.Endpoint) *net.TCPAddr {
	a := &struct {
		net.TCPAddr
		ip [4]byte
	}{ip: e.Addr.As4()}
	a.IP, a.Port = a.ip[:], int(e.Port)
	return &a.TCPAddr
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	s := c.sock()
	return c.set(s.SetDeadline(stackTime(s.Stack(), t)))
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	s := c.sock()
	return c.set(s.SetReadDeadline(stackTime(s.Stack(), t)))
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	s := c.sock()
	return c.set(s.SetWriteDeadline(stackTime(s.Stack(), t)))
}

// set returns the error of setting a deadline or a buffer size.
func (c *Conn) set(err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: "set", Net: "tcp", Addr: c.LocalAddr(), Err: sysError("setsockopt", err)}
}

func (c *Conn) option(level, name, v int) error {
	return c.fail("set", "setsockopt", c.sock().SetOption(level, name, v))
}

// SetNoDelay turns Nagle's algorithm off, as it is from the start, or on.
func (c *Conn) SetNoDelay(noDelay bool) error {
	v := 0
	if noDelay {
		v = 1
	}
	return c.option(stack.SOL_TCP, stack.TCP_NODELAY, v)
}

// SetLinger sets what Close does with data that is not acknowledged: below 0 it is
// sent in the background, with 0 it is discarded, above 0 Close waits so many
// seconds for it.
func (c *Conn) SetLinger(sec int) error {
	return c.option(stack.SOL_SOCKET, stack.SO_LINGER, max(sec, -1))
}

// SetKeepAlive turns keepalive probes on, or off as they are from the start (feature
// keepalive).
func (c *Conn) SetKeepAlive(keepalive bool) error {
	v := 0
	if keepalive {
		v = 1
	}
	return c.option(stack.SOL_SOCKET, stack.SO_KEEPALIVE, v)
}

// SetKeepAlivePeriod sets the time of silence before the first probe, and that
// between probes, to d: 1 s at least, rounded up to seconds.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: d, Interval: d, Count: -1})
}

// SetKeepAliveConfig sets all about keepalive. As with net.TCPConn, 0 in a field is 15
// seconds, or 9 probes, and what is negative stays as it is.
func (c *Conn) SetKeepAliveConfig(k net.KeepAliveConfig) error {
	if err := c.SetKeepAlive(k.Enable); err != nil {
		return err
	}
	for _, o := range [...]struct{ name, v, zero int }{
		{stack.TCP_KEEPIDLE, seconds(k.Idle), 15},
		{stack.TCP_KEEPINTVL, seconds(k.Interval), 15},
		{stack.TCP_KEEPCNT, k.Count, 9},
	} {
		if o.v == 0 {
			o.v = o.zero
		}
		if o.v > 0 {
			if err := c.option(stack.SOL_TCP, o.name, o.v); err != nil {
				return err
			}
		}
	}
	return nil
}

// seconds rounds up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// SetReadBuffer sets the size of the receive buffer in bytes.
func (c *Conn) SetReadBuffer(bytes int) error {
	return c.set(c.sock().SetOption(stack.SOL_SOCKET, stack.SO_RCVBUF, bytes))
}

// SetWriteBuffer sets the size of the send buffer in bytes.
func (c *Conn) SetWriteBuffer(bytes int) error {
	return c.set(c.sock().SetOption(stack.SOL_SOCKET, stack.SO_SNDBUF, bytes))
}

// ReadFrom implements io.ReaderFrom: it sends all that r has.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	s := c.sock()
	n, err := copyAll(s.Stack(), struct{ io.Writer }{c}, r)
	return n, c.copyError("readfrom", err)
}

// WriteTo implements io.WriterTo: it gives w all that arrives.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	s := c.sock()
	n, err := copyAll(s.Stack(), w, struct{ io.Reader }{c})
	return n, c.copyError("writeto", err)
}

func (c *Conn) copyError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// copyAll is io.Copy with a buffer that the stack keeps.
func copyAll(s *socket.Stack, w io.Writer, r io.Reader) (int64, error) {
	buffers := &(*Stack)(s.Owner).buffers
	b, _ := buffers.Get().(*[copyBuffer]byte)
	if b == nil {
		b = new([copyBuffer]byte)
	}
	n, err := io.CopyBuffer(w, r, b[:])
	buffers.Put(b)
	return n, err
}

const copyBuffer = 64 << 10
