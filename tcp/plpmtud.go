package tcp

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/pkt"
)

// Path MTU discovery by the packetization layer (RFC 4821, 8899), for paths that drop what is
// too large and say nothing. As with Linux's tcp_mtu_probing = 1, it begins when a connection
// makes no progress: segments get small enough for almost any path, and from there larger
// ones are tried, with data that has to be sent in any case.

const (
	// blackHoleRetries is how many timeouts in a row make a black hole: "several
	// consecutive" ones (RFC 4821 section 7.7), Linux's tcp_retries1.
	blackHoleRetries = 3
	// probeBase is the MSS to begin with, and "eff_pmtu" of "a full stop timeout": "search_low
	// [...] 1024 bytes" (RFC 4821 section 7.2).
	probeBase = 1024
	// probeFloor is the least MSS, that of the least path MTU that ICMP is believed.
	probeFloor = 512
	// probeStep is how near the search goes to what the path takes.
	probeStep = 8
	// probeAgain is when the path may have changed: PMTU_RAISE_TIMER, which "has a period of
	// 600 seconds" (RFC 8899 section 5.1.1).
	probeAgain = 600 * pkt.Second
)

// hole is what the search knows, in bytes of payload without options.
type hole struct {
	_ [0]func() // not comparable

	at   pkt.Time // no probe before
	end  uint32   // behind the probe, if size != 0
	size uint16   // of the probe that is in flight, 0: none
	low  uint16   // what passes
	high uint16   // what does not, or the link can't
	next uint8    // free list
}

// maxHoles is how many connections may search at once; more do without.
const maxHoles = 255

type holeTable struct {
	list []hole
	free uint8 // index from 1
}

func holesOf(e *Env) *holeTable { return (*holeTable)(e.holes) }

func holeOf(c *Conn) *hole { return &holesOf(c.env).list[c.snd.q.hole[:][0]-1] }

// blackHole follows a retransmission timeout: after several, segments get smaller.
func (c *Conn) blackHole(now pkt.Time) {
	s := &c.snd
	if i := c.snd.q.hole[:][0]; i != 0 {
		// The loss of a probe among others, which is congestion's, says nothing of its size (RFC
		// 4821 section 7.6.4, "Probe Inconclusive").
		holeOf(c).size = 0
		holeOf(c).at = now + probeAgain/10
	}
	if c.retries < blackHoleRetries || s.wnd == 0 {
		return
	}
	if c.snd.q.hole[:][0] == 0 {
		if s.mss <= probeFloor || s.nxt-s.una < uint32(s.mss) || !c.enterHole(now) { // not of full size
			return
		}
	} else {
		h := holeOf(c)
		h.low = max(h.low/2, min(h.low, probeFloor))
	}
	h := holeOf(c)
	h.at = now
	c.setMSS()
}

func (c *Conn) enterHole(now pkt.Time) bool {
	e := c.env
	if e.holes == nil {
		e.holes = unsafe.Pointer(new(holeTable))
	}
	t := holesOf(e)
	i := t.free
	switch {
	case i != 0:
		t.free = t.list[i-1].next
	case len(t.list) == maxHoles:
		return false
	default:
		t.list = append(t.list, hole{})
		i = uint8(len(t.list))
	}
	top := min(c.snd.peer, c.snd.path)
	low := uint16(probeBase)
	if top <= low {
		low = max(top/2, probeFloor)
	}
	t.list[i-1] = hole{low: low, high: top + 1}
	c.snd.q.hole[:][0] = i
	return true
}

// leaveHole gives c's place back.
func (c *Conn) leaveHole() {
	t, i := holesOf(c.env), c.snd.q.hole[:][0]
	t.list[i-1].next, t.free = t.free, i
	c.snd.q.hole[:][0] = 0
}

// probeSize returns the payload of the next segment: more than mss if that is to be a
// probe. There must be enough data behind it for its loss to be told from duplicate ACKs, and
// no loss to be repaired: "the sender SHOULD NOT probe" then (RFC 4821 section 7.4).
func (c *Conn) probeSize(now pkt.Time, mss uint32) uint32 {
	s, h := &c.snd, holeOf(c)
	if h.size != 0 || now < h.at || c.retries > 0 || c.flags&(flagRecovery|flagLoss|flagProbe|flagPersist|flagTLPOut) != 0 || c.rcv.ooo != nil && c.rcv.ooo.n > 0 {
		return mss
	}
	top := min(s.peer, s.path) + 1
	if h.high > top || h.high-h.low <= probeStep && now >= h.at {
		h.high = top // the path may have changed
	}
	if h.high-h.low <= probeStep {
		return mss
	}
	// The top first: most black holes are of the past, or the peer was away.
	n := uint32(h.low+(h.high-h.low)/2) - uint32(min(s.peer, s.path, h.low)-s.mss)
	if h.high == top {
		n = uint32(top-1) - uint32(min(s.peer, s.path, h.low)-s.mss)
	}
	if need := n + 4*mss; min(s.end-s.nxt, s.wnd, c.cc.cwnd) < need {
		return mss
	}
	return n
}

// probing notes that a probe with n bytes of payload was sent, the last segment.
func (c *Conn) probing(n uint32) {
	h := holeOf(c)
	h.end = c.snd.nxt
	h.size = uint16(n) + min(c.snd.peer, c.snd.path, h.low) - c.snd.mss
}

// probeArrived follows an advance of snd.una: what passes once is the new size.
func (c *Conn) probeArrived(now pkt.Time) {
	h := holeOf(c)
	if h.size == 0 || before(c.snd.una, h.end) {
		return
	}
	h.low, h.size = h.size, 0
	c.searched(now, h)
	c.setMSS()
}

// probeLost reports whether the loss at snd.una is that of the probe alone: "the loss of
// a probe [...] SHOULD NOT be interpreted as congestion" (RFC 4821 section 7.6.2; 8899
// section 3, item 7).
func (c *Conn) probeLost(now pkt.Time) bool {
	if c.snd.q.hole[:][0] == 0 {
		return false
	}
	h := holeOf(c)
	n := uint32(h.size) - uint32(min(c.snd.peer, c.snd.path, h.low)-c.snd.mss)
	if h.size == 0 || c.snd.una != h.end-n {
		return false
	}
	if c.selective() && sackOf(c).lost > n {
		return false
	}
	h.high, h.size = h.size, 0
	c.searched(now, h)
	return true
}

// searched ends the search when it is near enough.
func (c *Conn) searched(now pkt.Time, h *hole) {
	if h.high-h.low <= probeStep {
		h.at = now + probeAgain
	}
}
