package emu

import (
	"sync"
	"sync/atomic"

	"github.com/bonsainet/bonsai/netif"
)

// A Clock tells links the time. There are two: Virtual, and wall.Clock, which
// lives in a package of its own because package time is large.
type Clock interface {
	// Now never runs backwards. It is safe for concurrent use.
	Now() netif.Time

	// Timer returns a function that sets a timer: f is called once at that time
	// or soon after, without locks held by the clock. Setting it again replaces
	// the time.
	Timer(f func()) (set func(at netif.Time))
}

// Virtual is the time of a simulation: it stands still until Set. The zero
// Virtual is ready to use, and is at 0. It is safe for concurrent use.
type Virtual struct {
	now    atomic.Int64
	mu     sync.Mutex
	timers []*virtualTimer
}

type virtualTimer struct {
	at netif.Time
	f  func()
}

// Manual says that it goes only when it is set: who simulates sees what is under way before he does,
// and package socket serves devices at once.
func (v *Virtual) Manual() {}

func (v *Virtual) Now() netif.Time { return netif.Time(v.now.Load()) }

// Set moves the time to t, and fires on the way the timers that are due, in
// order. It does nothing if t has passed.
func (v *Virtual) Set(t netif.Time) {
	v.mu.Lock()
	for {
		var due *virtualTimer
		for _, vt := range v.timers {
			if vt.at <= t && (due == nil || vt.at < due.at) {
				due = vt
			}
		}
		if due == nil {
			break
		}
		v.forward(due.at)
		due.at = never
		v.mu.Unlock()
		due.f()
		v.mu.Lock()
	}
	v.forward(t)
	v.mu.Unlock()
}

func (v *Virtual) forward(t netif.Time) {
	if t > v.Now() {
		v.now.Store(int64(t))
	}
}

// Timer returns a function that sets a timer, which Set fires. A link asks for
// one only when somebody blocks in Recv.
func (v *Virtual) Timer(f func()) func(at netif.Time) {
	vt := &virtualTimer{at: never, f: f}
	v.mu.Lock()
	v.timers = append(v.timers, vt)
	v.mu.Unlock()
	return func(at netif.Time) {
		v.mu.Lock()
		vt.at = at
		v.mu.Unlock()
	}
}
