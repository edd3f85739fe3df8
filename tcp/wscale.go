package tcp

// maxWScale is the largest shift: "If a Window Scale option is received with a
// shift.cnt value larger than 14, the TCP SHOULD log the error but MUST use 14"
// (RFC 7323 section 2.3).
const maxWScale = 14

func (s *Segment) setWScale(v byte) { s.WScale = int8(min(v, maxWScale)) }

// wscaleFor returns the shift with which a window of n bytes fits in 16 bits.
func wscaleFor(n uint32) (shift uint8) {
	for shift < maxWScale && n>>shift > 65535 {
		shift++
	}
	return shift
}

// negotiateWScale takes both shifts into use, if the peer's SYN has the option
// as ours had: "both sides MUST send Window Scale options in their <SYN>
// segments to enable window scaling in either direction" (RFC 7323 section 2.2).
func (c *Conn) negotiateWScale(s *Segment) {
	if s.WScale < 0 {
		c.rcv.wscale, c.snd.wscale = 0, 0
		c.flags &^= flagWScale
		return
	}
	c.snd.wscale = uint8(s.WScale)
}

func appendWScale(h []byte, shift uint8) { h[0], h[1], h[2], h[3] = optNop, optWScale, 3, shift }
