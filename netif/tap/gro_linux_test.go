package tap

import (
	"bytes"
	"encoding/binary"
	"testing"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
)

// withVnet returns a Buf with h and an IPv4 packet of n bytes of data behind the header of
// protocol proto.
func withVnet(h vnetHeader, proto byte, n int) *netif.Buf {
	hlen := map[byte]int{ipv4.ProtoTCP: 20, ipv4.ProtoUDP: 8}[proto]
	p := make([]byte, vnetLen+14+20+hlen+n)
	copy(p, (*[vnetLen]byte)(unsafe.Pointer(&h))[:])
	f := p[vnetLen:]
	f[12] = 8
	ih := ipv4.Header{Src: ipv4.AddrOf(198, 18, 7, 1), Dst: ipv4.AddrOf(198, 18, 7, 2), Proto: proto, TTL: 64, DF: true, TotalLen: uint16(20 + hlen + n)}
	ih.Put(f[14:34])
	if proto == ipv4.ProtoTCP {
		f[34+12] = 5 << 4
	}
	b := netif.NewBuf(netif.SuperSize + vnetLen)
	b.CopyFrom(p)
	return b
}

func TestVnetHeaders(t *testing.T) {
	if !feature.GRO {
		t.Skip("needs feature gro")
	}
	const tcp, udp = ipv4.ProtoTCP, ipv4.ProtoUDP
	gso := vnetHeader{flags: flagNeedsSum, gso: gsoTCPv4, hlen: 54, size: 1460, start: 34, offset: 16}
	change := func(f func(h *vnetHeader)) vnetHeader { h := gso; f(&h); return h }
	for _, c := range []struct {
		name  string
		h     vnetHeader
		proto byte
		n     int
		ok    bool
		sum   pkt.SumState
		size  int
	}{
		{"plain", vnetHeader{}, tcp, 1460, true, netif.SumFull, 0},
		{"plain, too long", vnetHeader{}, tcp, 1465, false, 0, 0},
		{"verified", vnetHeader{flags: flagDataValid}, tcp, 10, true, netif.SumVerified, 0},
		{"partial", vnetHeader{flags: flagNeedsSum, start: 34, offset: 16}, tcp, 10, true, netif.SumPartial, 0},
		{"partial UDP", vnetHeader{flags: flagNeedsSum, start: 34, offset: 6}, udp, 10, true, netif.SumPartial, 0},
		{"partial, too long", vnetHeader{flags: flagNeedsSum, start: 34, offset: 16}, tcp, 1465, false, 0, 0},
		{"partial beyond the end", vnetHeader{flags: flagNeedsSum, start: 34, offset: 65535}, tcp, 10, false, 0, 0},
		{"partial from beyond the end", vnetHeader{flags: flagNeedsSum, start: 65535, offset: 0}, tcp, 10, false, 0, 0},
		{"super", gso, tcp, 60_000, true, netif.SumPartial, 1460},
		{"super of one segment", gso, tcp, 1460, true, netif.SumPartial, 0},
		{"super without data", gso, tcp, 0, false, 0, 0},
		{"super without a checksum to complete", change(func(h *vnetHeader) { h.flags = 0 }), tcp, 3000, false, 0, 0},
		{"segments of no size", change(func(h *vnetHeader) { h.size = 0 }), tcp, 3000, false, 0, 0},
		{"segments beyond the MTU", change(func(h *vnetHeader) { h.size = 1461 }), tcp, 3000, false, 0, 0},
		{"another kind", change(func(h *vnetHeader) { h.gso = 3 }), tcp, 3000, false, 0, 0},
		{"TCP over IPv6", change(func(h *vnetHeader) { h.gso = 4 }), tcp, 3000, false, 0, 0},
		{"with CWR on the first", change(func(h *vnetHeader) { h.gso |= 0x80 }), tcp, 3000, false, 0, 0},
		{"TCP that is UDP", gso, udp, 3000, false, 0, 0},
		{"a header elsewhere", change(func(h *vnetHeader) { h.start = 38 }), tcp, 3000, false, 0, 0},
		{"UDP's checksum", change(func(h *vnetHeader) { h.offset = 6 }), tcp, 3000, false, 0, 0},
	} {
		b := withVnet(c.h, c.proto, c.n)
		frame := bytes.Clone(b.Bytes()[vnetLen:])
		if ok := accept(b, 1500); ok != c.ok {
			t.Errorf("%s: accepted: %v", c.name, ok)
		} else if ok && (netif.Summed(b) != c.sum || netif.SegmentSize(b) != c.size || !bytes.Equal(b.Bytes(), frame)) {
			t.Errorf("%s: state %d, segments of %d", c.name, netif.Summed(b), netif.SegmentSize(b))
		}
	}
}

