package tcp

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// parse parses a segment of p with a right checksum.
func parse(t *testing.T, p []byte) (Segment, ipv4.Drop) {
	t.Helper()
	var s Segment
	if len(p) >= minHeaderLen {
		binary.BigEndian.PutUint16(p[16:], 0)
		binary.BigEndian.PutUint16(p[16:], pkt.Checksum(pkt.Sum(1234, p)))
	}
	return s, Parse(p, 1234, &s)
}

// header is a SYN with options, padded with zeros.
func header(f Flags, opt ...byte) []byte {
	n := (len(opt) + 3) &^ 3
	p := make([]byte, 20+n)
	putHeader(p, 1, 2, 3, 4, 20+n, f, 5)
	copy(p[20:], opt)
	return p
}

func parsed(t *testing.T, p []byte) Segment {
	t.Helper()
	var s Segment
	binary.BigEndian.PutUint16(p[16:], 0)
	binary.BigEndian.PutUint16(p[16:], pkt.Checksum(pkt.Sum(1234, p)))
	if d := Parse(p, 1234, &s); d != ipv4.DropNone {
		t.Fatalf("%x: %s", p, d)
	}
	return s
}

func TestC41SequenceNumbersWrapAroundWithDataInFlight(t *testing.T) {
	for _, iss := range []uint32{0xffff_ffff, 0xffff_fffe, 0xffff_f000, 0x7fff_fff0, 0} {
		d := established(t, withISS(iss), withIRS(iss-700))
		for i := 0; i < 5; i++ {
			d.write(1460)
			d.want("data", PSH|ACK, octets(1460))
			d.recv(ACK|PSH, octets(500))
			d.want("quick ACK", ACK)
			d.wantRead(500)
		}
		d.write(2920) // in flight over the wrap, one lost
		d.want("data", ACK, octets(1460))
		d.want("data", PSH|ACK, octets(1460))
		d.recv(ACK, ack(7301))
		d.advance(2 * sec)
		if x := d.ignore(); len(x) == 0 || x[0].Seq-iss != 7301+1460 && x[0].Seq-iss != 7301 {
			d.failf("no retransmission")
		}
		d.recv(ACK)
		d.ignore()
	}
}

func TestC41WindowIsUnsigned(t *testing.T) {
	d := newDialogue(t)
	d.connect(mss(1460), win(0xffff))
	d.recv(ACK, win(0xffff))
	if d.c.snd.wnd != 0xffff {
		d.failf("window is %d", d.c.snd.wnd)
	}
}

func TestC42ChecksumOfEveryBitVerified(t *testing.T) {
	p := header(SYN|ACK, optMSS, 4, 5, 0xb4)
	p = append(p, "payload"...)
	if _, d := parse(t, p); d != ipv4.DropNone {
		t.Fatal(d)
	}
	for i := range len(p) * 8 {
		if i/8 == 12 && i%8 >= 4 {
			continue // the data offset is looked at before
		}
		p[i/8] ^= 1 << (i % 8)
		var s Segment
		if d := Parse(p, 1234, &s); d != ipv4.DropTCPChecksum {
			t.Errorf("bit %d of octet %d flipped: %s", i%8, i/8, d)
		}
		p[i/8] ^= 1 << (i % 8)
	}
	var s Segment
	if d := Parse(p, 1235, &s); d != ipv4.DropTCPChecksum {
		t.Errorf("another pseudo-header: %s", d)
	}
}

func TestC42BadChecksumChangesNothing(t *testing.T) {
	d := established(t)
	old := fmt.Sprintf("%+v", &d.c)
	d.recv(RST, badChecksum)
	d.recv(ACK, octets(10), badChecksum)
	d.wantNothing("dropped silently")
	if now := fmt.Sprintf("%+v", &d.c); now != old {
		d.failf("the connection has changed")
	}
	d.peer = 1
}

