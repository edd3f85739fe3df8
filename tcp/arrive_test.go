package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// smallWindow returns a dialogue whose receive window is 1000 octets, of which
// filled are used by data that nobody reads.
func smallWindow(t *testing.T, filled int) *dialogue {
	t.Helper()
	d := established(t, withRcvBuf(1000))
	if filled > 0 {
		d.recv(ACK, octets(filled))
		d.want("quick ACK", ACK, win(uint32(1000-filled)))
	}
	return d
}

// Table 6 of RFC 9293 section 3.10.7.4, each side of each edge.
func TestC62AcceptabilityOfFourCases(t *testing.T) {
	for _, c := range []struct {
		what   string
		filled int // of 1000
		seq    int // from RCV.NXT
		n      int
		ok     bool
	}{
		{"length 0, window 0, at RCV.NXT", 1000, 0, 0, true},
		{"length 0, window 0, behind it", 1000, 1, 0, false},
		{"length 0, window 0, before it", 1000, -1, 0, false},
		{"length 0, at RCV.NXT", 0, 0, 0, true},
		{"length 0, last of the window", 0, 999, 0, true},
		{"length 0, right edge", 0, 1000, 0, false},
		{"length 0, before", 0, -1, 0, false},
		{"length 0, far away", 0, 1 << 30, 0, false},
		{"length 1, window 0, at RCV.NXT: valid ACKs count", 1000, 0, 1, true},
		{"length 1, window 0, before", 1000, -1, 1, false},
		{"length 1, window 0, behind", 1000, 1, 1, false},
		{"begins in the window", 0, 999, 5, true},
		{"begins at its end", 0, 1000, 5, false},
		{"ends in the window", 0, -5, 6, true},
		{"ends before it", 0, -5, 5, false},
		{"begins before and ends behind", 900, -5, 200, true},
		{"wholly before", 500, -100, 50, false},
	} {
		d := smallWindow(t, c.filled)
		// Whether it was accepted shows by its ACK, which acknowledges our octet.
		d.write(1)
		d.want("an octet", PSH|ACK, octets(1))
		base := uint32(1 + c.filled)
		d.recv(ACK, seq(base+uint32(c.seq)), octets(c.n))
		x := d.ignore()
		if got := d.c.snd.una == d.c.snd.nxt; got != c.ok {
			d.failf("%s: accepted %v, want %v", c.what, got, c.ok)
		}
		if !c.ok && (len(x) != 1 || x[0].Flags != ACK || x[0].Seq-d.iss != 2 || x[0].Ack-d.irs != base) {
			d.failf("%s: not answered with <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>", c.what)
		}
	}
}

func TestC62UnacceptableResetIsNotAnswered(t *testing.T) {
	d := smallWindow(t, 0)
	for _, n := range []uint32{1001, 1002, 0, 0xffff_fff0, 1 << 30, 1 << 31} {
		d.recv(RST, seq(n))
		d.recv(RST|ACK, seq(n))
		d.wantNothing("RST out of the window")
		d.wantState(Established)
	}
}

func TestC63ZeroWindowStillTakesACK(t *testing.T) {
	d := smallWindow(t, 1000)
	d.write(10)
	d.want("data flows the other way", PSH|ACK, octets(10), win(0))
	d.recv(ACK, octets(5), win(777))
	d.want("none of its data", ACK, ack(1001), win(0))
	if d.c.snd.una != d.c.snd.nxt || d.c.snd.wnd != 777 {
		d.failf("its ACK or window was not taken")
	}
}

func TestC63ZeroWindowStillTakesRST(t *testing.T) {
	d := smallWindow(t, 1000)
	d.recv(RST, seq(1001))
	d.wantErr(errno.ECONNRESET)
	d.wantRead(1000) // what was acknowledged is still there
	d.wantReadErr(0)
}

func TestC63ZeroWindowStillTakesURG(t *testing.T) {
	if !feature.Urgent {
		t.Skip("needs feature urgent")
	}
	d := smallWindow(t, 1000)
	d.c.TakeEvents()
	d.recv(ACK|URG, seq(1001), urg(7))
	d.wantEvents(Urgent)
}

