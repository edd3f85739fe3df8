package ipv4

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// message returns an ICMP message with its checksum.
func message(typ, code uint8, rest uint32, body []byte) []byte {
	p := binary.BigEndian.AppendUint32([]byte{typ, code, 0, 0}, rest)
	p = append(p, body...)
	binary.BigEndian.PutUint16(p[2:], ^naiveSum(p))
	return p
}

func TestC28ICMPChecksumVerified(t *testing.T) {
	good := message(ICMPEcho, 0, 0x12340001, []byte("0123456"))
	var m ICMP
	if d := ParseICMP(good, &m); d != DropNone || m.Type != ICMPEcho || m.Code != 0 || m.Rest != 0x12340001 ||
		string(m.Body) != "0123456" {
		t.Fatalf("%v, %+v", d, m)
	}
	for i := 0; i < 8*len(good); i++ {
		p := bytes.Clone(good)
		p[i/8] ^= 1 << (i & 7)
		if d := ParseICMP(p, &m); d != DropICMPChecksum {
			t.Errorf("bit %d flipped: %v", i, d)
		}
	}
	for n := 0; n < 8; n++ {
		if d := ParseICMP(good[:n], &m); d != DropICMPShort {
			t.Errorf("%d bytes: %v", n, d)
		}
	}
	if d := ParseICMP(message(ICMPEcho, 0, 0, nil), &m); d != DropNone || len(m.Body) != 0 {
		t.Errorf("8 bytes: %v", d)
	}
}

func TestC24EchoReplyHasAllOfTheRequestsData(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := 0; i < 70000; i++ {
		// The second word runs through all sums, so that the new checksum carries in
		// each way that it can.
		body := randomBytes(r, r.IntN(5))
		p := message(ICMPEcho, uint8(i&1), uint32(i), body)
		want := message(ICMPEchoReply, uint8(i&1), uint32(i), body)
		EchoReply(p)
		var m ICMP
		if d := ParseICMP(p, &m); d != DropNone {
			t.Fatalf("%v: % x", d, p)
		}
		p[2], p[3], want[2], want[3] = 0, 0, 0, 0
		if !bytes.Equal(p, want) {
			t.Fatalf("% x, want % x", p, want)
		}
	}
}

func TestC27ErrorQuotesAsMuchAs576BytesAllow(t *testing.T) {
	for _, c := range []struct{ payload, padding, opts, want int }{
		{0, 0, 0, 20},
		{8, 0, 0, 28},
		{8, 18, 0, 28},   // the padding of a short Ethernet frame is not quoted
		{528, 0, 0, 548}, // 20 + 8 + 548 = 576
		{529, 0, 0, 548},
		{1480, 0, 0, 548},
		{1440, 0, 40, 548}, // >= 8 octets behind any header
	} {
		h := Header{Src: hostA, Dst: hostB, Proto: ProtoUDP, Options: bytes.Repeat([]byte{1}, c.opts)}
		p := append(packet(h, bytes.Repeat([]byte("x"), c.payload)), make([]byte, c.padding)...)
		b := pkt.NewBuf(1500)
		PutICMPError(b, ICMPParameter, ParameterPointer, 21<<24, p)
		var m ICMP
		if d := ParseICMP(b.Bytes(), &m); d != DropNone || m.Type != ICMPParameter || m.Rest != 21<<24 {
			t.Fatalf("%v: %+v", d, m)
		}
		if len(m.Body) != c.want || !bytes.Equal(m.Body, p[:c.want]) {
			t.Errorf("%+v: %d bytes quoted", c, len(m.Body))
		}
		if len(m.Body)+8+20 > ICMPErrorLen {
			t.Errorf("%+v: packet of %d bytes", c, len(m.Body)+28)
		}
		if c.payload < 8 {
			continue
		}
		var q Quote
		if d := ParseQuote(m.Body, &q); d != DropNone || q.Src != hostA || int(q.HeaderLen) != 20+c.opts {
			t.Errorf("%+v: %v, %+v", c, d, q)
		}
	}
	// A small buffer cuts the quote rather than panic.
	b := pkt.NewBuf(68 - 20)
	PutICMPError(b, ICMPUnreachable, UnreachPort, 0, packet(Header{}, make([]byte, 500)))
	if b.Len() != 48 {
		t.Errorf("%d bytes in a buffer of 48", b.Len())
	}
}

