package stack

import (
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// reassemble takes a fragment. When it completes its datagram, the payload is
// returned, and h and p become the whole packet's; else payload is nil.
func (s *Stack) reassemble(h *ipv4.Header, p *[]byte, payload []byte) ([]byte, ipv4.Drop) {
	if s.reasm == nil {
		s.reasm = new(ipv4.Reassembly)
	}
	whole, hdr, d := s.reasm.Input(s.now, h, payload)
	s.Drops[ipv4.DropReassemblyMemory] += s.reasm.Evicted
	s.reasm.Evicted = 0
	if whole != nil {
		*h, *p = hdr, s.reasm.Packet()
	}
	return whole, d
}

// pollReassembly gives up what has been incomplete for too long and tells the
// senders.
func (s *Stack) pollReassembly() pkt.Time {
	for {
		quote, d, next := s.reasm.Poll(s.now)
		if d == ipv4.DropNone {
			return next
		}
		s.drop(d)
		var h ipv4.Header
		if quote == nil {
			continue
		}
		if payload, d := ipv4.Parse(quote, &h); d == ipv4.DropNone {
			s.sendICMPError(&h, quote, payload, s.isBroadcast(h.Dst), ipv4.ICMPTimeExceeded, ipv4.ExceededReassembly, 0)
		}
	}
}