func TestC63AfterFinInZeroWindowNothingElseIs(t *testing.T) {
	d := smallWindow(t, 1000)
	d.recv(ACK|FIN, seq(1001))
	d.want("the FIN needs no buffer", ACK, ack(1002), win(0))
	d.wantState(CloseWait)
	d.write(1)
	d.want("an octet", PSH|ACK, octets(1), win(0))
	for _, n := range []uint32{1003, 5000, 1 << 30, 1 << 31, 1001} {
		d.recv(ACK, seq(n)) // not acceptable: its ACK must not count
		d.want("ACK", ACK, ack(1002))
		if d.c.snd.una == d.c.snd.nxt {
			d.failf("a segment at %d was accepted", n)
		}
	}
	d.recv(ACK, seq(1002))
	if d.c.snd.una != d.c.snd.nxt {
		d.failf("the right one was not")
	}
}

func TestC64RSTExactSequenceResets(t *testing.T) {
	for _, f := range []Flags{RST, RST | ACK, RST | PSH | ACK, RST | FIN | ACK, RST | SYN | ACK} {
		d := established(t)
		d.write(100)
		d.want("data", PSH|ACK, octets(100))
		d.recv(f, seq(1), ack(5)) // whatever its ACK
		d.wantNothing("a reset is not answered")
		d.wantErr(errno.ECONNRESET)
		if d.mem.Used() != 0 {
			d.failf("%d bytes held", d.mem.Used())
		}
	}
}

func TestC64RSTInWindowIsChallenged(t *testing.T) {
	d := established(t, withRcvBuf(1000))
	for _, n := range []uint32{2, 3, 500, 1000} {
		d.recv(RST, seq(n))
		d.want("challenge ACK", ACK, seq(1), ack(1))
		d.wantState(Established)
	}
}

func TestC64RSTOutsideIsDropped(t *testing.T) {
	d := established(t, withRcvBuf(1000))
	for _, n := range []uint32{0, 1001, 1002, 0xffff_ffff} {
		d.recv(RST, seq(n))
		d.wantNothing("outside of the window")
		d.wantState(Established)
	}
}

// inState returns a dialogue in state s: the peer's next sequence number is
// d.peer, ours d.nxt.
func inState(t *testing.T, s State) *dialogue {
	t.Helper()
	if s == SynReceived {
		d := newDialogue(t)
		d.open()
		d.wantSyn("SYN")
		d.recv(SYN, mss(1460))
		d.want("SYN-ACK", SYN|ACK, synAckOptions(d, seq(0), ack(1))...)
		return d
	}
	d := established(t)
	fin := func() { d.want("FIN", FIN|ACK) }
	switch s {
	case FinWait1:
		d.closeWrite()
		fin()
	case FinWait2:
		d.closeWrite()
		fin()
		d.recv(ACK)
	case CloseWait:
		d.recv(FIN | ACK)
		d.want("ACK", ACK)
	case LastAck:
		d.recv(FIN | ACK)
		d.want("ACK", ACK)
		d.closeWrite()
		fin()
	case Closing:
		d.closeWrite()
		fin()
		d.recv(FIN|ACK, ack(1))
		d.want("ACK", ACK, seq(2))
	case TimeWait:
		d.closeWrite()
		fin()
		d.recv(FIN | ACK)
		d.want("ACK", ACK, seq(2))
	}
	d.wantState(s)
	d.c.TakeEvents()
	return d
}

var synchronized = []State{SynReceived, Established, FinWait1, FinWait2, CloseWait, LastAck, Closing, TimeWait}

func TestC64RSTInEveryState(t *testing.T) {
	for _, c := range []struct {
		s State
		e errno.Errno
	}{
		{SynReceived, errno.ECONNREFUSED}, {Established, errno.ECONNRESET}, {FinWait1, errno.ECONNRESET},
		{FinWait2, errno.ECONNRESET}, {CloseWait, errno.EPIPE}, {LastAck, 0}, {Closing, 0},
	} {
		d := inState(t, c.s)
		d.recv(RST)
		d.wantNothing("a reset is not answered")
		d.wantErr(c.e)

		d = inState(t, c.s)
		if c.s != CloseWait && c.s != LastAck && c.s != Closing { // else the window is over
			d.recv(RST, seq(d.peer+1))
			d.want("challenge ACK", ACK, seq(d.nxt))
		}
		d.recv(RST, seq(d.peer-1))
		d.wantNothing("before the window")
		d.wantState(c.s)
	}
}

