// Package devtest checks that a device keeps the contract of netif.Device. It is
// for the tests of those who write one:
//
//	func TestDevice(t *testing.T) {
//		devtest.Run(t, func(t *testing.T) (a, b netif.Device) { return mydev.NewPair() })
//	}
package devtest

import (
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/netif"
)

const (
	etherType = 0x88b5 // for local experiments (IEEE 802-2014 section 9.2.3)
	patience  = 5 * time.Second
	window    = 32 // frames under way: what any device can hold
)

// Run checks a device. pair returns two that are connected to each other by a
// link which, at a moderate pace, loses nothing; Run closes them. Each check gets
// a new pair. Frames that Run did not send, such as the kernel's own, are
// ignored.
func Run(t *testing.T, pair func(t *testing.T) (a, b netif.Device)) {
	for _, c := range []struct {
		name string
		f    func(t *testing.T, a, b netif.Device)
	}{
		{"says what it is", describes},
		{"carries frames of every size in order", carries},
		{"exchanges Bufs", exchanges},
		{"drops frames that are too long", dropsLong},
		{"sends and receives at the same time", concurrent},
		{"wakes Recv on Close", closes},
		{"allocates nothing", allocatesNothing},
		{"moves super-segments, if it says so", offloads},
		{"returns from Recv when it is called back, if it says so", interrupts},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := pair(t)
			defer a.Close()
			defer b.Close()
			c.f(t, a, b)
		})
	}
}

func describes(t *testing.T, a, b netif.Device) {
	for _, d := range []netif.Device{a, b} {
		if m := d.MTU(); m < 68 || m > 65521 {
			t.Errorf("MTU is %d, must be 68 to 65521", m)
		}
		if m := d.HardwareAddr(); m == (netif.MAC{}) || m[0]&1 != 0 {
			t.Errorf("the address %x is not a station's", m)
		}
	}
	if a.HardwareAddr() == b.HardwareAddr() {
		t.Error("both devices have the same address")
	}
}

// frame writes frame number n of size bytes to b.
func frame(b *netif.Buf, from, to netif.MAC, n, size int) {
	b.Reset()
	p := b.Append(size)
	copy(p, to[:])
	copy(p[6:], from[:])
	binary.BigEndian.PutUint16(p[12:], etherType)
	for i := 14; i < size; i++ {
		p[i] = byte(n + i)
	}
	if size >= 18 {
		binary.BigEndian.PutUint32(p[14:], uint32(n))
	}
}

// check says whether b is frame number n of size bytes, or one that a link
// padded to 60.
func check(t *testing.T, b *netif.Buf, n, size int) {
	t.Helper()
	p := b.Bytes()
	if len(p) != size && (size >= 60 || len(p) != 60) {
		t.Errorf("frame %d has %d bytes, want %d", n, len(p), size)
		return
	}
	if got := int(binary.BigEndian.Uint32(p[14:])); got != n {
		t.Errorf("got frame %d, want %d", got, n)
		return
	}
	for i := 18; i < size; i++ {
		if p[i] != byte(n+i) {
			t.Errorf("frame %d differs at byte %d", n, i)
			return
		}
	}
}

func bufs(d netif.Device, n int) []*netif.Buf {
	s := make([]*netif.Buf, n)
	for i := range s {
		s[i] = netif.NewBuf(d.MTU() + 14)
	}
	return s
}

// receiver gets the frames of a test.
type receiver struct {
	d    netif.Device
	bufs []*netif.Buf
	n, i int

	interrupted bool // so there may be no frames
}

func (r *receiver) next() (*netif.Buf, error) {
	for {
		for r.i < r.n {
			b := r.bufs[r.i]
			r.i++
			if p := b.Bytes(); len(p) >= 18 && binary.BigEndian.Uint16(p[12:]) == etherType {
				return b, nil
			}
		}
		n, err := r.d.Recv(r.bufs)
		if err != nil {
			return nil, err
		}
		if n < 0 || n > len(r.bufs) || n == 0 && !r.interrupted {
			return nil, errors.New("no error from Recv, but a number of frames that is not 1 to len(bufs)")
		}
		r.n, r.i = n, 0
	}
}

