package tcp

import (
	"fmt"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
)

func withECN(m ECNMode) dialogueOption { return func(d *dialogue) { d.env.ECN = m } }

// ecnDialogue is a connection with ECN, an MSS of 1000 and a window of n segments.
func ecnDialogue(t *testing.T, n int, options ...part) *dialogue {
	t.Helper()
	d := newECN(t, ECNAsk)
	d.open()
	d.want("an ECN-setup SYN", SYN|ECE|CWR, append(d.synOptions(), seq(0))...)
	d.advance(100 * ms)
	d.recv(SYN|ACK|ECE, append(options, mss(1000))...)
	d.want("ACK", ACK, seq(1), ack(1))
	d.c.TakeEvents()
	d.slow(uint32(n))
	return d
}

func newECN(t *testing.T, m ECNMode) *dialogue {
	t.Helper()
	if !feature.ECN {
		t.Skip("needs feature ecn")
	}
	return newDialogue(t, withECN(m))
}

// end is for a dialogue that has shown what it is about.
func (d *dialogue) end() {
	d.ignore()
	d.abort()
	d.ignore()
}

// capable wants new data of n octets with ECT(0), or without if not.
func (d *dialogue) capable(why string, f Flags, n int, yes bool) {
	d.Helper()
	x := d.want(why, f, octets(n))
	if got := x.ECN; got != map[bool]uint8{true: 2}[yes] {
		d.failf("%s: codepoint %d", why, got)
	}
}

// reducedTo is what a reduction leaves of a window.
func reducedTo(n uint32) uint32 {
	if feature.CUBIC {
		return n * 7 / 10
	}
	return n / 2
}

func (d *dialogue) wantWindow(why string, cwnd, ssthresh uint32) {
	d.Helper()
	// CUBIC calculates in floats
	if c := &d.c.cc; c.cwnd+1 < cwnd || c.cwnd > cwnd || c.ssthresh+1 < ssthresh || c.ssthresh > ssthresh {
		d.failf("%s: cwnd %d, ssthresh %d, want %d, %d", why, c.cwnd, c.ssthresh, cwnd, ssthresh)
	}
}

// RFC 3168 section 6.1.1: only "ECE, not CWR" in the SYN-ACK says yes; both are what some host
// that knows nothing of ECN reflects (6.1.1.2).
func TestC104ActiveNegotiation(t *testing.T) {
	for _, answer := range []Flags{0, ECE, CWR, ECE | CWR} {
		d := newECN(t, ECNAsk)
		d.open()
		x := d.want("an ECN-setup SYN", SYN|ECE|CWR, append(d.synOptions(), seq(0))...)
		if x.ECN != 0 {
			d.failf("codepoint %d of a SYN", x.ECN)
		}
		d.recv(SYN|ACK|answer, mss(1460))
		d.want("ACK", ACK)
		d.write(10)
		d.capable(flagString(answer), PSH|ACK, 10, answer == ECE)
		d.recv(ACK, octets(10), marked)
		f := ACK
		if answer == ECE {
			f |= ECE
		}
		d.want("ACK of marked data", f)
		if got := d.c.Info(d.now).Options&InfoECN != 0; got != (answer == ECE) {
			d.failf("TCP_INFO says %v", got)
		}
	}
}

// Section 6.1.1.1. The SYN-ACK may still answer the first SYN: then the peer may use ECN, and we
// must not, having "sent no non-ECN-setup SYN" being the condition.
func TestC104SynAgainIsPlain(t *testing.T) {
	d := newECN(t, ECNAsk)
	d.open()
	d.want("an ECN-setup SYN", SYN|ECE|CWR, append(d.synOptions(), seq(0))...)
	d.advance(sec)
	d.wantSyn("plain, the second time")
	d.advance(2 * sec)
	d.wantSyn("and the third")
	d.recv(SYN|ACK|ECE, mss(1460))
	d.want("ACK", ACK)
	d.write(10)
	d.capable("no ECT", PSH|ACK, 10, false)
	d.recv(ACK, octets(10), marked)
	d.want("what is marked is echoed", ACK|ECE)
}

