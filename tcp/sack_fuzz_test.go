package tcp

import (
	"encoding/binary"
	"fmt"
)

func stripSACK(seg *Segment) { seg.SACKPermitted = false }

// fuzzSACK adds SACK blocks, or the permission for them, to a segment.
func fuzzSACK(s *source, c *Conn, seg *Segment) {
	if seg.Flags&SYN != 0 {
		seg.SACKPermitted = s.byte()&1 != 0
	}
	if !c.selective() {
		return
	}
	n := s.n(6)
	for range min(n, 4) {
		lo := c.snd.una + uint32(s.n(20))*700 - 700
		hi := lo + uint32(s.n(12))*365
		if s.n(16) == 0 {
			lo, hi = hi, lo
		}
		seg.SACK = binary.BigEndian.AppendUint32(seg.SACK, lo)
		seg.SACK = binary.BigEndian.AppendUint32(seg.SACK, hi)
	}
}

// sackInvariant returns what is wrong with the scoreboard of c, if anything.
func sackInvariant(c *Conn) string {
	st := sackOf(c)
	if !c.selective() || c.state == Closed {
		return ""
	}
	sacked, lost := uint32(0), uint32(0)
	v := st.runs()
	for i := range v {
		r := &v[i]
		if !before(r.lo, r.hi) || i > 0 && v[i-1].hi != r.lo {
			return fmt.Sprintf("run %d of %d: %d to %d", i, len(v), r.lo-c.snd.una, r.hi-c.snd.una)
		}
		if r.is&(runLost|runSacked) == runLost|runSacked {
			return fmt.Sprintf("run %d is both lost and there", i)
		}
		if r.is&runSacked != 0 {
			sacked += r.hi - r.lo
		}
		if r.is&runLost != 0 {
			lost += r.hi - r.lo
		}
	}
	if sacked != st.sacked || lost != st.lost {
		return fmt.Sprintf("sacked %d, counted %d; lost %d, counted %d", st.sacked, sacked, st.lost, lost)
	}
	if len(v) > 0 && c.state.synchronized() && (v[0].lo != c.snd.una || v[len(v)-1].hi != c.snd.nxt) {
		return fmt.Sprintf("the scoreboard covers %d to %d of %d", v[0].lo-c.snd.una, v[len(v)-1].hi-c.snd.una, c.snd.nxt-c.snd.una)
	}
	if len(v) == 0 && c.snd.una != c.snd.nxt && c.state.synchronized() {
		return "in flight, but not on the scoreboard"
	}
	return ""
}
