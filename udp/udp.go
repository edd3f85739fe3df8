// Package udp holds the User Datagram Protocol (RFC 768): the header, a bounded
// queue of received datagrams, and the part of a socket that knows no stack.
//
// It has no clock, no locks and no routes: package stack has those.
package udp

import (
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// HeaderLen is the length of the header, in bytes.
const HeaderLen = 8

// MaxPayload is the longest payload of a datagram in an IPv4 packet without
// options, in bytes.
const MaxPayload = ipv4.MaxLen - ipv4.MinHeaderLen - HeaderLen

// Parse reads the datagram p that src sent to dst and returns its ports and its
// payload, a part of p, without what may follow the length that it claims.
func Parse(p []byte, src, dst ipv4.Addr) (srcPort, dstPort uint16, payload []byte, d ipv4.Drop) {
	if len(p) < HeaderLen {
		return 0, 0, nil, ipv4.DropUDPShort
	}
	w := pkt.BigEndian.Uint64(p)
	n := int(uint16(w >> 16))
	if n < HeaderLen || n > len(p) {
		return 0, 0, nil, ipv4.DropUDPLen
	}
	// "An all zero transmitted checksum value means that the transmitter generated
	// no checksum". RFC 768.
	if uint16(w) != 0 && pkt.Checksum(pkt.Sum(ipv4.PseudoSum(src, dst, ipv4.ProtoUDP, n), p[:n])) != 0 {
		return 0, 0, nil, ipv4.DropUDPChecksum
	}
	return uint16(w >> 48), uint16(w >> 32), p[HeaderLen:n:n], ipv4.DropNone
}

// Put writes the header of a datagram from src to dst with the given payload, of
// at most MaxPayload bytes, into the first HeaderLen bytes of p.
func Put(p []byte, src, dst ipv4.Endpoint, payload []byte) {
	n := HeaderLen + len(payload)
	w := uint64(src.Port)<<48 | uint64(dst.Port)<<32 | uint64(n)<<16
	sum := ipv4.PseudoSum(src.Addr, dst.Addr, ipv4.ProtoUDP, n)
	c := pkt.Checksum(pkt.Sum(sum+uint32(src.Port)+uint32(dst.Port)+uint32(n), payload))
	// "If the computed checksum is zero, it is transmitted as all ones". RFC 768.
	if c == 0 {
		c = 0xffff
	}
	pkt.BigEndian.PutUint64(p, w|uint64(c))
}
