package stack

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

func reassemblyOf(s *Stack) *ipv4.Reassembly { return (*ipv4.Reassembly)(s.reasm) }

// reassemble takes a fragment. When it completes its datagram, the payload is
// returned, and h and p become the whole packet's; else payload is nil.
func (s *Stack) reassemble(h *ipv4.Header, p *[]byte, payload []byte) ([]byte, ipv4.Drop) {
	if s.reasm == nil {
		s.reasm = unsafe.Pointer(new(ipv4.Reassembly))
	}
	whole, _, d := reassemblyOf(s).Input(s.now, h, payload)
	s.Drops[ipv4.DropReassemblyMemory] += reassemblyOf(s).Evicted
	reassemblyOf(s).Evicted = 0
	if whole != nil {
		*p = reassemblyOf(s).Packet()
		ipv4.Parse(*p, h)
	}
	return whole, d
}

// pollReassembly gives up what has been incomplete for too long and tells the
// senders.
func (s *Stack) pollReassembly() pkt.Time {
	for {
		quote, d, next := reassemblyOf(s).Poll(s.now)
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
