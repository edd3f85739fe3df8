package stack

import "github.com/bonsainet/bonsai/internal/pkt"

// timerHeap holds the deadlines of all connections: a heap of four children a
// node, so that a node's children share a cache line. It is lazy: a deadline that
// moves out, as with every ACK, leaves the entry where it is; the timer then
// fires early, finds nothing due and takes its new place. One that moves in gets
// another entry, and the old one no longer counts.
//
// Neither moving an entry nor finding that it is early looks at the connection: of
// 100,000 connections, each is a cache miss of a fifth of a microsecond.
//
// Minimal, which has few connections, does without: it asks each of them.
type timerHeap struct {
	v     []timerEntry
	of    []timer // number Sock.timer, from 1
	free  int32   // the first of those without a connection; see timer.at
	stale int32   // entries that no longer count
}

// timerEntry counts as long as it is its timer's.
type timerEntry struct {
	_ [0]func() // not comparable: spares the code that would compare it

	at pkt.Time
	id int32
}

// timer is a connection's, from the first deadline on until there is none.
type timer struct {
	_ [0]func() // not comparable

	c     *TCB
	at    pkt.Time // the deadline; if there is no connection, the next free timer
	entry pkt.Time // when the entry that counts fires, at or earlier; Never: there is none
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
	id := c.timer
	if id == 0 {
		if at == pkt.Never {
			return
		}
		if id = h.free; id != 0 {
			h.free = int32(h.of[id-1].at)
		} else {
			h.of = append(h.of, timer{})
			id = int32(len(h.of))
		}
		c.timer = id
		t := &h.of[id-1]
		t.c, t.entry = tcbOf(c), pkt.Never
	}
	t := &h.of[id-1]
	t.at = at
	if at < t.entry {
		if t.entry != pkt.Never {
			h.stale++
		}
		t.entry = at
		h.push(timerEntry{at: at, id: id})
		h.trim()
	} else if t.entry == pkt.Never { // and so is at
		h.remove(c)
	}
}

// remove takes c out.
//
//go:noinline
func (h *timerHeap) remove(c *Conn) {
	if c.timer == 0 {
		return
	}
	t := &h.of[c.timer-1]
	if t.entry != pkt.Never {
		h.stale++
	}
	t.c, t.at, t.entry = nil, pkt.Time(h.free), pkt.Never
	h.free, c.timer = c.timer, 0
	h.trim()
}

// trim sees to it that the first entry counts, and at least every second one.
func (h *timerHeap) trim() {
	for len(h.v) > 0 && h.of[h.v[0].id-1].entry != h.v[0].at {
		h.stale--
		h.pop()
	}
	if int(h.stale) > len(h.v)/2 {
		all := h.v
		h.v, h.stale = all[:0], 0
		for _, e := range all {
			if t := &h.of[e.id-1]; t.entry == e.at {
				t.entry = pkt.Never // one is enough: a deadline may come back to where it was
				h.push(e)
			}
		}
		for _, e := range h.v {
			h.of[e.id-1].entry = e.at
		}
	}
}

// push adds e.
//
//go:noinline
func (h *timerHeap) push(e timerEntry) {
	i := len(h.v)
	h.v = append(h.v, e)
	for i > 0 {
		p := (i - 1) / 4
		if h.v[p].at <= e.at {
			break
		}
		h.v[i] = h.v[p]
		i = p
	}
	h.v[i] = e
}

// pop takes the first entry out.
func (h *timerHeap) pop() {
	n := len(h.v) - 1
	e := h.v[n]
	if h.v = h.v[:n]; n > 0 {
		h.replace(e)
	}
}

// replace puts e in the place of the first entry, or nearer to the leaves.
//
//go:noinline
func (h *timerHeap) replace(e timerEntry) {
	i := 0
	for k := 1; k < len(h.v); k = 4*i + 1 {
		for j := k + 1; j < min(4*i+5, len(h.v)); j++ {
			if h.v[j].at < h.v[k].at {
				k = j
			}
		}
		if h.v[k].at >= e.at {
			break
		}
		h.v[i] = h.v[k]
		i = k
	}
	h.v[i] = e
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
		id := h.v[0].id
		t := &h.of[id-1]
		c := t.c.Conn()
		if t.at <= s.now {
			s.timeout(c)
			t.at = pkt.Never // until output sets it
		}
		if t.entry = t.at; t.at != pkt.Never {
			h.replace(timerEntry{at: t.at, id: id})
			h.trim()
		} else {
			h.pop()
			h.remove(c)
		}
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
