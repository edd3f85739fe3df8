package main

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/bonsainet/bonsai/examples/internal/gvisorpeer"
	"github.com/bonsainet/bonsai/internal/bench"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// peer returns a stack on dev that can open tens of thousands of connections in a minute.
func peer(dev netif.Device, address string, offload bool) (*gvisorpeer.Peer, error) {
	open := gvisorpeer.New
	if offload {
		open = gvisorpeer.NewOffload
	}
	p, err := open(dev, address+"/24", "")
	if err == nil {
		wait := tcpip.TCPTimeWaitTimeoutOption(100 * time.Millisecond)
		p.Stack.SetTransportProtocolOption(tcp.ProtocolNumber, &wait)
	}
	return p, err
}

func dial(p *gvisorpeer.Peer, address string) (net.Conn, error) {
	return p.Dial(context.Background(), address)
}

func openLink(work string, o bench.Options, offload bool) (*bench.Case, error) {
	da, db := emu.NewLink(emu.Config{MTU: o.MTU})
	a, err := peer(da, bench.NearAddr, offload)
	if err != nil {
		return nil, err
	}
	b, err := peer(db, bench.FarAddr, offload)
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

func openTAP(work string, o bench.Options, offload bool) (*bench.Case, error) {
	t, err := bench.OpenTAP(o)
	if err != nil {
		return nil, err
	}
	p, err := peer(t.Device, t.Ours.String(), offload)
	if err != nil {
		return nil, err
	}
	return t.Ends(func(address string) (net.Conn, error) { return dial(p, address) }, p.DialUDP, p.Close).Open(work, o)
}
