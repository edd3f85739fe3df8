package udp

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/bonsainet/bonsai/ipv4"
)

var (
	hostA = ipv4.AddrOf(198, 18, 0, 1)
	hostB = ipv4.AddrOf(198, 18, 0, 2)
	epA   = ipv4.Endpoint{Addr: hostA, Port: 5000}
	epB   = ipv4.Endpoint{Addr: hostB, Port: 53}
)

// naiveSum is RFC 768's checksum, not complemented, over datagram p.
func naiveSum(p []byte, src, dst ipv4.Addr) uint16 {
	q := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(src)), uint32(dst))
	q = append(q, 0, 17, byte(len(p)>>8), byte(len(p)))
	q = append(append(q, p...), 0)
	var s uint32
	for i := 0; i+1 < len(q); i += 2 {
		if s += uint32(q[i])<<8 | uint32(q[i+1]); s > 0xffff {
			s -= 0xffff
		}
	}
	return uint16(s)
}

// datagram returns a datagram without a checksum.
func datagram(src, dst ipv4.Endpoint, payload string) []byte {
	p := binary.BigEndian.AppendUint16(nil, src.Port)
	p = binary.BigEndian.AppendUint16(p, dst.Port)
	p = binary.BigEndian.AppendUint16(p, uint16(8+len(payload)))
	return append(append(p, 0, 0), payload...)
}

func TestHeaderRoundTrips(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < 3000; i++ {
		src := ipv4.Endpoint{Addr: ipv4.Addr(r.Uint32()), Port: uint16(r.Uint32())}
		dst := ipv4.Endpoint{Addr: ipv4.Addr(r.Uint32()), Port: uint16(r.Uint32())}
		p := datagram(src, dst, string(make([]byte, r.IntN(100))))
		for i := 8; i < len(p); i++ {
			p[i] = byte(r.Uint32())
		}
		want := bytes.Clone(p)
		c := ^naiveSum(p, src.Addr, dst.Addr)
		if c == 0 {
			c = 0xffff
		}
		binary.BigEndian.PutUint16(want[6:], c)
		Put(p, src, dst, p[8:])
		if !bytes.Equal(p, want) {
			t.Fatalf("% x, want % x", p, want)
		}
		sp, dp, payload, d := Parse(p, src.Addr, dst.Addr)
		if d != ipv4.DropNone || sp != src.Port || dp != dst.Port || !bytes.Equal(payload, p[8:]) {
			t.Fatalf("%v, %d, %d, % x", d, sp, dp, payload)
		}
	}
}

func TestLargestDatagram(t *testing.T) {
	p := make([]byte, HeaderLen+MaxPayload)
	for i := range p {
		p[i] = 0xff
	}
	Put(p, epA, epB, p[8:])
	if naiveSum(p, hostA, hostB) != 0xffff {
		t.Error("wrong checksum")
	}
	if _, _, payload, d := Parse(p, hostA, hostB); d != ipv4.DropNone || len(payload) != 65507 {
		t.Errorf("%v, %d bytes", d, len(payload))
	}
}

func TestComputedZeroIsSentAsAllOnes(t *testing.T) {
	// The second word of the payload is chosen so that the sum is 0xffff.
	p := datagram(epA, epB, "ab\x00\x00")
	binary.BigEndian.PutUint16(p[10:], ^naiveSum(p, hostA, hostB))
	Put(p, epA, epB, p[8:])
	if p[6] != 0xff || p[7] != 0xff {
		t.Errorf("checksum %x%x", p[6], p[7])
	}
	if _, _, _, d := Parse(p, hostA, hostB); d != ipv4.DropNone {
		t.Error(d)
	}
}

func TestZeroChecksumMeansNone(t *testing.T) {
	p := datagram(epA, epB, "not summed up")
	if _, _, payload, d := Parse(p, hostA, hostB); d != ipv4.DropNone || string(payload) != "not summed up" {
		t.Errorf("%v, %q", d, payload)
	}
}

