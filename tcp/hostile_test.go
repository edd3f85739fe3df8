package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
)

// What a peer gains by lying, and what it can make us do. docs/conformance.md names
// these tests, and those of other files, by the attack.

// ACK splitting (Savage and others, 1999): many ACKs for parts of one segment. The
// window opens by what is acknowledged and not by ACKs (RFC 3465).
func TestC88ACKSplittingGainsNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(d *dialogue)
	}{
		{"slow start", func(d *dialogue) { d.slow(10); d.c.cc.ssthresh = infinite }},
		{"congestion avoidance", func(d *dialogue) { d.slow(10) }},
		{"after a loss", func(d *dialogue) {
			d.slow(20)
			d.c.cc.ssthresh = d.c.cc.reduced(&d.c) // CUBIC, where it is in the build
			d.slow(10)
		}},
	} {
		grown := [2]uint32{}
		for i, pieces := range []uint32{1, 1000} {
			d := established(t)
			c.make(d)
			d.batch(func() { d.write(60000) })
			d.ignore()
			before := d.c.cc.cwnd
			for k := range pieces {
				d.recv(ACK, ack(1+1460*10*(k+1)/pieces))
				d.ignore()
			}
			grown[i] = d.c.cc.cwnd - before
			d.recv(ACK)
			d.ignore()
		}
		most := grown[0]
		if c.name == "slow start" { // one ACK for ten segments counts as eight
			most = 10 * 1460
		}
		if grown[1] > most+1460/100 {
			t.Errorf("%s: 1000 ACKs of 10 segments opened the window by %d bytes, one by %d", c.name, grown[1], grown[0])
		}
	}
}

// In recovery too: an ACK of a part of what was sent again does not get it sent again.
func TestC93ACKSplittingInRecoveryGainsNothing(t *testing.T) {
	for _, selective := range []bool{false, true} {
		var d *dialogue
		if selective {
			if !feature.SACK {
				continue
			}
			d = withSACK(t)
		} else {
			d = established(t)
		}
		d.slow(10)
		d.burst(10)
		d.advance(100 * ms)
		for i := range 3 {
			if selective {
				d.recv(ACK, ack(seg(0)), sack(seg(1), seg(2+i)))
			} else {
				d.recv(ACK, ack(seg(0)))
			}
		}
		d.want("fast retransmit", ACK, seq(1), octets(1460))
		n := 0
		for k := range uint32(146) {
			if !selective {
				d.recv(ACK, ack(1+10*(k+1)))
			} else {
				d.recv(ACK, ack(1+10*(k+1)), sack(seg(1), seg(4)))
			}
			for _, x := range d.ignore() {
				n += len(x.Payload)
			}
		}
		if n > 2*1460 { // a segment more is lost, perhaps
			d.failf("SACK %v: 146 ACKs of ten bytes each got %d bytes sent", selective, n)
		}
		d.recv(ACK)
		d.ignore()
	}
}

// Optimistic ACKs of what was never sent are answered and change nothing: not the
// window, not the timer.
func TestC66OptimisticACKBeyondWhatWasSent(t *testing.T) {
	d := established(t)
	d.burst(3)
	cwnd, due := d.c.cc.cwnd, d.c.timer.rtxAt
	n := 0
	for i := range uint32(200) {
		d.recv(ACK, ack(d.nxt+1+i*1460), win(1))
		n += len(d.ignore())
	}
	if n < 1 || n > 10 {
		d.failf("%d challenge ACKs for 200 forged ones within an instant", n)
	}
	if d.c.cc.cwnd != cwnd || d.c.timer.rtxAt != due || d.c.Unacked() != 3*1460 || d.c.snd.wnd == 1 {
		d.failf("cwnd %d, timer %d, %d in flight, window %d", d.c.cc.cwnd, d.c.timer.rtxAt, d.c.Unacked(), d.c.snd.wnd)
	}
	d.recv(ACK)
}

