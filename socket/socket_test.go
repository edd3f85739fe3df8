//go:build go1.25

package socket

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/netif/emu/wall"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/udp"
)

// Two stacks on a link of 10 ms; all tests run in a bubble, where time is virtual.
const delay = 10 * time.Millisecond

type pair struct {
	t     *testing.T
	s     [2]*Stack
	clock *countingClock
	link  [2]*emu.Port
	port  uint16
}

// countingClock counts how often the alarms are armed.
type countingClock struct {
	*wall.Clock
	mu  sync.Mutex
	set int
}

func (c *countingClock) Timer(f func()) func(Time) {
	set := c.Clock.Timer(f)
	return func(at Time) {
		c.mu.Lock()
		c.set++
		c.mu.Unlock()
		set(at)
	}
}

var addrs = [2]ipv4.Addr{ipv4.AddrOf(198, 18, 0, 1), ipv4.AddrOf(198, 18, 0, 2)}

// bubble runs f with a pair of stacks.
func bubble(t *testing.T, cfg stack.Config, f func(p *pair)) {
	bubbleOn(t, cfg, emu.Path{Delay: netif.Time(delay)}, f)
}

// bubbleOn is bubble on a link that is like path.
func bubbleOn(t *testing.T, cfg stack.Config, path emu.Path, f func(p *pair)) {
	bubbleWith(t, cfg, path, func(_ int, port *emu.Port) netif.Device { return port }, f)
}

// bubbleWith is bubbleOn with devices that wrap makes of the link's ends.
func bubbleWith(t *testing.T, cfg stack.Config, path emu.Path, wrap func(i int, port *emu.Port) netif.Device, f func(p *pair)) {
	synctest.Test(t, func(t *testing.T) {
		p := &pair{t: t, clock: &countingClock{Clock: wall.New()}, port: 1000}
		p.link[0], p.link[1] = emu.NewLink(emu.Config{Clock: p.clock, Seed: 1, Path: path})
		for i := range p.s {
			p.s[i] = New(cfg, p.clock)
			defer p.s[i].Close()
			up(t, p.s[i], wrap(i, p.link[i]), addrs[i])
		}
		f(p)
	})
}

// up brings up eth0 on dev, and lo.
func up(t testing.TB, s *Stack, dev netif.Device, a ipv4.Addr) {
	t.Helper()
	if _, err := s.Attach("eth0", dev); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		req uint32
		arg *stack.Ifreq
	}{
		{stack.SIOCSIFADDR, &stack.Ifreq{Name: "eth0", Addr: stack.SockaddrIn(a)}},
		{stack.SIOCSIFNETMASK, &stack.Ifreq{Name: "eth0", Addr: stack.SockaddrIn(ipv4.Mask(24))}},
		{stack.SIOCSIFFLAGS, &stack.Ifreq{Name: "eth0", Flags: netif.IFF_UP | netif.IFF_RUNNING}},
		{stack.SIOCSIFFLAGS, &stack.Ifreq{Name: "lo", Flags: netif.IFF_UP | netif.IFF_RUNNING}},
	} {
		if err := s.Ioctl(c.req, c.arg); err != nil {
			t.Fatal(err)
		}
	}
}

// connect opens a connection from both ends at once, which needs no listener (RFC
// 9293 section 3.5, figure 8).
func (p *pair) connect() (c [2]*Conn) {
	p.t.Helper()
	p.port++
	ends := [2]ipv4.Endpoint{{Addr: addrs[0], Port: p.port}, {Addr: addrs[1], Port: p.port}}
	var wg sync.WaitGroup
	for i := range c {
		c[i] = p.s[i].NewConn()
		wg.Go(func() {
			if err := c[i].Connect(ends[i], ends[1-i]); err != nil {
				p.t.Error(err)
			}
		})
	}
	wg.Wait()
	if p.t.Failed() {
		p.t.FailNow()
	}
	return c
}

// after calls f at that time from now on.
func after(d time.Duration, f func()) { time.AfterFunc(d, f) }

// took checks that exactly d have passed since start.
func (p *pair) took(what string, start time.Time, d time.Duration) {
	p.t.Helper()
	if got := time.Since(start); got != d {
		p.t.Errorf("%s took %v, want %v", what, got, d)
	}
}

