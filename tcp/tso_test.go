package tcp

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// wireSegments returns the segments that a device makes of what Output has put into b, with their
// checksums, or what is wrong with it. All dialogues, and the fuzz targets, see these: so they
// show that super-segments come to the same as segments one by one.
func wireSegments(b *pkt.Buf) (segs [][]byte, err string) {
	size := pkt.SegmentSize(b)
	p := b.Bytes()
	hlen := int(p[12]>>4) * 4
	switch partial := pkt.Summed(b) == pkt.SumPartial; {
	case partial && binary.BigEndian.Uint16(p[16:]) != ^pkt.Checksum(ipv4.PseudoSum(here.Addr, there.Addr, ipv4.ProtoTCP, len(p))):
		return nil, fmt.Sprintf("a partial checksum that is not the pseudo header's: %x", p[:hlen])
	case size == 0 && partial:
		binary.BigEndian.PutUint16(p[16:], pkt.Checksum(pkt.Sum(0, p)))
		fallthrough
	case size == 0:
		return [][]byte{p}, ""
	case !partial, len(p) <= hlen+size, len(p)+ipv4.MinHeaderLen > ipv4.MaxLen, Flags(p[13])&(SYN|RST|URG|CWR) != 0:
		return nil, fmt.Sprintf("a super-segment of %d bytes in segments of %d: %x", len(p), size, p[:hlen])
	}
	for at := hlen; at < len(p); at += size {
		n := min(size, len(p)-at)
		q := make([]byte, hlen+n)
		copy(q, p[:hlen])
		copy(q[hlen:], p[at:])
		binary.BigEndian.PutUint32(q[4:], binary.BigEndian.Uint32(p[4:])+uint32(at-hlen))
		if at+n < len(p) {
			q[13] &^= byte(PSH | FIN)
		}
		q[16], q[17] = 0, 0
		putSum(q, here.Addr, there.Addr)
		segs = append(segs, q)
	}
	return segs, ""
}

// tsoDialogue has an MSS of 1000, and a window of n segments.
func tsoDialogue(t *testing.T, n int) *dialogue {
	t.Helper()
	if !feature.TSO {
		t.Skip("needs feature tso")
	}
	d := newDialogue(t, withSndBuf(500_000), withMemory(1<<20))
	d.connect(mss(1000))
	d.slow(uint32(n))
	d.c.snd.wnd = 1 << 20
	d.supers = 0
	return d
}

// wantSupers fails unless so many super-segments were sent, in all of n segments.
func (d *dialogue) wantSupers(supers, n int) []sent {
	d.Helper()
	s := d.ignore()
	if d.supers != supers || len(s) != n {
		d.failf("%d super-segments, %d segments, want %d and %d", d.supers, len(s), supers, n)
	}
	d.supers = 0
	return s
}

func TestSuperSegmentHasWholeSegmentsOnly(t *testing.T) {
	d := tsoDialogue(t, 100)
	d.write(10_500)
	s := d.wantSupers(1, 11)
	if n := len(s[10].Payload); n != 500 {
		d.failf("%d octets in a segment of its own", n)
	}
	d.write(10_500)
	d.wantSupers(1, 10) // another small one waits for the first, as Nagle has it
	d.recv(ACK)
	d.wantSupers(0, 1)
	d.recv(ACK)
}

func TestSuperSegmentFitsAPacket(t *testing.T) {
	d := tsoDialogue(t, 200)
	d.batch(func() { d.write(150_000) })
	d.wantSupers(3, 150)
	d.recv(ACK)
}

