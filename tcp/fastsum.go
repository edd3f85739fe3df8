package tcp

import (
	"math/bits"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// fillSum fills the segment p, whose header takes hlen bytes, from position at of the
// send queue and writes the checksum, in one pass over the payload.
func (c *Conn) fillSum(p []byte, hlen int, at uint32) {
	acc := ipv4.PseudoSum(c.local.Addr, c.remote.Addr, ipv4.ProtoTCP, len(p))
	acc = pkt.Sum(acc, p[:hlen])
	odd := false
	for to := p[hlen:]; len(to) > 0; {
		from := c.snd.q.seek(at)
		from = from[:min(len(from), len(to))]
		s := pkt.CopySum(to, from)
		if odd { // begins in the middle of a 16-bit word
			s = uint32(bits.ReverseBytes16(uint16(s)))
		}
		acc += s
		odd = odd != (len(from)&1 != 0)
		at += uint32(len(from))
		to = to[len(from):]
	}
	pkt.BigEndian.PutUint16(p[16:], pkt.Checksum(acc))
}
