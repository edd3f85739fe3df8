package emu

import (
	"bytes"
	"testing"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/netif"
)

// ipFrame returns a frame with an IPv4 packet of 100 bytes, or an IPv6 one, whose ECN field is
// given; with a VLAN tag or not.
func ipFrame(v6, tagged bool, id uint16, ecn byte) *netif.Buf {
	h := make([]byte, 100)
	ether := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	if tagged {
		ether = append(ether, 0x81, 0, 0, 7)
	}
	if v6 {
		ether = append(ether, 0x86, 0xdd)
		h[0], h[1] = 0x6a, 0x80|ecn<<4 // traffic class 0xa8, and a flow label
		h[3], h[5], h[6], h[7] = byte(id), 60, 17, 64
	} else {
		ether = append(ether, 8, 0)
		copy(h, []byte{0x45, 0xb8 | ecn, 0, 100, byte(id >> 8), byte(id), 0x40, 0, 64, 6, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2})
		pkt.BigEndian.PutUint16(h[10:], pkt.Checksum(pkt.Sum(0, h[:20])))
	}
	b := netif.NewBuf(1514)
	b.CopyFrom(append(ether, h...))
	return b
}

// TestQueueMarksInsteadOfDropping: what finds Mark frames waiting is marked CE if it can be
// (RFC 3168 section 5), and is else as it was; with DropNotECT what can't is dropped.
func TestQueueMarksInsteadOfDropping(t *testing.T) {
	for _, c := range []struct {
		name             string
		path             Path
		v6, tagged       bool
		ecn, want        byte // of those that find the queue long enough
		marked, qd, from int
	}{
		{"ECT(0)", Path{Mark: 2}, false, false, 2, 3, 5, 0, 3},
		{"ECT(1)", Path{Mark: 2}, false, false, 1, 3, 5, 0, 3},
		{"CE already", Path{Mark: 2, DropNotECT: true}, false, false, 3, 3, 0, 0, 3},
		{"Not-ECT passes", Path{Mark: 2}, false, false, 0, 0, 0, 0, 3},
		{"Not-ECT is dropped", Path{Mark: 2, DropNotECT: true}, false, false, 0, 0, 0, 5, 3},
		{"bytes", Path{MarkBytes: 3 * 114}, false, false, 2, 3, 4, 0, 4},
		{"frames or bytes", Path{Mark: 6, MarkBytes: 3 * 114}, false, false, 2, 3, 4, 0, 4},
		{"VLAN", Path{Mark: 2}, false, true, 2, 3, 5, 0, 3},
		{"IPv6", Path{Mark: 2}, true, false, 2, 3, 5, 0, 3},
		{"IPv6 in a VLAN", Path{Mark: 2, DropNotECT: true}, true, true, 1, 3, 5, 0, 3},
		{"full all the same", Path{Mark: 2, Queue: 4}, false, false, 2, 3, 2, 3, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			var clock Virtual
			c.path.Rate = 1e6
			a, b := NewLink(Config{Clock: &clock, Path: c.path})
			for i := range 8 { // one in transmission, the others wait
				send(t, a, ipFrame(c.v6, c.tagged, uint16(i), c.ecn))
			}
			i := 0
			bufs := empties(1)
			for at := b.Next(); at != never; at = b.Next() {
				clock.Set(at)
				b.Take(bufs)
				want := ipFrame(c.v6, c.tagged, uint16(i), c.ecn)
				if i >= c.from {
					want = ipFrame(c.v6, c.tagged, uint16(i), c.want) // the checksum is that of a new header
				}
				if !bytes.Equal(bufs[0].Bytes(), want.Bytes()) {
					t.Fatalf("frame %d:\n%x, want\n%x", i, bufs[0].Bytes(), want.Bytes())
				}
				i++
			}
			s, _ := a.Stats()
			if int(s.Marked) != c.marked || int(s.QueueDrops) != c.qd || i != 8-c.qd {
				t.Errorf("%d arrived, %+v", i, s)
			}
			conserved(t, s, 0)
		})
	}
}

// TestMarkKeepsChecksum: for every header the updated checksum is right if the old one was, and
// wrong if it was not (RFC 1624 section 3).
func TestMarkKeepsChecksum(t *testing.T) {
	for id := range 1 << 16 {
		b := ipFrame(false, false, uint16(id), byte(1+id&1))
		h := b.Bytes()[14:]
		h[11] ^= byte(id >> 3 & 1)
		good := pkt.Sum(0, h[:20])
		setCE(b.Bytes())
		if now := pkt.Sum(0, h[:20]); (pkt.Checksum(good) == 0) != (pkt.Checksum(now) == 0) {
			t.Fatalf("%x", h[:20])
		}
	}
}

// TestOthersAreNotMarked: what is no IP packet, or too short for one, passes.
func TestOthersAreNotMarked(t *testing.T) {
	for _, f := range []func(f []byte) []byte{
		func(f []byte) []byte { f[13] = 6; return f },         // ARP
		func(f []byte) []byte { f[14] = 0x65; return f },      // the version is another
		func(f []byte) []byte { return f[:14] },               // no header
		func(f []byte) []byte { return f[:33] },               // not all of it
		func(f []byte) []byte { f[12] = 0x81; return f[:16] }, // not all of the tag
	} {
		b := netif.NewBuf(1514)
		b.CopyFrom(f(ipFrame(false, false, 1, 2).Bytes()))
		if capable(b.Bytes()) || marked(b.Bytes()) {
			t.Errorf("%x", b.Bytes())
		}
	}
}

// TestSwitchMarksEachPortsOwnCopy: a flooded frame is marked on the port whose queue is long, and
// nowhere else.
func TestSwitchMarksEachPortsOwnCopy(t *testing.T) {
	var clock Virtual
	w := NewSwitch(SwitchConfig{Clock: &clock})
	from, slow, fast := w.Port(), w.Port(), w.Port()
	if err := slow.SetIn(Path{Rate: 1e6, Mark: 1}); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		f := ipFrame(false, false, uint16(i), 2)
		copy(f.Bytes(), []byte{255, 255, 255, 255, 255, 255})
		send(t, from, f)
	}
	ecn := func(p *SwitchPort) (got []byte) {
		bufs := empties(1)
		for at := p.Next(); at != never; at = p.Next() {
			clock.Set(at)
			for p.Take(bufs) > 0 {
				got = append(got, bufs[0].Bytes()[15]&3)
			}
		}
		return got
	}
	if got := ecn(fast); !bytes.Equal(got, []byte{2, 2, 2, 2}) {
		t.Errorf("the fast port: %v", got)
	}
	if got := ecn(slow); !bytes.Equal(got, []byte{2, 2, 3, 3}) {
		t.Errorf("the slow port: %v", got)
	}
}
