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
// A pump rests after a batch that woke the only one who slept, a reader. The device is served by
// nobody then, until somebody sleeps: he leads, or wakes the pump if he can't. If nobody sleeps, the
// pump is back after absence.

const (
	// absence is how long nobody serves a device at most.
	absence = pkt.Millisecond

	// short is an absence that may follow upon another. Longer ones are a debt, of 9 times as
	// long, or 99 times if only the pump's return ends them, which is paid off as time goes by. Beyond
	// credit, 5 ms of them, the pump stays: so a device has nobody for a tenth of the time, or a hundredth.
	short  = absence / 4
	credit = 9 * 5 * absence

	// trials is how often in a row a pump wakes the only one who sleeps before it rests. With many
	// callers that happens too, by chance, and resting would only be one more to wake. It is also how
	// often in a row a leader is called back, by another device say, before the pump is.
	trials = 3
)

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

// canRest finds out whether somebody else may serve d. Where time stands still until all is
// done, nobody is to be waited for.
func (s *Stack) canRest(d *port) {
	if _, ok := s.clock.(interface{ Manual() }); ok {
		return
	}
	if i, ok := d.dev.(netif.Interrupter); ok && i.Interrupt() {
		d.inter = i
		d.pump = newWaiter()
	}
}

// rest makes the pump of d sleep, if it has woken the only one who slept, and several times in a
// row: he will be back.
func (s *Stack) rest(d *port) {
	w := s.woken
	if d.inter == nil || w == nil {
		return
	}
	if w.also != nil || !w.reads || len(s.sleepers) > 0 || d.full || d.debt > d.at+credit {
		d.alone = 0
		return
	}
	if d.alone < trials {
		d.alone++
		return
	}
	s.rested = d
	s.sleep(d.pump, d.at+absence)
	if d.pump.at != pkt.Never { // nobody has called it
		d.debt = d.pump.at + credit + 99*absence
	}
}

// lead makes w, which sleeps, serve a device whose pump rests, and returns whether w was woken. If w
// can't, it calls the pump.
func (s *Stack) lead(w *waiter) bool {
	d := s.rested
	if d == nil || d.pump.pos == 0 || w == d.pump { // that it sleeps says that nobody leads
		return false
	}
	s.sleepers.remove(d.pump)
	now := s.clock.Now()
	if away := now - d.at; away > short {
		d.debt = max(d.debt, now) + 9*away
	}
	more := false
	if w.reads && len(s.sleepers) == 1 && d.debt <= now+credit {
		s.leader = w
		more = serve(unsafe.Pointer(s), unsafe.Pointer(d), unsafe.Pointer(w))
		s.leader = nil
	}
	if !more || d.full || len(s.sleepers) > 0 || d.calls >= trials {
		d.alone, d.calls = 0, 0
		d.pump.at = pkt.Never
		s.woken, d.pump.also = d.pump, s.woken
	} else {
		d.pump.at = d.at + absence
		s.sleepers.push(d.pump)
		s.arm(d.pump.at)
	}
	return w.pos == 0
}
