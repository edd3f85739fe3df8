package gvisortarget

import (
	"runtime"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// clock is gVisor's clock, which stands still unless it is told to go on.
type clock struct {
	mu     sync.Mutex
	now    time.Duration
	seq    int
	timers []*timer // those that run; there are few
}

type timer struct {
	c   *clock
	f   func()
	at  time.Duration
	seq int // of those due at once, the first set comes first
	on  bool
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// clockStart is what the clock shows when a script begins: gVisor takes a time of
// zero for none.
const clockStart = 1000 * time.Second

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return epoch.Add(c.now)
}

func (c *clock) NowMonotonic() tcpip.MonotonicTime {
	c.mu.Lock()
	defer c.mu.Unlock()
	return tcpip.MonotonicTime{}.Add(c.now)
}

func (c *clock) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	t := &timer{c: c, f: f}
	t.Reset(d)
	return t
}

func (t *timer) Reset(d time.Duration) {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	t.c.remove(t)
	t.c.seq++
	t.at, t.seq, t.on = t.c.now+max(d, 0), t.c.seq, true
	t.c.timers = append(t.c.timers, t)
}

func (t *timer) Stop() bool {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	return t.c.remove(t)
}

func (c *clock) remove(t *timer) bool {
	was := t.on
	t.on = false
	for i, x := range c.timers {
		if x == t {
			c.timers = append(c.timers[:i], c.timers[i+1:]...)
			break
		}
	}
	return was
}

// step goes on to the next timer, but not beyond until, and lets it run. It reports
// whether there was one.
func (c *clock) step(until time.Duration) bool {
	c.mu.Lock()
	var next *timer
	for _, t := range c.timers {
		if next == nil || t.at < next.at || t.at == next.at && t.seq < next.seq {
			next = t
		}
	}
	if next == nil || next.at > until {
		c.now = max(c.now, until)
		c.mu.Unlock()
		return false
	}
	c.now = max(c.now, next.at)
	c.remove(next)
	c.mu.Unlock()
	go next.f()
	settle()
	return true
}

// yields is how often settle lets all others run. What one packet sets off hands
// over from goroutine to goroutine fewer than ten times.
const yields = 64

// settle returns when every goroutine waits. There must be one processor only: then
// those that can run do so while this one does not.
func settle() {
	for range yields {
		runtime.Gosched()
	}
}
