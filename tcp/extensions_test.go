package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

func needWScale(t *testing.T) {
	t.Helper()
	if !feature.WScale {
		t.Skip("needs feature wscale")
	}
}

func needTimestamps(t *testing.T) {
	t.Helper()
	if !feature.Timestamps {
		t.Skip("needs feature timestamps")
	}
}

func TestC100ShiftFitsTheBuffer(t *testing.T) {
	for _, c := range []struct {
		n     uint32
		shift uint8
	}{{0, 0}, {65535, 0}, {65536, 1}, {131071, 1}, {131072, 2}, {1 << 20, 5}, {65535 << 14, 14}, {1 << 30, 14}, {1<<32 - 1, 14}} {
		if got := wscaleFor(c.n); got != c.shift {
			t.Errorf("%d: %d, want %d", c.n, got, c.shift)
		}
	}
}

func TestC100WindowScaleOnlyIfBothSentIt(t *testing.T) {
	needWScale(t)
	d := newDialogue(t, withRcvBuf(1<<20))
	d.open()
	d.wantSyn("SYN")
	d.recv(SYN|ACK, mss(1460))
	d.want("not scaled", ACK, win(65535))
	d.recv(ACK, win(40000))
	if d.c.snd.wnd != 40000 || d.c.rcv.wscale != 0 || d.c.snd.wscale != 0 {
		d.failf("window %d, shifts %d and %d", d.c.snd.wnd, d.c.rcv.wscale, d.c.snd.wscale)
	}
}

func TestC100WindowsOfSynAreNotScaled(t *testing.T) {
	needWScale(t)
	d := newDialogue(t, withRcvBuf(1<<20), withMemory(4<<20))
	d.open()
	d.wantSyn("SYN")
	d.recv(SYN|ACK, mss(1460), wscale(7), win(5000))
	if d.c.snd.wnd != 5000 {
		d.failf("window %d", d.c.snd.wnd)
	}
	d.want("ours is, now", ACK, win((1<<20)>>5))
	d.recv(ACK, win(5000))
	if d.c.snd.wnd != 5000<<7 {
		d.failf("window %d", d.c.snd.wnd)
	}
	// The right edge from our SYN was 65535 at most; now it is a MiB ahead.
	d.recv(ACK, seq(1<<20-10), octets(5))
	d.want("in the window", ACK, ack(1))
}

func TestC100ShiftAbove14Is14(t *testing.T) {
	needWScale(t)
	for _, shift := range []int{14, 15, 16, 100, 255} {
		d := newDialogue(t)
		d.connect(mss(1460), wscale(shift))
		d.recv(ACK, win(65535))
		if d.c.snd.wnd != 65535<<14 {
			d.failf("shift %d: window %d", shift, d.c.snd.wnd)
		}
	}
}

func TestC100ShiftOfZeroIsInUse(t *testing.T) {
	needWScale(t)
	d := newDialogue(t, withRcvBuf(1<<20))
	d.connect(mss(1460), wscale(0))
	d.recv(ACK, win(1000))
	if d.c.snd.wnd != 1000 || d.c.rcv.wscale != 5 {
		d.failf("window %d, our shift %d", d.c.snd.wnd, d.c.rcv.wscale)
	}
}

func TestC100OptionOutsideOfSynMeansNothing(t *testing.T) {
	needWScale(t)
	d := newDialogue(t)
	d.connect(mss(1460), wscale(2))
	d.recv(ACK, win(1000), wscale(9))
	if d.c.snd.wnd != 4000 {
		d.failf("window %d", d.c.snd.wnd)
	}
}

func TestC100PassiveSideAnswersTheOption(t *testing.T) {
	needWScale(t)
	d := newDialogue(t, withRcvBuf(1<<20))
	d.accept(mss(1460), wscale(3))
	d.want("SYN-ACK with it", SYN|ACK, seq(0), mss(1460), wscale(5))
	d.recv(ACK, win(1000))
	if d.c.snd.wnd != 8000 {
		d.failf("window %d", d.c.snd.wnd)
	}
	d = newDialogue(t, withRcvBuf(1<<20))
	d.accept(mss(1460))
	d.want("SYN-ACK without it", SYN|ACK, seq(0), mss(1460))
	d.recv(ACK, win(1000))
	if d.c.snd.wnd != 1000 {
		d.failf("window %d", d.c.snd.wnd)
	}
}

