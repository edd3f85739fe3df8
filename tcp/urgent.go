package tcp

import (
	"encoding/binary"

	"github.com/bonsainet/bonsai/internal/errno"
)

// inputUrgent keeps RCV.UP: "the urgent pointer points to the sequence number of
// the octet following the urgent data" in practice, which is what RFC 6093
// section 4 recommends to go on with.
func (c *Conn) inputUrgent(s *Segment) {
	up := s.Seq + uint32(s.Urg)
	if before(c.rcv.up, up) {
		c.rcv.up = up
		c.flags |= flagUrgent
		c.events |= Urgent
	}
}

// Urgent: the peer has announced urgent data (SIGURG).
const Urgent Events = 1 << 6

// outputUrgent marks segments that lie before the end of our urgent data.
func (c *Conn) outputUrgent(h []byte, seq uint32) {
	if n := c.snd.up - seq; c.flags&flagSendUrgent != 0 && int32(n) > 0 {
		h[13] |= byte(URG)
		binary.BigEndian.PutUint16(h[18:], uint16(min(n, 65535)))
	}
}

// WriteUrgent is Write whose last byte is urgent (MSG_OOB).
func (c *Conn) WriteUrgent(p []byte) (int, errno.Errno) {
	n, e := c.Write(p)
	if n > 0 && n == len(p) {
		c.snd.up = c.snd.end
		c.flags |= flagSendUrgent
	}
	return n, e
}
