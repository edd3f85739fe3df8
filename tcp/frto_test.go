package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
)

// timedOut has had a timeout with ten segments in flight and more to send, of which the first was
// sent again.
func timedOut(t *testing.T, sacked bool) *dialogue {
	t.Helper()
	if !feature.FRTO || sacked && !feature.SACK {
		t.Skip("needs feature frto")
	}
	d := newDialogue(t)
	if sacked {
		d.connect(mss(1000), rawOptions(optNop, optNop, optSACKPermitted, 2))
	} else {
		d.connect(mss(1000))
	}
	d.slow(10)
	d.batch(func() { d.write(20_000) })
	d.ignore()
	d.c.flags |= flagTLPOut // no probe before the timeout
	d.c.flags &^= flagTLP
	d.c.timer.rtxAt = d.now + 300*ms
	d.wantAfter(300*ms, "the first again", ACK, seq(1), octets(1000))
	if d.c.cc.cwnd != 1000 || d.c.cc.ssthresh >= 10_000 {
		d.failf("cwnd %d, ssthresh %d after a timeout", d.c.cc.cwnd, d.c.cc.ssthresh)
	}
	return d
}

// RFC 5682 section 2.1 and 3.1: all segments were only late.
func TestC96SpuriousTimeoutIsUndone(t *testing.T) {
	for _, sacked := range []bool{false, true} {
		d := timedOut(t, sacked)
		d.recv(ACK, ack(1001))
		d.want("new data in step 2", ACK, seq(10_001), octets(1000))
		d.want("two segments", ACK, seq(11_001), octets(1000))
		d.wantNothing("nothing is sent again yet")
		d.recv(ACK, ack(2001))
		if d.c.cc.ssthresh != 10_000 || d.c.cc.cwnd < 10_000 || d.c.flags&flagLoss != 0 {
			d.failf("SACK %v: ssthresh %d, cwnd %d, want 10000", sacked, d.c.cc.ssthresh, d.c.cc.cwnd)
		}
		for _, x := range d.ignore() {
			if before(x.Seq-d.iss, 12_001) {
				d.failf("%d is sent again", x.Seq-d.iss)
			}
		}
		d.recv(ACK, ack(10_001))
		d.ignore()
		d.recv(ACK)
		d.ignore()
		d.recv(ACK)
	}
}

// Section 3.1, step 3: a block of what was not sent again tells as well.
func TestC96SACKOfOldDataUndoes(t *testing.T) {
	d := timedOut(t, true)
	d.recv(ACK, ack(1001))
	d.ignore()
	d.recv(ACK, ack(1001), d.sacks(2001, 3001))
	if d.c.cc.ssthresh != 10_000 || d.c.flags&flagLoss != 0 {
		d.failf("ssthresh %d, want 10000", d.c.cc.ssthresh)
	}
	d.ignore()
	d.abort()
	d.ignore()
}

// Step 3a: only the new data has arrived, so the old was lost.
func TestC96RealTimeoutGoesOn(t *testing.T) {
	for _, sacked := range []bool{false, true} {
		d := timedOut(t, sacked)
		reduced := d.c.cc.ssthresh
		d.recv(ACK, ack(1001))
		d.want("new data", ACK, seq(10_001), octets(1000))
		d.want("new data", ACK, seq(11_001), octets(1000))
		if sacked {
			d.recv(ACK, ack(1001), d.sacks(10_001, 11_001))
		} else {
			d.recv(ACK, ack(1001))
		}
		d.want("sent again", ACK, seq(1001), octets(1000))
		if d.c.cc.ssthresh != reduced || d.c.cc.cwnd > 3000 {
			d.failf("ssthresh %d, cwnd %d", d.c.cc.ssthresh, d.c.cc.cwnd)
		}
		d.ignore()
		d.abort()
		d.ignore()
	}
}

// Step 2: a duplicate ACK first, without SACK; and no new data to send.
func TestC96NotApplicable(t *testing.T) {
	d := timedOut(t, false)
	reduced := d.c.cc.ssthresh
	d.recv(ACK, ack(1))
	d.ignore()
	if d.c.frto[:][0] != frtoIdle {
		d.failf("goes on after a duplicate ACK")
	}
	d.abort()
	d.ignore()

	d = timedOut(t, true)
	d.c.snd.wnd = 10_000 - 1000 // the window is used up
	d.recv(ACK, ack(1001), win(9000))
	d.want("sent again", ACK, seq(1001), octets(1000))
	d.ignore()
	d.recv(ACK, ack(2001), win(8000))
	d.ignore()
	if d.c.cc.ssthresh != reduced {
		d.failf("ssthresh %d, want %d", d.c.cc.ssthresh, reduced)
	}
	d.abort()
	d.ignore()
}

// A second timeout begins anew; what is restored is from before the first.
func TestC96SecondTimeout(t *testing.T) {
	d := timedOut(t, true)
	d.wantAfter(d.c.Deadline()-d.now, "and again", ACK, seq(1), octets(1000))
	d.recv(ACK, ack(1001))
	d.ignore()
	d.recv(ACK, ack(2001))
	if d.c.cc.ssthresh != 10_000 {
		d.failf("ssthresh %d, want 10000", d.c.cc.ssthresh)
	}
	d.ignore()
	d.abort()
	d.ignore()
}