func (p *pair) is(what string, err error, want Errno) {
	p.t.Helper()
	if err != want.Err() {
		p.t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func TestDataGoesBothWaysAtOnce(t *testing.T) {
	bubble(t, stack.Config{}, func(p *pair) {
		c := p.connect()
		var wg sync.WaitGroup
		for i := range c {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(1, uint64(i)))
				buf := make([]byte, 10000)
				for n := 0; n < 1<<20; {
					k := r.IntN(len(buf))
					for j := range buf[:k] {
						buf[j] = byte(n + j + i)
					}
					if m, err := c[i].Write(buf[:k]); m != k || err != nil {
						t.Error(m, err)
						return
					}
					n += k
				}
				if err := c[i].CloseWrite(); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				buf := make([]byte, 5000)
				n := 0
				for {
					k, err := c[i].Read(buf)
					for j := range buf[:k] {
						if buf[j] != byte(n+j+1-i) {
							t.Error("wrong data at", n+j)
							return
						}
					}
					n += k
					if k == 0 {
						if err != nil || n < 1<<20 {
							t.Error(n, err)
						}
						return
					}
				}
			})
		}
		wg.Wait()
		for i := range c {
			p.is("close", c[i].Close(), 0)
			p.is("close again", c[i].Close(), ErrClosed)
		}
	})
}

// "A deadline that moves out leaves the alarm alone": it is not armed for each
// packet. (Pacing arms it for each burst, of a millisecond or four segments.)
func TestAlarmIsNotArmedForEachPacket(t *testing.T) {
	bubble(t, stack.Config{NoPacing: true}, func(p *pair) {
		c := p.connect()
		go func() {
			c[0].Write(make([]byte, 8<<20))
			c[0].Close()
		}()
		p.clock.mu.Lock()
		before := p.clock.set
		p.clock.mu.Unlock()
		buf := make([]byte, 64<<10)
		start := time.Now()
		for n := 1; n > 0; n, _ = c[1].Read(buf) {
		}
		p.clock.mu.Lock()
		n := p.clock.set - before
		p.clock.mu.Unlock()
		// The link's own timers are counted too: two for each round trip at most.
		took := time.Since(start)
		rounds := int(took / (2 * delay))
		t.Logf("%d times in %d round trips, for %d packets", n, rounds, 8<<20/1448)
		most := 8*rounds + 100
		if feature.Pacing { // a millisecond's worth at a time, and an ACK may bring that forward
			most += 2 * int(took/time.Millisecond)
		}
		if n > most {
			t.Error("too often")
		}
	})
}

func TestReadersAreServedInTurn(t *testing.T) {
	bubble(t, stack.Config{}, func(p *pair) {
		c := p.connect()
		const n = 5
		var got [n]byte
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				var b [1]byte
				if k, err := c[1].Read(b[:]); k != 1 || err != nil {
					t.Error(k, err)
				}
				got[i] = b[0]
			})
			synctest.Wait()
		}
		c[0].Write([]byte("abcde")) // one segment, one event
		wg.Wait()
		if string(got[:]) != "abcde" {
			t.Errorf("%q", got)
		}
	})
}

func TestWritesAreWhole(t *testing.T) {
	bubble(t, stack.Config{}, func(p *pair) {
		c := p.connect()
		const n, size = 4, 1 << 20
		for i := range n {
			go func() {
				if k, err := c[0].Write(bytes.Repeat([]byte{byte(i)}, size)); k != size || err != nil {
					t.Error(k, err)
				}
			}()
		}
		buf := make([]byte, 10000)
		var all []byte
		for len(all) < n*size {
			k, err := c[1].Read(buf)
			if k == 0 {
				t.Fatal(err)
			}
			all = append(all, buf[:k]...)
		}
		for i := 0; i < len(all); i += size {
			if !bytes.Equal(all[i:i+size], bytes.Repeat(all[i:i+1], size)) {
				t.Error("writes are mixed")
			}
		}
	})
}

