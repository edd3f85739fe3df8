package tcp

import (
	"math/rand/v2"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

func TestC79WindowUpdateOnlyInStepsThatAreWorthIt(t *testing.T) {
	d := established(t, withRcvBuf(10000))
	for range 6 {
		d.recv(ACK, octets(1460))
		d.ignore()
	}
	d.recv(ACK, octets(1240))
	d.want("full", ACK, win(0))
	for i := range 14 { // silly window syndrome
		d.wantRead(100)
		d.wantNothing("a small step")
		if i == 13 {
			break
		}
	}
	d.wantRead(60)
	d.want("an MSS", ACK, win(1460))
	d.wantRead(1000)
	d.wantNothing("not twice as much yet")
	d.wantRead(460)
	d.want("doubled", ACK, win(2920))
	d.wantRead(10000 - 2920)
	d.want("doubled and more", ACK, win(10000))
}

func TestC79StepIsHalfOfASmallBuffer(t *testing.T) {
	d := established(t, withRcvBuf(1000))
	d.recv(ACK, octets(1000))
	d.want("full", ACK, win(0))
	d.wantRead(499)
	d.wantNothing("less than half of the buffer")
	d.wantRead(1)
	d.want("half of it", ACK, win(500))
	d.recv(ACK, octets(100)) // what is advertised follows the rule as well
	d.want("quick ACK", ACK, win(400))
	d.wantRead(99)
	d.recv(ACK, octets(1))
	d.want("quick ACK", ACK, win(399))
}

func TestC79WindowNeverMovesLeft(t *testing.T) {
	// The dialogue itself checks every segment. Readers, segment sizes and scales at
	// random.
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 79))
		buf := uint32(2048 << r.IntN(8))
		d := newDialogue(t, withRcvBuf(buf+uint32(r.IntN(100))), withMemory(4<<20))
		syn := []part{mss(1460)}
		if r.IntN(2) == 0 {
			syn = append(syn, wscale(r.IntN(15)))
		}
		d.connect(syn...)
		for range 300 {
			switch r.IntN(4) {
			case 0:
				if n := d.c.Buffered(); n > 0 {
					d.wantRead(1 + r.IntN(n))
				}
			case 1:
				d.advance(pkt.Time(r.IntN(50)) * ms)
			default:
				if room := int(d.edge) - int(d.peer); room > 0 {
					d.recv(ACK|PSH, octets(1+r.IntN(min(room, 1460))))
				}
			}
			d.ignore()
		}
	}
}

func TestC79SmallSegmentsDontFillMoreThanTheBuffer(t *testing.T) {
	if !feature.WScale {
		t.Skip("needs feature wscale")
	}
	const buf = 200000 // shift 2: what is advertised is a multiple of 4
	d := newDialogue(t, withRcvBuf(buf), withMemory(8<<20))
	d.connect(mss(1460), wscale(0))
	b := pkt.NewBuf(1500)
	room := true
	for i := uint32(0); room; i++ {
		s := Segment{Flags: ACK, Seq: d.irs + 1 + i, Ack: d.iss + 1, Wnd: 5000, WScale: -1, Payload: []byte{1}}
		d.c.Input(d.now, &s)
		for d.c.Output(d.now, b) {
			room = b.Bytes()[14]|b.Bytes()[15] != 0
			b.Reset()
		}
		if d.c.Buffered() > buf+buf/8+8 {
			t.Fatalf("%d octets in a buffer of %d", d.c.Buffered(), buf)
		}
		d.now += ms
	}
}

