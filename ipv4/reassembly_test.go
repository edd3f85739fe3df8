package ipv4

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/bonsainet/bonsai/internal/pkt"
)

var numbers = func() []byte {
	p := make([]byte, 65600)
	for i := range p {
		p[i] = byte(i) ^ byte(i>>8)*31
	}
	return p
}()

// rig is a Reassembly and what came out of it last.
type rig struct {
	Reassembly
	t     *testing.T
	now   pkt.Time
	h     Header // of the next fragment
	whole []byte
	hdr   Header
}

func newRig(t *testing.T) *rig {
	return &rig{t: t, h: Header{Src: hostA, Dst: hostB, Proto: ProtoUDP, ID: 77, TTL: 60}}
}

// frag puts in the bytes from from up to to, as the last fragment if last, and
// checks the answer.
func (r *rig) frag(from, to int, last bool, want Drop) {
	r.t.Helper()
	r.put(from, numbers[from:to], last, want)
}

func (r *rig) put(from int, payload []byte, last bool, want Drop) {
	r.t.Helper()
	h := r.h
	h.FragOff, h.MF = uint16(from), !last
	h.TotalLen = uint16(h.HeaderLen() + len(payload))
	var d Drop
	r.whole, r.hdr, d = r.Input(r.now, &h, payload)
	if d != want {
		r.t.Errorf("bytes %d to %d: %v, want %v", from, from+len(payload), d, want)
	}
	if d != DropNone && r.whole != nil {
		r.t.Errorf("%v, with a datagram of %d bytes", d, len(r.whole))
	}
}

// wantWhole checks that the last fragment completed a datagram of n bytes; no
// datagram if n is -1.
func (r *rig) wantWhole(n int) {
	r.t.Helper()
	if n < 0 {
		if r.whole != nil {
			r.t.Errorf("completed with %d bytes", len(r.whole))
		}
		return
	}
	if !bytes.Equal(r.whole, numbers[:n]) {
		r.t.Errorf("%d bytes came out, want %d, as they went in", len(r.whole), n)
	}
}

func (r *rig) active() (n int) {
	for i := range r.slots {
		if r.slots[i].active {
			n++
		}
	}
	return n
}

func TestC17InAnyOrder(t *testing.T) {
	parts := [][2]int{{0, 16}, {16, 24}, {24, 64}, {64, 71}}
	var permute func(k int, order []int)
	permute = func(k int, order []int) {
		if k < len(order) {
			for i := k; i < len(order); i++ {
				order[k], order[i] = order[i], order[k]
				permute(k+1, order)
				order[k], order[i] = order[i], order[k]
			}
			return
		}
		r := newRig(t)
		for i, n := range order {
			r.wantWhole(-1)
			r.frag(parts[n][0], parts[n][1], n == 3, DropNone)
			if i == 3 {
				r.wantWhole(71)
			}
		}
		if r.active() != 0 {
			t.Errorf("%v: %d left", order, r.active())
		}
	}
	permute(0, []int{0, 1, 2, 3})
}

func TestC17ByFourIdentifiers(t *testing.T) {
	r := newRig(t)
	keys := []Header{r.h, r.h, r.h, r.h}
	keys[1].Src = hostC
	keys[2].Dst = hostC
	keys[3].ID++
	if maxDatagrams > 4 {
		keys = append(keys, r.h)
		keys[4].Proto = ProtoICMP
	}
	for _, h := range keys {
		r.h = h
		r.frag(0, 800, false, DropNone)
		r.wantWhole(-1)
	}
	for _, h := range keys {
		r.h = h
		r.frag(800, 801, true, DropNone)
		r.wantWhole(801)
		if r.hdr.Src != h.Src || r.hdr.Dst != h.Dst || r.hdr.Proto != h.Proto || r.hdr.ID != h.ID {
			t.Errorf("%+v", r.hdr)
		}
	}
}

