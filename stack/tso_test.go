package stack

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
)

// superWire is a wire whose ends take super-segments. It hands them on whole.
type superWire struct {
	wire
	refuse bool
	part   func(b *netif.Buf) // what is lost of a super-segment
	peer   *superWire
	in     []*netif.Buf
	supers int // sent
	most   int // payload of one
	plain  int // frames with data that are none
	batch  int // frames at once, at most
	t      *testing.T
}

func (w *superWire) Offload() bool { return !w.refuse }

func (w *superWire) Send(bufs []*netif.Buf) error {
	w.batch = max(w.batch, len(bufs))
	for i, b := range bufs {
		if w.lose != nil && w.lose(b.Bytes()) {
			continue
		}
		w.check(b)
		if w.part != nil && netif.SegmentSize(b) != 0 {
			w.part(b)
		}
		bufs[i] = netif.NewBuf(b.Cap())
		w.peer.in = append(w.peer.in, b)
	}
	return nil
}

// check holds a frame to the contract of netif.Offloader.
func (w *superWire) check(b *netif.Buf) {
	f := b.Bytes()
	if netif.Ethernet(f).Type() != netif.EtherTypeIPv4 || f[23] != ipv4.ProtoTCP {
		return
	}
	p := f[14:]
	tcpLen := int(p[32]>>4) * 4
	n := len(p) - 20 - tcpLen
	size := netif.SegmentSize(b)
	if int(binary.BigEndian.Uint16(p[2:])) != len(p) || pkt.Checksum(pkt.Sum(0, p[:20])) != 0 {
		w.t.Errorf("bad IPv4 header % x of %d bytes", p[:20], len(p))
	}
	if size == 0 {
		if n > 0 {
			w.plain++
		}
		if len(p) > w.mtu {
			w.t.Errorf("a packet of %d bytes", len(p))
		}
		return
	}
	w.supers++
	w.most = max(w.most, n)
	if p[6]&0x40 == 0 || netif.Summed(b) != netif.SumPartial || n <= size || 20+tcpLen+size > w.mtu || p[33]&(0x80|0x20|2|4) != 0 {
		w.t.Errorf("a super-segment of %d in segments of %d, header % x", n, size, p[:20+tcpLen])
	}
}

// superPair is two stacks on such a wire.
func superPair(t *testing.T, cfg Config, mtu int, refuse bool) (p *pair, w [2]*superWire) {
	if !feature.TSO || !feature.Listen || !feature.PMTUD || feature.Profile < feature.Client {
		t.Skip("needs features tso, listen and pmtud, and buffers for many segments")
	}
	p = &pair{t: t, now: pkt.Second}
	for i := range w {
		w[i] = &superWire{wire: wire{idleDevice: idleDevice{mtu: mtu, hw: netif.MAC{2, 0, 0, 0, 0, byte(i + 1)}}, now: &p.now}, refuse: refuse, t: t}
		p.w[i] = &w[i].wire
	}
	w[0].peer, w[1].peer = w[1], w[0]
	for i := range p.s {
		cfg.Seed = uint64(i + 1)
		p.s[i] = New(cfg)
		up(t, p.s[i], w[i], ipv4.AddrOf(198, 18, 0, byte(i+1)))
	}
	return p, w
}

// run delivers what was sent and lets time pass until nothing is left to do, or until done.
func superRun(p *pair, w [2]*superWire, done func() bool) {
	p.t.Helper()
	for range 100_000 {
		if done() {
			return
		}
		next := pkt.Never
		for i := range p.s {
			next = min(next, p.s[i].Poll(p.now))
		}
		busy := false
		for i := range p.s {
			in := w[i].in
			w[i].in = nil
			busy = busy || len(in) > 0
			p.s[i].Input(p.now, 2, in)
		}
		if !busy {
			p.now = max(p.now, next)
		}
	}
	p.t.Fatal("no end")
}

// superConnect opens a connection.
func superConnect(p *pair, w [2]*superWire) (a, b *Conn) {
	l := new(Listener)
	l.New = func() *Conn { c := new(Conn); c.Init(p.s[1]); return c }
	if err := p.s[1].Listen(l, ipv4.Endpoint{Port: 80}, 1); err != nil {
		p.t.Fatal(err)
	}
	defer func() { l.Close(p.now) }()
	a = new(Conn)
	a.Init(p.s[0])
	if err := p.s[0].Connect(p.now, a, ipv4.Endpoint{}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2), Port: 80}); err != nil {
		p.t.Fatal(err)
	}
	superRun(p, w, func() bool { b = l.Accept(); return b != nil })
	return a, b
}

