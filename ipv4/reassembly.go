package ipv4

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// ReassemblyTimeout is how long a datagram may stay incomplete, counted from
// its first fragment to arrive.
//
// "It is recommended that the value lie between 60 seconds and 120 seconds."
// RFC 1122 section 3.3.2.
const ReassemblyTimeout = 60 * pkt.Second

// The largest datagram that is reassembled, EMTU_R of RFC 1122 section 3.3.2, is
// MaxLen in every profile. What is held at a time is bounded:
const (
	maxDatagrams = 4 << (2 * feature.Profile)    // incomplete ones: 4, 16, 64
	maxHeld      = 128 << (10 + feature.Profile) // bytes: 128, 256, 512 KiB
)

// Where things lie in a datagram's memory, in bytes: first a bit for each 8 bytes
// of payload that have come, RFC 791's fragment block bit table; then room for
// the longest header; then the payload.
const (
	memHeader  = (MaxLen + 1) / 64
	memPayload = memHeader + MaxHeaderLen
	maxMem     = memPayload + MaxLen - MinHeaderLen
)

// Reassembly puts fragments together. The zero Reassembly is ready to use and
// holds nothing. Its memory grows only as fragments come, within a bound, is
// used again for later datagrams, and goes when Poll finds none for a while.
type Reassembly struct {
	slots  []datagram
	packet []byte   // what Input completed last
	held   int      // bytes of memory in slots
	idle   pkt.Time // when memory kept for later is given back

	// Evicted counts the incomplete datagrams that made room for newer ones.
	Evicted uint32
}

// datagram is an incomplete one, or what is left of one when it is not active:
// memory for the next.
//
// Fragments are copied to their places at once, so that no frame is kept. With
// the bit table of RFC 791 section 3.2 no order of arrival costs more than
// another; the hole list of RFC 815 needs less memory, but a bound on the holes,
// or on the work.
type datagram struct {
	deadline pkt.Time
	mem      []byte
	src, dst uint32 // addresses: an Addr, and the program would have its methods
	id       uint16
	got      uint16 // bytes of payload that are here
	end      uint16 // where the furthest of them ends
	proto    uint8
	active   bool
	last     bool  // the last fragment is here: end is the length of the payload
	hlen     uint8 // length of the first fragment's header, 0 until it is here
	ecn      uint8 // feature ecn: a bit for each codepoint seen
}

// Input takes a fragment, as Parse returned it, and copies what it needs. When
// that completes a datagram, Input returns its payload, and its header as it was
// before somebody fragmented it; both are good until the next call of a method of
// r. Until then the payload is nil, and d says whether the fragment was kept
// (DropNone) or why not. A fragment that contradicts earlier ones takes them down
// with it.
func (r *Reassembly) Input(now pkt.Time, h *Header, payload []byte) (whole []byte, hdr Header, d Drop) {
	from, to := int(h.FragOff), int(h.FragOff)+len(payload)
	switch {
	case !h.IsFragment():
		return payload, *h, DropNone
	case len(payload) == 0 || h.MF && len(payload)&7 != 0:
		return nil, hdr, DropFragmentShort
	case to > MaxLen-MinHeaderLen:
		return nil, hdr, DropReassemblyLong
	case h.Proto == ProtoTCP && (from == 8 || from == 0 && to < 16):
		// "IF FO=1 and PROTOCOL=TCP then DROP PACKET", RFC 1858 section 4.2: no
		// link has an MTU that calls for it, but filters can be fooled with it.
		return nil, hdr, DropFragmentTiny
	}
	r.idle = now + ReassemblyTimeout
	g := r.find(now, h)
	if !g.fits(to, !h.MF) {
		g.active = false
		return nil, hdr, DropReassemblyOverlap
	}
	if memPayload+to > len(g.mem) {
		r.grow(g, memPayload+to, !h.MF)
	}
	if d = g.add(from, to, payload); d != DropNone {
		return nil, hdr, d
	}
	if feature.ECN {
		g.ecn |= 1 << (h.TOS & 3)
	}
	if from == 0 {
		g.hlen = uint8(h.HeaderLen())
		h.Put(g.mem[memPayload-int(g.hlen):])
	}
	if !g.last || g.got != g.end {
		return nil, hdr, DropNone
	}
	g.active = false
	p := g.mem[memPayload-int(g.hlen) : memPayload+int(g.end)]
	if len(p) > MaxLen {
		return nil, hdr, DropReassemblyLong
	}
	Parse(p, &hdr)
	hdr.TotalLen = uint16(len(p))
	hdr.MF = false
	if feature.ECN && !g.mark(&hdr) {
		return nil, Header{}, DropReassemblyOverlap
	}
	hdr.Put(p)
	r.packet = p
	return p[g.hlen:], hdr, DropNone
}

// Packet returns the whole packet whose payload Input returned last, header
// first, as an ICMP error quotes it and a raw socket receives it. It is good
// until the next call of another method of r.
func (r *Reassembly) Packet() []byte { return r.packet }

