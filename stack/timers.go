package stack

import "github.com/bonsainet/bonsai/internal/pkt"

// timerHeap holds the deadlines of all connections: a heap of four children a
// node, so that a node's children share a cache line. It is lazy: a deadline that
// moves out, as with every ACK, leaves the entry where it is; the timer then
// fires early, finds nothing due and takes its new place.
//
// In minimal, which has few connections, it is no heap but a list without order.
type timerHeap struct {
	v []timerEntry
}

type timerEntry struct {
	at pkt.Time
	c  *Conn
}

// next returns when the first timer fires.
func (h *timerHeap) next() pkt.Time {
	if i := h.first(); i < len(h.v) {
		return h.v[i].at
	}
	return pkt.Never
}

// first returns the position of the timer that fires first, if there is one.
func (h *timerHeap) first() int {
	if hashed {
		return 0
	}
	k := 0
	for i := range h.v {
		if h.v[i].at < h.v[k].at {
			k = i
		}
	}
	return k
}

// set makes c's timer fire at at or earlier.
func (h *timerHeap) set(c *Conn, at pkt.Time) {
	i := int(c.timer) - 1
	if i < 0 {
		if at != pkt.Never {
			h.v = append(h.v, timerEntry{})
			h.up(len(h.v)-1, timerEntry{at, c})
		}
		return
	}
	if at < h.v[i].at {
		h.up(i, timerEntry{at, c})
	}
}

// remove takes c out.
func (h *timerHeap) remove(c *Conn) {
	i := int(c.timer) - 1
	if i < 0 {
		return
	}
	c.timer = 0
	n := len(h.v) - 1
	last := h.v[n]
	h.v[n] = timerEntry{}
	h.v = h.v[:n]
	if i == n {
		return
	}
	h.down(i, last)
	if hashed {
		h.up(int(last.c.timer)-1, last)
	}
}

// up puts e at i or nearer to the root.
func (h *timerHeap) up(i int, e timerEntry) {
	for hashed && i > 0 {
		p := (i - 1) / 4
		if h.v[p].at <= e.at {
			break
		}
		h.put(i, h.v[p])
		i = p
	}
	h.put(i, e)
}

// down puts e at i or nearer to the leaves.
func (h *timerHeap) down(i int, e timerEntry) {
	for k := 4*i + 1; hashed && k < len(h.v); k = 4*i + 1 {
		for j := k + 1; j < min(4*i+5, len(h.v)); j++ {
			if h.v[j].at < h.v[k].at {
				k = j
			}
		}
		if h.v[k].at >= e.at {
			break
		}
		h.put(i, h.v[k])
		i = k
	}
	h.put(i, e)
}

//go:noinline
func (h *timerHeap) put(i int, e timerEntry) {
	h.v[i] = e
	e.c.timer = int32(i + 1)
}

// runTimers lets every connection whose deadline has come do what is due.
func (s *Stack) runTimers() {
	h := &s.timers
	for h.next() <= s.now {
		i := h.first()
		c := h.v[i].c
		at := c.Deadline()
		switch {
		case at > s.now && at != pkt.Never:
			h.down(i, timerEntry{at, c})
			continue
		case at <= s.now:
			c.Conn.Timeout(s.now)
			s.advise(c)
			s.touch(c)
		}
		h.remove(c)
	}
}

// advise doubts the way to a peer that has not answered three times (R1): "pass
// negative advice [...] to the IP layer, to trigger dead-gateway diagnosis" (RFC 9293
// section 3.8.3).
func (s *Stack) advise(c *Conn) {
	if c.Retries() == 3 {
		if c.path.neigh != nil {
			c.path.neigh.Suspect(s.now)
		}
		c.path = path{}
	}
}