func TestC104PassiveNegotiation(t *testing.T) {
	for _, mode := range []ECNMode{ECNAnswer, ECNAsk, ECNOff} {
		for _, asks := range []Flags{0, ECE, CWR, ECE | CWR} {
			for codepoint := range uint8(4) {
				d := newECN(t, mode)
				if !feature.Listen {
					t.Skip("needs feature listen")
				}
				s := Segment{Flags: SYN | asks, Seq: d.irs, Wnd: 60000, MSS: 1460, WScale: -1, ECN: codepoint}
				d.peer = 1
				d.c.Accept(d.now, &s, here, there, 1460, d.iss, d.tsOf)
				d.pump()
				yes := mode != ECNOff && asks == ECE|CWR && codepoint == 0
				f := SYN | ACK
				if yes {
					f |= ECE
				}
				why := fmt.Sprintf("mode %d, %s, codepoint %d", mode, flagString(SYN|asks), codepoint)
				d.want(why, f, seq(0), mss(1460))
				d.advance(sec)
				d.want(why+": again the same", f, seq(0), mss(1460))
				d.recv(ACK)
				d.write(10)
				d.capable(why, PSH|ACK, 10, yes)
				d.recv(ACK)
			}
		}
	}
}

// "(3) Host A: Sends a non-ECN-setup SYN. (4) Host B: Sends a non-ECN-setup SYN/ACK" (section
// 6.1.1.1).
func TestC104PlainSynAfterEcnSetupSyn(t *testing.T) {
	d := newECN(t, ECNAnswer)
	if !feature.Listen {
		t.Skip("needs feature listen")
	}
	s := Segment{Flags: SYN | ECE | CWR, Seq: d.irs, Wnd: 60000, MSS: 1460, WScale: -1}
	d.peer = 1
	d.c.Accept(d.now, &s, here, there, 1460, d.iss, d.tsOf)
	d.pump()
	d.want("an ECN-setup SYN-ACK", SYN|ACK|ECE, seq(0), mss(1460))
	d.recv(SYN|ECE|CWR, seq(0), mss(1460))
	d.want("again", SYN|ACK|ECE, seq(0), mss(1460))
	d.recv(SYN, seq(0), mss(1460))
	d.want("a plain one", SYN|ACK, seq(0), mss(1460))
	d.recv(ACK)
	d.write(10)
	d.capable("no ECN", PSH|ACK, 10, false)
	d.recv(ACK)
}

func TestC104SimultaneousOpen(t *testing.T) {
	for _, c := range []struct {
		mode      ECNMode
		syn, both Flags
		yes       bool
	}{
		{ECNAsk, ECE | CWR, ECE, true},
		{ECNAsk, ECE | CWR, 0, false},
		{ECNAsk, 0, 0, false},
		{ECNAnswer, ECE | CWR, ECE, false}, // our SYN did not ask
	} {
		d := newECN(t, c.mode)
		d.open()
		d.ignore()
		d.recv(SYN|c.syn, mss(1460))
		f := SYN | ACK
		if c.mode == ECNAsk && c.syn != 0 {
			f |= ECE
		}
		d.want("SYN-ACK", f, seq(0), mss(1460))
		d.recv(SYN|ACK|c.both, seq(0), mss(1460))
		d.ignore()
		d.wantState(Established)
		if d.c.cc.ssthresh != infinite {
			d.failf("the flags of a SYN-ACK are taken for an echo")
		}
		d.write(10)
		d.capable(flagString(c.syn|c.both), PSH|ACK, 10, c.yes)
		d.recv(ACK)
	}
}

// Section 6.1.3: ECE on every ACK, with data or without, until CWR; at once in both cases.
func TestC104ReceiverEchoesUntilCWR(t *testing.T) {
	d := ecnDialogue(t, 10)
	d.c.rcv.quick = 0
	d.recv(ACK, octets(100))
	d.quiet(delayedAck-1, "a delayed ACK")
	d.recv(ACK, octets(100), marked)
	d.want("not delayed", ACK|ECE)
	d.recv(ACK, octets(100))
	d.want("still", ACK|ECE)
	d.write(10)
	d.want("on data", PSH|ACK|ECE, octets(10))
	d.recv(ACK)
	d.recv(ACK|CWR, octets(100))
	d.want("no more, at once", ACK)
	d.c.rcv.quick = 0
	d.recv(ACK, octets(100))
	d.wantAfter(delayedAck, "nor later", ACK)
	d.recv(ACK, octets(100), marked)
	d.want("once more", ACK|ECE)
	d.recv(ACK|CWR, octets(100), marked)
	d.want("what says CWR is marked itself", ACK|ECE)
	d.recv(ACK|CWR, octets(100))
	d.want("until the next", ACK)
	d.recv(ACK, seq(d.peer+100), octets(100), marked)
	d.c.rcv.ooo = nil
	if s := d.ignore(); len(s) != 1 || s[0].Flags != ACK|ECE {
		d.failf("out of order, but in the window")
	}
	d.end()
}

