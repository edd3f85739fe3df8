package tcp

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// TimeWaitLen is how long a connection lingers in TIME-WAIT: "2xMSL" (RFC 9293
// section 3.6.1, MUST-13) with Linux's MSL of 30 s.
const TimeWaitLen = 60 * pkt.Second

// TimeWaitConn is what remains of a connection in TIME-WAIT: enough to
// acknowledge the peer's FIN again and to know old segments from a new SYN.
type TimeWaitConn struct {
	_ [0]func() // not comparable

	Local, Remote  ipv4.Endpoint
	ExpireAt       pkt.Time
	rcvNxt, sndNxt uint32
	ts             [3 * feature.LenTimestamps]uint32
	wnd            uint16
	hasTS          bool
	TTL, TOS       uint8
	budget         uint8 // ACKs left to send in this second
	second         uint32
}

// TimeWait returns the compact form of c, which must be in TIME-WAIT with nothing
// left to send.
func (c *Conn) TimeWait(now pkt.Time) TimeWaitConn {
	return TimeWaitConn{
		Local: c.Local(), Remote: c.Remote(),
		ExpireAt: now + TimeWaitLen,
		rcvNxt:   c.rcv.nxt, sndNxt: c.snd.nxt,
		ts: c.rcv.ts, wnd: c.window(),
		hasTS: feature.Timestamps && c.flags&flagTS != 0,
		TTL:   c.Options.TTL, TOS: c.Options.TOS,
	}
}

// Reopens reports whether s is a SYN that may begin a new connection in place of
// the old one: it lies beyond what the old one has seen, by sequence number (RFC
// 1122 section 4.2.2.13) or by timestamp (RFC 6191 section 2).
func (t *TimeWaitConn) Reopens(s *Segment) bool {
	if s.Flags&(SYN|RST|ACK) != SYN {
		return false
	}
	if feature.Timestamps && t.hasTS && s.HasTS && s.TSVal != t.timestamps().recent {
		return before(t.timestamps().recent, s.TSVal)
	}
	return before(t.rcvNxt, s.Seq)
}

// NextISN returns the initial sequence number of a connection that follows t, for
// which iss would be the usual one: "larger than the largest sequence number it
// used on the previous connection incarnation" (RFC 9293 section 3.6.1, MAY-2).
func (t *TimeWaitConn) NextISN(iss uint32) uint32 { return maxSeq(iss, t.sndNxt+1<<16) }

// MayReplace reports whether we may open a new connection between the same
// endpoints: timestamps tell its segments from the old one's, and a second has
// passed, so that the clock has moved on.
func (t *TimeWaitConn) MayReplace(now pkt.Time) bool {
	return t.hasTS && now >= t.ExpireAt-TimeWaitLen+pkt.Second
}

// Input takes a segment for the old connection and reports whether b holds an
// ACK to answer it with: "the only thing that can arrive in this state is a
// retransmission of the remote FIN. Acknowledge it, and restart the 2 MSL
// timeout" (RFC 9293 section 3.10.7.4). A reset is ignored, so that it can't
// assassinate the state (RFC 1337 section 3, fix F1).
func (t *TimeWaitConn) Input(now pkt.Time, s *Segment, b *pkt.Buf) (d ipv4.Drop, answer bool) {
	if s.Flags&RST != 0 {
		return ipv4.DropTCPReset, false
	}
	if s.Flags&SYN == 0 && s.Len() == 0 && s.Seq == t.rcvNxt {
		return ipv4.DropNone, false // a plain ACK, in order
	}
	if s.Flags&FIN != 0 && s.Seq+s.Len() == t.rcvNxt {
		t.ExpireAt = now + TimeWaitLen
	}
	if sec := uint32(now/pkt.Second) + 1; sec != t.second {
		t.second, t.budget = sec, challengeAcks
	}
	if t.budget == 0 {
		return ipv4.DropTCPSequence, false
	}
	t.budget--
	n := minHeaderLen
	if feature.Timestamps && t.hasTS {
		n += timestampLen
	}
	h := b.Append(n)
	putHeader(h, t.Local.Port, t.Remote.Port, t.sndNxt, t.rcvNxt, n, ACK, t.wnd)
	if feature.Timestamps && t.hasTS {
		t.timestamps().put(h[minHeaderLen:], now)
	}
	putSum(h, t.Local.Addr, t.Remote.Addr)
	return ipv4.DropTCPSequence, true
}
