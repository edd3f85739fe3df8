package ipv4

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

var (
	hostA = AddrOf(198, 18, 0, 1)
	hostB = AddrOf(198, 18, 0, 2)
	hostC = AddrOf(198, 19, 255, 254)
)

// naiveSum is RFC 1071 section 4.1's definition, word by word.
func naiveSum(p []byte) uint16 {
	var s uint32
	for i := 0; i < len(p); i += 2 {
		w := uint32(p[i]) << 8
		if i+1 < len(p) {
			w |= uint32(p[i+1])
		}
		if s += w; s > 0xffff {
			s -= 0xffff
		}
	}
	return uint16(s)
}

// naiveHeader builds a header byte by byte as RFC 791 section 3.1 draws it.
func naiveHeader(h *Header) []byte {
	p := make([]byte, 20, 60)
	p[0] = 4<<4 | byte(5+len(h.Options)/4)
	p[1] = h.TOS
	binary.BigEndian.PutUint16(p[2:], h.TotalLen)
	binary.BigEndian.PutUint16(p[4:], h.ID)
	binary.BigEndian.PutUint16(p[6:], h.FragOff/8)
	if h.DF {
		p[6] |= 0x40
	}
	if h.MF {
		p[6] |= 0x20
	}
	p[8], p[9] = h.TTL, h.Proto
	h.Src.Put(p[12:])
	h.Dst.Put(p[16:])
	p = append(p, h.Options...)
	binary.BigEndian.PutUint16(p[10:], ^naiveSum(p))
	return p
}

// packet returns h and payload as a packet, with TotalLen as it must be.
func packet(h Header, payload []byte) []byte {
	h.TotalLen = uint16(h.HeaderLen() + len(payload))
	return append(naiveHeader(&h), payload...)
}

// refix corrects the header checksum of p, whose header has hlen bytes.
func refix(p []byte, hlen int) []byte {
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], ^naiveSum(p[:hlen]))
	return p
}

func sameHeader(a, b Header) bool {
	return a.Src == b.Src && a.Dst == b.Dst && a.TotalLen == b.TotalLen && a.ID == b.ID &&
		a.FragOff == b.FragOff && a.MF == b.MF && a.DF == b.DF && a.TTL == b.TTL &&
		a.TOS == b.TOS && a.Proto == b.Proto && bytes.Equal(a.Options, b.Options)
}

func randomHeader(r *rand.Rand) Header {
	h := Header{
		Src: Addr(r.Uint32()), Dst: Addr(r.Uint32()), ID: uint16(r.Uint32()),
		FragOff: uint16(r.Uint32()) &^ 7, MF: r.IntN(2) == 0, DF: r.IntN(2) == 0,
		TTL: uint8(r.Uint32()), TOS: uint8(r.Uint32()), Proto: uint8(r.Uint32()),
	}
	if n := r.IntN(15); n <= 10 {
		h.Options = randomBytes(r, 4*n)
	}
	return h
}

