package stack

import (
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// sendFragments sends the payload in b in pieces that fit the path's MTU (RFC 791
// section 3.2; RFC 1122 section 3.3.3).
func (s *Stack) sendFragments(b *pkt.Buf, h *ipv4.Header, p *path) ipv4.Drop {
	payload := b.Bytes()
	if h.HeaderLen()+len(payload) > ipv4.MaxLen {
		s.pool.Put(b)
		return ipv4.DropMTU
	}
	var f ipv4.Fragmenter
	f.Start(h, len(payload), int(p.mtu))
	for from, to, ok := f.Next(); ok; from, to, ok = f.Next() {
		k := s.pool.Get()
		copy(k.Append(to-from), payload[from:to])
		f.Put(k.Prepend(f.HeaderLen()))
		s.sendPacket(k, h.Dst, p)
	}
	s.pool.Put(b)
	return ipv4.DropNone
}
