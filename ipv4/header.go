package ipv4

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// Sizes in bytes.
const (
	MinHeaderLen = 20    // without options
	MaxHeaderLen = 60    // with all that IHL can express
	MinMTU       = 68    // every link carries this much unfragmented (RFC 791 section 3.2)
	MaxLen       = 65535 // of a packet, header included
)

// Protocol numbers.
const (
	ProtoICMP = 1
	ProtoIGMP = 2
	ProtoTCP  = 6
	ProtoUDP  = 17
)

// DefaultTTL is the time to live of what we send (RFC 1700), in hops.
const DefaultTTL = 64

// Bits of the word that holds the flags and the fragment offset.
const (
	flagDF   = 0x4000
	flagMF   = 0x2000
	fragMask = 0x1fff
)

// Header is the IPv4 header (RFC 791 section 3.1), without what can be had
// from the rest: version, IHL and checksum.
type Header struct {
	Src, Dst Addr
	TotalLen uint16 // header and payload, in bytes
	ID       uint16
	FragOff  uint16 // offset of a fragment's payload in bytes, a multiple of 8
	MF, DF   bool   // more fragments, don't fragment
	TTL      uint8  // hops
	TOS      uint8  // DSCP and ECN
	Proto    uint8
	Options  []byte // raw; length a multiple of 4, at most 40
}

// HeaderLen returns the length of the header with its options, in bytes.
func (h *Header) HeaderLen() int { return MinHeaderLen + len(h.Options) }

// IsFragment reports whether h is the header of a fragment.
func (h *Header) IsFragment() bool { return h.MF || h.FragOff != 0 }

// Parse reads the header in front of p into h and returns the payload, without
// the padding that Ethernet may have put behind it. Payload and h.Options are
// parts of p. When it returns a reason to drop the packet, h is not valid.
//
// Neither addresses nor options are checked: see BadSource and CheckOptions.
func Parse(p []byte, h *Header) (payload []byte, d Drop) {
	if len(p) < MinHeaderLen {
		return nil, DropIPShort
	}
	w0, w1, w2 := pkt.BigEndian.Uint64(p), pkt.BigEndian.Uint64(p[8:]), pkt.BigEndian.Uint32(p[16:])
	hlen := int(w0>>54) & 0x3c
	total := int(w0>>32) & 0xffff
	switch {
	case w0>>60 != 4:
		// "A datagram whose version number is not 4 MUST be silently discarded."
		// RFC 1122 section 3.2.1.1.
		d = DropIPVersion
	case hlen < MinHeaderLen || hlen > total:
		d = DropIPHeaderLen
	case total > len(p):
		d = DropIPTotalLen
	case feature.FastSum && pkt.Checksum(headerSum(p[:hlen], w0, w1, w2)) != 0,
		!feature.FastSum && pkt.Checksum(pkt.Sum(0, p[:hlen])) != 0:
		// "A host MUST verify the IP header checksum on every received datagram and
		// silently discard every datagram that has a bad checksum." RFC 1122 section
		// 3.2.1.2.
		d = DropIPChecksum
	default:
		h.Src = Addr(w1)
		h.Dst = Addr(w2)
		h.TotalLen = uint16(total)
		h.ID = uint16(w0 >> 16)
		h.FragOff = uint16(w0) & fragMask << 3
		h.MF = w0&flagMF != 0
		h.DF = w0&flagDF != 0
		h.TTL = uint8(w1 >> 56)
		h.TOS = uint8(w0 >> 48)
		h.Proto = uint8(w1 >> 48)
		h.Options = p[MinHeaderLen:hlen:hlen]
		return p[hlen:total:total], DropNone
	}
	return nil, d
}

// Plain returns the length of the packet in front of p and its type of service if its header
// has no options, is good and of protocol proto, and it is no fragment: else Parse tells.
func Plain(p []byte, proto uint8) (n int, tos uint8) {
	if len(p) < MinHeaderLen {
		return 0, 0
	}
	w0, w1, w2 := pkt.BigEndian.Uint64(p), pkt.BigEndian.Uint64(p[8:]), pkt.BigEndian.Uint32(p[16:])
	if n = int(w0>>32) & 0xffff; n < MinHeaderLen || n > len(p) {
		return 0, 0
	}
	if w0>>56 != 0x45 || w0&(flagMF|fragMask) != 0 || uint8(w1>>48) != proto || pkt.Checksum(sumWords(w0, w1, w2)) != 0 {
		return 0, 0
	}
	return n, uint8(w0 >> 48)
}

// Put writes the header with its options and its checksum into the first
// h.HeaderLen() bytes of p. It panics when p is shorter.
func (h *Header) Put(p []byte) {
	p = p[:h.HeaderLen()]
	w0 := uint64(0x40|len(p)>>2)<<56 | uint64(h.TOS)<<48 | uint64(h.TotalLen)<<32 |
		uint64(h.ID)<<16 | uint64(h.FragOff>>3)
	if h.DF {
		w0 |= flagDF
	}
	if h.MF {
		w0 |= flagMF
	}
	w1, w2 := uint64(h.TTL)<<56|uint64(h.Proto)<<48|uint64(h.Src), uint32(h.Dst)
	if feature.FastSum {
		copy(p[MinHeaderLen:], h.Options)
		w1 |= uint64(pkt.Checksum(headerSum(p, w0, w1, w2))) << 32
	}
	pkt.BigEndian.PutUint64(p, w0)
	pkt.BigEndian.PutUint64(p[8:], w1)
	pkt.BigEndian.PutUint32(p[16:], w2)
	if !feature.FastSum {
		copy(p[MinHeaderLen:], h.Options)
		pkt.BigEndian.PutUint16(p[10:], pkt.Checksum(pkt.Sum(0, p)))
	}
}

// PutPlain writes a header without options, with DF and an identification of 0, into the first
// 20 bytes of p (RFC 6864 section 4.1).
func PutPlain(p []byte, src, dst Addr, proto, ttl, tos uint8, total uint16) {
	w0 := 0x45<<56 | uint64(tos)<<48 | uint64(total)<<32 | flagDF
	w1, w2 := uint64(ttl)<<56|uint64(proto)<<48|uint64(src), uint32(dst)
	w1 |= uint64(pkt.Checksum(sumWords(w0, w1, w2))) << 32
	pkt.BigEndian.PutUint64(p, w0)
	pkt.BigEndian.PutUint64(p[8:], w1)
	pkt.BigEndian.PutUint32(p[16:], w2)
}

// headerSum is pkt.Sum of the header in p, whose first 20 bytes are w0, w1 and w2: mostly
// that is all of it.
func headerSum(p []byte, w0, w1 uint64, w2 uint32) uint32 {
	sum := sumWords(w0, w1, w2)
	if len(p) > MinHeaderLen {
		sum += pkt.Sum(0, p[MinHeaderLen:])
	}
	return sum
}

func sumWords(w0, w1 uint64, w2 uint32) uint32 {
	acc := w0>>32 + w0&0xffffffff + w1>>32 + w1&0xffffffff + uint64(w2)
	return uint32(acc>>32) + uint32(acc>>16)&0xffff + uint32(acc)&0xffff
}

// PseudoSum returns the partial checksum over the pseudo header that TCP and
// UDP put in front of a segment of length bytes, header included (RFC 9293
// section 3.1, RFC 768).
func PseudoSum(src, dst Addr, proto uint8, length int) uint32 {
	return uint32(src>>16+src&0xffff+dst>>16+dst&0xffff) + uint32(proto) + uint32(length)
}
