package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

func TestC73ActiveClose(t *testing.T) {
	d := established(t)
	d.write(100)
	d.want("data", PSH|ACK, octets(100))
	d.closeWrite()
	d.want("FIN", FIN|ACK, seq(101))
	d.wantState(FinWait1)
	d.recv(ACK, ack(101))
	d.wantState(FinWait1)
	d.recv(ACK, ack(102))
	d.wantState(FinWait2)
	d.recv(FIN | ACK)
	d.want("ACK of the FIN", ACK, seq(102))
	d.wantState(TimeWait)
	d.wantReadErr(0)
	d.wantWriteErr(errno.EPIPE)
}

func TestC73FinBehindQueuedData(t *testing.T) {
	d := established(t)
	d.recv(ACK, win(2000))
	d.batch(func() { d.write(3000); d.closeWrite() })
	if e := d.c.CloseWrite(); e != 0 { // again: nothing
		d.failf("CloseWrite: %v", e)
	}
	d.want("data", ACK, octets(1460))
	x := d.ignore() // 540 octets, or not, by silly window avoidance
	n := uint32(1460)
	if len(x) > 0 {
		n += x[0].Len()
	}
	d.recv(ACK, ack(1+n), win(5000))
	if len(x) > 0 {
		d.want("the rest with the FIN", FIN|PSH|ACK, seq(1+n), octets(3000-int(n)))
	} else {
		d.want("data", ACK, octets(1460))
		d.want("the rest with the FIN", FIN|PSH|ACK, octets(80))
	}
	d.recv(ACK)
	d.wantState(FinWait2)
}

func TestC73FinNeedsAWindow(t *testing.T) {
	d := established(t)
	d.recv(ACK, win(10))
	d.write(10)
	d.want("fills the window", PSH|ACK, octets(10))
	d.closeWrite()
	d.wantNothing("the FIN does not fit")
	d.recv(ACK, win(0))
	d.quiet(d.c.rtt.rto()-1, "zero window")
	d.advance(1)
	if x := d.ignore(); len(x) != 1 || x[0].Flags&ACK == 0 {
		d.failf("no probe")
	}
	d.recv(ACK, ack(11), win(1))
	if d.c.flags&flagFinSent == 0 {
		d.failf("no FIN")
	}
	d.ignore()
	d.recv(ACK, ack(12))
	d.wantState(FinWait2)
}

func TestC73FinRetransmitted(t *testing.T) {
	for _, s := range []State{FinWait1, LastAck, Closing} {
		d := inState(t, s)
		d.wantAfter(rto, "FIN again", FIN|ACK, seq(1))
		d.wantAfter(2*rto, "FIN again", FIN|ACK, seq(1))
		d.recv(ACK)
		d.wantState(map[State]State{FinWait1: FinWait2, LastAck: Closed, Closing: TimeWait}[s])
	}
}

func TestC73FinAndDataRetransmittedTogether(t *testing.T) {
	d := established(t)
	d.write(500)
	d.want("data", PSH|ACK, octets(500))
	d.closeWrite()
	d.want("FIN", FIN|ACK, seq(501))
	d.wantAfter(rto, "both in one", FIN|PSH|ACK, seq(1), octets(500))
	d.recv(ACK, ack(501))
	d.wantState(FinWait1)
	d.wantAfter(d.c.rtt.rto(), "the FIN", FIN|ACK, seq(501))
	d.recv(ACK)
	d.wantState(FinWait2)
}

func TestC73PassiveClose(t *testing.T) {
	d := established(t)
	d.recv(FIN|ACK, octets(10))
	d.want("ACK", ACK)
	d.wantState(CloseWait)
	d.wantEvents(Readable)
	d.wantRead(10)
	d.wantReadErr(0)
	d.wantReadErr(0)
	d.write(20)
	d.want("we may go on", PSH|ACK, octets(20))
	d.closeWrite()
	d.want("FIN", FIN|ACK)
	d.wantState(LastAck)
	d.recv(ACK, ack(21))
	d.wantState(LastAck)
	d.recv(ACK)
	d.wantState(Closed)
	if e := d.c.Err(); e != 0 || !d.c.Done() {
		d.failf("error %v", e)
	}
}

