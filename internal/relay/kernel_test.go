//go:build linux

package relay

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bonsainet/bonsai/internal/kernelif"
	"github.com/bonsainet/bonsai/internal/tapnet"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/netif/emu/wall"
	"github.com/bonsainet/bonsai/netif/tap"
)

func TestMain(m *testing.M) { tapnet.Main(m) }

var count atomic.Uint32

// pair is two hosts on an emulated link: the kernel in a namespace of its own, which listens,
// and who dials it: the kernel here.
type pair struct {
	net.Listener
	dial func() (net.Conn, error)
	a, b *emu.Port // the ends of the link: a is the one that dials
}

func newPair(t testing.TB, there, back emu.Path) *pair {
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
	dev, err := openTAP(near)
	if err != nil {
		t.Fatal(err)
	}
	go Join(dev, p.a)
	d := net.Dialer{Control: cubic}
	p.dial = func() (net.Conn, error) { return d.Dial("tcp4", p.Addr().String()) }
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

// TestKernelToKernelThroughALossyLink: all bytes arrive, and the delay is there.
func TestKernelToKernelThroughALossyLink(t *testing.T) {
	path := emu.Path{Delay: 10e6, Loss: 0.02}
	p := newPair(t, path, path)
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

// deliveredCE returns tcpi_delivered_ce: how many of a connection's packets the peer has said to
// be marked.
func deliveredCE(t *testing.T, c net.Conn) uint32 {
	t.Helper()
	rc, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	rc.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil {
		t.Fatal(err)
	}
	return info.Delivered_ce
}

// TestKernelsTakeTheMarks: a queue that marks is nothing new to kernels. All bytes arrive, so no
// header's checksum is wrong; the sender hears of the marks; and nothing has to be dropped.
func TestKernelsTakeTheMarks(t *testing.T) {
	tapnet.Need(t)
	const ecn = "/proc/sys/net/ipv4/tcp_ecn" // in the namespace that the tests have made
	was, err := os.ReadFile(ecn)
	if err == nil {
		err = os.WriteFile(ecn, []byte("1"), 0)
	}
	if err != nil {
		t.Skip(err)
	}
	defer os.WriteFile(ecn, was, 0)
	p := newPair(t, emu.Path{Delay: 5e6, Rate: 20e6, Queue: 300, Mark: 10}, emu.Path{Delay: 5e6})
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
	const size = 1 << 20
	go c.Write(make([]byte, size))
	far.SetDeadline(time.Now().Add(30 * time.Second))
	if n, err := io.ReadFull(far, make([]byte, size)); err != nil {
		t.Fatalf("%d bytes of %d: %v", n, size, err)
	}
	out, _ := p.a.Stats()
	ce := deliveredCE(t, c)
	t.Logf("%d packets delivered with CE: %+v", ce, out)
	if out.Marked == 0 || ce == 0 || out.QueueDrops != 0 {
		t.Errorf("%d packets delivered with CE: %+v", ce, out)
	}
}