func TestCloseFailsBlockedCalls(t *testing.T) {
	for name, stop := range map[string]func(p *pair, c *Conn){
		"close":       func(p *pair, c *Conn) { p.is("close", c.Close(), 0) },
		"abort":       func(p *pair, c *Conn) { p.is("abort", c.Abort(), 0) },
		"stack close": func(p *pair, c *Conn) { p.is("stack close", p.s[0].Close(), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, stack.Config{}, func(p *pair) {
				c := p.connect()
				var wg sync.WaitGroup
				for range 2 {
					wg.Go(func() {
						_, err := c[0].Read(make([]byte, 1))
						p.is("read", err, ErrClosed)
					})
					wg.Go(func() {
						n, err := c[0].Write(make([]byte, 32<<20))
						p.is("write", err, ErrClosed)
						if n > 16<<20 {
							t.Error(n)
						}
					})
				}
				time.Sleep(time.Second)
				synctest.Wait()
				stop(p, c[0])
				wg.Wait()
				_, err := c[0].Read(nil)
				p.is("read afterwards", err, ErrClosed)
				_, err = c[0].Write(nil)
				p.is("write afterwards", err, ErrClosed)
				p.is("option afterwards", c[0].SetOption(stack.SOL_TCP, stack.TCP_NODELAY, 1), ErrClosed)
				if len(p.s[0].sleepers) != 0 {
					t.Error("somebody sleeps")
				}
			})
		})
	}
}

func TestDeadlines(t *testing.T) {
	bubble(t, stack.Config{}, func(p *pair) {
		c := p.connect()
		at := func(d time.Duration) Time { return p.clock.Now() + Time(d) }
		buf := make([]byte, 1)

		start := time.Now()
		c[0].SetReadDeadline(at(time.Second))
		_, err := c[0].Read(buf)
		p.is("read", err, ErrDeadline)
		p.took("read", start, time.Second)

		// Extended while it blocks, twice; then shortened.
		start = time.Now()
		c[0].SetReadDeadline(at(time.Second))
		after(time.Second/2, func() { c[0].SetReadDeadline(at(2 * time.Second)) })
		after(2*time.Second, func() { c[0].SetReadDeadline(0) })
		after(3*time.Second, func() { c[0].SetReadDeadline(at(time.Second)) })
		_, err = c[0].Read(buf)
		p.is("read", err, ErrDeadline)
		p.took("read", start, 4*time.Second)

		start = time.Now()
		c[0].SetWriteDeadline(at(time.Second))
		n, err := c[0].Write(make([]byte, 32<<20))
		p.is("write", err, ErrDeadline)
		p.took("write", start, time.Second)

		// What was written is whole, and writing goes on.
		c[0].SetWriteDeadline(0)
		go func() {
			c[0].Write([]byte("end"))
			c[0].CloseWrite()
		}()
		got := 0
		for {
			big := make([]byte, 10000)
			k, err := c[1].Read(big)
			if got += k; k == 0 {
				p.is("read", err, 0)
				break
			}
		}
		if got != n+3 {
			t.Error(got, n)
		}

		// Many that wait, in no order, with and without deadlines.
		r := rand.New(rand.NewPCG(1, 2))
		var wg sync.WaitGroup
		for i := range 50 {
			u, err := p.s[0].OpenPacket(ipv4.Endpoint{}, 0)
			p.is("open", err, 0)
			d := time.Duration(r.IntN(1000)) * time.Millisecond
			wg.Go(func() {
				start := time.Now()
				var m Meta
				want := ErrDeadline
				if i%3 == 0 {
					want = ErrClosed
					after(d, func() { u.Close() })
				} else {
					u.SetDeadline(at(d))
				}
				_, err := u.ReadFrom(nil, &m)
				p.is("read", err, want)
				p.took("read", start, d)
			})
		}
		wg.Wait()
	})
}

func TestLingerWaitsForTheLastACK(t *testing.T) {
	bubble(t, stack.Config{}, func(p *pair) {
		c := p.connect()
		c[0].SetOption(stack.SOL_SOCKET, stack.SO_LINGER, 5)
		c[0].Write([]byte("x"))
		go c[0].Read(make([]byte, 1))
		synctest.Wait()
		start := time.Now()
		p.is("close", c[0].Close(), 0)
		p.took("close", start, 2*delay)

		c = p.connect()
		c[0].SetOption(stack.SOL_SOCKET, stack.SO_LINGER, 5)
		c[0].Write([]byte("x"))
		p.link[0].SetDown(true)
		start = time.Now()
		p.is("close", c[0].Close(), 0)
		p.took("close without a peer", start, 5*time.Second)
	})
}

