package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// slow takes d's congestion window to n segments, nothing in flight, in
// congestion avoidance.
func (d *dialogue) slow(n uint32) {
	d.c.cc.cwnd = n * uint32(d.c.snd.mss)
	d.c.cc.ssthresh = d.c.cc.cwnd
	d.c.cc.sentAt = ticks(d.now)
}

// burst writes n full segments and wants them.
func (d *dialogue) burst(n int) {
	d.Helper()
	mss := int(d.c.snd.mss)
	from := d.written + 1
	d.batch(func() { d.write(n * mss) })
	for i := range n {
		f := ACK
		if i == n-1 {
			f |= PSH
		}
		d.want("full segment", f, seq(from+uint32(i*mss)), octets(mss))
	}
}

// beta is what is left of the window after a loss, in percent.
func beta() uint32 {
	if feature.On("cubic") {
		return 70 // RFC 9438 section 4.6
	}
	return 50 // RFC 5681 equation 4
}

func TestC84RTOIsSRTTPlusFourTimesRTTVAR(t *testing.T) {
	var r rttState
	r.init()
	if r.rto() != sec {
		t.Fatalf("initial RTO is %d ms", r.rto()/ms)
	}
	// RFC 6298 sections 2.2 and 2.3, in microseconds, as real numbers.
	srtt, dev := 0.0, 0.0
	for i, us := range []float64{100000, 100000, 200000, 50000, 1000000, 1000000, 20000, 3000000, 1, 1, 1, 500} {
		if i == 0 {
			srtt, dev = us, us/2
		} else {
			dev = 0.75*dev + 0.25*abs(srtt-us)
			srtt = 0.875*srtt + 0.125*us
		}
		r.sample(pkt.Time(us) * pkt.Microsecond)
		want := srtt + max(4*dev, minRTO)
		if got := float64(r.rto() / pkt.Microsecond); abs(got-want) > 20 {
			t.Errorf("after sample %d: %.0f us, want %.0f", i, got, want)
		}
	}
}

func abs(x float64) float64 { return max(x, -x) }

func TestC84RTOBounds(t *testing.T) {
	for _, c := range []struct{ rtt, min, max pkt.Time }{
		{-5 * sec, 200 * ms, 201 * ms}, // a clock that is wrong
		{0, 200 * ms, 201 * ms},
		{1, 200 * ms, 201 * ms},
		{20 * ms, 220 * ms, 221 * ms},
		{50 * sec, 50 * sec, 120 * sec},
		{24 * 3600 * sec, 100 * sec, 120 * sec},
	} {
		var r rttState
		r.init()
		for range 100 {
			r.sample(c.rtt)
			if r.rto() < c.min || r.rto() > 120*sec {
				t.Fatalf("RTT %d: RTO %d", c.rtt, r.rto())
			}
		}
		if r.rto() > c.max {
			t.Errorf("RTT of %d ms: RTO settles at %d ms", c.rtt/ms, r.rto()/ms)
		}
	}
}

func TestC84RTODoublesUpTo120s(t *testing.T) {
	d := established(t)
	d.write(100)
	d.want("data", PSH|ACK, octets(100))
	at := rto
	for range 14 {
		d.wantAfter(at, "again", PSH|ACK, seq(1), octets(100))
		at = min(2*at, 120*sec)
	}
}

func TestC85KarnNoSampleFromRetransmissions(t *testing.T) {
	d := established(t)
	d.write(100)
	d.want("data", PSH|ACK, octets(100))
	srtt := d.c.rtt.srtt
	d.wantAfter(rto, "again", PSH|ACK, seq(1), octets(100))
	d.advance(10 * ms)
	d.recv(ACK)
	if d.c.rtt.srtt != srtt {
		d.failf("SRTT is now %d us", d.c.rtt.srtt)
	}
}

func TestC85KarnBackedOffRTOStaysUntilASample(t *testing.T) {
	// The path has become slower than RTO: each segment is sent twice, and none
	// can be measured, unless RTO stays where it is.
	d := established(t)
	for range 10 {
		d.write(100)
		d.want("data", PSH|ACK, octets(100))
		for range 8 {
			d.advance(100 * ms)
			d.ignore()
		}
		d.recv(ACK) // after 800 ms
	}
	if got := d.c.rtt.srtt; got < 500000 {
		d.failf("SRTT is %d us on a path of 800 ms", got)
	}
	d.write(100)
	d.want("data", PSH|ACK, octets(100))
	d.quiet(800*ms, "and now the RTO is right")
	d.recv(ACK)
}

