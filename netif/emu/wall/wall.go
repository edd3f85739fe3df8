// Package wall is the real clock for emulated links. It is apart from emu so
// that programs that need no delays don't link package time.
package wall

import (
	"time"

	"github.com/bonsainet/bonsai/netif"
)

// Clock is an emu.Clock that runs: its time is the time since New. Timers are
// as good as Go's, which is to say about 1 ms late on an idle machine.
type Clock struct{ start time.Time }

// New returns a clock that is at 0.
func New() *Clock { return &Clock{time.Now()} }

// Now returns the nanoseconds since New, by the monotonic clock.
func (c *Clock) Now() netif.Time { return netif.Time(time.Since(c.start)) }

// Timer implements emu.Clock: f runs in a goroutine of its own.
func (c *Clock) Timer(f func()) func(at netif.Time) {
	var t *time.Timer
	return func(at netif.Time) {
		d := time.Duration(at - c.Now())
		if t == nil {
			t = time.AfterFunc(d, f)
			return
		}
		t.Reset(d)
	}
}
