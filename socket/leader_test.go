//go:build go1.25

package socket

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/tcp"
)

func needLeader(t *testing.T) {
	t.Helper()
	if !feature.Leader {
		t.Skip("needs feature leader")
	}
}

// tenMillis is the path of bubble.
var tenMillis = emu.Path{Delay: netif.Time(delay)}

// led runs f with a connection on which so many bytes have gone there and back that its
// readers lead, each on its own stack. It is over when f returns.
func led(t *testing.T, f func(p *pair, c [2]*Conn)) {
	ledOn(t, tenMillis, f)
}

func ledOn(t *testing.T, path emu.Path, f func(p *pair, c [2]*Conn)) {
	needLeader(t)
	bubbleOn(t, stack.Config{}, path, func(p *pair) {
		c := p.connect()
		go echo(c[1])
		p.trips(c[0], 5)
		f(p, c)
	})
}

// echo sends back what it reads, with memory for one byte.
func echo(c *Conn) {
	b := make([]byte, 1)
	for {
		if n, err := c.Read(b); n == 0 || err != nil {
			return
		}
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// trips makes n round trips.
func (p *pair) trips(c *Conn, n int) {
	p.t.Helper()
	b := make([]byte, 1)
	for range n {
		c.Write(b)
		if k, err := c.Read(b); k != 1 || err != nil {
			p.t.Fatal(k, err)
		}
	}
}

// leads says whether a caller serves a device of stack i when all have come to rest.
func (p *pair) leads(i int) bool {
	synctest.Wait()
	p.s[i].lock()
	defer p.s[i].unlock()
	return p.s[i].led != nil
}

// read reads in the background, and returns what becomes of it.
func read(c *Conn) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 100))
		done <- err
	}()
	return done
}

// Who waits alone, and has before, serves the device.
func TestReaderLeads(t *testing.T) {
	needLeader(t)
	bubble(t, stack.Config{}, func(p *pair) {
		c := p.connect()
		done := read(c[0])
		if p.leads(0) {
			t.Error("leads at once: the pump waits for frames already")
		}
		c[1].Write([]byte("x"))
		p.is("read", <-done, 0)
		go echo(c[1])
		p.trips(c[0], 5)
		done = read(c[0])
		if !p.leads(0) || !p.leads(1) {
			t.Error("nobody leads")
		}

		// Frames that are not for him are taken in as ever.
		u, _ := p.s[0].OpenPacket(ipv4.Endpoint{Port: 7}, 0)
		v, _ := p.s[1].OpenPacket(ipv4.Endpoint{}, 0)
		for range 3 * firstBatch {
			v.WriteTo([]byte("x"), ipv4.Endpoint{Addr: addrs[0], Port: 7})
		}
		time.Sleep(time.Second)
		if !p.leads(0) {
			t.Error("no longer leads")
		}
		for range 3 * firstBatch {
			if _, err := u.ReadFrom(nil, &Meta{}); err != nil {
				t.Error(err)
			}
		}
		c[1].Write([]byte("x"))
		p.is("read", <-done, 0)
	})
}

// Whatever ends the wait of another ends that of a leader, and at the same time.
func TestLeaderIsCalledBack(t *testing.T) {
	at := func(p *pair, d time.Duration) Time { return p.clock.Now() + Time(d) }
	for _, x := range []struct {
		name string
		stop func(p *pair, c, _ *Conn)
		want Errno
	}{
		{"deadline", func(p *pair, c, _ *Conn) { c.SetReadDeadline(at(p, time.Second)) }, ErrDeadline},
		{"deadline that moves", func(p *pair, c, _ *Conn) {
			c.SetReadDeadline(at(p, 3*time.Second))
			after(time.Second/2, func() { c.SetReadDeadline(at(p, time.Second/2)) })
		}, ErrDeadline},
		{"close", func(p *pair, c, _ *Conn) { after(time.Second, func() { c.Close() }) }, ErrClosed},
		{"abort", func(p *pair, c, _ *Conn) { after(time.Second, func() { c.Abort() }) }, ErrClosed},
		{"reading ends", func(p *pair, c, _ *Conn) { after(time.Second, func() { c.CloseRead() }) }, 0},
		{"stack", func(p *pair, c, _ *Conn) { after(time.Second, func() { p.s[0].Close() }) }, ErrClosed},
		{"reset by the peer", func(p *pair, c, peer *Conn) { after(time.Second-delay, func() { peer.Abort() }) }, errno.ECONNRESET},
	} {
		t.Run(x.name, func(t *testing.T) {
			led(t, func(p *pair, c [2]*Conn) {
				done := read(c[0])
				if !p.leads(0) {
					t.Fatal("does not lead")
				}
				start := time.Now()
				x.stop(p, c[0], c[1])
				p.is("read", <-done, x.want)
				p.took("read", start, time.Second)
				if p.leads(0) {
					t.Error("still leads")
				}
			})
		})
	}
}

