package stack

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
)

// wire is one end of a link in virtual time: what is sent appears at the other end
// after delay, less what lose says.
type wire struct {
	idleDevice
	peer  *wire
	now   *pkt.Time
	delay pkt.Time
	lose  func(f []byte) bool
	in    []arrival
	sent  int
}

type arrival struct {
	at pkt.Time
	f  []byte
}

func (w *wire) Send(bufs []*netif.Buf) error {
	for _, b := range bufs {
		w.sent++
		if w.lose != nil && w.lose(b.Bytes()) {
			continue
		}
		w.peer.in = append(w.peer.in, arrival{*w.now + w.delay, bytes.Clone(b.Bytes())})
	}
	return nil
}

// pair is two stacks on a link.
type pair struct {
	t    *testing.T
	now  pkt.Time
	s    [2]*Stack
	w    [2]*wire
	next [2]pkt.Time
}

func newPair(t *testing.T, cfg Config, mtu int, delay pkt.Time) *pair {
	p := &pair{t: t, now: pkt.Second}
	for i := range p.w {
		p.w[i] = &wire{idleDevice: idleDevice{mtu: mtu, hw: netif.MAC{2, 0, 0, 0, 0, byte(i + 1)}}, now: &p.now, delay: delay}
	}
	p.w[0].peer, p.w[1].peer = p.w[1], p.w[0]
	for i := range p.s {
		cfg.Seed = uint64(i + 1)
		p.s[i] = New(cfg)
		up(t, p.s[i], p.w[i], ipv4.AddrOf(198, 18, 0, byte(i+1)))
	}
	return p
}

// up brings up eth0 on dev with address a/24 by ioctl.
func up(t testing.TB, s *Stack, dev netif.Device, a ipv4.Addr) {
	t.Helper()
	if _, err := s.AddInterface("eth0", dev); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		req uint32
		arg *Ifreq
	}{
		{SIOCSIFADDR, &Ifreq{Name: "eth0", Addr: SockaddrIn(a)}},
		{SIOCSIFNETMASK, &Ifreq{Name: "eth0", Addr: SockaddrIn(ipv4.Mask(24))}},
		{SIOCSIFFLAGS, &Ifreq{Name: "eth0", Flags: netif.IFF_UP | netif.IFF_RUNNING}},
		{SIOCSIFFLAGS, &Ifreq{Name: "lo", Flags: netif.IFF_UP | netif.IFF_RUNNING}},
	} {
		if err := s.Ioctl(c.req, c.arg); err != nil {
			t.Fatalf("ioctl %#x: %v", c.req, err)
		}
	}
}

// step advances to the next thing that happens, at until at the latest, and
// reports whether anything did.
func (p *pair) step(until pkt.Time) bool {
	next := until
	for i := range p.s {
		p.next[i] = p.s[i].Poll(p.now)
	}
	for i := range p.s {
		next = min(next, p.next[i])
		if len(p.w[i].in) > 0 {
			next = min(next, p.w[i].in[0].at)
		}
	}
	p.now = max(p.now, next)
	for i := range p.s {
		var frames []*netif.Buf
		for len(p.w[i].in) > 0 && p.w[i].in[0].at <= p.now {
			b := p.s[i].NewBuf()
			b.CopyFrom(p.w[i].in[0].f)
			frames = append(frames, b)
			p.w[i].in = p.w[i].in[1:]
		}
		p.s[i].Input(p.now, 2, frames)
	}
	return p.now < until
}

func (p *pair) connect(port uint16) (a, b *Conn) {
	p.t.Helper()
	if !feature.Listen {
		p.t.Skip("needs feature listen")
	}
	l := new(Listener)
	l.New = func() *Conn { c := new(Conn); c.Init(p.s[1]); return c }
	if err := p.s[1].Listen(l, ipv4.Endpoint{Port: port}, 1); err != nil {
		p.t.Fatal(err)
	}
	a = new(Conn)
	a.Init(p.s[0])
	if err := p.s[0].Connect(p.now, a, ipv4.Endpoint{}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2), Port: port}); err != nil {
		p.t.Fatal(err)
	}
	for limit := p.now + 100*pkt.Second; b == nil && p.step(limit); {
		b = l.Accept()
	}
	if b == nil {
		p.t.Fatal("no connection; state", a.State())
	}
	l.Close(p.now)
	return a, b
}

