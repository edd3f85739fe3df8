package stack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
)

// target is a host with sockets of all kinds, for frames that mean no good.
type target struct {
	*host
	k *checker
	c *Conn
	p *peer
}

func newTarget(t *testing.T) *target {
	cfg := Config{Memory: 256 << 10, MaxConns: 32, RcvBuf: 32 << 10, SndBuf: 32 << 10}
	h := newHostMTU(t, 1, 1500, cfg)
	h.noCheck = true
	h.defaultRoute()
	x := &target{host: h}
	x.c, x.p = h.open(ep(a0(2), 80), sackSyn)
	x.c.Write(make([]byte, 3000)) // in flight
	u := h.udp(ep(ipv4.Any, 53))
	v := h.udp(ep(ipv4.Any, 54))
	v.Connect(h.now, ep(a0(2), 2000))
	h.poll()
	h.sent = nil
	x.k = &checker{s: h.s, conns: []*Conn{x.c}, udps: []*UDP{u, v}, edges: map[*Conn]uint32{}}
	if feature.Listen {
		l := new(Listener)
		l.New = func() *Conn {
			c := new(Conn)
			c.Init(h.s)
			x.k.conns = append(x.k.conns, c)
			return c
		}
		if err := h.s.Listen(l, ep(ipv4.Any, 22), 4); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { h.sent, h.seen = nil, h.s.Drops }) // runs before newHost's
	return x
}

// hit hands in a frame; the stack must hold afterwards, and be within its bounds.
func (x *target) hit(what string, f []byte) {
	x.Helper()
	defer func() {
		if e := recover(); e != nil {
			x.Fatalf("%s: %v\n% x", what, e, f)
		}
	}()
	x.recvOn(eth0, f)
	if n := len(x.sent); n > 64 {
		x.Fatalf("%s: %d frames in answer\n% x", what, n, f)
	}
	x.sent = x.sent[:0]
	if err := x.k.check(true, x.next); err != nil {
		x.Fatalf("%s: %v\n% x", what, err, f)
	}
}

func ipFrame(p packet) []byte { return frame(mac(1), mac(2), netif.EtherTypeIPv4, p.bytes()) }

