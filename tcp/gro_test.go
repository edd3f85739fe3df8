package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

func groDialogue(t *testing.T) *dialogue {
	t.Helper()
	if !feature.GRO {
		t.Skip("needs feature gro")
	}
	d := newDialogue(t, withRcvBuf(500_000), withMemory(1<<20))
	d.connect(mss(1460), wscale(0))
	d.c.rcv.quick = 0
	return d
}

// "An ACK SHOULD be generated for at least every second full-sized segment" (SHLD-19): for all that
// come at once, one is enough, and at once.
func TestSuperSegmentGetsOneACKAtOnce(t *testing.T) {
	d := groDialogue(t)
	d.recv(ACK, octets(14600), inSegments(1460))
	d.want("one ACK", ACK)
	d.recv(ACK, octets(2000), inSegments(1000))
	d.wantNothing("two small ones are less than two full ones")
	d.advance(delayedAck)
	d.want("the delayed ACK", ACK)
	d.wantRead(16600)
}

// What a full segment of the peer's is does not grow with what comes at once: ACKs and window
// updates are measured by it.
func TestSuperSegmentIsNoFullSegment(t *testing.T) {
	d := groDialogue(t)
	d.recv(ACK, octets(40_000), inSegments(1000))
	d.ignore()
	if d.c.rcv.mss != 1000 {
		d.failf("RCV.MSS is %d, want 1000", d.c.rcv.mss)
	}
	d.recv(ACK, octets(2001), inSegments(2000))
	d.ignore()
	d.recv(ACK, octets(100), inSegments(5000)) // one segment, whatever is said of it
	d.ignore()
	if d.c.rcv.mss != 2000 {
		d.failf("RCV.MSS is %d, want 2000", d.c.rcv.mss)
	}
	d.advance(delayedAck)
	d.ignore()
	d.wantRead(42_101)
}

// The parts that are here already, and that are beyond the window, are cut off.
func TestSuperSegmentIsCutToTheWindow(t *testing.T) {
	d := groDialogue(t)
	d.recv(ACK, octets(3000))
	d.ignore()
	d.recv(ACK, seq(1), octets(20_000), inSegments(1000))
	d.ignore()
	if n := d.c.Buffered(); n != 20_000 {
		d.failf("%d octets to read", n)
	}
	d.peer = 20_001
	d.wantRead(20_000)
	d.ignore()
	d.c.rcv.adv = d.c.rcv.nxt + 5000
	d.recv(ACK, octets(9000), inSegments(1000))
	d.peer = 25_001
	d.want("the rest is dropped", ACK)
	d.wantRead(5000)
	d.ignore()
}

// Out of order it is one block.
func TestSuperSegmentOutOfOrder(t *testing.T) {
	d := groDialogue(t)
	d.recv(ACK, seq(1001), octets(20_000), inSegments(1000))
	if s := d.ignore(); len(s) != 1 || s[0].Ack-d.irs != 1 {
		d.failf("%d ACKs", len(s))
	}
	d.recv(ACK, octets(1000))
	d.peer = 21_001
	d.want("all is there", ACK)
	d.wantRead(21_000)
}

func TestSuperSegmentCountsAsManySegments(t *testing.T) {
	if !feature.TCPInfo {
		t.Skip("needs feature tcpinfo")
	}
	d := groDialogue(t)
	d.recv(ACK, octets(14_601), inSegments(1460))
	d.ignore()
	if n := tallyOf(&d.c).dataIn; n != 11 {
		d.failf("%d data segments in, want 11", n)
	}
	d.wantRead(14_601)
}

// A checksum is verified once: by Parse, unless the frame says that it was.
func TestVerifiedChecksumIsNotLookedAt(t *testing.T) {
	if !feature.GRO {
		t.Skip("needs feature gro")
	}
	p := make([]byte, 24)
	putHeader(p, 1, 2, 3, 4, 20, ACK, 5)
	var s Segment
	for _, c := range []struct {
		sum  pkt.SumState
		want ipv4.Drop
	}{{pkt.SumFull, ipv4.DropTCPChecksum}, {pkt.SumPartial, ipv4.DropNone}, {pkt.SumVerified, ipv4.DropNone}, {pkt.SumFull, ipv4.DropTCPChecksum}} {
		b := pkt.NewBuf(100)
		pkt.SetSummed(b, c.sum)
		Arrived(&s, b)
		_, pseudo := Known(&s, 7)
		if got := Parse(p, pseudo, &s); got != c.want {
			t.Errorf("%d: %s, want %s", c.sum, got, c.want)
		}
	}
	s.HasTS = true // of a segment before
	Arrived(&s, nil)
	if _, pseudo := Known(&s, 7); pseudo != 7 {
		t.Error("nothing is known, but it counts as verified")
	}
}
