package stack

import (
	"math/rand/v2"
	"testing"

	"github.com/bonsainet/bonsai/internal/pkt"
)

// TestTimerHeapAgainstAList: set, remove and fire, in any order, and the heap still
// knows who is first.
func TestTimerHeapAgainstAList(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h timerHeap
	conns := make([]Conn, 200)
	at := make([]pkt.Time, len(conns)) // 0: none
	for step := range 50_000 {
		i := r.IntN(len(conns))
		switch d := pkt.Time(1 + r.IntN(1000)); {
		case r.IntN(3) == 0:
			h.remove(&conns[i])
			at[i] = 0
		case at[i] == 0 || d < at[i]: // lazy: later is not earlier
			at[i] = d
			fallthrough
		default:
			h.set(&conns[i], d)
		}
		first, n := pkt.Never, 0
		for i, a := range at {
			if a != 0 {
				n++
				first = min(first, a)
			}
			if (conns[i].timer != 0) != (a != 0) || a != 0 && (h.v[conns[i].timer-1].at != a || h.v[conns[i].timer-1].c != tcbOf(&conns[i])) {
				t.Fatalf("step %d: timer %d is not where it should be", step, i)
			}
		}
		if h.next() != first || len(h.v) != n {
			t.Fatalf("step %d: first at %d of %d, want %d of %d", step, h.next(), len(h.v), first, n)
		}
		for i := 1; i < len(h.v); i++ {
			if h.v[(i-1)/4].at > h.v[i].at {
				t.Fatalf("step %d: %d is before its parent", step, i)
			}
		}
	}
}
