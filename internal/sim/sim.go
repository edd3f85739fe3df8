// Package sim runs any number of stacks on emulated Ethernet in virtual time: one
// goroutine, no sleeps, and the same every time for the same seed.
//
//	n := sim.New(sim.Options{Seed: 1})
//	a, b := n.Host("a", stack.Config{}), n.Host("b", stack.Config{})
//	n.Link(a, b, emu.Config{Path: emu.Path{Delay: 20 * sim.Ms, Loss: 0.01}})
//	b.Listen(80, 8, func(*sim.End) sim.App { return &sim.Bulk{Recv: 1 << 20} })
//	e := a.Dial(b.Endpoint(80), &sim.Bulk{Send: 1 << 20})
//	err := n.Run(sim.Minute)
//
// Hosts are connected by links or switches of package netif/emu and get their
// addresses by ioctl: network 198.18.K.0/24 for the Kth link or switch, host .I for
// the Ith host, all else as it is in stack.Config. Their programs are Apps: scripts
// that write, read, close and compare what arrives.
//
// Run ends when every App is through, or says what is wrong: bytes that differ, no
// progress for too long, a stack that asks to be polled again and again without
// anything happening.
package sim

import (
	"fmt"
	"io"
	"slices"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
)

// Time is virtual time in nanoseconds.
type Time = pkt.Time

const (
	Ms     = pkt.Millisecond
	Second = pkt.Second
	Minute = pkt.Minute
	Never  = pkt.Never
)

// Options of a simulation.
type Options struct {
	// Seed makes all that is random: the stacks' secrets and the links' impairments.
	Seed uint64
	// Pcap, if not nil, gets a capture of every frame that a host sends.
	Pcap io.Writer
	// Stall is how long nothing may move before Run gives up: 10 minutes if 0.
	Stall Time
	// Check, if not nil, is called after each Poll of a host; an error ends Run.
	Check func(h *Host) error
	// Offload has the stacks hand super-segments to links (features gro and tso), which cut
	// them unless the path is perfect.
	Offload bool
}

// Net is a simulation.
type Net struct {
	Hosts []*Host

	clock    emu.Virtual
	opt      Options
	seed     uint64
	networks byte
	events   []event // by time
	progress Time    // of the last byte or change of a connection
	moved    uint64  // counts them
	idle     int     // rounds since, at one point of time
	running  int     // Apps that are not through
	err      error
	wire     wireTap
	bufs     [batch]*netif.Buf
}

const batch = 64

type event struct {
	at Time
	f  func()
}

// New returns a network without hosts. Its clock begins at 1 s.
func New(opt Options) *Net {
	n := &Net{opt: opt, seed: opt.Seed}
	if n.opt.Stall == 0 {
		n.opt.Stall = 10 * Minute
	}
	n.clock.Set(Second)
	n.progress = Second
	n.wire.init(opt.Pcap)
	return n
}

// Now returns the time.
func (n *Net) Now() Time { return n.clock.Now() }

// random returns the next number of those that the seed gives.
func (n *Net) random() uint64 {
	n.seed++
	return Stream(n.seed).word(1)
}

// port is what a host has of a link or a switch.
type port interface {
	netif.Device
	Take(bufs []*netif.Buf) int
	Next() netif.Time
	SetDown(down bool)
}

// Host is a stack with its ports and programs.
type Host struct {
	Name  string
	Stack *stack.Stack

	net     *Net
	number  byte
	ports   []port // ports[i] belongs to interface i+2
	addrs   []ipv4.Addr
	ends    []*End // programs that are not through
	next    Time   // what Poll said
	wake    Time   // when the first program wants to run
	touched bool   // a program or a test has called the stack
	spins   int    // Polls in a row that changed nothing and asked for another at once
}

// Host adds a host. A Seed of 0 in cfg is replaced by one of the simulation's.
func (n *Net) Host(name string, cfg stack.Config) *Host {
	if cfg.Seed == 0 {
		cfg.Seed = n.random()
	}
	h := &Host{Name: name, Stack: stack.New(cfg), net: n, number: byte(len(n.Hosts) + 1), next: Never, wake: Never}
	n.Hosts = append(n.Hosts, h)
	h.must(stack.SIOCSIFFLAGS, &stack.Ifreq{Name: "lo", Flags: netif.IFF_UP})
	return h
}

