// Package socket is blocking sockets over a stack: Conn (TCP), Packet (UDP),
// Raw, PacketSocket and Listener, with deadlines in stack time. It knows neither package net
// nor package time: see socket/gonet for those.
//
// A Stack has one lock. One goroutine for each device waits for frames, and takes
// them in under the lock, a batch at a time; calls of the application send inline,
// on their own goroutine. With feature leader a call that waits alone does both.
// There is no goroutine and no timer for each connection.
//
// All methods may be called from several goroutines. Reads of one socket are
// served one after the other, and so are writes.
//
// Errors are of type stack.Errno: Linux's numbers, ErrClosed and ErrDeadline.
package socket

import (
	"sync/atomic"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/tcp"
)

// Time is a point on the stack's clock, in nanoseconds.
type Time = pkt.Time

// Errno is the type of all errors.
type Errno = errno.Errno

// Errors that are no numbers of Linux's.
const (
	ErrClosed   Errno = 255 // the socket or the stack was closed by ourselves
	ErrDeadline Errno = 254 // the deadline has passed
)

// A Clock tells a Stack the time. wall.Clock and emu.Virtual, for emulated links,
// are Clocks too; so stack and link can share one. A clock that goes only when it is set, as the
// latter, has a method Manual.
type Clock interface {
	// Now never runs backwards. It is safe for concurrent use.
	Now() Time

	// Timer returns a function that sets a timer: f is called once at that time
	// or soon after, on any goroutine, but not by set. Setting it again replaces
	// the time. set is not called concurrently.
	Timer(f func()) (set func(at Time))
}

// Stack is a stack with a lock, a clock and goroutines that serve its devices.
type Stack struct {
	// Owner is for whoever builds on the stack, as gonet does: a pointer to what is his own.
	Owner unsafe.Pointer

	turn     chan struct{}  // hands the lock over: see lock
	host     unsafe.Pointer // *stack.Stack, without the names of its methods: see tcp.TCB
	set      func(at Time)  // of the alarm
	free     *waiter
	woken    *waiter // by unlock
	clock    Clock
	sleepers sleepers
	ports    *port
	leading  // feature leader

	armed   Time  // when the alarm goes off, Never if it is off
	nfree   int   // in free
	holders int32 // of the lock, and those who wait for it
	closed  bool
}

// stackShape is a Stack as it is allocated: see tcp.TCB.
type stackShape struct {
	_ [0]func() // not comparable
	_ [6]unsafe.Pointer
	_ any
	_ []byte
	_ [5]unsafe.Pointer
	_ [unsafe.Sizeof(Stack{}) - unsafe.Offsetof(Stack{}.armed)]byte
}

var (
	_ [unsafe.Sizeof(Stack{}) - unsafe.Sizeof(stackShape{})]struct{}
	_ [unsafe.Sizeof(stackShape{}) - unsafe.Sizeof(Stack{})]struct{}
)

// New returns a Stack with a loopback interface that is down.
func New(cfg stack.Config, clock Clock) *Stack {
	p := unsafe.Pointer(new(stackShape)) // in closures: a *Stack would have its methods' names there
	s := (*Stack)(p)
	s.turn = make(chan struct{}, 1)
	s.host, s.clock, s.armed = unsafe.Pointer(stack.New(cfg)), clock, pkt.Never
	s.set = clock.Timer(func() { (*Stack)(p).alarm() })
	return s
}

// eng returns the stack itself.
func (s *Stack) eng() *stack.Stack { return (*stack.Stack)(s.host) }

// Attach adds an interface on dev, which the stack then owns, and returns its
// index. The interface is down: see Ioctl. Errors are those of
// stack.Stack.AddInterface.
func (s *Stack) Attach(name string, dev netif.Device) (ifindex int, err error) {
	s.lock()
	if s.closed {
		err = ErrClosed
	} else if ifindex, err = s.eng().AddInterface(name, dev); err == nil {
		d := (*port)(unsafe.Pointer(new(portShape)))
		d.dev, d.ifindex, d.bufs = dev, ifindex, s.buffers(firstBatch)
		d.next, s.ports = s.ports, d
		if feature.Leader {
			s.canRest(d)
		}
		go serve(unsafe.Pointer(s), unsafe.Pointer(d), nil)
	}
	s.unlock()
	return ifindex, err
}

// lock takes the stack's lock: holders counts those who have it and those who wait for it.
// They get it in the order in which they came, by way of turn: a benaphore, as Be's Benoit
// Schillings called it. Where nobody waits it is one atomic addition, as sync.Mutex is; the
// whole of that, and what package sync initialises, would be 5.7 KB more.
//
//go:noinline
func (s *Stack) lock() {
	if atomic.AddInt32(&s.holders, 1) > 1 {
		<-s.turn
	}
}

