// Package gvisortarget is gVisor's network stack as a target of .pkt scripts, in
// virtual time: how to point pktest at a stack that is not bonsai.
package gvisortarget

import (
	"fmt"
	"math/rand"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/bonsainet/bonsai/pktest"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const nic = 1

// Target is gVisor as a Target. It has goroutines of its own, so all of the process
// runs on one processor while there is one: then it is known when they wait.
type Target struct {
	stack   *stack.Stack
	clock   *clock
	link    *channel.Endpoint
	out     []packet
	socks   []*sock
	waiting []*pending
	procs   int // what GOMAXPROCS was
}

type packet struct {
	b  []byte
	at time.Duration
}

// New returns a Target for one script.
func New() pktest.Target { return &Target{clock: &clock{now: clockStart}} }

// Has implements pktest.Target. What gVisor lacks, its scripts are skipped for.
func (g *Target) Has(feature string) bool {
	switch feature {
	case "loose:info": // its TCP_INFO has few fields
		return true
	case "target:gvisor", "wscale", "timestamps", "sack", "rack", "cubic", "newreno", "keepalive", "pmtud", "listen",
		"reassembly", "fragmentation", "autotune":
		return true
	}
	return false
}

// Now implements pktest.Target.
func (g *Target) Now() time.Duration {
	g.clock.mu.Lock()
	defer g.clock.mu.Unlock()
	return g.clock.now - clockStart
}

// Tolerance implements pktest.Target.
func (g *Target) Tolerance() time.Duration { return 0 }

// Setup implements pktest.Target.
func (g *Target) Setup(set pktest.Setup) error {
	g.procs = runtime.GOMAXPROCS(1)
	seed := rand.NewSource(1)
	g.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocolCUBIC, udp.NewProtocol, icmp.NewProtocol4},
		Clock:              g.clock,
		RandSource:         seed,
		SecureRNG:          rand.New(rand.NewSource(2)),
	})
	nagle := tcpip.TCPDelayEnabled(true) // as runsc sets it
	if e := g.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &nagle); e != nil {
		return fmt.Errorf("TCPDelayEnabled: %s", e)
	}
	for _, s := range set.Sysctl {
		if err := g.sysctl(s); err != nil {
			return err
		}
	}
	g.link = channel.New(4096, uint32(set.MTU), "")
	if e := g.stack.CreateNIC(nic, g.link); e != nil {
		return fmt.Errorf("CreateNIC: %s", e)
	}
	local := tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4(set.Local.As4()), PrefixLen: set.Bits}
	e := g.stack.AddProtocolAddress(nic, tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: local}, stack.AddressProperties{})
	if e != nil {
		return fmt.Errorf("AddProtocolAddress: %s", e)
	}
	g.stack.SetRouteTable([]tcpip.Route{
		{Destination: local.Subnet(), NIC: nic},
		{Destination: header.IPv4EmptySubnet, Gateway: tcpip.AddrFrom4(set.Gateway.As4()), NIC: nic},
	})
	settle()
	return nil
}