func TestC17TheHeaderIsThatOfTheFirstFragment(t *testing.T) {
	r := newRig(t)
	r.h.TTL, r.h.TOS = 9, 8
	r.frag(16, 32, false, DropNone)
	r.h.TTL, r.h.TOS, r.h.Options = 60, 0x10, []byte{148, 4, 0, 0}
	r.frag(0, 16, false, DropNone)
	r.h.TTL, r.h.TOS, r.h.Options = 3, 4, []byte{1, 1, 1, 1}
	r.frag(32, 33, true, DropNone)
	r.wantWhole(33)
	want := r.h
	want.TTL, want.TOS, want.Options, want.TotalLen = 60, 0x10, []byte{148, 4, 0, 0}, 24+33
	if !sameHeader(r.hdr, want) {
		t.Errorf("%+v, want %+v", r.hdr, want)
	}
	// The packet is as if it had never been fragmented.
	var h Header
	rest, d := Parse(r.Packet(), &h)
	if d != DropNone || !sameHeader(h, want) || !bytes.Equal(rest, numbers[:33]) {
		t.Errorf("packet % x: %v", r.Packet(), d)
	}
}

func TestC17FramesAreNotKept(t *testing.T) {
	r := newRig(t)
	p := bytes.Clone(numbers[:16])
	opts := []byte{148, 4, 0, 0}
	r.h.Options = opts
	r.put(0, p, false, DropNone)
	for i := range p {
		p[i] = 0xee
	}
	opts[0] = 0
	r.frag(16, 17, true, DropNone)
	r.wantWhole(17)
	if r.hdr.Options[0] != 148 {
		t.Error("options changed with the frame")
	}
}

func TestC17WhatIsNoFragmentPasses(t *testing.T) {
	r := newRig(t)
	r.frag(0, 33, true, DropNone)
	r.wantWhole(33)
	if r.slots != nil {
		t.Error("took memory")
	}
}

func TestC17LargestDatagram(t *testing.T) {
	const most = MaxLen - MinHeaderLen // 65515
	r := newRig(t)
	for at := 0; at < most; at += 1480 {
		r.frag(at, min(at+1480, most), at+1480 >= most, DropNone)
	}
	r.wantWhole(most)
	if r.hdr.TotalLen != 65535 {
		t.Errorf("total length %d", r.hdr.TotalLen)
	}
	// The same, last fragment first.
	for at := (most - 1) / 1480 * 1480; at >= 0; at -= 1480 {
		r.frag(at, min(at+1480, most), at+1480 >= most, DropNone)
	}
	r.wantWhole(most)
}

func TestC18TimeoutIs60To120Seconds(t *testing.T) {
	if ReassemblyTimeout < 60*pkt.Second || ReassemblyTimeout > 120*pkt.Second {
		t.Error(ReassemblyTimeout)
	}
	r := newRig(t)
	r.now = 1000
	r.frag(0, 800, false, DropNone)
	r.now += 59 * pkt.Second
	r.frag(808, 816, false, DropNone) // does not prolong it
	if q, d, next := r.Poll(r.now); q != nil || d != DropNone || next != 1000+ReassemblyTimeout {
		t.Fatalf("%v, %v, %d", q, d, next)
	}
	r.now = 1000 + ReassemblyTimeout
	if _, d, _ := r.Poll(r.now); d != DropReassemblyTimeout {
		t.Fatal(d)
	}
	r.frag(800, 808, true, DropNone) // starts a new one
	r.wantWhole(-1)
}

func TestC18TimeExceededOnlyIfTheFirstFragmentCame(t *testing.T) {
	r := newRig(t)
	r.h.Options = []byte{148, 4, 0, 0}
	r.frag(0, 16, false, DropNone)
	r.frag(16, 800, false, DropNone)
	r.h.ID++
	r.frag(16, 800, false, DropNone)
	if _, d, _ := r.Poll(ReassemblyTimeout - 1); d != DropNone {
		t.Fatal("too early")
	}
	q, d, next := r.Poll(ReassemblyTimeout)
	if d != DropReassemblyTimeout || next > ReassemblyTimeout {
		t.Fatal(d, next)
	}
	var h Header
	rest, d := Parse(q, &h)
	if d != DropNone || h.ID != 77 || !h.MF || !bytes.Equal(rest, numbers[:16]) || !bytes.Equal(h.Options, r.h.Options) {
		t.Errorf("quote % x: %v, %+v", q, d, h)
	}
	if !MayError(&h, rest, false) {
		t.Error("no error may be sent about it")
	}
	q, d, _ = r.Poll(ReassemblyTimeout)
	if d != DropReassemblyTimeout || q != nil {
		t.Errorf("%v, quote % x", d, q)
	}
	q, d, next = r.Poll(ReassemblyTimeout)
	if d != DropNone || q != nil || next != pkt.Never {
		t.Errorf("%v, % x, next %d", d, q, next)
	}
}

