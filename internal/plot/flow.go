// Package plot draws what a capture says about a TCP connection: time-sequence plots, bytes
// in flight and round trips, as SVG.
package plot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/bonsainet/bonsai/netif/pcap"
)

// Flow is one direction of a connection: data one way, acknowledgments the other. Times are
// seconds since the first packet; sequence numbers are relative to the SYN's, or to the
// first that was seen.
type Flow struct {
	Name     string
	Segments []Segment
	Acks     []Ack
	Samples  []Sample // of a simulation

	base   uint32
	known  bool
	scale  int // shift of the windows in Acks, from the SYN; -1: none
	nxt    uint32
	bytes  int
	sentAt map[uint32]float64 // by end: sent once
	order  int
}

// Segment is one with data, SYN or FIN.
type Segment struct {
	T      float64
	Lo, Hi uint32
	Again  bool // begins before the end of what was sent earlier
}

// Ack is an acknowledgment.
type Ack struct {
	T        float64
	Ack, Wnd uint32
	Blocks   [][2]uint32 // of SACK
	Dup      bool        // the first block is a D-SACK
	RTT      float64     // of the newest segment that it acknowledges, if that was sent once; else 0
}

// Sample is the sender's own state; bytes and seconds. Ssthresh may be 0: none.
type Sample struct{ T, Cwnd, Ssthresh, RTT float64 }

// Read returns the directions of all TCP connections in a capture of Ethernet (or of plain IPv4)
// that carry data, most data first.
func Read(r io.Reader) ([]*Flow, error) {
	p, err := pcap.NewReader(r)
	if err != nil {
		return nil, err
	}
	flows := map[[2]netip.AddrPort]*Flow{}
	var start int64
	for first := true; ; first = false {
		ns, frame, _, err := p.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if first {
			start = ns
		}
		packet(flows, float64(ns-start)/1e9, frame)
	}
	var list []*Flow
	for _, f := range flows {
		if f.bytes == 0 {
			continue
		}
		i := len(list)
		for i > 0 && (list[i-1].bytes < f.bytes || list[i-1].bytes == f.bytes && list[i-1].order > f.order) {
			i--
		}
		list = append(list[:i], append([]*Flow{f}, list[i:]...)...)
	}
	if len(list) == 0 {
		return nil, errors.New("no TCP connection with data in it")
	}
	return list, nil
}

// packet takes one packet into its connection.
func packet(flows map[[2]netip.AddrPort]*Flow, t float64, f []byte) {
	if len(f) >= 18 && f[12] == 0x81 && f[13] == 0 {
		f = f[4:]
	}
	if len(f) > 34 && f[12] == 8 && f[13] == 0 {
		f = f[14:]
	}
	if len(f) < 20 || f[0]>>4 != 4 || f[9] != 6 || binary.BigEndian.Uint16(f[6:])&0x1fff != 0 {
		return
	}
	ihl, total := int(f[0]&15)*4, int(binary.BigEndian.Uint16(f[2:]))
	if ihl < 20 || len(f) < ihl+20 || total < ihl+20 {
		return
	}
	h := f[ihl:]
	off := int(h[12]>>4) * 4
	if off < 20 || total < ihl+off || len(h) < off {
		return
	}
	src := netip.AddrPortFrom(netip.AddrFrom4([4]byte(f[12:16])), binary.BigEndian.Uint16(h))
	dst := netip.AddrPortFrom(netip.AddrFrom4([4]byte(f[16:20])), binary.BigEndian.Uint16(h[2:]))
	get := func(a, b netip.AddrPort) *Flow {
		k := [2]netip.AddrPort{a, b}
		if flows[k] == nil {
			flows[k] = &Flow{Name: fmt.Sprintf("%v > %v", a, b), scale: -1, sentAt: map[uint32]float64{}, order: len(flows)}
		}
		return flows[k]
	}
	out, in := get(src, dst), get(dst, src)
	seq, ack, flags := binary.BigEndian.Uint32(h[4:]), binary.BigEndian.Uint32(h[8:]), h[13]
	n := uint32(total - ihl - off)
	out.bytes += int(n)
	if !out.known {
		out.known, out.base, out.nxt = true, seq, seq
	}
	if size := n + uint32(flags&1) + uint32(flags>>1&1); size > 0 {
		out.sent(t, seq, seq+size)
	}
	blocks, scale := options(h[20:off])
	if flags&2 != 0 { // the windows that this side offers are for what the other sends
		in.scale = scale
	}
	if flags&0x10 != 0 && in.known {
		in.acked(t, ack, uint32(binary.BigEndian.Uint16(h[14:])), blocks, flags&2 != 0)
	}
}

// options returns the SACK blocks and the window scale, -1 for none.
func options(o []byte) (blocks [][2]uint32, scale int) {
	scale = -1
	for len(o) > 0 && o[0] != 0 {
		if o[0] == 1 {
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			break
		}
		v := o[2:o[1]]
		switch {
		case o[0] == 5:
			for ; len(v) >= 8; v = v[8:] {
				blocks = append(blocks, [2]uint32{binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])})
			}
		case o[0] == 3 && len(v) == 1:
			scale = int(min(v[0], 14))
		}
		o = o[o[1]:]
	}
	return blocks, scale
}

func (f *Flow) sent(t float64, lo, hi uint32) {
	again := int32(lo-f.nxt) < 0
	if again {
		f.sentAt[hi] = -1
	} else {
		f.sentAt[hi] = t
	}
	if int32(hi-f.nxt) > 0 {
		f.nxt = hi
	}
	f.Segments = append(f.Segments, Segment{t, lo - f.base, hi - f.base, again})
}

func (f *Flow) acked(t float64, ack, wnd uint32, blocks [][2]uint32, syn bool) {
	if f.scale > 0 && !syn {
		wnd <<= f.scale
	}
	a := Ack{T: t, Ack: ack - f.base, Wnd: wnd}
	for i, b := range blocks {
		if i == 0 && (int32(b[1]-ack) <= 0 || len(blocks) > 1 && int32(b[0]-blocks[1][0]) >= 0 && int32(blocks[1][1]-b[1]) >= 0) {
			a.Dup = true
		}
		a.Blocks = append(a.Blocks, [2]uint32{b[0] - f.base, b[1] - f.base})
	}
	if at, ok := f.sentAt[ack]; ok && at >= 0 {
		a.RTT = t - at
		delete(f.sentAt, ack)
	}
	f.Acks = append(f.Acks, a)
}