func randomBytes(r *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

func TestHeaderRoundTrips(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < 2000; i++ {
		h := randomHeader(r)
		payload := randomBytes(r, r.IntN(100))
		h.TotalLen = uint16(h.HeaderLen() + len(payload))
		want := append(naiveHeader(&h), payload...)
		got := make([]byte, len(want), len(want)+50)
		copy(got[h.HeaderLen():], payload)
		h.Put(got)
		if !bytes.Equal(got, want) {
			t.Fatalf("Put(%+v)\n% x, want\n% x", h, got, want)
		}
		var h2 Header
		got = append(got, randomBytes(r, r.IntN(50))...) // padding
		rest, d := Parse(got, &h2)
		if d != DropNone || !sameHeader(h, h2) || !bytes.Equal(rest, payload) {
			t.Fatalf("Parse(% x) = % x, %v, %+v", got, rest, d, h2)
		}
		if cap(rest) != len(rest) || cap(h2.Options) != len(h2.Options) {
			t.Fatal("a part can grow over its neighbour")
		}
	}
}

// An IHL or options left by an earlier packet must not show.
func TestParseForgetsThePacketBefore(t *testing.T) {
	var h Header
	Parse(packet(Header{Options: []byte{1, 1, 1, 0}, MF: true, DF: true, FragOff: 80}, make([]byte, 8)), &h)
	Parse(packet(Header{Src: hostA}, nil), &h)
	if want := (Header{Src: hostA, TotalLen: 20}); !sameHeader(h, want) {
		t.Fatalf("%+v, want %+v", h, want)
	}
}

func TestC07BadVersionAndLengthsAreDropped(t *testing.T) {
	good := packet(Header{Src: hostA, Dst: hostB, TTL: 64, Proto: ProtoUDP}, make([]byte, 40))
	with := func(f func(p []byte)) []byte {
		p := bytes.Clone(good)
		f(p)
		return refix(p, min(len(p), int(p[0]&15)*4, 60))
	}
	for _, c := range []struct {
		name string
		p    []byte
		want Drop
	}{
		{"good", good, DropNone},
		{"nothing", nil, DropIPShort},
		{"19 bytes", good[:19], DropIPShort},
		{"version 0", with(func(p []byte) { p[0] = 0x05 }), DropIPVersion},
		{"version 6", with(func(p []byte) { p[0] = 0x65 }), DropIPVersion},
		{"version 5", with(func(p []byte) { p[0] = 0x55 }), DropIPVersion},
		{"IHL 0", with(func(p []byte) { p[0] = 0x40 }), DropIPHeaderLen},
		{"IHL 4", with(func(p []byte) { p[0] = 0x44 }), DropIPHeaderLen},
		{"IHL 15 within", with(func(p []byte) { p[0] = 0x4f }), DropNone},
		{"IHL past the total length", with(func(p []byte) { p[0] = 0x46; p[3] = 20 }), DropIPHeaderLen},
		{"IHL past the frame", refix(with(func(p []byte) { p[0] = 0x4f }), 60)[:59], DropIPTotalLen},
		{"total length 0", with(func(p []byte) { p[2], p[3] = 0, 0 }), DropIPHeaderLen},
		{"total length 19", with(func(p []byte) { p[3] = 19 }), DropIPHeaderLen},
		{"total length 20", with(func(p []byte) { p[3] = 20 }), DropNone},
		{"total length one too long", with(func(p []byte) { p[3] = 61 }), DropIPTotalLen},
		{"total length 65535", with(func(p []byte) { p[2], p[3] = 255, 255 }), DropIPTotalLen},
		{"truncated by one", good[:59], DropIPTotalLen},
	} {
		var h Header
		if _, d := Parse(c.p, &h); d != c.want {
			t.Errorf("%s: %v, want %v", c.name, d, c.want)
		}
	}
}

func TestC07PaddingIsStrippedByTotalLength(t *testing.T) {
	p := packet(Header{Src: hostA, Dst: hostB}, []byte{1, 2, 3})
	p = append(p, make([]byte, 60-14-len(p))...)
	var h Header
	rest, d := Parse(p, &h)
	if d != DropNone || !bytes.Equal(rest, []byte{1, 2, 3}) {
		t.Fatalf("payload % x, %v", rest, d)
	}
}

func TestC08HeaderChecksumVerified(t *testing.T) {
	for _, opts := range [][]byte{nil, {1, 1, 1, 0}, bytes.Repeat([]byte{1, 7}, 20)} {
		good := packet(Header{Src: hostA, Dst: hostB, TTL: 64, Proto: ProtoTCP, Options: opts}, []byte("data"))
		var h Header
		if _, d := Parse(good, &h); d != DropNone {
			t.Fatal(d)
		}
		for i := 0; i < 8*(20+len(opts)); i++ {
			p := bytes.Clone(good)
			p[i/8] ^= 1 << (i & 7)
			if _, d := Parse(p, &h); d == DropNone {
				t.Errorf("bit %d flipped: accepted", i)
			}
			if i/8 >= 4 {
				if _, d := Parse(p, &h); d != DropIPChecksum {
					t.Errorf("bit %d flipped: %v", i, d)
				}
			}
		}
		p := bytes.Clone(good)
		p[len(p)-1] ^= 1
		if _, d := Parse(p, &h); d != DropNone {
			t.Error("the header checksum does not cover the payload")
		}
	}
}

// A checksum field of 0xffff and one of 0 are both right where the sum is 0xffff
// or 0; everything that a sum can be is tried.
func TestC08EveryChecksumValue(t *testing.T) {
	h := Header{Src: hostA, Dst: hostB, TTL: 64, Proto: ProtoTCP, TotalLen: 20}
	p := make([]byte, 20)
	for id := 0; id < 65536; id++ {
		h.ID = uint16(id)
		h.Put(p)
		if naiveSum(p) != 0xffff {
			t.Fatalf("ID %d: checksum %x%x", id, p[10], p[11])
		}
		var h2 Header
		if _, d := Parse(p, &h2); d != DropNone || h2.ID != h.ID {
			t.Fatalf("ID %d: %v", id, d)
		}
	}
}

func TestPseudoSum(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := 0; i < 1000; i++ {
		src, dst, proto, n := Addr(r.Uint32()), Addr(r.Uint32()), uint8(r.Uint32()), r.IntN(65536)
		p := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(src)), uint32(dst))
		p = append(p, 0, proto, byte(n>>8), byte(n))
		got := PseudoSum(src, dst, proto, n)
		if got%0xffff != uint32(naiveSum(p))%0xffff {
			t.Fatalf("%x, want %x", got, naiveSum(p))
		}
	}
}

