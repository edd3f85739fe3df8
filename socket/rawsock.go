package socket

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/stack"
)

// Raw is a raw IPv4 socket (feature rawsock).
type Raw struct {
	sock
	mem stack.RawMem
}

func (r *Raw) eng() *stack.Raw { return r.mem.Raw() }

func (s *Stack) newRaw(proto uint8) (*Raw, error) {
	r := (*Raw)(unsafe.Pointer(new(rawShape)))
	r.s = s
	r.eng().Proto = proto
	e := r.lock()
	if e == 0 {
		r.eng().Data = unsafe.Pointer(&r.sock)
		e, _ = s.eng().OpenRaw(r.eng()).(errno.Errno)
	}
	s.unlock()
	if e != 0 {
		return nil, e
	}
	return r, nil
}

// Do calls f with the engine's socket under the lock, to set its fields and options.
func (r *Raw) Do(f func(*stack.Raw)) error {
	e := r.lock()
	defer r.s.unlock()
	if e == 0 {
		f(r.eng())
		if feature.Multicast {
			r.s.run() // it may have joined a group
		}
	}
	return e.Err()
}

// ReadFrom waits for a packet, and copies as much of it to b as fits, from its
// IPv4 header on.
func (r *Raw) ReadFrom(b []byte, m *Meta) (n int, err error) {
	w, e := r.begin(&r.r)
	for e == 0 {
		if n, e = r.eng().RecvFrom(b, m); e != errno.EAGAIN {
			break
		}
		w, e = r.wait(&r.r, w, pkt.Never)
	}
	r.end(&r.r, w)
	return n, e.Err()
}

// WriteTo sends b to dst. Errors are those of stack.Raw.SendTo.
func (r *Raw) WriteTo(b []byte, dst ipv4.Addr) (n int, err error) {
	w, e := r.begin(&r.w)
	if e == 0 {
		n, e = r.eng().SendTo(r.s.clock.Now(), b, dst)
		r.s.run()
	}
	r.end(&r.w, w)
	return n, e.Err()
}

// Close ends reception; calls in progress return ErrClosed.
func (r *Raw) Close() error {
	e := r.sock.close()
	r.eng().Close()
	if feature.Multicast && e == 0 {
		r.s.run()
	}
	r.s.unlock()
	return e.Err()
}
