package stack

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"testing"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
)

// slowly makes s do without what stack/fastpath.go does: a raw socket and a capture hook,
// neither of which changes anything else, are what it is not for.
func slowly(s *Stack) {
	s.raw = unsafe.Pointer(new(rawTable))
	s.ifaces[eth0-1].Capture = func(pkt.Time, []byte, bool) {}
}

// world is a pair with some connections, of which all that can be seen goes into log.
type world struct {
	*pair
	conns  [2][]*Conn
	log    bytes.Buffer
	behind bool // frames have four bytes behind the packet
}

func newWorld(t *testing.T, cfg Config, n int, slow bool) *world {
	w := &world{pair: newPair(t, cfg, 1500, 3*pkt.Millisecond)}
	for i := range w.s {
		if slow {
			slowly(w.s[i])
		}
	}
	for k := range n {
		a, b := w.connect(uint16(80 + k))
		w.conns[0], w.conns[1] = append(w.conns[0], a), append(w.conns[1], b)
	}
	return w
}

// step moves what is under way at host i into its stack, in one batch, as r says: some of it is
// lost, comes twice, too early, or damaged.
func (w *world) deliver(r *rand.Rand, i int, trouble bool) {
	var frames []*netif.Buf
	add := func(f []byte) {
		b := netif.NewBuf(len(f) + 4)
		b.CopyFrom(f)
		if w.behind { // as links do that leave their checksum there; this one would not change TCP's
			copy(b.Append(4), []byte{0xff, 0xfb, 0, 0})
		}
		frames = append(frames, b)
	}
	in := w.w[i].in
	w.w[i].in = nil
	for k := range in {
		f := in[k].f
		fmt.Fprintf(&w.log, "%d to %d: %x\n", w.now, i, f)
		if trouble {
			switch r.IntN(40) {
			case 0:
				continue
			case 1:
				add(f)
			case 2:
				if k+1 < len(in) {
					in[k].f, in[k+1].f = in[k+1].f, in[k].f
					f = in[k].f
				}
			case 3:
				f = bytes.Clone(f)
				f[r.IntN(len(f))] ^= 1 << r.IntN(8)
			}
		}
		add(f)
	}
	w.s[i].Input(w.now, eth0, frames)
}

func (w *world) poll() {
	for i, s := range w.s {
		next := s.Poll(w.now) // may be earlier than need be: the heap of timers is lazy
		w.next[i] = pkt.Never
		for _, c := range w.conns[i] {
			w.next[i] = min(w.next[i], c.Deadline())
		}
		if next > w.next[i] {
			w.t.Fatalf("host %d is to be polled at %d, when a timer ends at %d", i, next, w.next[i])
		}
		fmt.Fprintf(&w.log, "%d: host %d until %d\n", w.now, i, w.next[i])
		for k, e := s.Ready(); k != nil; k, e = s.Ready() {
			for n, c := range w.conns[i] {
				if k == &c.Sock {
					fmt.Fprintf(&w.log, "host %d, connection %d: events %x\n", i, n, e)
				}
			}
		}
	}
}

// do is one step of a program and of time, as r says.
func (w *world) do(r *rand.Rand, trouble bool) {
	i := r.IntN(2)
	k := r.IntN(len(w.conns[i]))
	c := w.conns[i][k]
	size := []int{1, 64, 1448, 5000, 70_000}[r.IntN(5)]
	var n int
	var e Errno
	switch op := r.IntN(20); op {
	default:
		p := make([]byte, size)
		for j := range p {
			p[j] = byte(r.Uint32())
		}
		n, e = c.Write(p)
	case 0, 1, 2, 3, 4, 5, 6, 7:
		p := make([]byte, size)
		n, e = c.Read(p)
		fmt.Fprintf(&w.log, "read %x\n", p[:n])
	case 8:
		c.SetNoDelay(r.IntN(2) == 0)
	case 9:
		c.SetCork(r.IntN(4) == 0)
	case 10:
		c.SetQuickAck(r.IntN(2) == 0)
	case 11:
		if trouble && r.IntN(30) == 0 {
			e = c.CloseWrite()
		}
	case 12:
		c.Options.RcvLowat = uint32(1 + r.IntN(3000))
	}
	fmt.Fprintf(&w.log, "host %d, connection %d: %d %d, %+v\n", i, k, n, e, c.Info(w.now))
	w.poll()
	switch r.IntN(12) {
	case 0: // only time passes
	case 1:
		w.deliver(r, 0, trouble)
	default:
		w.deliver(r, 0, trouble)
		w.deliver(r, 1, trouble)
	}
	w.poll()
	switch r.IntN(60) {
	case 0:
		w.now = max(w.now, min(w.next[0], w.next[1], w.now+pkt.Second))
	case 1:
		w.now += pkt.Time(r.IntN(400)) * pkt.Millisecond
	default:
		w.now += pkt.Time(r.IntN(2000)) * pkt.Microsecond
	}
}

