package socket

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/stack"
)

// Listener waits for connections (feature listen).
type Listener struct {
	sock
	mem stack.ListenerMem
}

func (l *Listener) eng() *stack.Listener { return l.mem.Listener() }

func (s *Stack) newListener(local ipv4.Endpoint, backlog int) (*Listener, error) {
	l := (*Listener)(unsafe.Pointer(new(listenerShape)))
	l.s = s
	l.eng().Data = unsafe.Pointer(&l.sock)
	l.eng().New = l.newConn
	e := l.lock()
	if e == 0 {
		e, _ = s.eng().Listen(l.eng(), local, backlog).(errno.Errno)
	}
	s.unlock()
	if e != 0 {
		return nil, e
	}
	return l, nil
}

func (l *Listener) newConn() *stack.Conn { return l.s.NewConn().eng() }

// Accept waits for a connection, until the deadline for reading.
func (l *Listener) Accept() (c *Conn, err error) {
	w, e := l.begin(&l.r)
	for e == 0 {
		if ec := l.eng().Accept(); ec != nil {
			c = (*Conn)(ec.Data)
			break
		}
		w, e = l.wait(&l.r, w, pkt.Never)
	}
	l.end(&l.r, w)
	return c, e.Err()
}

// Close stops listening and resets the connections that nobody has accepted;
// calls of Accept return ErrClosed.
func (l *Listener) Close() error {
	e := l.sock.close()
	if e == 0 {
		l.eng().Close(l.s.clock.Now())
		l.s.run()
	}
	l.s.unlock()
	return e.Err()
}

// SetOption sets a socket option: see stack.Listener.SetOption.
func (l *Listener) SetOption(level, name, v int) error {
	e := l.lock()
	if e == 0 {
		e = l.eng().SetOption(level, name, v)
	}
	l.s.unlock()
	return e.Err()
}

// Option returns a socket option: see stack.Listener.Option.
func (l *Listener) Option(level, name int) (v int, err error) {
	e := l.lock()
	if e == 0 {
		v, e = l.eng().Option(level, name)
	}
	l.s.unlock()
	return v, e.Err()
}

// Local returns the endpoint that l is bound to.
func (l *Listener) Local() ipv4.Endpoint { return l.eng().Local() }
