package tcp

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// inputUrgent keeps RCV.UP: "the urgent pointer points to the sequence number of
// the octet following the urgent data" in practice, which is what RFC 6093
// section 4 recommends to go on with. "If the URG bit is set, RCV.UP <-
// max(RCV.UP,SEG.UP), and signal the user [...] if the urgent pointer (RCV.UP) is
// in advance of the data consumed" (RFC 9293 section 3.10.7.4).
func (c *Conn) inputUrgent(s *Segment) {
	r := &c.rcv
	up := s.Seq + uint32(s.Urg)
	if c.UrgentLeft() == 0 {
		r.up[:][0] = r.read
	}
	if before(r.up[:][0], up) {
		r.up[:][0] = up
		c.flags |= flagUrgent
		c.events |= Urgent
	}
}

// UrgentLeft returns the number of octets up to the end of the urgent data, 0 if
// there is none: at 1, the next octet is the one that MSG_OOB sends (RFC 9293
// section 3.8.5, MUST-32 and 33). Not all of them need have arrived.
func (c *Conn) UrgentLeft() int {
	if c.flags&flagUrgent == 0 {
		return 0
	}
	n := int32(c.rcv.up[:][0] - c.rcv.read)
	if n <= 0 {
		c.flags &^= flagUrgent
		n = 0
	}
	return int(n)
}

// Urgent: the peer has announced urgent data (SIGURG).
const Urgent Events = 1 << 6

// outputUrgent marks segments that lie before the end of our urgent data.
func (c *Conn) outputUrgent(h []byte, seq uint32) {
	s := &c.snd
	if c.flags&flagSendUrgent == 0 {
		return
	}
	if !before(s.una, s.up[:][0]) { // acknowledged
		c.flags &^= flagSendUrgent
	} else if n := s.up[:][0] - seq; int32(n) > 0 {
		h[13] |= byte(URG)
		pkt.BigEndian.PutUint16(h[18:], uint16(min(n, 65535)))
	}
}

// WriteUrgent is Write whose last byte is urgent (MSG_OOB).
func (c *Conn) WriteUrgent(p []byte) (int, errno.Errno) {
	n, e := c.Write(p)
	if n > 0 && n == len(p) {
		c.snd.up[:][0] = c.snd.end
		c.flags |= flagSendUrgent
	}
	return n, e
}