// hostile returns frames that have broken stacks, or might.
func (x *target) hostile() map[string][]byte {
	list := map[string][]byte{}
	add := func(f []byte, format string, args ...any) { list[fmt.Sprintf(format, args...)] = f }
	me, you := x.p.remote, x.p.local
	good := x.p.seg(tcp.ACK|tcp.PSH, nil, "hello")

	for n := range 80 {
		add(make([]byte, n), "%d zeros", n)
		add(bytes.Repeat([]byte{255}, n), "%d ones", n)
	}
	// ARP.
	arp := arpFrame(mac(1), 1, mac(2), a0(2), netif.MAC{}, a0(1))
	for n := range arp {
		add(arp[:n], "ARP of %d bytes", n)
		f := bytes.Clone(arp)
		f[n] ^= 0xff
		add(f, "ARP, byte %d turned", n)
	}
	add(arpFrame(mac(1), 2, netif.BroadcastMAC, a0(2), mac(1), a0(1)), "ARP from the broadcast station")
	add(arpFrame(mac(1), 1, mac(9), a0(1), netif.MAC{}, a0(1)), "ARP from our own address")
	// IPv4.
	f := ipFrame(good)
	for n := range f {
		add(f[:n], "a segment cut to %d bytes", n)
	}
	for n := range 65 { // each byte of the headers, with checksums that fit
		for _, v := range []byte{0, 1, 0x0f, 0x45, 0x4f, 0x7f, 0x80, 0xff} {
			p := good
			p.payload = bytes.Clone(good.payload)
			if n < 20 {
				p.mangle = func(b []byte) { b[n] = v }
			} else if n-20 < len(p.payload) {
				p.payload[n-20] = v
				fixTCP(p)
			}
			add(ipFrame(p), "byte %d of a segment is %d", n, v)
		}
	}
	add(ipFrame(tcpPacket(me, me, 1, 1, tcp.SYN, nil, "")), "LAND: from us to us")
	add(ipFrame(tcpPacket(ep(ipv4.Broadcast, 80), me, 1, 1, tcp.SYN, nil, "")), "SYN from the broadcast address")
	add(ipFrame(udpPacket(ep(a0(1), 53), ep(a0(1), 53), "loop")), "UDP from us to us")
	add(ipFrame(udpPacket(ep(a0(255), 7), ep(a0(1), 53), "loop")), "UDP from broadcast")
	for _, o := range [][]byte{{7, 0, 0, 0}, {7, 1, 4, 0}, {7, 255, 4, 0}, {68, 40, 5, 0}, {131, 3, 0, 0}, {131, 39, 255, 0}, {137, 2, 0, 0}, {1, 1, 1, 1}, {0, 255, 255, 255}, {130, 11, 0, 0}} {
		p := good
		p.opts = o
		add(ipFrame(p), "IP options %x", o)
	}
	// Fragments: overlapping, tiny, beyond 65535, of nothing.
	for _, frag := range []uint16{0x2000, 0x2001, 0x3fff, 0x1fff, 1, 0x4001, 0x8000, 0xffff, 0x6000, 185, 0x2000 | 185} {
		for _, n := range []int{0, 1, 7, 8, 9, 100, 1480} {
			p := packet{src: a0(2), dst: a0(1), proto: 17, payload: make([]byte, n), ttl: 9, id: 77, frag: frag}
			add(ipFrame(p), "fragment %#x of %d bytes", frag, n)
			p.proto, p.id = 6, 78
			add(ipFrame(p), "TCP fragment %#x of %d bytes", frag, n)
		}
	}
	// ICMP, with all kinds of quotes.
	quoted := tcpPacket(me, you, x.p.ack, x.p.seq, tcp.ACK, nil, "").bytes()
	for typ := range 20 {
		for code := range 17 {
			for _, n := range []int{0, 1, 19, 20, 27, 28, 40} {
				add(ipFrame(icmpPacket(a0(2), a0(1), byte(typ), byte(code), uint32(code)<<16|uint32(n), quoted[:n])), "ICMP %d/%d quotes %d", typ, code, n)
			}
		}
	}
	nested := icmpPacket(a0(1), a0(2), 3, 3, 0, quoted)
	add(ipFrame(icmpPacket(a0(2), a0(1), 3, 3, 0, nested.bytes())), "an error about an error")
	for _, gw := range []ipv4.Addr{a0(1), a0(2), a0(255), ipv4.Any, ipv4.Broadcast, ipv4.AddrOf(127, 0, 0, 1), ipv4.AddrOf(224, 0, 0, 1)} {
		add(ipFrame(icmpPacket(a0(4), a0(1), 5, 1, uint32(gw), quoted)), "redirect to %v", gw)
	}
	// UDP.
	for _, n := range []uint16{0, 1, 7, 8, 9, 12, 13, 65535} {
		p := udpPacket(ep(a0(2), 2000), ep(a0(1), 53), "data")
		binary.BigEndian.PutUint16(p.payload[4:], n)
		p.payload[6], p.payload[7] = 0, 0
		add(ipFrame(p), "UDP length %d", n)
	}
	// TCP: options, flags, sequence numbers.
	for _, o := range [][]byte{
		{2, 0, 0, 0}, {2, 1, 0, 0}, {2, 255, 0, 0}, {2, 4, 0, 0}, {2, 4, 0, 1}, {3, 3, 255, 0}, {8, 10, 0, 0}, {8, 2, 0, 0}, {5, 2, 0, 0}, {5, 0, 0, 0},
		{5, 255, 0, 0}, {5, 3, 0, 0}, {1, 1, 5, 10, 0, 0, 0, 0, 255, 255, 255, 255}, {1, 1, 5, 10, 255, 255, 255, 255, 0, 0, 0, 0},
		{255, 0, 0, 0}, {255, 255, 255, 255}, {254, 1, 0, 0}, {19, 18, 0, 0}, bytes.Repeat([]byte{1}, 40), bytes.Repeat([]byte{5, 2}, 20), bytes.Repeat([]byte{2, 3, 9, 1}, 10),
	} {
		add(ipFrame(x.p.seg(tcp.ACK, o, "x")), "TCP options %x", o)
		add(ipFrame(tcpPacket(ep(a0(3), 4000), ep(a0(1), 22), 1, 0, tcp.SYN, o, "")), "SYN with options %x", o)
	}
	for fl := range 256 {
		for _, d := range []uint32{0, 1, 1 << 16, 1 << 31, 1<<32 - 1, 1<<32 - 70000} {
			p := *x.p
			p.seq += d + 1<<20 // not exactly RCV.NXT: a reset there is obeyed
			p.ack -= d
			add(ipFrame(p.seg(tcp.Flags(fl), nil, "x")), "flags %#x at %#x", fl, d)
		}
	}
	return list
}

