package stack

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/udp"
)

// TestSteadyTransferAllocatesNothing: once the pools are filled, moving data
// through two stacks, both ways, costs no allocation.
func TestSteadyTransferAllocatesNothing(t *testing.T) {
	d := newDuo(t, Config{}, 1500)
	var a Conn
	b := d.connect(t, &a, d.listen(t, 80, 1))
	w, r := make([]byte, 32<<10), make([]byte, 32<<10)
	var n float64
	before := 0
	for range 20 { // until windows and buffers have grown
		before = d.frames
		if n = testing.AllocsPerRun(1, func() { d.send(t, &a, b, 8<<20, w, r) }); n == 0 {
			return
		}
	}
	t.Errorf("%v allocations for %d frames", n, (d.frames-before)/2)
}

// TestRoundTripAllocatesNothing: nor does a request with its answer, with pauses
// long enough for every timer to fire.
func TestRoundTripAllocatesNothing(t *testing.T) {
	d := newDuo(t, Config{}, 1500)
	var a Conn
	b := d.connect(t, &a, d.listen(t, 80, 1))
	p := make([]byte, 300)
	round := func() {
		a.Write(p)
		d.run()
		if n, _ := b.Read(p); n != len(p) {
			t.Fatal("no request")
		}
		b.Write(p)
		d.run()
		if n, _ := a.Read(p); n != len(p) {
			t.Fatal("no answer")
		}
		d.sleep(50 * pkt.Millisecond)
	}
	for range 100 {
		round()
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations for a request and its answer", n)
	}
}

// TestDatagramsAllocateNothing: sent, received and read.
func TestDatagramsAllocateNothing(t *testing.T) {
	d := newDuo(t, Config{}, 1500)
	var a, b UDP
	for i, u := range []*UDP{&a, &b} {
		if err := d.s[i].OpenUDP(u, ipv4.Endpoint{Port: 53}); err != nil {
			t.Fatal(err)
		}
	}
	p := make([]byte, 500)
	var m udp.Meta
	round := func() {
		for range 4 {
			if _, e := a.SendTo(d.now, p, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2), Port: 53}); e != 0 {
				t.Fatal(e)
			}
		}
		d.run()
		for range 4 {
			if n, e := b.RecvFrom(p, &m); n != len(p) {
				t.Fatal(n, e)
			}
		}
	}
	a.SendTo(d.now, p, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2), Port: 53})
	d.run()
	b.RecvFrom(p, &m)
	round()
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations for 4 datagrams", n)
	}
}
