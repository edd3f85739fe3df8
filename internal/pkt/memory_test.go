package pkt

import (
	"testing"
	"unsafe"
)

func TestMemoryIsBounded(t *testing.T) {
	m := Memory{Limit: 3*ChunkSize + 1, Keep: 2 * ChunkSize}
	if n := unsafe.Sizeof(Chunk{}); n != 2*unsafe.Sizeof(uintptr(0)) {
		t.Errorf("besides its data a Chunk has %d bytes", n)
	}
	if m.Left() != 3*ChunkSize {
		t.Errorf("%d bytes left", m.Left())
	}
	a, b, c := m.Get(), m.Get(), m.Get()
	if a == nil || b == nil || c == nil || m.Get() != nil {
		t.Fatal("not three chunks")
	}
	if m.Used() != 3*ChunkSize || m.Left() != 0 {
		t.Errorf("%d bytes used, %d left", m.Used(), m.Left())
	}
	a.Next = b
	m.Put(a)
	m.Put(b)
	m.Put(c)
	if m.Used() != 0 || m.kept != 2 {
		t.Errorf("%d bytes used, %d chunks kept", m.Used(), m.kept)
	}
	if got := m.Get(); got != b || got.Next != nil {
		t.Error("not the one kept last, alone")
	}
	if got := m.Get(); got != a || got.Next != nil {
		t.Error("not the one kept first, alone")
	}
	if got := m.Get(); got == nil || got == c {
		t.Error("kept more than Keep")
	}
	if new(Memory).Get() != nil {
		t.Error("the zero Memory has a chunk")
	}
}

func TestMemoryDoesNotAllocateInSteadyState(t *testing.T) {
	m := Memory{Limit: 1 << 20, Keep: ChunkSize}
	m.Put(m.Get())
	if n := testing.AllocsPerRun(100, func() { m.Put(m.Get()) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTrimKeepsWhatIsNeededAgain(t *testing.T) {
	m := Memory{Limit: 10 * ChunkSize, Keep: 10 * ChunkSize}
	use := func(n int) {
		var held []*Chunk
		for range n {
			held = append(held, m.Get())
		}
		for _, k := range held {
			m.Put(k)
		}
	}
	for i, step := range []struct{ use, kept int }{{8, 8}, {3, 3}, {3, 3}, {0, 0}, {0, 0}, {2, 2}} {
		use(step.use)
		m.Trim()
		if n := int(m.Kept() / ChunkSize); n != step.kept {
			t.Errorf("step %d: %d chunks kept, want %d", i, n, step.kept)
		}
	}
}
