package ipv4

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

func TestAddrClasses(t *testing.T) {
	for _, c := range []struct {
		a                                  Addr
		any, loopback, multicast, reserved bool
		mask                               Addr
	}{
		{Any, true, false, false, false, AddrOf(255, 0, 0, 0)},
		{Loopback, false, true, false, false, AddrOf(255, 0, 0, 0)},
		{AddrOf(127, 255, 255, 255), false, true, false, false, AddrOf(255, 0, 0, 0)},
		{AddrOf(128, 0, 0, 0), false, false, false, false, AddrOf(255, 255, 0, 0)},
		{AddrOf(191, 255, 255, 255), false, false, false, false, AddrOf(255, 255, 0, 0)},
		{AddrOf(192, 0, 0, 0), false, false, false, false, AddrOf(255, 255, 255, 0)},
		{hostA, false, false, false, false, AddrOf(255, 255, 255, 0)},
		{AddrOf(223, 255, 255, 255), false, false, false, false, AddrOf(255, 255, 255, 0)},
		{AllHosts, false, false, true, false, Broadcast},
		{AddrOf(239, 255, 255, 255), false, false, true, false, Broadcast},
		{AddrOf(240, 0, 0, 0), false, false, false, true, Broadcast},
		{Broadcast, false, false, false, true, Broadcast},
	} {
		if c.a.IsAny() != c.any || c.a.IsLoopback() != c.loopback || c.a.IsMulticast() != c.multicast ||
			c.a.IsReserved() != c.reserved {
			t.Errorf("%v: %v %v %v %v", c.a, c.a.IsAny(), c.a.IsLoopback(), c.a.IsMulticast(), c.a.IsReserved())
		}
		if got := c.a.ClassMask(); got != c.mask {
			t.Errorf("%v: class mask %v, want %v", c.a, got, c.mask)
		}
	}
}

func TestParseAddr(t *testing.T) {
	for _, s := range []string{"0.0.0.0", "198.18.0.1", "255.255.255.255", "1.22.103.40"} {
		a, ok := ParseAddr(s)
		if !ok || a.String() != s {
			t.Errorf("%q: %v, %v", s, a, ok)
		}
	}
	for _, s := range []string{"", ".", "1", "1.2.3", "1.2.3.", "1.2.3.4.", "1.2.3.4.5", ".1.2.3.4", "1..2.3", "256.0.0.1",
		"1.2.3.256", "01.2.3.4", "1.2.3.04", "00.0.0.0", "1.2.3.4 ", " 1.2.3.4", "1.2.3.-4", "1.2.3.+4", "1.2.3.0x4",
		"1.2.3.1000", "1.2.3.4294967296", "a.b.c.d", "1,2,3,4", "::1", "1.2.3.4/8"} {
		if a, ok := ParseAddr(s); ok {
			t.Errorf("%q: %v", s, a)
		}
	}
}

// net/netip is the reference for text and for prefixes.
func TestAddrAgreesWithNetip(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for i := 0; i < 5000; i++ {
		a, b := Addr(r.Uint32()>>r.IntN(32)), Addr(r.Uint32())
		n := netip.AddrFrom4(a.As4())
		if a.String() != n.String() {
			t.Fatalf("%v, want %v", a, n)
		}
		if got, ok := ParseAddr(n.String()); !ok || got != a || AddrFrom4(n.As4()) != a || AddrAt(n.AsSlice()) != a {
			t.Fatalf("%v became %v", n, got)
		}
		if q := n.As4(); AddrOf(q[0], q[1], q[2], q[3]) != a || a.As4() != q {
			t.Fatalf("%v became %v of %v", n, a, q)
		}
		bits := r.IntN(33)
		p, q := Prefix{a, uint8(bits)}, netip.PrefixFrom(n, bits)
		if r.IntN(2) == 0 { // one that differs in one bit
			b = a ^ 1<<r.IntN(32)
		}
		if p.Contains(b) != q.Contains(netip.AddrFrom4(b.As4())) {
			t.Fatalf("%v contains %v: %v", p, b, p.Contains(b))
		}
		if p.Masked().String() != q.Masked().String() || p.String() != q.String() {
			t.Fatalf("%v, want %v", p.Masked(), q.Masked())
		}
		port := uint16(r.Uint32())
		if got := (Endpoint{a, port}).String(); got != netip.AddrPortFrom(n, port).String() {
			t.Fatal(got)
		}
	}
}

func TestMaskBits(t *testing.T) {
	for n := uint8(0); n <= 32; n++ {
		if got, ok := MaskBits(Mask(n)); !ok || got != n {
			t.Errorf("Mask(%d) = %v has %d bits, %v", n, Mask(n), got, ok)
		}
	}
	for _, m := range []Addr{0x1, 0xff00ff00, 0xfeff0000, 0x7fffffff} {
		if _, ok := MaskBits(m); ok {
			t.Errorf("%v is contiguous", m)
		}
	}
}

func TestPrefixBroadcast(t *testing.T) {
	for _, c := range []struct {
		bits uint8
		want Addr
		ok   bool
	}{
		{0, Broadcast, true},
		{15, AddrOf(198, 19, 255, 255), true},
		{24, AddrOf(198, 18, 0, 255), true},
		{30, AddrOf(198, 18, 0, 3), true},
		{31, AddrOf(198, 18, 0, 1), false}, // RFC 3021
		{32, AddrOf(198, 18, 0, 1), false},
	} {
		if got, ok := (Prefix{hostA, c.bits}).Broadcast(); ok != c.ok || ok && got != c.want {
			t.Errorf("%v/%d: %v, %v", hostA, c.bits, got, ok)
		}
	}
}

func TestAddrDoesNotAllocate(t *testing.T) {
	b := make([]byte, 0, 32)
	if n := testing.AllocsPerRun(100, func() {
		b = hostC.AppendTo(b[:0])
		_, _ = ParseAddr("198.18.0.1")
		_ = Prefix{hostA, 15}.Contains(hostC)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "255.255.255.255", "01.2.3.4", "1.2.3", "1.2.3.4.5", "...."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := ParseAddr(s)
		want, err := netip.ParseAddr(s)
		if isWant := err == nil && want.Is4(); ok != isWant || ok && netip.AddrFrom4(a.As4()) != want {
			t.Fatalf("%q: %v, %v; netip says %v, %v", s, a, ok, want, err)
		}
	})
}