func TestC76RSTInTimeWaitIsIgnored(t *testing.T) {
	d := inState(t, TimeWait)
	for _, n := range []uint32{0, 1, 2, 3, 1 << 31} {
		d.recv(RST, seq(n))
		d.recv(RST|ACK, seq(n))
	}
	d.ignore()
	d.wantState(TimeWait)
}

func TestC65SYNInEveryStateIsChallenged(t *testing.T) {
	for _, s := range synchronized {
		for _, n := range []uint32{0, 1, 2, 3, 1000, 100000, 1 << 31, 0xffff_0000} {
			d := inState(t, s)
			peer := d.peer
			d.recv(SYN, seq(n), mss(1000))
			d.want("challenge ACK", ACK, seq(d.nxt), ack(peer))
			d.wantState(s)
		}
	}
}

func TestC65SYNWithTheRightTimestampsMissing(t *testing.T) {
	if !feature.Timestamps {
		t.Skip("needs feature timestamps")
	}
	// A peer that has crashed and starts anew does not know of timestamps: RFC
	// 7323 has segments without them dropped, but then it would never find out.
	d := newDialogue(t)
	d.connect(mss(1460), ts(100, uint32(d.now/ms)+d.tsOf))
	d.recv(SYN, seq(55555), mss(1000), noTS)
	d.want("challenge ACK", ACK, seq(1), ack(1))
	d.recv(SYN, seq(55555), mss(1000), ts(1, 0))
	d.want("challenge ACK", ACK, seq(1), ack(1))
	d.peer = 1
}

func TestC66ACKRange(t *testing.T) {
	for _, c := range []struct {
		what string
		ack  uint32 // from SND.UNA
		ok   bool
	}{
		{"SND.UNA", 0, true},
		{"in flight", 50, true},
		{"SND.NXT", 100, true},
		{"beyond SND.NXT", 101, false},
		{"far beyond", 1 << 30, false},
		{"old, within MAX.SND.WND", 0xffff_ffff, true},
		{"the oldest that may be", 0x1_0000_0000 - 2000, true},
		{"older", 0x1_0000_0000 - 2001, false},
		{"half of the space away", 1 << 31, false},
	} {
		d := newDialogue(t)
		d.connect(mss(1460), win(2000))
		for range 3 {
			d.write(1460)
			d.want("data", PSH|ACK, octets(1460))
			d.recv(ACK, win(1999))
		}
		d.write(100)
		d.want("data", PSH|ACK, octets(100))
		una := d.nxt - 100
		d.recv(ACK|PSH, ack(una+c.ack), octets(10), win(1500))
		if !c.ok {
			d.want("challenge ACK", ACK, ack(1))
			if d.c.rcv.nxt-d.irs != 1 {
				d.failf("%s: its data was taken", c.what)
			}
			d.peer = 1
			continue
		}
		d.want("its data is taken", ACK, ack(11))
	}
}

func TestC67ChallengeACKsAreThrottledPerConnection(t *testing.T) {
	d := established(t)
	other := established(t)
	n := 0
	for range 100 {
		d.recv(SYN, seq(5000))
		n += len(d.ignore())
	}
	if n != challengeAcks {
		d.failf("%d challenge ACKs in a second", n)
	}
	other.recv(SYN, seq(5000))
	other.want("another connection has its own budget", ACK, seq(1), ack(1))
	d.advance(sec)
	d.recv(SYN, seq(5000))
	d.want("and so has the next second", ACK, seq(1), ack(1))
}

func TestC67ThrottledAtTimeZero(t *testing.T) {
	d := newDialogue(t)
	d.now = 0
	d.connect(mss(1460))
	n := 0
	for range 100 {
		d.recv(RST, seq(5000))
		n += len(d.ignore())
	}
	if n != challengeAcks {
		d.failf("%d challenge ACKs in a second", n)
	}
}

func TestC67NoACKWar(t *testing.T) {
	// Two ends out of step answer each other's ACKs: that must die down.
	d := established(t)
	n := 0
	for range 50 {
		d.recv(ACK, seq(30000000))
		n += len(d.ignore())
	}
	if n > challengeAcks {
		d.failf("%d ACKs for ACKs", n)
	}
}