// superTransfer sends n bytes from a to b and checks them.
func superTransfer(p *pair, w [2]*superWire, a, b *Conn, n int) {
	p.t.Helper()
	want := make([]byte, n)
	for i := range want {
		want[i] = byte(i*7 + i>>8*13 + i>>16)
	}
	var got []byte
	buf := make([]byte, 64<<10)
	sent := 0
	superRun(p, w, func() bool {
		for sent < n {
			k, e := a.Write(want[sent:min(n, sent+len(buf))])
			sent += k
			if e != 0 || k == 0 {
				break
			}
		}
		for {
			k, _ := b.Read(buf)
			if k == 0 {
				break
			}
			got = append(got, buf[:k]...)
		}
		return len(got) >= n
	})
	if !bytes.Equal(got, want) {
		p.t.Fatal("what arrived is not what was sent")
	}
}

func TestSuperSegmentsGoToADeviceThatTakesThem(t *testing.T) {
	for _, mtu := range []int{1500, 576, 9000} {
		p, w := superPair(t, Config{}, mtu, false)
		a, b := superConnect(p, w)
		superTransfer(p, w, a, b, 8<<20)
		if w[0].supers < 7<<20/w[0].most || w[0].most < 55_000 || w[0].plain > w[0].supers {
			t.Errorf("MTU %d: %d super-segments of up to %d bytes, %d other segments", mtu, w[0].supers, w[0].most, w[0].plain)
		}
		if n := p.s[0].Drops[ipv4.DropMTU]; n > 0 {
			t.Error(n, "dropped for the MTU")
		}
	}
}

func TestDeviceMayRefuseSuperSegments(t *testing.T) {
	p, w := superPair(t, Config{}, 1500, true)
	a, b := superConnect(p, w)
	superTransfer(p, w, a, b, 1<<20)
	if w[0].supers > 0 {
		t.Error(w[0].supers, "super-segments to a device that takes none")
	}
}

// Without DF each segment would need an identification of its own.
func TestNoSuperSegmentsWithoutDF(t *testing.T) {
	p, w := superPair(t, Config{}, 1500, false)
	a, b := superConnect(p, w)
	if e := a.SetOption(SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT); e != 0 {
		t.Fatal(e)
	}
	superTransfer(p, w, a, b, 1<<20)
	if w[0].supers > 0 {
		t.Error(w[0].supers, "super-segments")
	}
}

// Some super-segments are lost, and of others the end is.
func TestSuperSegmentsAreRepaired(t *testing.T) {
	p, w := superPair(t, Config{}, 1500, false)
	a, b := superConnect(p, w)
	n := 0
	w[0].part = func(b *netif.Buf) {
		f := b.Bytes()
		segs := (len(f) - 66) / netif.SegmentSize(b)
		if n%5 != 0 || segs < 2 {
			return
		}
		b.SetLen(66 + (1+n%(segs-1))*netif.SegmentSize(b))
		ip := b.Bytes()[14:34]
		binary.BigEndian.PutUint16(ip[2:], uint16(b.Len()-14))
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], pkt.Checksum(pkt.Sum(0, ip)))
	}
	w[0].lose = func(f []byte) bool {
		if len(f) < 1000 {
			return false
		}
		n++
		return n%7 == 0
	}
	superTransfer(p, w, a, b, 4<<20)
	if i := a.Info(p.now); feature.TCPInfo && i.TotalRetrans == 0 {
		t.Error("nothing was sent again")
	}
}

// A router says that the path is narrower: what is in flight is sent again in smaller segments, and
// super-segments have the new size.
func TestPathMTUOfSuperSegments(t *testing.T) {
	p, w := superPair(t, Config{}, 1500, false)
	a, b := superConnect(p, w)
	told := false
	w[0].lose = func(f []byte) bool {
		if len(f) < 1500 || told {
			return false
		}
		told = true
		q := f[14:]
		icmp := make([]byte, 20+8+28)
		h := ipv4.Header{Src: ipv4.AddrOf(198, 18, 0, 2), Dst: ipv4.AddrOf(198, 18, 0, 1), Proto: ipv4.ProtoICMP, TTL: 64, TotalLen: uint16(len(icmp))}
		h.Put(icmp)
		x := icmp[20:]
		x[0], x[1] = 3, 4
		binary.BigEndian.PutUint16(x[6:], 1000)
		copy(x[8:], q[:28])
		// What a router quotes is the segment that it could not forward.
		binary.BigEndian.PutUint16(x[10:], 1500)
		binary.BigEndian.PutUint16(x[18:], 0)
		binary.BigEndian.PutUint16(x[18:], pkt.Checksum(pkt.Sum(0, x[8:28])))
		binary.BigEndian.PutUint16(x[2:], pkt.Checksum(pkt.Sum(0, x)))
		fr := netif.NewBuf(2000)
		fr.CopyFrom(append(append(append([]byte{}, f[6:12]...), f[:6]...), append([]byte{8, 0}, icmp...)...))
		w[0].in = append(w[0].in, fr)
		for _, d := range w {
			d.mtu = 1000 // for check: from now on nothing larger
		}
		return true
	}
	superTransfer(p, w, a, b, 1<<20)
	if !told || w[0].supers == 0 {
		t.Error("no super-segments")
	}
	if got := a.MSS(); got != 1000-40-12 {
		t.Errorf("MSS is %d", got)
	}
}