func TestC26NeverAnErrorAboutTheseDatagrams(t *testing.T) {
	udp := Header{Src: hostA, Dst: hostB, Proto: ProtoUDP}
	icmp := Header{Src: hostA, Dst: hostB, Proto: ProtoICMP}
	with := func(h Header, f func(*Header)) Header { f(&h); return h }
	for _, c := range []struct {
		name      string
		h         Header
		payload   []byte
		broadcast bool
		want      bool
	}{
		{"a unicast datagram", udp, make([]byte, 8), false, true},
		{"the first fragment", with(udp, func(h *Header) { h.MF = true }), make([]byte, 8), false, true},
		{"a later fragment", with(udp, func(h *Header) { h.FragOff = 8 }), make([]byte, 8), false, false},
		{"a link broadcast", udp, make([]byte, 8), true, false},
		{"limited broadcast", with(udp, func(h *Header) { h.Dst = Broadcast }), nil, false, false},
		{"multicast", with(udp, func(h *Header) { h.Dst = AddrOf(224, 0, 0, 1) }), nil, false, false},
		{"class E", with(udp, func(h *Header) { h.Dst = AddrOf(250, 0, 0, 1) }), nil, false, false},
		{"from 0.0.0.0", with(udp, func(h *Header) { h.Src = Any }), nil, false, false},
		{"from the loopback net", with(udp, func(h *Header) { h.Src = Loopback }), nil, false, true},
		{"from a multicast address", with(udp, func(h *Header) { h.Src = AddrOf(224, 0, 0, 5) }), nil, false, false},
		{"from the broadcast address", with(udp, func(h *Header) { h.Src = Broadcast }), nil, false, false},
		{"an empty ICMP message", icmp, nil, false, false},
	} {
		if got := MayError(&c.h, c.payload, c.broadcast); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	for typ := 0; typ < 256; typ++ {
		want := false
		switch typ {
		case ICMPEcho, ICMPEchoReply, ICMPTimestamp, ICMPTimestampReply:
			want = true
		}
		if got := MayError(&icmp, []byte{byte(typ), 0, 0, 0, 0, 0, 0, 0}, false); got != want {
			t.Errorf("about ICMP type %d: %v", typ, got)
		}
	}
}

func TestParseQuote(t *testing.T) {
	tcp := []byte{0x12, 0x34, 0x00, 0x50, 0xde, 0xad, 0xbe, 0xef}
	h := Header{Src: hostA, Dst: hostB, Proto: ProtoTCP, DF: true, TotalLen: 1500}
	full := append(naiveHeader(&h), tcp...)
	var q Quote
	if d := ParseQuote(full, &q); d != DropNone {
		t.Fatal(d)
	}
	if q.Src != hostA || q.Dst != hostB || q.Proto != ProtoTCP || q.SrcPort != 0x1234 || q.DstPort != 80 ||
		q.Seq != 0xdeadbeef || q.TotalLen != 1500 || !q.DF || q.HeaderLen != 20 || !bytes.Equal(q.Payload, tcp) {
		t.Errorf("%+v", q)
	}
	for n := 0; n < len(full); n++ {
		if d := ParseQuote(full[:n], &q); d != DropICMPQuote {
			t.Errorf("%d bytes: %v", n, d)
		}
	}
	h.Options = bytes.Repeat([]byte{1}, 40)
	full = append(naiveHeader(&h), tcp...)
	if d := ParseQuote(full, &q); d != DropNone || q.SrcPort != 0x1234 || q.HeaderLen != 60 {
		t.Errorf("with options: %v, %+v", d, q)
	}
	if d := ParseQuote(full[:67], &q); d != DropICMPQuote {
		t.Errorf("options and 7 bytes: %v", d)
	}
	// Routers decrement the TTL, translators change addresses, and few correct the
	// quoted checksum.
	full[8]--
	if d := ParseQuote(full, &q); d != DropNone {
		t.Errorf("wrong checksum in the quote: %v", d)
	}
	for name, f := range map[string]func(p []byte){
		"version 6": func(p []byte) { p[0] = 0x65 },
		"IHL 4":     func(p []byte) { p[0] = 0x44 },
		"offset 8":  func(p []byte) { p[7] = 1 },
	} {
		p := packet(Header{Src: hostA, Dst: hostB, Proto: ProtoTCP}, tcp)
		f(p)
		if d := ParseQuote(p, &q); d != DropICMPQuote {
			t.Errorf("%s: %v", name, d)
		}
	}
}

func TestC33SourceQuenchMeansNothing(t *testing.T) {
	for code := 0; code < 256; code++ {
		if e, hard := ICMPErrno(4, uint8(code)); e != 0 || hard {
			t.Fatalf("code %d: %v", code, e)
		}
	}
}

func TestC34DeprecatedAndUnknownICMPTypesMeanNothing(t *testing.T) {
	for typ := 0; typ < 256; typ++ {
		for code := 0; code < 256; code++ {
			e, hard := ICMPErrno(uint8(typ), uint8(code))
			known := typ == ICMPUnreachable && code <= 15 || typ == ICMPTimeExceeded && code <= 1 ||
				typ == ICMPParameter && code <= 2
			if known != (e != 0) || hard && e == 0 {
				t.Errorf("type %d code %d: %v, %v", typ, code, e, hard)
			}
		}
	}
}

// What applications get from Linux: icmp(7), ip(7), udp(7).
func TestICMPErrno(t *testing.T) {
	for _, c := range []struct {
		typ, code uint8
		e         errno.Errno
		hard      bool
	}{
		{3, 0, errno.ENETUNREACH, false},
		{3, 1, errno.EHOSTUNREACH, false},
		{3, 2, errno.ENOPROTOOPT, true},
		{3, 3, errno.ECONNREFUSED, true},
		{3, 4, errno.EMSGSIZE, false},
		{3, 5, errno.EOPNOTSUPP, false},
		{3, 6, errno.ENETUNREACH, true},
		{3, 7, errno.EHOSTDOWN, true},
		{3, 8, errno.ENONET, true},
		{3, 9, errno.ENETUNREACH, true},
		{3, 10, errno.EHOSTUNREACH, true},
		{3, 11, errno.ENETUNREACH, false},
		{3, 12, errno.EHOSTUNREACH, false},
		{3, 13, errno.EHOSTUNREACH, true},
		{3, 14, errno.EHOSTUNREACH, true},
		{3, 15, errno.EHOSTUNREACH, true},
		{11, 0, errno.EHOSTUNREACH, false},
		{11, 1, errno.EHOSTUNREACH, false},
		{12, 0, errno.EPROTO, true},
	} {
		if e, hard := ICMPErrno(c.typ, c.code); e != c.e || hard != c.hard {
			t.Errorf("type %d code %d: %v, %v; want %v, %v", c.typ, c.code, e, hard, c.e, c.hard)
		}
	}
}

func TestICMPSecondWord(t *testing.T) {
	if got := (&ICMP{Rest: 0xffff05dc}).MTU(); got != 1500 {
		t.Errorf("MTU %d", got)
	}
	if got := (&ICMP{Rest: uint32(hostB)}).Gateway(); got != hostB {
		t.Errorf("gateway %v", got)
	}
}

func TestICMPDoesNotAllocate(t *testing.T) {
	b := pkt.NewBuf(1500)
	quote := packet(Header{Src: hostA, Dst: hostB}, make([]byte, 100))
	var m ICMP
	var q Quote
	if n := testing.AllocsPerRun(100, func() {
		b.Reset()
		PutICMPError(b, ICMPUnreachable, UnreachPort, 0, quote)
		ParseICMP(b.Bytes(), &m)
		ParseQuote(m.Body, &q)
		EchoReply(b.Bytes())
		ICMPErrno(3, 3)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzICMP(f *testing.F) {
	f.Add(message(ICMPEcho, 0, 1, []byte("data")))
	f.Add(message(ICMPUnreachable, UnreachFragNeeded, 1400, packet(Header{Src: hostA, Dst: hostB, Proto: ProtoTCP}, make([]byte, 8))))
	f.Add(message(ICMPRedirect, 1, uint32(hostB), packet(Header{Src: hostA, Options: []byte{1, 1, 1, 1}}, make([]byte, 20))))
	f.Add([]byte{3, 3, 252, 252, 0, 0, 0, 0, 0x4f})
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) >= 4 {
			p = bytes.Clone(p)
			SetICMPChecksum(p)
		}
		var m ICMP
		d := ParseICMP(p, &m)
		if (d == DropNone) != (len(p) >= 8) {
			t.Fatal(d)
		}
		if d != DropNone {
			return
		}
		var q Quote
		if ParseQuote(m.Body, &q) == DropNone && len(q.Payload) < 8 {
			t.Fatalf("%+v", q)
		}
		b := pkt.NewBuf(1500)
		PutICMPError(b, 3, 3, 0, p)
		if d := ParseICMP(b.Bytes(), &m); d != DropNone || len(m.Body) > 548 {
			t.Fatal(d, len(m.Body))
		}
		EchoReply(p)
		if p[0] != 0 {
			t.Fatal("no echo reply")
		}
	})
}

func FuzzQuote(f *testing.F) {
	f.Add(packet(Header{Src: hostA, Dst: hostB, Proto: ProtoTCP, DF: true}, make([]byte, 8)))
	f.Add(packet(Header{Src: hostA, Dst: hostB, Proto: ProtoUDP, Options: bytes.Repeat([]byte{1}, 40)}, make([]byte, 8)))
	f.Add(packet(Header{Src: hostA, FragOff: 8}, make([]byte, 100)))
	f.Fuzz(func(t *testing.T, p []byte) {
		var q Quote
		d := ParseQuote(p, &q)
		if d == DropNone && (len(q.Payload) < 8 || int(q.HeaderLen)+len(q.Payload) != len(p)) {
			t.Fatalf("%+v of %d bytes", q, len(p))
		}
		if d != DropNone && d != DropICMPQuote {
			t.Fatal(d)
		}
	})
}

// TestEchoReplyToZeros: with nothing but zeros in it, the checksum of a reply is
// 0xffff; 0 is not the same then.
func TestEchoReplyToZeros(t *testing.T) {
	p := make([]byte, 64)
	p[0] = ICMPEcho
	SetICMPChecksum(p)
	EchoReply(p)
	var m ICMP
	if d := ParseICMP(p, &m); d != DropNone {
		t.Errorf("%v: checksum %#x", d, p[2:4])
	}
}