func TestC18MemoryGoesWhenIdle(t *testing.T) {
	r := newRig(t)
	if _, _, next := r.Poll(0); next != pkt.Never {
		t.Error("an unused Reassembly has something to do")
	}
	r.now = 5
	r.frag(0, 800, false, DropNone)
	r.frag(800, 801, true, DropNone)
	_, _, next := r.Poll(5)
	if next != 5+ReassemblyTimeout {
		t.Fatalf("next %d", next)
	}
	if _, d, next := r.Poll(next); d != DropNone || next != pkt.Never || r.slots != nil || r.packet != nil || r.held != 0 {
		t.Errorf("%v, next %d, %d slots", d, next, len(r.slots))
	}
	r.frag(0, 800, false, DropNone)
	r.frag(800, 801, true, DropNone)
	r.wantWhole(801)
}

// RFC 815, RFC 5722, RFC 8200 and what teardrop and its kin sent.
func TestC19Overlaps(t *testing.T) {
	const M, L = false, true
	evil := bytes.Repeat([]byte{0xee}, 65536)
	type frag struct {
		from, to int
		last     bool
		evil     bool
		want     Drop
	}
	for _, c := range []struct {
		name  string
		frags []frag
	}{
		{"exact duplicate is ignored", []frag{
			{0, 16, M, false, DropNone}, {0, 16, M, false, DropFragmentDuplicate}}},
		{"duplicate of the last one is ignored", []frag{
			{16, 20, L, false, DropNone}, {16, 20, L, false, DropFragmentDuplicate}}},
		{"repeated by a smaller MTU is ignored", []frag{
			{0, 64, M, false, DropNone}, {16, 32, M, false, DropFragmentDuplicate}}},
		{"repeated over two that touch is ignored", []frag{
			{0, 16, M, false, DropNone}, {16, 64, M, false, DropNone}, {8, 24, M, false, DropFragmentDuplicate}}},
		{"same place, other bytes", []frag{
			{0, 16, M, false, DropNone}, {0, 16, M, true, DropReassemblyOverlap}}},
		{"inside, other bytes", []frag{
			{0, 64, M, false, DropNone}, {16, 24, M, true, DropReassemblyOverlap}}},
		{"over the end", []frag{
			{0, 16, M, false, DropNone}, {8, 24, M, false, DropReassemblyOverlap}}},
		{"over the start", []frag{
			{16, 32, M, false, DropNone}, {8, 24, M, false, DropReassemblyOverlap}}},
		{"around", []frag{
			{16, 24, M, false, DropNone}, {8, 32, M, false, DropReassemblyOverlap}}},
		{"over two", []frag{
			{0, 16, M, false, DropNone}, {24, 40, M, false, DropNone}, {8, 32, M, false, DropReassemblyOverlap}}},
		{"over two and the hole exactly", []frag{
			{0, 16, M, false, DropNone}, {24, 40, M, false, DropNone}, {0, 40, M, false, DropReassemblyOverlap}}},
		{"teardrop", []frag{
			{0, 40, M, false, DropNone}, {24, 28, L, false, DropReassemblyOverlap}}},
		{"the end moves forth", []frag{
			{16, 24, L, false, DropNone}, {24, 32, L, false, DropReassemblyOverlap}}},
		{"the end moves back", []frag{
			{16, 24, L, false, DropNone}, {8, 12, L, false, DropReassemblyOverlap}}},
		{"more behind the end", []frag{
			{16, 24, L, false, DropNone}, {24, 32, M, false, DropReassemblyOverlap}}},
		{"more far behind the end", []frag{
			{16, 24, L, false, DropNone}, {65000, 65008, M, false, DropReassemblyOverlap}}},
		{"the end, but more follows", []frag{
			{16, 24, L, false, DropNone}, {16, 24, M, false, DropReassemblyOverlap}}},
		{"more follows, but the end", []frag{
			{16, 24, M, false, DropNone}, {16, 24, L, false, DropReassemblyOverlap}}},
		{"an end before what is here", []frag{
			{0, 16, M, false, DropNone}, {64, 80, M, false, DropNone}, {16, 20, L, false, DropReassemblyOverlap}}},
		{"an end within what is here", []frag{
			{64, 80, M, false, DropNone}, {72, 76, L, false, DropReassemblyOverlap}}},
		{"nestea", []frag{
			{0, 16, M, false, DropNone}, {16, 32, M, false, DropNone}, {8, 256, L, false, DropReassemblyOverlap}}},
	} {
		r := newRig(t)
		for _, f := range c.frags {
			data := numbers
			if f.evil {
				data = evil
			}
			r.put(f.from, data[f.from:f.to], f.last, f.want)
			r.wantWhole(-1)
		}
		want := 0
		if c.frags[len(c.frags)-1].want == DropFragmentDuplicate {
			want = 1
		}
		if r.active() != want {
			t.Errorf("%s: %d datagrams left, want %d", c.name, r.active(), want)
		}
		// What was dropped takes nothing from a later datagram with the same ID.
		if want == 0 {
			r.frag(0, 800, M, DropNone)
			r.frag(800, 900, L, DropNone)
			r.wantWhole(900)
		}
		if t.Failed() {
			t.Fatal(c.name)
		}
	}
}