// Poll gives up one datagram that is incomplete for too long, if there is one: d
// is then DropReassemblyTimeout and next is not after now. quote is its first
// fragment, from the IP header on, if that has come: the datagram deserves an
// ICMP time exceeded with code ExceededReassembly then, and only then. Else d is
// DropNone, and next is when Poll has something to do again.
//
// "If this timeout expires, the partially-reassembled datagram MUST be discarded
// and an ICMP Time Exceeded message sent to the source host (if fragment zero
// has been received)." RFC 1122 section 3.3.2.
func (r *Reassembly) Poll(now pkt.Time) (quote []byte, d Drop, next pkt.Time) {
	next = pkt.Never
	for i := range r.slots {
		g := &r.slots[i]
		if !g.active {
			continue
		}
		if g.deadline <= now {
			g.active = false
			if g.hlen > 0 {
				quote = g.mem[memPayload-int(g.hlen):]
				quote = quote[:pkt.BigEndian.Uint16(quote[2:])]
			}
			return quote, DropReassemblyTimeout, now
		}
		next = min(next, g.deadline)
	}
	if next == pkt.Never && r.slots != nil {
		if next = r.idle; next <= now {
			r.slots, r.packet, r.held = nil, nil, 0
			next = pkt.Never
		}
	}
	return nil, DropNone, next
}

// find returns the datagram that h is a part of, if need be a new one, at the
// cost of the oldest.
func (r *Reassembly) find(now pkt.Time, h *Header) *datagram {
	var spare, oldest *datagram
	for i := range r.slots {
		g := &r.slots[i]
		switch {
		case !g.active:
			if spare == nil {
				spare = g
			}
		case g.id == h.ID && g.src == uint32(h.Src) && g.dst == uint32(h.Dst) && g.proto == h.Proto:
			return g
		case oldest == nil || g.deadline < oldest.deadline:
			oldest = g
		}
	}
	if spare == nil {
		if len(r.slots) < maxDatagrams {
			r.slots = append(r.slots, datagram{})
			spare = &r.slots[len(r.slots)-1]
		} else {
			// Whole datagrams arrive within a round trip: the one that has waited longest
			// is the least likely to be completed, and in a flood the least honest.
			r.Evicted++
			spare = oldest
		}
	}
	g := spare
	g.deadline = now + ReassemblyTimeout
	g.src, g.dst, g.id, g.proto = uint32(h.Src), uint32(h.Dst), h.ID, h.Proto
	g.got, g.end = 0, 0
	g.active, g.last, g.hlen, g.ecn = true, false, 0, 0
	clear(g.mem[:min(len(g.mem), memHeader)])
	return g
}

// grow makes g.mem at least n bytes long. exact says that no more will follow.
func (r *Reassembly) grow(g *datagram, n int, exact bool) {
	if !exact {
		n = min(max(n, 2*len(g.mem), 4096), maxMem)
	}
	for r.held-len(g.mem)+n > maxHeld {
		// Take the memory of a datagram that is done, else of the oldest.
		var victim *datagram
		for i := range r.slots {
			v := &r.slots[i]
			if v == g || v.mem == nil {
				continue
			}
			if victim == nil || !v.active && victim.active ||
				v.active == victim.active && v.deadline < victim.deadline {
				victim = v
			}
		}
		if victim.active {
			r.Evicted++
		}
		victim.active = false
		r.held -= len(victim.mem)
		victim.mem = nil
	}
	mem := make([]byte, n)
	copy(mem, g.mem)
	r.held += n - len(g.mem)
	g.mem = mem
}

// fits reports whether a fragment that ends at to agrees with what is known of the
// end: there is one last fragment, and all others end before it does.
func (g *datagram) fits(to int, last bool) bool {
	end := int(g.end)
	switch {
	case g.last && last:
		return to == end
	case g.last:
		return to < end
	case last:
		g.last = true
		return to > end
	}
	return true
}

// add puts the bytes from from up to to in their place, which g.mem has room for.
//
// Where fragments overlap, IPv6 has that "reassembly of that packet must be
// abandoned and all the fragments that have been received for that packet must be
// discarded" (RFC 8200 section 4.5, after RFC 5722), and that an exact duplicate
// may pass for what it is. Nothing makes an overlap more honest in IPv4.
func (g *datagram) add(from, to int, payload []byte) Drop {
	blocks, had := (to-from+7)>>3, 0
	for b := from >> 3; b < (to+7)>>3; b++ {
		bit := byte(1) << (b & 7)
		if g.mem[b>>3]&bit != 0 {
			had++
		}
		g.mem[b>>3] |= bit
	}
	place := g.mem[memPayload+from : memPayload+to]
	if had > 0 {
		if had == blocks && string(place) == string(payload) {
			return DropFragmentDuplicate
		}
		g.active = false
		return DropReassemblyOverlap
	}
	copy(place, payload)
	g.got += uint16(to - from)
	g.end = max(g.end, uint16(to))
	return DropNone
}