// stamped returns a dialogue with timestamps.
func stamped(t *testing.T, opts ...dialogueOption) *dialogue {
	t.Helper()
	needTimestamps(t)
	d := newDialogue(t, opts...)
	d.tsOn = true
	d.open()
	d.wantSyn("SYN")
	d.advance(100 * ms)
	d.recv(SYN|ACK, mss(1460))
	d.want("ACK", ACK, ts(d.myTS(), d.tsNow()))
	d.wantState(Established)
	d.wantEvents(Opened | Writable)
	return d
}

// myTS is our timestamp clock.
func (d *dialogue) myTS() uint32 { return uint32(d.now/ms) + d.tsOf }

func TestC101TimestampsOnlyIfBothSentThem(t *testing.T) {
	needTimestamps(t)
	d := established(t) // checks that every segment has no options
	d.write(10)
	d.want("data", PSH|ACK, octets(10))
	if d.c.MSS() != 1460 {
		d.failf("MSS %d", d.c.MSS())
	}
	d.recv(ACK, ts(1, 1)) // nor do they begin later
	d.write(10)
	d.want("data", PSH|ACK, octets(10))
}

func TestC101TimestampsInEverySegmentButRST(t *testing.T) {
	d := stamped(t)
	d.write(2000)
	d.want("data", ACK, octets(1448), ts(d.myTS(), d.tsNow()))
	d.want("data", PSH|ACK, octets(552), ts(d.myTS(), d.tsNow()))
	d.advance(10 * ms)
	d.recv(ACK, octets(10))
	d.want("ACK", ACK, ts(d.myTS(), d.tsNow()))
	d.closeWrite()
	d.want("FIN", FIN|ACK, ts(d.myTS(), d.tsNow()))
	d.abort()
	d.want("RST", RST|ACK, noTS)
}

func TestC101EchoOfTheEarliestUnacknowledged(t *testing.T) {
	d := stamped(t)
	d.c.SetQuickAck(false)
	first := d.tsNow()
	d.recv(ACK, octets(100))
	d.advance(10 * ms)
	d.recv(ACK, octets(100))
	d.advance(10 * ms)
	d.recv(ACK, octets(100))
	d.advance(20 * ms)
	d.want("delayed ACK: the first's", ACK, ecr(first))
	d.advance(10 * ms)
	d.recv(ACK, octets(100))
	d.advance(40 * ms)
	d.want("and now the fourth's", ACK, ecr(d.tsNow()-40))
}

func TestC101EchoWithAHole(t *testing.T) {
	// RFC 7323 section 4.3, case B: A hole, "the timestamp from the last segment
	// that advanced the window".
	d := stamped(t)
	a := d.tsNow()
	d.recv(ACK, octets(100))
	d.want("A", ACK, ecr(a))
	d.advance(ms)
	d.recv(ACK, seq(201), octets(100))
	d.want("C: still A's", ACK, ack(101), ecr(a))
	d.advance(ms)
	b := d.tsNow()
	d.recv(ACK, seq(101), octets(100))
	d.want("B fills the hole", ACK, ack(301), ecr(b))
	d.advance(ms)
	d.recv(ACK, seq(401), octets(100))
	d.want("E: B's", ACK, ack(301), ecr(b))
	d.peer = 301
}

func TestC101RetransmissionMeasuredByEcho(t *testing.T) {
	d := stamped(t)
	d.write(100)
	d.want("data", PSH|ACK, octets(100))
	d.advance(rto)
	again := d.want("again", PSH|ACK, seq(1), octets(100))
	d.advance(50 * ms)
	d.recv(ACK, ts(d.tsNow(), again.TSVal))
	if got := d.c.rtt.srtt; got != 100000*7/8+50000/8 {
		d.failf("SRTT is %d us", got)
	}
}

