package pkt

import (
	"bytes"
	"testing"
)

func TestBufGrowsAtBothEnds(t *testing.T) {
	b := NewBuf(100)
	if b.Len() != 0 || b.Cap() != 100 || len(b.Bytes()) != 0 {
		t.Fatalf("new: %d of %d bytes", b.Len(), b.Cap())
	}
	copy(b.Append(4), "data")
	copy(b.Prepend(2), "ip")
	copy(b.Prepend(3), "eth")
	copy(b.Append(1), "!")
	if got := string(b.Bytes()); got != "ethipdata!" || b.Len() != 10 {
		t.Errorf("%q", got)
	}
	b.TrimFront(3)
	if got := string(b.Bytes()); got != "ipdata!" {
		t.Errorf("%q", got)
	}
	b.SetLen(2)
	if got := string(b.Bytes()); got != "ip" {
		t.Errorf("%q", got)
	}
	b.Reset()
	if b.Len() != 0 || b.Cap() != 100 {
		t.Errorf("reset: %d of %d bytes", b.Len(), b.Cap())
	}
	if n := len(b.Append(100)); n != 100 {
		t.Errorf("Append(100) = %d bytes", n)
	}
	if n := len(b.Prepend(Headroom)); n != Headroom {
		t.Errorf("Prepend(Headroom) = %d bytes", n)
	}
}

// What a layer was given to fill must not let it write over its neighbour.
func TestBufPartsDoNotReachOverTheirEnd(t *testing.T) {
	b := NewBuf(100)
	if p := b.Append(4); cap(p) != 4 {
		t.Errorf("Append: capacity %d", cap(p))
	}
	if p := b.Prepend(4); cap(p) != 4 {
		t.Errorf("Prepend: capacity %d", cap(p))
	}
}

func TestBufPanicsRatherThanOverrun(t *testing.T) {
	for name, f := range map[string]func(b *Buf){
		"Append":  func(b *Buf) { b.Append(101) },
		"Prepend": func(b *Buf) { b.Prepend(Headroom + 1) },
		"SetLen":  func(b *Buf) { b.SetLen(101); b.Bytes() },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f(NewBuf(100))
		}()
	}
}

func TestBufAsADeviceUsesIt(t *testing.T) {
	b := NewBuf(100)
	b.Append(5)
	b.Prepend(3)
	n := copy(b.Space(), "a frame")
	b.SetLen(n)
	if got := string(b.Bytes()); got != "a frame" {
		t.Errorf("%q", got)
	}
	if len(b.Space()) != b.Cap() {
		t.Errorf("Space: %d bytes", len(b.Space()))
	}
	b.CopyFrom([]byte("another"))
	if got := string(b.Bytes()); got != "another" {
		t.Errorf("%q", got)
	}
	b.CopyFrom(bytes.Repeat([]byte("x"), 200))
	if b.Len() != 100 {
		t.Errorf("200 bytes in a Buf of 100: %d", b.Len())
	}
}

func TestPoolReusesUpToItsBound(t *testing.T) {
	var p Pool
	p.Init(100, 2)
	if p.Size() != 100 {
		t.Error(p.Size())
	}
	a, b, c := p.Get(), p.Get(), p.Get()
	a.Append(5)
	p.Put(a)
	p.Put(b)
	p.Put(c) // one too many
	if got := p.Get(); got != b {
		t.Error("not the last one put")
	}
	if got := p.Get(); got != a || got.Len() != 0 {
		t.Error("not the first one put, empty")
	}
	if got := p.Get(); got == c {
		t.Error("kept more than the bound")
	}
	small, large := NewBuf(99), NewBuf(101)
	p.Put(small)
	if p.Get() == small {
		t.Error("a Buf too small for the pool came back")
	}
	p.Put(large)
	if p.Get() != large {
		t.Error("a larger Buf is as good")
	}
}

func TestPoolDoesNotAllocateInSteadyState(t *testing.T) {
	var p Pool
	p.Init(1500, 4)
	p.Put(p.Get())
	if n := testing.AllocsPerRun(100, func() {
		b := p.Get()
		b.Append(1000)
		b.Prepend(20)
		p.Put(b)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTimeUnits(t *testing.T) {
	if Second != 1e9*Nanosecond || Minute != 60*Second || Millisecond*1000 != Second || Never < 100*365*24*60*Minute {
		t.Error("units")
	}
}
