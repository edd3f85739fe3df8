package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

func needTCPOpts(t *testing.T) {
	if !feature.TCPOpts {
		t.Skip("needs feature tcpopts")
	}
}

// TCP_NOTSENT_LOWAT bounds what waits behind the windows, not what is in flight.
func TestNotSentLowatBoundsWhatWaits(t *testing.T) {
	needTCPOpts(t)
	d := established(t)
	m := d.c.MSS()
	d.c.SetNotSentLowat(uint32(2 * m))
	total := 0
	for range 100 { // what is sent does not count
		n := d.tryWrite(10 * m)
		d.ignore()
		if n > 2*m {
			t.Fatalf("took %d bytes at once", n)
		}
		if total += n; n == 0 {
			break
		}
	}
	if wait := int(d.c.snd.end - d.c.snd.nxt); wait < 2*m || wait >= 3*m || total-wait < 2*m {
		t.Errorf("%d of %d bytes wait", wait, total)
	}
	d.c.TakeEvents()
	d.recv(ACK, ack(uint32(1+m))) // room for one or two: half is sent
	if d.ignore(); d.c.TakeEvents()&Writable == 0 {
		t.Errorf("not writable when %d bytes wait", d.c.snd.end-d.c.snd.nxt)
	}
	if n := d.tryWrite(10 * m); n == 0 || n > 2*m {
		t.Errorf("took %d bytes", n)
	}
	d.ignore()
}

// TCP_SYNCNT takes the place of the default for one connection.
func TestSynCountEndsTheOpen(t *testing.T) {
	needTCPOpts(t)
	d := newDialogue(t)
	d.c.SetSynRetries(2)
	d.open()
	d.wantSyn("the first")
	d.advance(1 * sec)
	d.wantSyn("again")
	d.advance(2 * sec)
	d.wantSyn("the last")
	d.quiet(4*sec, "the timeout of the last")
	d.wantErr(errno.ETIMEDOUT)
	d.wantState(Closed)
}

// TCP_LINGER2 is the time that a closed connection waits for the peer's FIN.
func TestLinger2EndsFinWait2(t *testing.T) {
	needTCPOpts(t)
	for _, s := range []int{-1, 0, 5, 1000} {
		d := established(t)
		d.c.SetLinger2(s)
		d.close()
		d.want("our FIN", FIN|ACK, seq(1))
		d.recv(ACK, ack(2))
		if s < 0 {
			d.want("it is not waited for", RST|ACK)
			d.wantState(Closed)
			continue
		}
		d.wantState(FinWait2)
		wait := map[int]pkt.Time{0: 60, 5: 5, 1000: 120}[s] * sec
		d.quiet(wait-ms, "waiting")
		d.wantState(FinWait2)
		d.advance(ms)
		d.wantState(Closed)
	}
	d := established(t) // closed when the FIN is acknowledged already
	d.c.SetLinger2(-1)
	d.closeWrite()
	d.want("our FIN", FIN|ACK, seq(1))
	d.recv(ACK, ack(2))
	d.wantState(FinWait2)
	d.close()
	d.want("reset", RST|ACK)
}

// TCP_WINDOW_CLAMP bounds the window, in the SYN and later.
func TestWindowClampBoundsTheWindow(t *testing.T) {
	needTCPOpts(t)
	d := newDialogue(t)
	d.c.SetWindowClamp(5000)
	d.open()
	if x := d.ignore()[0]; x.Wnd > 5000 || x.Wnd < 5000-1460 {
		t.Errorf("the SYN offers %d", x.Wnd)
	}
	d = established(t)
	d.c.SetWindowClamp(5000)
	edge := d.c.rcv.adv
	for range 60 { // the window that is out is not taken back
		d.recv(ACK, octets(1000))
		d.ignore()
		d.wantRead(1000)
		d.ignore()
	}
	if wnd := d.c.rcv.adv - d.c.rcv.nxt; wnd > 5000 || d.c.rcv.adv-d.c.rcv.nxt < 1000 || before(d.c.rcv.adv, edge) {
		t.Errorf("a window of %d", wnd)
	}
}
