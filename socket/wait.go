package socket

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/stack"
)

// sock is what the sockets have in common: two sides, for those who read (or
// accept) and for those who write (or connect).
type sock struct {
	s    *Stack
	r, w side
}

// sockShape is a sock as the garbage collector sees it: see tcp.TCB.
type sockShape = struct {
	_ [0]func()         // not comparable
	_ [2]unsafe.Pointer // s, r.head
	_ Time
	_ unsafe.Pointer // w.head
	_ Time
}

// Shapes of what is allocated.
type (
	connShape struct {
		_ [0]func() // not comparable
		_ sockShape
		_ stack.TCB
	}
	packetShape struct {
		_ [0]func() // not comparable
		_ sockShape
		_ stack.UDPMem
	}
	rawShape struct {
		_ [0]func() // not comparable
		_ sockShape
		_ stack.RawMem
	}
	packetSocketShape struct {
		_ [0]func() // not comparable
		_ sockShape
		_ stack.PacketMem
	}
	listenerShape struct {
		_ [0]func() // not comparable
		_ sockShape
		_ stack.ListenerMem
	}

	_ [unsafe.Sizeof(Conn{}) - unsafe.Sizeof(connShape{})]struct{}
	_ [unsafe.Sizeof(connShape{}) - unsafe.Sizeof(Conn{})]struct{}
	_ [unsafe.Sizeof(Packet{}) - unsafe.Sizeof(packetShape{})]struct{}
	_ [unsafe.Sizeof(packetShape{}) - unsafe.Sizeof(Packet{})]struct{}
	_ [unsafe.Sizeof(Raw{}) - unsafe.Sizeof(rawShape{})]struct{}
	_ [unsafe.Sizeof(rawShape{}) - unsafe.Sizeof(Raw{})]struct{}
	_ [unsafe.Sizeof(PacketSocket{}) - unsafe.Sizeof(packetSocketShape{})]struct{}
	_ [unsafe.Sizeof(packetSocketShape{}) - unsafe.Sizeof(PacketSocket{})]struct{}
	_ [unsafe.Sizeof(Listener{}) - unsafe.Sizeof(listenerShape{})]struct{}
	_ [unsafe.Sizeof(listenerShape{}) - unsafe.Sizeof(Listener{})]struct{}
)

// side is one direction of a socket: the callers in the order in which they are
// served, and when they give up. It takes 16 bytes when nobody waits.
type side struct {
	head     *waiter
	deadline Time // 0: none; hasClosed: the socket is closed, which saves a bool
}

const hasClosed = -pkt.Never

// waiter is a caller that waits, or did and has not finished yet.
type waiter struct {
	_ [0]func() // not comparable

	next  *waiter // behind it on its side, or in Stack.free
	also  *waiter // in Stack.woken
	wake  chan struct{}
	at    Time
	pos   int32 // in Stack.sleepers, from 1; 0: awake
	reads bool  // feature leader: may serve a device
}

// begin begins a call for side d: it locks the stack and waits for the caller's
// turn. It returns the caller's waiter, if it got one, and an error if the call is
// to fail. end follows in any case.
func (k *sock) begin(d *side) (w *waiter, e errno.Errno) {
	k.s.lock()
	if e = k.check(d); e == 0 && d.head != nil {
		w, e = k.wait(d, nil, pkt.Never)
	}
	return w, e
}

// check returns an error if calls for side d are to fail.
func (k *sock) check(d *side) errno.Errno {
	switch {
	case k.isClosed():
		return ErrClosed
	case d.deadline != 0 && d.deadline <= k.s.clock.Now():
		return ErrDeadline
	}
	return 0
}

// wait waits for something to change for side d, till limit at the latest, and for
// the caller's turn. w is the caller's waiter, nil at first.
func (k *sock) wait(d *side, w *waiter, limit Time) (*waiter, errno.Errno) {
	if w == nil {
		w = k.s.join(d)
		w.reads = d == &k.r
	}
	if d.deadline != 0 {
		limit = min(limit, d.deadline)
	}
	for {
		k.s.sleep(w, limit)
		if e := k.check(d); e != 0 || d.head == w {
			return w, e
		}
	}
}

// join puts the caller at the end of d's line.
func (s *Stack) join(d *side) *waiter {
	w := s.free
	if w != nil {
		s.free, w.next = w.next, nil
		s.nfree--
	} else {
		w = newWaiter()
	}
	w.reads = false
	p := &d.head
	for *p != nil {
		p = &(*p).next
	}
	*p = w
	return w
}

//go:noinline
func newWaiter() *waiter { return &waiter{wake: make(chan struct{}, 1)} }

