package gonet

import (
	"net"
	"time"

	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/socket"
	"github.com/bonsainet/bonsai/stack"
)

// Listener is a socket.Listener as a net.Listener, with the methods of
// net.TCPListener (feature listen).
type Listener socket.Listener

// backlog is how many connections wait for Accept: Linux's SOMAXCONN.
const backlog = 4096

func (s *Stack) listen(local ipv4.Endpoint) (net.Listener, error) {
	l, err := s.Socket.Listen(local, backlog)
	if err != nil {
		return nil, err
	}
	return (*Listener)(l), nil
}

func (l *Listener) sock() *socket.Listener { return (*socket.Listener)(l) }

func (l *Listener) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: "tcp", Addr: l.Addr(), Err: sysError(op, err)}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.sock().Accept()
	if err != nil {
		return nil, l.fail("accept", err)
	}
	c.SetOption(stack.SOL_TCP, stack.TCP_NODELAY, 1)
	return (*Conn)(c), nil
}

// Close implements net.Listener.
func (l *Listener) Close() error { return l.fail("close", l.sock().Close()) }

// Addr implements net.Listener: a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return tcpAddr(l.sock().Local()) }

// SetDeferAccept makes Accept return connections only once data has arrived, or when that has
// taken so many seconds; 0 is off (TCP_DEFER_ACCEPT: see stack.Listener.SetOption).
func (l *Listener) SetDeferAccept(seconds int) error {
	return l.fail("set", l.sock().SetOption(stack.SOL_TCP, stack.TCP_DEFER_ACCEPT, seconds))
}

// SetDeadline makes Accept fail from t on.
func (l *Listener) SetDeadline(t time.Time) error {
	s := l.sock()
	return l.fail("set", s.SetDeadline(stackTime(s.Stack(), t)))
}