func TestC85TimestampsTellWhichOneWasAcknowledged(t *testing.T) {
	if !feature.Timestamps {
		t.Skip("needs feature timestamps")
	}
	d := newDialogue(t)
	d.connect(mss(1460), ts(1, 0))
	d.write(100)
	first := d.want("data", PSH|ACK, octets(100))
	d.advance(rto)
	d.ignore()
	d.advance(500 * ms)
	d.ignore()
	d.recv(ACK, ts(d.tsNow(), first.TSVal)) // the first was slow, not lost
	if got := d.c.rtt.srtt; got != 100000*7/8+800000/8 {
		d.failf("SRTT is %d us, with a sample of 800 ms", got)
	}
}

func TestC86TimerRestartsOnNewACKAndStops(t *testing.T) {
	d := established(t)
	d.burst(3)
	d.advance(200 * ms)
	d.recv(ACK, ack(1461))
	d.quiet(d.c.rtt.rto()-1, "restarted by the ACK")
	d.recv(ACK, ack(1461)) // not by this one
	d.advance(1)
	d.want("the earliest that is not acknowledged", ACK, seq(1461), octets(1460))
	d.recv(ACK)
	d.quiet(1000*sec, "stopped")
	if d.c.Deadline() != pkt.Never {
		d.failf("a timer")
	}
}

func TestC86LostSynMeansRTOOf3sAndOneSegment(t *testing.T) {
	d := newDialogue(t)
	d.open()
	d.wantSyn("SYN")
	d.advance(sec)
	d.wantSyn("again")
	d.recv(SYN|ACK, mss(1460))
	d.want("ACK", ACK)
	d.write(5000)
	d.want("IW = 1", ACK, octets(1460))
	d.wantAfter(3*sec, "RFC 6298 section 5.7", ACK, seq(1), octets(1460))
}

func TestC87R2EndsTheConnection(t *testing.T) {
	d := established(t)
	d.write(100)
	d.want("data", PSH|ACK, octets(100))
	begin := d.now
	n := 0
	for d.c.State() == Established {
		d.advance(sec)
		n += len(d.ignore())
		if n >= 3 && d.c.Retries() < 3 {
			d.failf("R1 is not told")
		}
	}
	if n != 15 || d.now-begin < 100*sec {
		d.failf("%d retransmissions in %d s", n, (d.now-begin)/sec)
	}
	d.wantErr(errno.ETIMEDOUT)
	d.wantReadErr(0)
}

func TestC87R2CountsFromTheLastProgress(t *testing.T) {
	d := established(t)
	d.env.Retries2 = 4
	d.burst(3)
	for range 3 {
		d.advance(d.c.Deadline() - d.now)
		d.ignore()
	}
	d.recv(ACK, ack(1461))
	d.ignore()
	for range 4 {
		d.advance(d.c.Deadline() - d.now)
		d.ignore()
		d.wantState(Established)
	}
	d.advance(d.c.Deadline() - d.now)
	d.wantErr(errno.ETIMEDOUT)
}

func TestC87UserTimeout(t *testing.T) {
	d := established(t)
	d.c.Options.UserTimeout = 2000
	d.write(100)
	d.want("data", PSH|ACK, octets(100))
	begin := d.now
	for d.c.State() == Established {
		d.advance(100 * ms)
		d.ignore()
	}
	if got := d.now - begin; got < 2*sec || got > 2*sec+100*ms {
		d.failf("after %d ms", got/ms)
	}
	d.wantErr(errno.ETIMEDOUT)
}

func TestC87EveryStateGivesUp(t *testing.T) {
	for _, s := range []State{SynReceived, Established, FinWait1, CloseWait, Closing, LastAck} {
		d := inState(t, s)
		if s == Established || s == CloseWait {
			d.write(10)
		}
		for range 3000 {
			d.ignore()
			d.advance(sec)
		}
		d.wantErr(errno.ETIMEDOUT)
	}
}