// Section 6.1.5: "the TCP data receiver SHOULD ignore the CE codepoint on out-of-window
// packets"; and pure ACKs can't be marked.
func TestC104MarksThatDoNotCount(t *testing.T) {
	d := ecnDialogue(t, 10)
	d.recv(ACK, octets(100))
	d.want("ACK", ACK)
	d.recv(ACK, marked)
	d.recv(ACK, seq(1), octets(100), marked)
	d.want("of an old segment", ACK)
	d.recv(ACK, seq(1_000_000), octets(100), marked)
	d.want("of one beyond the window", ACK)
	d.recv(ACK, octets(100))
	d.want("no ECE", ACK)
	d.recv(RST, seq(d.peer), marked)
	d.wantState(Closed)
}

// Section 6.1.2: one reduction for a window of data, told by CWR on the first new segment.
func TestC104SenderReducesOnceInAWindow(t *testing.T) {
	d := ecnDialogue(t, 10)
	d.batch(func() { d.write(40_000) })
	for range 10 {
		d.capable("new data", ACK, 1000, true)
	}
	d.recv(ACK|ECE, ack(1001))
	after := reducedTo(10_000)
	d.wantWindow("the first", after, after)
	if s := d.c.Info(d.now).CAState; s != CACWR {
		d.failf("TCP_INFO: state %d", s)
	}
	d.wantNothing("9000 octets are in flight")
	d.recv(ACK|ECE, ack(2001))
	d.wantWindow("the second of this window", after, after)
	d.ignore()
	d.recv(ACK|ECE, ack(6001))
	d.wantWindow("the third", after, after)
	s := d.ignore()
	cwr := 0
	for i := range s {
		if s[i].Flags&CWR != 0 {
			cwr++
			if s[i].Seq-d.iss != 10_001 || s[i].ECN != 2 {
				d.failf("CWR on %d, codepoint %d", s[i].Seq-d.iss, s[i].ECN)
			}
		}
	}
	if cwr != 1 {
		d.failf("%d segments with CWR among %d", cwr, len(s))
	}
	d.recv(ACK|ECE, ack(10_001)) // what was acknowledged was sent before CWR
	d.wantWindow("the last of this window", after, after)
	for _, x := range d.ignore() {
		if x.Flags&CWR != 0 {
			d.failf("CWR again")
		}
	}
	d.recv(ACK|ECE, ack(11_001))
	d.wantWindow("the next window", reducedTo(after), reducedTo(after))
	d.end()
}

// "The sending TCP SHOULD NOT increase the congestion window in response to the receipt of an
// ECN-Echo ACK packet", of which those after the reduction are some.
func TestC104NoGrowthByECE(t *testing.T) {
	d := ecnDialogue(t, 10)
	d.batch(func() { d.write(40_000) })
	d.ignore()
	d.recv(ACK|ECE, ack(1001))
	w := d.c.cc.cwnd
	for d.nxt < 38_000 {
		d.ignore()
		d.recv(ACK|ECE, ack(min(d.c.snd.una-d.iss+1000, 10_001)))
		if d.c.cc.cwnd != w {
			d.failf("cwnd grows from %d to %d", w, d.c.cc.cwnd)
		}
		if d.c.snd.una-d.iss == 10_001 {
			break
		}
	}
	d.end()
}

// An echo of what was never asked for says nothing.
func TestC104ECEWithoutECN(t *testing.T) {
	if !feature.ECN {
		t.Skip("needs feature ecn")
	}
	d := newDialogue(t, withECN(ECNAnswer))
	d.connect(mss(1000))
	d.slow(10)
	d.batch(func() { d.write(20_000) })
	d.ignore()
	d.recv(ACK|ECE, ack(1001))
	if d.c.cc.cwnd < 10_000 {
		d.failf("cwnd %d", d.c.cc.cwnd)
	}
	for _, x := range d.ignore() {
		if x.Flags&CWR != 0 || x.ECN != 0 {
			d.failf("%s", d.show(&x))
		}
	}
	d.end()
}