// Optimistic ACKs of what is sent but can't have arrived yet: TCP can't tell. What they
// gain is bounded: eight segments an ACK at most, never more in flight than the window
// says, and nothing is sent for an ACK that acknowledges nothing.
func TestC88OptimisticACKOfWhatCannotHaveArrived(t *testing.T) {
	d := established(t)
	wnd := uint32(65535)
	for range 200 {
		d.batch(func() { d.tryWrite(60000) })
		d.ignore()
		before := d.c.cc.cwnd
		d.recv(ACK, win(wnd)) // at once
		if d.c.cc.cwnd > before+maxStretch*1460 {
			d.failf("one ACK opened the window from %d to %d", before, d.c.cc.cwnd)
		}
		if got := d.c.snd.nxt - d.c.snd.una; got > wnd {
			d.failf("%d bytes in flight, the window is %d", got, wnd)
		}
		d.ignore()
		d.recv(ACK, win(wnd))
		if d.c.Unacked() == 0 {
			d.wantNothing("an ACK of nothing")
		}
		d.ignore()
	}
	if d.c.rtt.rto() < 200*ms {
		d.failf("the RTO is %d ms", d.c.rtt.rto()/ms)
	}
	// What was acknowledged is gone: that it never arrived is the peer's loss.
	d.recv(ACK)
	d.ignore()
	if d.c.Unacked() != 0 {
		d.failf("%d bytes are still there", d.c.Unacked())
	}
}

// A stretch ACK lets go what it acknowledges and eight segments more, not a second
// window at once (RFC 3465 section 2.3; RFC 9406 has L = 8).
func TestC88StretchACKIsNoLicenceForABurst(t *testing.T) {
	for _, slow := range []bool{true, false} {
		d := newDialogue(t, withSndBuf(400000), withMemory(1<<20))
		d.connect(mss(1460), wscale(7))
		d.slow(30)
		if slow {
			d.c.cc.ssthresh = infinite
		}
		if !feature.WScale {
			t.Skip("needs feature wscale")
		}
		d.recv(ACK, win(60000)) // times 128
		d.batch(func() { d.write(200000) })
		if n := len(d.ignore()); n != 30 {
			d.failf("%d segments in flight", n)
		}
		d.advance(100 * ms)
		d.recv(ACK, ack(1+30*1460), win(60000))
		most := 31
		if slow {
			most = 38
		}
		if n := len(d.ignore()); n < 30 || n > most {
			d.failf("slow start %v: %d segments for one ACK of 30", slow, n)
		}
		d.recv(ACK)
		d.ignore()
	}
}

// CVE-2019-11479: a peer that takes one byte at a time. The smallest segment has 48
// bytes less options, so a byte costs at most as much again in headers, and a window's
// worth of segments is no more work than that.
func TestC46TinyMSSDoesNotMultiplySegments(t *testing.T) {
	for _, m := range []uint32{0, 1, 8, 47} {
		d := newDialogue(t)
		d.connect(mss(m))
		n := 0
		d.batch(func() { d.write(20000) })
		for d.c.Unacked() > 0 {
			n += len(d.ignore())
			d.recv(ACK)
		}
		if n += len(d.ignore()); n > 20000/minMSS+1 {
			d.failf("MSS %d: %d segments for 20000 bytes", m, n)
		}
	}
}

// A timestamp clock that jumps ahead is believed from the segment that is in sequence
// alone, and jumping back makes segments old, for 24 days at most (RFC 7323 section 5.5).
func TestC102TimestampsJump(t *testing.T) {
	d := stamped(t)
	recent := d.tsNow()
	d.recv(ACK, octets(100), seq(1<<20), ts(recent+1<<30, d.ecr))
	d.want("beyond the window: the clock is not taken over", ACK, ack(1), ecr(recent))
	d.recv(ACK, octets(100), seq(101), ts(recent+1<<30, d.ecr))
	d.want("nor out of order", ACK, ack(1), ecr(recent))
	d.recv(ACK, octets(100), seq(1), ts(recent+1<<30, d.ecr))
	d.want("in sequence it is", ACK, ack(201), ecr(recent+1<<30))
	d.peer = 201
	d.recv(ACK, octets(100), ts(recent+1, d.ecr))
	d.want("back: an old segment", ACK, ack(201), ecr(recent+1<<30))
	d.peer = 201
	d.advance(24*24*3600*sec + sec)
	d.recv(ACK, octets(100), ts(recent+2, d.ecr))
	d.want("after 24 days any clock is good", ACK, ack(301), ecr(recent+2))
}