// fixTCP makes the checksum of a segment right.
func fixTCP(p packet) {
	b := p.payload
	b[16], b[17] = 0, 0
	binary.BigEndian.PutUint16(b[16:], onesSum(pseudo(p.src, p.dst, 6, len(b)), b))
}

func TestC110HostileFrames(t *testing.T) {
	x := newTarget(t)
	list := x.hostile()
	names := make([]string, 0, len(list))
	for what := range list {
		names = append(names, what)
	}
	// In several orders, so that they meet in different states.
	for seed := range uint64(3) {
		x := newTarget(t)
		list := x.hostile()
		slices.Sort(names)
		rand.New(rand.NewPCG(seed, 110)).Shuffle(len(names), func(i, k int) { names[i], names[k] = names[k], names[i] })
		for i, what := range names {
			x.hit(what, list[what])
			if i%50 == 0 {
				x.now += pkt.Second / 4
			}
		}
		x.recover()
	}
	x.recover()
}

// TestC110MutatedFrames changes bytes of good frames at random; half of them keep
// their checksums.
func TestC110MutatedFrames(t *testing.T) {
	runs := 20000
	if testing.Short() {
		runs = 2000
	}
	x := newTarget(t)
	r := rand.New(rand.NewPCG(110, 1))
	for i := range runs {
		var p packet
		switch r.IntN(6) {
		case 0:
			p = udpPacket(ep(a0(byte(2+r.IntN(3))), 2000), ep(a0(1), uint16(53+r.IntN(3))), "some data to be read")
		case 1:
			p = echo(a0(2), a0(1), "abcdefgh")
		case 2:
			q := tcpPacket(x.p.remote, x.p.local, x.p.ack, x.p.seq, tcp.ACK, nil, "").bytes()
			p = icmpPacket(a0(2), a0(1), 3, byte(r.IntN(16)), uint32(r.IntN(2000)), q)
		case 3:
			p = packet{src: a0(2), dst: a0(1), proto: 17, payload: make([]byte, 8*r.IntN(100)), ttl: 9, id: uint16(r.IntN(4)), frag: uint16(r.IntN(4)*25) | uint16(r.IntN(2))<<13}
		case 4:
			p = tcpPacket(ep(a0(byte(2+r.IntN(3))), uint16(4000+r.IntN(40))), ep(a0(1), 22), r.Uint32(), 0, tcp.SYN, sackSyn, "")
		case 5:
			s := *x.p
			s.seq += uint32(r.IntN(20000))
			s.ack += uint32(r.IntN(3000))
			p = s.seg(tcp.ACK, nil, string(make([]byte, r.IntN(1400))))
		}
		if len(p.payload) > 0 {
			for range r.IntN(4) {
				p.payload[r.IntN(min(len(p.payload), 60))] = byte(r.Uint32())
			}
		}
		if p.proto == 6 && len(p.payload) >= 20 && r.IntN(8) > 0 {
			p.payload[13] &^= byte(tcp.RST)
			fixTCP(p)
		}
		f := ipFrame(p)
		if r.IntN(4) == 0 {
			f[r.IntN(len(f))] ^= 1 << r.IntN(8)
		}
		if r.IntN(16) == 0 {
			f = f[:r.IntN(len(f))]
		}
		x.hit(fmt.Sprint("frame ", i), f)
		switch r.IntN(20) {
		case 0:
			x.advance(pkt.Time(r.IntN(300)) * pkt.Millisecond)
			x.sent = x.sent[:0]
		case 1:
			x.c.Read(make([]byte, 5000))
		case 2:
			x.c.Write(make([]byte, 500))
		}
	}
	x.recover()
}

// recover checks that the stack still serves, and lets go of everything.
func (x *target) recover() {
	x.Helper()
	x.sent = x.sent[:0]
	x.advance(pkt.Second)
	x.sent = x.sent[:0]
	x.recv(echo(a0(2), a0(1), "abcd"))
	if len(x.sent) == 0 {
		x.Error("no answer to an echo request any more")
	}
	x.sent = x.sent[:0]
	for _, c := range x.k.conns {
		c.Abort()
	}
	for _, u := range x.k.udps {
		u.Close()
	}
	x.advance(10 * pkt.Minute)
	x.sent = x.sent[:0]
	if n := x.s.mem.Used(); n != 0 {
		x.Errorf("%d bytes are still held", n)
	}
	if x.s.tcp.n != 0 {
		x.Errorf("%d connections are left", x.s.tcp.n)
	}
}
