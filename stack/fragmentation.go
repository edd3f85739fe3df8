package stack

import "github.com/bonsainet/bonsai/ipv4"

// sendFragments sends head and data, one behind the other, in pieces that fit the
// path's MTU (RFC 791 section 3.2; RFC 1122 section 3.3.3). The whole is nowhere
// in memory.
func (s *Stack) sendFragments(h *ipv4.Header, p *path, head, data []byte) ipv4.Drop {
	n := len(head) + len(data)
	if h.HeaderLen()+n > ipv4.MaxLen {
		return ipv4.DropMTU
	}
	h.ID = s.ids.Next(h.Src, h.Dst, h.Proto)
	var f ipv4.Fragmenter
	f.Start(h, n, int(p.mtu))
	for from, to, ok := f.Next(); ok; from, to, ok = f.Next() {
		b := s.pool.Get()
		q := b.Append(to - from)
		if from < len(head) {
			q = q[copy(q, head[from:]):]
			from = len(head)
		}
		copy(q, data[from-len(head):])
		f.Put(b.Prepend(f.HeaderLen()))
		s.sendPacket(b, h.Dst, p)
	}
	return ipv4.DropNone
}
