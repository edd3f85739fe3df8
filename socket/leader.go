package socket

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/netif"
)

// Feature leader: who waits alone serves the device in place of its pump, which rests (Schmidt et
// al., "Leader/Followers", 2000). So the goroutine that a frame wakes is the one that wants it;
// woken by a pump it would often begin on another processor, which costs more than all of TCP.
//
// A pump rests after a batch that woke the only one who slept. The device is served by nobody then,
// until somebody sleeps, and by the pump again after absence at the latest.

// absence is how long nobody may serve a device, and 1 % of the time at most.
const absence = pkt.Millisecond

// trials is how often in a row a pump wakes the only one who sleeps before it rests. With many
// callers that happens too, by chance, and resting would only be one more to wake.
const trials = 3

// leading is a Stack's part.
type leading struct {
	rested *port   // the last one whose pump rested
	leader *waiter // who serves it
	led    *port   // while leader waits for its frames
	called *port   // led, to be interrupted by unlock, since leader was woken
}

// resting is a port's part.
type resting struct {
	inter netif.Interrupter // nil if its pump never rests
	pump  *waiter           // asleep: the pump rests, and nobody leads
}

// canRest finds out whether somebody else may serve d.
func canRest(d *port) {
	if i, ok := d.dev.(netif.Interrupter); ok && i.Interrupt() {
		d.inter = i
		d.pump = newWaiter()
	}
}

// rest makes the pump of d sleep, if it has woken the only one who slept, and several times in a
// row: he will be back. If he is not, the pump does not try that again for a while.
func (s *Stack) rest(d *port) {
	w := s.woken
	if d.inter == nil || w == nil {
		return
	}
	if w.also != nil || !w.reads || len(s.sleepers) > 0 || d.full || d.at < d.busy {
		d.alone = 0
		return
	}
	if d.alone < trials {
		d.alone++
		return
	}
	s.rested = d
	s.sleep(d.pump, d.at+absence)
	if d.pump.at != pkt.Never { // it was not who led that woke it
		d.busy = d.pump.at + 99*absence
	}
}

// lead makes w, which sleeps, serve a device whose pump rests, and returns whether w was woken.
func (s *Stack) lead(w *waiter) bool {
	d := s.rested
	if d == nil || !w.reads || d.pump.pos == 0 || s.leader != nil || len(s.sleepers) != 2 {
		return false
	}
	s.sleepers.remove(d.pump)
	s.leader = w
	more := serve(unsafe.Pointer(s), unsafe.Pointer(d), unsafe.Pointer(w))
	s.leader = nil
	if !more || d.full || len(s.sleepers) > 0 {
		d.alone = 0
		d.pump.at = pkt.Never
		s.woken, d.pump.also = d.pump, s.woken
	} else {
		d.pump.at = d.at + absence
		s.sleepers.push(d.pump)
		s.arm(d.pump.at)
	}
	return w.pos == 0
}
