//go:build linux

package relay

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/internal/kernelif"
	"github.com/bonsainet/bonsai/internal/tapnet"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/netif/emu/wall"
	"github.com/bonsainet/bonsai/netif/tap"
	"github.com/bonsainet/bonsai/socket/gonet"
)

func TestMain(m *testing.M) { tapnet.Main(m) }

var count atomic.Uint32

// pair is two hosts on an emulated link: the kernel in a namespace of its own, which listens,
// and who dials it: the kernel here, or a stack of ours.
type pair struct {
	net.Listener
	dial func() (net.Conn, error)
	a, b *emu.Port // the ends of the link: a is the one that dials
}

func newPair(t testing.TB, kernel bool, there, back emu.Path) *pair {
	t.Helper()
	tapnet.Need(t)
	k := count.Add(1)
	near, far := netip.AddrFrom4([4]byte{198, 19, byte(k), 1}), netip.AddrFrom4([4]byte{198, 19, byte(k), 2})
	p := &pair{}
	p.a, p.b = emu.NewLink(emu.Config{Path: there, Back: &back, Seed: uint64(there.Delay) + uint64(there.Queue), Clock: wall.New(), Frames: 1 << 14})
	fail := make(chan error)
	go func() { // the far kernel: what this thread opens is in the new namespace
		runtime.LockOSThread()
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			fail <- err
			return
		}
		dev, err := openTAP(far)
		if err == nil {
			lc := net.ListenConfig{Control: cubic}
			p.Listener, err = lc.Listen(context.Background(), "tcp4", netip.AddrPortFrom(far, 80).String())
		}
		if err == nil {
			go Join(dev, p.b)
		}
		fail <- err
	}()
	if err := <-fail; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(); p.a.Close(); p.b.Close() })
	if kernel {
		dev, err := openTAP(near)
		if err != nil {
			t.Fatal(err)
		}
		go Join(dev, p.a)
		d := net.Dialer{Control: cubic}
		p.dial = func() (net.Conn, error) { return d.Dial("tcp4", p.Addr().String()) }
		return p
	}
	s := gonet.New(gonet.Config{})
	t.Cleanup(func() { s.Close() })
	if err := s.Attach("eth0", p.a); err != nil {
		t.Fatal(err)
	}
	if err := s.Configure("eth0", near.String()+"/24", ""); err != nil {
		t.Fatal(err)
	}
	p.dial = func() (net.Conn, error) { return s.Dial("tcp4", p.Addr().String()) }
	return p
}

func openTAP(addr netip.Addr) (netif.Device, error) {
	dev, err := tap.Open(tap.Config{Up: true})
	if err != nil {
		return nil, err
	}
	return dev, kernelif.SetAddr(dev.Name(), netip.PrefixFrom(addr, 24))
}

// cubic asks the kernel for CUBIC, whatever its default is.
func cubic(network, address string, c syscall.RawConn) (err error) {
	const tcpCongestion = 13
	if e := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptString(int(fd), syscall.IPPROTO_TCP, tcpCongestion, "cubic")
	}); e != nil {
		return e
	}
	return err
}

// goodput sends for a time and returns what the far kernel gets in Mbit/s, after warm.
func (p *pair) goodput(t testing.TB, warm, d time.Duration) float64 {
	t.Helper()
	c, err := p.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	far, err := p.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	go func() {
		for b := make([]byte, 64<<10); ; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}()
	start := time.Now()
	var first time.Time
	total := 0
	b := make([]byte, 64<<10)
	for time.Since(start) < warm+d {
		far.SetReadDeadline(start.Add(warm + d))
		n, _ := far.Read(b)
		if first.IsZero() && time.Since(start) > warm {
			first = time.Now()
		} else if !first.IsZero() {
			total += n
		}
	}
	if first.IsZero() {
		return 0
	}
	return float64(total) * 8 / 1e6 / time.Since(first).Seconds()
}

// TestKernelToKernelThroughALossyLink: all bytes arrive, and the delay is there.
func TestKernelToKernelThroughALossyLink(t *testing.T) {
	path := emu.Path{Delay: 10e6, Loss: 0.02}
	p := newPair(t, true, path, path)
	start := time.Now()
	c, err := p.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if rtt := time.Since(start); rtt < 20*time.Millisecond {
		t.Errorf("connected in %v", rtt)
	}
	far, err := p.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	want := slices.Repeat([]byte("through a cable that loses"), 10000)
	go func() {
		c.Write(want)
		c.(*net.TCPConn).CloseWrite()
	}()
	far.SetDeadline(time.Now().Add(30 * time.Second))
	if got, err := io.ReadAll(far); err != nil || !slices.Equal(got, want) {
		t.Fatalf("%d bytes of %d: %v", len(got), len(want), err)
	}
	out, in := p.a.Stats()
	if out.Lost+in.Lost == 0 {
		t.Errorf("nothing was lost: %+v %+v", out, in)
	}
}