func TestC73SimultaneousClose(t *testing.T) {
	d := established(t)
	d.closeWrite()
	d.want("FIN", FIN|ACK, seq(1))
	d.recv(FIN|ACK, ack(1))
	d.want("ACK", ACK, seq(2), ack(2))
	d.wantState(Closing)
	d.recv(ACK)
	d.wantState(TimeWait)
}

func TestC73FinWithACKOfOurFin(t *testing.T) {
	d := established(t)
	d.closeWrite()
	d.want("FIN", FIN|ACK, seq(1))
	d.recv(FIN|ACK, octets(10))
	d.want("ACK", ACK, seq(2))
	d.wantState(TimeWait)
	d.wantRead(10)
}

func TestC73FinAckedOnlyInPartWaits(t *testing.T) {
	// FIN-WAIT-1, data and FIN in flight, the peer's FIN and data come.
	d := established(t)
	d.write(100)
	d.want("data", PSH|ACK, octets(100))
	d.closeWrite()
	d.want("FIN", FIN|ACK)
	d.recv(FIN|ACK, ack(51), octets(5))
	d.want("ACK", ACK, seq(102))
	d.wantState(Closing)
	d.recv(ACK, ack(101))
	d.wantState(Closing)
	d.recv(ACK)
	d.wantState(TimeWait)
	d.wantRead(5)
}

func TestC73PeersFinRepeated(t *testing.T) {
	for _, s := range []State{CloseWait, LastAck, Closing, TimeWait} {
		d := inState(t, s)
		d.recv(FIN|ACK, seq(d.peer-1), ack(1))
		d.want("acknowledged again", ACK, seq(d.nxt))
		d.wantState(s)
	}
}

func TestC73DataAfterFinIsIgnored(t *testing.T) {
	d := inState(t, CloseWait)
	d.recv(ACK, octets(10))
	d.ignore()
	if d.c.Buffered() != 0 {
		d.failf("%d octets to read", d.c.Buffered())
	}
}

func TestC73CloseBeforeEstablished(t *testing.T) {
	d := newDialogue(t)
	if e := d.c.CloseWrite(); e != errno.ENOTCONN {
		d.failf("CloseWrite when closed: %v", e)
	}
	d.open()
	d.wantSyn("SYN")
	if e := d.c.CloseWrite(); e != errno.ENOTCONN {
		d.failf("CloseWrite in SYN-SENT: %v", e)
	}
	d.close()
	d.wantState(Closed)
	d.wantNothing("nobody knows of it")

	d = inState(t, SynReceived)
	d.write(5)
	d.closeWrite()
	d.wantState(SynReceived)
	d.recv(ACK)
	d.wantState(FinWait1)
	d.want("data and FIN", FIN|PSH|ACK, octets(5))
	d.recv(ACK)
	d.wantState(FinWait2)
}

func TestC74HalfCloseReadsGoOn(t *testing.T) {
	for _, s := range []State{FinWait1, FinWait2} {
		d := inState(t, s)
		d.recv(ACK|PSH, ack(d.nxt), octets(1000))
		d.want("ACK", ACK)
		d.wantRead(1000)
		d.recv(FIN|ACK, octets(10))
		d.want("ACK", ACK)
		d.wantRead(10)
		d.wantReadErr(0)
		d.wantState(TimeWait)
	}
}

func TestC74CloseWithUnreadDataResets(t *testing.T) {
	for _, s := range []State{Established, FinWait1, FinWait2} {
		d := inState(t, s)
		d.recv(ACK, octets(10), ack(1))
		d.want("ACK", ACK, seq(d.nxt))
		d.close()
		d.want("RFC 2525 section 2.17", RST|ACK, seq(d.nxt))
		d.wantState(Closed)
		if d.mem.Used() != 0 {
			d.failf("%d bytes held", d.mem.Used())
		}
	}
	d := established(t)
	d.recv(FIN|ACK, octets(10))
	d.want("ACK", ACK)
	d.close()
	d.want("RST in CLOSE-WAIT", RST|ACK)
}