func TestC102PAWSDropsOlder(t *testing.T) {
	d := stamped(t)
	d.recv(ACK, octets(100))
	d.want("quick ACK", ACK)
	recent := d.tsNow()
	for _, v := range []uint32{recent - 1, recent - 1000, recent + 1<<31 + 1} {
		d.recv(ACK, octets(100), ts(v, d.ecr), seq(101))
		d.want("not acceptable: an ACK in reply", ACK, ack(101), ecr(recent))
		d.recv(ACK, ts(v, d.ecr), seq(101), win(5))
		d.wantNothing("a pure ACK of old: silence")
	}
	if d.c.Buffered() != 100 || d.c.snd.wnd == 5 {
		d.failf("%d octets to read, window %d", d.c.Buffered(), d.c.snd.wnd)
	}
	d.peer = 101
	d.recv(ACK, octets(100), ts(recent, d.ecr)) // equal is good
	d.want("quick ACK", ACK, ack(201))
	d.recv(ACK, octets(100), ts(recent+1<<31-1, d.ecr)) // as new as can be
	d.want("quick ACK", ACK, ack(301))
}

func TestC102PAWSAcrossTheWrap(t *testing.T) {
	d := stamped(t)
	old := d.tsNow
	_ = old
	v := uint32(0xffff_fffe)
	timestampsOf(&d.c).recent = v - 5
	for i := range uint32(4) {
		d.recv(ACK, octets(10), ts(v+i, d.ecr))
		d.want("newer, over the wrap", ACK, ecr(v+i))
	}
	d.recv(ACK, octets(10), ts(v, d.ecr), seq(41))
	d.want("older", ACK, ack(41))
	d.peer = 41
}

func TestC102PAWSNotForRST(t *testing.T) {
	d := stamped(t)
	d.recv(RST, ts(d.tsNow()-100000, 0))
	d.wantErr(errno.ECONNRESET)
	d = stamped(t)
	d.recv(RST, noTS)
	d.wantErr(errno.ECONNRESET)
}

func TestC102TSRecentInvalidAfter24Days(t *testing.T) {
	for _, c := range []struct {
		idle pkt.Time
		ok   bool
	}{{23 * 24 * 3600 * sec, false}, {24*24*3600*sec - 10*sec, false}, {24*24*3600*sec + 2*sec, true}, {25 * 24 * 3600 * sec, true}} {
		d := stamped(t)
		d.recv(ACK, octets(10))
		d.want("quick ACK", ACK)
		old := d.tsNow() - 1 // the peer's clock has stood still, or turned
		d.quiet(c.idle, "idle")
		d.recv(ACK, octets(10), ts(old, d.ecr))
		if !c.ok {
			d.want("older", ACK, ack(11))
			d.peer = 11
			continue
		}
		d.want("TS.Recent is not to be trusted", ACK, ack(21), ecr(old))
	}
}

func TestC102SegmentWithoutTimestampIsDropped(t *testing.T) {
	d := stamped(t)
	d.recv(ACK, octets(10), noTS)
	d.wantNothing("silently")
	d.recv(FIN|ACK, noTS, seq(1))
	d.wantNothing("silently")
	if d.c.Buffered() != 0 {
		d.failf("%d octets to read", d.c.Buffered())
	}
	d.peer = 1
	d.recv(ACK, octets(10))
	d.want("quick ACK", ACK, ack(11))
}

func TestC102UnacceptableSegmentDoesNotSetTSRecent(t *testing.T) {
	d := stamped(t)
	recent := timestampsOf(&d.c).recent
	d.recv(ACK, seq(1<<30), octets(1), ts(recent+1000, 0)) // out of the window
	d.want("ACK", ACK, ack(1), ecr(recent))
	d.recv(ACK, seq(1), ack(1<<30), ts(recent+1000, 0)) // acknowledges too much
	d.want("ACK", ACK, ack(1), ecr(recent))
	d.recv(ACK, seq(50), octets(1), ts(recent+1000, 0)) // ahead of Last.ACK.sent
	d.want("ACK", ACK, ack(1), ecr(recent))
}

func TestC103TimestampOffsetPerConnection(t *testing.T) {
	k := Secret{3, 4}
	_, a := k.ISN(0, here, there)
	other := there
	other.Port++
	_, b := k.ISN(0, here, other)
	if a == b {
		t.Error("two connections, one offset")
	}
	if _, c := k.ISN(1000*sec, here, there); c != a {
		t.Error("the offset of a pair changes: RFC 6191 wants it to last")
	}
}

func TestC103ClockOf1ms(t *testing.T) {
	ts := timestamps{offset: 5}
	if ts.clock(1500*ms)-ts.clock(500*ms) != 1000 {
		t.Error("not a millisecond")
	}
	if ts.elapsed(700*ms, ts.clock(200*ms)) != 500*ms {
		t.Error("elapsed")
	}
}