// Buffers of 64 KiB are given up when nobody needs them.
func TestIdleStackKeepsNoLargeBuffers(t *testing.T) {
	p, w := superPair(t, Config{}, 1500, false)
	a, b := superConnect(p, w)
	superTransfer(p, w, a, b, 1<<20)
	o := p.s[0].ifaces[1].Dev.(*offloader)
	if len(o.free) == 0 || len(o.free) > keepSuper {
		t.Errorf("%d buffers kept", len(o.free))
	}
	end := p.now + 5*pkt.Second
	superRun(p, w, func() bool { return p.now >= end })
	if o.free != nil {
		t.Errorf("%d buffers kept after 5 s", len(o.free))
	}
}

// Connections that have much to send, and a window for one segment each, share the large Bufs.
func TestManyConnectionsShareLargeBufs(t *testing.T) {
	p, w := superPair(t, Config{RcvBuf: 1448, MaxRcvBuf: 1448}, 1500, false)
	const n = 3 * keepSuper
	var conns [n]*Conn
	for i := range conns {
		conns[i], _ = superConnect(p, w)
	}
	for _, c := range conns {
		if k, e := c.Write(make([]byte, 10_000)); k != 10_000 || e != 0 {
			t.Fatal(k, e)
		}
	}
	segs := w[0].plain
	p.s[0].Poll(p.now)
	if got := w[0].plain - segs; got != n {
		t.Errorf("%d segments, want %d", got, n)
	}
	if w[0].batch != keepSuper {
		t.Errorf("%d at a time, want %d", w[0].batch, keepSuper)
	}
	if o := p.s[0].ifaces[1].Dev.(*offloader); len(o.free) != keepSuper {
		t.Errorf("%d Bufs kept, want %d", len(o.free), keepSuper)
	}
}

// The device of a path's interface takes super-segments no more when the route goes by another: what
// was built for it is cut.
func TestSuperSegmentIsCutForAnotherDevice(t *testing.T) {
	if !feature.TSO {
		t.Skip("needs feature tso")
	}
	h := newHost(t, 1)
	h.noCheck = false
	b := pkt.NewBuf(pkt.SuperSize)
	pkt.AllowSuper(b, ipv4.MaxLen)
	const n, size = 3500, 1000
	head := make([]byte, 54)
	copy(head, frame(mac(2), mac(1), netif.EtherTypeIPv4, nil))
	ih := ipv4.Header{Src: a0(1), Dst: a0(2), Proto: ipv4.ProtoTCP, TTL: 64, DF: true, TotalLen: 40 + n}
	ih.Put(head[14:34])
	q := head[34:]
	binary.BigEndian.PutUint32(q[4:], 1<<32-1000)
	q[12], q[13] = 5<<4, byte(tcp.ACK|tcp.PSH|tcp.FIN)
	copy(b.Append(54), head)
	for i, data := 0, b.Append(n); i < n; i++ {
		data[i] = byte(i)
	}
	pkt.SetSummed(b, pkt.SumPartial)
	pkt.SetSegmentSize(b, size)
	h.s.transmit(h.s.ifaces[1], b)
	h.s.flush(h.s.ifaces[1])
	if len(h.sent) != 4 {
		t.Fatalf("%d frames", len(h.sent))
	}
	for i, x := range h.sent {
		f := x.f
		want := size
		if i == 3 {
			want = n % size
		}
		last := f[47]&byte(tcp.FIN|tcp.PSH) != 0
		if len(f) != 54+want || binary.BigEndian.Uint32(f[38:]) != uint32(1<<32-1000)+uint32(i*size) || f[54] != byte(i*size) || last != (i == 3) {
			t.Errorf("frame %d: % x", i, f[:60])
		}
	}
	h.sent = nil
}

// Whatever path a frame takes first, one whose checksum nobody vouches for is verified: of two
// plain stacks with timestamps, each segment arrives once corrupted, and then whole.
func TestCorruptedSegmentsAreNeverTakenAsVerified(t *testing.T) {
	p := newPair(t, Config{}, 1500, pkt.Millisecond)
	a, b := p.connect(80)
	n := 0
	p.w[0].lose = func(f []byte) bool {
		if len(f) < 200 {
			return false
		}
		if n++; n%3 == 0 {
			g := bytes.Clone(f)
			g[len(g)-1] ^= 0x10
			p.w[1].in = append(p.w[1].in, arrival{p.now + p.w[0].delay, g})
		}
		return false
	}
	const size = 200_000
	p.transfer(a, b, size, 100*pkt.Second)
	if p.s[1].Drops[ipv4.DropTCPChecksum] == 0 {
		t.Error("no corrupted segment was dropped")
	}
}
