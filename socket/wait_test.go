package socket

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/stack"
)

// still is a clock that stands still.
type still struct{}

func (still) Now() Time                  { return 0 }
func (still) Timer(func()) func(at Time) { return func(Time) {} }

// Those who are woken are signalled by unlock, once, and are not kept by each other.
func TestUnlockSignalsTheWoken(t *testing.T) {
	s := New(stack.Config{}, still{})
	var w [3]*waiter
	s.lock()
	for i := range w {
		w[i] = &waiter{wake: make(chan struct{}, 1), at: pkt.Never}
		s.sleepers.push(w[i])
	}
	for _, x := range w {
		s.wake(x)
		s.wake(x) // already is
		if len(x.wake) != 0 {
			t.Error("signalled while the stack is locked")
		}
	}
	s.unlock()
	for i, x := range w {
		if len(x.wake) != 1 || x.pos != 0 || x.also != nil {
			t.Errorf("waiter %d: %d signals, place %d, keeps %v", i, len(x.wake), x.pos, x.also)
		}
	}
	if s.woken != nil || len(s.sleepers) != 0 {
		t.Error("somebody is left")
	}
}
