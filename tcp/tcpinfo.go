package tcp

import "unsafe"

// tally is what TCP_INFO counts over a connection's life: it begins with the first data or
// retransmission, so that an idle connection has none.
type tally struct {
	_ [0]func() // not comparable

	sent, resent, acked, read uint64 // bytes
	segsOut, segsIn           uint32
	dataOut, dataIn           uint32 // segments
	retrans, dups             uint32 // segments
}

// tallyOf returns the state of the feature, which it makes if there is none: the handshake is
// in it then.
func tallyOf(c *Conn) *tally {
	p := &c.tally[:][0]
	if *p == nil {
		t := &tally{segsOut: 1, segsIn: 2}
		if c.flags&flagActive != 0 {
			t.segsOut, t.segsIn = 2, 1
			t.acked = 1 // our SYN, as Linux counts
		}
		if c.state == SynSent || c.state == SynReceived {
			t.segsOut, t.segsIn = 1, 0
		}
		*p = unsafe.Pointer(t)
	}
	return (*tally)(*p)
}

// tallyData counts a segment with n bytes of data, or a FIN, that goes out.
func (c *Conn) tallyData(n uint32) {
	t := tallyOf(c)
	t.sent += uint64(n)
	t.dataOut++
}

// tallyResent counts one that goes out again.
func (c *Conn) tallyResent(n uint32) {
	t := tallyOf(c)
	t.resent += uint64(n)
	t.retrans++
}

// tallyOut counts any segment that goes out.
func (c *Conn) tallyOut() {
	if p := c.tally[:][0]; p != nil {
		(*tally)(p).segsOut++
	}
}

// tallyIn counts a segment that has arrived.
func (c *Conn) tallyIn(n uint32) {
	if c.tally[:][0] == nil && n == 0 {
		return
	}
	t := tallyOf(c)
	t.segsIn++
	if n > 0 {
		t.dataIn++
	}
}

// count puts the counters into i.
func (c *Conn) count(i *Info) {
	r := &c.rcv
	if c.state != SynSent && c.state != Closed {
		i.BytesReceived = uint64(r.nxt - r.read)
	}
	if c.tally[:][0] == nil {
		return
	}
	t := tallyOf(c)
	i.BytesReceived += t.read
	i.BytesSent, i.BytesRetrans, i.BytesAcked = t.sent, t.resent, t.acked
	i.SegsOut, i.SegsIn, i.DataSegsOut, i.DataSegsIn = t.segsOut, t.segsIn, t.dataOut, t.dataIn
	i.TotalRetrans, i.DSACKDups = t.retrans, t.dups
	i.Delivered = uint32((t.acked+uint64(max(c.snd.mss, 1))-1)/uint64(max(c.snd.mss, 1))) + i.Sacked
}

// resentBytes returns how much of what is in flight was sent again.
func (st *sackState) resentBytes() (n uint32) {
	for _, r := range st.runs() {
		if r.is&(runResent|runSacked|runLost) == runResent {
			n += r.hi - r.lo
		}
	}
	return n
}
