package bench

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"

	"github.com/bonsainet/bonsai/internal/kernelif"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/tap"
	"github.com/bonsainet/bonsai/socket/gonet"
)

// framePayload is how much TCP payload a frame of 1,514 bytes has, with timestamps.
const framePayload = 1448

// TAP is a cable to the kernel, which listens at its end.
type TAP struct {
	Device       netif.Device // the stack's end, which is to close it
	Ours, Kernel netip.Addr   // in a network of 24 bits

	name     string
	listener net.Listener
}

// subnets numbers the networks 198.18.N.0/24, which may exist at the same time.
var subnets atomic.Uint32

func subnet() (one, two netip.Addr) {
	n := byte(1 + subnets.Add(1)%250)
	return netip.AddrFrom4([4]byte{198, 18, n, 1}), netip.AddrFrom4([4]byte{198, 18, n, 2})
}

// OpenTAP makes a TAP in the namespace that Main has made.
func OpenTAP(o Options) (*TAP, error) {
	if !kernelif.Isolated() {
		return nil, errIsolated
	}
	dev, err := tap.Open(tap.Config{Up: true, MTU: o.MTU})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errIsolated, err)
	}
	t := &TAP{Device: dev, name: dev.Name()}
	t.Kernel, t.Ours = subnet()
	if err = kernelif.SetAddr(t.name, netip.PrefixFrom(t.Kernel, 24)); err == nil {
		err = patient()
	}
	if err == nil {
		t.listener, err = listen(netip.AddrPortFrom(t.Kernel, Port))
	}
	if err != nil {
		dev.Close()
		return nil, err
	}
	return t, nil
}

// listen opens a listener of the kernel's whose connections have CUBIC, as bonsai's and
// gVisor's do.
func listen(a netip.AddrPort) (net.Listener, error) {
	lc := net.ListenConfig{Control: kernelif.Cubic}
	return lc.Listen(context.Background(), "tcp4", a.String())
}

// patient lets the kernel of a namespace open tens of thousands of connections in a minute:
// the ports, and an end to those in TIME-WAIT as the other stacks have it.
func patient() error {
	for _, s := range [][2]string{{"ip_local_port_range", "1024 65535"}, {"tcp_max_tw_buckets", "8192"}, {"tcp_max_syn_backlog", "4096"}} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+s[0], []byte(s[1]), 0); err != nil {
			return err
		}
	}
	return nil
}

// Ends are those of a stack on the TAP and the kernel.
func (t *TAP) Ends(dial func(address string) (net.Conn, error), udp func(local, remote netip.AddrPort) (net.Conn, error), shut func()) *Ends {
	return &Ends{
		Connect: Dialed(t.listener, func() (net.Conn, error) { return dial(t.listener.Addr().String()) }),
		Datagrams: func() (near, far net.Conn, err error) {
			ours, kernels := netip.AddrPortFrom(t.Ours, NearUDP), netip.AddrPortFrom(t.Kernel, FarUDP)
			if near, err = udp(ours, kernels); err == nil {
				far, err = net.DialUDP("udp4", net.UDPAddrFromAddrPort(kernels), net.UDPAddrFromAddrPort(ours))
			}
			return near, far, err
		},
		Frames: func() (near, far uint64) { return kernelif.Packets(t.name) },
		Close: func() {
			t.listener.Close()
			shut()
		},
	}
}

// TAPSubject is bonsai's blocking sockets over a TAP.
func TAPSubject() Subject {
	return Subject{"tap", "bonsai", "blocking net.Conns over a TAP to the kernel's sockets, in full with super-segments (vnet_hdr)", func(work string, o Options) (*Case, error) {
		return openOnTAP(work, o, false)
	}}
}

func openOnTAP(work string, o Options, mtuOnly bool) (*Case, error) {
	t, err := OpenTAP(o)
	if err != nil {
		return nil, err
	}
	dev := t.Device
	if mtuOnly {
		dev = plain{dev}
	}
	s := gonet.New(gonet.Config{Stack: o.config()})
	e := t.Ends(
		func(address string) (net.Conn, error) { return s.Dial("tcp", address) },
		func(local, remote netip.AddrPort) (net.Conn, error) {
			d := gonet.Dialer{Stack: s, LocalAddr: net.UDPAddrFromAddrPort(local)}
			return d.Dial("udp", remote.String())
		},
		func() { s.Close() },
	)
	if err = s.Attach("eth0", dev); err != nil {
		t.Device.Close()
	} else {
		err = s.Configure("eth0", t.Ours.String()+"/24", "")
	}
	if err != nil {
		e.Close()
		return nil, err
	}
	return e.Open(work, o)
}