func TestC68SegmentWithoutACKIsDropped(t *testing.T) {
	d := established(t)
	for _, f := range []Flags{0, FIN, PSH, URG, FIN | PSH | URG} {
		d.recv(f, seq(1), octets(10))
		d.wantNothing("dropped")
	}
	d.wantState(Established)
	if d.c.Buffered() != 0 {
		d.failf("its data was taken")
	}
	d.peer = 1
}

func TestC69WindowUpdateRule(t *testing.T) {
	d := established(t)
	d.write(10)
	d.want("data", PSH|ACK, octets(10))
	d.recv(ACK, octets(100), win(5000))
	d.want("quick ACK", ACK)
	d.recv(ACK, octets(100), win(4000))
	d.want("quick ACK", ACK)
	check := func(w uint32, why string) {
		t.Helper()
		if d.c.snd.wnd != w {
			d.failf("%s: window is %d, want %d", why, d.c.snd.wnd, w)
		}
	}
	check(4000, "SND.WL1 < SEG.SEQ")
	d.recv(ACK, win(4500))
	check(4500, "SND.WL1 < SEG.SEQ")
	d.recv(ACK, win(4600))
	check(4600, "SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK")
	d.recv(ACK, seq(150), octets(60), win(9000)) // older sequence number, some of it new
	check(4600, "an older segment")
	d.ignore()
	d.recv(ACK, ack(5), seq(210), win(100))
	check(4600, "an older ACK")
	d.peer = 210
}

func TestC69OldACKDoesNotMoveTheWindow(t *testing.T) {
	d := established(t)
	d.write(1460)
	d.want("data", PSH|ACK, octets(1460))
	d.recv(ACK, win(3000))
	d.recv(ACK, ack(1), win(60000))
	if d.c.snd.wnd != 3000 {
		d.failf("window is %d", d.c.snd.wnd)
	}
}

func TestC70OverlappingDataIsTrimmed(t *testing.T) {
	d := established(t)
	d.recv(ACK, octets(100))
	d.want("quick ACK", ACK, ack(101))
	d.recv(ACK, seq(1), octets(100))
	d.want("a repetition is acknowledged", ACK, ack(101))
	d.recv(ACK, seq(51), octets(100))
	d.want("the new half is taken", ACK, ack(151))
	d.recv(ACK, seq(1), octets(200))
	d.want("from before to behind", ACK, ack(201))
	d.wantRead(200)
	d.peer = 201
}

func TestC70FirstCopyStays(t *testing.T) {
	d := established(t)
	d.recv(ACK, seq(101), octets(100))
	d.want("out of order", ACK, ack(1))
	// The same octets and some around them, with other contents.
	evil := make([]byte, 200)
	for i := range evil {
		evil[i] = 0xee
	}
	copy(evil, stream(51, 50))
	copy(evil[150:], stream(201, 50))
	d.recv(ACK, seq(51), data(string(evil)))
	d.want("out of order", ACK, ack(1))
	d.recv(ACK, seq(1), octets(50))
	d.want("all there", ACK, ack(251))
	d.wantRead(250)
	d.recv(ACK, seq(151), data(string(evil[:150])))
	d.want("old and new", ACK, ack(301))
	d.peer = 301
	var p [50]byte
	d.c.Read(p[:])
	d.read += 50
	if p != [50]byte(evil[100:150]) {
		d.failf("new octets of a segment that begins with old ones")
	}
}

func TestC70DataBeyondTheWindowIsCut(t *testing.T) {
	d := smallWindow(t, 900)
	d.recv(ACK, octets(200), seq(901))
	d.want("the first 100", ACK, ack(1001), win(0))
	d.recv(ACK, seq(1101), octets(200))
	d.want("not acceptable", ACK, ack(1001), win(0))
	d.peer = 1001
	d.wantRead(1000)
	d.want("window update", ACK, win(1000))
}

func TestC70FinBeyondTheWindowIsCut(t *testing.T) {
	d := smallWindow(t, 900)
	d.recv(ACK|FIN, octets(200), seq(901))
	d.want("the first 100, not the FIN", ACK, ack(1001), win(0))
	d.wantState(Established)
	d.peer = 1001
	d.wantRead(1000)
	d.want("window update", ACK)
	d.recv(ACK|FIN, octets(100))
	d.want("ACK", ACK, ack(1102))
	d.wantState(CloseWait)
	d.wantRead(100)
	d.wantReadErr(0)
}