func TestC19NothingBeyond65535(t *testing.T) {
	r := newRig(t)
	// The ping of death: the last offset, with more than 7 bytes.
	r.frag(65528, 65536, true, DropReassemblyLong)
	r.frag(65512, 65516, true, DropReassemblyLong)
	r.frag(65512, 65520, false, DropReassemblyLong)
	if r.slots != nil {
		t.Error("took memory")
	}
	// 65,515 bytes fit behind a header without options, but not behind this one.
	r.frag(60000, 65515, true, DropNone)
	r.frag(800, 60000, false, DropNone)
	r.h.Options = []byte{148, 4, 0, 0}
	r.frag(0, 800, false, DropReassemblyLong)
	if r.active() != 0 {
		t.Error("kept")
	}
	r.frag(60000, 65511, true, DropNone)
	r.frag(800, 60000, false, DropNone)
	r.frag(0, 800, false, DropNone)
	r.wantWhole(65511)
}

func TestC19FragmentsMustBeMultiplesOf8(t *testing.T) {
	r := newRig(t)
	r.frag(0, 0, false, DropFragmentShort)
	r.frag(8, 8, true, DropFragmentShort)
	r.frag(0, 7, false, DropFragmentShort)
	r.frag(0, 17, false, DropFragmentShort)
	if r.slots != nil {
		t.Error("took memory")
	}
	r.frag(16, 17, true, DropNone)
}

func TestC19TinyTCPFragments(t *testing.T) {
	r := newRig(t)
	r.h.Proto = ProtoTCP
	r.frag(0, 8, false, DropFragmentTiny)
	r.frag(8, 16, false, DropFragmentTiny) // RFC 1858: the flags on their own
	r.frag(8, 200, true, DropFragmentTiny) // RFC 3128: with the rest
	if r.slots != nil {
		t.Error("took memory")
	}
	r.frag(0, 48, false, DropNone) // what an MTU of 68 makes
	r.frag(48, 60, true, DropNone)
	r.wantWhole(60)
	r.h.Proto = ProtoUDP
	r.frag(8, 16, true, DropNone)
	r.frag(0, 8, false, DropNone)
	r.wantWhole(16)
}