// within fails the test if f takes too long, and closes d to free it.
func within(t *testing.T, d netif.Device, what string, f func()) {
	t.Helper()
	timer := time.AfterFunc(patience, func() {
		t.Error("no end to: " + what)
		d.Close()
	})
	defer timer.Stop()
	f()
}

func carries(t *testing.T, a, b netif.Device) {
	within(t, b, "receiving what was sent", func() {
		r := &receiver{d: b, bufs: bufs(b, 4)}
		from, to := a.HardwareAddr(), b.HardwareAddr()
		out := bufs(a, 3)
		for n := 0; n < 300; n += len(out) {
			sizes := [3]int{18 + n, 60, a.MTU() + 14 - n%50}
			for i, size := range sizes {
				sizes[i] = min(size, a.MTU()+14)
				frame(out[i], from, to, n+i, sizes[i])
			}
			if err := a.Send(out); err != nil {
				t.Fatal(err)
			}
			for i, size := range sizes {
				in, err := r.next()
				if err != nil {
					t.Fatal(err)
				}
				check(t, in, n+i, size)
			}
		}
	})
}

func exchanges(t *testing.T, a, b netif.Device) {
	within(t, b, "receiving what was sent", func() {
		r := &receiver{d: b, bufs: bufs(b, 5)}
		out := bufs(a, 7)
		from, to := a.HardwareAddr(), b.HardwareAddr()
		header := make([]byte, 14)
		copy(header, to[:])
		copy(header[6:], from[:])
		binary.BigEndian.PutUint16(header[12:], etherType)
		for n := 0; n < 700; n += len(out) {
			for i, buf := range out {
				// The header goes in front, as a stack's do.
				frame(buf, from, to, n+i, 100+i)
				buf.TrimFront(14)
				buf.CopyFrom(buf.Bytes())
				copy(buf.Prepend(14), header)
			}
			if err := a.Send(out); err != nil {
				t.Fatal(err)
			}
			distinct(t, out, r.bufs)
			for _, buf := range out { // they are the sender's again: it may spoil them
				sp := buf.Space()
				if len(sp) < a.MTU()+14 {
					t.Fatalf("Send gave a Buf of %d bytes for one of %d", len(sp), a.MTU()+14)
				}
				clear(sp)
			}
			for i := range out {
				in, err := r.next()
				if err != nil {
					t.Fatal(err)
				}
				check(t, in, n+i, 100+i)
				distinct(t, out, r.bufs)
				if in.Cap() < b.MTU()+14 {
					t.Fatalf("Recv gave a Buf of %d bytes for one of %d", in.Cap(), b.MTU()+14)
				}
			}
		}
	})
}

// distinct fails the test if a Buf is missing or in two places.
func distinct(t *testing.T, a, b []*netif.Buf) {
	t.Helper()
	seen := map[*netif.Buf]bool{nil: true}
	for _, s := range [][]*netif.Buf{a, b} {
		for _, buf := range s {
			if seen[buf] {
				t.Fatal("a Buf is nil, or in two places")
			}
			seen[buf] = true
		}
	}
}

func dropsLong(t *testing.T, a, b netif.Device) {
	within(t, b, "receiving what follows a frame that is too long", func() {
		r := &receiver{d: b, bufs: bufs(b, 4)}
		out := bufs(a, 3)
		size := a.MTU() + 14
		for i := range out {
			if i == 1 {
				out[i] = netif.NewBuf(size + 8)
				frame(out[i], a.HardwareAddr(), b.HardwareAddr(), i, size+8)
			} else {
				frame(out[i], a.HardwareAddr(), b.HardwareAddr(), i, size)
			}
		}
		a.Send(out)
		for _, i := range []int{0, 2} {
			in, err := r.next()
			if err != nil {
				t.Fatal(err)
			}
			check(t, in, i, size)
		}
	})
}