func TestC43OptionsInAnySegment(t *testing.T) {
	d := established(t)
	d.recv(ACK, octets(5), rawOptions(optNop, 254, 5, 1, 2, 3, 253, 2, optNop, optEnd))
	d.want("data is taken", ACK, ack(6))
	// MSS and Window Scale mean nothing outside of a SYN.
	d.recv(ACK, octets(5), rawOptions(optMSS, 4, 0, 100, optWScale, 3, 7))
	d.want("data is taken", ACK, ack(11))
	d.recv(ACK, win(1000))
	if d.c.snd.wnd != 1000 || d.c.MSS() != 1460 {
		d.failf("window %d, MSS %d", d.c.snd.wnd, d.c.MSS())
	}
}

func TestC43UnknownOptionsSkippedByLength(t *testing.T) {
	for _, c := range []struct {
		opt []byte
		mss uint16
		ws  int8
	}{
		{[]byte{optMSS, 4, 5, 0xb4}, 1460, -1},
		{[]byte{optNop, optNop, optNop, optMSS, 4, 5, 0xb4}, 1460, -1},
		{[]byte{99, 2, optMSS, 4, 5, 0xb4}, 1460, -1},
		{[]byte{99, 6, optMSS, 4, 0, 1, optMSS, 4, 5, 0xb4}, 1460, -1},
		{[]byte{4, 2, optMSS, 4, 5, 0xb4}, 1460, -1}, // SACK permitted
		{[]byte{optMSS, 4, 5, 0xb4, optWScale, 3, 9}, 1460, 9},
		{[]byte{optEnd, optMSS, 4, 5, 0xb4}, 0, -1},
		{[]byte{optMSS, 4, 5, 0xb4, optEnd, optWScale, 3, 9}, 1460, -1},
		{[]byte{optMSS, 4, 0, 1, optMSS, 4, 5, 0xb4}, 1460, -1},
	} {
		s := parsed(t, header(SYN, c.opt...))
		if !feature.WScale {
			c.ws = -1
		}
		if s.MSS != c.mss || s.WScale != c.ws {
			t.Errorf("%v: MSS %d, shift %d, want %d, %d", c.opt, s.MSS, s.WScale, c.mss, c.ws)
		}
	}
}

func TestC44IllegalOptionLengthEndsTheOptions(t *testing.T) {
	for _, opt := range [][]byte{
		{99, 0, optMSS, 4, 5, 0xb4},   // 0 would loop
		{99, 1, optMSS, 4, 5, 0xb4},   // 1 is too short for itself
		{99, 200, optMSS, 4, 5, 0xb4}, // past the header
		{optMSS, 9, 5, 0xb4},          // likewise
		{optMSS, 0}, {optMSS, 1},      //
		{optNop, optNop, optNop, optMSS},                      // no length at all
		{optMSS, 3, 5}, {optMSS, 5, 5, 0xb4, 0, optMSS, 3, 5}, // not an MSS's length
		{optMSS, 2},
	} {
		if s := parsed(t, header(SYN, opt...)); s.MSS != 0 {
			t.Errorf("%v: MSS %d", opt, s.MSS)
		}
	}
	for _, opt := range [][]byte{{optWScale, 2}, {optWScale, 4, 7, 7}, {optTimestamp, 9, 1, 2, 3, 4, 5, 6, 7}, {optTimestamp, 2}} {
		if s := parsed(t, header(SYN, opt...)); s.WScale != -1 || s.HasTS {
			t.Errorf("%v: shift %d, timestamps %v", opt, s.WScale, s.HasTS)
		}
	}
	// The segment is still good.
	d := established(t)
	d.recv(ACK, octets(9), rawOptions(99, 0, 99, 0))
	d.want("its data is taken", ACK, ack(10))
}

func TestC44EveryTailOfOptionsIsSafe(t *testing.T) {
	kinds := []byte{0, 1, 2, 3, 8, 99}
	lens := []byte{0, 1, 2, 3, 4, 10, 11, 39, 40, 41, 255}
	for _, k := range kinds {
		for _, l := range lens {
			for at := range 40 {
				opt := make([]byte, 40)
				for i := range opt {
					opt[i] = optNop
				}
				opt[at] = k
				if at < 39 {
					opt[at+1] = l
				}
				parsed(t, header(SYN, opt...))
			}
		}
	}
}