// TestFastPathIsNoOther lets two pairs of hosts do the same, one without the fast path, and
// compares every frame, event, byte, time and all that Info tells.
func TestFastPathIsNoOther(t *testing.T) {
	if !feature.FastPath || !feature.RawSock || !feature.Pcap || !feature.Listen {
		t.Skip("needs features fastpath, rawsock, pcap and listen")
	}
	for seed := range uint64(12) {
		var cfg Config
		switch seed % 3 {
		case 1:
			cfg.NoPacing = true
		case 2:
			cfg.ECN = tcp.ECNAsk
		}
		if seed%5 == 4 { // so that buffers are full, and windows closed
			cfg.RcvBuf, cfg.SndBuf, cfg.MaxRcvBuf, cfg.MaxSndBuf = 20_000, 30_000, 20_000, 30_000
		}
		fast, slow := newWorld(t, cfg, 3, false), newWorld(t, cfg, 3, true)
		if seed%4 == 2 {
			fast.behind, slow.behind = true, true
		}
		compareWorlds(t, fast, slow, seed, 600)
	}
}

// tcbs logs all state of the connections but for where their memory is.
func (w *world) tcbs() {
	for i := range w.conns {
		for k, c := range w.conns[i] {
			fmt.Fprintf(&w.log, "host %d, connection %d: %s\n", i, k, places.ReplaceAllString(fmt.Sprintf("%+v", c.Conn), "*"))
		}
	}
}

var places = regexp.MustCompile(`0x[0-9a-f]{6,}|q:{[^}]*}`)

func compareWorlds(t *testing.T, fast, slow *world, seed uint64, steps int) {
	t.Helper()
	r := [2]*rand.Rand{rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 1))}
	for k := range steps {
		trouble := seed%4 != 0 && k%200 > 100 // in order for a while
		fast.do(r[0], trouble)
		slow.do(r[1], trouble)
		if k%16 == 0 {
			fast.tcbs()
			slow.tcbs()
		}
		if a, b := fast.log.Bytes(), slow.log.Bytes(); !bytes.Equal(a, b) {
			n := 0
			for n < min(len(a), len(b)) && a[n] == b[n] {
				n++
			}
			n = bytes.LastIndexByte(a[:n], '\n') + 1
			t.Fatalf("seed %d, step %d:\nfast %.900s\nslow %.900s", seed, k, a[n:], b[n:])
		}
		fast.log.Reset()
		slow.log.Reset()
	}
}

// TestFastPathIsTaken: in an undisturbed transfer, all segments are as predicted, and most leave
// in trains.
func TestFastPathIsTaken(t *testing.T) {
	if !feature.FastPath {
		t.Skip("needs feature fastpath")
	}
	p := newPair(t, Config{NoPacing: true}, 1500, pkt.Millisecond)
	a, b := p.connect(80)
	p.transfer(a, b, 200_000, 100*pkt.Second) // slow start
	for _, s := range p.s {
		s.known = addrPair{} // as inputIP leaves it
	}
	p.transfer(a, b, 2_000_000, 100*pkt.Second)
	for i, s := range p.s {
		if s.known != (addrPair{}) {
			t.Errorf("host %d: a frame went the long way", i)
		}
	}
	if p.s[0].train == nil || trainOf(p.s[0]).Len < 2 {
		t.Error("no trains")
	}
}