// Link joins two hosts by a cable. Seed and Clock of c are the simulation's.
func (n *Net) Link(a, b *Host, c emu.Config) (pa, pb *emu.Port) {
	c.Seed, c.Clock = n.random(), &n.clock
	pa, pb = emu.NewLink(c)
	n.networks++
	a.attach(pa, n.networks)
	b.attach(pb, n.networks)
	return pa, pb
}

// Switch joins hosts by a switch. Seed and Clock of c are the simulation's.
func (n *Net) Switch(c emu.SwitchConfig, hosts ...*Host) (*emu.Switch, []*emu.SwitchPort) {
	c.Seed, c.Clock = n.random(), &n.clock
	sw := emu.NewSwitch(c)
	n.networks++
	var ports []*emu.SwitchPort
	for _, h := range hosts {
		p := sw.Port()
		h.attach(p, n.networks)
		ports = append(ports, p)
	}
	return sw, ports
}

// attach plugs p in and configures the interface as ifconfig does.
func (h *Host) attach(p port, network byte) {
	name := fmt.Sprintf("eth%d", len(h.ports))
	if _, err := h.Stack.AddInterface(name, &tapped{p, h}); err != nil {
		panic(err)
	}
	a := ipv4.AddrOf(198, 18, network, h.number)
	h.ports = append(h.ports, p)
	h.addrs = append(h.addrs, a)
	h.must(stack.SIOCSIFADDR, &stack.Ifreq{Name: name, Addr: stack.SockaddrIn(a)})
	h.must(stack.SIOCSIFNETMASK, &stack.Ifreq{Name: name, Addr: stack.SockaddrIn(ipv4.Mask(24))})
	h.must(stack.SIOCSIFFLAGS, &stack.Ifreq{Name: name, Flags: netif.IFF_UP})
}

func (h *Host) must(req uint32, arg *stack.Ifreq) {
	if err := h.Stack.Ioctl(req, arg); err != nil {
		panic(fmt.Sprintf("%s: ioctl %#x %s: %v", h.Name, req, arg.Name, err))
	}
}

// Addr returns the address of the host's first interface.
func (h *Host) Addr() ipv4.Addr { return h.addrs[0] }

// Endpoint returns a port of the host's first address.
func (h *Host) Endpoint(port uint16) ipv4.Endpoint { return ipv4.Endpoint{Addr: h.Addr(), Port: port} }

// Touch says that a test has called the stack: it is polled in the next round.
func (h *Host) Touch() { h.touched = true }

// Inject gives the host's stack a frame on its first interface as if the device
// had received it.
func (h *Host) Inject(frame []byte) {
	b := h.Stack.NewBuf()
	b.CopyFrom(frame)
	h.Stack.Input(h.net.Now(), 2, []*netif.Buf{b})
	h.touched = true
}

// At calls f at time t, before anything else that happens then.
func (n *Net) At(t Time, f func()) {
	i, _ := slices.BinarySearchFunc(n.events, t, func(e event, t Time) int {
		if e.at <= t {
			return -1
		}
		return 1
	})
	n.events = slices.Insert(n.events, i, event{t, f})
}

// fail makes Run return an error: the first one.
func (n *Net) fail(format string, args ...any) {
	if n.err == nil {
		n.err = fmt.Errorf("at %v: "+format, append([]any{stamp(n.Now())}, args...)...)
	}
}

// stamp prints a time in seconds.
type stamp Time

func (t stamp) String() string { return fmt.Sprintf("%.6fs", float64(t)/float64(Second)) }

// Run lets time pass until all Apps are through, which limit bounds.
func (n *Net) Run(limit Time) error {
	n.progress = n.Now()
	return n.run(n.Now()+limit, func() bool { return n.running == 0 })
}

// RunFor lets time pass for d.
func (n *Net) RunFor(d Time) error {
	until := n.Now() + d
	n.progress = until
	if err := n.run(until, func() bool { return false }); err != nil && n.err != nil {
		return err
	}
	return nil
}