func TestC74DataAfterCloseResets(t *testing.T) {
	for _, s := range []State{FinWait1, FinWait2} {
		d := established(t)
		d.close()
		d.want("FIN", FIN|ACK)
		if s == FinWait2 {
			d.recv(ACK)
		}
		d.recv(ACK, octets(10), ack(1))
		d.want("RST at what the peer expects", RST, seq(1))
		d.wantState(Closed)
	}
}

func TestC74CloseWithoutDataIsClean(t *testing.T) {
	d := established(t)
	d.write(50)
	d.want("data", PSH|ACK, octets(50))
	d.close()
	d.want("FIN", FIN|ACK)
	d.close() // again: nothing
	d.recv(ACK)
	d.wantState(FinWait2)
	d.recv(FIN | ACK)
	d.want("ACK", ACK)
	d.wantState(TimeWait)
}

func TestC74CloseKeepsSending(t *testing.T) {
	d := established(t)
	d.batch(func() { d.write(5000); d.close() })
	for n := uint32(0); n < 5000; {
		for _, x := range d.ignore() {
			n = max(n, x.Seq-d.iss-1+uint32(len(x.Payload)))
		}
		d.recv(ACK)
	}
	d.ignore()
	d.wantState(FinWait2)
}

func TestC74CloseReadThrowsAway(t *testing.T) {
	d := established(t)
	d.recv(ACK, octets(100))
	d.want("quick ACK", ACK)
	d.c.TakeEvents()
	d.closeRead()
	d.wantEvents(Readable) // a reader that waits sees the end
	d.wantReadErr(0)
	if d.mem.Used() != 0 {
		d.failf("%d bytes held", d.mem.Used())
	}
	for range 100 { // much more than the window: it stays open
		d.recv(ACK|PSH, octets(1460))
		d.ignore()
	}
	if d.c.rcv.nxt-d.irs != 1+100+146000 {
		d.failf("stopped at %d", d.c.rcv.nxt-d.irs)
	}
	d.write(5)
	d.want("writing goes on", PSH|ACK, octets(5))
	d.recv(FIN | ACK)
	d.want("ACK", ACK)
	d.close() // nothing is unread
	d.want("FIN", FIN|ACK)
	d.wantState(LastAck)
	d.recv(ACK)
	d.wantState(Closed)
}

func TestC74CloseReadWithDataOutOfOrder(t *testing.T) {
	d := established(t)
	d.recv(ACK, seq(101), octets(100))
	d.want("dup ACK", ACK, ack(1))
	d.closeRead()
	d.recv(ACK, seq(1), octets(100))
	d.want("ACK", ACK, ack(201))
	if d.mem.Used() != 0 {
		d.failf("%d bytes held", d.mem.Used())
	}
	d.wantReadErr(0)
	d.peer = 201
}

// timeWait returns the compact form of a connection that was closed actively, the
// peer's FIN at 1, with timestamps if they are on.
func timeWait(t *testing.T, opt ...part) (*dialogue, *TimeWaitConn) {
	d := newDialogue(t)
	d.connect(append(opt, mss(1460))...)
	d.closeWrite()
	d.want("FIN", FIN|ACK)
	d.recv(FIN | ACK)
	d.want("ACK", ACK, seq(2))
	d.wantState(TimeWait)
	w := d.c.TimeWait(d.now)
	return d, &w
}

func answer(t *testing.T, d *dialogue, w *TimeWaitConn, s Segment) (r Segment, ok bool) {
	t.Helper()
	b := pkt.NewBuf(200)
	if _, ok = w.Input(d.now, &s, b); !ok {
		return
	}
	if drop := Parse(b.Bytes(), ipv4.PseudoSum(here.Addr, there.Addr, ipv4.ProtoTCP, b.Len()), &r); drop != ipv4.DropNone {
		t.Fatal(drop)
	}
	oracle(d, b.Bytes())
	return r, true
}