func TestC80ShrunkWindow(t *testing.T) {
	d := established(t)
	d.batch(func() { d.write(3 * 1460) })
	for range 3 {
		d.want("data", d.sent[0].Flags, octets(1460))
	}
	d.recv(ACK, ack(1), win(1000)) // it was 65535
	d.write(500)
	d.wantNothing("no new data")
	d.wantAfter(d.c.rtt.rto(), "what was sent is sent again", ACK, seq(1), octets(1460))
	d.recv(ACK, ack(1461), win(0))
	d.want("the first segment may go, whatever the window", ACK, seq(1461), octets(1460))
	d.recv(ACK, ack(1461), win(0))
	d.wantNothing("the rest waits: beyond the window")
	d.advance(d.c.rtt.rto())
	if x := d.ignore(); len(x) != 1 || x[0].Seq-d.iss != 1461 {
		d.failf("the first unacknowledged segment is tried")
	}
	d.recv(ACK, ack(1461), win(10000))
	if x := d.ignore(); len(x) == 0 || x[0].Seq-d.iss != 1461 {
		d.failf("it is sent again when the window opens")
	}
	d.recv(ACK, ack(4381), win(10000))
	d.want("and then new data", PSH|ACK, octets(500), seq(4381))
	d.recv(ACK)
}

func TestC80WindowShrunkToNothingForAnHour(t *testing.T) {
	shrunkForAnHour(t, mss(1460))
}

func TestC80WindowShrunkToNothingForAnHourWithSACK(t *testing.T) {
	if !feature.On("sack") {
		t.Skip("needs feature sack")
	}
	shrunkForAnHour(t, mss(1460), rawOptions(optNop, optNop, 4, 2))
}

func shrunkForAnHour(t *testing.T, syn ...part) {
	d := newDialogue(t)
	d.connect(syn...)
	d.write(1460)
	d.want("data", PSH|ACK, octets(1460))
	d.recv(ACK, ack(1), win(0))
	for end := d.now + 3600*sec; d.now < end; {
		d.advance(sec)
		if len(d.ignore()) > 0 { // the peer is there
			d.recv(ACK, ack(1), win(0))
			d.ignore()
		}
		d.wantState(Established)
	}
	d.recv(ACK, ack(1), win(5000))
	d.want("goes on at once", PSH|ACK, seq(1), octets(1460))
	d.advance(119 * sec) // a single loss does not kill it now
	d.wantState(Established)
	d.ignore()
	d.recv(ACK)
}

func TestC81ZeroWindowProbes(t *testing.T) {
	d := established(t)
	d.recv(ACK, win(0))
	d.write(5000)
	d.wantNothing("zero window")
	at := rto
	for range 30 { // far more than R2: the peer answers
		d.wantAfter(at, "probe", ACK, seq(0))
		d.recv(ACK, ack(1), win(0))
		at = min(2*at, 120*sec)
	}
	d.wantState(Established)
	d.recv(ACK, ack(1), win(5000))
	if len(d.ignore()) < 3 {
		d.failf("does not go on")
	}
	d.recv(ACK)
	d.ignore()
	d.recv(ACK)
}

func TestC81ProbesWithoutAnswerEnd(t *testing.T) {
	d := established(t)
	d.recv(ACK, win(0))
	d.write(10)
	n := 0
	for d.c.State() == Established && d.now < 20000*sec {
		d.advance(sec)
		n += len(d.ignore())
	}
	if n != int(d.env.Retries2) {
		d.failf("%d probes", n)
	}
	d.wantErr(errno.ETIMEDOUT)
}

func TestC81BackoffStartsAnewWithEachZeroWindow(t *testing.T) {
	d := established(t)
	d.recv(ACK, win(0))
	d.write(3000)
	for _, at := range []pkt.Time{rto, 2 * rto, 4 * rto, 8 * rto} {
		d.wantAfter(at, "probe", ACK, seq(0))
		d.recv(ACK, ack(1), win(0))
	}
	d.recv(ACK, ack(1), win(1460))
	d.want("data", ACK, octets(1460))
	d.recv(ACK, win(0))
	d.wantAfter(d.c.rtt.rto(), "probe", ACK, seq(1460))
	d.recv(ACK, win(0))
	d.quiet(d.c.rtt.rto()-1, "doubled only for the next")
}