func TestConnectErrors(t *testing.T) {
	bubble(t, stack.Config{SynRetries: 2}, func(p *pair) {
		there := ipv4.Endpoint{Addr: addrs[1], Port: 9}
		_, err := p.s[0].Dial(ipv4.Endpoint{}, there, 0)
		p.is("no listener", err, errno.ECONNREFUSED)
		_, err = p.s[0].Dial(ipv4.Endpoint{}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 1, 1), Port: 9}, 0)
		p.is("no route", err, errno.ENETUNREACH)
		_, err = p.s[0].Dial(ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 9)}, there, 0)
		p.is("not our address", err, errno.EADDRNOTAVAIL)
		_, err = p.s[0].Dial(ipv4.Endpoint{}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 255), Port: 9}, 0)
		p.is("broadcast", err, errno.ENETUNREACH)
		_, err = p.s[0].Dial(ipv4.Endpoint{}, there, -1)
		p.is("no time", err, ErrDeadline)
		_, err = p.s[0].Dial(ipv4.Endpoint{}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 3), Port: 9}, 0)
		p.is("no neighbour", err, errno.EHOSTUNREACH)

		c := p.connect()
		p.is("again", c[0].Connect(ipv4.Endpoint{}, there), errno.EISCONN)
		p.is("same pair", p.s[0].NewConn().Connect(c[0].Local(), c[0].Remote()), errno.EADDRINUSE)

		p.link[0].SetDown(true)
		start := time.Now()
		_, err = p.s[0].Dial(ipv4.Endpoint{}, there, p.clock.Now()+Time(time.Second/2))
		p.is("deadline", err, ErrDeadline)
		p.took("deadline", start, time.Second/2)

		x := p.s[0].NewConn()
		start = time.Now()
		after(time.Second/2, func() { x.Close() })
		p.is("cancel", x.Connect(ipv4.Endpoint{}, there), ErrClosed)
		p.took("cancel", start, time.Second/2)

		_, err = p.s[0].Dial(ipv4.Endpoint{}, there, 0)
		if err != errno.ETIMEDOUT && err != errno.EHOSTUNREACH {
			t.Error(err)
		}
	})
}

// "cable pulled: ETIMEDOUT", for readers and writers that block.
func TestPeerThatVanishes(t *testing.T) {
	bubble(t, stack.Config{Retries: 3}, func(p *pair) {
		c := p.connect()
		p.s[1].Do(func(*stack.Stack) {}) // the neighbour is known
		p.link[0].SetDown(true)
		var errs [2]error
		var wg sync.WaitGroup
		wg.Go(func() { _, errs[0] = c[0].Read(make([]byte, 1)) })
		wg.Go(func() { _, errs[1] = c[0].Write(make([]byte, 32<<20)) })
		wg.Wait()
		// As with Linux, one of them learns why, the other only that it is over.
		if !errors.Is(errs[0], errno.ETIMEDOUT) && !errors.Is(errs[1], errno.ETIMEDOUT) &&
			!errors.Is(errs[0], errno.EHOSTUNREACH) && !errors.Is(errs[1], errno.EHOSTUNREACH) {
			t.Error(errs)
		}
	})
}

// A writer that gets none of the stack's memory goes on once there is some.
func TestWriterWaitsForMemory(t *testing.T) {
	bubble(t, stack.Config{Memory: 32 << 10, SndBuf: 1 << 20, MaxConns: 100}, func(p *pair) {
		var c [40]*Conn
		for i := range c {
			c[i] = p.connect()[0]
		}
		p.link[0].SetOut(emu.Path{Loss: 1}) // nothing is acknowledged
		size := 1 << 20
		for i := range c {
			c[i].SetWriteDeadline(p.clock.Now() + 1e9)
			n, err := c[i].Write(make([]byte, size))
			size = 1 // the first one takes what one may, the others the rest
			if n > 0 {
				continue
			}
			p.is("write", err, ErrDeadline)
			c[i].SetWriteDeadline(0)
			after(time.Second, func() { c[0].Abort() })
			start := time.Now()
			_, err = c[i].Write([]byte("x"))
			p.is("write", err, 0)
			if d := time.Since(start); d < time.Second || d > time.Second+50*time.Millisecond {
				t.Error(d)
			}
			return
		}
		t.Error("memory without end")
	})
}