func TestC88SlowStartGrowsByWhatIsAcknowledged(t *testing.T) {
	d := established(t)
	iw := d.c.cc.cwnd
	d.batch(func() { d.write(60000) })
	sent := uint32(len(d.ignore())) * 1460
	if sent > iw || sent+1460 <= iw {
		d.failf("%d octets in the first window of %d", sent, iw)
	}
	d.recv(ACK, ack(1+1460))
	if d.c.cc.cwnd != iw+1460 || len(d.ignore()) != 2 {
		d.failf("cwnd %d after one segment, it was %d", d.c.cc.cwnd, iw)
	}
	d.recv(ACK, ack(1+1460+10)) // ACK division gains nothing
	if d.c.cc.cwnd != iw+1470 {
		d.failf("cwnd %d after 10 octets more", d.c.cc.cwnd)
	}
	d.ignore()
	d.recv(ACK, ack(1+3*1460))
	if d.c.cc.cwnd != iw+3*1460 {
		d.failf("cwnd %d after three segments", d.c.cc.cwnd)
	}
	d.ignore()
}

func TestC88SlowStartGrowsByEightSegmentsAnACKAtMost(t *testing.T) {
	d := established(t)
	d.slow(20)
	d.c.cc.ssthresh = infinite
	d.batch(func() { d.write(60000) })
	d.ignore()
	d.recv(ACK, ack(1+20*1460))
	if d.c.cc.cwnd != 28*1460 { // RFC 9406 section 4.2: L = 8
		d.failf("cwnd is %d segments", d.c.cc.cwnd/1460)
	}
	d.ignore()
}

func TestC88CongestionAvoidanceOneSegmentARoundTrip(t *testing.T) {
	d := established(t)
	d.slow(10)
	d.batch(func() { d.write(60000) })
	d.ignore()
	// Reno counts a window's bytes and then adds a segment. CUBIC's estimate of it, which
	// rules on so short a path, adds a share of the segment with each ACK.
	cubic := uint32(0)
	if feature.On("cubic") {
		cubic = 1460
	}
	for i := range uint32(10) {
		if got := d.c.cc.cwnd; got < 10*1460 || got > 10*1460+cubic {
			d.failf("after %d ACKs: %d", i, got)
		}
		d.recv(ACK, ack(1+1460*(i+1)))
		d.ignore()
	}
	if got := d.c.cc.cwnd; got > 11*1460 || got < 11*1460-cubic/10 {
		d.failf("after a window: %d", got)
	}
}

func TestC89InitialWindow(t *testing.T) {
	for _, c := range []struct{ mss, iw, minimal uint32 }{
		{1460, 14600, 4380}, {536, 5360, 2144}, {1000, 10000, 4000}, {48, 480, 192}, {4000, 14600, 8000}, {8960, 17920, 17920}, {2190, 14600, 4380},
	} {
		want := c.iw
		if feature.Profile == feature.Minimal {
			want = c.minimal // RFC 5681 section 3.1
		}
		if got := initialWindow(c.mss); got != want {
			t.Errorf("MSS %d: %d, want %d", c.mss, got, want)
		}
	}
	d := established(t)
	d.batch(func() { d.write(60000) })
	n := 0
	for _, x := range d.ignore() {
		n += len(x.Payload)
	}
	if n > 14600 || n < 4380 {
		d.failf("%d octets", n)
	}
}

func TestC90CwndNotGrownWhenTheApplicationIsTheLimit(t *testing.T) {
	d := established(t)
	cwnd := d.c.cc.cwnd
	for range 20 {
		d.write(1460)
		d.want("data", PSH|ACK, octets(1460))
		d.recv(ACK)
	}
	if d.c.cc.cwnd != cwnd {
		d.failf("cwnd %d -> %d", cwnd, d.c.cc.cwnd)
	}
}

func TestC90CwndNotGrownWhenThePeersWindowIsTheLimit(t *testing.T) {
	d := newDialogue(t)
	d.connect(mss(1460), win(2920))
	cwnd := d.c.cc.cwnd
	d.write(20 * 1460)
	for range 10 {
		d.ignore()
		d.recv(ACK, win(2920))
	}
	d.ignore()
	if d.c.cc.cwnd != cwnd {
		d.failf("cwnd %d -> %d", cwnd, d.c.cc.cwnd)
	}
}

