package ipv4

import (
	"encoding/binary"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// ReassemblyTimeout is how long a datagram may stay incomplete, counted from
// its first fragment to arrive.
//
// "It is recommended that this value lie between 60 seconds and 120 seconds."
// RFC 1122 section 3.3.2.
const ReassemblyTimeout = 60 * pkt.Second

// The largest datagram that is reassembled, EMTU_R of RFC 1122 section 3.3.2, is
// MaxLen in every profile. What is held at a time is bounded:
const (
	maxDatagrams = 4 << (2 * feature.Profile)    // incomplete ones: 4, 16, 64
	maxSpans     = 4 << (2 * feature.Profile)    // pieces of one with holes between them: 4, 16, 64
	maxHeld      = 128 << (10 + feature.Profile) // bytes: 128, 256, 512 KiB
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
// Fragments are copied to their places at once, so that no frame is kept. The
// holes of RFC 815 are what lies between spans. That RFC keeps its list in the
// holes themselves; a short array bounds the work as well as the memory.
type datagram struct {
	deadline pkt.Time
	mem      []byte // room for the longest header, then the payload
	src, dst Addr
	id       uint16
	total    uint16 // length of the payload, once last
	proto    uint8
	active   bool
	last     bool           // the last fragment is here
	hlen     uint8          // length of the first fragment's header, 0 until it is here
	n        uint8          // spans in use
	spans    [maxSpans]span // what is here, in order, never touching
}

// span is a part of the payload: the bytes from from up to, not including, to.
type span struct{ from, to uint16 }

// Input takes a fragment, as Parse returned it, and copies what it needs. When that completes a
// datagram, Input returns its payload, and its header as it was before somebody
// fragmented it; both are good until the next call of a method of r. Until then
// the payload is nil, and d says whether the fragment was kept (DropNone) or why
// not. A fragment that contradicts earlier ones takes them down with it.
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
		// "IF FO=1 and PROTOCOL=TCP then DROP PACKET", RFC 1858 section 3.2.2: no
		// link has an MTU that calls for it, but filters can be fooled with it.
		return nil, hdr, DropFragmentTiny
	}
	r.idle = now + ReassemblyTimeout
	g := r.find(now, h)
	if g.fit(from, to, !h.MF) {
		if MaxHeaderLen+to > len(g.mem) {
			r.grow(g, MaxHeaderLen+to, !h.MF)
		}
		d = g.add(from, to, payload)
	} else {
		d = DropReassemblyOverlap
	}
	if d != DropNone {
		// RFC 5722 section 4, for IPv6: when fragments overlap, "the entire datagram
		// (and any constituent fragments) MUST be silently discarded". Nothing makes
		// an overlap more honest in IPv4.
		if d != DropFragmentDuplicate {
			g.active = false
		}
		return nil, hdr, d
	}
	if from == 0 {
		g.hlen = uint8(h.HeaderLen())
		h.Put(g.mem[MaxHeaderLen-int(g.hlen):])
	}
	if !g.last || g.n != 1 || g.spans[0] != (span{0, g.total}) {
		return nil, hdr, DropNone
	}
	g.active = false
	p := g.mem[MaxHeaderLen-int(g.hlen) : MaxHeaderLen+int(g.total)]
	if len(p) > MaxLen {
		return nil, hdr, DropReassemblyLong
	}
	Parse(p, &hdr)
	hdr.TotalLen = uint16(len(p))
	hdr.MF = false
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
				quote = g.mem[MaxHeaderLen-int(g.hlen):]
				quote = quote[:binary.BigEndian.Uint16(quote[2:])]
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
		case g.id == h.ID && g.src == h.Src && g.dst == h.Dst && g.proto == h.Proto:
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
	g.src, g.dst, g.id, g.proto = h.Src, h.Dst, h.ID, h.Proto
	g.active, g.last, g.hlen, g.n = true, false, 0, 0
	return g
}

// grow makes g.mem at least n bytes long. exact says that no more will follow.
func (r *Reassembly) grow(g *datagram, n int, exact bool) {
	if !exact {
		n = min(max(n, 2*len(g.mem), 4096), MaxHeaderLen+MaxLen-MinHeaderLen)
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

// fit reports whether a fragment agrees with what is known of the end: there is
// one last fragment, and all others end before it ends.
func (g *datagram) fit(from, to int, last bool) bool {
	end := 0
	if g.n > 0 {
		end = int(g.spans[g.n-1].to)
	}
	switch {
	case g.last:
		return last == (to == int(g.total)) && to <= int(g.total)
	case last:
		if to <= end {
			return false
		}
		g.last, g.total = true, uint16(to)
	}
	return true
}

// add enters the bytes from from to to, which g.mem has room for.
func (g *datagram) add(from, to int, payload []byte) Drop {
	j, n := 0, int(g.n)
	for j < n && int(g.spans[j].to) <= from {
		j++
	}
	place := g.mem[MaxHeaderLen+from : MaxHeaderLen+to]
	if j < n && int(g.spans[j].from) < to {
		if int(g.spans[j].from) <= from && to <= int(g.spans[j].to) && string(place) == string(payload) {
			return DropFragmentDuplicate
		}
		return DropReassemblyOverlap
	}
	joins := j > 0 && int(g.spans[j-1].to) == from
	reaches := j < n && int(g.spans[j].from) == to
	switch {
	case joins && reaches:
		g.spans[j-1].to = g.spans[j].to
		copy(g.spans[j:n], g.spans[j+1:n])
		g.n--
	case joins:
		g.spans[j-1].to = uint16(to)
	case reaches:
		g.spans[j].from = uint16(from)
	default:
		if n == maxSpans {
			return DropReassemblyMemory
		}
		copy(g.spans[j+1:n+1], g.spans[j:n])
		g.spans[j] = span{uint16(from), uint16(to)}
		g.n++
	}
	copy(place, payload)
	return DropNone
}
