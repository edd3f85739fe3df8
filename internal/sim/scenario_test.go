package sim

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/tcp"
)

// failing expects its connection to fail, and says how and when.
type failing struct {
	Send int64 // writes so much first
	Opt  func(c *stack.Conn)
	Err  errno.Errno
	At   Time
}

func (f *failing) Setup(c *stack.Conn) {
	if f.Opt != nil {
		f.Opt(c)
	}
}

func (f *failing) Run(e *End, ev tcp.Events) Time {
	if ev&tcp.Failed != 0 {
		f.Err, f.At = e.Conn.Err(), e.Host.net.Now()
		e.Close()
		return Never
	}
	if e.Opened != 0 && f.Send > e.Sent {
		e.Write(f.Send-e.Sent, 1000)
	}
	return Never
}

// knowEachOther gives both hosts the other's hardware address for good, so that
// what ARP finds out plays no part.
func knowEachOther(t *testing.T, hosts ...*Host) {
	t.Helper()
	for _, h := range hosts {
		for _, o := range hosts {
			if o == h {
				continue
			}
			r := stack.Arpreq{PA: stack.SockaddrIn(o.Addr()), Flags: stack.ATF_COM | stack.ATF_PERM, Dev: "eth0"}
			hw := o.ports[0].HardwareAddr()
			r.HA.Family = netif.ARPHRD_ETHER
			copy(r.HA.Data[:], hw[:])
			if err := h.Stack.Ioctl(stack.SIOCSARP, &r); err != nil {
				t.Fatal(err)
			}
		}
	}
}

var near = emu.Path{Delay: 5 * Ms}