func TestC90RestartAfterIdle(t *testing.T) {
	d := established(t)
	d.slow(30)
	d.write(100)
	d.want("data", PSH|ACK, octets(100))
	d.recv(ACK)
	d.advance(d.c.rtt.rto() + ms)
	d.write(100)
	d.want("data", PSH|ACK, octets(100))
	if d.c.cc.cwnd != initialWindow(1460) {
		d.failf("cwnd is %d, want RW = IW", d.c.cc.cwnd)
	}
	d.recv(ACK)
	d.slow(1)
	d.advance(d.c.rtt.rto() + ms)
	d.write(100)
	d.want("data", PSH|ACK, octets(100))
	if d.c.cc.cwnd != 1460 {
		d.failf("cwnd is %d, want min(IW,cwnd)", d.c.cc.cwnd)
	}
}

func TestC91TimeoutReducesToOneSegment(t *testing.T) {
	d := established(t)
	d.slow(10)
	d.burst(10)
	d.advance(rto)
	d.want("one segment", ACK, seq(1), octets(1460))
	cc := &d.c.cc
	if cc.cwnd != 1460 || cc.ssthresh != 14600*beta()/100 {
		d.failf("cwnd %d, ssthresh %d", cc.cwnd, cc.ssthresh)
	}
	d.advance(2 * rto)
	d.want("again", ACK, seq(1), octets(1460))
	if cc.cwnd != 1460 || cc.ssthresh != 14600*beta()/100 {
		d.failf("the second time: cwnd %d, ssthresh %d", cc.cwnd, cc.ssthresh)
	}
	d.recv(ACK, ack(1461)) // slow start over what was sent before
	d.want("two", ACK, seq(1461), octets(1460))
	d.want("two", ACK, seq(2921), octets(1460))
	if cc.cwnd != 2920 {
		d.failf("cwnd %d", cc.cwnd)
	}
	d.recv(ACK, ack(1+7*1460)) // the peer had most of it
	d.want("not what it has", ACK, seq(1+7*1460), octets(1460))
	d.ignore()
	d.recv(ACK)
}

func TestC91SsthreshIsTwoSegmentsAtLeast(t *testing.T) {
	d := established(t)
	d.burst(1)
	d.advance(rto)
	d.ignore()
	if d.c.cc.ssthresh != 2920 {
		d.failf("ssthresh %d", d.c.cc.ssthresh)
	}
	d.recv(ACK)
}

func TestC92FastRetransmitAfterThreeDuplicates(t *testing.T) {
	d := established(t)
	d.slow(10)
	d.burst(10)
	d.recv(ACK, ack(1))
	d.wantNothing("one")
	d.recv(ACK, ack(1))
	d.wantNothing("two")
	d.recv(ACK, ack(1))
	d.want("three", ACK, seq(1), octets(1460))
	cc := &d.c.cc
	if want := 14600 * beta() / 100; cc.ssthresh != want || cc.cwnd != want+3*1460 {
		d.failf("cwnd %d, ssthresh %d", cc.cwnd, cc.ssthresh)
	}
	d.recv(ACK, ack(1))
	d.wantNothing("a fourth: only once")
	d.recv(ACK)
	if cc.cwnd > cc.ssthresh || d.c.flags&flagRecovery != 0 {
		d.failf("recovery did not end: cwnd %d", cc.cwnd)
	}
}

func TestC92WhatIsNoDuplicate(t *testing.T) {
	for _, c := range []struct {
		what  string
		flags Flags
		parts []part
	}{
		{"with data", ACK, []part{octets(10)}},
		{"another window", ACK, []part{win(65000)}},
		{"an older ACK", ACK, []part{ack(0)}},
	} {
		d := established(t)
		d.slow(10)
		d.burst(10)
		for i := range uint32(5) {
			p := append([]part{ack(1)}, c.parts...)
			if c.what == "another window" {
				p = append(p, win(65000-i))
			}
			d.recv(c.flags, p...)
			for _, x := range d.ignore() {
				if x.Len() > 0 {
					d.failf("%s: retransmission", c.what)
				}
			}
		}
		d.recv(ACK)
	}
	d := established(t) // nothing outstanding
	for range 5 {
		d.recv(ACK, ack(1))
	}
	d.wantNothing("no data outstanding")
	if d.c.dupacks != 0 {
		d.failf("counted")
	}
}