// "When an ECN-Capable TCP sender reduces its congestion window for any reason", it says CWR, on
// new data only; and ECE in the answer to a loss is no reason for more.
func TestC104LossIsToldAndNotAnsweredTwice(t *testing.T) {
	for _, sacked := range []bool{false, true} {
		if sacked && !feature.SACK {
			continue
		}
		var options []part
		if sacked {
			options = append(options, rawOptions(optNop, optNop, optSACKPermitted, 2))
		}
		d := ecnDialogue(t, 10, options...)
		d.batch(func() { d.write(40_000) })
		d.ignore()
		d.advance(100 * ms)
		n := uint32(10_001)
		var out []sent
		for i := range uint32(4) { // 1 to 1000 is lost
			if sacked {
				d.recv(ACK, ack(1), d.sacks(1001, 2001+1000*i))
			} else {
				d.recv(ACK, ack(1))
			}
			out = append(out, d.ignore()...)
		}
		after := d.c.cc.ssthresh
		if after >= n || d.c.flags&flagRecovery == 0 {
			d.failf("no recovery")
		}
		resent := false
		for _, x := range out {
			old := before(x.Seq-d.iss, n)
			resent = resent || old
			if old && (x.ECN != 0 || x.Flags&CWR != 0) || !old && x.ECN == 0 {
				d.failf("%s, codepoint %d", d.show(&x), x.ECN)
			}
		}
		if !resent {
			d.failf("nothing sent again")
		}
		end := d.nxt
		if sacked {
			d.recv(ACK|ECE, ack(1), d.sacks(1001, 8001))
		} else {
			d.recv(ACK|ECE, ack(1))
		}
		if d.c.cc.ssthresh != after {
			d.failf("SACK %v: ssthresh %d after ECE, want %d", sacked, d.c.cc.ssthresh, after)
		}
		s := d.ignore()
		d.recv(ACK|ECE, ack(end))
		if d.c.cc.ssthresh != after || d.c.flags&flagRecovery != 0 {
			d.failf("SACK %v: ssthresh %d at the end, want %d", sacked, d.c.cc.ssthresh, after)
		}
		cwr := 0
		for _, x := range append(s, d.ignore()...) {
			if x.Flags&CWR != 0 {
				cwr++
			}
		}
		if cwr > 1 {
			d.failf("%d times CWR", cwr)
		}
		d.end()
	}
}

// "the TCP source should not decrease the slow-start threshold, ssthresh, if it has been decreased
// within the last round trip time": nor for a loss after ECE.
func TestC104LossAfterECEDoesNotReduceAgain(t *testing.T) {
	for _, sacked := range []bool{false, true} {
		if sacked && !feature.SACK {
			continue
		}
		var options []part
		if sacked {
			options = append(options, rawOptions(optNop, optNop, optSACKPermitted, 2))
		}
		d := ecnDialogue(t, 10, options...)
		d.batch(func() { d.write(40_000) })
		d.ignore()
		d.advance(100 * ms)
		d.recv(ACK|ECE, ack(1001))
		after := reducedTo(10_000)
		d.wantWindow("ECE", after, after)
		for i := range uint32(4) { // 1001 to 2000 is lost
			if sacked {
				d.recv(ACK|ECE, ack(1001), d.sacks(2001, 3001+1000*i))
			} else {
				d.recv(ACK|ECE, ack(1001))
			}
			d.ignore()
		}
		if d.c.flags&flagRecovery == 0 || d.c.cc.ssthresh+1 < after {
			d.failf("SACK %v: ssthresh %d, want %d", sacked, d.c.cc.ssthresh, after)
		}
		d.end()
	}
}

// A timeout is no less one: a window of one segment, ssthresh as it is if ECE has just lowered it,
// and CWR on the first new data.
func TestC104Timeout(t *testing.T) {
	for _, echoed := range []bool{false, true} {
		d := ecnDialogue(t, 10)
		d.batch(func() { d.write(12_000) })
		d.ignore()
		una := uint32(1)
		if echoed {
			una = 1001
			d.recv(ACK|ECE, ack(una))
			d.ignore()
		}
		want := d.c.cc.ssthresh
		if !echoed {
			want = reducedTo(10_000)
		}
		d.wantAfter(d.c.Deadline()-d.now, "the first again", ACK, seq(una), octets(1000))
		d.wantWindow("after the timeout", 1000, want)
		d.recv(ACK|ECE, ack(una))
		d.ignore()
		d.wantWindow("an echo changes nothing", 1000, want)
		d.recv(ACK|ECE, ack(10_001))
		s := d.ignore()
		if len(s) == 0 || s[0].Seq-d.iss != 10_001 || s[0].Flags&CWR == 0 || s[0].ECN != 2 {
			d.failf("no CWR on the first new data: %d segments", len(s))
		}
		if d.c.cc.ssthresh+1 < want {
			d.failf("ssthresh %d, want %d", d.c.cc.ssthresh, want)
		}
		d.end()
	}
}