//go:noinline
func (s *Stack) unlock() {
	w := s.woken
	s.woken = nil
	called := s.called
	s.called = nil
	if atomic.AddInt32(&s.holders, -1) > 0 {
		s.turn <- struct{}{} // never blocks: the one before it was taken by who unlocks now
	}
	for w != nil {
		next := w.also
		w.also = nil         // it may be kept for long
		w.wake <- struct{}{} // never blocks: it sleeps, so its channel is empty
		w = next
	}
	if feature.Leader && called != nil {
		called.inter.Interrupt()
	}
}

// run sends what is due and wakes those who wait for what has changed. It is to be
// called with the lock held, after anything that changes the stack.
//
//go:noinline
func (s *Stack) run() { s.runAt(s.clock.Now()) }

// runAt is run for who has just asked the clock, which takes as long as a small
// segment.
func (s *Stack) runAt(now Time) {
	next := s.eng().Poll(now)
	for {
		r, e := s.eng().Ready()
		if r == nil {
			break
		}
		k := (*sock)(r.Data)
		if e&(tcp.Readable|tcp.Failed|stack.Acceptable) != 0 {
			s.wake(k.r.head)
		}
		if e&(tcp.Writable|tcp.Opened|tcp.Failed) != 0 {
			s.wake(k.w.head)
		}
	}
	s.arm(next)
}

// arm makes the alarm go off at at, or earlier: a deadline that moves out, as with
// every ACK, leaves the alarm alone. It goes off early then, and is armed anew.
func (s *Stack) arm(at Time) {
	if at < s.armed {
		s.armed = at
		s.set(at)
	}
}

func (s *Stack) alarm() {
	s.lock()
	s.armed = pkt.Never
	if !s.closed {
		now := s.clock.Now()
		for s.sleepers.next() <= now {
			s.wake(s.sleepers[0])
		}
		s.runAt(now)
		s.arm(s.sleepers.next())
	}
	s.unlock()
}

// Ioctl configures the stack: see stack.Stack.Ioctl.
func (s *Stack) Ioctl(req uint32, arg any) error {
	return configure((*Stack).ioctl, s, stack.HandlerOf(req), req, arg)
}

// configure makes Ioctl small enough to be inlined, which HandlerOf calls for: a
// call of a parameter counts little.
func configure(f func(*Stack, stack.Handler, uint32, any) error, s *Stack, h stack.Handler, req uint32, arg any) error {
	return f(s, h, req, arg)
}

func (s *Stack) ioctl(h stack.Handler, req uint32, arg any) error {
	s.lock()
	e := h(s.eng(), req, arg)
	s.run()
	s.unlock()
	return e.Err()
}

// Do calls f with the engine, which no one else uses meanwhile. f must not block,
// nor call methods of this package.
func (s *Stack) Do(f func(*stack.Stack)) {
	s.lock()
	defer s.unlock() // f may panic, or end its goroutine as t.Fatal does
	f(s.eng())
	s.run()
}

// Now returns the time by the stack's clock.
func (s *Stack) Now() Time { return s.clock.Now() }

// Close closes the devices and fails all calls of sockets, those that block
// included, with ErrClosed. Peers are not told: close connections before. Ioctl and Do
// still reach what is left of the engine.
func (s *Stack) Close() error {
	s.lock()
	d := s.ports
	s.ports = nil
	closed := s.closed
	s.closed = true
	for len(s.sleepers) > 0 {
		s.wake(s.sleepers[0])
	}
	s.unlock()
	if closed {
		return ErrClosed
	}
	var err error
	for ; d != nil; d = d.next {
		if e := d.dev.Close(); err == nil {
			err = e
		}
	}
	return err
}

// Listen waits for connections to local, whose address may be 0.0.0.0 for any, and
// whose port may be 0 for a free one (feature listen, else EOPNOTSUPP). backlog is
// how many may wait for Accept, and one more. Errors are those of stack.Stack.Listen.
func (s *Stack) Listen(local ipv4.Endpoint, backlog int) (*Listener, error) {
	if !feature.Listen {
		return nil, errno.EOPNOTSUPP
	}
	return s.newListener(local, backlog)
}

// OpenPacketSocket opens a packet socket for frames of protocol, an EtherType or stack.ETH_P_ALL, on
// interface ifindex, 0 being all; a cooked one is without the Ethernet header (feature pktsock, else
// EAFNOSUPPORT). Errors are those of stack.Stack.OpenPacket.
func (s *Stack) OpenPacketSocket(protocol uint16, ifindex int, cooked bool) (*PacketSocket, error) {
	if !feature.PktSock {
		return nil, errno.EAFNOSUPPORT
	}
	return s.newPacketSocket(protocol, ifindex, cooked)
}

// OpenRaw opens a raw socket for protocol proto (feature rawsock, else
// EPROTONOSUPPORT). Errors are those of stack.Stack.OpenRaw.
func (s *Stack) OpenRaw(proto uint8) (*Raw, error) {
	if !feature.RawSock {
		return nil, errno.EPROTONOSUPPORT
	}
	return s.newRaw(proto)
}