// An echo that can't be ours measures nothing: from the future, from long ago, or 0.
func TestC101EchoThatCannotBeIsNoSample(t *testing.T) {
	for _, forged := range []uint32{0, 1, 1 << 31, 0xffff_ffff, 5000 /* ms ahead */} {
		d := stamped(t)
		srtt := d.c.rtt.srtt
		d.write(100)
		d.want("data", PSH|ACK, octets(100))
		d.advance(rto)
		d.want("again", PSH|ACK, seq(1), octets(100))
		d.advance(50 * ms)
		if forged == 5000 {
			forged += d.myTS()
		}
		d.recv(ACK, ts(d.tsNow(), forged))
		if d.c.rtt.srtt != srtt {
			d.failf("echo %d: SRTT %d us, it was %d", forged, d.c.rtt.srtt, srtt)
		}
	}
}

// A lost handshake with a forged echo does not make the first RTO minutes either.
func TestC101EchoOnTheSynAckThatCannotBeIsNoSample(t *testing.T) {
	needTimestamps(t)
	d := newDialogue(t)
	d.tsOn = true
	d.open()
	d.wantSyn("SYN")
	d.advance(sec)
	d.wantSyn("again")
	d.advance(100 * ms)
	d.recv(SYN|ACK, mss(1460), ts(d.tsNow(), 77))
	d.want("ACK", ACK)
	if d.c.rtt.srtt != 0 || d.c.rtt.rto() > 3*sec {
		d.failf("SRTT %d us, RTO %d ms", d.c.rtt.srtt, d.c.rtt.rto()/ms)
	}
}

// A peer that withdraws everything it has SACKed, again and again, costs a
// retransmission for each timeout and no more memory, and the stream ends all the same.
func TestC99RenegingForEverIsBounded(t *testing.T) {
	d := withSACK(t)
	d.burst(10)
	held := d.mem.Used()
	for range 5 {
		d.advance(100 * ms)
		d.recv(ACK, ack(seg(0)), sack(seg(1), seg(10)))
		d.ignore()
		d.recv(ACK, ack(seg(0))) // all of it is gone
		d.ignore()
		if d.c.Unacked() != 10*1460 || d.mem.Used() > held {
			d.failf("%d bytes unacknowledged, %d held, %d before", d.c.Unacked(), d.mem.Used(), held)
		}
		again := false
		for range 1300 { // at most: the RTO doubles up to two minutes
			d.advance(100 * ms)
			for _, x := range d.ignore() {
				again = again || x.Seq-d.iss == seg(0)
			}
			if again {
				break
			}
		}
		if !again {
			d.failf("the earliest segment is not sent again")
		}
	}
	d.recv(ACK, ack(seg(10)))
	d.ignore()
}

// Segments that overlap with different bytes, in every order and place: what came first
// stays, and what is read is never changed afterwards.
func TestC70OverlapsWithOtherBytes(t *testing.T) {
	d := established(t)
	bad := func(from, to uint32) {
		b := make([]byte, to-from)
		for i := range b {
			b[i] = ^pattern(from + uint32(i))
		}
		d.recv2(ACK, seq(from), data(string(b)))
		d.ignore()
		d.peer = 1
	}
	d.recv(ACK, seq(1001), octets(1000)) // a piece ahead
	d.ignore()
	d.peer = 1
	bad(1001, 2001) // the same place
	bad(1500, 1600) // inside
	d.recv(ACK, seq(1), octets(1000))
	d.ignore()
	d.wantRead(2000)
	bad(1, 2001) // what was read already
	d.peer = 2001
	d.recv(ACK, seq(2001), octets(100))
	d.ignore()
	d.wantRead(100)
}