// sleep unlocks the stack until w is woken, by the alarm if by nobody else. With feature
// leader it may serve a device meanwhile.
func (s *Stack) sleep(w *waiter, until Time) {
	w.at = until
	s.sleepers.push(w)
	s.arm(until)
	if feature.Leader && s.lead(w) {
		return
	}
	s.unlock()
	<-w.wake
	s.lock()
}

// end ends a call: the next in line is served, and the stack is unlocked.
func (k *sock) end(d *side, w *waiter) {
	if w != nil {
		k.leave(d, w)
	}
	k.s.unlock()
}

func (k *sock) leave(d *side, w *waiter) {
	p := &d.head
	for *p != w {
		p = &(*p).next
	}
	*p, w.next = w.next, nil
	s := k.s
	s.wake(d.head)
	if s.nfree < maxFree {
		s.free, w.next = w, s.free
		s.nfree++
	}
}

// maxFree is how many waiters a stack keeps for later, of some 150 bytes each.
const maxFree = 64 << (3 * min(feature.Profile, 1)) // 64 in minimal, else 512

// wake makes unlock wake w, if it is there and asleep. Before, it would find the stack locked,
// and had to wait again.
//
//go:noinline
func (s *Stack) wake(w *waiter) {
	if w != nil && w.pos != 0 {
		s.sleepers.remove(w)
		if feature.Leader && w == s.leader {
			if s.called = s.led; s.led != nil {
				s.led.calls++
			}
		} else {
			s.woken, w.also = w, s.woken
		}
	}
}

// wakeAll makes all who wait on side d look again.
func (k *sock) wakeAll(d *side) {
	for w := d.head; w != nil; w = w.next {
		k.s.wake(w)
	}
}

func (k *sock) isClosed() bool { return k.r.deadline == hasClosed || k.s.closed }

// lock begins a call that never waits; unlock follows in any case.
func (k *sock) lock() errno.Errno {
	k.s.lock()
	if k.isClosed() {
		return ErrClosed
	}
	return 0
}

// close locks the stack and makes all calls fail.
func (k *sock) close() errno.Errno {
	e := k.lock()
	k.shut()
	return e
}

func (k *sock) shut() {
	k.r.deadline = hasClosed
	k.wakeAll(&k.r)
	k.wakeAll(&k.w)
}

// setDeadlines sets those of d1 and d2, which may be the same.
func (k *sock) setDeadlines(d1, d2 *side, t Time) error {
	e := k.lock()
	if e == 0 {
		d1.deadline = t
		k.wakeAll(d1)
		d2.deadline = t
		k.wakeAll(d2)
	}
	k.s.unlock()
	return e.Err()
}

// SetDeadline makes calls fail with ErrDeadline from time t on, those that block
// already included; 0 is never.
func (k *sock) SetDeadline(t Time) error { return k.setDeadlines(&k.r, &k.w, t) }

// SetReadDeadline is SetDeadline for calls that receive or accept.
func (k *sock) SetReadDeadline(t Time) error { return k.setDeadlines(&k.r, &k.r, t) }

// SetWriteDeadline is SetDeadline for calls that send or connect.
func (k *sock) SetWriteDeadline(t Time) error { return k.setDeadlines(&k.w, &k.w, t) }

// Stack returns the stack that the socket belongs to.
func (k *sock) Stack() *Stack { return k.s }

// sleepers are the waiters that sleep: a heap by the time at which they are to be
// woken at the latest, pkt.Never for most.
type sleepers []*waiter

// next returns when the first one is to be woken.
func (h sleepers) next() Time {
	if len(h) == 0 {
		return pkt.Never
	}
	return h[0].at
}

//go:noinline
func (h *sleepers) push(w *waiter) {
	*h = append(*h, w)
	h.up(len(*h)-1, w)
}

//go:noinline
func (h *sleepers) remove(w *waiter) {
	v := *h
	i, n := int(w.pos)-1, len(v)-1
	w.pos = 0
	last := v[n]
	v[n] = nil
	*h = v[:n]
	if i < n {
		h.up(h.down(i, last), last)
	}
}

// up puts w at i or nearer to the root.
func (h sleepers) up(i int, w *waiter) {
	for i > 0 {
		p := (i - 1) / 2
		if h[p].at <= w.at {
			break
		}
		h[i] = h[p]
		h[i].pos = int32(i + 1)
		i = p
	}
	h[i] = w
	w.pos = int32(i + 1)
}

// down makes room for w at i or nearer to the leaves, and returns where.
func (h sleepers) down(i int, w *waiter) int {
	for {
		k := 2*i + 1
		if k >= len(h) {
			return i
		}
		if k+1 < len(h) && h[k+1].at < h[k].at {
			k++
		}
		if h[k].at >= w.at {
			return i
		}
		h[i] = h[k]
		h[i].pos = int32(i + 1)
		i = k
	}
}