func TestC92ReorderingByTwoIsNoLoss(t *testing.T) {
	d := established(t)
	d.slow(10)
	d.burst(10)
	d.recv(ACK, ack(1))
	d.recv(ACK, ack(1))
	d.recv(ACK, ack(1+3*1460))
	d.recv(ACK, ack(1+3*1460))
	d.recv(ACK, ack(1+3*1460))
	d.wantNothing("counted anew")
	d.recv(ACK)
}

func TestC92LimitedTransmit(t *testing.T) {
	d := established(t)
	d.slow(4)
	d.batch(func() { d.write(20 * 1460) })
	for range 4 {
		d.want("window", ACK, octets(1460))
	}
	d.recv(ACK, ack(1))
	d.want("RFC 3042: one for the first", ACK, octets(1460))
	d.recv(ACK, ack(1))
	d.want("one for the second", ACK, octets(1460))
	d.recv(ACK, ack(1))
	d.want("fast retransmit", ACK, seq(1), octets(1460))
	// "additional data sent in limited transmit MUST NOT be included".
	if want := max(4*1460*beta()/100, 2920); d.c.cc.ssthresh > want {
		d.failf("ssthresh is %d, want %d", d.c.cc.ssthresh, want)
	}
	d.ignore()
	d.recv(ACK)
	d.ignore()
}

func TestC92LimitedTransmitWithinThePeersWindow(t *testing.T) {
	d := newDialogue(t)
	d.connect(mss(1460), win(4*1460))
	d.slow(4)
	d.batch(func() { d.write(20 * 1460) })
	for range 4 {
		d.want("window", ACK, octets(1460))
	}
	d.recv(ACK, ack(1), win(4*1460))
	d.recv(ACK, ack(1), win(4*1460))
	d.wantNothing("the peer has no room")
	d.recv(ACK, win(0))
}

func TestC93NewRenoPartialACKs(t *testing.T) {
	d := established(t)
	d.slow(10)
	d.burst(10) // segments 1, 4 and 7 are lost
	for range 3 {
		d.recv(ACK, ack(1))
	}
	d.want("the first", ACK, seq(1), octets(1460))
	for range 4 {
		d.recv(ACK, ack(1))
	}
	d.wantNothing("no new data")
	d.recv(ACK, ack(1+3*1460))
	d.want("partial ACK: the second, at once", ACK, seq(1+3*1460), octets(1460))
	if d.c.flags&flagRecovery == 0 {
		d.failf("left recovery")
	}
	d.recv(ACK, ack(1+6*1460))
	d.want("and the third", ACK, seq(1+6*1460), octets(1460))
	ssthresh := d.c.cc.ssthresh
	if ssthresh != 14600*beta()/100 {
		d.failf("ssthresh %d: reduced once only", ssthresh)
	}
	d.recv(ACK)
	if d.c.flags&flagRecovery != 0 || d.c.cc.cwnd > ssthresh {
		d.failf("full ACK: cwnd %d", d.c.cc.cwnd)
	}
	d.wantNothing("done")
}

// What is sent anew during recovery, as the window inflates, doesn't hide the next hole.
func TestC93PartialACKAfterNewData(t *testing.T) {
	d := established(t)
	d.slow(10)
	d.burst(10) // segments 1 and 4 are lost
	d.batch(func() { d.write(20000) })
	anew := false
	for range 9 { // of which the last ones let new data out
		d.recv(ACK, ack(1))
		for _, x := range d.ignore() {
			anew = anew || d.c.flags&flagRecovery != 0 && x.Seq-d.iss >= 1+12*1460
		}
	}
	if !anew {
		d.failf("no new data was sent in recovery")
	}
	d.recv(ACK, ack(1+3*1460))
	d.want("partial ACK: the second, at once", ACK, seq(1+3*1460), octets(1460))
	d.ignore()
	d.recv(ACK)
	d.ignore()
}

func TestC93PartialACKDeflates(t *testing.T) {
	d := established(t)
	d.slow(10)
	d.burst(10)
	for range 3 {
		d.recv(ACK, ack(1))
	}
	d.ignore()
	cwnd := d.c.cc.cwnd
	d.recv(ACK, ack(1+2*1460))
	if got := d.c.cc.cwnd; got != cwnd-2*1460+1460 {
		d.failf("cwnd %d -> %d", cwnd, got)
	}
	d.ignore()
	cwnd = d.c.cc.cwnd
	d.recv(ACK, ack(1+2*1460+100)) // less than a segment: nothing added back
	if got := d.c.cc.cwnd; got != cwnd-100 {
		d.failf("cwnd %d -> %d", cwnd, got)
	}
	d.ignore()
	d.recv(ACK)
}