// A leader who does not come back is missed for a millisecond; then his place is not kept for a
// hundred, nor for who stays away too long again and again.
func TestPumpComesBack(t *testing.T) {
	const link = time.Microsecond
	ledOn(t, emu.Path{Delay: netif.Time(link)}, func(p *pair, c [2]*Conn) {
		v, _ := p.s[1].OpenPacket(ipv4.Endpoint{}, 0)
		// lag checks how long a frame waits for somebody to take it in, but for a few microseconds.
		lag := func(want time.Duration) {
			t.Helper()
			start := time.Now()
			_, before := p.link[0].Stats()
			v.WriteTo(nil, ipv4.Endpoint{Addr: addrs[0], Port: 7})
			for in := before; in.Delivered == before.Delivered; _, in = p.link[0].Stats() {
				time.Sleep(link)
				synctest.Wait()
			}
			if got := time.Since(start); got < want || got > want+20*link {
				t.Errorf("a frame waited for %v, want %v", got, want)
			}
		}
		lag(980 * time.Microsecond)
		lag(0)
		p.trips(c[0], 50)
		lag(0)
		time.Sleep(99 * time.Millisecond)
		p.trips(c[0], 5)
		time.Sleep(200 * time.Microsecond) // short enough to be waited for
		p.trips(c[0], 1)
		time.Sleep(200 * time.Microsecond)
		lag(780 * time.Microsecond)
		lag(0)

		// Who is away for longer each time, if only by what is just no absence, is not waited for.
		time.Sleep(99 * time.Millisecond)
		p.trips(c[0], 5)
		for range 20 {
			time.Sleep(600 * time.Microsecond)
			p.trips(c[0], 1)
		}
		time.Sleep(300 * time.Microsecond)
		lag(0)
	})
}

// Who can't lead, a writer or the second who sleeps, calls the pump.
func TestPumpIsCalledForWhoCannotLead(t *testing.T) {
	const link = time.Microsecond
	ledOn(t, emu.Path{Delay: netif.Time(link)}, func(p *pair, c [2]*Conn) {
		d := p.connect()
		time.Sleep(time.Second)
		p.trips(c[0], 5)
		start := time.Now()
		e := p.connect() // waits as a writer
		p.took("connect", start, 2*link)

		time.Sleep(time.Second)
		p.trips(c[0], 5)
		go d[0].Write(make([]byte, 64<<20))
		synctest.Wait()
		done := read(c[0])
		start = time.Now()
		c[1].Write([]byte("x"))
		p.is("read", <-done, 0)
		if got := time.Since(start); got > 10*link {
			t.Errorf("read took %v", got)
		}
		d[0].Close()
		e[0].Close()
	})
}

// A leader who is always called back, since what he waits for comes by another device, leaves the
// first to its pump.
func TestLeaderOfTheWrongDevice(t *testing.T) {
	needLeader(t)
	bubble(t, stack.Config{}, func(p *pair) {
		c := p.connect()
		go echo(c[1])
		p.trips(c[0], 5)

		near, far := emu.NewLink(emu.Config{Clock: p.clock, Seed: 2, Path: tenMillis})
		if _, err := p.s[0].Attach("eth1", near); err != nil {
			t.Fatal(err)
		}
		a := ipv4.AddrOf(198, 18, 1, 1)
		p.s[0].Ioctl(stack.SIOCSIFADDR, &stack.Ifreq{Name: "eth1", Addr: stack.SockaddrIn(a)})
		p.s[0].Ioctl(stack.SIOCSIFFLAGS, &stack.Ifreq{Name: "eth1", Flags: netif.IFF_UP})
		s := New(stack.Config{}, p.clock)
		defer s.Close()
		up(t, s, far, ipv4.AddrOf(198, 18, 1, 2))
		u, _ := p.s[0].OpenPacket(ipv4.Endpoint{Port: 7}, 0)
		v, _ := s.OpenPacket(ipv4.Endpoint{}, 0)
		for range 20 {
			after(delay, func() { v.WriteTo([]byte("x"), ipv4.Endpoint{Addr: a, Port: 7}) })
			if _, err := u.ReadFrom(nil, &Meta{}); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error, 1)
		go func() { _, err := u.ReadFrom(nil, &Meta{}); done <- err }()
		if !p.leads(0) || p.s[0].led.dev != netif.Device(near) {
			t.Error("does not lead the device that his datagrams come by")
		}
		u.Close()
		p.is("read", <-done, ErrClosed)
	})
}

