package tcp

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// timestampLen is what the option takes in a segment, aligned (RFC 7323
// appendix A).
const timestampLen = 12

// pawsIdle is when TS.Recent is no longer trusted: a peer's clock of 1 ms turns its sign in
// 24.8 days (RFC 7323 section 5.5). Its unit is pawsTime's.
const pawsIdle = uint32(24 * 24 * 3600 * pkt.Second >> 30)

// pawsTime returns now in units of 2^30 ns, which are a little more than a second.
func pawsTime(now pkt.Time) uint32 { return uint32(now >> 30) }

// timestamps is TS.Recent and the clock of RFC 7323: 1 ms per tick, with an
// offset of its own for each connection (section 5.4).
type timestamps struct {
	recent uint32
	at     uint32 // pawsTime when recent was set
	offset uint32
}

type _ [unsafe.Sizeof(receiver{}.ts) - feature.LenTimestamps*unsafe.Sizeof(timestamps{})]struct{} // it fits

func timestampsOf(c *Conn) *timestamps { return (*timestamps)(unsafe.Pointer(&c.rcv.ts)) }

func (t *TimeWaitConn) timestamps() *timestamps { return (*timestamps)(unsafe.Pointer(&t.ts)) }

func (s *Segment) setTimestamps(v []byte) {
	s.HasTS = true
	s.TSVal = pkt.BigEndian.Uint32(v)
	s.TSEcr = pkt.BigEndian.Uint32(v[4:])
}

func (t *timestamps) clock(now pkt.Time) uint32 { return uint32(now/pkt.Millisecond) + t.offset }

// elapsed returns the time since we sent ecr.
func (t *timestamps) elapsed(now pkt.Time, ecr uint32) pkt.Time {
	return pkt.Time(t.clock(now)-ecr) * pkt.Millisecond
}

// sampleEcho measures by s's echo the round trip of what was sent more than once, unless
// the echo is older than that: a clock that jumps, or a forged echo, would make the RTO
// minutes.
func (c *Conn) sampleEcho(now pkt.Time, s *Segment) {
	if d := timestampsOf(c).elapsed(now, s.TSEcr); d <= sinceMs(now, c.timer.firstRtx)+c.rtt.rto() {
		c.rtt.sample(d)
	}
}

// put writes the option with its two NOPs.
func (t *timestamps) put(h []byte, now pkt.Time) {
	pkt.BigEndian.PutUint32(h, timestampHeader)
	pkt.BigEndian.PutUint32(h[4:], t.clock(now))
	pkt.BigEndian.PutUint32(h[8:], t.recent)
}

// negotiateTimestamps takes the option into use if both SYNs have it.
func (c *Conn) negotiateTimestamps(now pkt.Time, s *Segment) {
	if !s.HasTS {
		c.flags &^= flagTS
		return
	}
	t := timestampsOf(c)
	t.recent, t.at = s.TSVal, pawsTime(now)
}

// checkTimestamps is PAWS, RFC 7323 section 5.3, R1: "If there is a Timestamps
// option in the arriving segment, SEG.TSval < TS.Recent, TS.Recent is valid [...],
// and if the RST bit is not set, then treat the arriving segment as not acceptable:
// Send an acknowledgment in reply". A segment without the option is dropped:
// "Once TSopt has been successfully negotiated [...] If a non-<RST> segment is
// received without a TSopt, a TCP SHOULD silently drop the segment" (section 3.2).
func (c *Conn) checkTimestamps(now pkt.Time, s *Segment) ipv4.Drop {
	if s.Flags&RST != 0 {
		return ipv4.DropNone
	}
	if !s.HasTS {
		if s.Flags&SYN != 0 { // a peer that has crashed: it must learn that we have not
			c.challenge(now)
		}
		return ipv4.DropTCPPAWS
	}
	t := timestampsOf(c)
	if before(s.TSVal, t.recent) {
		if pawsTime(now)-t.at < pawsIdle {
			if len(s.Payload) > 0 || s.Flags&(SYN|FIN) != 0 {
				c.challenge(now)
			}
			return ipv4.DropTCPPAWS
		}
		t.recent = s.TSVal
	}
	return ipv4.DropNone
}

// update keeps TS.Recent: "If SEG.TSval >= TS.Recent and SEG.SEQ <= Last.ACK.sent,
// then SEG.TSval is copied to TS.Recent" (RFC 7323 section 4.3).
func (t *timestamps) update(now pkt.Time, s *Segment, lastAck uint32) {
	if !before(s.TSVal, t.recent) && beforeEq(s.Seq, lastAck) {
		t.recent, t.at = s.TSVal, pawsTime(now)
	}
}