func TestChecksumVerifiedWithPseudoHeader(t *testing.T) {
	good := datagram(epA, epB, "data.")
	Put(good, epA, epB, good[8:])
	for i := 0; i < 8*len(good); i++ {
		p := bytes.Clone(good)
		p[i/8] ^= 1 << (i & 7)
		if _, _, _, d := Parse(p, hostA, hostB); d != ipv4.DropUDPChecksum && d != ipv4.DropUDPLen {
			t.Errorf("bit %d flipped: %v", i, d)
		}
	}
	if _, _, _, d := Parse(good, hostA, hostA); d != ipv4.DropUDPChecksum {
		t.Errorf("delivered to the wrong host: %v", d)
	}
	if _, _, _, d := Parse(good, hostB, hostA); d != ipv4.DropNone {
		t.Errorf("the sum knows no direction: %v", d)
	}
}

func TestLengths(t *testing.T) {
	good := datagram(epA, epB, "data")
	for _, c := range []struct {
		name string
		n    int // of the datagram
		len  int // what it claims
		want ipv4.Drop
	}{
		{"nothing", 0, 0, ipv4.DropUDPShort},
		{"7 bytes", 7, 7, ipv4.DropUDPShort},
		{"empty", 8, 8, ipv4.DropNone},
		{"length 0", 12, 0, ipv4.DropUDPLen},
		{"length 7", 12, 7, ipv4.DropUDPLen},
		{"one byte more than there is", 12, 13, ipv4.DropUDPLen},
		{"65535", 12, 65535, ipv4.DropUDPLen},
		{"exact", 12, 12, ipv4.DropNone},
		{"less than there is", 12, 9, ipv4.DropNone},
	} {
		p := bytes.Clone(good)
		binary.BigEndian.PutUint16(p[4:], uint16(c.len))
		_, _, payload, d := Parse(p[:c.n], hostA, hostB)
		if d != c.want || d == ipv4.DropNone && (len(payload) != c.len-8 || cap(payload) != len(payload)) {
			t.Errorf("%s: %v, %d bytes", c.name, d, len(payload))
		}
	}
	// The checksum ends where the datagram says that it ends.
	p := datagram(epA, epB, "abc")
	Put(p, epA, epB, p[8:])
	p = append(p, "garbage"...)
	if _, _, payload, d := Parse(p, hostA, hostB); d != ipv4.DropNone || string(payload) != "abc" {
		t.Errorf("%v, %q", d, payload)
	}
}

func TestHeaderDoesNotAllocate(t *testing.T) {
	p := datagram(epA, epB, "data")
	if n := testing.AllocsPerRun(100, func() {
		Put(p, epA, epB, p[8:])
		Parse(p, hostA, hostB)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	p := datagram(epA, epB, "data")
	Put(p, epA, epB, p[8:])
	f.Add(p, uint32(0xc6120001), uint32(0xc6120002))
	f.Add(datagram(epA, epB, ""), uint32(0), uint32(0))
	f.Add([]byte{0, 0, 0, 0, 0, 9, 0, 0}, uint32(0), uint32(0))
	f.Add([]byte{1, 2, 3}, uint32(1), uint32(1))
	f.Fuzz(func(t *testing.T, p []byte, s, d uint32) {
		src, dst := ipv4.Addr(s), ipv4.Addr(d)
		sp, dp, payload, drop := Parse(p, src, dst)
		if drop != ipv4.DropNone {
			return
		}
		n := HeaderLen + len(payload)
		if p[6]|p[7] != 0 && naiveSum(p[:n], src, dst) != 0xffff {
			t.Fatal("wrong checksum accepted")
		}
		q := make([]byte, n)
		copy(q[8:], payload)
		Put(q, ipv4.Endpoint{Addr: src, Port: sp}, ipv4.Endpoint{Addr: dst, Port: dp}, q[8:])
		if p[6]|p[7] != 0 && !bytes.Equal(p[:n], q) {
			t.Fatalf("% x became % x", p[:n], q)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	p := datagram(epA, epB, string(make([]byte, 1400)))
	Put(p, epA, epB, p[8:])
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, d := Parse(p, hostA, hostB); d != ipv4.DropNone {
			b.Fatal(d)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	p := datagram(epA, epB, string(make([]byte, 1400)))
	for b.Loop() {
		Put(p, epA, epB, p[8:])
	}
}
