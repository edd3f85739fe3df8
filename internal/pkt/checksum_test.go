package pkt

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// naiveSum is RFC 1071 section 4.1's definition, word by word.
func naiveSum(acc uint32, p []byte) uint16 {
	s := acc
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
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

// equal reports whether two one's complement sums are the same number: 0xffff is
// another way to write 0.
func equal(a, b uint16) bool { return a%0xffff == b%0xffff }

func random(r *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

func TestSumOfAllLengthsAndAlignments(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	mem := random(r, 400)
	for _, p := range [][]byte{mem, make([]byte, 400), ones(400)} {
		for n := 0; n <= 300; n++ {
			for at := 0; at < 16; at++ {
				got := fold(Sum(0, p[at:at+n]))
				if want := naiveSum(0, p[at:at+n]); !equal(got, want) {
					t.Fatalf("%d bytes at %d: %#x, want %#x", n, at, got, want)
				}
			}
		}
	}
}

func ones(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = 0xff
	}
	return p
}

func TestSumOfLongAndOfManyPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, p := range [][]byte{random(r, 65535), ones(65535), make([]byte, 65535)} {
		for _, n := range []int{1500, 9000, 65534, 65535} {
			if got, want := fold(Sum(0, p[:n])), naiveSum(0, p[:n]); !equal(got, want) {
				t.Errorf("%d bytes: %#x, want %#x", n, got, want)
			}
		}
	}
	// As many pieces as Sum promises to add up, each as large as its sum can be.
	var acc uint32
	for i := 0; i < 65535; i++ {
		acc = Sum(acc, ones(2))
	}
	if got := fold(acc); !equal(got, 0) {
		t.Errorf("65,535 pieces: %#x", got)
	}
	for i := 0; i < 2000; i++ {
		p := random(r, r.IntN(3000))
		var acc uint32
		for rest := p; len(rest) > 0; {
			n := min(len(rest), 2*(1+r.IntN(500)))
			acc = Sum(acc, rest[:n])
			rest = rest[n:]
		}
		if got, want := fold(acc), naiveSum(0, p); !equal(got, want) {
			t.Fatalf("%d bytes in pieces: %#x, want %#x", len(p), got, want)
		}
	}
}

// A sum is 0 only over zeros: else a checksum of 0xffff, which is a valid one,
// would be refused, and UDP could send the 0 that means none.
func TestChecksumKnowsZeroFromMinusZero(t *testing.T) {
	if got := Checksum(Sum(0, make([]byte, 20))); got != 0xffff {
		t.Errorf("over zeros: %#x", got)
	}
	for n := 2; n < 200; n += 2 {
		p := ones(n)
		if got := Checksum(Sum(0, p)); got != 0 {
			t.Errorf("over %d times 0xff: %#x", n, got)
		}
		p = make([]byte, n)
		p[0], p[n-1] = 0xff, 0xff
		if n > 2 {
			if got := Checksum(Sum(0, p)); got != 0 {
				t.Errorf("%d bytes that add up to -0: %#x", n, got)
			}
		}
	}
}

func TestChecksumOfWhatContainsItsOwnIsZero(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := 0; i < 5000; i++ {
		p := random(r, 2+r.IntN(200))
		p[0], p[1] = 0, 0
		binary.BigEndian.PutUint16(p, Checksum(Sum(0, p)))
		if got := Checksum(Sum(0, p)); got != 0 {
			t.Fatalf("%#x over % x", got, p)
		}
	}
	// The example in RFC 1071 section 3.
	p := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if got := ^Checksum(Sum(0, p)); got != 0xddf2 {
		t.Errorf("%#x, want 0xddf2", got)
	}
}

func FuzzSum(f *testing.F) {
	f.Add(uint32(0), []byte{})
	f.Add(uint32(0xffff), []byte{1})
	f.Add(uint32(1<<24), ones(77))
	f.Fuzz(func(t *testing.T, acc uint32, p []byte) {
		acc &= 1<<30 - 1
		p = p[:min(len(p), 65535)]
		if got, want := fold(Sum(acc, p)), naiveSum(acc, p); !equal(got, want) {
			t.Fatalf("%#x, want %#x", got, want)
		}
	})
}

func BenchmarkSum(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"20", 20}, {"40", 40}, {"64", 64}, {"511", 511}, {"1460", 1460}, {"9000", 9000}, {"65535", 65535}} {
		p := ones(c.n)
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(c.n))
			for b.Loop() {
				Sum(0, p)
			}
		})
	}
}

func TestCopySumCopiesAndAddsUp(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	mem := random(r, 70000)
	dst := make([]byte, 70000+2)
	for _, n := range append(lengths(300), 511, 1448, 4088, 8999, 65503, 65504, 65535) {
		for _, at := range []int{0, 1, 7, 16} {
			clear(dst)
			src := mem[at : at+n]
			acc := r.Uint32() >> 8
			if got, want := fold(acc+CopySum(dst[1:1+n], src)), naiveSum(acc, src); !equal(got, want) {
				t.Fatalf("%d bytes at %d: %#x, want %#x", n, at, got, want)
			}
			if !bytes.Equal(dst[1:1+n], src) || dst[0] != 0 || dst[1+n] != 0 {
				t.Fatalf("%d bytes at %d: not what was to be copied", n, at)
			}
		}
	}
}

func lengths(n int) (v []int) {
	for i := range n {
		v = append(v, i)
	}
	return v
}
