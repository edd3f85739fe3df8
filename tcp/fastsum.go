package tcp

import (
	"math/bits"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// fillSum fills the segment p, whose header takes hlen bytes, from position at of the
// send queue and writes the checksum, in one pass over the payload.
func (c *Conn) fillSum(p []byte, hlen int, at uint32) {
	acc := ipv4.PseudoSum(c.localAddr, c.remoteAddr, ipv4.ProtoTCP, len(p))
	acc = pkt.Sum(acc, p[:hlen])
	if len(p) > hlen {
		acc += c.snd.q.readSum(at, p[hlen:])
	}
	pkt.BigEndian.PutUint16(p[16:], pkt.Checksum(acc))
}

// readSum fills p from position at and returns the sum of it.
func (q *chain) readSum(at uint32, p []byte) uint32 {
	if i := at + q.off - q.curAt; i < pkt.ChunkSize && uint32(len(p)) <= pkt.ChunkSize-i {
		return pkt.CopySum(p, q.cur.Data[i:][:len(p)])
	}
	return q.copySum(at, p, false)
}

// writeSum copies p to position at, which grow has made room for, and returns the sum of it.
func (q *chain) writeSum(at uint32, p []byte) uint32 {
	if i := at + q.off - q.curAt; i < pkt.ChunkSize && uint32(len(p)) <= pkt.ChunkSize-i {
		return pkt.CopySum(q.cur.Data[i:], p)
	}
	return q.copySum(at, p, true)
}

// copySum does either over more than one chunk.
func (q *chain) copySum(at uint32, p []byte, write bool) uint32 {
	acc, odd := uint32(0), false
	for len(p) > 0 {
		k := q.seek(at)
		n := min(len(k), len(p))
		to, from := p[:n], k[:n]
		if write {
			to, from = from, to
		}
		s := pkt.CopySum(to, from)
		if odd { // begins in the middle of a 16-bit word
			s = uint32(bits.ReverseBytes16(uint16(s)))
		}
		acc += s
		p = p[n:]
		at += uint32(n)
		odd = odd != (n&1 != 0)
	}
	return acc
}