func TestC71OutOfOrderQueue(t *testing.T) {
	d := established(t)
	d.recv(ACK, seq(201), octets(100))
	d.want("at once", ACK, ack(1))
	d.recv(ACK, seq(401), octets(100))
	d.want("at once", ACK, ack(1))
	d.recv(ACK, seq(301), octets(100))
	d.want("at once", ACK, ack(1))
	d.recv(ACK, seq(101), octets(100))
	d.want("at once", ACK, ack(1))
	d.wantReadErr(errno.EAGAIN)
	d.recv(ACK, seq(1), octets(100))
	d.want("after the whole queue was examined", ACK, ack(501))
	d.wantRead(500)
	d.peer = 501
	if d.c.rcv.ooo.n != 0 {
		d.failf("%d pieces left", d.c.rcv.ooo.n)
	}
}

func TestC71PartOfAHoleIsAcknowledgedAtOnce(t *testing.T) {
	d := established(t)
	d.c.SetQuickAck(false)
	d.recv(ACK, seq(301), octets(100))
	d.want("out of order", ACK, ack(1))
	d.recv(ACK, seq(1), octets(100))
	d.want("fills a part", ACK, ack(101))
	d.recv(ACK, seq(101), octets(100))
	d.want("fills a part", ACK, ack(201))
	d.recv(ACK, seq(201), octets(100))
	d.want("fills it", ACK, ack(401))
	d.peer = 401
}

func TestC71AnACKForEachSegmentOfABatch(t *testing.T) {
	d := established(t)
	d.batch(func() {
		for i := range uint32(4) {
			d.recv(ACK, seq(101+100*i), octets(100))
		}
	})
	for range 4 {
		d.want("the peer counts duplicates", ACK, ack(1))
	}
	d.recv(ACK, seq(1), octets(100))
	d.want("once", ACK, ack(501))
	d.peer = 501
}

func TestC71QueueBoundedAndNeverStuck(t *testing.T) {
	d := established(t)
	// One octet more than there are places, in pieces that do not touch.
	for i := range uint32(2*maxIntervals + 20) {
		d.recv(ACK, seq(11+2*i), octets(1))
		d.want("dup ACK", ACK, ack(1))
	}
	if n := d.c.rcv.ooo.n; n != maxIntervals {
		d.failf("%d pieces", n)
	}
	// What is next in sequence must get in, or the connection would stand still.
	for i := range uint32(10) {
		d.recv(ACK, seq(1+i), octets(1))
		d.ignore()
		if got := d.c.rcv.nxt - d.irs; got < 2+i {
			d.failf("rcv.nxt is %d, want %d", got, 2+i)
		}
	}
	for i := range uint32(2*maxIntervals + 20) {
		d.recv(ACK, seq(12+2*i), octets(1))
		d.recv2(ACK, seq(11+2*i), octets(1))
		d.ignore()
	}
	d.peer = d.c.rcv.nxt - d.irs
	d.wantRead(d.c.Buffered())
}

// recv2 is recv whose predecessor's output does not matter.
func (d *dialogue) recv2(f Flags, parts ...part) {
	d.Helper()
	d.ignore()
	d.recv(f, parts...)
}

func TestC71FinOutOfOrder(t *testing.T) {
	d := established(t)
	d.recv(ACK|FIN, seq(101), octets(50))
	d.want("out of order", ACK, ack(1))
	d.wantState(Established)
	d.recv(ACK|FIN, seq(151)) // the FIN alone
	d.want("out of order", ACK, ack(1))
	d.recv(ACK, seq(1), octets(100))
	d.want("all there", ACK, ack(152))
	d.wantState(CloseWait)
	d.wantRead(150)
	d.wantReadErr(0)
	d.peer = 152
}

func TestC71FinThatWasForgedDoesNotHideTheRealOne(t *testing.T) {
	d := established(t)
	d.recv(ACK|FIN, seq(51)) // whoever sends that
	d.want("out of order", ACK, ack(1))
	d.recv(ACK, seq(1), octets(100))
	d.ignore()
	d.recv(ACK|FIN, seq(101), octets(10))
	d.ignore()
	if d.c.State() != CloseWait {
		d.failf("the end of the stream is lost")
	}
	d.peer = 112
	d.wantRead(110)
	d.wantReadErr(0)
}

