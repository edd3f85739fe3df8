package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
)

// withRACK is withSACK in builds that have RACK; n segments are in flight, sent ms
// milliseconds apart.
func withRACK(t *testing.T, n int) *dialogue {
	t.Helper()
	if !feature.On("rack") {
		t.Skip("needs feature rack")
	}
	d := withSACK(t)
	d.slow(40)
	d.spaced(n)
	return d
}

// spaced sends n full segments, a millisecond apart.
func (d *dialogue) spaced(n int) {
	d.Helper()
	for range n {
		d.write(1460)
		d.want("a segment", PSH|ACK, octets(1460))
		d.advance(ms)
	}
}

// Three segments SACKed and no reordering seen: the window is zero, as with three
// duplicate ACKs (RFC 8985 section 6.2, step 4).
func TestC94ThreeSegmentsAboveTellALoss(t *testing.T) {
	d := withRACK(t, 6)
	d.advance(94 * ms)
	d.recv(ACK, ack(seg(0)), sack(seg(1), seg(2)))
	d.wantNothing("one may be reordering")
	d.recv(ACK, ack(seg(0)), sack(seg(1), seg(3)))
	d.wantNothing("two may")
	d.recv(ACK, ack(seg(0)), sack(seg(1), seg(4)))
	d.want("three are a loss", ACK, seq(seg(0)), octets(1460))
	d.advance(100 * ms)
	d.recv(ACK, ack(seg(6)))
}

// With fewer, a quarter of the least round trip is given for reordering.
func TestC94ReorderingWindowIsAQuarterOfTheRTT(t *testing.T) {
	d := withRACK(t, 3)
	d.advance(97 * ms) // the second was sent 99 ms ago
	d.recv(ACK, ack(seg(0)), sack(seg(1), seg(2)))
	rtt := 99 * ms
	// Due: sent at -100 ms, plus the round trip of 99 and a quarter of that.
	d.wantAfter(rtt-100*ms+rtt/4/1000*1000, "lost by time", ACK, seq(seg(0)), octets(1460))
	d.advance(100 * ms)
	d.recv(ACK, ack(seg(3)))
}

func TestC94ReorderingWithinTheWindowIsNoLoss(t *testing.T) {
	d := withRACK(t, 3)
	d.advance(97 * ms)
	cwnd := d.c.cc.cwnd
	d.recv(ACK, ack(seg(0)), sack(seg(1), seg(2)))
	d.quiet(20*ms, "within the window")
	d.recv(ACK, ack(seg(2)))
	d.recv(ACK, ack(seg(3)))
	if d.c.cc.cwnd < cwnd || d.c.flags&flagRecovery != 0 {
		d.failf("the window fell from %d to %d", cwnd, d.c.cc.cwnd)
	}
	// Once reordering was seen, three segments above don't tell a loss at once.
	if d.c.flags&flagReordering == 0 {
		d.failf("reordering was not noticed")
	}
	d.slow(40)
	from := 3
	d.spaced(5)
	d.advance(95 * ms)
	d.recv(ACK, ack(seg(from)), sack(seg(from+1), seg(from+5)))
	d.quiet(10*ms, "four of them, and yet time decides")
	d.advance(20 * ms)
	d.want("lost by time", ACK, seq(seg(from)), octets(1460))
	d.recv(ACK, ack(seg(8)))
}

// Counting duplicates never finds the loss of a retransmission; time does, when
// something sent after it has arrived.
func TestC94LostRetransmissionIsFound(t *testing.T) {
	d := withRACK(t, 6)
	d.advance(94 * ms)
	d.recv(ACK, ack(seg(0)), sack(seg(1), seg(5)))
	d.want("fast retransmit, which is lost too", ACK, seq(seg(0)), octets(1460))
	d.recv(ACK, ack(seg(0)), sack(seg(1), seg(6)))
	d.advance(ms)
	d.spaced(3) // new data, after the retransmission
	d.advance(100 * ms)
	d.ignore()
	start := d.now
	d.recv(ACK, ack(seg(0)), sack(seg(1), seg(9)))
	d.want("again, without a timeout", ACK, seq(seg(0)), octets(1460))
	if d.now != start || d.c.retries != 0 {
		d.failf("by a timeout")
	}
	d.advance(100 * ms)
	d.recv(ACK, ack(seg(9)))
}

// RFC 8985 section 7.2: PTO = 2 * SRTT, but never later than the RTO: with one
// segment in flight, plus what the peer may delay its ACK, which here comes to the
// RTO: the probe goes first in any case.
func TestC94ProbeTimeout(t *testing.T) {
	d := withRACK(t, 0)
	for range 30 { // a steady path: RTO falls to 300 ms, SRTT stays
		d.write(1460)
		d.want("data", PSH|ACK, octets(1460))
		d.advance(100 * ms)
		d.recv(ACK)
	}
	d.slow(40)
	srtt := 2 * 100 * ms
	d.burst(2)
	at := d.c.Deadline() - d.now
	if at < srtt || at > srtt+3*ms {
		d.failf("two segments in flight: probe after %d us, want 2 SRTT", at/1000)
	}
	d.advance(100 * ms)
	d.recv(ACK)
	d.write(1460)
	d.want("data", PSH|ACK, octets(1460))
	at = d.c.Deadline() - d.now
	if want := min(srtt+maxAckDelay, d.c.rtt.rto()); at < want-ms || at > want+ms {
		d.failf("one segment in flight: probe after %d us, want %d", at/1000, want/1000)
	}
	d.advance(100 * ms)
	d.recv(ACK)
}

