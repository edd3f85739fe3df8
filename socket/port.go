package socket

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/netif"
)

// port is a device and what it takes to receive from it: with the lock not held, by one
// goroutine at a time.
type port struct {
	_ [0]func() // not comparable

	dev     netif.Device
	bufs    []*netif.Buf
	next    *port // in Stack.ports
	resting       // feature leader

	at      Time // when the last batch came
	debt    Time // feature leader: when it will be paid off, for times in which nobody served it
	alone   int  // how often in a row its pump has woken the only one who slept
	calls   int  // and a leader of it was called back
	ifindex int
	full    bool // the last batch was, so there is more; there may be more if it was not
}

// portShape is a port as it is allocated: see tcp.TCB.
type portShape struct {
	_ [0]func() // not comparable
	_ any
	_ []byte
	_ unsafe.Pointer
	_ any
	_ unsafe.Pointer
	_ [unsafe.Sizeof(port{}) - unsafe.Offsetof(port{}.at)]byte
}

var (
	_ [unsafe.Sizeof(port{}) - unsafe.Sizeof(portShape{})]struct{}
	_ [unsafe.Sizeof(portShape{}) - unsafe.Sizeof(port{})]struct{}
)

// Batches of frames from a device: a port begins with few buffers, and takes more
// when they don't suffice. An idle stack should be small.
const (
	firstBatch = 4
	maxBatch   = 8 << (3 * min(feature.Profile, 1)) // 8 in minimal, else 64
)

// serve takes in what a port receives: as its pump, or with feature leader in place of it, for a
// waiter that sleeps, with the stack locked and until it is awake. It returns false when there will be no
// more. The interface of a device that is gone goes down; what a leader finds gone he leaves to the pump.
func serve(stack, q, w unsafe.Pointer) (more bool) {
	s, d, leader := (*Stack)(stack), (*port)(q), (*waiter)(w)
	leads := feature.Leader && leader != nil
	if !leads {
		s.lock()
	}
	for more = true; more && (!leads || leader.pos != 0); {
		if leads {
			s.led = d
		}
		s.unlock()
		n, err := d.dev.Recv(d.bufs)
		s.lock()
		if leads {
			s.led = nil
			if leader.pos != 0 { // else it was called back
				d.calls = 0
			}
		}
		more = err == nil && !s.closed
		if s.closed || leads && !more {
			break
		}
		d.at = s.clock.Now()
		if more {
			s.eng().Input(d.at, d.ifindex, d.bufs[:n])
		} else {
			s.eng().DeviceGone(d.at, d.ifindex)
		}
		s.runAt(d.at)
		if d.full = n == len(d.bufs); d.full && n < maxBatch {
			d.bufs = s.buffers(2 * n)
		}
		if feature.Leader && !leads && more {
			s.rest(d)
		}
	}
	if !leads {
		s.unlock()
	}
	return more
}

// buffers returns n buffers for a device.
//
//go:noinline
func (s *Stack) buffers(n int) []*netif.Buf {
	bufs := make([]*netif.Buf, n)
	for i := range bufs {
		bufs[i] = s.eng().NewBuf()
	}
	return bufs
}
