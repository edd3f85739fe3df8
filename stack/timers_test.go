package stack

import (
	"math/rand/v2"
	"testing"

	"github.com/bonsainet/bonsai/internal/pkt"
)

// TestTimerHeapAgainstAList: set, remove and fire, in any order, and the heap still
// knows who is first, and grows with the connections alone.
func TestTimerHeapAgainstAList(t *testing.T) {
	if !hashed {
		t.Skip("minimal asks each connection")
	}
	r := rand.New(rand.NewPCG(1, 2))
	s := new(Stack)
	h := &s.timers
	conns := make([]Conn, 200)
	at := make([]pkt.Time, len(conns)) // when the timer fires; Never: it has none
	for i := range at {
		at[i] = pkt.Never
	}
	for step := range 50_000 {
		i := r.IntN(len(conns))
		c := &conns[i]
		switch d := s.now + pkt.Time(1+r.IntN(1000)); r.IntN(6) {
		case 0:
			h.remove(c)
			at[i] = pkt.Never
		case 1: // no deadline any more: the entry stays
			h.set(c, pkt.Never)
		default:
			h.set(c, d)
			at[i] = min(at[i], d) // lazy: later is not earlier
		}
		first, n := pkt.Never, 0
		for i, a := range at {
			first = min(first, a)
			if a != pkt.Never {
				n++
			}
			if id := conns[i].timer; (id != 0) != (a != pkt.Never) || id != 0 && (h.of[id-1].entry != a || h.of[id-1].c != tcbOf(&conns[i])) {
				t.Fatalf("step %d: timer %d is not what it should be", step, i)
			}
		}
		if h.next() != first {
			t.Fatalf("step %d: first at %d, want %d", step, h.next(), first)
		}
		if len(h.v) > 2*n+4 || len(h.of) > len(conns) {
			t.Fatalf("step %d: %d entries and %d timers for %d connections", step, len(h.v), len(h.of), n)
		}
		for i := 1; i < len(h.v); i++ {
			if h.v[(i-1)/4].at > h.v[i].at {
				t.Fatalf("step %d: %d is before its parent", step, i)
			}
		}
		if r.IntN(50) != 0 || first == pkt.Never {
			continue
		}
		// Time goes on: what is due looks at the connection, which here has no deadline; what was
		// put off takes its new place.
		s.now = first + 100
		for i, a := range at {
			if a > s.now {
				continue
			}
			if at[i] = h.of[conns[i].timer-1].at; at[i] <= s.now {
				at[i] = pkt.Never
			}
		}
		s.runTimers()
	}
}

// A keepalive timer rests for two hours while others come and go before it: the heap holds its
// entry once.
func TestTimerHeapHoldsWhatRestsOnce(t *testing.T) {
	if !hashed {
		t.Skip("minimal asks each connection")
	}
	s := new(Stack)
	h := &s.timers
	conns := make([]Conn, 100)
	far := func(i int) pkt.Time { return 7200*pkt.Second + pkt.Time(i) }
	for i := range conns {
		h.set(&conns[i], far(i))
	}
	for range 2000 {
		for i := range conns {
			h.set(&conns[i], s.now+40) // an ACK is due, and
			h.set(&conns[i], far(i))   // has been sent with data
		}
		s.now += 50
		s.runTimers()
		if n := len(h.v); n > 2*len(conns)+4 {
			t.Fatalf("%d entries for %d connections", n, len(conns))
		}
	}
	for i := range conns {
		if x := h.of[conns[i].timer-1]; x.at != far(i) || x.entry > far(i) {
			t.Fatalf("timer %d is at %d, and fires at %d", i, x.at, x.entry)
		}
	}
	if h.next() > far(0) {
		t.Errorf("the first is at %d", h.next())
	}
}
