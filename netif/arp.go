package netif

import (
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// ARP operations (RFC 826).
const (
	ARPRequest = 1
	ARPReply   = 2
)

// ARPLen is the length in bytes of an ARP packet for IPv4 on Ethernet.
const ARPLen = 28

// arpHead is ar$hrd (Ethernet), ar$pro (IPv4), ar$hln and ar$pln, as one word.
const arpHead = 1<<48 | EtherTypeIPv4<<32 | 6<<24 | 4<<16

// ARP is an address resolution packet for IPv4 on Ethernet (RFC 826).
type ARP struct {
	Op       uint16 // ARPRequest or ARPReply
	SHA, THA MAC    // sender's and target's hardware address
	SPA, TPA ipv4.Addr
}

// Parse reads an ARP packet, what is behind it being padding, and reports
// whether it is one that a host may act on.
func (a *ARP) Parse(b []byte) bool {
	if len(b) < ARPLen {
		return false
	}
	// "?Do I have the hardware type in ar$hrd? [...] ?Do I speak the protocol in
	// ar$pro?" (RFC 826, Packet Reception).
	h := pkt.BigEndian.Uint64(b)
	a.Op = uint16(h)
	a.SHA = MAC(b[8:14])
	a.SPA = ipv4.AddrAt(b[14:18])
	a.THA = MAC(b[18:24])
	a.TPA = ipv4.AddrAt(b[24:28])
	// A group address can't be a sender's (RFC 1812 section 3.3.2 says so for
	// routers: an entry for it would turn unicast into broadcast).
	return h&^0xffff == arpHead && (a.Op == ARPRequest || a.Op == ARPReply) && !a.SHA.IsMulticast()
}

// Put writes the packet into the first ARPLen bytes of b.
func (a *ARP) Put(b []byte) {
	_ = b[ARPLen-1]
	pkt.BigEndian.PutUint64(b, arpHead|uint64(a.Op))
	copy(b[8:14], a.SHA[:])
	a.SPA.Put(b[14:18])
	copy(b[18:24], a.THA[:])
	a.TPA.Put(b[24:28])
}