// A simulation goes on to when its links have something. Who waits for its clock would wait forever.
func TestNobodyRestsWhereTimeIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock emu.Virtual
		clock.Set(1)
		a, b := emu.NewLink(emu.Config{Clock: &clock, Path: emu.Path{Delay: 1000}})
		var c [2]*Conn
		var wg sync.WaitGroup
		for i, dev := range []netif.Device{a, b} {
			s := New(stack.Config{}, &clock)
			defer s.Close()
			up(t, s, dev, addrs[i])
			c[i] = s.NewConn()
			wg.Go(func() {
				if err := c[i].Connect(ipv4.Endpoint{Addr: addrs[i], Port: 9}, ipv4.Endpoint{Addr: addrs[1-i], Port: 9}); err != nil {
					t.Error(err)
				}
			})
		}
		done := false
		go func() {
			wg.Wait()
			go echo(c[1])
			one := make([]byte, 1)
			for range 6 {
				c[0].Write(one)
				c[0].Read(one)
			}
			c[0].CloseWrite()
			done = true
		}()
		for steps := 0; ; steps++ {
			synctest.Wait()
			if done && c[0].State() != tcp.FinWait1 {
				break
			}
			if steps == 10_000 {
				t.Fatal("stands still")
			}
			at := min(a.Next(), b.Next())
			if at == pkt.Never {
				at = clock.Now() + 1e6
			}
			clock.Set(at)
		}
	})
}

// Whoever else sleeps when the leader leaves is not kept waiting: the pump goes on.
func TestLeaderHandsOver(t *testing.T) {
	const link = time.Microsecond
	ledOn(t, emu.Path{Delay: netif.Time(link)}, func(p *pair, c [2]*Conn) {
		d := p.connect()
		time.Sleep(time.Second)
		p.trips(c[0], 5)
		done := read(c[0])
		if !p.leads(0) {
			t.Fatal("does not lead")
		}
		other := read(d[0])
		c[1].Write([]byte("x"))
		p.is("read", <-done, 0)
		start := time.Now()
		d[1].Write([]byte("x"))
		p.is("the other's read", <-other, 0)
		p.took("the other's read", start, link)
	})
}

// lazy is a device that closes late.
type lazy struct{ *emu.Port }

func (d lazy) Close() error {
	time.Sleep(time.Second)
	return d.Port.Close()
}

// A leader who was called back because the stack closes leaves nobody behind.
func TestPumpEndsAfterItsLeader(t *testing.T) {
	bubbleWith(t, stack.Config{}, tenMillis, func(_ int, port *emu.Port) netif.Device { return lazy{port} }, func(p *pair) {
		c := p.connect()
		go echo(c[1])
		p.trips(c[0], 5)
		done := read(c[0])
		if p.leads(0) != feature.Leader {
			t.Error("leads, or does not")
		}
		start := time.Now()
		after(0, func() {
			p.is("read", <-done, ErrClosed)
			p.took("read", start, 0)
		})
		p.s[0].Close()
	})
}

// fragile is a device that can be pulled out.
type fragile struct {
	*emu.Port
	gone atomic.Bool
}

func (d *fragile) Recv(bufs []*netif.Buf) (int, error) {
	if !d.gone.Load() {
		n, err := d.Port.Recv(bufs)
		if !d.gone.Load() {
			return n, err
		}
	}
	return 0, errno.EIO
}

// A leader whose device goes away waits on as all others do, and the interface goes down.
func TestLeadersDeviceFails(t *testing.T) {
	needLeader(t)
	var d [2]*fragile
	wrap := func(i int, port *emu.Port) netif.Device {
		d[i] = &fragile{Port: port}
		return d[i]
	}
	bubbleWith(t, stack.Config{}, tenMillis, wrap, func(p *pair) {
		c := p.connect()
		go echo(c[1])
		p.trips(c[0], 5)
		done := read(c[0])
		if !p.leads(0) {
			t.Fatal("does not lead")
		}
		d[0].gone.Store(true)
		d[0].Interrupt()
		if p.leads(0) {
			t.Error("still leads")
		}
		_, err := p.s[0].Dial(ipv4.Endpoint{}, ipv4.Endpoint{Addr: addrs[1], Port: 80}, 0)
		p.is("dial", err, errno.ENETUNREACH)
		c[0].Close() // the connection may outlive its interface
		p.is("read", <-done, ErrClosed)
	})
}

// deaf is a device that can't be called back.
type deaf struct{ netif.Device }

// On a device that can't be called back nobody leads but its pump.
func TestNobodyLeadsWhereNobodyCanBeCalledBack(t *testing.T) {
	bubbleWith(t, stack.Config{}, tenMillis, func(_ int, port *emu.Port) netif.Device { return deaf{port} }, func(p *pair) {
		c := p.connect()
		go echo(c[1])
		p.trips(c[0], 20)
		done := read(c[0])
		if p.leads(0) || p.leads(1) {
			t.Error("leads")
		}
		c[0].Close()
		p.is("read", <-done, ErrClosed)
	})
}