func TestC17AnyNumberOfHoles(t *testing.T) {
	const n = 4000
	r := newRig(t)
	for i := 0; i < n; i++ {
		r.frag(16*i, 16*i+8, false, DropNone)
	}
	for i := n - 1; i >= 0; i-- {
		r.wantWhole(-1)
		r.frag(16*i+8, 16*i+16, i == n-1, DropNone)
	}
	r.wantWhole(16 * n)
}

func TestC19MemoryIsBounded(t *testing.T) {
	r := newRig(t)
	rnd := rand.New(rand.NewPCG(11, 12))
	for i := 0; i < 3000; i++ {
		r.now += pkt.Millisecond
		r.h.ID = uint16(i)
		at := rnd.IntN(8180) * 8
		r.frag(at, at+8, false, DropNone)
		sum := 0
		for k := range r.slots {
			sum += len(r.slots[k].mem)
		}
		if sum != r.held || sum > maxHeld || len(r.slots) > maxDatagrams {
			t.Fatalf("%d bytes in %d slots, %d counted, %d allowed", sum, len(r.slots), r.held, maxHeld)
		}
	}
	if r.Evicted == 0 {
		t.Error("nothing evicted")
	}
	// In the middle of the flood an honest datagram passes.
	r.h.Src, r.h.ID = hostC, 5
	r.now += pkt.Millisecond
	r.frag(0, 32000, false, DropNone)
	h := r.h
	r.h.Src, r.h.ID = hostA, 40000
	r.frag(65000, 65008, false, DropNone)
	r.h = h
	r.frag(32000, 65001, true, DropNone)
	r.wantWhole(65001)
}

func TestC19TheOldestIsEvicted(t *testing.T) {
	r := newRig(t)
	for i := 0; i <= maxDatagrams; i++ {
		r.now++
		r.h.ID = uint16(i)
		r.frag(0, 800, false, DropNone)
	}
	if r.Evicted != 1 {
		t.Errorf("%d evicted", r.Evicted)
	}
	for i := maxDatagrams; i > 0; i-- {
		r.h.ID = uint16(i)
		r.frag(800, 801, true, DropNone)
		r.wantWhole(801)
	}
	r.h.ID = 0
	r.frag(800, 801, true, DropNone)
	r.wantWhole(-1)
}

