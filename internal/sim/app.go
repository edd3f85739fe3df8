package sim

import (
	"fmt"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/tcp"
)

// App is the program at one end of a connection. Run is called when the connection
// has changed and when the time comes that the last Run returned; it does what it
// can without waiting. It ends with End.Finish or End.Fail.
type App interface {
	Run(e *End, ev tcp.Events) (wake Time)
}

// End is one end of a connection, and what happened to it.
type End struct {
	Host     *Host
	Conn     *stack.Conn
	App      App
	Accepted bool // not the end that dialled

	Err            errno.Errno // why the connection failed; 0: it did not
	Sent, Received int64       // bytes that the App has written and read
	Opened         Time        // when the connection was established, 0: never
	First, Last    Time        // when the App read first and last
	Finished       Time        // when the App was through
	Timeouts       int         // retransmission timeouts and window probes

	retries int
	wake    Time
	buf     []byte
}

func (e *End) String() string {
	c := e.Conn
	return fmt.Sprintf("%v > %v %v sent %d received %d unacked %d buffered %d mss %d deadline %v retries %d timeouts %d err %v soft %v (%T)",
		c.Local(), c.Remote(), c.State(), e.Sent, e.Received, c.Unacked(), c.Buffered(), c.MSS(), stamp(c.Deadline()), c.Retries(), e.Timeouts, e.Err, c.SoftErr(), e.App)
}

// Traffic returns what the end's host has sent for it.
func (e *End) Traffic() Traffic {
	if t := e.Host.net.wire.flows[flowKey{e.Conn.Local(), e.Conn.Remote()}]; t != nil {
		return *t
	}
	return Traffic{}
}

// Goodput returns the rate at which the App has read, from when the connection
// was established, in bits per second.
func (e *End) Goodput() float64 {
	if e.Last <= e.Opened {
		return 0
	}
	return float64(e.Received) * 8 * float64(Second) / float64(e.Last-e.Opened)
}

// Finish says that the App is through. It has closed the connection, or leaves it
// as it is.
func (e *End) Finish() {
	if e.Finished == 0 {
		e.Finished = e.Host.net.Now()
		e.Host.net.running--
		e.Host.net.moved++
	}
}

// Fail ends the simulation.
func (e *End) Fail(format string, args ...any) {
	e.Host.net.fail("%s: %s: %v", e.Host.Name, fmt.Sprintf(format, args...), e)
}

// moved notes progress.
func (e *End) moved() { e.Host.net.moved++ }

// Dial opens a connection to a host, for which app is the program. It panics if
// the stack refuses at once: see DialFrom.
func (h *Host) Dial(to ipv4.Endpoint, app App) *End {
	e, err := h.DialFrom(ipv4.Endpoint{}, to, app)
	if err != nil {
		panic(fmt.Sprintf("%s: connect to %v: %v", h.Name, to, err))
	}
	return e
}

// DialFrom is Dial from a local endpoint, which may be zero in parts.
func (h *Host) DialFrom(from, to ipv4.Endpoint, app App) (*End, error) {
	e := h.newEnd()
	e.App = app
	if s, ok := app.(interface{ Setup(*stack.Conn) }); ok {
		s.Setup(e.Conn)
	}
	if err := h.Stack.Connect(h.net.Now(), e.Conn, from, to); err != nil {
		return nil, err
	}
	h.start(e)
	return e, nil
}

func (h *Host) newEnd() *End {
	e := &End{Host: h, Conn: new(stack.Conn), wake: Never}
	e.Conn.Init(h.Stack)
	e.Conn.Data = owner(e)
	return e
}

// owner returns the Data of v's socket.
func owner(v any) unsafe.Pointer { return unsafe.Pointer(&v) }

// start lets e's program run in the host's next turn.
func (h *Host) start(e *End) {
	h.ends = append(h.ends, e)
	h.net.running++
	h.touched = true
}

// Server accepts connections.
type Server struct {
	Listener stack.Listener
	Ends     []*End // all that were accepted

	host  *Host
	serve func(e *End) App
}

// Listen accepts connections to a port and gives each the program that serve
// returns.
func (h *Host) Listen(port uint16, backlog int, serve func(e *End) App) *Server {
	v := &Server{host: h, serve: serve}
	v.Listener.Data = owner(v)
	v.Listener.New = func() *stack.Conn { return h.newEnd().Conn }
	if err := h.Stack.Listen(&v.Listener, ipv4.Endpoint{Port: port}, backlog); err != nil {
		panic(fmt.Sprintf("%s: listen on %d: %v", h.Name, port, err))
	}
	return v
}