func concurrent(t *testing.T, a, b netif.Device) {
	var wg sync.WaitGroup
	const total = 5000
	start := func(f func()) {
		wg.Add(1)
		go func() { defer wg.Done(); f() }()
	}
	for _, ends := range [][2]netif.Device{{a, b}, {b, a}} {
		x, y := ends[0], ends[1]
		credit := make(chan struct{}, window)
		start(func() {
			within(t, y, "receiving", func() {
				defer close(credit)
				r := &receiver{d: y, bufs: bufs(y, 8)}
				for n := range total {
					in, err := r.next()
					if err != nil {
						t.Errorf("after %d frames: %v", n, err)
						return
					}
					check(t, in, n, min(64+n%900, y.MTU()+14))
					credit <- struct{}{}
				}
			})
		})
		start(func() {
			out := bufs(x, 4)
			for n := 0; n < total; n += len(out) {
				for i, buf := range out {
					frame(buf, x.HardwareAddr(), y.HardwareAddr(), n+i, min(64+(n+i)%900, x.MTU()+14))
				}
				if err := x.Send(out); err != nil {
					t.Errorf("Send: %v", err)
					return
				}
				if n >= window-len(out) {
					for range out {
						<-credit
					}
				}
			}
		})
	}
	wg.Wait()
}

// offloads sends super-segments and checksums to be completed between devices that take them, and
// then from one to an end that takes none.
func offloads(t *testing.T, a, b netif.Device) {
	x, ok := a.(netif.Offloader)
	if !ok || !x.Offload() {
		t.Skip("it is no netif.Offloader, or this build has no feature tso")
	}
	for _, both := range []bool{false, true} {
		if y, ok := b.(netif.Offloader); both && (!ok || !y.Offload()) {
			t.Error("one end has it, the other has not")
			return
		}
		within(t, b, "receiving super-segments", func() {
			out, in := bufs(a, 2), bufs(b, 4)
			out[0] = netif.NewBuf(netif.SuperSize)
			mss := min(b.MTU()-40, 20_000)
			for n := range 50 {
				size := min([]int{2*mss + 1, (window-2)*mss - 7, 20 * mss, mss + 1}[n%4], 65_000)
				super(out[0], a.HardwareAddr(), b.HardwareAddr(), n, size, mss)
				super(out[1], a.HardwareAddr(), b.HardwareAddr(), n, 100, 0)
				if err := a.Send(out); err != nil {
					t.Fatal(err)
				}
				distinct(t, out, in)
				if out[0].Cap() < netif.SuperSize {
					t.Fatal("Send gave a smaller Buf for a large one")
				}
				for left := size + 100; left > 0; {
					k, err := b.Recv(in)
					if err != nil {
						t.Fatal(err)
					}
					distinct(t, out, in)
					for _, f := range in[:k] {
						left -= part(t, f, n, mss, both)
					}
				}
			}
		})
	}
}

// super puts a TCP segment with n bytes of data into b, whose checksum is to be completed: a
// super-segment in segments of mss, if that is not 0.
func super(b *netif.Buf, from, to netif.MAC, number, n, mss int) {
	b.Reset()
	f := b.Append(54 + n)
	clear(f[:54])
	copy(f, to[:])
	copy(f[6:], from[:])
	f[12] = 8
	p := f[14:]
	copy(p, []byte{0x45, 0, byte((40 + n) >> 8), byte(40 + n), 0, 0, 0x40, 0, 64, 6, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2})
	binary.BigEndian.PutUint16(p[10:], ^sum(0, p[:20]))
	binary.BigEndian.PutUint32(p[24:], uint32(number)<<20)
	p[32], p[33] = 5<<4, 0x10
	binary.BigEndian.PutUint16(p[36:], sum(6+uint32(20+n), p[12:20]))
	for i := range p[40:] {
		p[40+i] = byte(number + i)
	}
	netif.SetSummed(b, netif.SumPartial)
	netif.SetSegmentSize(b, mss)
}

// part checks a frame that super's became, or a part of it did, and returns how much data it has:
// 0 if it is another's.
func part(t *testing.T, b *netif.Buf, number, mss int, both bool) int {
	t.Helper()
	f := b.Bytes()
	if len(f) < 54 || f[12] != 8 || f[13] != 0 || f[14+9] != 6 || string(f[14+12:14+20]) != "\xc6\x12\x00\x01\xc6\x12\x00\x02" {
		return 0
	}
	p := f[14:min(len(f), 14+int(binary.BigEndian.Uint16(f[16:])))]
	at := int(binary.BigEndian.Uint32(p[24:])) - number<<20
	data := p[40:]
	size := netif.SegmentSize(b)
	switch {
	case sum(0, p[:20]) != 0xffff:
		t.Fatalf("frame %d: bad IPv4 checksum", number)
	case !both && (size != 0 || netif.Summed(b) == netif.SumPartial):
		t.Fatalf("frame %d: who has not called Offload got a super-segment, or no checksum", number)
	case size == 0 && len(data) > mss, size > mss:
		t.Fatalf("frame %d: %d bytes of data, segments of %d", number, len(data), size)
	case netif.Summed(b) == netif.SumFull && sum(6+uint32(len(p)-20), p[12:]) != 0xffff:
		t.Fatalf("frame %d: bad TCP checksum", number)
	}
	for i, c := range data {
		if c != byte(number+at+i) {
			t.Fatalf("frame %d differs at byte %d", number, at+i)
		}
	}
	return len(data)
}

