package tcp

import "unsafe"

const (
	// RFC 9406 section 4.3: by how much the round trip has to grow, in us; in how many samples it
	// is measured; by what Conservative Slow Start divides the growth of the window, and how
	// many rounds it lasts.
	minRTTThresh     = 4000
	maxRTTThresh     = 16000
	minRTTDivisor    = 8
	rttSamples       = 8
	cssGrowthDivisor = 4
	cssRounds        = 5
)

// startState is HyStart++ (RFC 9406): it ends the first slow start when the round trip grows,
// that is when a queue forms, and not only when that has overrun.
type startState struct {
	_ [0]func() // not comparable

	end  uint32 // windowEnd: the round ends when this is acknowledged
	last uint32 // lastRoundMinRTT in us; 0: infinite
	min  uint32 // currentRoundMinRTT; 0: infinite
	base uint32 // cssBaselineMinRtt in CSS, else 0
	n    uint8  // samples in this round
	css  uint8  // rounds of CSS
}

// hystart returns by how much an ACK of n bytes opens the window in slow start. The round trip
// is RACK's: one for each ACK.
func (c *Conn) hystart(n uint32) uint32 {
	h := *(**startState)(unsafe.Pointer(&c.start))
	if h == nil {
		h = &startState{end: c.snd.nxt}
		c.start[:][0] = unsafe.Pointer(h)
	}
	if rtt := sackOf(c).rack.rtt; h.n < 255 && rtt != 0 {
		h.n++
		if h.min == 0 || rtt < h.min {
			h.min = rtt
		}
	}
	switch {
	case h.n < rttSamples:
	case h.base == 0:
		// "if (currentRoundMinRTT >= (lastRoundMinRTT + RttThresh)) cssBaselineMinRtt =
		// currentRoundMinRTT; exit slow start and enter CSS".
		if h.last != 0 && h.min >= h.last+max(minRTTThresh, min(h.last/minRTTDivisor, maxRTTThresh)) {
			h.base = h.min
			h.css = 0
		}
	case h.min < h.base:
		h.base = 0 // "resume slow start including HyStart++": it was but a delay of some ACKs
	}
	if h.base != 0 {
		n /= cssGrowthDivisor
	}
	if !before(c.snd.una, h.end) {
		h.end = c.snd.nxt
		h.last, h.min, h.n = h.min, 0, 0
		if h.base != 0 {
			// "If CSS_ROUNDS rounds are complete, enter congestion avoidance by setting the
			// ssthresh to the current cwnd." A part of a round counts as one.
			if h.css++; h.css == cssRounds {
				c.cc.ssthresh = c.cc.cwnd
				c.start[:][0] = nil
			}
		}
	}
	return n
}