// "the sending TCP MUST reset the retransmit timer on receiving the ECN-Echo packet when the
// congestion window is one. The sending TCP will then be able to send a new packet only when the
// retransmit timer expires."
func TestC104WindowOfOneSegment(t *testing.T) {
	d := ecnDialogue(t, 1)
	d.batch(func() { d.write(3000) })
	d.capable("the first", ACK, 1000, true)
	d.advance(50 * ms)
	d.recv(ACK|ECE, ack(1001))
	d.wantWindow("no less than one", 1000, 2000)
	wait := d.c.rtt.rto()
	d.quiet(wait-1, "waits for the timer")
	d.advance(1)
	x := d.want("CWR", ACK|CWR, octets(1000))
	if x.ECN != 2 {
		d.failf("codepoint %d", x.ECN)
	}
	d.advance(50 * ms)
	d.recv(ACK, ack(2001))
	d.want("goes on without ECE", PSH|ACK, octets(1000))
	d.recv(ACK)
}

// RFC 9438 section 4.6: the window may be one segment after ECE; ssthresh may not.
func TestC104SmallWindows(t *testing.T) {
	d := ecnDialogue(t, 3)
	d.batch(func() { d.write(20_000) })
	d.ignore()
	w := uint32(3000)
	for w > 1000 {
		d.recv(ACK|ECE, ack(d.nxt))
		before := w
		if w = d.c.cc.cwnd; w >= before || w < 1000 || d.c.cc.ssthresh < 2000 {
			d.failf("cwnd %d after %d, ssthresh %d", w, before, d.c.cc.ssthresh)
		}
		d.ignore()
		if d.c.ecn[:][0]&ecnHold != 0 {
			d.failf("waits for the timer with a window of more than one segment")
		}
	}
	d.end()
}

// Section 6.1.6: a window probe is not ECN-capable; nor is a FIN by itself, or an ACK: the dialogue
// sees to that, whatever is sent.
func TestC104ProbesAreNotCapable(t *testing.T) {
	d := ecnDialogue(t, 10)
	d.write(1000)
	d.capable("data", PSH|ACK, 1000, true)
	d.recv(ACK, win(0))
	d.write(10)
	d.wantAfter(d.c.Deadline()-d.now, "a probe", ACK, seq(1000))
	d.recv(ACK, win(60000))
	d.capable("data", PSH|ACK, 10, true)
	d.recv(ACK)
	d.closeWrite()
	d.want("FIN", FIN|ACK)
	d.recv(ACK)
}

// Nothing was lost: the peer need not know of a reduction that was taken back, and if a mark comes
// meanwhile it is not.
func TestC104UndoneTimeout(t *testing.T) {
	if !feature.FRTO {
		t.Skip("needs feature frto")
	}
	for _, echo := range []Flags{0, ECE} {
		d := ecnDialogue(t, 10)
		d.batch(func() { d.write(30_000) })
		d.ignore()
		d.c.flags |= flagTLPOut
		d.c.flags &^= flagTLP
		d.c.timer.rtxAt = d.now + 300*ms
		d.wantAfter(300*ms, "the first again", ACK, seq(1), octets(1000))
		if echo == 0 {
			d.recv(ACK, ack(1001))
			d.ignore()
			d.recv(ACK, ack(2001))
			d.ignore()
			if d.c.cc.ssthresh < 10_000 {
				d.failf("ssthresh %d", d.c.cc.ssthresh)
			}
			if d.c.ecn[:][0]&(ecnCWR|ecnWindow) != 0 {
				d.failf("a reduction that was undone is told")
			}
		} else {
			d.recv(ACK|ECE, ack(1001))
			d.ignore()
			d.recv(ACK|ECE, ack(2001))
			d.ignore()
			if d.c.cc.ssthresh >= 10_000 {
				d.failf("ssthresh %d: undone in spite of ECE", d.c.cc.ssthresh)
			}
		}
		d.end()
	}
}
