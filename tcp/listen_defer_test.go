package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// deferred is a passive open that waits for data through n timeouts, whose SYN-ACK was answered
// after 50 ms.
func deferred(t *testing.T, n uint8, parts ...part) *dialogue {
	t.Helper()
	d := newDialogue(t)
	d.batch(func() {
		d.accept(append(parts, mss(1200))...)
		d.c.Defer(n)
	})
	d.want("SYN-ACK", SYN|ACK, seq(0), ack(1), mss(1460))
	d.advance(50 * ms)
	d.recv(ACK, seq(1), ack(1))
	d.wantNothing("a bare ACK is forgotten")
	d.wantState(SynReceived)
	d.wantEvents(0)
	return d
}

// The round trip is that of the handshake, however long the data took.
func TestDeferredOpenKnowsItsRoundTrip(t *testing.T) {
	for _, wait := range []pkt.Time{0, 3 * sec, 5 * sec} { // the timer goes off at 1, 3 and 7 s
		d := deferred(t, 3)
		d.quiet(wait, "nothing is sent again")
		d.recv(ACK|PSH, seq(1), ack(1), octets(100))
		d.want("ACK of the data", ACK, seq(1), ack(101))
		d.wantState(Established)
		d.wantEvents(Opened | Writable | Readable)
		if r := d.c.rtt; r.srtt != 50_000 || r.value != 250_000 {
			t.Errorf("SRTT %d us, RTO %d us", r.srtt, r.value)
		}
		if w := d.c.cc.cwnd; w != initialWindow(uint32(d.c.snd.mss)) {
			t.Errorf("cwnd %d after %d s of waiting", w, wait/sec)
		}
		d.wantRead(100)
	}
}

// When the time is over the SYN-ACK goes out once more, and its answer opens.
func TestDeferredOpenEndsWithOneMoreSynAck(t *testing.T) {
	d := deferred(t, 3)
	d.quiet(6900*ms, "nothing is sent again")
	d.wantAfter(50*ms, "SYN-ACK at 7 s", SYN|ACK, seq(0), ack(1), mss(1460))
	d.advance(50 * ms)
	d.recv(ACK, seq(1), ack(1))
	d.wantState(Established)
	d.wantEvents(Opened | Writable)
	if w := d.c.cc.cwnd; w != initialWindow(uint32(d.c.snd.mss)) {
		t.Errorf("cwnd %d: nothing was lost", w)
	}
	if r := d.c.rtt; r.srtt != 50_000 {
		t.Errorf("SRTT %d us", r.srtt)
	}
}

// A SYN-ACK that is lost is sent again, and what is known of the path is that.
func TestDeferredOpenWithALostSynAck(t *testing.T) {
	d := newDialogue(t)
	d.batch(func() {
		d.accept(mss(1200))
		d.c.Defer(3)
	})
	d.want("SYN-ACK", SYN|ACK, seq(0), ack(1), mss(1460))
	d.wantAfter(sec, "again", SYN|ACK, seq(0), ack(1), mss(1460))
	d.recv(ACK, seq(1), ack(1))
	d.quiet(5900*ms, "until 7 s")
	d.recv(ACK, seq(1), ack(1), octets(10))
	d.want("ACK of the data", ACK, seq(1), ack(11))
	if r := d.c.rtt; r.srtt != 0 || r.value != lostSynRTO { // Karn
		t.Errorf("SRTT %d us, RTO %d us", r.srtt, r.value)
	}
	d.wantRead(10)
}

// A peer that is gone does not hold the half open connection for ever: SynRetries, or what was
// asked for if that is more.
func TestDeferredOpenGivesUp(t *testing.T) {
	for _, c := range []struct {
		n          uint8
		retries    uint8
		resent     int
		after, end pkt.Time // of the SYN-ACK
	}{
		{2, 4, 3, 2900 * ms, 31 * sec},   // 1+2+4+8+16 s
		{6, 2, 1, 62900 * ms, 127 * sec}, // 6 timeouts, and one of 64 s for the last answer
	} {
		d := newDialogue(t)
		d.env.SynRetries = c.retries
		d.batch(func() {
			d.accept(mss(1200))
			d.c.Defer(c.n)
		})
		d.want("SYN-ACK", SYN|ACK, seq(0), ack(1), mss(1460))
		d.advance(50 * ms)
		d.recv(ACK, seq(1), ack(1))
		d.quiet(c.after-50*ms, "waits for data")
		d.advance(c.end - c.after - 10*ms)
		if n := len(d.ignore()); n != c.resent {
			t.Errorf("%d timeouts: %d SYN-ACKs again, want %d", c.n, n, c.resent)
		}
		d.wantState(SynReceived)
		d.advance(20 * ms)
		d.wantState(Closed)
		d.wantErr(errno.ETIMEDOUT)
	}
}

// An ACK that is not of our SYN, or that is outside the window, is what it ever was.
func TestDeferredOpenChecksItsACKs(t *testing.T) {
	d := deferred(t, 3)
	d.recv(ACK, seq(1), ack(2))
	d.want("RST", RST, seq(2))
	d.recv(ACK, seq(70000), ack(1))
	d.want("challenge ACK", ACK, seq(1), ack(1))
	d.recv(RST, seq(1))
	d.wantState(Closed)
}