func TestReassemblyDoesNotAllocateInSteadyState(t *testing.T) {
	r := newRig(t)
	h := r.h
	if n := testing.AllocsPerRun(200, func() {
		h.ID++
		for at := 0; at < 60000; at += 1480 {
			h.FragOff, h.MF, h.TotalLen = uint16(at), at+1480 < 60000, uint16(20+min(1480, 60000-at))
			whole, _, d := r.Input(r.now, &h, numbers[at:min(at+1480, 60000)])
			if d != DropNone || (whole != nil) == h.MF {
				t.Fatal(d)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations per datagram", n)
	}
}

// TestReassemblyGivesTheDatagramOrNothing is the oracle: random splits of two
// datagrams with the same sender, interleaved, out of order, repeated, some with
// pieces missing or forged, give exactly what was sent, or nothing.
func TestReassemblyGivesTheDatagramOrNothing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(13, 14))
	completed := 0
	for run := 0; run < 3000; run++ {
		r := newRig(t)
		type piece struct {
			id       uint16
			from, to int
			last     bool
		}
		var pieces []piece
		var sizes [2]int
		loss := rnd.IntN(3) == 0
		overlap := rnd.IntN(3) == 0
		for id := range sizes {
			n := 9 + rnd.IntN(4000)
			sizes[id] = n
			for at := 0; at < n; {
				to := min(at+8*(1+rnd.IntN(60)), n)
				if !loss || rnd.IntN(10) > 0 {
					pieces = append(pieces, piece{uint16(id), at, to, to == n})
				}
				if rnd.IntN(20) == 0 {
					pieces = append(pieces, piece{uint16(id), at, to, to == n})
				}
				at = to
			}
			if overlap {
				at := 8 * rnd.IntN((n+7)/8)
				to := min(at+8*(1+rnd.IntN(60)), n)
				pieces = append(pieces, piece{uint16(id), at, to, to == n})
			}
		}
		if rnd.IntN(2) == 0 {
			rnd.Shuffle(len(pieces), func(i, k int) { pieces[i], pieces[k] = pieces[k], pieces[i] })
		}
		got := [2]int{}
		for _, p := range pieces {
			r.h.ID = p.id
			h := r.h
			h.FragOff, h.MF = uint16(p.from), !p.last
			h.TotalLen = uint16(20 + p.to - p.from)
			whole, hdr, d := r.Input(0, &h, numbers[p.from:p.to])
			if whole == nil {
				continue
			}
			if d != DropNone || !bytes.Equal(whole, numbers[:sizes[p.id]]) || hdr.ID != p.id {
				t.Fatalf("run %d: %d bytes of %d came out, %v", run, len(whole), sizes[p.id], d)
			}
			got[p.id]++
			completed++
		}
		if !loss && !overlap && (got[0] == 0 || got[1] == 0) {
			t.Fatalf("run %d: nothing came out", run)
		}
	}
	if completed < 1000 {
		t.Errorf("only %d datagrams completed", completed)
	}
}

// FuzzReassembly reads fragments from the input, all of one datagram whose byte
// at n is numbers[n] unless a fragment is forged: whatever comes out must have
// been put in, byte for byte, and without a forged byte unless one was in.
func FuzzReassembly(f *testing.F) {
	f.Add([]byte{0, 0, 2, 0, 2, 1, 1})
	f.Add([]byte{0, 2, 1, 1, 0, 2, 0, 0})
	f.Add([]byte{0, 0, 5, 0, 3, 2, 1, 0, 0, 2, 0, 4, 1})
	f.Add([]byte{4, 0, 2, 0, 0, 1, 1, 1, 2, 1, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		var r Reassembly
		var here [2][2200]byte // 1: true byte put in, 2: forged byte put in
		var now pkt.Time
		forged := bytes.Repeat([]byte{0xa5}, 2200)
		for len(in) >= 4 {
			op, off, n := in[0], int(in[1])*8, int(in[2])*8
			in = in[3:]
			id := op >> 1 & 1
			h := Header{Src: hostA, Dst: hostB, Proto: ProtoUDP, ID: uint16(id), FragOff: uint16(off), MF: op&1 == 0}
			if !h.MF {
				n = max(0, n-int(op>>4))
			}
			n = min(n, 2200-off)
			h.TotalLen = uint16(20 + n)
			data, mark := numbers, byte(1)
			if op&8 != 0 {
				data, mark = forged, 2
			}
			if op&4 != 0 {
				now += ReassemblyTimeout / 3
			}
			for {
				_, d, next := r.Poll(now)
				if d == DropNone {
					if next <= now {
						t.Fatal("Poll wants to be called in the past")
					}
					break
				}
			}
			for i := off; i < off+n; i++ {
				here[id][i] |= mark
			}
			whole, hdr, d := r.Input(now, &h, data[off:off+n])
			if whole == nil {
				continue
			}
			if d != DropNone || len(whole) > 2200 || hdr.IsFragment() || hdr.ID != uint16(id) {
				t.Fatalf("%v, %d bytes, %+v", d, len(whole), hdr)
			}
			for i, v := range whole {
				if !(v == numbers[i] && here[id][i]&1 != 0 || v == forged[i] && here[id][i]&2 != 0) {
					t.Fatalf("byte %d is %#x", i, v)
				}
			}
			if len(r.slots) > maxDatagrams || r.held > maxHeld {
				t.Fatal("unbounded")
			}
		}
	})
}

func BenchmarkReassembly(b *testing.B) {
	var r Reassembly
	h := Header{Src: hostA, Dst: hostB, Proto: ProtoUDP}
	b.SetBytes(8000)
	b.ReportAllocs()
	for b.Loop() {
		h.ID++
		for at := 0; at < 8000; at += 1480 {
			h.FragOff, h.MF, h.TotalLen = uint16(at), at+1480 < 8000, uint16(20+min(1480, 8000-at))
			r.Input(0, &h, numbers[at:min(at+1480, 8000)])
		}
	}
}
