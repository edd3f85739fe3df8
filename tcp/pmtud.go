package tcp

// InFlight reports whether seq is the number of something sent and not
// acknowledged.
func (c *Conn) InFlight(seq uint32) bool {
	return !before(seq, c.snd.una) && before(seq, c.snd.nxt)
}

// Resegment sends again at once, in segments of the present size, what is in
// flight: a router could not forward the segment at seq. Each of a window may set off a
// message: unless MSS is smaller than before, one about what was sent again already
// asks for nothing. "a retransmission caused by a Datagram Too Big message should
// not change the congestion window" (RFC 1191 section 6.4).
func (c *Conn) Resegment(seq uint32, smaller bool) {
	s := &c.snd
	if !c.state.synchronized() || s.una == s.nxt {
		return
	}
	if c.selective() {
		st := sackOf(c)
		if !smaller && !st.sentOnce(seq) {
			return
		}
		c.flags &^= flagTiming
		st.timeout()
		c.flags |= flagLoss // no reduction for these
		c.cc.recover = s.nxt
		return
	}
	if smaller {
		c.flags &^= flagTiming
		s.rtx, s.rtxEnd = s.una, s.nxt
	}
}

// sentOnce reports whether seq was sent once, and is not known to be lost or to have
// arrived.
func (st *sackState) sentOnce(seq uint32) bool {
	v := st.runs()
	for i := range v {
		if before(seq, v[i].hi) {
			return v[i].is == 0
		}
	}
	return false
}
