package socket

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/tcp"
)

// Conn is a TCP connection: one allocation, its engine's state included.
type Conn struct {
	sock
	tcb stack.TCB
}

func (c *Conn) eng() *stack.Conn { return (*stack.Conn)(unsafe.Pointer(&c.tcb)) } // tcb.Conn()

// NewConn returns a Conn for Connect.
//
//go:noinline
func (s *Stack) NewConn() *Conn {
	c := (*Conn)(unsafe.Pointer(new(connShape)))
	c.s = s
	c.eng().Init(s.eng())
	c.eng().Data = unsafe.Pointer(&c.sock)
	return c
}

// Dial opens a connection to remote, and gives up at deadline, if not 0: see
// Connect. A zero address or port in local is chosen.
func (s *Stack) Dial(local, remote ipv4.Endpoint, deadline Time) (*Conn, error) {
	c := s.NewConn()
	c.w.deadline = deadline
	if err := c.Connect(local, remote); err != nil {
		return nil, err
	}
	c.w.deadline = 0
	return c, nil
}

// Connect opens the connection and waits until it is established. If it can't be,
// the Conn is closed. The deadline is that for writing; to cancel it, Close the
// Conn.
//
// It returns the errors of stack.Stack.Connect, and ECONNREFUSED, ETIMEDOUT,
// EHOSTUNREACH or ENETUNREACH for what the network has to say.
func (c *Conn) Connect(local, remote ipv4.Endpoint) error {
	s := c.s
	w, e := c.begin(&c.w)
	if e == 0 {
		if c.eng().State() != tcp.Closed {
			c.end(&c.w, w)
			return errno.EISCONN
		}
		e, _ = s.eng().Connect(s.clock.Now(), c.eng(), local, remote).(errno.Errno)
		s.run()
		for e == 0 {
			switch c.eng().State() {
			case tcp.SynSent, tcp.SynReceived:
				w, e = c.wait(&c.w, w, pkt.Never)
				continue
			case tcp.Closed:
				if e = c.eng().Err(); e == 0 {
					e = errno.ECONNRESET
				}
			}
			break
		}
	}
	if e != 0 && !c.isClosed() {
		c.shut()
		c.eng().Close(s.clock.Now())
		s.run()
	}
	c.end(&c.w, w)
	return e.Err()
}

// Read waits until there is data, or the end of it, and takes up to len(p) bytes.
// It returns 0 and no error at the end of the stream, or if p is empty.
func (c *Conn) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		e := c.lock()
		c.s.unlock()
		return 0, e.Err()
	}
	w, e := c.begin(&c.r)
	for e == 0 {
		if n, e = c.eng().Read(p); e != errno.EAGAIN {
			break
		}
		w, e = c.wait(&c.r, w, pkt.Never)
	}
	if n > 0 && c.eng().Pending() {
		c.s.run()
	}
	c.end(&c.r, w)
	return n, e.Err()
}

// Write waits until all of p is in the send buffer, or returns how much is and an
// error: EPIPE after CloseWrite or when the peer does not want more, or why the
// connection failed.
func (c *Conn) Write(p []byte) (n int, err error) {
	s := c.s
	w, e := c.begin(&c.w)
	for e == 0 {
		var k int
		k, e = c.eng().Write(p[n:])
		n += k
		if k > 0 {
			s.run()
		}
		if n == len(p) {
			break
		}
		if e == errno.EAGAIN {
			limit := pkt.Never
			if c.eng().Unacked() == 0 { // the stack's memory is short, not ours: no ACK will tell
				limit = s.clock.Now() + memoryRetry
			}
			w, e = c.wait(&c.w, w, limit)
		}
	}
	c.end(&c.w, w)
	return n, e.Err()
}

// memoryRetry is when a connection that got no memory at all asks again.
const memoryRetry = 20 * pkt.Millisecond

// CloseWrite ends our side of the stream.
func (c *Conn) CloseWrite() error {
	e := c.lock()
	if e == 0 {
		e = c.eng().CloseWrite()
		c.wakeAll(&c.w)
		c.s.run()
	}
	c.s.unlock()
	return e.Err()
}

// CloseRead makes reads see the end of the stream, and throws away what arrives.
func (c *Conn) CloseRead() error {
	e := c.lock()
	if e == 0 {
		e = c.eng().CloseRead()
		c.s.run()
	}
	c.s.unlock()
	return e.Err()
}

// Close ends the connection; calls in progress return ErrClosed. What was written
// is still sent, unless something is left that was not read, or SO_LINGER is 0: then
// the connection is reset. With SO_LINGER above 0, Close waits so many seconds for the
// peer to acknowledge all.
func (c *Conn) Close() error {
	s := c.s
	e := c.sock.close()
	if e == 0 {
		if t := c.eng().Options.Linger; t > 0 && c.eng().Buffered() == 0 {
			c.linger(s.clock.Now() + Time(t)*pkt.Second)
		}
		c.eng().Close(s.clock.Now())
		s.run()
	}
	s.unlock()
	return e.Err()
}

// linger waits until the peer has acknowledged all that was written and our FIN.
func (c *Conn) linger(until Time) {
	s := c.s
	c.eng().CloseWrite()
	s.run()
	w := s.join(&c.w)
	for !s.closed && s.clock.Now() < until {
		switch c.eng().State() {
		case tcp.FinWait1, tcp.Closing, tcp.LastAck:
			s.sleep(w, until)
			continue
		}
		break
	}
	c.leave(&c.w, w)
}

// Abort resets the connection; calls in progress return ErrClosed.
func (c *Conn) Abort() error {
	e := c.sock.close()
	if e == 0 {
		c.eng().Abort()
		c.s.run()
	}
	c.s.unlock()
	return e.Err()
}

// SetOption sets a socket option: see stack.Conn.SetOption.
func (c *Conn) SetOption(level, name, v int) error {
	e := c.lock()
	if e == 0 {
		e = c.eng().SetOption(level, name, v)
		c.s.run()
	}
	c.s.unlock()
	return e.Err()
}

// Option returns a socket option: see stack.Conn.Option.
func (c *Conn) Option(level, name int) (v int, err error) {
	e := c.lock()
	if e == 0 {
		v, e = c.eng().Option(level, name)
	}
	c.s.unlock()
	return v, e.Err()
}

// Do calls f with the engine's connection under the lock, for all that has no method
// here.
func (c *Conn) Do(f func(*stack.Conn)) error {
	e := c.lock()
	defer c.s.unlock()
	if e == 0 {
		f(c.eng())
		c.s.run()
	}
	return e.Err()
}

// State returns the connection's state.
func (c *Conn) State() tcp.State {
	c.s.lock()
	defer c.s.unlock()
	return c.eng().State()
}

// Local returns our endpoint; it is set once Connect has returned.
func (c *Conn) Local() ipv4.Endpoint { return c.eng().Local() }

// Remote returns the peer's endpoint.
func (c *Conn) Remote() ipv4.Endpoint { return c.eng().Remote() }