// TestReference prints the tables of docs/loss.md: BONSAI_REFERENCE=1 go test -run Reference -v
func TestReference(t *testing.T) {
	if os.Getenv("BONSAI_REFERENCE") == "" {
		t.Skip("takes minutes of real time: set BONSAI_REFERENCE")
	}
	type cell struct {
		rate, rtt    int
		loss         float64
		burst, reord bool
		queue        float64
		kernel, ours float64
	}
	var cells []*cell
	for _, rtt := range []int{20, 100} {
		for _, queue := range []float64{0.25, 1} {
			cells = append(cells, &cell{rate: 10, rtt: rtt, queue: queue})
		}
		for _, loss := range []float64{0.001, 0.01, 0.03} {
			cells = append(cells, &cell{rate: 10, rtt: rtt, loss: loss, queue: 1})
		}
		cells = append(cells, &cell{rate: 10, rtt: rtt, loss: 0.01, burst: true, queue: 1},
			&cell{rate: 10, rtt: rtt, reord: true, queue: 1})
	}
	limit := make(chan bool, 4)
	var wg sync.WaitGroup
	for _, c := range cells {
		wg.Add(1)
		limit <- true
		go func() {
			defer wg.Done()
			defer func() { <-limit }()
			half := netif.Time(c.rtt) * 5e5
			there := emu.Path{Rate: int64(c.rate) * 1e6, Delay: half, Queue: max(4, int(c.queue*float64(c.rate*c.rtt)*125/1514))}
			if c.burst {
				there.Burst = emu.Burst{Enter: c.loss / 3 / (1 - c.loss), Leave: 1.0 / 3}
			} else {
				there.Loss = c.loss
			}
			if c.reord {
				there.Reorder, there.ReorderBy = 0.01, 5
			}
			done := make(chan bool)
			go func() {
				c.kernel = newPair(t, true, there, emu.Path{Delay: half}).goodput(t, 2*time.Second, 12*time.Second)
				done <- true
			}()
			c.ours = newPair(t, false, there, emu.Path{Delay: half}).goodput(t, 2*time.Second, 12*time.Second)
			<-done
		}()
	}
	wg.Wait()
	var b strings.Builder
	b.WriteString("\n| path | kernel | bonsai | share |\n|---|---|---|---|\n")
	for _, c := range cells {
		s := fmt.Sprintf("%d Mbit/s, %d ms, queue %g BDP, %g %% loss", c.rate, c.rtt, c.queue, c.loss*100)
		if c.burst {
			s += " in bursts"
		}
		if c.reord {
			s += ", 1 % reordered"
		}
		fmt.Fprintf(&b, "| %s | %.2f | %.2f | %.0f %% |\n", s, c.kernel, c.ours, 100*c.ours/c.kernel)
	}
	t.Log(b.String())
	b.Reset()
	b.WriteString("\n| sender | median | 99th percentile |\n|---|---|---|\n")
	for _, kernel := range []bool{true, false} {
		times := shortTransfers(t, kernel)
		name := "bonsai"
		if kernel {
			name = "kernel"
		}
		fmt.Fprintf(&b, "| %s | %.0f ms | %.0f ms |\n", name, times[len(times)/2].Seconds()*1e3, times[len(times)*99/100].Seconds()*1e3)
	}
	t.Log(b.String())
}

// shortTransfers sends 64 KiB on new connections through 20 ms and 3 % loss, and returns how
// long each took from the first byte to the last, sorted.
func shortTransfers(t *testing.T, kernel bool) (times []time.Duration) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			p := newPair(t, kernel, emu.Path{Rate: 10e6, Delay: 10e6, Queue: 64, Loss: 0.03}, emu.Path{Delay: 10e6})
			for range 40 {
				c, err := p.dial()
				if err != nil {
					t.Error(err)
					return
				}
				far, err := p.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				start := time.Now()
				c.Write(make([]byte, 64<<10))
				far.SetReadDeadline(start.Add(20 * time.Second))
				n, err := io.ReadFull(far, make([]byte, 64<<10))
				d := time.Since(start)
				if err != nil {
					t.Errorf("%d bytes: %v", n, err)
				}
				mu.Lock()
				times = append(times, d)
				mu.Unlock()
				c.Close()
				far.Close()
			}
		}()
	}
	wg.Wait()
	slices.Sort(times)
	return times
}