// TestCablePulled: a connection whose peer is gone fails with ETIMEDOUT once R2 or
// the user timeout has passed; when ARP finds out earlier, with EHOSTUNREACH.
func TestCablePulled(t *testing.T) {
	for _, c := range []struct {
		name        string
		static      bool
		retries     uint8
		user        int // ms
		err         errno.Errno
		least, most Time
	}{
		{"retries", true, 6, 0, errno.ETIMEDOUT, 10 * Second, 40 * Second},
		{"default retries", true, 0, 0, errno.ETIMEDOUT, 10 * Minute, 20 * Minute},
		{"user timeout", true, 0, 5000, errno.ETIMEDOUT, 4900 * Ms, 8 * Second},
		{"more retries", true, 8, 0, errno.ETIMEDOUT, 40 * Second, 4 * Minute},
		{"no ARP answer", false, 8, 0, errno.EHOSTUNREACH, 4 * Second, 10 * Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, a, b := two(Options{Seed: 1, Stall: 60 * Minute}, stack.Config{Retries: c.retries}, 0, near, near)
			if c.static {
				knowEachOther(t, a, b)
			}
			f := &failing{Send: 100 << 20, Opt: func(k *stack.Conn) {
				k.SetOption(stack.SOL_TCP, stack.TCP_USER_TIMEOUT, c.user)
			}}
			connect(a, b, 80, f, &Bulk{Recv: 100 << 20, WantErr: errno.ECONNRESET, Begin: 100 * Minute}, false)
			pulled := n.Now() + 20*Ms
			n.At(pulled, func() { a.SetDown(true) })
			n.At(pulled+40*Minute, func() { b.ends[0].Abort() })
			if err := n.Run(200 * Minute); err != nil {
				t.Fatal(err)
			}
			if took := f.At - pulled; f.Err != c.err || took < c.least || took > c.most {
				t.Errorf("%v after %v, want %v after %v to %v", f.Err, stamp(took), c.err, stamp(c.least), stamp(c.most))
			}
			if err := n.Settle(60 * Minute); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestNobodyThere: an address without a host is EHOSTUNREACH when ARP has given up,
// after 3 s.
func TestNobodyThere(t *testing.T) {
	n, a, _ := two(Options{Seed: 1}, stack.Config{}, 0, near, near)
	f := new(failing)
	to := a.Endpoint(80)
	to.Addr = to.Addr&^255 | 77
	a.Dial(to, f)
	begin := n.Now()
	if err := n.Run(Minute); err != nil {
		t.Fatal(err)
	}
	if took := f.At - begin; f.Err != errno.EHOSTUNREACH || took < 2*Second || took > 5*Second {
		t.Errorf("%v after %v", f.Err, stamp(took))
	}
}

// TestSynIsNotAnswered: a host that says nothing is ETIMEDOUT after all SYNs.
func TestSynIsNotAnswered(t *testing.T) {
	n, a, b := two(Options{Seed: 1}, stack.Config{SynRetries: 3}, 0, near, near)
	knowEachOther(t, a, b)
	b.SetDown(true)
	f := new(failing)
	a.Dial(b.Endpoint(80), f)
	begin := n.Now()
	if err := n.Run(5 * Minute); err != nil {
		t.Fatal(err)
	}
	// 1 + 2 + 4 + 8 s
	if took := f.At - begin; f.Err != errno.ETIMEDOUT || took < 14*Second || took > 16*Second {
		t.Errorf("%v after %v", f.Err, stamp(took))
	}
}

func TestRefused(t *testing.T) {
	n, a, b := two(Options{Seed: 1}, stack.Config{}, 0, near, near)
	f := new(failing)
	a.Dial(b.Endpoint(80), f)
	if err := n.Run(Minute); err != nil {
		t.Fatal(err)
	}
	if f.Err != errno.ECONNREFUSED {
		t.Error(f.Err)
	}
}

func TestServerResets(t *testing.T) {
	n, a, b := two(Options{Seed: 1}, stack.Config{}, 0, near, near)
	f := &failing{Send: 10 << 20}
	connect(a, b, 80, f, &Resets{After: 50_000}, false)
	if err := n.Run(Minute); err != nil {
		t.Fatal(err)
	}
	if f.Err != errno.ECONNRESET {
		t.Error(f.Err)
	}
	if err := n.Settle(Second); err != nil {
		t.Fatal(err)
	}
}

// TestHalfClose: one end closes its side at once and still gets all of the other's.
func TestHalfClose(t *testing.T) {
	for _, keep := range []bool{false, true} {
		n, a, b := two(Options{Seed: 1}, stack.Config{}, 0, near, near)
		connect(a, b, 80, &Bulk{Send: 10, Recv: 1 << 20}, &Bulk{Send: 1 << 20, Recv: 10, Keep: keep}, false)
		if err := n.Run(Minute); err != nil {
			t.Fatal(err)
		}
		if err := n.Settle(2 * Minute); err != nil {
			t.Fatal(err)
		}
	}
}

// TestZeroWindowForHours: a reader that sleeps keeps its connection, as long as its
// host answers window probes (RFC 9293 section 3.8.6.1, MUST-37).
func TestC81ZeroWindowForHours(t *testing.T) {
	n, a, b := two(Options{Seed: 1, Stall: 5 * 60 * Minute}, stack.Config{}, 0, near, near)
	ea, _ := connect(a, b, 80, &Bulk{Send: 30 << 20}, &Bulk{Recv: 30 << 20, ReadAfter: 4 * 60 * Minute}, false)
	if err := n.Run(5 * 60 * Minute); err != nil {
		t.Fatal(err)
	}
	if ea.Timeouts < 50 || ea.Timeouts > 500 {
		t.Errorf("%d probes in 4 hours", ea.Timeouts)
	}
	if tr := ea.Traffic(); tr.Acks > 2000 {
		t.Errorf("%+v", tr)
	}
}

// TestSlowReader: small reads, far apart, with lost window updates.
func TestSlowReader(t *testing.T) {
	p := emu.Path{Delay: 5 * Ms, Loss: 0.05}
	for seed := range uint64(5) {
		n, a, b := two(Options{Seed: seed}, stack.Config{RcvBuf: 10_000, MaxRcvBuf: 10_000}, 0, p, p)
		ea, _ := connect(a, b, 80, &Bulk{Send: 100_000}, &Bulk{Recv: 100_000, ReadSize: 300, ReadEvery: 50 * Ms}, false)
		if err := n.Run(10 * Minute); err != nil {
			t.Fatal(err)
		}
		// No silly windows: segments stay of a decent size.
		if tr := ea.Traffic(); tr.Bytes/int64(tr.Segments) < 500 {
			t.Errorf("seed %d: %d bytes in %d segments", seed, tr.Bytes, tr.Segments)
		}
	}
}

// TestRequests: small requests and answers on a path with loss; each takes a round
// trip, or a retransmission more.
func TestRequests(t *testing.T) {
	p := emu.Path{Delay: 10 * Ms, Loss: 0.01}
	n, a, b := two(Options{Seed: 5}, stack.Config{}, 0, p, p)
	r := &Requests{Rounds: 500, Ask: 200, Answer: 3000, Think: 100 * Ms}
	connect(a, b, 80, r, &Answers{Ask: 200, Answer: 3000}, false)
	if err := n.Run(30 * Minute); err != nil {
		t.Fatal(err)
	}
	slow := 0
	for _, d := range r.Times {
		if d < 20*Ms {
			t.Fatal("faster than light: ", stamp(d))
		}
		if d > 25*Ms {
			slow++
		}
	}
	if slow == 0 || slow > 80 {
		t.Errorf("%d of %d were slow: %v", slow, len(r.Times), r.Times)
	}
}

// TestManyShortConnections: 20,000 connections one after the other, which the
// client closes first. Its ports and TIME-WAIT entries last.
func TestManyShortConnections(t *testing.T) {
	needListen(t)
	n, a, b := two(Options{Seed: 1}, stack.Config{}, 0, emu.Path{Delay: Ms / 2}, emu.Path{Delay: Ms / 2})
	b.Listen(80, 16, func(*End) App { return &Bulk{Send: 100, Recv: 100, Keep: true} })
	const total = 20_000
	peak := 0
	for i := range total {
		e, err := a.DialFrom(ipv4.Endpoint{}, b.Endpoint(80), &Bulk{Send: 100, Recv: 100})
		if err != nil {
			t.Fatalf("connection %d: %v; %+v", i, err, a.Stack.Usage())
		}
		if err := n.Run(Minute); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		if e.Received != 100 {
			t.Fatal(e)
		}
		peak = max(peak, a.Stack.Usage().TimeWait)
	}
	t.Logf("%v virtual, at most %d in TIME-WAIT", stamp(n.Now()), peak)
	if err := n.Settle(2 * Minute); err != nil {
		t.Fatal(err)
	}
}

// segment returns a frame for h with a TCP segment, and nothing in it.
func segment(h *Host, from ipv4.Endpoint, port uint16, seq, ack uint32, flags tcp.Flags) []byte {
	f := make([]byte, 54)
	hw := h.ports[0].HardwareAddr()
	copy(f, hw[:])
	f[6], f[11], f[12] = 2, 9, 8
	ip, s := f[14:34], f[34:]
	hdr := ipv4.Header{Src: from.Addr, Dst: h.Addr(), Proto: ipv4.ProtoTCP, TTL: 64, TotalLen: 40}
	hdr.Put(ip)
	binary.BigEndian.PutUint16(s, from.Port)
	binary.BigEndian.PutUint16(s[2:], port)
	binary.BigEndian.PutUint32(s[4:], seq)
	binary.BigEndian.PutUint32(s[8:], ack)
	s[12], s[13] = 5<<4, byte(flags)
	binary.BigEndian.PutUint16(s[14:], 1000)
	sum := pkt.Checksum(pkt.Sum(ipv4.PseudoSum(from.Addr, h.Addr(), ipv4.ProtoTCP, 20), s))
	binary.BigEndian.PutUint16(s[16:], sum)
	return f
}

// TestSynFlood: SYNs from addresses that don't exist fill the backlog and nothing
// else, and when they end the listener is there again.
func TestSynFlood(t *testing.T) {
	needListen(t)
	n := New(Options{Seed: 1, Check: func(h *Host) error {
		if u := h.Stack.Usage(); u.Conns > 40 || u.Memory > 1<<20 {
			t.Errorf("%+v", u)
		}
		return nil
	}})
	a, b := n.Host("a", stack.Config{}), n.Host("b", stack.Config{})
	n.Link(a, b, emu.Config{Path: near})
	b.Listen(80, 16, func(*End) App { return &Bulk{Recv: 1000} })
	old := a.Dial(b.Endpoint(80), &Bulk{Send: 1000, WriteSize: 10, WriteEvery: 100 * Ms})
	if err := n.RunFor(100 * Ms); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		n.At(n.Now()+Time(i)*Ms/2, func() {
			from := ipv4.Endpoint{Addr: ipv4.AddrOf(198, 19, byte(r.Uint32()), byte(r.Uint32())), Port: uint16(r.Uint32())}
			b.Inject(segment(b, from, 80, r.Uint32(), 0, tcp.SYN))
		})
	}
	if err := n.Run(Minute); err != nil { // an open connection does not notice
		t.Fatal(err)
	}
	if old.Err != 0 || old.Sent != 1000 {
		t.Error(old)
	}
	if err := n.RunFor(10 * Minute); err != nil {
		t.Fatal(err)
	}
	a.Dial(b.Endpoint(80), &Bulk{Send: 1000})
	if err := n.Run(Minute); err != nil {
		t.Fatal("after the flood: ", err)
	}
}

// hostile injects frames at both ends of a transfer, each time it is called, and
// expects it to succeed all the same.
func hostile(t *testing.T, frames int, inject func(r *rand.Rand, h *Host, e *End)) {
	t.Helper()
	n, a, b := two(Options{Seed: 1}, stack.Config{}, 0, near, near)
	ea, _ := connect(a, b, 80, &Bulk{Send: 2 << 20, Recv: 2 << 20}, &Bulk{Send: 2 << 20, Recv: 2 << 20}, false)
	if err := n.RunFor(30 * Ms); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range frames {
		n.At(n.Now()+Time(i)*100*pkt.Microsecond, func() {
			inject(r, a, ea)
			inject(r, b, ea)
		})
	}
	if err := n.Run(20 * Minute); err != nil {
		t.Fatal(err)
	}
	if err := n.Settle(60 * Minute); err != nil {
		t.Fatal(err)
	}
}

// ends returns the endpoints of e as h sees them.
func ends(h *Host, e *End) (local, remote ipv4.Endpoint) {
	local, remote = e.Conn.Local(), e.Conn.Remote()
	if h != e.Host {
		local, remote = remote, local
	}
	return local, remote
}

// TestC64RstFlood: resets with guessed sequence numbers end no connection (RFC 5961
// section 3).
func TestC64RstFlood(t *testing.T) {
	hostile(t, 10_000, func(r *rand.Rand, h *Host, e *End) {
		local, remote := ends(h, e)
		h.Inject(segment(h, remote, local.Port, r.Uint32(), r.Uint32(), tcp.RST))
		h.Inject(segment(h, remote, local.Port, r.Uint32(), r.Uint32(), tcp.SYN))
	})
}

// TestGarbage: frames of noise, and real ones with noise in them, do nothing to a
// transfer.
func TestGarbage(t *testing.T) {
	hostile(t, 10_000, func(r *rand.Rand, h *Host, e *End) {
		local, remote := ends(h, e)
		f := segment(h, remote, local.Port, r.Uint32(), r.Uint32(), tcp.Flags(r.Uint32())&^(tcp.RST|tcp.SYN))
		switch r.IntN(4) {
		case 0: // anything
			f = make([]byte, r.IntN(200))
			for i := range f {
				f[i] = byte(r.Uint32())
			}
		case 1: // anything with the right addresses of the link
			for i := 14; i < len(f); i++ {
				f[i] = byte(r.Uint32())
			}
			f[12+r.IntN(2)] = byte(r.Uint32() & 0xf)
		case 2: // a few bits
			for range 3 {
				f[r.IntN(len(f))] ^= 1 << r.IntN(8)
			}
		case 3: // cut off
			f = f[:r.IntN(len(f))]
		}
		h.Inject(f)
	})
}

// TestICMPForgeries: others' ICMP errors
// about connections that are not theirs change nothing.
func TestICMPForgeries(t *testing.T) {
	hostile(t, 3000, func(r *rand.Rand, h *Host, e *End) {
		local, remote := ends(h, e)
		quote := segment(h, local, remote.Port, r.Uint32(), 0, tcp.ACK)[14:]
		ip := ipv4.Header{Src: local.Addr, Dst: remote.Addr, Proto: ipv4.ProtoTCP, TTL: 1, TotalLen: 40}
		ip.Put(quote)
		b := pkt.NewBuf(600)
		code := []uint8{0, 1, 2, 3, 4, 13}[r.IntN(6)]
		ipv4.PutICMPError(b, ipv4.ICMPUnreachable, code, uint32(r.IntN(1500)), quote)
		f := segment(h, remote, 0, 0, 0, 0)[:34]
		hdr := ipv4.Header{Src: remote.Addr, Dst: local.Addr, Proto: ipv4.ProtoICMP, TTL: 64, TotalLen: uint16(20 + b.Len())}
		hdr.Put(f[14:])
		h.Inject(append(f, b.Bytes()...))
	})
}

// TestSmallStackServesMany: a stack of 32 KiB serves ten connections at once.
func TestSmallStackServesMany(t *testing.T) {
	cfg := stack.Config{Memory: 32 << 10, RcvBuf: 4096, SndBuf: 4096}
	if feature.Profile > feature.Minimal {
		cfg.Memory = 128 << 10 // larger chunks
	}
	p := emu.Path{Delay: 10 * Ms, Loss: 0.01}
	n, a, b := two(Options{Seed: 1}, cfg, 0, p, p)
	for i := range uint16(10) {
		connect(a, b, 80+i, &Bulk{Send: 50_000, Recv: 50_000}, &Bulk{Send: 50_000, Recv: 50_000}, false)
	}
	if err := n.Run(30 * Minute); err != nil {
		t.Fatal(err)
	}
	if err := n.Settle(5 * Minute); err != nil {
		t.Fatal(err)
	}
}
