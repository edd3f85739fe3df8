package emu

import "github.com/bonsainet/bonsai/internal/pkt"

// Codepoints of RFC 3168 section 5.
const (
	notECT = 0
	ce     = 3
)

// header returns the IP header in a frame, behind a VLAN tag if there is one, and where
// in its first 16 bits the ECN field begins; or nil for what is no IP packet.
func header(frame []byte) (h []byte, shift uint) {
	t := pkt.BigEndian.Uint16(frame[12:])
	h = frame[headerLen:]
	if t == 0x8100 && len(h) >= tagLen {
		t, h = pkt.BigEndian.Uint16(h[2:]), h[tagLen:]
	}
	switch {
	case t == 0x0800 && len(h) >= 20 && h[0]>>4 == 4:
		return h, 0
	case t == 0x86dd && len(h) >= 40 && h[0]>>4 == 6:
		return h, 4 // in the traffic class
	}
	return nil, 0
}

// codepoint returns a frame's ECN field. What is no IP packet can't be marked.
func codepoint(frame []byte) uint16 {
	h, shift := header(frame)
	if h == nil {
		return notECT
	}
	return pkt.BigEndian.Uint16(h) >> shift & 3
}

// capable says whether a frame's sender would understand a mark that it does not have.
func capable(frame []byte) bool { c := codepoint(frame); return c != notECT && c != ce }

// marked says whether a frame has the mark already.
func marked(frame []byte) bool { return codepoint(frame) == ce }

// setCE marks a frame. The checksum of the IPv4 header is updated, not computed, so that one
// that was wrong stays so: HC' = ~(~HC + ~m + m') (RFC 1624 section 3).
func setCE(frame []byte) {
	h, shift := header(frame)
	old := pkt.BigEndian.Uint16(h)
	pkt.BigEndian.PutUint16(h, old|ce<<shift)
	if shift != 0 { // IPv6 has none
		return
	}
	sum := uint32(^pkt.BigEndian.Uint16(h[10:])) + uint32(^old) + uint32(old|ce)
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	pkt.BigEndian.PutUint16(h[10:], ^uint16(sum))
}
