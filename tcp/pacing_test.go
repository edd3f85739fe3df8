package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// pacedDialogue has a round trip of 100 ms and a window of n segments of 1000 octets, in
// congestion avoidance.
func pacedDialogue(t *testing.T, n int) *dialogue {
	t.Helper()
	if !feature.Pacing {
		t.Skip("needs feature pacing")
	}
	d := newDialogue(t, withSndBuf(500_000), withMemory(1<<20))
	d.env.NoPacing = false
	d.connect(mss(1000))
	d.slow(uint32(n))
	d.c.snd.wnd = 1 << 20
	return d
}

// bursts lets time pass from deadline to deadline until n segments are sent, and returns how many
// went out at each time.
func (d *dialogue) bursts(n int) (times []pkt.Time, counts []int) {
	d.Helper()
	begin := d.now
	for n > 0 {
		if k := len(d.ignore()); k > 0 {
			times = append(times, d.now-begin)
			counts = append(counts, k)
			n -= k
			continue
		}
		at := d.c.Deadline()
		if at == pkt.Never || at <= d.now {
			d.failf("deadline %v with %d segments to send", at, n)
		}
		d.advance(at - d.now)
	}
	return times, counts
}

// 1.2 times the window in a round trip, four segments at once and no more than one beyond.
func TestPacingSpreadsTheWindow(t *testing.T) {
	d := pacedDialogue(t, 40)
	d.batch(func() { d.write(40_000) })
	times, counts := d.bursts(40)
	for i, n := range counts {
		if n > paceSegments+1 || n < 2 && i < len(counts)-1 {
			d.failf("%d segments at once, at %d us", n, times[i]/pkt.Microsecond)
		}
	}
	// All but the last burst's time: 36 of 40 segments take 75 ms.
	end := times[len(times)-1]
	if end < 70*ms || end > 85*ms {
		d.failf("all are sent after %d us, want about 75 ms", end/pkt.Microsecond)
	}
	d.recv(ACK)
}

// Twice the window in a round trip while it is less than half of ssthresh.
func TestPacingIsFasterInSlowStart(t *testing.T) {
	d := pacedDialogue(t, 40)
	d.c.cc.ssthresh = infinite
	d.batch(func() { d.write(40_000) })
	times, _ := d.bursts(40)
	if end := times[len(times)-1]; end < 40*ms || end > 50*ms {
		d.failf("all are sent after %d us, want about 45 ms", end/pkt.Microsecond)
	}
	d.recv(ACK)
}

func TestInitialWindowIsNotPaced(t *testing.T) {
	d := pacedDialogue(t, 10)
	d.batch(func() { d.write(10_000) })
	if n := len(d.ignore()); n != 10 {
		d.failf("%d segments at once", n)
	}
	d.recv(ACK)
}

// On a local network the timer is coarser than the round trip.
func TestShortRoundTripsAreNotPaced(t *testing.T) {
	d := pacedDialogue(t, 50)
	d.c.rtt.srtt = 1000
	d.batch(func() { d.write(50_000) })
	if n := len(d.ignore()); n != 50 {
		d.failf("%d segments at once", n)
	}
	d.advance(ms)
	d.recv(ACK)
}

// An ACK lets out what it acknowledges, if that is not sooner than the rate allows: no timer
// is needed while ACKs come.
func TestPacingFollowsTheAckClock(t *testing.T) {
	d := pacedDialogue(t, 40)
	d.write(120_000)
	sent := uint32(0)
	for range 40 {
		sent += uint32(len(d.ignore()))
		d.advance(2500 * pkt.Microsecond)
	}
	sent += uint32(len(d.ignore()))
	for range 50 {
		d.advance(2500 * pkt.Microsecond)
		d.ignore()
		d.recv(ACK, ack(1+1000*(d.nxt/1000)-39_000))
		n := len(d.ignore())
		sent += uint32(n)
		if n > paceSegments+1 {
			d.failf("%d segments at once", n)
		}
		d.c.snd.wnd = 1 << 20
	}
	if sent < 80 {
		d.failf("%d segments in a second round trip", sent)
	}
	d.abort()
	d.ignore()
}

// What is held back must not keep the window from growing, nor grow one that is not used.
func TestPacedWindowGrows(t *testing.T) {
	d := pacedDialogue(t, 40)
	d.batch(func() { d.write(100_000) })
	d.ignore()
	if d.c.flags&flagCwndLimited != 0 {
		d.failf("the first burst is limited by the window")
	}
	for d.c.flight() < 20_000 {
		d.advance(d.c.Deadline() - d.now)
		d.ignore()
	}
	if d.c.flags&flagCwndLimited == 0 {
		d.failf("half of the window is in flight, the rest held for the pacer alone")
	}
	d.abort()
	d.ignore()
}

// The probe of a zero window, resets and ACKs don't wait.
func TestAcksAreNotPaced(t *testing.T) {
	d := pacedDialogue(t, 40)
	d.batch(func() { d.write(40_000) })
	d.ignore()
	d.recv(ACK, ack(1), octets(1000))
	found := false
	for _, x := range d.ignore() {
		found = found || x.Ack-d.irs == 1001
	}
	if !found {
		d.failf("the ACK waits")
	}
	d.abort()
	if x := d.ignore(); len(x) != 1 || x[0].Flags&RST == 0 {
		d.failf("the reset waits")
	}
}
