package tcp

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// Flags are the control bits of a segment, as in octet 13 of its header
// (RFC 9293 section 3.1).
type Flags uint8

const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

const (
	minHeaderLen = 20

	// defaultMSS is what a peer that sent no MSS option can take (RFC 9293
	// section 3.7.1, MUST-15).
	defaultMSS = 536
	// minMSS bounds what a peer can talk us down to: its option says how much
	// work each of our bytes costs (CVE-2019-11479).
	minMSS = 48

	optEnd       = 0
	optNop       = 1
	optMSS       = 2
	optWScale    = 3
	optTimestamp = 8

	// timestampHeader is NOP, NOP, kind 8, length 10: how RFC 7323 appendix A
	// lays the option out, and everybody sends it.
	timestampHeader = optNop<<24 | optNop<<16 | optTimestamp<<8 | 10
)

// Segment is a parsed TCP segment. Its slices point into the frame.
type Segment struct {
	Payload []byte
	SACK    []byte // the blocks of the option, 8 bytes each

	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Wnd              uint16 // as in the header, not scaled
	Urg              uint16
	Flags            Flags

	MSS    uint16 // the option of a SYN; of others, what of the payload is one segment's: feature gro. 0: none, all
	WScale int8   // -1: no option
	HasTS  bool
	ECN    uint8 // the low two bits of the IPv4 header's TOS: the caller of Parse sets it, for the feature ecn
	TSVal  uint32
	TSEcr  uint32

	SACKPermitted bool
}

// Len returns the segment's length in sequence space: SYN and FIN count one
// octet each (RFC 9293 section 3.4).
func (s *Segment) Len() uint32 {
	n := uint32(len(s.Payload))
	if s.Flags&SYN != 0 {
		n++
	}
	if s.Flags&FIN != 0 {
		n++
	}
	return n
}

// Parse reads the segment in p, the payload of an IPv4 datagram whose
// pseudo-header adds up to pseudo, and verifies its checksum.
func Parse(p []byte, pseudo uint32, s *Segment) ipv4.Drop {
	if len(p) < minHeaderLen {
		return ipv4.DropTCPShort
	}
	hlen := int(p[12]>>4) * 4
	if hlen < minHeaderLen || hlen > len(p) {
		return ipv4.DropTCPDataOffset
	}
	if !(feature.GRO && pseudo == verified) && pkt.Checksum(pkt.Sum(pseudo, p)) != 0 {
		return ipv4.DropTCPChecksum
	}
	s.SrcPort = pkt.BigEndian.Uint16(p[0:])
	s.DstPort = pkt.BigEndian.Uint16(p[2:])
	s.Seq = pkt.BigEndian.Uint32(p[4:])
	s.Ack = pkt.BigEndian.Uint32(p[8:])
	s.Flags = Flags(p[13])
	s.Wnd = pkt.BigEndian.Uint16(p[14:])
	s.Urg = pkt.BigEndian.Uint16(p[18:])
	s.MSS, s.WScale, s.HasTS = 0, -1, false
	if feature.SACK {
		s.SACKPermitted, s.SACK = false, nil
	}
	s.Payload = p[hlen:]
	opt := p[minHeaderLen:hlen]
	if len(opt) == 12 && pkt.BigEndian.Uint32(opt) == timestampHeader {
		if feature.Timestamps {
			s.setTimestamps(opt[4:])
		}
		return ipv4.DropNone
	}
	s.parseOptions(opt)
	return ipv4.DropNone
}

// parseOptions reads the options known to this build. "A TCP implementation MUST
// be able to receive a TCP Option in any segment" and "MUST ignore without
// error any TCP Option it does not implement" (RFC 9293 section 3.1, MUST-5 and
// MUST-6). An illegal length ends the parsing, which is how most stacks are
// "prepared to handle an illegal option length" (MUST-7): the segment itself is
// still good.
func (s *Segment) parseOptions(opt []byte) {
	for len(opt) > 0 {
		kind := opt[0]
		if kind == optEnd {
			return
		}
		if kind == optNop {
			opt = opt[1:]
			continue
		}
		if len(opt) < 2 {
			return
		}
		n := int(opt[1])
		if n < 2 || n > len(opt) {
			return
		}
		v := opt[2:n]
		opt = opt[n:]
		switch kind {
		case optMSS:
			if len(v) == 2 && s.Flags&SYN != 0 {
				s.MSS = pkt.BigEndian.Uint16(v)
			}
		case optWScale:
			if feature.WScale && len(v) == 1 && s.Flags&SYN != 0 {
				s.setWScale(v[0])
			}
		case optSACKPermitted:
			if feature.SACK && s.Flags&SYN != 0 {
				s.SACKPermitted = true
			}
		case optSACK:
			if feature.SACK {
				s.setSACK(v)
			}
		case optTimestamp:
			if feature.Timestamps && len(v) == 8 {
				s.setTimestamps(v)
			}
		}
	}
}

// putHeader writes the 20 fixed bytes of a header whose checksum is still 0.
func putHeader(h []byte, src, dst uint16, seq, ack uint32, hlen int, f Flags, wnd uint16) {
	_ = h[19]
	pkt.BigEndian.PutUint16(h[0:], src)
	pkt.BigEndian.PutUint16(h[2:], dst)
	pkt.BigEndian.PutUint32(h[4:], seq)
	pkt.BigEndian.PutUint32(h[8:], ack)
	h[12] = byte(hlen) << 2
	h[13] = byte(f)
	pkt.BigEndian.PutUint16(h[14:], wnd)
	pkt.BigEndian.PutUint32(h[16:], 0)
}

// putSum writes the checksum of the segment p, in which it is still 0.
//
//go:noinline
func putSum(p []byte, src, dst ipv4.Addr) {
	acc := ipv4.PseudoSum(src, dst, ipv4.ProtoTCP, len(p))
	pkt.BigEndian.PutUint16(p[16:], pkt.Checksum(pkt.Sum(acc, p)))
}

// Reset appends to b the segment that answers s, which belongs to no
// connection, and reports whether there is one: "If the ACK bit is off,
// sequence number zero is used [...] If the ACK bit is on, <SEQ=SEG.ACK>
// <CTL=RST>". A reset is never answered (RFC 9293 section 3.10.7.1).
func Reset(s *Segment, src, dst ipv4.Addr, b *pkt.Buf) bool {
	if s.Flags&RST != 0 {
		return false
	}
	var seq, ack uint32
	f := RST
	if s.Flags&ACK != 0 {
		seq = s.Ack
	} else {
		ack, f = s.Seq+s.Len(), RST|ACK
	}
	h := b.Append(minHeaderLen)
	putHeader(h, s.DstPort, s.SrcPort, seq, ack, minHeaderLen, f, 0)
	putSum(h, src, dst)
	return true
}
