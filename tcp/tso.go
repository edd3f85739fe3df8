package tcp

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// maxHeaders is what the headers of a super-segment take at most of its IPv4 packet.
const maxHeaders = ipv4.MinHeaderLen + 60

// superSize returns how much of the limit bytes that are queued, and in the peer's window, the segment
// in b may carry: as many segments of mss bytes as the congestion window and the pacer let go at
// once, of which a device makes one each. What is left over waits, as small segments do.
func (c *Conn) superSize(now pkt.Time, b *pkt.Buf, mss, limit uint32) uint32 {
	s := &c.snd
	// What goes with one segment only: a tail loss probe, F-RTO's new data, CWR; and an urgent
	// pointer counts from each segment's own sequence number.
	if c.flags&(flagProbe|flagTLPOut) != 0 || mss > uint32(s.mss) ||
		feature.FRTO && c.frto[:][0] != frtoNone && c.frto[:][0] != frtoIdle ||
		feature.ECN && c.ecn[:][0]&ecnCWR != 0 || feature.Urgent && c.flags&flagSendUrgent != 0 {
		return mss
	}
	n := min(limit, uint32(pkt.Super(b))-maxHeaders)
	pipe, wnd := c.flight(), c.cc.cwnd+c.cc.limitedTransmit(c)
	if pipe >= wnd {
		return mss // Output decides
	}
	n = min(n, wnd-pipe)
	if feature.Pacing {
		n = min(n, c.paceBurst(now))
	}
	return max(n-n%mss, mss)
}

// putPartial writes the checksum of the segment p as far as a device wants it: that of
// the pseudo header, not complemented.
func (c *Conn) putPartial(b *pkt.Buf, p []byte) {
	pkt.SetSummed(b, pkt.SumPartial)
	pkt.BigEndian.PutUint16(p[16:], ^pkt.Checksum(ipv4.PseudoSum(c.localAddr, c.remoteAddr, ipv4.ProtoTCP, len(p))))
}

// superSent notes that the segment in b has n bytes of data, in segments of mss.
func (c *Conn) superSent(b *pkt.Buf, n, mss uint32) {
	pkt.SetSegmentSize(b, int(mss))
	if feature.TCPInfo {
		more := (n - 1) / mss
		tallyOf(c).dataOut += more
		tallyOf(c).segsOut += more
	}
}

// Bulk reports whether there is new data for more than one segment.
func (c *Conn) Bulk() bool { return c.snd.end-c.snd.nxt > uint32(c.snd.mss) }