// Settle lets time pass until no stack holds anything but its configuration:
// connections, TIME-WAIT entries or queued data. limit bounds it.
func (n *Net) Settle(limit Time) error {
	n.progress = n.Now() + limit
	return n.run(n.Now()+limit, func() bool {
		for _, h := range n.Hosts {
			if u := h.Stack.Usage(); u.Conns != 0 || u.TimeWait != 0 || u.Orphans != 0 || u.Memory != 0 {
				return false
			}
		}
		return true
	})
}

func (n *Net) run(limit Time, done func() bool) error {
	for {
		busy := n.round()
		if n.err != nil {
			return n.err
		}
		if done() {
			return nil
		}
		next := n.next()
		now := n.Now()
		if next <= now || busy {
			if n.idle++; n.idle > maxIdle {
				n.fail("livelock: %d rounds without time passing or anything moving\n%s", n.idle, n.Dump())
				return n.err
			}
			if next <= now {
				continue
			}
		}
		switch {
		case next > limit:
			n.clock.Set(limit)
			return fmt.Errorf("at %v: not done\n%s", stamp(limit), n.Dump())
		case next-n.progress > n.opt.Stall:
			n.fail("stalled since %v\n%s", stamp(n.progress), n.Dump())
			return n.err
		}
		n.idle = 0
		n.clock.Set(next)
	}
}

// maxIdle bounds what may happen at one point of time without any progress.
const maxIdle = 20000

// round lets everything happen that is due now, once.
func (n *Net) round() (busy bool) {
	now := n.Now()
	for len(n.events) > 0 && n.events[0].at <= now {
		f := n.events[0].f
		n.events = slices.Delete(n.events, 0, 1)
		f()
		busy = true
	}
	moved := n.moved
	for _, h := range n.Hosts {
		if h.turn(now) {
			busy = true
		}
	}
	if n.moved != moved {
		n.idle, n.progress = 0, max(n.progress, now)
	}
	return busy
}

// next returns when the next thing happens.
func (n *Net) next() Time {
	next := Never
	if len(n.events) > 0 {
		next = n.events[0].at
	}
	for _, h := range n.Hosts {
		if h.touched {
			return n.Now()
		}
		next = min(next, h.next, h.wake)
		for _, p := range h.ports {
			next = min(next, p.Next())
		}
	}
	return next
}

// turn is a host's part of a round: frames in, Poll, programs.
func (h *Host) turn(now Time) bool {
	n := h.net
	busy := h.touched
	h.touched = false
	for i, p := range h.ports {
		if p.Next() > now {
			continue
		}
		for k := range n.bufs {
			if n.bufs[k] == nil || n.bufs[k].Cap() < p.MTU()+netif.EthernetHeaderLen {
				n.bufs[k] = netif.NewBuf(p.MTU() + netif.EthernetHeaderLen)
			}
		}
		if k := p.Take(n.bufs[:]); k > 0 {
			h.Stack.Input(now, i+2, n.bufs[:k])
			busy = true
		}
	}
	if !busy && h.next > now && h.wake > now {
		return false
	}
	sent := n.wire.frames
	h.poll(now)
	act := busy || n.wire.frames != sent
	for h.programs(now) {
		act = true
		h.poll(now)
	}
	if act || h.next > now {
		h.spins = 0
	} else if h.spins++; h.spins > maxSpins {
		n.fail("%s: livelock: Poll(%v) returned %v %d times\n%s", h.Name, stamp(now), stamp(h.next), h.spins, n.Dump())
	}
	return act
}

// maxSpins is how often in a row Poll may do nothing and ask for another at once.
const maxSpins = 100

func (h *Host) poll(now Time) {
	h.next = h.Stack.Poll(now)
	for _, e := range h.ends {
		if r := e.Conn.Retries(); r > e.retries {
			e.Timeouts += r - e.retries
			e.retries = r
		} else {
			e.retries = r
		}
	}
	if f := h.net.opt.Check; f != nil {
		if err := f(h); err != nil {
			h.net.fail("%s: %v\n%s", h.Name, err, h.net.Dump())
		}
	}
}

// SetDown pulls the host's cable, or plugs it in again.
func (h *Host) SetDown(down bool) { h.ports[0].SetDown(down) }