func TestC45OptionsNeedNotBeAligned(t *testing.T) {
	if !feature.Timestamps {
		t.Skip("needs feature timestamps")
	}
	for pad := range 4 {
		opt := append(make([]byte, 0, 40), []byte{1, 1, 1}[:min(pad, 3)]...)
		opt = append(opt, optTimestamp, 10, 1, 2, 3, 4, 5, 6, 7, 8)
		s := parsed(t, header(ACK, opt...))
		if !s.HasTS || s.TSVal != 0x01020304 || s.TSEcr != 0x05060708 {
			t.Errorf("after %d NOPs: %v %#x %#x", pad, s.HasTS, s.TSVal, s.TSEcr)
		}
	}
}

func TestC46MSSInSynOnlyAnd536WithoutOne(t *testing.T) {
	d := newDialogue(t)
	d.connect()
	if d.c.MSS() != 536 {
		d.failf("MSS %d", d.c.MSS())
	}
	d.write(1000)
	d.want("536 octets", ACK, octets(536))
	d.want("the rest", PSH|ACK, octets(464))
}

func TestC46MSSOptionBounds(t *testing.T) {
	for _, c := range []struct {
		option uint32
		mtu    int
		want   int
	}{
		{0, 1500, 536},     // as if there were none
		{1, 1500, minMSS},  // CVE-2019-11479
		{48, 1500, 48},     //
		{88, 1500, 88},     //
		{1460, 1500, 1460}, //
		{65535, 1500, 1460},
		{65535, 576, 536},
		{1460, 68, 28}, // the smallest MTU there is
		{65535, 65535, 65495},
	} {
		d := newDialogue(t, withMTU(c.mtu))
		d.connect(mss(c.option))
		if d.c.MSS() != c.want {
			d.failf("MSS %d, want %d", d.c.MSS(), c.want)
		}
		n := min(2*c.want, 50000)
		d.write(n)
		if x := d.ignore(); len(x) == 0 || len(x[0].Payload) != min(c.want, n) {
			d.failf("first segment")
		}
		d.recv(ACK)
	}
}

func TestC47DataOffsetBounds(t *testing.T) {
	for n := range 20 {
		if _, d := parse(t, make([]byte, n)); d != ipv4.DropTCPShort {
			t.Errorf("%d octets: %s", n, d)
		}
	}
	for off := range 16 {
		p := header(ACK)
		p = append(p, make([]byte, 12)...) // 32 octets: data offset 8 at most
		p[12] = byte(off) << 4
		want := ipv4.DropNone
		if off < 5 || off > 8 {
			want = ipv4.DropTCPDataOffset
		}
		s, d := parse(t, p)
		if d != want || d == ipv4.DropNone && len(s.Payload) != 32-4*off {
			t.Errorf("data offset %d: %s", off, d)
		}
	}
}

func TestC47ReservedBitsIgnored(t *testing.T) {
	d := established(t)
	d.recv(ACK, octets(7), reserved(0xf))
	d.want("taken as if they were 0", ACK, ack(8)) // and want checks that ours are 0
}

func TestC48UrgentDataIsNeverLost(t *testing.T) {
	d := established(t)
	d.recv(ACK|URG|PSH, octets(10), urg(3))
	d.want("quick ACK", ACK, ack(11))
	d.recv(ACK|URG|PSH, octets(10), urg(10))
	d.want("quick ACK", ACK, ack(21))
	d.recv(ACK|URG|PSH, octets(10), urg(1000))
	d.want("quick ACK", ACK, ack(31))
	d.wantRead(30) // in line, every octet
}