// Section 7.3: "new data segment [...] if available", else the last one again.
func TestC94ProbeIsTheLastSegmentAgain(t *testing.T) {
	d := withRACK(t, 0)
	d.burst(4)
	d.wantAfter(202*ms, "the last one", PSH|ACK, seq(seg(3)), octets(1460))
	cwnd := d.c.cc.cwnd
	if cwnd < 4*1460 || d.c.retries != 0 {
		d.failf("a probe is no timeout: window %d", cwnd)
	}
	d.advance(100 * ms)
	// The probe's SACK tells what was lost: everything from the second on.
	d.recv(ACK, ack(seg(1)), sack(seg(3), seg(4)))
	d.want("the second", ACK, seq(seg(1)), octets(1460))
	d.want("the third", ACK, seq(seg(2)), octets(1460))
	d.advance(100 * ms)
	d.recv(ACK, ack(seg(4)))
	d.ignore()
}

func TestC94ProbeIsNewDataIfThereIsAny(t *testing.T) {
	d := withRACK(t, 0)
	d.slow(4)
	d.batch(func() { d.write(6 * 1460) })
	for i := range 4 {
		d.want("the window", ACK, seq(seg(i)), octets(1460))
	}
	d.wantAfter(202*ms, "new data, beyond the window", ACK, seq(seg(4)), octets(1460))
	d.advance(100 * ms)
	cwnd := d.c.cc.cwnd
	d.recv(ACK, ack(seg(5)))
	d.want("the rest", PSH|ACK, seq(seg(5)), octets(1460))
	if d.c.cc.cwnd < cwnd || d.c.flags&flagTLPOut != 0 {
		d.failf("window %d, was %d; or the episode does not end", d.c.cc.cwnd, cwnd)
	}
	d.recv(ACK)
}

// Section 7.2 has the probe's timer start again for an ACK of something new: not for each segment
// of a peer that sends all the time, which would put the probe, and with it the RTO, off for as
// long as it does.
func TestC94ProbeIsNotPutOffByThePeersData(t *testing.T) {
	d := withRACK(t, 0)
	d.burst(4)
	at := d.c.timer.rtxAt
	for range 10 {
		d.advance(15 * ms)
		d.recv(ACK, ack(seg(0)), octets(10))
		d.ignore()
		if got := d.c.timer.rtxAt; got != at {
			d.failf("probe in %d ms, want %d", (got-d.now)/ms, (at-d.now)/ms)
		}
	}
	d.wantAfter(52*ms, "the probe", PSH|ACK, seq(seg(3)), octets(1460))
	d.recv(ACK, ack(seg(4)))
	d.ignore()
}

// Section 7.4.2: an ACK beyond the probe without a D-SACK says that the probe has
// repaired a loss, which is answered as any other; with one, nothing was lost.
func TestC94EndOfAProbe(t *testing.T) {
	for _, dsack := range []bool{false, true} {
		d := withRACK(t, 0)
		d.burst(8)
		d.wantAfter(202*ms, "probe", PSH|ACK, seq(seg(7)), octets(1460))
		d.spaced(1)
		cwnd := d.c.cc.cwnd
		d.advance(20 * ms)
		if dsack {
			d.recv(ACK, ack(seg(8)), sack(seg(7), seg(8)))
		} else {
			d.recv(ACK, ack(seg(8)))
		}
		d.advance(80 * ms)
		d.recv(ACK, ack(seg(9)))
		if d.c.flags&flagTLPOut != 0 {
			d.failf("the episode does not end")
		}
		if fell := d.c.cc.cwnd < cwnd; fell == dsack {
			d.failf("D-SACK %v: the window is %d, was %d", dsack, d.c.cc.cwnd, cwnd)
		}
	}
}

// Section 7.2: one probe in an episode; then the timer is the RTO's.
func TestC94OneProbeThenTheRTO(t *testing.T) {
	d := withRACK(t, 0)
	d.burst(4)
	d.wantAfter(202*ms, "probe", PSH|ACK, seq(seg(3)), octets(1460))
	d.wantAfter(rto, "then a timeout, from the first on", ACK, seq(seg(0)), octets(1460))
	if d.c.retries != 1 {
		d.failf("%d timeouts", d.c.retries)
	}
	d.recv(ACK)
}

// Section 6.2, step 2, with timestamps: what arrives out of order is not echoed (RFC 7323
// section 4.3), so an old TSecr beside a SACK block says nothing of the retransmission in it.
// That it has arrived shows that the one sent just before it has not.
func TestC94SACKedRetransmissionCountsBesideAnOldEcho(t *testing.T) {
	if !feature.On("rack") || !feature.On("timestamps") {
		t.Skip("needs features rack and timestamps")
	}
	d := newDialogue(t, withMTU(1512))
	d.connect(mss(1472), rawOptions(optNop, optNop, optSACKPermitted, 2), ts(d.tsNow(), 0))
	d.tsOn = true
	d.slow(40)
	d.spaced(6)
	d.advance(94 * ms)
	d.recv(ACK, ack(seg(0)), sack(seg(2), seg(6)))
	d.want("two are lost", ACK, seq(seg(0)), octets(1460))
	d.want("this one too", ACK, seq(seg(1)), octets(1460))
	old := d.ecr
	d.advance(100 * ms)
	d.recv(ACK, ack(seg(0)), ts(d.tsNow(), old-1000), sack(seg(1), seg(6)))
	d.want("the second came, so the first did not", ACK, seq(seg(0)), octets(1460))
	d.advance(100 * ms)
	d.recv(ACK, ack(seg(6)))
}