func TestC105ECNBitsInSynIgnored(t *testing.T) {
	d := newDialogue(t)
	d.accept(mss(1460))
	d.want("SYN-ACK", SYN|ACK, seq(0), mss(1460))

	d = newDialogue(t)
	d.open()
	d.wantSyn("plain: no ECE, no CWR")
	d.recv(SYN|ACK|ECE, mss(1460))
	d.want("ACK", ACK)
	d.recv(ACK|ECE|CWR, octets(10))
	d.want("plain ACK", ACK)
	d.write(10)
	d.want("plain data", PSH|ACK, octets(10))
	d.recv(ACK | ECE)
	if d.c.Unacked() != 0 {
		d.failf("not taken")
	}
}

func TestC105EcnSetupSynIsAnsweredPlainly(t *testing.T) {
	if !feature.Listen {
		t.Skip("needs feature listen")
	}
	d := newDialogue(t)
	d.env.ECN = ECNOff
	s := Segment{Flags: SYN | ECE | CWR, Seq: d.irs, Wnd: 1000, MSS: 1460, WScale: -1}
	d.peer = 1
	d.c.Accept(d.now, &s, here, there, 1460, d.iss, d.tsOf)
	d.pump()
	d.want("plain SYN-ACK", SYN|ACK, seq(0), mss(1460))
}

func TestC108TTLAndTOSAreOptionsOfTheConnection(t *testing.T) {
	d := established(t)
	d.c.Options.TTL, d.c.Options.TOS = 3, 0x20 // also during the connection; package stack reads them
	if d.c.Options.TTL != 3 || d.c.Options.TOS != 0x20 {
		d.failf("%+v", d.c.Options)
	}
	d.closeWrite()
	d.want("FIN", FIN|ACK)
	d.recv(FIN | ACK)
	d.want("ACK", ACK)
	if w := d.c.TimeWait(d.now); w.TTL != 3 || w.TOS != 0x20 {
		d.failf("TIME-WAIT forgets them")
	}
}

func TestC109BuffersChangeDuringTheConnection(t *testing.T) {
	d := established(t, withRcvBuf(10000))
	d.recv(ACK, octets(1000))
	d.want("quick ACK", ACK, win(9000))
	d.c.Options.RcvBuf = 4000 // smaller: what is promised stays promised
	d.recv(ACK, octets(1000))
	d.want("quick ACK", ACK, win(8000))
	d.wantRead(2000)
	for range 5 {
		d.recv(ACK, octets(1460))
		d.ignore()
	}
	d.wantRead(d.c.Buffered())
	d.ignore()
	d.c.Options.RcvBuf = 60000
	d.recv(ACK, octets(10))
	d.want("larger", ACK, win(59990))
	d.c.Options.SndBuf = 100
	if n := d.tryWrite(5000); n != 100 {
		d.failf("wrote %d into a buffer of 100", n)
	}
	d.want("data", PSH|ACK, octets(100))
	d.c.Options.SndBuf = 50
	if n := d.tryWrite(5000); n != 0 {
		d.failf("wrote %d into a full buffer", n)
	}
	d.recv(ACK)
	d.wantEvents(Readable | Writable)
}

func TestSACKBlocksLeaveRoomForDataOnTheSmallestMTU(t *testing.T) {
	if !feature.On("sack") {
		t.Skip("needs feature sack")
	}
	for _, mtu := range []int{68, 80, 100, 296} {
		for _, syn := range [][]part{{mss(1460), rawOptions(optNop, optNop, 4, 2)}, {mss(1460), ts(1, 0), rawOptions(optNop, optNop, 4, 2)}} {
			d := newDialogue(t, withMTU(mtu))
			d.open()
			d.wantSyn("SYN")
			d.recv(SYN|ACK, syn...)
			d.ignore()
			d.tsOn = d.c.flags&flagTS != 0
			for i := range uint32(5) { // holes, to be reported
				d.recv(ACK, seq(101+20*i), octets(10))
				d.ignore()
			}
			d.write(400) // the dialogue checks the sizes
			if x := d.ignore(); len(x) == 0 || len(x[0].Payload) == 0 {
				d.failf("no data on an MTU of %d", mtu)
			}
			d.recv(ACK)
			d.ignore()
			d.recv(ACK)
			d.ignore()
		}
	}
}
