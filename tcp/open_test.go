package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// The reference vectors of SipHash-2-4 for a key of 00..0f and messages of 00, 01,
// 02...: that of 12 octets is ours.
func TestC50HashIsSipHash24(t *testing.T) {
	k := Secret{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	got := k.Hash(ipv4.Endpoint{Addr: ipv4.AddrOf(3, 2, 1, 0), Port: 0x0908}, ipv4.Endpoint{Addr: ipv4.AddrOf(7, 6, 5, 4), Port: 0x0b0a})
	if want := uint64(0x751e8fbc860ee5fb); got != want {
		t.Errorf("%#x, want %#x", got, want)
	}
}

func TestC50ISNIsClockPlusHashOfTheEndpoints(t *testing.T) {
	k := Secret{1, 2}
	a, _ := k.ISN(0, here, there)
	for _, dt := range []pkt.Time{4 * pkt.Microsecond, sec, 3600 * sec, 100 * 24 * 3600 * sec} {
		if b, _ := k.ISN(dt, here, there); b-a != uint32(dt/(4*pkt.Microsecond)) {
			t.Errorf("after %d ns: %d", dt, b-a)
		}
	}
	seen := map[uint32]bool{a: true}
	other := here
	for port := range uint16(1000) {
		other.Port = port
		n, _ := k.ISN(0, other, there)
		if seen[n] {
			t.Errorf("port %d: twice", port)
		}
		seen[n] = true
	}
	l := Secret{1, 3}
	if b, _ := l.ISN(0, here, there); b == a {
		t.Error("another secret, the same ISN")
	}
	if b, _ := k.ISN(0, there, here); b == a {
		t.Error("endpoints swapped, the same ISN")
	}
}

func TestC51SimultaneousOpen(t *testing.T) {
	d := newDialogue(t)
	d.open()
	d.wantSyn("SYN")
	d.advance(50 * ms)
	d.recv(SYN, mss(1000))
	d.want("SYN-ACK: the same SYN, with an ACK", SYN|ACK, synAckOptions(d, seq(0), ack(1))...)
	d.wantState(SynReceived)
	d.advance(50 * ms)
	d.recv(SYN|ACK, seq(0), ack(1), mss(1000))
	d.wantState(Established)
	d.wantEvents(Opened | Writable)
	d.ignore()
	d.peer = 1
	d.write(1500)
	d.want("data, with the peer's MSS", ACK, octets(1000))
	d.want("data", PSH|ACK, octets(500))
	d.recv(ACK, octets(10))
	d.want("ACK", ACK)
	d.wantRead(10)
}

// synAckOptions are those of a SYN-ACK to a peer that has sent an MSS alone.
func synAckOptions(d *dialogue, p ...part) []part { return append(p, mss(uint32(d.mtu-40))) }

func TestC51SimultaneousOpenEndsWithPlainACK(t *testing.T) {
	d := newDialogue(t)
	d.open()
	d.wantSyn("SYN")
	d.recv(SYN, mss(1000))
	d.want("SYN-ACK", SYN|ACK, synAckOptions(d, seq(0), ack(1))...)
	d.recv(ACK, ack(1))
	d.wantState(Established)
}

func TestC51SimultaneousOpenWithData(t *testing.T) {
	d := newDialogue(t)
	d.open()
	d.wantSyn("SYN")
	if n, e := d.c.Write(stream(1, 20)); n != 20 || e != 0 {
		d.failf("Write in SYN-SENT = %d, %v", n, e)
	}
	d.written = 20
	d.recv(SYN, seq(0), mss(1000), octets(30)) // which we may leave to be sent again
	d.peer = 1
	d.want("SYN-ACK", SYN|ACK, synAckOptions(d, seq(0), ack(1))...)
	d.recv(SYN|ACK, seq(0), ack(1), mss(1000), octets(30))
	d.wantState(Established)
	d.want("our data, and an ACK of the peer's", PSH|ACK, octets(20), ack(31))
	d.peer = 31
	d.wantRead(30)
}

// The peer's SYN and its SYN-ACK arrive at once, so that ours is never sent: the peer needs
// an ACK all the same.
func TestC51SimultaneousOpenInOneBatch(t *testing.T) {
	d := newDialogue(t)
	d.open()
	d.wantSyn("SYN")
	d.batch(func() {
		d.input(SYN, build([]part{mss(1000)}))
		d.input(SYN|ACK, build([]part{seq(0), ack(1), mss(1000)}))
	})
	d.wantState(Established)
	d.peer = 1
	d.want("ACK of the SYN", ACK, seq(1), ack(1))
}

func TestC51SimultaneousOpenRetransmitsTheSynAck(t *testing.T) {
	d := newDialogue(t)
	d.open()
	d.wantSyn("SYN")
	d.recv(SYN, mss(1000))
	d.want("SYN-ACK", SYN|ACK, synAckOptions(d, seq(0), ack(1))...)
	d.wantAfter(sec, "again", SYN|ACK, synAckOptions(d, seq(0), ack(1))...)
	d.wantAfter(2*sec, "again", SYN|ACK, synAckOptions(d, seq(0), ack(1))...)
	d.recv(RST | ACK)
	d.wantErr(errno.ECONNREFUSED)
}

func TestC51SimultaneousOpenWindowOfSynAckIsNotScaled(t *testing.T) {
	if !feature.WScale {
		t.Skip("needs feature wscale")
	}
	d := newDialogue(t)
	d.open()
	d.wantSyn("SYN")
	d.recv(SYN, mss(1000), wscale(7))
	d.want("SYN-ACK", SYN|ACK, synAckOptions(d, seq(0), ack(1), wscale(0))...)
	d.recv(SYN|ACK, seq(0), ack(1), mss(1000), wscale(7), win(5000))
	d.ignore()
	if w := d.c.snd.wnd; w > 5000 || w < 5000-127 {
		d.failf("window is %d, the peer offered 5000", w)
	}
	d.peer = 1
	d.recv(ACK, win(5000))
	if w := d.c.snd.wnd; w != 5000<<7 {
		d.failf("window is %d, the peer offered 5000 << 7", w)
	}
}

func TestC52PassiveOpen(t *testing.T) {
	d := newDialogue(t)
	d.accept(mss(1200))
	d.want("SYN-ACK", SYN|ACK, synAckOptions(d, seq(0), ack(1))...)
	d.wantState(SynReceived)
	d.wantEvents(0)
	d.advance(100 * ms)
	d.recv(ACK)
	d.wantState(Established)
	d.wantEvents(Opened | Writable)
	if d.c.MSS() != 1200 || d.c.flags&flagActive != 0 {
		d.failf("MSS %d", d.c.MSS())
	}
}

func TestC52RSTInSynReceivedEndsThePassiveOpen(t *testing.T) {
	d := newDialogue(t)
	d.accept(mss(1200))
	d.want("SYN-ACK", SYN|ACK, synAckOptions(d, seq(0), ack(1))...)
	d.recv(RST, seq(500)) // in the window only
	d.want("challenge ACK", ACK, seq(1), ack(1))
	d.peer = 1
	d.recv(RST)
	d.wantState(Closed)
	d.wantNothing("no answer to a reset")
	if e := d.c.TakeEvents(); e&Failed == 0 || e&Opened != 0 {
		d.failf("events %#x", e)
	}
}

func TestC52UnacceptableACKInSynReceivedIsReset(t *testing.T) {
	for _, a := range []uint32{0, 2, 1 << 31, 0xffff_ffff} {
		d := newDialogue(t)
		d.accept(mss(1200))
		d.want("SYN-ACK", SYN|ACK, synAckOptions(d, seq(0), ack(1))...)
		d.recv(ACK, ack(a))
		d.want("<SEQ=SEG.ACK><CTL=RST>", RST, seq(a))
		d.wantState(SynReceived)
	}
}

// RFC 9293 section 3.10.7.4 has an ACK for it, of which a peer that has lost our answer can
// make nothing.
func TestC52PeerRepeatsItsSyn(t *testing.T) {
	d := newDialogue(t)
	d.accept(mss(1200))
	answer := synAckOptions(d, seq(0), ack(1))
	d.want("SYN-ACK", SYN|ACK, answer...)
	d.advance(900 * ms)
	d.recv(SYN, seq(0), mss(1200))
	d.want("SYN-ACK again", SYN|ACK, answer...)
	d.quiet(900*ms, "the timer has begun anew")
	d.advance(101 * ms)
	d.want("by timer", SYN|ACK, answer...)
	n := 0
	for range 100 {
		d.recv(SYN, seq(0), mss(1200))
		n += len(d.ignore())
	}
	if n > challengeAcks {
		d.failf("%d answers to a flood", n)
	}
	d.recv(ACK, seq(1))
	d.wantState(Established)
}

func TestC54SynSentUnacceptableACKIsReset(t *testing.T) {
	for _, f := range []Flags{ACK, SYN | ACK, FIN | ACK, ACK | PSH} {
		for _, a := range []uint32{0, 2, 3, 0x8000_0000, 0xffff_ffff} {
			d := newDialogue(t)
			d.open()
			d.wantSyn("SYN")
			d.recv(f, seq(5), ack(a))
			d.want("<SEQ=SEG.ACK><CTL=RST>", RST, seq(a))
			d.wantState(SynSent)
			d.recv(RST|ACK, seq(5), ack(a)) // and never a reset for a reset
			d.wantNothing("RST with a bad ACK")
			d.wantState(SynSent)
			d.peer = 0
			d.recv(SYN|ACK, mss(1460))
			d.wantState(Established)
			d.want("ACK", ACK)
		}
	}
}

func TestC54SynSentResetRefuses(t *testing.T) {
	d := newDialogue(t)
	d.open()
	d.wantSyn("SYN")
	d.recv(RST, seq(0)) // without ACK: not ours
	d.wantState(SynSent)
	d.recv(RST|ACK, seq(0), ack(1))
	d.wantNothing("no answer to a reset")
	d.wantErr(errno.ECONNREFUSED)
	d.wantReadErr(0)
}

func TestC54SynSentIgnoresWhatIsNeitherSynNorRst(t *testing.T) {
	for _, f := range []Flags{0, FIN, PSH, URG, ACK, ACK | PSH, ACK | FIN, ACK | URG} {
		d := newDialogue(t)
		d.open()
		d.wantSyn("SYN")
		d.recv(f, seq(77), octets(20))
		d.wantNothing("dropped")
		d.wantState(SynSent)
	}
}

func TestC54NothingIsAcceptedBeforeTheSynIsOut(t *testing.T) {
	d := newDialogue(t)
	d.batch(func() {
		d.c.Open(d.now, here, there, 1460, d.iss, d.tsOf)
		d.recv(SYN|ACK, seq(0), ack(0), mss(1460))
		d.recv(SYN|ACK, seq(0), ack(1), mss(1460))
		d.wantState(SynSent)
	})
	d.ignore()
	d.wantState(SynSent)
}

func TestC54DataOnTheSynAckIsTaken(t *testing.T) {
	d := newDialogue(t)
	d.open()
	d.wantSyn("SYN")
	d.recv(SYN|ACK, seq(0), mss(1460), octets(25))
	d.want("ACK", ACK, ack(26))
	d.wantState(Established)
	d.wantRead(25)
	d.recv(ACK | FIN)
	d.want("ACK", ACK)
	d.wantState(CloseWait)
}

func TestC54SynAckWithFinAndData(t *testing.T) {
	d := newDialogue(t)
	d.open()
	d.wantSyn("SYN")
	d.recv(SYN|ACK|FIN, seq(0), mss(1460), octets(25))
	d.want("ACK", ACK, ack(27))
	d.wantState(CloseWait)
	d.wantRead(25)
	d.wantReadErr(0)
}

func TestC57SynRetransmittedWithBackoffFor3Minutes(t *testing.T) {
	d := newDialogue(t)
	d.open()
	d.wantSyn("first")
	begin := d.now
	for _, s := range []pkt.Time{1, 2, 4, 8, 16, 32, 64} {
		d.quiet(s*sec-1, "too early")
		d.advance(1)
		d.wantSyn("again")
	}
	d.advance(120 * sec)
	d.wantNothing("given up")
	d.wantErr(errno.ETIMEDOUT)
	if got := d.now - begin; got < 180*sec {
		d.failf("gave up after %d s", got/sec)
	}
}

func TestC57SynGiveUpIsSettable(t *testing.T) {
	d := newDialogue(t)
	d.env.SynRetries = 1
	d.open()
	d.wantSyn("first")
	d.advance(sec)
	d.wantSyn("again")
	d.advance(2 * sec)
	d.wantErr(errno.ETIMEDOUT)

	d = newDialogue(t)
	d.c.Options.UserTimeout = 5000
	begin := d.now
	d.open()
	d.wantSyn("first")
	for d.c.State() == SynSent && d.now < begin+100*sec {
		d.advance(100 * ms)
		d.ignore()
	}
	d.wantErr(errno.ETIMEDOUT)
	if got := d.now - begin; got < 5*sec || got > 5*sec+100*ms {
		d.failf("gave up after %d ms, want 5 s", got/ms)
	}
}

func TestC57SynAckRetransmittedAndGivenUp(t *testing.T) {
	d := newDialogue(t)
	d.accept(mss(1200))
	for _, s := range []pkt.Time{0, 1, 2, 4, 8, 16, 32, 64} {
		if s > 0 {
			d.advance(s * sec)
		}
		d.want("SYN-ACK", SYN|ACK, synAckOptions(d, seq(0), ack(1))...)
	}
	d.advance(120 * sec)
	d.wantErr(errno.ETIMEDOUT)
}

func TestC57LateSynAckIsTaken(t *testing.T) {
	d := newDialogue(t)
	d.open()
	d.wantSyn("first")
	d.advance(sec)
	d.wantSyn("again")
	d.advance(900 * ms)
	d.recv(SYN|ACK, mss(1460))
	d.want("ACK", ACK)
	d.wantState(Established)
	if d.c.rtt.srtt != 0 {
		d.failf("Karn: a sample of a SYN that was sent twice")
	}
}

func TestC59DataOnSynIsNotAcknowledged(t *testing.T) {
	d := newDialogue(t)
	d.accept(mss(1200), octets(100))
	d.want("SYN-ACK of the SYN alone", SYN|ACK, synAckOptions(d, seq(0), ack(1))...)
	d.recv(ACK, octets(100))
	d.want("ACK", ACK, ack(101))
	d.wantRead(100)
}

func TestC60ResetForNoConnection(t *testing.T) {
	for _, c := range []struct {
		f        Flags
		n        int
		out      Flags
		seq, ack uint32
		none     bool
	}{
		{f: SYN, out: RST | ACK, ack: 1001},
		{f: SYN, n: 10, out: RST | ACK, ack: 1011},
		{f: FIN, n: 10, out: RST | ACK, ack: 1011},
		{f: SYN | FIN, n: 10, out: RST | ACK, ack: 1012},
		{f: 0, n: 0, out: RST | ACK, ack: 1000},
		{f: URG | PSH, n: 3, out: RST | ACK, ack: 1003},
		{f: ACK, n: 10, out: RST, seq: 7777},
		{f: SYN | ACK, out: RST, seq: 7777},
		{f: FIN | ACK, out: RST, seq: 7777},
		{f: RST, none: true},
		{f: RST | ACK, none: true},
		{f: RST | SYN, none: true},
	} {
		s := Segment{SrcPort: 80, DstPort: 1024, Seq: 1000, Ack: 7777, Flags: c.f, Payload: make([]byte, c.n)}
		b := pkt.NewBuf(100)
		if ok := Reset(&s, there.Addr, here.Addr, b); ok == c.none {
			t.Errorf("%s: %v", flagString(c.f), ok)
		}
		if c.none {
			continue
		}
		var r Segment
		if d := Parse(b.Bytes(), ipv4.PseudoSum(here.Addr, there.Addr, ipv4.ProtoTCP, b.Len()), &r); d != ipv4.DropNone {
			t.Fatal(d)
		}
		if r.Flags != c.out || r.Seq != c.seq || r.Ack != c.ack || r.SrcPort != 1024 || r.DstPort != 80 || r.Wnd != 0 || b.Len() != 20 {
			t.Errorf("%s: %+v", flagString(c.f), r)
		}
	}
}

func TestC60ClosedConnectionAsksForReset(t *testing.T) {
	d := newDialogue(t)
	if _, reset := d.c.Input(0, &Segment{Flags: ACK, WScale: -1}); !reset {
		t.Error("no reset")
	}
}