// sysctl makes a Linux setting, if gVisor has it.
func (g *Target) sysctl(s pktest.Sysctl) error {
	var n []int
	for _, w := range strings.Fields(s.Value) {
		if v, err := strconv.Atoi(w); err == nil {
			n = append(n, v)
		}
	}
	no := pktest.Unsupported(fmt.Sprintf("sysctl %s=%s", s.Name, s.Value))
	if len(n) == 0 && s.Name != "net.ipv4.tcp_congestion_control" {
		return no
	}
	fixed := func(ok bool) error {
		if ok {
			return nil
		}
		return no
	}
	var opt tcpip.SettableTransportProtocolOption
	switch s.Name {
	case "net.ipv4.tcp_syn_retries":
		v := tcpip.TCPSynRetriesOption(n[0])
		opt = &v
	case "net.ipv4.tcp_retries2":
		v := tcpip.TCPMaxRetriesOption(n[0])
		opt = &v
	case "net.ipv4.tcp_sack":
		v := tcpip.TCPSACKEnabled(n[0] != 0)
		opt = &v
	case "net.ipv4.tcp_fin_timeout":
		v := tcpip.TCPLingerTimeoutOption(time.Duration(n[0]) * time.Second)
		opt = &v
	case "net.ipv4.tcp_congestion_control":
		v := tcpip.CongestionControlOption(strings.TrimSpace(s.Value))
		opt = &v
	case "net.ipv4.tcp_rmem":
		if len(n) != 3 {
			return no
		}
		opt = &tcpip.TCPReceiveBufferSizeRangeOption{Min: n[0], Default: n[1], Max: n[2]}
	case "net.ipv4.tcp_wmem":
		if len(n) != 3 {
			return no
		}
		opt = &tcpip.TCPSendBufferSizeRangeOption{Min: n[0], Default: n[1], Max: n[2]}
	case "net.ipv4.ip_default_ttl":
		v := tcpip.DefaultTTLOption(n[0])
		if e := g.stack.SetNetworkProtocolOption(ipv4.ProtocolNumber, &v); e != nil {
			return no
		}
		return nil
	case "net.ipv4.ip_local_port_range":
		if len(n) != 2 || g.stack.SetPortRange(uint16(n[0]), uint16(n[1])) != nil {
			return no
		}
		return nil
	case "net.ipv4.tcp_timestamps", "net.ipv4.tcp_window_scaling":
		return fixed(n[0] == 1)
	case "net.ipv4.tcp_ecn":
		return fixed(n[0] == 0 || n[0] == 2)
	case "net.ipv4.tcp_mtu_probing", "net.ipv4.tcp_fastopen", "net.ipv4.tcp_rfc1337":
		return fixed(n[0] == 0)
	default:
		return no
	}
	if e := g.stack.SetTransportProtocolOption(tcp.ProtocolNumber, opt); e != nil {
		return no
	}
	return nil
}

// Inject implements pktest.Target.
func (g *Target) Inject(b []byte) {
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(append([]byte(nil), b...))})
	defer p.DecRef()
	g.link.InjectInbound(ipv4.ProtocolNumber, p)
}

// Sent implements pktest.Target.
func (g *Target) Sent() (b []byte, at time.Duration, ok bool) {
	g.collect()
	if len(g.out) == 0 {
		return nil, 0, false
	}
	p := g.out[0]
	g.out = g.out[1:]
	return p.b, p.at, true
}

// collect takes what gVisor has sent since the clock stood elsewhere.
func (g *Target) collect() {
	for p := g.link.Read(); p != nil; p = g.link.Read() {
		v := p.ToView()
		g.out = append(g.out, packet{append([]byte(nil), v.AsSlice()...), g.Now()})
		v.Release()
		p.DecRef()
	}
}

// Wait implements pktest.Target.
func (g *Target) Wait(until time.Duration) {
	for {
		settle()
		ended := g.try()
		settle()
		sent := len(g.out)
		g.collect()
		if ended || len(g.out) > sent {
			return
		}
		limit := until + clockStart
		for _, w := range g.waiting {
			if w.at > 0 {
				limit = min(limit, w.at) // poll's time
			}
		}
		if !g.clock.step(limit) && limit == until+clockStart {
			g.try()
			return
		}
	}
}

// try lets the calls that wait go on, and reports whether one has ended.
func (g *Target) try() (ended bool) {
	keep := g.waiting[:0]
	for _, w := range g.waiting {
		if g.attempt(w); w.call.Done {
			ended = true
		} else {
			keep = append(keep, w)
		}
	}
	g.waiting = keep
	return ended
}

// Close implements pktest.Target.
func (g *Target) Close() {
	if g.stack != nil {
		g.stack.Destroy()
		runtime.GOMAXPROCS(g.procs)
	}
}