func TestC48UrgentPointerTracked(t *testing.T) {
	if !feature.Urgent {
		t.Skip("needs feature urgent")
	}
	d := established(t)
	d.recv(ACK|URG, octets(10), urg(5))
	d.want("quick ACK", ACK, ack(11))
	d.wantEvents(Readable | Urgent)
	if n := d.c.UrgentLeft(); n != 5 {
		d.failf("%d octets up to the end of the urgent data, want 5", n)
	}
	d.wantRead(2)
	if n := d.c.UrgentLeft(); n != 3 {
		d.failf("%d octets up to the end of the urgent data, want 3", n)
	}
	d.recv(ACK|URG, seq(1), octets(10), urg(4)) // older: ignored
	d.want("a repetition", ACK, ack(11))
	d.recv(ACK|URG, urg(20)) // ahead of the data
	d.wantEvents(Urgent)
	if n := d.c.UrgentLeft(); n != 28 {
		d.failf("%d octets up to the end of the urgent data, want 28", n)
	}
	d.recv(ACK, octets(20))
	d.want("quick ACK", ACK, ack(31))
	d.wantRead(28)
	if n := d.c.UrgentLeft(); n != 0 {
		d.failf("%d octets up to the end of the urgent data, want 0", n)
	}
	d.c.TakeEvents()
	d.recv(ACK|URG, urg(0)) // points to what was read
	d.wantEvents(0)
}

func TestC48UrgentDataSent(t *testing.T) {
	if !feature.Urgent {
		t.Skip("needs feature urgent")
	}
	d := established(t)
	d.write(10)
	d.want("data", PSH|ACK, octets(10))
	if n, e := d.c.WriteUrgent(stream(11, 3)); n != 3 || e != 0 {
		d.failf("WriteUrgent = %d, %v", n, e)
	}
	d.written += 3
	d.c.SetNoDelay(true)
	d.pump()
	d.want("points behind the last octet", URG|PSH|ACK, octets(3), urg(3))
	d.wantAfter(rto, "and so does the retransmission", URG|PSH|ACK, seq(1), octets(13), urg(13))
	d.recv(ACK)
	d.write(5)
	d.want("no longer", PSH|ACK, octets(5))
}

func TestC48UrgentPointerSentWithZeroWindow(t *testing.T) {
	if !feature.Urgent {
		t.Skip("needs feature urgent")
	}
	d := established(t)
	d.recv(ACK, win(0))
	d.c.WriteUrgent(stream(1, 3))
	d.written += 3
	d.pump()
	d.wantAfter(rto, "the probe says so", URG|ACK, seq(0), urg(4))
	d.recv(ACK, ack(1), win(100))
	d.want("urgent data", URG|PSH|ACK, octets(3), urg(3))
}

func TestC48UrgentIsOverAfter2GiB(t *testing.T) {
	if !feature.Urgent {
		t.Skip("needs feature urgent")
	}
	d := established(t)
	d.c.WriteUrgent(stream(1, 1))
	d.written++
	d.pump()
	d.want("urgent", URG|PSH|ACK, octets(1), urg(1))
	d.recv(ACK)
	d.write(1)
	d.want("not urgent", PSH|ACK, octets(1))
	d.recv(ACK)
	// Half of the sequence space later: before(up, nxt) would turn.
	s := &d.c.snd
	s.una += 1<<31 + 5
	s.nxt, s.end, s.rtx, s.rtxEnd, s.small = s.una, s.una, s.una, s.una, s.una
	d.nxt += 1<<31 + 5
	d.written += 1<<31 + 5
	d.write(1)
	d.want("not urgent", PSH|ACK, octets(1))
}

func TestC49PushOnTheLastSegmentOfBufferedData(t *testing.T) {
	d := established(t)
	d.write(3000)
	d.want("more follows", ACK, octets(1460))
	d.want("more follows", ACK, octets(1460))
	d.want("the last", PSH|ACK, octets(80))
	d.recv(ACK)
	d.write(1460)
	d.want("a full one that is the last", PSH|ACK, octets(1460))
}

func TestC49PushOnRetransmission(t *testing.T) {
	d := established(t)
	d.write(2920)
	d.want("first", ACK, octets(1460))
	d.want("last", PSH|ACK, octets(1460))
	d.wantAfter(rto, "first again", ACK, seq(1), octets(1460))
	d.recv(ACK, ack(1461))
	d.want("last again", PSH|ACK, octets(1460), seq(1461))
}

func TestC49PushNotWaitedForOnReceipt(t *testing.T) {
	d := established(t)
	d.recv(ACK, octets(3))
	d.want("quick ACK", ACK, ack(4))
	d.wantEvents(Readable)
	d.wantRead(3)
}