// What is no TCP or UDP over IPv4 gets its checksum here.
func TestVnetChecksumOfOthersIsComputed(t *testing.T) {
	if !feature.GRO {
		t.Skip("needs feature gro")
	}
	b := withVnet(vnetHeader{flags: flagNeedsSum, start: 40, offset: 2}, 47, 40)
	f := b.Bytes()[vnetLen:]
	f[50] = 9
	if !accept(b, 1500) || netif.Summed(b) != netif.SumFull || pkt.Checksum(pkt.Sum(0, b.Bytes()[40:])) != 0 {
		t.Errorf("state %d", netif.Summed(b))
	}
}

func FuzzVnet(f *testing.F) {
	if !feature.GRO {
		f.Skip("needs feature gro")
	}
	f.Add(withVnet(vnetHeader{flags: flagNeedsSum, gso: gsoTCPv4, hlen: 54, size: 1460, start: 34, offset: 16}, ipv4.ProtoTCP, 3000).Bytes())
	f.Add(withVnet(vnetHeader{flags: flagNeedsSum, start: 34, offset: 6}, ipv4.ProtoUDP, 100).Bytes())
	f.Add(withVnet(vnetHeader{flags: flagDataValid}, ipv4.ProtoUDP, 100).Bytes())
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, p []byte) {
		p = p[:min(len(p), netif.SuperSize)]
		b := netif.NewBuf(netif.SuperSize + vnetLen)
		b.CopyFrom(p)
		if !accept(b, 1500) {
			return
		}
		f := b.Bytes()
		size := netif.SegmentSize(b)
		if len(f) != len(p)-vnetLen || size == 0 && !fits(f, 1500) || size != 0 && wireLen(b) > 1514 {
			t.Fatalf("%d bytes accepted, segments of %d: % x", len(f), size, p[:min(len(p), 80)])
		}
		if size != 0 {
			var c netif.Cutter
			if feature.TSO && !c.Begin(b) {
				t.Fatalf("no super-segment: % x", p[:min(len(p), 80)])
			}
		}
		// As it came in, it may go out again.
		h := binary.LittleEndian.Uint64(p)
		header(b)
		if netif.Summed(b) == netif.SumPartial && f[23] == ipv4.ProtoTCP && size != 0 && binary.LittleEndian.Uint64(b.Bytes())>>32 != h>>32 {
			t.Fatalf("header % x, was % x", b.Bytes()[:10], p[:10])
		}
	})
}

// Large Bufs are lent to who receives, and come back; there are never more than maxLarge.
func TestLargeBufsComeBack(t *testing.T) {
	if !feature.GRO {
		t.Skip("needs feature gro")
	}
	d := &Device{}
	v := &vnet{d: d}
	bufs := buffers(16)
	all := map[*netif.Buf]bool{}
	for round := range 3000 {
		d.rx.bufs, d.rx.n = bufs, 0
		v.takeBack(bufs)
		if len(v.large) < 1 || len(v.large) > maxLarge {
			t.Fatalf("round %d: %d large Bufs", round, len(v.large))
		}
		for i, b := range bufs {
			if b.Cap() >= netif.SuperSize {
				t.Fatalf("round %d: Buf %d is still large", round, i)
			}
		}
		n := round % 7
		switch {
		case round > 2000:
			n = 0
		case round > 600:
			n = 1
		}
		if round == 1500 {
			clear(all)
		}
		for i := 0; i < n && len(v.large) > 0; i++ {
			b := v.large[len(v.large)-1]
			all[b] = true
			b.SetLen(3000 - i%2*2000)
			v.place(b)
		}
	}
	if len(all) > 2 || len(v.large) != 1 { // one a time takes one, and another for more
		t.Errorf("%d large Bufs of late, %d at last", len(all), len(v.large))
	}
}