// transfer sends n bytes from a to b and checks them.
func (p *pair) transfer(a, b *Conn, n int, limit pkt.Time) {
	p.t.Helper()
	src, dst := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(1, 2))
	var buf [8192]byte
	var pend []byte
	sent, got := 0, 0
	end := p.now + limit
	for got < n {
		for sent < n {
			if len(pend) == 0 {
				pend = buf[:min(len(buf), n-sent)]
				for i := range pend {
					pend[i] = byte(src.Uint32())
				}
			}
			k, e := a.Write(pend)
			sent += k
			pend = pend[k:]
			if e != 0 && e != errno.EAGAIN {
				p.t.Fatal("write: ", e)
			}
			if k == 0 {
				break
			}
		}
		if !p.step(end) {
			p.t.Fatalf("stalled: %d of %d bytes sent, %d received, a %v b %v", sent, n, got, a.State(), b.State())
		}
		var r [5000]byte
		for {
			k, e := b.Read(r[:])
			if e == errno.EAGAIN {
				break
			}
			if e != 0 || k == 0 {
				p.t.Fatal("read: ", k, e)
			}
			for i, v := range r[:k] {
				if w := byte(dst.Uint32()); v != w {
					p.t.Fatalf("byte %d is %#x, want %#x", got+i, v, w)
				}
			}
			got += k
		}
	}
}

func TestPairTransfersAndCloses(t *testing.T) {
	p := newPair(t, Config{}, 1500, 10*pkt.Millisecond)
	a, b := p.connect(80)
	p.transfer(a, b, 1<<20, 100*pkt.Second)
	p.transfer(b, a, 1<<20, 100*pkt.Second)
	t.Log("done at", p.now/pkt.Millisecond, "ms")
	a.Close(p.now)
	for limit := p.now + 10*pkt.Second; p.step(limit) && b.State() != tcp.CloseWait; {
	}
	b.Close(p.now)
	for limit := p.now + 61*pkt.Second; p.step(limit); {
	}
	for i, s := range p.s {
		if s.tcp.n != 0 || s.tcp.twN != 0 || s.tcp.env.Mem.Used() != 0 {
			t.Errorf("stack %d: %d connections, %d in TIME-WAIT, %d bytes left", i, s.tcp.n, s.tcp.twN, s.tcp.env.Mem.Used())
		}
	}
}

func TestPairSurvivesLoss(t *testing.T) {
	for seed := range uint64(20) {
		p := newPair(t, Config{}, 1500, 10*pkt.Millisecond)
		r := rand.New(rand.NewPCG(seed, 7))
		for _, w := range p.w {
			w.lose = func([]byte) bool { return r.IntN(100) < 3 }
		}
		a, b := p.connect(80)
		p.transfer(a, b, 1<<19, 1000*pkt.Second)
		t.Log("seed", seed, "done at", p.now/pkt.Millisecond, "ms")
	}
}

// What is written must not take the memory that receive windows have promised: else a peer's
// segments are dropped that it was asked for, and each costs a timeout.
func TestBulkBothWaysInLittleMemory(t *testing.T) {
	const n = 400_000
	p := newPair(t, Config{Memory: 24 * pkt.ChunkSize, RcvBuf: 16 * pkt.ChunkSize, SndBuf: 16 * pkt.ChunkSize}, 1500, pkt.Millisecond)
	a, b := p.connect(80)
	start := p.now
	var sent, got [2]int
	buf := make([]byte, 4096)
	for end := p.now + 600*pkt.Second; got[0] < n || got[1] < n; {
		for i, c := range []*Conn{a, b} {
			for sent[i] < n {
				k, _ := c.Write(buf[:min(len(buf), n-sent[i])])
				if sent[i] += k; k == 0 {
					break
				}
			}
			for k := 1; k > 0; {
				k, _ = c.Read(buf)
				got[i] += k
			}
		}
		if !p.step(end) {
			t.Fatalf("stalled: %v sent, %v received", sent, got)
		}
	}
	lost := p.s[0].Drops[ipv4.DropMemory] + p.s[1].Drops[ipv4.DropMemory]
	t.Logf("%d ms, %d segments dropped for want of memory", (p.now-start)/pkt.Millisecond, lost)
	if took := p.now - start; took > 3*pkt.Second {
		t.Errorf("%d ms, %d segments dropped for want of memory", took/pkt.Millisecond, lost)
	}
}