// sum is the Internet checksum of b, not complemented, which begins with acc.
func sum(acc uint32, b []byte) uint16 {
	for i, c := range b {
		acc += uint32(c) << (8 * (1 - i%2))
	}
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

func closes(t *testing.T, a, b netif.Device) {
	done := make(chan error, 1)
	go func() {
		in := bufs(a, 4)
		for {
			if _, err := a.Recv(in); err != nil {
				done <- err
				return
			}
		}
	}()
	time.Sleep(20 * time.Millisecond) // let it wait: if it does not yet, the test is only weaker
	if err := a.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("Recv still waits after Close")
	}
	if _, err := a.Recv(bufs(a, 1)); err == nil {
		t.Error("Recv returns no error after Close")
	}
	out := bufs(a, 2)
	for i, buf := range out {
		frame(buf, a.HardwareAddr(), b.HardwareAddr(), i, 60)
	}
	a.Send(out) // must drop them and not panic
	distinct(t, out, nil)
	a.Close() // again: must not panic
}

// interrupts calls Recv back while it waits, before it does, and while frames come: none is lost.
func interrupts(t *testing.T, a, b netif.Device) {
	x, ok := b.(netif.Interrupter)
	if !ok || !x.Interrupt() {
		t.Skip("it is no netif.Interrupter, or this build has no feature leader")
	}
	within(t, b, "receiving when called back", func() {
		in := bufs(b, 4)
		if _, err := b.Recv(in); err != nil { // it is called back already, but may have the kernel's own frames
			t.Fatal(err)
		}
		back := make(chan int)
		go func() {
			for range 200 {
				n, err := b.Recv(in)
				if err != nil {
					n = -1
				}
				back <- n
			}
		}()
		for i := range 200 {
			if i%2 == 0 {
				time.Sleep(50 * time.Microsecond) // let it wait: if it does not yet, the test is only weaker
			}
			x.Interrupt()
			if n := <-back; n < 0 {
				t.Error("an error from Recv that was called back")
				return
			}
		}

		const total = 2000
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
					x.Interrupt()
					time.Sleep(20 * time.Microsecond)
				}
			}
		}()
		r := &receiver{d: b, bufs: bufs(b, 8), interrupted: true}
		out := bufs(a, 4)
		for n := 0; n < total && !t.Failed(); n += len(out) {
			for i, buf := range out {
				frame(buf, a.HardwareAddr(), b.HardwareAddr(), n+i, 64+i)
			}
			if err := a.Send(out); err != nil {
				t.Error(err)
			}
			for i := range out {
				f, err := r.next()
				if err != nil {
					t.Error(err)
					break
				}
				check(t, f, n+i, 64+i)
			}
		}
		close(stop)
		<-stopped
	})
}

func allocatesNothing(t *testing.T, a, b netif.Device) {
	within(t, b, "receiving", func() {
		r := &receiver{d: b, bufs: bufs(b, 8)}
		out := bufs(a, 4)
		from, to := a.HardwareAddr(), b.HardwareAddr()
		n := 0
		step := func() {
			for i, buf := range out {
				frame(buf, from, to, n+i, 100)
			}
			n += len(out)
			if err := a.Send(out); err != nil {
				t.Fatal(err)
			}
			for range out {
				if _, err := r.next(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 100 {
			step()
		}
		if got := testing.AllocsPerRun(500, step); got > 0 && !raceEnabled {
			t.Errorf("%v allocations for %d frames, want none", got, len(out))
		}
	})
}