func TestPackets(t *testing.T) {
	bubble(t, stack.Config{}, func(p *pair) {
		a, err := p.s[0].OpenPacket(ipv4.Endpoint{}, 0)
		p.is("open", err, 0)
		b, err := p.s[1].OpenPacket(ipv4.Endpoint{Port: 53}, 0)
		p.is("open", err, 0)
		_, err = p.s[1].OpenPacket(ipv4.Endpoint{Port: 53}, 0)
		p.is("port in use", err, errno.EADDRINUSE)
		_, err = a.WriteTo([]byte("x"), ipv4.Endpoint{})
		p.is("no peer", err, errno.EDESTADDRREQ)
		p.is("connect", a.Connect(ipv4.Endpoint{Addr: addrs[1], Port: 53}), 0)

		// Two datagrams, two readers, one event.
		a.WriteTo(nil, ipv4.Endpoint{}) // for ARP, which may hold only one packet
		b.ReadFrom(nil, new(Meta))
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				var m Meta
				buf := make([]byte, 3)
				n, err := b.ReadFrom(buf, &m)
				if n != 3 || err != nil || m.Len != 5 || m.Src != a.Local() || m.Dst != addrs[1] || string(buf) != "hel" {
					t.Error(n, err, m, string(buf))
				}
				b.WriteTo([]byte("hi"), m.Src)
			})
		}
		synctest.Wait()
		for range 2 {
			n, err := a.WriteTo([]byte("hello"), ipv4.Endpoint{})
			if n != 5 || err != nil {
				t.Error(n, err)
			}
		}
		wg.Wait()
		var m Meta
		for range 2 {
			if n, err := a.ReadFrom(make([]byte, 9), &m); n != 2 || err != nil {
				t.Error(n, err)
			}
		}
		b.Close()
		a.WriteTo([]byte("hello"), ipv4.Endpoint{})
		_, err = a.ReadFrom(nil, &m)
		p.is("read", err, errno.ECONNREFUSED)
		p.is("option", a.SetOption(stack.SOL_IP, stack.IP_TTL, 300), errno.EINVAL)
		v, err := a.Option(stack.SOL_IP, stack.IP_TTL)
		if v != 64 || err != nil {
			t.Error(v, err)
		}
		x, err := p.s[0].OpenPacket(ipv4.Endpoint{Port: 99}, udp.ReuseAddr)
		p.is("open", err, 0)
		y, err := p.s[0].OpenPacket(ipv4.Endpoint{Port: 99}, udp.ReuseAddr)
		p.is("open shared", err, 0)
		x.Close()
		y.Close()
		p.is("close", a.Close(), 0)
		p.is("close again", a.Close(), ErrClosed)
	})
}

func TestRawEcho(t *testing.T) {
	bubble(t, stack.Config{}, func(p *pair) {
		r, err := p.s[0].OpenRaw(ipv4.ProtoICMP)
		if !feature.RawSock {
			p.is("open", err, errno.EPROTONOSUPPORT)
			return
		}
		p.is("open", err, 0)
		p.is("do", r.Do(func(x *stack.Raw) { x.Remote = addrs[1] }), 0)
		echo := []byte{8, 0, 0, 0, 0, 1, 0, 2, 'h', 'i', '!', '!'}
		sum := pkt.Checksum(pkt.Sum(0, echo))
		echo[2], echo[3] = byte(sum>>8), byte(sum)
		start := time.Now()
		_, err = r.WriteTo(echo, ipv4.Any)
		p.is("write", err, 0)
		var m Meta
		buf := make([]byte, 100)
		n, err := r.ReadFrom(buf, &m)
		p.is("read", err, 0)
		if n != 20+len(echo) || m.Src.Addr != addrs[1] || buf[20] != 0 || string(buf[28:n]) != "hi!!" {
			t.Errorf("% x", buf[:n])
		}
		p.took("echo", start, 4*delay) // ARP first
		r.SetReadDeadline(p.clock.Now() + 1e9)
		_, err = r.ReadFrom(buf, &m)
		p.is("read", err, ErrDeadline)
		p.is("close", r.Close(), 0)
		_, err = r.ReadFrom(buf, &m)
		p.is("read", err, ErrClosed)
	})
}

