// Command bench is bonsai bench with gVisor's stack as one more subject, over the same
// emulated link and over a TAP:
//
//	go run -tags full ./examples/bench
//
// It prints a table: what each stack did of each work, and how many times as much bonsai
// did in the same time. -h has the flags.
package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/bonsainet/bonsai/examples/internal/gvisorpeer"
	"github.com/bonsainet/bonsai/internal/bench"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

func main() {
	subjects := append(bench.Subjects(),
		bench.Subject{Group: "sockets", Name: "gvisor", Help: "two of gVisor's stacks over the same emulated link", Open: openLink},
		bench.Subject{Group: "tap", Name: "gvisor", Help: "gVisor's stack over a TAP to the kernel's sockets", Open: openTAP},
	)
	os.Exit(bench.Main("go run ./examples/bench", os.Args[1:], subjects, os.Stdout, os.Stderr))
}

// peer returns a stack on dev that can open tens of thousands of connections in a minute.
func peer(dev netif.Device, address string) (*gvisorpeer.Peer, error) {
	p, err := gvisorpeer.New(dev, address+"/24", "")
	if err == nil {
		wait := tcpip.TCPTimeWaitTimeoutOption(100 * time.Millisecond)
		p.Stack.SetTransportProtocolOption(tcp.ProtocolNumber, &wait)
	}
	return p, err
}

func dial(p *gvisorpeer.Peer, address string) (net.Conn, error) {
	return p.Dial(context.Background(), address)
}

func openLink(work string, o bench.Options) (*bench.Case, error) {
	da, db := emu.NewLink(emu.Config{MTU: o.MTU})
	a, err := peer(da, bench.NearAddr)
	if err != nil {
		return nil, err
	}
	b, err := peer(db, bench.FarAddr)
	if err != nil {
		return nil, err
	}
	l, err := b.Listen(":80")
	if err != nil {
		return nil, err
	}
	e := &bench.Ends{
		Connect: bench.Dialed(l, func() (net.Conn, error) { return dial(a, bench.FarAddr+":80") }),
		Frames:  bench.LinkFrames(da),
		Close:   func() { a.Close(); b.Close() },
	}
	e.Datagrams = func() (near, far net.Conn, err error) {
		x, y := netip.MustParseAddrPort(bench.NearAddr+":5001"), netip.MustParseAddrPort(bench.FarAddr+":5002")
		if near, err = a.DialUDP(x, y); err == nil {
			far, err = b.DialUDP(y, x)
		}
		return near, far, err
	}
	return e.Open(work, o)
}

func openTAP(work string, o bench.Options) (*bench.Case, error) {
	t, err := bench.OpenTAP(o)
	if err != nil {
		return nil, err
	}
	p, err := peer(t.Device, t.Ours.String())
	if err != nil {
		return nil, err
	}
	return t.Ends(func(address string) (net.Conn, error) { return dial(p, address) }, p.DialUDP, p.Close).Open(work, o)
}
