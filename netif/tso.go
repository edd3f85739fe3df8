package netif

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// A Cutter makes the frames that a wire takes of one that an Offloader was given: it is what a
// device does that has to segment by itself.
//
//	var c netif.Cutter
//	for ok := c.Begin(b); ok && c.Next(frame); { ... }
type Cutter struct {
	_ noCompare

	head []byte // of the super-segment: Ethernet, IPv4, TCP
	data []byte // not yet cut
	size int    // payload of a segment
	at   uint32 // where in the sequence
	ip   int    // length of the IPv4 header
	last byte   // flags that only the last segment has
}

const (
	tcpFIN, tcpPSH = 1, 8
	tcpHeaderLen   = 20
)

// Begin begins with the super-segment in b, which must not change until the end. It returns
// false if that is none: not TCP over IPv4 with data and a segment size.
func (c *Cutter) Begin(b *Buf) bool {
	f := b.Bytes()
	ip, tcp := headers(f)
	c.size = SegmentSize(b)
	if tcp == 0 || c.size == 0 || len(f) == EthernetHeaderLen+ip+tcp {
		return false
	}
	c.ip = ip
	c.head, c.data = f[:EthernetHeaderLen+ip+tcp], f[EthernetHeaderLen+ip+tcp:]
	t := f[EthernetHeaderLen+ip:]
	c.at, c.last = pkt.BigEndian.Uint32(t[4:]), t[13]&(tcpFIN|tcpPSH)
	return true
}

// headers returns the lengths of the IPv4 and the TCP header of frame f, or 0 and 0 if it has none.
func headers(f []byte) (ip, tcp int) {
	if len(f) < EthernetHeaderLen+ipv4.MinHeaderLen+tcpHeaderLen || Ethernet(f).Type() != EtherTypeIPv4 {
		return 0, 0
	}
	p := f[EthernetHeaderLen:]
	ip = int(p[0]&15) * 4
	if p[0]>>4 != 4 || ip < ipv4.MinHeaderLen || p[9] != ipv4.ProtoTCP || len(p) < ip+tcpHeaderLen {
		return 0, 0
	}
	tcp = int(p[ip+12]>>4) * 4
	if tcp < tcpHeaderLen || len(p) < ip+tcp {
		return 0, 0
	}
	return ip, tcp
}

// Frames returns how many frames are left to be made, Bytes how long they are together, and FrameLen
// how long the longest is.
func (c *Cutter) Frames() int { return (len(c.data) + c.size - 1) / c.size }

// Bytes: see Frames.
func (c *Cutter) Bytes() int { return c.Frames()*len(c.head) + len(c.data) }

// FrameLen: see Frames.
func (c *Cutter) FrameLen() int { return len(c.head) + min(c.size, len(c.data)) }

// Next puts the next frame, with its checksums, into to, and returns false if there is none left.
func (c *Cutter) Next(to *Buf) bool {
	n := min(c.size, len(c.data))
	if n == 0 {
		return false
	}
	to.Reset()
	f := to.Append(len(c.head) + n)
	copy(f, c.head)
	p := f[EthernetHeaderLen:]
	pkt.BigEndian.PutUint16(p[2:], uint16(len(p)))
	pkt.BigEndian.PutUint16(p[10:], 0)
	pkt.BigEndian.PutUint16(p[10:], pkt.Checksum(pkt.Sum(0, p[:c.ip])))
	t := p[c.ip:]
	pkt.BigEndian.PutUint32(t[4:], c.at)
	if n < len(c.data) {
		t[13] &^= c.last
	}
	pkt.BigEndian.PutUint16(t[16:], 0)
	hlen := len(t) - n
	acc := ipv4.PseudoSum(ipv4.AddrAt(p[12:16]), ipv4.AddrAt(p[16:20]), ipv4.ProtoTCP, len(t))
	acc = pkt.Sum(acc, t[:hlen])
	if feature.FastSum {
		acc += pkt.CopySum(t[hlen:], c.data[:n])
	} else {
		copy(t[hlen:], c.data[:n])
		acc = pkt.Sum(acc, t[hlen:])
	}
	pkt.BigEndian.PutUint16(t[16:], pkt.Checksum(acc))
	c.at += uint32(n)
	c.data = c.data[n:]
	return true
}

// Complete computes the checksum of the frame in b if it is SumPartial, which it is not any more
// then. It is for frames that are no super-segments.
func Complete(b *Buf) {
	if Summed(b) != SumPartial {
		return
	}
	SetSummed(b, SumFull)
	f := b.Bytes()
	if ip, tcp := headers(f); tcp != 0 {
		end := EthernetHeaderLen + int(pkt.BigEndian.Uint16(f[EthernetHeaderLen+2:])) // padding does not count
		t := f[EthernetHeaderLen+ip : max(min(end, len(f)), EthernetHeaderLen+ip+tcp)]
		pkt.BigEndian.PutUint16(t[16:], pkt.Checksum(pkt.Sum(0, t)))
	}
}