func TestPacketSocket(t *testing.T) {
	bubble(t, stack.Config{}, func(p *pair) {
		const typ = 0x88b5
		a, err := p.s[0].OpenPacketSocket(typ, 0, true)
		if !feature.PktSock {
			p.is("open", err, errno.EAFNOSUPPORT)
			return
		}
		p.is("open", err, 0)
		b, err := p.s[1].OpenPacketSocket(typ, 0, false)
		p.is("open", err, 0)
		p.is("do", b.Do(func(x *stack.PacketSocket) { x.RcvBuf = 100000 }), 0)
		start := time.Now()
		_, err = a.WriteTo([]byte("hello"), &LinkAddr{Ifindex: 2, Addr: netif.BroadcastMAC})
		p.is("write", err, 0)
		var from LinkAddr
		buf := make([]byte, 100)
		n, length, err := b.ReadFrom(buf, &from)
		p.is("read", err, 0)
		if n != 19 || length != 19 || string(buf[14:n]) != "hello" || from.Pkttype != stack.PACKET_BROADCAST || from.Protocol != typ {
			t.Errorf("% x from %+v", buf[:n], from)
		}
		p.took("frame", start, delay)
		_, err = a.WriteTo([]byte("hello"), &LinkAddr{})
		p.is("write", err, errno.ENXIO)
		b.SetReadDeadline(p.clock.Now() + 1e9)
		_, _, err = b.ReadFrom(buf, &from)
		p.is("read", err, ErrDeadline)
		p.is("close", b.Close(), 0)
		_, _, err = b.ReadFrom(buf, &from)
		p.is("read", err, ErrClosed)
		_, err = b.WriteTo(buf, &from)
		p.is("write", err, ErrClosed)
		p.is("close", b.Close(), ErrClosed)
		wide := uint64(1<<32 + 2) // eth0, if its upper half were cut off
		for _, i := range []int{99, -1, int(wide)} {
			if i != 2 { // as on 32 bits
				_, err = p.s[0].OpenPacketSocket(typ, i, false)
				p.is("open", err, errno.ENODEV)
			}
		}
	})
}

func TestListener(t *testing.T) {
	bubble(t, stack.Config{}, func(p *pair) {
		l, err := p.s[1].Listen(ipv4.Endpoint{Port: 80}, 10)
		if !feature.Listen {
			p.is("listen", err, errno.EOPNOTSUPP)
			return
		}
		p.is("listen", err, 0)
		_, err = p.s[1].Listen(l.Local(), 10)
		p.is("listen again", err, errno.EADDRINUSE)
		l.SetDeadline(p.clock.Now() + 1e9)
		start := time.Now()
		_, err = l.Accept()
		p.is("accept", err, ErrDeadline)
		p.took("accept", start, time.Second)
		l.SetDeadline(0)

		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				c, err := l.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				var b [10]byte
				n, _ := c.Read(b[:])
				c.Write(b[:n])
				c.Close()
			})
			wg.Go(func() {
				c, err := p.s[0].Dial(ipv4.Endpoint{}, ipv4.Endpoint{Addr: addrs[1], Port: 80}, 0)
				if err != nil {
					t.Error(err)
					return
				}
				c.Write([]byte("hello"))
				var b [10]byte
				if n, err := c.Read(b[:]); n != 5 || err != nil {
					t.Error(n, err)
				}
				if n, err := c.Read(b[:]); n != 0 || err != nil {
					t.Error(n, err)
				}
				c.Close()
			})
		}
		wg.Wait()
		for range 3 {
			wg.Go(func() {
				_, err := l.Accept()
				p.is("accept", err, ErrClosed)
			})
		}
		synctest.Wait()
		// One that nobody accepts is reset.
		l2, err := p.s[1].Listen(ipv4.Endpoint{Port: 81}, 1)
		p.is("listen", err, 0)
		c, err := p.s[0].Dial(ipv4.Endpoint{}, ipv4.Endpoint{Addr: addrs[1], Port: 81}, 0)
		p.is("dial", err, 0)
		p.is("close", l2.Close(), 0)
		_, err = c.Read(make([]byte, 1))
		p.is("read", err, errno.ECONNRESET)
		p.is("close", l.Close(), 0)
		p.is("close again", l.Close(), ErrClosed)
		wg.Wait()
	})
}