func TestC72ResetReportedOnce(t *testing.T) {
	d := established(t)
	d.recv(ACK, octets(5))
	d.want("quick ACK", ACK)
	d.recv(RST)
	d.wantEvents(Readable | Writable | Failed)
	d.wantRead(5)
	d.wantReadErr(errno.ECONNRESET)
	d.wantReadErr(0)
	d.wantWriteErr(errno.EPIPE)

	d = established(t)
	d.recv(RST)
	d.wantWriteErr(errno.ECONNRESET)
	d.wantWriteErr(errno.EPIPE)
	d.wantReadErr(0)
}

func TestC72ErrorsOfEachKind(t *testing.T) {
	d := newDialogue(t)
	d.open()
	d.wantSyn("SYN")
	d.wantReadErr(errno.EAGAIN)
	d.recv(RST | ACK)
	d.wantWriteErr(errno.ECONNREFUSED)
	d.wantWriteErr(errno.EPIPE)

	d = inState(t, CloseWait)
	d.recv(RST)
	d.wantErr(errno.EPIPE)
}

func TestC30ICMPOnlyForWhatIsInFlight(t *testing.T) {
	d := established(t)
	d.write(100)
	d.want("data", PSH|ACK, octets(100))
	for _, n := range []uint32{0, 101, 102, 1 << 31} {
		if r := d.c.ICMP(errno.EHOSTUNREACH, d.iss+n); r != ipv4.DropICMPSequence {
			d.failf("at %d: %s", n, r)
		}
	}
	if e := d.c.SoftErr(); e != 0 {
		d.failf("noted %v", e)
	}
	for _, n := range []uint32{1, 50, 100} {
		if r := d.c.ICMP(errno.EHOSTUNREACH, d.iss+n); r != ipv4.DropNone {
			d.failf("at %d: %s", n, r)
		}
	}
}

func TestC31SoftErrorsDoNotAbort(t *testing.T) {
	for _, s := range []State{Established, FinWait1, CloseWait} {
		d := inState(t, s)
		if s != FinWait1 {
			d.write(10)
			d.want("data", PSH|ACK, octets(10))
		}
		d.c.ICMP(errno.EHOSTUNREACH, d.c.snd.una)
		d.wantState(s)
		if d.c.SoftErr() != errno.EHOSTUNREACH {
			d.failf("not noted")
		}
		d.recv(ACK)
		if d.c.SoftErr() != 0 {
			d.failf("the peer was heard again")
		}
	}
}

func TestC32UnreachableWhileConnecting(t *testing.T) {
	d := newDialogue(t)
	d.open()
	d.wantSyn("SYN")
	d.c.ICMP(errno.ECONNREFUSED, d.iss+1)
	d.wantState(SynSent) // not our SYN
	d.c.ICMP(errno.ECONNREFUSED, d.iss)
	d.wantErr(errno.ECONNREFUSED)
}

func TestC107SoftErrorIsTheReasonOfTheTimeout(t *testing.T) {
	d := established(t)
	d.env.Retries2 = 3
	d.write(10)
	d.want("data", PSH|ACK, octets(10))
	d.c.ICMP(errno.EHOSTUNREACH, d.c.snd.una)
	d.wantEvents(0) // it can be ignored
	for d.c.State() == Established {
		d.advance(sec)
		d.ignore()
	}
	d.wantErr(errno.EHOSTUNREACH)
}

func TestC109FlushAbortStatus(t *testing.T) {
	d := established(t)
	d.write(1000)
	d.want("data", PSH|ACK, octets(1000))
	if d.c.Unacked() != 1000 || d.c.Local() != here || d.c.Remote() != there {
		d.failf("status: %d octets", d.c.Unacked())
	}
	d.recv(ACK, octets(30))
	d.want("quick ACK", ACK)
	if d.c.Unacked() != 0 || d.c.Buffered() != 30 {
		d.failf("status: %d octets to send, %d to read", d.c.Unacked(), d.c.Buffered())
	}
	d.abort()
	d.want("reset", RST|ACK)
	if !d.c.Done() || !d.c.Orphaned() {
		d.failf("not done")
	}
	if d.c.Deadline() != pkt.Never {
		d.failf("timers")
	}
}