func TestSuperSegmentStaysWithinTheCongestionWindow(t *testing.T) {
	d := tsoDialogue(t, 7)
	d.write(20_000)
	d.wantSupers(1, 7)
	if d.c.flags&flagCwndLimited == 0 {
		d.failf("the window does not count as full")
	}
	d.recv(ACK, ack(1+d.c.snd.una-d.iss-1+2000))
	if n := len(d.ignore()); n < 2 || n > 4 {
		d.failf("%d segments for an ACK of two", n)
	}
	d.recv(ACK)
	d.ignore()
	d.recv(ACK)
	d.ignore()
	for d.nxt < 1+20_000 {
		d.recv(ACK)
		d.ignore()
	}
	d.recv(ACK)
}

func TestSuperSegmentStaysWithinThePeersWindow(t *testing.T) {
	d := tsoDialogue(t, 100)
	d.c.snd.wnd = 4500
	d.write(20_000)
	d.wantSupers(1, 4)
	d.recv(ACK, win(65535))
	d.ignore()
	d.recv(ACK)
}

// A FIN goes with the last of them.
func TestSuperSegmentMayEndWithFIN(t *testing.T) {
	d := tsoDialogue(t, 100)
	d.batch(func() {
		d.write(5000)
		d.closeWrite()
	})
	s := d.wantSupers(1, 5)
	for i, x := range s {
		if last := i == len(s)-1; (x.Flags&FIN != 0) != last || (x.Flags&PSH != 0) != last {
			d.failf("segment %d has %s", i, flagString(x.Flags))
		}
	}
	d.recv(ACK)
}

// "A super-segment is sent as one and may be lost in parts": only what is lost is sent again, a
// segment at a time.
func TestSuperSegmentIsLostInParts(t *testing.T) {
	if !feature.On("sack") {
		t.Skip("needs feature sack")
	}
	if !feature.TSO {
		t.Skip("needs feature tso")
	}
	d := newDialogue(t, withSndBuf(500_000), withMemory(1<<20))
	d.connect(mss(1000), rawOptions(optNop, optNop, optSACKPermitted, 2))
	d.slow(50)
	d.c.snd.wnd = 1 << 20
	d.supers = 0
	una := d.nxt
	d.write(20_000)
	d.wantSupers(1, 20)
	d.advance(50 * ms)
	// Segments 3 and 7 are lost.
	d.recv(ACK, ack(una+2000), sack(una+3000, una+6000))
	s := d.ignore()
	d.recv(ACK, ack(una+2000), sack(una+7000, una+20_000, una+3000, una+6000))
	got := map[uint32]int{}
	for _, x := range append(s, d.ignore()...) {
		got[x.Seq-d.iss-una] = len(x.Payload)
	}
	if len(got) != 2 || got[2000] != 1000 || got[6000] != 1000 || d.supers != 0 {
		d.failf("sent again: %v", got)
	}
	d.recv(ACK)
}

// An urgent pointer counts from the sequence number of the segment that it is in.
func TestUrgentDataIsNotInASuperSegment(t *testing.T) {
	if !feature.Urgent {
		t.Skip("needs feature urgent")
	}
	d := tsoDialogue(t, 100)
	d.batch(func() {
		d.c.WriteUrgent(stream(1, 5000))
	})
	d.wantSupers(0, 5)
	d.recv(ACK)
}

// A round trip of 100 ms: what goes out at once is what the rate gives in a millisecond.
func TestSuperSegmentIsNoLongerThanPacingAllows(t *testing.T) {
	if !feature.Pacing {
		t.Skip("needs feature pacing")
	}
	d := tsoDialogue(t, 40)
	d.env.NoPacing = false
	d.batch(func() { d.write(40_000) })
	for n := 40; n > 0; {
		k := len(d.ignore())
		if k > 2*paceSegments {
			d.failf("%d segments at once", k)
		}
		if n -= k; k == 0 {
			d.advance(d.c.Deadline() - d.now)
		}
	}
	d.recv(ACK)
}

func TestSegmentOfMSSBytesIsNoSuperSegment(t *testing.T) {
	d := tsoDialogue(t, 100)
	d.write(1000)
	d.wantSupers(0, 1)
	d.recv(ACK)
}