func TestC93RecoverGuardsAgainstASecondFastRetransmit(t *testing.T) {
	d := established(t)
	d.slow(10)
	d.burst(10)
	d.advance(rto) // timeout: all is sent again in time
	d.want("again", ACK, seq(1), octets(1460))
	ssthresh := d.c.cc.ssthresh
	for range 5 { // echoes of what had arrived
		d.recv(ACK, ack(1))
	}
	for _, x := range d.ignore() {
		if x.Seq-d.iss == 1 {
			d.failf("a second time")
		}
	}
	if d.c.cc.ssthresh != ssthresh {
		d.failf("reduced again")
	}
	d.recv(ACK)
	d.ignore()
	d.recv(ACK)
}

func TestC93RTODuringRecovery(t *testing.T) {
	d := established(t)
	d.slow(10)
	d.burst(10)
	for range 3 {
		d.recv(ACK, ack(1))
	}
	d.want("fast retransmit", ACK, seq(1), octets(1460))
	d.advance(rto)
	d.want("which was lost as well", ACK, seq(1), octets(1460))
	if d.c.flags&flagRecovery != 0 || d.c.cc.cwnd != 1460 {
		d.failf("cwnd %d", d.c.cc.cwnd)
	}
	d.recv(ACK, ack(1461))
	d.want("slow start", ACK, seq(1461), octets(1460))
	d.want("slow start", ACK, seq(2921), octets(1460))
	d.recv(ACK)
	d.ignore()
	d.recv(ACK)
}

func TestC93NewDataDuringRecoveryAsWindowInflates(t *testing.T) {
	d := established(t)
	d.slow(10)
	d.batch(func() { d.write(40 * 1460) })
	for range 10 {
		d.want("window", ACK, octets(1460))
	}
	for range 3 {
		d.recv(ACK, ack(1))
		d.ignore()
	}
	flight := d.c.snd.nxt - d.c.snd.una
	n := 0
	for range 7 { // the other nine have arrived
		d.recv(ACK, ack(1))
		for _, x := range d.ignore() {
			if x.Seq-d.iss < 1+flight {
				d.failf("sent again: %d", x.Seq-d.iss)
			}
			n++
		}
	}
	if n == 0 || n > 7 {
		d.failf("%d new segments", n)
	}
	d.recv(ACK)
	d.ignore()
	d.recv(ACK)
	d.ignore()
}

func TestC93NoBurstAtTheEndOfRecovery(t *testing.T) {
	d := established(t)
	d.slow(10)
	d.batch(func() { d.write(40 * 1460) })
	d.ignore()
	for range 12 {
		d.recv(ACK, ack(1))
		d.ignore()
	}
	d.recv(ACK)
	if n := len(d.ignore()); n > 8 {
		d.failf("%d segments at once", n)
	}
	d.recv(ACK)
	d.ignore()
	d.recv(ACK)
	d.ignore()
}

func TestC93FinIsRecoveredToo(t *testing.T) {
	d := established(t)
	d.slow(10)
	d.burst(5)
	d.closeWrite()
	d.want("FIN", FIN|ACK)
	for range 3 {
		d.recv(ACK, ack(1))
	}
	d.want("fast retransmit", ACK, seq(1), octets(1460))
	d.recv(ACK, ack(1+5*1460))
	d.want("the FIN, lost as well", FIN|ACK, seq(1+5*1460))
	d.recv(ACK)
	d.wantState(FinWait2)
}

func TestC91RetransmissionsInNewSizesAfterAnMTUChange(t *testing.T) {
	d := established(t)
	d.burst(2)
	d.c.SetPathMSS(1000)
	d.advance(rto)
	d.want("re-segmented", ACK, seq(1), octets(1000))
	d.recv(ACK, ack(1001))
	d.want("re-segmented", ACK, seq(1001), octets(1000))
	d.want("re-segmented", PSH|ACK, seq(2001), octets(920))
	d.recv(ACK)
}