func TestC81PersistWithFinPending(t *testing.T) {
	d := established(t)
	d.recv(ACK, win(0))
	d.closeWrite()
	d.wantNothing("the FIN does not fit")
	d.wantState(FinWait1)
	d.advance(rto)
	if x := d.ignore(); len(x) != 1 {
		d.failf("%d segments, want a probe", len(x))
	}
	for range 50 {
		d.recv(ACK, ack(1), win(0))
		d.advance(sec)
		d.ignore()
	}
	d.wantState(FinWait1)
	d.recv(ACK, ack(1), win(10))
	d.ignore()
	d.advance(130 * sec)
	d.ignore()
	d.recv(ACK, ack(2), win(10))
	d.wantState(FinWait2)
}

func TestC81TimerRunsWheneverTheWindowBlocks(t *testing.T) {
	for _, w := range []uint32{0, 1, 100, 1459} {
		d := established(t)
		d.recv(ACK, win(w))
		d.write(10000)
		for range 20 { // the peer never opens it, but acknowledges
			d.ignore()
			if d.c.Unacked() > 0 && d.c.Deadline() == pkt.Never {
				d.failf("window %d: no timer", w)
			}
			d.recv(ACK, win(w))
			d.ignore()
			d.advance(10 * sec)
		}
		d.ignore()
		if w > 0 && d.c.snd.una == d.iss+1 {
			d.failf("window %d: nothing was sent", w)
		}
	}
}

func TestC82SenderAvoidsSillyWindows(t *testing.T) {
	d := established(t)
	d.recv(ACK, win(20000))
	d.recv(ACK, win(500))
	d.batch(func() { d.write(5000) })
	d.wantNothing("500 octets are not worth a segment")
	d.wantAfter(rto, "until the override timer", ACK, octets(500))
	d.recv(ACK, win(1459))
	d.wantNothing("nor are 1459, with 4500 to send")
	d.recv(ACK, win(1460))
	d.want("a full one", ACK, octets(1460))
}

func TestC82HalfOfTheLargestWindowIsWorthIt(t *testing.T) {
	d := newDialogue(t)
	d.connect(mss(1460), win(1000)) // a small host
	d.write(5000)
	d.want("all of its window", ACK, octets(1000))
	d.recv(ACK, win(499))
	d.wantNothing("less than half")
	d.recv(ACK, win(500))
	d.want("half", ACK, octets(500))
}

func TestC82WindowOfOne(t *testing.T) {
	d := newDialogue(t)
	d.connect(mss(1460), win(1))
	d.write(3)
	d.want("one", ACK, octets(1))
	d.recv(ACK, win(1))
	d.want("two", ACK, octets(1))
	d.recv(ACK, win(1))
	d.want("three", PSH|ACK, octets(1))
}

func TestC82NagleHoldsTheSecondSmallSegment(t *testing.T) {
	d := established(t)
	d.write(10)
	d.want("nothing is in flight", PSH|ACK, octets(10))
	d.write(10)
	d.wantNothing("held")
	d.write(20)
	d.wantNothing("held")
	d.recv(ACK)
	d.want("both together", PSH|ACK, octets(30))
	d.write(1460)
	d.want("a full one goes", PSH|ACK, octets(1460))
	d.write(5)
	d.wantNothing("held by the 30")
	d.recv(ACK, ack(41))
	d.want("Minshall: only small ones hold", PSH|ACK, octets(5))
}

func TestC82NagleSendsTheTailOfALargeWrite(t *testing.T) {
	d := established(t)
	d.batch(func() { d.write(1470) })
	d.want("full", ACK, octets(1460))
	d.want("Minshall: what is before it is full", PSH|ACK, octets(10))
}

func TestC82NoDelayTurnsNagleOff(t *testing.T) {
	d := established(t)
	d.c.SetNoDelay(true)
	if !d.c.NoDelay() {
		d.failf("not noted")
	}
	for range 3 {
		d.write(10)
		d.want("at once", PSH|ACK, octets(10))
	}
	d.c.SetNoDelay(false)
	d.write(10)
	d.wantNothing("held")
	d.c.SetNoDelay(true)
	d.pump()
	d.want("let go", PSH|ACK, octets(10))
}

