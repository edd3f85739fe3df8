package udp

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

func newMemory() *pkt.Memory { return &pkt.Memory{Limit: 1 << 20, Keep: 16 * pkt.ChunkSize} }

func push(t *testing.T, q *Queue, mem *pkt.Memory, limit int, payload string, want ipv4.Drop) {
	t.Helper()
	m := Meta{Src: epB, Dst: hostA, Ifindex: 2, TTL: 64, TOS: 0x10}
	if d := q.Push(mem, limit, &m, []byte(payload)); d != want {
		t.Errorf("Push of %d bytes: %v, want %v", len(payload), d, want)
	}
}

func TestQueueKeepsOrderAndMeta(t *testing.T) {
	var q Queue
	mem := newMemory()
	push(t, &q, mem, 1<<16, "one", ipv4.DropNone)
	push(t, &q, mem, 1<<16, "", ipv4.DropNone)
	push(t, &q, mem, 1<<16, "three", ipv4.DropNone)
	if q.Count() != 3 || q.Size() != 8+3*Overhead {
		t.Errorf("%d datagrams, %d bytes", q.Count(), q.Size())
	}
	for _, want := range []string{"one", "", "three"} {
		var m Meta
		buf := make([]byte, 100)
		if q.NextLen() != len(want) {
			t.Errorf("NextLen = %d", q.NextLen())
		}
		n, ok := q.Peek(&m, buf)
		if !ok || string(buf[:n]) != want {
			t.Errorf("Peek = %q", buf[:n])
		}
		m = Meta{}
		n, ok = q.Pop(mem, &m, buf)
		if !ok || string(buf[:n]) != want {
			t.Errorf("Pop = %q, want %q", buf[:n], want)
		}
		if m != (Meta{Src: epB, Dst: hostA, Len: uint16(len(want)), Ifindex: 2, TTL: 64, TOS: 0x10}) {
			t.Errorf("%+v", m)
		}
	}
	if _, ok := q.Pop(mem, &Meta{}, nil); ok || q.Size() != 0 || q.NextLen() != 0 {
		t.Error("not empty")
	}
	if q != (Queue{}) || mem.Used() != 0 {
		t.Error("an empty queue holds memory")
	}
}

func TestPopCutsToTheBufferAndDropsTheRest(t *testing.T) {
	var q Queue
	mem := newMemory()
	push(t, &q, mem, 1<<16, "a long datagram", ipv4.DropNone)
	push(t, &q, mem, 1<<16, "next", ipv4.DropNone)
	var m Meta
	buf := make([]byte, 6)
	if n, ok := q.Pop(mem, &m, buf); !ok || string(buf[:n]) != "a long" || m.Len != 15 {
		t.Errorf("%q, length %d", buf[:n], m.Len)
	}
	if n, ok := q.Pop(mem, &m, buf); !ok || string(buf[:n]) != "next" {
		t.Errorf("%q", buf[:n])
	}
}

func TestQueueIsBoundedByTheReceiveBuffer(t *testing.T) {
	var q Queue
	mem := newMemory()
	limit := 2 * (100 + Overhead)
	full := string(make([]byte, 100))
	push(t, &q, mem, limit, full, ipv4.DropNone)
	push(t, &q, mem, limit, full, ipv4.DropNone)
	push(t, &q, mem, limit, "", ipv4.DropUDPBufferFull)
	q.Pop(mem, &Meta{}, nil)
	push(t, &q, mem, limit, full+"x", ipv4.DropUDPBufferFull)
	push(t, &q, mem, limit, full, ipv4.DropNone)
	q.Reset(mem)
	if mem.Used() != 0 || q != (Queue{}) {
		t.Error("Reset left memory")
	}
	// Empty datagrams fill it too.
	for i := 0; i < limit/Overhead; i++ {
		push(t, &q, mem, limit, "", ipv4.DropNone)
	}
	push(t, &q, mem, limit, "", ipv4.DropUDPBufferFull)
	// No limit shuts a datagram out for good.
	q.Reset(mem)
	push(t, &q, mem, 0, string(make([]byte, MaxPayload)), ipv4.DropNone)
	push(t, &q, mem, 0, "", ipv4.DropUDPBufferFull)
}

