package ipv4

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// split returns the fragments of a datagram as packets.
func split(h Header, payload []byte, mtu int) (out [][]byte) {
	var f Fragmenter
	f.Start(&h, len(payload), mtu)
	for {
		from, to, ok := f.Next()
		if !ok {
			return out
		}
		p := make([]byte, f.HeaderLen(), f.HeaderLen()+to-from)
		f.Put(p)
		out = append(out, append(p, payload[from:to]...))
	}
}

func TestC21FragmentsFitAndCoverTheDatagram(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for i := 0; i < 2000; i++ {
		h := randomHeader(r)
		h.DF, h.MF, h.FragOff = false, false, 0
		mtu := MinMTU + r.IntN(1500)
		payload := randomBytes(r, 1+r.IntN(5000))
		var at int
		frags := split(h, payload, mtu)
		for k, p := range frags {
			if len(p) > mtu {
				t.Fatalf("fragment of %d bytes, MTU %d", len(p), mtu)
			}
			var g Header
			rest, d := Parse(p, &g)
			if d != DropNone {
				t.Fatal(d)
			}
			last := k == len(frags)-1
			if int(g.FragOff) != at || g.MF == last || !last && len(rest)%8 != 0 || len(rest) == 0 {
				t.Fatalf("fragment %d of %d at %d: %+v", k, len(frags), at, g)
			}
			// No fragment could have held 8 bytes more.
			if !last && len(p)+8 <= mtu {
				t.Fatalf("fragment of %d bytes, MTU %d", len(p), mtu)
			}
			if !bytes.Equal(rest, payload[at:at+len(rest)]) {
				t.Fatal("wrong part of the payload")
			}
			if g.Src != h.Src || g.Dst != h.Dst || g.ID != h.ID || g.Proto != h.Proto || g.TTL != h.TTL ||
				g.TOS != h.TOS || g.DF {
				t.Fatalf("%+v of %+v", g, h)
			}
			if k == 0 && !bytes.Equal(g.Options, h.Options) {
				t.Fatal("the first fragment has all options")
			}
			at += len(rest)
		}
		if at != len(payload) {
			t.Fatalf("%d of %d bytes", at, len(payload))
		}
	}
}

func TestC21WhatFitsIsOneFragment(t *testing.T) {
	for _, n := range []int{1, 8, 1479, 1480} {
		p := split(Header{Src: hostA}, make([]byte, n), 1500)
		var h Header
		if len(p) != 1 || len(p[0]) != 20+n {
			t.Fatalf("%d bytes: %d fragments", n, len(p))
		}
		if Parse(p[0], &h); h.IsFragment() {
			t.Fatalf("%+v", h)
		}
	}
	if p := split(Header{Src: hostA}, make([]byte, 1481), 1500); len(p) != 2 || len(p[1]) != 21 {
		t.Error("1481 bytes do not make fragments of 1480 and 1")
	}
	if p := split(Header{Src: hostA}, nil, 1500); len(p) != 0 {
		t.Error("no payload makes no fragment")
	}
}

func TestC21OnlyCopiedOptionsAreRepeated(t *testing.T) {
	opts := []byte{
		OptNop,
		OptRecordRoute, 7, 4, 0, 0, 0, 0,
		OptLooseRoute, 7, 8, 198, 18, 0, 9,
		OptNop,
		OptRouterAlert, 4, 0, 0,
	}
	want := []byte{OptLooseRoute, 7, 8, 198, 18, 0, 9, OptRouterAlert, 4, 0, 0, OptEnd}
	for k, p := range split(Header{Src: hostA, Options: opts}, make([]byte, 3000), 1000) {
		var h Header
		Parse(p, &h)
		if k == 0 && !bytes.Equal(h.Options, opts) || k > 0 && !bytes.Equal(h.Options, want) {
			t.Errorf("fragment %d: % d", k, h.Options)
		}
	}
	opts[8], opts[16] = OptTimestamp, 30
	for k, p := range split(Header{Src: hostA, Options: opts}, make([]byte, 3000), 1000) {
		var h Header
		if Parse(p, &h); k > 0 && len(h.Options) != 0 {
			t.Errorf("fragment %d: % d", k, h.Options)
		}
	}
}

// A fragment that is fragmented again keeps its place in the datagram.
func TestC21FragmentsOfFragments(t *testing.T) {
	payload := randomBytes(rand.New(rand.NewPCG(1, 1)), 4000)
	var r Reassembly
	var whole []byte
	for _, p := range split(Header{Src: hostA, Dst: hostB, Proto: ProtoUDP}, payload, 1500) {
		var h Header
		rest, _ := Parse(p, &h)
		for _, p := range split(h, rest, 300) {
			rest, _ := Parse(p, &h)
			whole, _, _ = r.Input(0, &h, rest)
		}
	}
	if !bytes.Equal(whole, payload) {
		t.Error("not put together")
	}
}

func TestC21EvenATinyMTUEnds(t *testing.T) {
	for _, mtu := range []int{0, 20, 27, 28} {
		if p := split(Header{Src: hostA}, make([]byte, 80), mtu); len(p) != 10 {
			t.Errorf("MTU %d: %d fragments", mtu, len(p))
		}
	}
}

func TestFragmenterDoesNotAllocate(t *testing.T) {
	h := Header{Src: hostA, Options: []byte{148, 4, 0, 0}}
	p := make([]byte, 60)
	if n := testing.AllocsPerRun(100, func() {
		var f Fragmenter
		f.Start(&h, 65000, 1500)
		for {
			if _, _, ok := f.Next(); !ok {
				break
			}
			f.Put(p)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