// Close stops listening.
func (v *Server) Close() {
	v.Listener.Close(v.host.net.Now())
	v.host.touched = true
}

func (v *Server) accept() {
	for c := v.Listener.Accept(); c != nil; c = v.Listener.Accept() {
		e := (*(*any)(c.Data)).(*End)
		v.Ends = append(v.Ends, e)
		e.Accepted = true
		e.App = v.serve(e)
		v.host.start(e)
		e.opened()
		v.host.run(e, tcp.Opened|tcp.Readable|tcp.Writable)
	}
}

func (e *End) opened() {
	e.Opened = e.Host.net.Now()
	e.moved()
}

// programs runs what has a reason to run and reports whether any did.
func (h *Host) programs(now Time) (ready bool) {
	for {
		k, ev := h.Stack.Ready()
		if k == nil {
			break
		}
		ready = true
		switch o := (*(*any)(k.Data)).(type) {
		case *Server:
			o.accept()
		case *End:
			if ev&tcp.Opened != 0 {
				o.opened()
			}
			if o.App != nil {
				h.run(o, ev)
			}
		case func(ev tcp.Events):
			o(ev)
		}
	}
	if h.wake <= now {
		h.wake = Never
		for _, e := range h.ends {
			if e.wake <= now {
				e.wake = Never
				h.run(e, 0)
				ready = true
			}
			h.wake = min(h.wake, e.wake)
		}
	}
	// Forget those that are through.
	kept := h.ends[:0]
	for _, e := range h.ends {
		if e.Finished == 0 {
			kept = append(kept, e)
		}
	}
	clear(h.ends[len(kept):])
	h.ends = kept
	return ready
}

func (h *Host) run(e *End, ev tcp.Events) {
	if e.Finished != 0 {
		return
	}
	e.wake = e.App.Run(e, ev)
	if e.Finished == 0 {
		h.wake = min(h.wake, e.wake)
	}
}

// Up and Down are what those who dial and those who accept send.
const (
	Up   Stream = 0x5ca1ab1e
	Down Stream = 0x0ddba11
)

// streams returns what the end sends and receives.
func (e *End) streams() (out, in Stream) {
	if e.Accepted {
		return Down, Up
	}
	return Up, Down
}

// Write writes what fits of the next n bytes that the end sends, in pieces of up to
// size bytes, and returns how many were taken.
func (e *End) Write(n int64, size int) int64 {
	s, _ := e.streams()
	if len(e.buf) < size {
		e.buf = make([]byte, size)
	}
	done := int64(0)
	for done < n {
		p := e.buf[:min(int64(size), n-done)]
		s.Fill(p, e.Sent)
		k, err := e.Conn.Write(p)
		e.Sent += int64(k)
		done += int64(k)
		if err != 0 && err != errno.EAGAIN {
			e.Err = err
		}
		if k < len(p) {
			break
		}
	}
	if done > 0 {
		e.moved()
	}
	return done
}

// Read reads up to n bytes in pieces of up to size and compares them with what the
// other end sends. eof is true when the stream has ended or the connection failed, for
// which see Err.
func (e *End) Read(n int64, size int) (done int64, eof bool) {
	_, s := e.streams()
	if len(e.buf) < size {
		e.buf = make([]byte, size)
	}
	for done < n {
		p := e.buf[:min(int64(size), n-done)]
		k, err := e.Conn.Read(p)
		if err == errno.EAGAIN {
			break
		}
		if err != 0 {
			e.Err = err
			eof = true
			break
		}
		if k == 0 {
			eof = true
			break
		}
		if i := s.Check(p[:k], e.Received); i >= 0 {
			e.Fail("byte %d is wrong", e.Received+int64(i))
			return done, true
		}
		now := e.Host.net.Now()
		if e.Received == 0 {
			e.First = now
		}
		e.Last = now
		e.Received += int64(k)
		done += int64(k)
	}
	if done > 0 || eof {
		e.moved()
	}
	return done, eof
}

// Close closes the connection and ends the program.
func (e *End) Close() {
	e.Conn.Close(e.Host.net.Now())
	e.Finish()
}

// Abort resets the connection and ends the program.
func (e *End) Abort() {
	e.Conn.Abort()
	e.Finish()
}