func TestC82CorkHoldsFor200ms(t *testing.T) {
	d := established(t)
	d.c.SetCork(true)
	d.write(100)
	d.wantNothing("corked")
	d.wantAfter(200*ms, "in the end", PSH|ACK, octets(100))
	d.recv(ACK)
	d.write(2000)
	d.want("full ones go", ACK, octets(1460))
	d.recv(ACK)
	d.wantNothing("corked")
	d.c.SetCork(false)
	d.pump()
	d.want("uncorked", PSH|ACK, octets(540))
	d.recv(ACK)
	d.c.SetCork(true)
	d.write(5)
	d.closeWrite()
	d.want("nothing more to wait for", FIN|PSH|ACK, octets(5))
}

func TestC82CorkTimerIsNotPushedBackByThePeer(t *testing.T) {
	d := established(t)
	d.c.SetCork(true)
	d.write(100)
	for i := range uint32(3) {
		d.quiet(50*ms, "corked")
		d.recv(ACK, win(50000-1000*i))
	}
	d.wantAfter(50*ms, "200 ms in all", PSH|ACK, octets(100))
}

func TestC83DelayedACK(t *testing.T) {
	d := established(t)
	d.c.SetQuickAck(false)
	d.recv(ACK, octets(1460))
	d.wantAfter(40*ms, "delayed", ACK)
	d.recv(ACK, octets(1460))
	d.wantNothing("one full segment")
	d.recv(ACK, octets(1460))
	d.want("every second one", ACK)
	for range 5 {
		d.recv(ACK, octets(100))
	}
	d.wantNothing("small ones")
	d.wantAfter(40*ms, "the delay counts from the first", ACK)
}

func TestC83DelayCountsFromTheFirstSegment(t *testing.T) {
	d := established(t)
	d.c.SetQuickAck(false)
	d.recv(ACK, octets(10))
	d.quiet(30*ms, "delayed")
	d.recv(ACK, octets(10))
	d.wantAfter(10*ms, "40 ms after the first", ACK)
}

func TestC83EverySecondFullSegmentOfASmallMTU(t *testing.T) {
	d := newDialogue(t, withMTU(296))
	d.connect(mss(256))
	d.c.SetQuickAck(false)
	for range 5 {
		d.recv(ACK, octets(256))
		d.wantNothing("one")
		d.recv(ACK, octets(256))
		d.want("two", ACK)
	}
}

func TestC83PiggybackedACKStopsTheTimer(t *testing.T) {
	d := established(t)
	d.c.SetQuickAck(false)
	d.recv(ACK, octets(10))
	d.write(5)
	d.want("with the data", PSH|ACK, octets(5))
	d.recv(ACK)
	d.quiet(sec, "nothing is due")
}

func TestC83ImmediateForOutOfOrderAndHoleFilling(t *testing.T) {
	d := established(t)
	d.c.SetQuickAck(false)
	d.recv(ACK, seq(11), octets(10))
	d.want("out of order", ACK, ack(1))
	d.recv(ACK, seq(1), octets(10))
	d.want("fills the hole", ACK, ack(21))
	d.recv(ACK, seq(1), octets(20))
	d.want("a repetition", ACK, ack(21))
	d.recv(FIN|ACK, seq(21))
	d.want("FIN", ACK, ack(22))
	d.peer = 22
}

func TestC83QuickACKsAtTheBeginning(t *testing.T) {
	d := established(t)
	for range maxQuickAcks {
		d.recv(ACK, octets(100))
		d.want("slow start must not be held up", ACK)
	}
	d.recv(ACK, octets(100))
	d.wantAfter(delayedAck, "from now on", ACK)
	d.recv(ACK, octets(100))
	d.c.SetQuickAck(true)
	d.pump()
	d.want("TCP_QUICKACK", ACK)
	d.recv(ACK, octets(100))
	d.want("and the next", ACK)
}

func TestC83OneACKForABatchButNeverForMoreThan8(t *testing.T) {
	d := established(t)
	d.c.SetQuickAck(false)
	d.batch(func() {
		for i := range uint32(10) {
			d.recv(ACK, octets(1460))
			if over := d.c.Overdue(); over != (i >= 7) {
				d.failf("after %d: overdue %v", i+1, over)
			}
		}
	})
	d.want("one", ACK)
}
