package stack

import "github.com/bonsainet/bonsai/internal/pkt"

// timerHeap holds the deadlines of all connections: a heap of four children a
// node, so that a node's children share a cache line. It is lazy: a deadline that
// moves out, as with every ACK, leaves the entry where it is; the timer then
// fires early, finds nothing due and takes its new place.
//
// Minimal, which has few connections, does without: it asks each of them.
type timerHeap struct {
	v []timerEntry
}

type timerEntry struct {
	at pkt.Time
	c  *TCB
}

// next returns when the first timer fires.
func (h *timerHeap) next() pkt.Time {
	if len(h.v) == 0 {
		return pkt.Never
	}
	return h.v[0].at
}

// set makes c's timer fire at at or earlier.
func (h *timerHeap) set(c *Conn, at pkt.Time) {
	i := int(c.timer) - 1
	if i < 0 {
		if at != pkt.Never {
			h.v = append(h.v, timerEntry{})
			h.up(len(h.v)-1, timerEntry{at, tcbOf(c)})
		}
		return
	}
	if at < h.v[i].at {
		h.up(i, timerEntry{at, tcbOf(c)})
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
	h.up(int(last.c.Conn().timer)-1, last)
}

// up puts e at i or nearer to the root.
func (h *timerHeap) up(i int, e timerEntry) {
	for i > 0 {
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
	for k := 4*i + 1; k < len(h.v); k = 4*i + 1 {
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
	e.c.Conn().timer = int32(i + 1)
}

// runTimers lets every connection whose deadline has come do what is due.
func (s *Stack) runTimers() {
	if !hashed {
		for c := s.tcp.buckets[0]; c != nil; c = c.hash {
			if c.Deadline() <= s.now {
				s.timeout(c)
			}
		}
		return
	}
	h := &s.timers
	for h.next() <= s.now {
		c := h.v[0].c.Conn()
		at := c.Deadline()
		if at > s.now && at != pkt.Never {
			h.down(0, timerEntry{at, tcbOf(c)})
			continue
		}
		if at <= s.now {
			s.timeout(c)
		}
		h.remove(c)
	}
}

// nextTimer returns when the first connection's deadline is, or earlier.
func (s *Stack) nextTimer() pkt.Time {
	if hashed {
		return s.timers.next()
	}
	next := pkt.Never
	for c := s.tcp.buckets[0]; c != nil; c = c.hash {
		next = min(next, c.Deadline())
	}
	return next
}

func (s *Stack) timeout(c *Conn) {
	c.Conn.Timeout(s.now)
	s.advise(c)
	s.touch(c)
}

// advise doubts the way to a peer that has not answered three times (R1): "pass
// negative advice [...] to the IP layer, to trigger dead-gateway diagnosis" (RFC 9293
// section 3.8.3).
func (s *Stack) advise(c *Conn) {
	if c.Retries() == 3 {
		if c.path.neigh != nil {
			c.path.neigh.Suspect(s.now)
		}
		c.path.forget()
	}
}