func TestQueueIsBoundedByTheStacksMemory(t *testing.T) {
	var q, other Queue
	mem := &pkt.Memory{Limit: 16*pkt.ChunkSize + 1} // of which a quarter is in reserve
	push(t, &other, mem, 1<<20, "", ipv4.DropNone)
	push(t, &q, mem, 1<<20, string(make([]byte, 11*pkt.ChunkSize-Overhead+1)), ipv4.DropMemory)
	if q != (Queue{}) || mem.Used() != 1*pkt.ChunkSize {
		t.Errorf("a refused datagram takes %d chunks", mem.Used()/pkt.ChunkSize)
	}
	push(t, &q, mem, 1<<20, string(make([]byte, 11*pkt.ChunkSize-Overhead)), ipv4.DropNone)
	push(t, &q, mem, 1<<20, "", ipv4.DropMemory)
	push(t, &other, mem, 1<<20, string(make([]byte, pkt.ChunkSize-2*Overhead)), ipv4.DropNone) // fits its chunk
	push(t, &other, mem, 1<<20, "", ipv4.DropMemory)
	if mem.Used() != 12*pkt.ChunkSize {
		t.Error(mem.Used())
	}
	q.Pop(mem, &Meta{}, nil)
	push(t, &other, mem, 1<<20, "", ipv4.DropNone)
	if mem.Kept() != 0 {
		t.Error("Keep is 0, and something is kept")
	}
}

// The oracle: random pushes, peeks and pops against a list of copies.
func TestQueueAgreesWithAList(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	type item struct {
		m Meta
		p []byte
	}
	mem := &pkt.Memory{Limit: 100 * pkt.ChunkSize, Keep: 3 * pkt.ChunkSize}
	for run := 0; run < 60; run++ {
		var q Queue
		var list []item
		size, most := 0, 1+r.IntN(3*pkt.ChunkSize)
		for step := 0; step < 300; step++ {
			if r.IntN(5) < 3 {
				p := make([]byte, r.IntN(most))
				for i := range p {
					p[i] = byte(r.Uint32())
				}
				m := Meta{Src: ipv4.Endpoint{Addr: ipv4.Addr(r.Uint32()), Port: uint16(r.Uint32())},
					Dst: ipv4.Addr(r.Uint32()), Ifindex: uint16(r.Uint32()), TTL: uint8(r.Uint32()), TOS: uint8(r.Uint32())}
				if d := q.Push(mem, 20000, &m, p); d == ipv4.DropNone {
					list = append(list, item{m, p})
					size += Overhead + len(p)
				} else if d != ipv4.DropUDPBufferFull || len(list) == 0 || size+Overhead+len(p) <= 20000 {
					t.Fatal(d)
				}
			} else {
				var m Meta
				buf := make([]byte, r.IntN(most+1))
				n, ok := q.Pop(mem, &m, buf)
				if ok != (len(list) > 0) {
					t.Fatal(ok)
				}
				if ok {
					want := list[0]
					list = list[1:]
					size -= Overhead + len(want.p)
					if m != want.m || n != min(len(buf), len(want.p)) || !bytes.Equal(buf[:n], want.p[:n]) {
						t.Fatalf("%+v, %d bytes; want %+v, %d bytes", m, n, want.m, len(want.p))
					}
				}
			}
			if q.Count() != len(list) || q.Size() != size {
				t.Fatalf("%d datagrams, %d bytes; want %d, %d", q.Count(), q.Size(), len(list), size)
			}
			// What it holds is what it counts, but for the ends of the first and last chunk.
			if held := int(mem.Used()); len(list) == 0 && held != 0 || held > size+size/pkt.ChunkSize*8+2*pkt.ChunkSize {
				t.Fatalf("%d bytes held for %d", held, size)
			}
		}
		q.Reset(mem)
	}
	if mem.Used() != 0 || mem.Kept() > 3*pkt.ChunkSize {
		t.Errorf("%d chunks used, %d kept", mem.Used()/pkt.ChunkSize, mem.Kept()/pkt.ChunkSize)
	}
}

