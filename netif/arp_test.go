package netif

import (
	"bytes"
	"testing"

	"github.com/bonsainet/bonsai/ipv4"
)

// request is a valid ARP packet, as RFC 826 lays it out.
var request = []byte{
	0, 1, 8, 0, 6, 4, 0, 1,
	2, 0, 0, 0, 0, 1, 198, 18, 0, 1,
	0, 0, 0, 0, 0, 0, 198, 18, 0, 2,
}

func TestC02ARPFieldsAreChecked(t *testing.T) {
	for _, c := range []struct {
		what string
		at   int
		v    byte
		ok   bool
	}{
		{"as it is", 0, 0, true},
		{"a reply", 7, 2, true},
		{"hardware type 6 (IEEE 802)", 1, 6, false},
		{"hardware type 257", 0, 1, false},
		{"protocol 0x0806", 3, 6, false},
		{"protocol 0x8600", 2, 0x86, false},
		{"hardware length 5", 4, 5, false},
		{"protocol length 16", 5, 16, false},
		{"operation 0", 7, 0, false},
		{"operation 3 (RARP)", 7, 3, false},
		{"operation 257", 6, 1, false},
		{"a group as sender", 8, 3, false},
	} {
		b := append(bytes.Clone(request), make([]byte, 18)...) // padded to 60
		b[c.at] = c.v
		var a ARP
		if ok := a.Parse(b); ok != c.ok {
			t.Errorf("%s: accepted %v", c.what, ok)
		}
	}
	var a ARP
	for n := range ARPLen {
		if a.Parse(request[:n]) {
			t.Errorf("accepted %d bytes", n)
		}
	}
}

func TestARPPutIsParsesInverse(t *testing.T) {
	a := ARP{ARPReply, MAC{2, 1}, MAC{2, 2}, ipv4.AddrOf(198, 18, 0, 1), ipv4.AddrOf(198, 19, 0, 1)}
	b := bytes.Repeat([]byte{0xaa}, ARPLen)
	a.Put(b)
	var r ARP
	if !r.Parse(b) || r != a {
		t.Errorf("read back %+v, want %+v", r, a)
	}
}

func FuzzARP(f *testing.F) {
	f.Add(request)
	f.Add(request[:27])
	f.Add(append(bytes.Clone(request), 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		var a ARP
		if !a.Parse(b) {
			return
		}
		c := make([]byte, ARPLen)
		a.Put(c)
		if !bytes.Equal(c, b[:ARPLen]) {
			t.Errorf("%x is written back as %x", b[:ARPLen], c)
		}
		// What was accepted can be learned from without harm.
		var n Neighbours
		n.Input(0, &a, true)
		n.Input(0, &a, false)
	})
}
