package emu_test

import (
	"encoding/binary"
	"sync"
	"testing"

	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/netif/emu/wall"
)

func numbered(b *netif.Buf, n int) {
	b.Reset()
	p := b.Append(1000)
	copy(p, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00})
	binary.BigEndian.PutUint32(p[14:], uint32(n))
	p[999] = byte(n)
}

func buffers(n int) []*netif.Buf {
	bufs := make([]*netif.Buf, n)
	for i := range bufs {
		bufs[i] = netif.NewBuf(1514)
	}
	return bufs
}

// stream sends n frames from a to b, at most half a link full at a time, while
// b receives. It fails if they don't arrive in order, unless some may be lost.
func stream(t testing.TB, a, b netif.Device, n int) {
	var wg sync.WaitGroup
	credit := make(chan int, 1<<16)
	wg.Add(1)
	go func() {
		defer wg.Done()
		bufs, next := buffers(32), 0
		for next < n {
			k, err := b.Recv(bufs)
			if err != nil || k == 0 {
				t.Errorf("Recv: %d, %v", k, err)
				return
			}
			for _, buf := range bufs[:k] {
				p := buf.Bytes()
				if got := int(binary.BigEndian.Uint32(p[14:])); got != next || p[999] != byte(next) || len(p) != 1000 {
					t.Errorf("got frame %d, want %d", got, next)
					return
				}
				next++
			}
			credit <- k
		}
		close(credit)
	}()
	bufs, ahead := buffers(16), 0
	for i := 0; i < n; {
		k := min(len(bufs), n-i)
		for j, buf := range bufs[:k] {
			numbered(buf, i+j)
		}
		if err := a.Send(bufs[:k]); err != nil {
			t.Errorf("Send: %v", err)
			break
		}
		i += k
		for ahead += k; ahead > 2048; {
			c, ok := <-credit
			if !ok {
				break
			}
			ahead -= c
		}
	}
	wg.Wait()
}

func TestFramesStreamBothWaysAtOnce(t *testing.T) {
	sw := emu.NewSwitch(emu.SwitchConfig{Clock: wall.New()})
	c, d := sw.Port(), sw.Port()
	a, b := emu.NewLink(emu.Config{})
	e, f := emu.NewLink(emu.Config{Clock: wall.New(), Path: emu.Path{Delay: 1e5, Jitter: 1e5, Rate: 1e9, Queue: 4096}})
	for name, ends := range map[string][2]netif.Device{"link": {a, b}, "switch": {c, d}, "impaired": {e, f}} {
		t.Run(name, func(t *testing.T) {
			var wg sync.WaitGroup
			wg.Add(2)
			go func() { defer wg.Done(); stream(t, ends[0], ends[1], 20000) }()
			go func() { defer wg.Done(); stream(t, ends[1], ends[0], 20000) }()
			wg.Wait()
		})
	}
}

// BenchmarkLink measures a frame's way through a link, ns each, when sender and
// receiver take turns.
func BenchmarkLink(b *testing.B) {
	for _, c := range []struct {
		name string
		path emu.Path
	}{{"perfect", emu.Path{}}, {"loss", emu.Path{Loss: 0.01}}, {"delay", emu.Path{Delay: 1000, Rate: 1e11, Queue: 1000}}} {
		for _, batch := range []int{1, 32} {
			b.Run(c.name+"/batch="+string('0'+rune(batch/10))+string('0'+rune(batch%10)), func(b *testing.B) {
				var clock emu.Virtual
				x, y := emu.NewLink(emu.Config{Clock: &clock, Path: c.path})
				out, in := buffers(batch), buffers(batch)
				b.ReportAllocs()
				for i := 0; i < b.N; i += batch {
					for _, buf := range out {
						buf.Reset()
						buf.Append(1514)
					}
					x.Send(out)
					clock.Set(clock.Now() + 10000)
					y.Take(in)
				}
			})
		}
	}
}

// BenchmarkLinkStream measures frames of 1000 bytes between two goroutines.
func BenchmarkLinkStream(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(1000)
	x, y := emu.NewLink(emu.Config{})
	stream(b, x, y, b.N)
}

// Everything that may be called at any time is, while frames pass. The race
// detector looks on.
func TestPortsAreSafeForConcurrentUse(t *testing.T) {
	clock := wall.New()
	bad := emu.Path{Delay: 20e3, Jitter: 50e3, Overtake: true, Loss: 0.1, Duplicate: 0.1, Reorder: 0.1, Rate: 1e9}
	sw := emu.NewSwitch(emu.SwitchConfig{Clock: clock, Path: bad})
	a, b := emu.NewLink(emu.Config{Clock: clock, Path: bad})
	type port interface {
		netif.Device
		SetDown(bool)
		SetOut(emu.Path) error
		SetIn(emu.Path) error
		Stats() (out, in emu.Stats)
		Next() netif.Time
	}
	ports := []port{a, b, sw.Port(), sw.Port(), sw.Port()}
	var wg sync.WaitGroup
	start := func(f func()) {
		wg.Add(1)
		go func() { defer wg.Done(); f() }()
	}
	for i, p := range ports {
		start(func() {
			bufs := buffers(8)
			for {
				if _, err := p.Recv(bufs); err != nil {
					return
				}
			}
		})
		start(func() {
			bufs := buffers(4)
			for n := range 2000 {
				for j, buf := range bufs {
					numbered(buf, n)
					buf.Bytes()[5] = byte((i+j)%3 + 2) // another's address
					buf.Bytes()[11] = byte(i)
				}
				p.Send(bufs)
			}
			p.Close()
		})
		start(func() {
			for n := range 300 {
				p.SetDown(n%10 == 0)
				p.Next()
				p.Stats()
				sw.Stats()
				path := bad
				if n%2 == 0 {
					path = emu.Path{}
				}
				if p.SetOut(path) != nil || p.SetIn(path) != nil {
					t.Error("a good path was refused")
				}
			}
		})
	}
	wg.Wait()
	for _, p := range ports {
		out, in := p.Stats()
		for _, s := range []emu.Stats{out, in} {
			if s.Sent+s.Duplicated != s.Delivered+s.Lost+s.QueueDrops+s.Overruns+s.Down+s.BadLength {
				t.Errorf("frames missing: %+v", s)
			}
		}
	}
}

// A frame sent while the other end closes is lost once, whatever else happens to
// the cable at that time.
func TestCloseCountsFramesOnce(t *testing.T) {
	for range 3000 {
		a, b := emu.NewLink(emu.Config{Clock: wall.New(), Path: emu.Path{Delay: 1e9}})
		var wg sync.WaitGroup
		wg.Add(2)
		go func() {
			defer wg.Done()
			bufs := buffers(4)
			for range 20 {
				b.SetDown(false)
				for n, buf := range bufs {
					numbered(buf, n)
				}
				a.Send(bufs)
			}
		}()
		go func() { defer wg.Done(); b.Close() }()
		wg.Wait()
		a.SetDown(true)
		if out, _ := a.Stats(); out.Sent != 80 || out.Down != 80 {
			t.Fatalf("of %d frames sent, %d were lost", out.Sent, out.Down)
		}
	}
}