func TestC75TimeWaitAcknowledgesTheFinAgain(t *testing.T) {
	d, w := timeWait(t)
	if w.ExpireAt != d.now+60*sec {
		t.Errorf("lasts %d s", (w.ExpireAt-d.now)/sec)
	}
	d.now += 10 * sec
	r, ok := answer(t, d, w, Segment{Flags: FIN | ACK, Seq: d.irs + 1, Ack: d.iss + 2, WScale: -1})
	if !ok || r.Flags != ACK || r.Seq != d.iss+2 || r.Ack != d.irs+2 {
		t.Errorf("%v %+v", ok, r)
	}
	if w.ExpireAt != d.now+60*sec {
		t.Error("2 MSL not restarted")
	}
	d.now += 10 * sec
	for _, s := range []Segment{
		{Flags: ACK, Seq: d.irs + 2}, // plain, in order
		{Flags: RST, Seq: d.irs + 2}, {Flags: RST | ACK, Seq: d.irs + 2},
	} {
		if r, ok := answer(t, d, w, s); ok {
			t.Errorf("%s is answered with %+v", flagString(s.Flags), r)
		}
	}
	// Old duplicates are acknowledged, and don't make it last longer.
	expire := w.ExpireAt
	for _, s := range []Segment{
		{Flags: ACK, Seq: d.irs, Payload: []byte{1}}, {Flags: ACK, Seq: d.irs + 2, Payload: []byte{1}},
		{Flags: SYN, Seq: d.irs - 100}, {Flags: ACK, Seq: d.irs + 100},
	} {
		if r, ok := answer(t, d, w, s); !ok || r.Flags != ACK || r.Seq != d.iss+2 || r.Ack != d.irs+2 {
			t.Errorf("%s: %v %+v", flagString(s.Flags), ok, r)
		}
	}
	if w.ExpireAt != expire {
		t.Error("restarted by an old duplicate")
	}
}

func TestC75TimeWaitAnswersAreThrottled(t *testing.T) {
	d, w := timeWait(t)
	n := 0
	for range 100 {
		if _, ok := answer(t, d, w, Segment{Flags: SYN, Seq: d.irs - 100, WScale: -1}); ok {
			n++
		}
	}
	if n != challengeAcks {
		t.Errorf("%d answers in a second", n)
	}
}

func TestC76TimeWaitReopens(t *testing.T) {
	d, w := timeWait(t)
	for _, c := range []struct {
		s    Segment
		want bool
	}{
		{Segment{Flags: SYN, Seq: d.irs + 3}, true},
		{Segment{Flags: SYN, Seq: d.irs + 2}, false}, // "larger than the largest"
		{Segment{Flags: SYN, Seq: d.irs - 5}, false},
		{Segment{Flags: SYN | ACK, Seq: d.irs + 300}, false},
		{Segment{Flags: SYN | RST, Seq: d.irs + 300}, false},
		{Segment{Flags: ACK, Seq: d.irs + 300}, false},
		{Segment{Flags: SYN, Seq: d.irs + 300, HasTS: true, TSVal: 1}, true},
	} {
		if got := w.Reopens(&c.s); got != c.want {
			t.Errorf("%s at %d: %v", flagString(c.s.Flags), c.s.Seq-d.irs, got)
		}
	}
	if w.MayReplace(d.now + 2*sec) {
		t.Error("replaced without timestamps")
	}
}