// Accept waits for data where it is told to (TCP_DEFER_ACCEPT), but not for ever.
func TestListenerDefersAccept(t *testing.T) {
	if !feature.Listen {
		t.Skip("needs feature listen")
	}
	bubble(t, stack.Config{}, func(p *pair) {
		l, err := p.s[1].Listen(ipv4.Endpoint{Port: 80}, 10)
		p.is("listen", err, 0)
		p.is("set", l.SetOption(stack.SOL_TCP, stack.TCP_DEFER_ACCEPT, 2), 0)
		p.is("set another", l.SetOption(stack.SOL_TCP, stack.TCP_NODELAY, 1), errno.ENOPROTOOPT)
		v, err := l.Option(stack.SOL_TCP, stack.TCP_DEFER_ACCEPT)
		if p.is("get", err, 0); v != 3 {
			t.Errorf("%d seconds", v)
		}
		for _, wait := range []time.Duration{500 * time.Millisecond, time.Minute} {
			c, err := p.s[0].Dial(ipv4.Endpoint{}, ipv4.Endpoint{Addr: addrs[1], Port: 80}, 0)
			p.is("dial", err, 0)
			start := time.Now()
			go func() {
				time.Sleep(wait)
				c.Write([]byte("hello"))
				c.Close()
			}()
			d, err := l.Accept()
			p.is("accept", err, 0)
			// It comes with the data, or when 1 + 2 s after the SYN-ACK another has made the round trip.
			p.took("accept", start, min(wait+delay, 3*time.Second+delay))
			var b [10]byte
			if n, err := d.Read(b[:]); n != 5 || err != nil {
				t.Error(n, err)
			}
			d.Close()
		}
		p.is("close", l.Close(), 0)
		p.is("set when closed", l.SetOption(stack.SOL_TCP, stack.TCP_DEFER_ACCEPT, 2), ErrClosed)
	})
}

// Both ends on one stack, by lo.
func TestLoopback(t *testing.T) {
	if !feature.Listen {
		t.Skip("needs feature listen")
	}
	bubble(t, stack.Config{}, func(p *pair) {
		l, err := p.s[0].Listen(ipv4.Endpoint{}, 1)
		p.is("listen", err, 0)
		c, err := p.s[0].Dial(ipv4.Endpoint{}, ipv4.Endpoint{Addr: ipv4.Loopback, Port: l.Local().Port}, 0)
		p.is("dial", err, 0)
		d, err := l.Accept()
		p.is("accept", err, 0)
		start := time.Now()
		go func() {
			c.Write(make([]byte, 4<<20))
			c.Close()
		}()
		buf := make([]byte, 10000)
		got := 0
		for n := 1; n > 0; got += n {
			if n, err = d.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
		if got != 4<<20 {
			t.Error(got)
		}
		p.took("transfer", start, 0)
		d.Close()
	})
}

// emu.Virtual is a Clock as well: time is what the test sets.
func TestVirtualClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock emu.Virtual
		clock.Set(1)
		a, b := emu.NewLink(emu.Config{Clock: &clock, Path: emu.Path{Delay: netif.Time(delay)}})
		s := New(stack.Config{}, &clock)
		defer s.Close()
		defer b.Close()
		up(t, s, a, addrs[0])
		var at Time
		go func() {
			_, err := s.Dial(ipv4.Endpoint{}, ipv4.Endpoint{Addr: addrs[1], Port: 1}, 500e6)
			if err != ErrDeadline {
				t.Error(err)
			}
			at = clock.Now()
		}()
		for now := Time(1); now < 600e6; now += 1e6 {
			synctest.Wait()
			clock.Set(now)
		}
		synctest.Wait()
		if at < 500e6 || at > 501e6 {
			t.Error(at)
		}
	})
}

