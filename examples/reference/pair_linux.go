package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bonsainet/bonsai/examples/internal/gvisorpeer"
	"github.com/bonsainet/bonsai/internal/kernelif"
	"github.com/bonsainet/bonsai/internal/relay"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/netif/emu/wall"
	"github.com/bonsainet/bonsai/netif/tap"
	"github.com/bonsainet/bonsai/socket/gonet"
)

var count atomic.Uint32

// pair is a sender and a kernel in a namespace of its own, which listens.
type pair struct {
	net.Listener
	dial   []func() (net.Conn, error) // one for each sender
	closes []func()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// newPair returns the link of one sender, or of two that share it.
func newPair(sender string, there, back emu.Path, others ...string) *pair {
	k := byte(count.Add(1))
	far := netip.AddrFrom4([4]byte{198, 19, k, 2})
	p := &pair{}
	a, b := emu.NewLink(emu.Config{Path: there, Back: &back, Seed: uint64(there.Delay) + uint64(there.Queue), Clock: wall.New(), Frames: 1 << 14})
	ns, err := kernelif.NewNamespace()
	check(err)
	check(ns.Do(func() error {
		dev, err := openTAP(far)
		if err != nil {
			return err
		}
		go relay.Join(dev, b)
		lc := net.ListenConfig{Control: kernelif.Cubic}
		p.Listener, err = lc.Listen(context.Background(), "tcp4", netip.AddrPortFrom(far, 80).String())
		return err
	}))
	p.closes = append(p.closes, func() { p.Close(); a.Close(); b.Close(); ns.Close() })
	var near netif.Device = a
	var sw *emu.Switch
	if len(others) > 0 { // all share a switch, whose way out is the link
		sw = emu.NewSwitch(emu.SwitchConfig{Frames: 1 << 14})
		go relay.Join(sw.Port(), a)
	}
	for i, s := range append([]string{sender}, others...) {
		if sw != nil {
			near = sw.Port()
		}
		p.add(s, near, netip.AddrFrom4([4]byte{198, 19, k, byte(10 + i)}))
	}
	return p
}

// add opens a sender on dev.
func (p *pair) add(sender string, dev netif.Device, addr netip.Addr) {
	to := p.Addr().String()
	switch sender {
	case "kernel":
		t, err := openTAP(addr)
		check(err)
		go relay.Join(t, dev)
		// Two of the kernel's interfaces may have addresses of the same network.
		bound := func(network, address string, c syscall.RawConn) (err error) {
			if e := c.Control(func(fd uintptr) { err = syscall.BindToDevice(int(fd), t.Name()) }); e != nil {
				return e
			}
			return errors.Join(err, kernelif.Cubic(network, address, c))
		}
		d := net.Dialer{Control: bound, LocalAddr: &net.TCPAddr{IP: addr.AsSlice()}}
		p.dial = append(p.dial, func() (net.Conn, error) { return d.Dial("tcp4", to) })
	case "bonsai":
		s := gonet.New(gonet.Config{})
		check(s.Attach("eth0", dev))
		check(s.Configure("eth0", addr.String()+"/24", ""))
		p.dial = append(p.dial, func() (net.Conn, error) { return s.Dial("tcp4", to) })
		p.closes = append(p.closes, func() { s.Close() })
	case "gvisor":
		s, err := gvisorpeer.New(dev, addr.String()+"/24", "")
		check(err)
		p.dial = append(p.dial, func() (net.Conn, error) { return s.Dial(context.Background(), to) })
		p.closes = append(p.closes, s.Close)
	}
}

func (p *pair) close() {
	for _, f := range p.closes {
		f()
	}
}

func openTAP(addr netip.Addr) (*tap.Device, error) {
	dev, err := tap.Open(tap.Config{Up: true})
	if err != nil {
		return nil, err
	}
	return dev, kernelif.SetAddr(dev.Name(), netip.PrefixFrom(addr, 24))
}

// open opens a connection of sender i and returns both ends.
func (p *pair) open(i int) (near, far net.Conn) {
	near, err := p.dial[i]()
	check(err)
	far, err = p.Accept()
	check(err)
	return near, far
}

// receive sends as fast as it can and returns what far gets in Mbit/s, after warm.
func receive(near, far net.Conn, warm, d time.Duration) float64 {
	go func() {
		for b := make([]byte, 64<<10); ; {
			if _, err := near.Write(b); err != nil {
				return
			}
		}
	}()
	start := time.Now()
	var first time.Time
	total := 0
	b := make([]byte, 64<<10)
	far.SetReadDeadline(start.Add(warm + d))
	for time.Since(start) < warm+d {
		n, err := far.Read(b)
		if !first.IsZero() {
			total += n
		} else if time.Since(start) > warm {
			first = time.Now()
		}
		if err != nil {
			break
		}
	}
	if first.IsZero() {
		return 0
	}
	return float64(total) * 8 / 1e6 / time.Since(first).Seconds()
}

func (p *pair) goodput(warm, d time.Duration) float64 {
	near, far := p.open(0)
	defer near.Close()
	defer far.Close()
	return receive(near, far, warm, d)
}

// short returns how long n transfers of 64 KiB took, from the first byte to the last, sorted.
func short(sender string, n int) (times []time.Duration) {
	const links, size = 8, 64 << 10
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range links {
		wg.Go(func() {
			p := newPair(sender, emu.Path{Rate: rate, Delay: 10e6, Queue: 64, Loss: 0.03}, emu.Path{Delay: 10e6})
			defer p.close()
			for range (n + links - 1) / links {
				near, far := p.open(0)
				start := time.Now()
				go near.Write(make([]byte, size))
				far.SetReadDeadline(start.Add(20 * time.Second))
				if k, err := io.ReadFull(far, make([]byte, size)); err != nil {
					log.Printf("%s: %d bytes: %v", sender, k, err)
				}
				d := time.Since(start)
				near.Close()
				far.Close()
				mu.Lock()
				times = append(times, d)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(times)
	return times
}

// share prints how two flows share 10 Mbit/s and 40 ms: bonsai's and the kernel's, and, for
// what chance and the queue make of it, two of the kernel's.
func share(d time.Duration) {
	fmt.Printf("\n| first flow | second flow | Mbit/s | Mbit/s | share of the first |\n|---|---|--:|--:|--:|\n")
	for _, s := range [][2]string{{"kernel", "kernel"}, {"bonsai", "kernel"}, {"kernel", "bonsai"}, {"bonsai", "bonsai"}, {"kernel", "gvisor"}} {
		p := newPair(s[0], emu.Path{Rate: rate, Delay: 20e6, Queue: 33}, emu.Path{Delay: 20e6, Jitter: 2e6}, s[1])
		var got [2]float64
		var wg sync.WaitGroup
		for i := range got {
			near, far := p.open(i)
			wg.Go(func() { got[i] = receive(near, far, d/2, d) })
			time.Sleep(300 * time.Millisecond)
		}
		wg.Wait()
		p.close()
		fmt.Printf("| %s | %s | %.2f | %.2f | %.0f %% |\n", s[0], s[1], got[0], got[1], 100*got[0]/(got[0]+got[1]))
	}
}