func TestC76TimeWaitReopensByTimestamp(t *testing.T) {
	if !feature.Timestamps {
		t.Skip("needs feature timestamps")
	}
	d, w := timeWait(t, ts(5000, 0))
	recent := d.tsNow()
	for _, c := range []struct {
		what string
		s    Segment
		want bool
	}{
		{"newer timestamp, older sequence number", Segment{Flags: SYN, Seq: d.irs - 50, HasTS: true, TSVal: recent + 1}, true},
		{"older timestamp, newer sequence number", Segment{Flags: SYN, Seq: d.irs + 50, HasTS: true, TSVal: recent - 1}, false},
		{"the same timestamp, newer sequence number", Segment{Flags: SYN, Seq: d.irs + 50, HasTS: true, TSVal: recent}, true},
		{"the same timestamp, older sequence number", Segment{Flags: SYN, Seq: d.irs - 50, HasTS: true, TSVal: recent}, false},
		{"no timestamp, newer sequence number", Segment{Flags: SYN, Seq: d.irs + 50}, true},
	} {
		if got := w.Reopens(&c.s); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
	if w.MayReplace(d.now) || !w.MayReplace(d.now+sec) {
		t.Error("we may open anew after a second")
	}
	r, ok := answer(t, d, w, Segment{Flags: FIN | ACK, Seq: d.irs + 1, Ack: d.iss + 2, HasTS: true, TSVal: recent})
	if !ok || !r.HasTS || r.TSVal != uint32(d.now/ms)+d.tsOf || r.TSEcr != recent {
		t.Errorf("%+v", r)
	}
}

func TestC77OrphanInFinWait2IsTimedOut(t *testing.T) {
	d := established(t)
	d.close()
	d.want("FIN", FIN|ACK)
	d.advance(100 * ms)
	d.recv(ACK)
	d.wantState(FinWait2)
	d.quiet(60*sec-1, "waits")
	d.wantState(FinWait2)
	d.quiet(1, "nothing to say")
	d.wantState(Closed)
	if !d.c.Done() {
		d.failf("not done")
	}

	d = inState(t, FinWait2) // somebody may still read
	d.quiet(3600*sec, "waits")
	d.wantState(FinWait2)
	d.close()
	d.quiet(60*sec, "waits")
	d.wantState(Closed)
}

func TestC77OrphanRetriesAreBounded(t *testing.T) {
	for _, s := range []State{FinWait1, Closing, LastAck} {
		d := inState(t, s)
		d.close()
		n := 0
		for d.c.State() != Closed {
			d.advance(sec)
			n += len(d.ignore())
			if d.now > 5000*sec {
				d.failf("for ever")
			}
		}
		if n != int(d.env.OrphanRetries) {
			d.failf("%d retransmissions", n)
		}
	}
}

func TestC78AbortInEveryState(t *testing.T) {
	for _, c := range []struct {
		s   State
		rst bool
	}{{SynReceived, true}, {Established, true}, {FinWait1, true}, {FinWait2, true}, {CloseWait, true},
		{Closing, false}, {LastAck, false}, {TimeWait, false}} {
		d := inState(t, c.s)
		nxt := d.nxt
		if c.s == Established || c.s == CloseWait {
			d.write(1000)
			d.want("data", PSH|ACK, octets(1000))
			d.recv(ACK, seq(d.peer+50), octets(10), ack(1)) // out of order: memory
			d.ignore()
			nxt = d.nxt
		}
		d.abort()
		if c.rst {
			d.want("reset", RST|ACK, seq(nxt))
		}
		d.wantState(Closed)
		if !d.c.Done() || d.mem.Used() != 0 || d.c.Deadline() != pkt.Never {
			d.failf("done %v, %d bytes, deadline %d", d.c.Done(), d.mem.Used(), d.c.Deadline())
		}
		d.abort()
		d.close()
		d.wantNothing("once")
	}
	d := newDialogue(t)
	d.open()
	d.wantSyn("SYN")
	d.abort()
	d.wantState(Closed)
	d.wantNothing("the peer does not know of it")
}

func TestC78LingerZeroResets(t *testing.T) {
	for _, s := range []State{Established, CloseWait, SynReceived} {
		d := inState(t, s)
		d.c.Options.Linger = 0
		d.close()
		d.want("reset", RST|ACK, seq(d.nxt))
		d.wantState(Closed)
	}
	for _, s := range []State{LastAck, Closing} { // "TCP_LINGER 0" in Linux resets here too
		d := inState(t, s)
		d.c.Options.Linger = 0
		d.abort()
		d.want("reset", RST|ACK, seq(d.nxt))
		d.wantState(Closed)
	}
}

func TestC76ReopenedWithALargerISN(t *testing.T) {
	d, w := timeWait(t)
	nxt := d.iss + 2
	for _, iss := range []uint32{nxt - 1<<20, nxt - 1, nxt, nxt + 1000} {
		if got := w.NextISN(iss); before(got, nxt+1) {
			t.Errorf("%d before the last incarnation's end", nxt-got)
		}
	}
	if got := w.NextISN(nxt + 1<<20); got != nxt+1<<20 {
		t.Errorf("one that is large enough becomes %d", got-nxt)
	}
}
