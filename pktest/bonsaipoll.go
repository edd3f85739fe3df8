package pktest

import (
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/tcp"
)

// startPoll begins poll(2).
func (b *Bonsai) startPoll(c *Call) {
	w := &bonsaiCall{call: c, sock: &bonsaiSock{b: b}}
	w.done = int(b.now) // when it began
	if b.tryPoll(w); !c.Done {
		b.waiting = append(b.waiting, w)
	}
}

func (b *Bonsai) tryPoll(w *bonsaiCall) {
	c := w.call
	n := 0
	for i := range c.Poll {
		p := &c.Poll[i]
		p.Revents = pollNval
		if s := b.sock(p.FD); s != nil {
			p.Revents = s.poll() & (p.Events | pollErr | pollHup)
		}
		if p.Revents != 0 {
			n++
		}
	}
	end := pkt.Time(w.done) + pkt.Time(c.N)*pkt.Millisecond
	if n > 0 || c.N >= 0 && b.now >= end {
		c.finish(n, 0)
		return
	}
	if c.N > 0 {
		b.next = min(b.next, end)
	}
}

const (
	pollNval  = 0x20
	pollRdhup = 0x2000
)

// poll returns the events of a socket, as Linux's tcp_poll and datagram_poll see
// them.
func (s *bonsaiSock) poll() (ev int16) {
	switch {
	case s.udp != nil:
		ev = pollOut
		if s.udpOpen && s.udp.Queue.Count() > 0 {
			ev |= pollIn
		}
		if s.udpOpen && s.udp.SoftErr != 0 {
			ev |= pollErr | pollIn
		}
		return ev
	case s.listener != nil:
		if s.events&stackAcceptable != 0 {
			ev = pollIn
		}
		return ev
	case s.phase == idle:
		return pollOut | pollHup
	}
	c := s.conn
	st := c.State()
	if st == tcp.SynSent || st == tcp.SynReceived {
		return 0
	}
	end := st == tcp.CloseWait || st == tcp.LastAck || st == tcp.Closing || st == tcp.TimeWait || st == tcp.Closed
	if c.Buffered() > 0 || end {
		ev |= pollIn
	}
	if end {
		ev |= pollRdhup
	}
	if s.events&tcp.Failed != 0 {
		ev |= pollErr
	}
	if st == tcp.Closed || st == tcp.TimeWait || st == tcp.LastAck || st == tcp.Closing {
		ev |= pollHup
	}
	if st == tcp.Closed || uint32(c.Unacked())*3 < c.Options.SndBuf*2 {
		ev |= pollOut
	}
	return ev
}

const stackAcceptable = tcp.Events(1 << 7) // stack.Acceptable