func TestPumpGrowsItsBatch(t *testing.T) {
	bubble(t, stack.Config{}, func(p *pair) {
		u, _ := p.s[0].OpenPacket(ipv4.Endpoint{}, 0)
		v, _ := p.s[1].OpenPacket(ipv4.Endpoint{Port: 9}, 0)
		u.Connect(ipv4.Endpoint{Addr: addrs[1], Port: 9})
		u.WriteTo([]byte("x"), ipv4.Endpoint{})
		time.Sleep(time.Second)
		const n = 200
		for range n {
			u.WriteTo([]byte("x"), ipv4.Endpoint{})
		}
		time.Sleep(time.Second)
		var m Meta
		for range n + 1 {
			if _, err := v.ReadFrom(nil, &m); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestConnSize(t *testing.T) {
	n, eng := unsafe.Sizeof(Conn{}), unsafe.Sizeof(stack.Conn{})
	t.Logf("socket.Conn: %d bytes, of which stack.Conn is %d and socket's own %d; tcp.Options %d", n, eng, n-eng, unsafe.Sizeof(stack.Conn{}.Options))
	if n-eng > 64 {
		t.Error("the socket's own part is over 64 bytes")
	}
	if n > 1024 {
		t.Error("over 1 KiB")
	}
}

// Ten thousand idle established connections in client hold at most 1 KiB of heap for each
// end, with all that this package and the engine keep.
func TestIdleConnectionHeap(t *testing.T) {
	n := 10_000
	if feature.Profile == feature.Minimal {
		n = 2000 // its table is a short one
	}
	cfg := stack.Config{MaxConns: 2 * n}
	bubble(t, cfg, func(p *pair) { idleHeap(t, p, n, 100) })
}

// Nor do connections keep what losses and reordering made them allocate: scoreboards,
// pieces of what came out of order, CUBIC's state.
func TestIdleConnectionHeapAfterLosses(t *testing.T) {
	const n = 500
	path := emu.Path{Delay: netif.Time(delay), Loss: 0.05, Reorder: 0.05, ReorderBy: 3}
	bubbleOn(t, stack.Config{MaxConns: 2 * n}, path, func(p *pair) { idleHeap(t, p, n, 40_000) })
}

// idleHeap opens n connections, both ends of which are here, has each send size bytes
// both ways, and measures the heap that they hold when they are idle.
func idleHeap(t *testing.T, p *pair, n, size int) {
	keep := make([][2]*Conn, n)
	use := func(c [2]*Conn) {
		buf := make([]byte, size)
		for i := range c {
			var wg sync.WaitGroup
			wg.Go(func() {
				if k, err := c[i].Write(buf); k != size {
					t.Error(k, err)
				}
			})
			in := make([]byte, size)
			for got := 0; got < size; {
				k, err := c[1-i].Read(in[got:])
				if err != nil {
					t.Error(err)
					break
				}
				got += k
			}
			wg.Wait()
		}
	}
	use(p.connect())
	before := heap()
	for i := range keep {
		keep[i] = p.connect()
		use(keep[i])
	}
	time.Sleep(time.Minute) // the last ACKs
	per := (heap() - before) / int64(2*n)
	t.Logf("%d connections, %d bytes for each end", n, per)
	limit := int64(1024)
	if feature.Profile == feature.Full {
		limit = 2048
	}
	if per > limit {
		t.Errorf("over %d", limit)
	}
	runtime.KeepAlive(keep)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// "an idle stack at most 64 KiB"
func TestIdleStackHeap(t *testing.T) {
	bubble(t, stack.Config{}, func(p *pair) {
		clock := p.clock
		before := heap()
		a, b := emu.NewLink(emu.Config{})
		s := New(stack.Config{}, clock)
		up(t, s, a, addrs[0])
		synctest.Wait()
		n := heap() - before
		t.Logf("%d bytes for a stack with an interface and its link", n)
		if n > 64<<10 {
			t.Error("over 64 KiB")
		}
		runtime.KeepAlive(b)
		s.Close()
	})
}

// broken is a device that is pulled out.
type broken struct {
	netif.Device
	gone chan struct{}
}

func (d *broken) Recv([]*netif.Buf) (int, error) {
	<-d.gone
	return 0, errno.EIO
}
func (d *broken) Send([]*netif.Buf) error { return nil }
func (d *broken) Close() error            { return nil }
func (d *broken) MTU() int                { return 1500 }
func (d *broken) HardwareAddr() netif.MAC { return netif.MAC{2, 0, 0, 0, 0, 1} }

// Nobody waits for a link that is gone.
func TestDeviceThatFailsTakesItsInterfaceDown(t *testing.T) {
	s := New(stack.Config{Seed: 1}, wall.New())
	defer s.Close()
	d := &broken{gone: make(chan struct{})}
	if _, err := s.Attach("eth0", d); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		req uint32
		arg *stack.Ifreq
	}{
		{stack.SIOCSIFADDR, &stack.Ifreq{Name: "eth0", Addr: stack.SockaddrIn(ipv4.AddrOf(198, 18, 0, 1))}},
		{stack.SIOCSIFFLAGS, &stack.Ifreq{Name: "eth0", Flags: netif.IFF_UP}},
	} {
		if err := s.Ioctl(c.req, c.arg); err != nil {
			t.Fatal(err)
		}
	}
	failed := make(chan error)
	go func() {
		_, err := s.Dial(ipv4.Endpoint{}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2), Port: 80}, 0)
		failed <- err
	}()
	for n := 0; n == 0; { // until it has sent its SYN
		s.Do(func(e *stack.Stack) { n = e.Usage().Conns })
		runtime.Gosched()
	}
	close(d.gone)
	if err := <-failed; err != errno.ENETDOWN {
		t.Errorf("dial: %v", err)
	}
	if _, err := s.Dial(ipv4.Endpoint{}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2), Port: 80}, 0); err != errno.ENETUNREACH {
		t.Errorf("dial again: %v", err)
	}
}