func TestQueueDoesNotAllocateInSteadyState(t *testing.T) {
	var q Queue
	mem := newMemory()
	payload, buf := make([]byte, 1472), make([]byte, 2000)
	m := Meta{Src: epA}
	if n := testing.AllocsPerRun(500, func() {
		for i := 0; i < 7; i++ {
			q.Push(mem, 1<<16, &m, payload)
		}
		for i := 0; i < 7; i++ {
			if n, _ := q.Pop(mem, &m, buf); n != 1472 {
				t.Fatal(n)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 120 {
		t.Errorf("Conn has %d bytes", n)
	}
	if Overhead != 20 {
		t.Errorf("Meta has %d bytes", Overhead)
	}
}

func FuzzQueue(f *testing.F) {
	f.Add([]byte{3, 0, 200, 1, 255, 3, 0})
	f.Add([]byte{255, 255, 255, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		var q Queue
		mem := &pkt.Memory{Limit: 8 * pkt.ChunkSize, Keep: pkt.ChunkSize}
		var sizes []int
		payload, buf := make([]byte, 256*40), make([]byte, 256*40)
		next, want := byte(0), byte(0)
		for _, v := range in {
			if v&1 == 0 {
				var m Meta
				n, ok := q.Pop(mem, &m, buf)
				if ok != (len(sizes) > 0) {
					t.Fatal(ok)
				}
				if ok {
					if n != sizes[0] || n > 0 && (buf[0] != want || buf[n-1] != want) {
						t.Fatalf("%d bytes, want %d", n, sizes[0])
					}
					want++
					sizes = sizes[1:]
				}
				continue
			}
			p := payload[:int(v>>1)*80]
			for i := range p {
				p[i] = next
			}
			if q.Push(mem, 12000, &Meta{}, p) == ipv4.DropNone {
				sizes = append(sizes, len(p))
				next++
			}
			if mem.Used() > mem.Limit {
				t.Fatal("unbounded")
			}
		}
	})
}

func BenchmarkQueue(b *testing.B) {
	var q Queue
	mem := newMemory()
	payload, buf := make([]byte, 1400), make([]byte, 2000)
	m := Meta{Src: epA}
	b.SetBytes(1400)
	b.ReportAllocs()
	for b.Loop() {
		q.Push(mem, 1<<16, &m, payload)
		q.Pop(mem, &m, buf)
	}
}

// A quarter is for what TCP's windows have promised, the last one for those who hold nothing; of
// that half for TCP.
func TestQueuesLeaveTheReserve(t *testing.T) {
	mem := pkt.Memory{Limit: 64 * pkt.ChunkSize}
	var full, empty Queue
	m := &Meta{}
	for full.Push(&mem, 1<<30, m, make([]byte, 1000)) == ipv4.DropNone {
	}
	if used := mem.Used(); used > 32*pkt.ChunkSize || used < 31*pkt.ChunkSize {
		t.Errorf("one queue holds %d of %d bytes", used, mem.Limit)
	}
	if d := empty.Push(&mem, 1<<30, m, make([]byte, 1472)); d != ipv4.DropNone {
		t.Errorf("an empty queue: %v", d)
	}
	if d := empty.Push(&mem, 1<<30, m, make([]byte, 5000)); d != ipv4.DropMemory {
		t.Errorf("more: %v", d)
	}
	others := make([]Queue, 64)
	for i := range others {
		others[i].Push(&mem, 1<<30, m, make([]byte, 1472))
	}
	if used := mem.Used(); used > 57*pkt.ChunkSize || used < 56*pkt.ChunkSize {
		t.Errorf("many hold %d of %d bytes", used, mem.Limit)
	}
	for i := range others {
		others[i].Reset(&mem)
	}
	full.Reset(&mem)
	empty.Reset(&mem)
	if mem.Used() != 0 {
		t.Errorf("%d bytes left", mem.Used())
	}
}
