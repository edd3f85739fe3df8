//go:build linux

// Package tapnet is a test kit: a stack on a TAP device, with the kernel at the other
// end, in a network namespace that the tests make for themselves. Nothing of it is
// seen outside of the namespace, and nothing outlives the test.
//
// A package whose tests use it has
//
//	func TestMain(m *testing.M) { tapnet.Main(m) }
//
// and these then run in a process that is wholly in the namespace: package net is
// the kernel's network there. They skip themselves where that can't be had, which
// takes root and /dev/net/tun.
package tapnet

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bonsainet/bonsai/internal/kernelif"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/pcap"
	"github.com/bonsainet/bonsai/netif/tap"
	"github.com/bonsainet/bonsai/socket/gonet"
	"github.com/bonsainet/bonsai/stack"
)

// Main runs the tests in a network namespace, if the process may make one. It does
// not return.
func Main(m *testing.M) {
	if status, ran := kernelif.Isolate(); ran {
		os.Exit(status)
	}
	os.Exit(m.Run()) // where there is no namespace, the tests skip themselves
}

// Need skips the test unless it runs in a namespace and can have a TAP.
func Need(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to make a network namespace and a TAP in it")
	}
	if !kernelif.Isolated() {
		t.Skip("needs to make a network namespace, which this system does not allow")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("needs a TAP: ", err)
	}
}

// Config is what New takes. The zero Config is good.
type Config struct {
	MTU   int // 0: 1500
	Stack stack.Config
}

// Net is a stack of ours, and the kernel, on an Ethernet of their own.
type Net struct {
	*gonet.Stack
	Name         string // of the kernel's interface
	Ours, Kernel netip.Addr
	cable        *cable
}

var count atomic.Uint32

// New returns a stack at 198.18.N.2/24, whose gateway is the kernel at 198.18.N.1. Each
// call has another N. With a folder in the environment variable BONSAI_PCAP, all frames
// are recorded there, in a file named after the test.
func New(t testing.TB, c Config) *Net {
	t.Helper()
	Need(t)
	k := count.Add(1)
	n := &Net{
		Ours:   netip.AddrFrom4([4]byte{198, 18, byte(k), 2}),
		Kernel: netip.AddrFrom4([4]byte{198, 18, byte(k), 1}),
	}
	dev, err := tap.Open(tap.Config{MTU: c.MTU, Up: true})
	if err != nil {
		t.Fatal(err)
	}
	n.Name = dev.Name()
	if err := kernelif.SetAddr(n.Name, netip.PrefixFrom(n.Kernel, 24)); err != nil {
		dev.Close()
		t.Fatal("giving the kernel an address: ", err)
	}
	n.cable = &cable{Device: dev}
	var d netif.Device = n.cable
	if dir := os.Getenv("BONSAI_PCAP"); dir != "" {
		f, err := os.Create(filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "_")+".pcap"))
		if err != nil {
			t.Fatal(err)
		}
		d = pcap.Wrap(d, f)
	}
	n.Stack = gonet.New(gonet.Config{Stack: c.Stack})
	t.Cleanup(func() { n.Close() })
	if err := n.Attach("eth0", d); err != nil {
		t.Fatal(err)
	}
	if err := n.Configure("eth0", n.Ours.String()+"/24", n.Kernel.String()); err != nil {
		t.Fatal(err)
	}
	return n
}

// Cut pulls the cable: from now on all frames are lost, both ways.
func (n *Net) Cut() { n.cable.cut.Store(true) }

type cable struct {
	netif.Device
	cut     atomic.Bool
	out, in atomic.Int32 // super-segments
}

func (c *cable) look(bufs []*netif.Buf, supers *atomic.Int32) {
	for _, b := range bufs {
		if netif.SegmentSize(b) != 0 {
			supers.Add(1)
		}
	}
}

// Offload says whether the TAP has it.
func (c *cable) Offload() bool { return c.Device.(netif.Offloader).Offload() }

// Interrupt makes Recv return.
func (c *cable) Interrupt() bool { return c.Device.(netif.Interrupter).Interrupt() }

func (c *cable) Send(bufs []*netif.Buf) error {
	if c.cut.Load() {
		return nil
	}
	c.look(bufs, &c.out)
	return c.Device.Send(bufs)
}

func (c *cable) Recv(bufs []*netif.Buf) (int, error) {
	for {
		n, err := c.Device.Recv(bufs)
		if err != nil || n == 0 || !c.cut.Load() {
			c.look(bufs[:n], &c.in)
			return n, err
		}
	}
}