func TestC09BadSource(t *testing.T) {
	for _, c := range []struct {
		a    Addr
		want bool
	}{
		{Any, true}, {AddrOf(0, 1, 2, 3), true}, {AddrOf(1, 0, 0, 0), false},
		{AddrOf(126, 255, 255, 255), false}, {Loopback, true}, {AddrOf(127, 255, 255, 255), true},
		{AddrOf(128, 0, 0, 1), false}, {hostA, false}, {AddrOf(10, 0, 0, 255), false},
		{AddrOf(223, 255, 255, 255), false}, {AddrOf(224, 0, 0, 1), true}, {AddrOf(239, 255, 255, 255), true},
		{AddrOf(240, 0, 0, 1), true}, {AddrOf(255, 255, 255, 254), true}, {Broadcast, true},
	} {
		if got := BadSource(c.a); got != c.want {
			t.Errorf("BadSource(%v) = %v", c.a, got)
		}
	}
}

func TestC12ReceivedTTLIsNotChecked(t *testing.T) {
	if DefaultTTL < 64 {
		t.Error("default TTL below 64")
	}
	for _, ttl := range []uint8{0, 1, 255} {
		var h Header
		if _, d := Parse(packet(Header{Src: hostA, TTL: ttl}, nil), &h); d != DropNone || h.TTL != ttl {
			t.Errorf("TTL %d: %v", ttl, d)
		}
	}
}

func TestHeaderDoesNotAllocate(t *testing.T) {
	p := packet(Header{Src: hostA, Dst: hostB, Options: []byte{1, 1, 1, 0}}, make([]byte, 100))
	var h Header
	if n := testing.AllocsPerRun(100, func() {
		Parse(p, &h)
		CheckOptions(h.Options)
		h.Put(p)
		_ = PseudoSum(h.Src, h.Dst, h.Proto, 100)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(packet(Header{Src: hostA, Dst: hostB, TTL: 64, Proto: ProtoTCP}, make([]byte, 26)))
	f.Add(packet(Header{Src: hostA, Dst: hostB, Options: []byte{1, 68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}, nil))
	f.Add(packet(Header{Src: hostB, Dst: Broadcast, MF: true, FragOff: 65528}, make([]byte, 8)))
	f.Add(bytes.Repeat([]byte{0x45}, 100))
	f.Fuzz(func(t *testing.T, p []byte) {
		orig := bytes.Clone(p)
		var h Header
		rest, d := Parse(p, &h)
		if !bytes.Equal(p, orig) {
			t.Fatal("input changed")
		}
		if d != DropNone {
			if rest != nil {
				t.Fatal("dropped with a payload")
			}
			return
		}
		hlen := h.HeaderLen()
		if hlen+len(rest) != int(h.TotalLen) || naiveSum(p[:hlen]) != 0xffff {
			t.Fatalf("%+v accepted with %d bytes of payload", h, len(rest))
		}
		CheckOptions(h.Options)
		// The only bit that is not kept is the reserved one.
		q := make([]byte, hlen)
		h.Put(q)
		orig[6] &^= 0x80
		refix(orig, hlen)
		if !bytes.Equal(q, orig[:hlen]) {
			t.Fatalf("% x became % x", orig[:hlen], q)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	p := packet(Header{Src: hostA, Dst: hostB, TTL: 64, Proto: ProtoTCP, DF: true}, make([]byte, 1460))
	var h Header
	b.ReportAllocs()
	for b.Loop() {
		if _, d := Parse(p, &h); d != DropNone {
			b.Fatal(d)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	h := Header{Src: hostA, Dst: hostB, TTL: 64, Proto: ProtoTCP, DF: true, TotalLen: 1500}
	p := make([]byte, 20)
	b.ReportAllocs()
	for b.Loop() {
		h.Put(p)
	}
}
