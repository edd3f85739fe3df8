package tcp

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// SYN cookies (RFC 4987 section 3.6, appendix A): all that a half open connection would have to
// remember is in the initial sequence number of our SYN-ACK, which the peer's ACK brings back:
// 5 bits of time, 3 of MSS and 24 that only we can compute. What else the peer's SYN offered is in
// the low bits of our timestamp, if it had one; without, there is no window scaling and no SACK.

// cookieTick is the unit of time: a cookie is good for one to two of them.
const cookieTick = 64 * pkt.Second

// cookieMSS are the MSS options that can be told; the next smaller one stands for others.
var cookieMSS = [8]uint16{64, 256, 536, 1024, 1220, 1360, 1440, 1460}

// Bits of the timestamp: the peer's window shift or noWScale, and whether it takes SACK and ECN.
const (
	noWScale   = 15
	cookieSACK = 16
	cookieECN  = 32
	cookieBits = 63
)

// cookie returns the initial sequence number for a SYN with sequence number seq, at tick of
// time, with the MSS at index mss.
func (k *Secret) cookie(local, remote ipv4.Endpoint, seq, tick, mss uint32) uint32 {
	h := k.Hash(local, remote)
	m := k.Hash(ipv4.Endpoint{Addr: ipv4.Addr(uint32(h)), Port: uint16(tick)}, ipv4.Endpoint{Addr: ipv4.Addr(seq), Port: uint16(mss)})
	return tick<<27 | mss<<24 | uint32(m>>8)&0xffffff
}

// AnswerSYN puts the SYN-ACK with a cookie for s into b and keeps nothing. The arguments are as
// for Accept, with what Init needs.
func (k *Secret) AnswerSYN(now pkt.Time, env *Env, rcvBuf uint32, s *Segment, local, remote ipv4.Endpoint, pathMSS uint16, tsOffset uint32, b *pkt.Buf) {
	peer := s.MSS
	if peer == 0 {
		peer = defaultMSS
	}
	mss := uint32(len(cookieMSS) - 1)
	for mss > 0 && cookieMSS[mss] > peer {
		mss--
	}
	var c Conn
	c.Init(env, Options{RcvBuf: rcvBuf})
	iss := k.cookie(local, remote, s.Seq, uint32(now/cookieTick)&31, mss)
	c.setup(now, local, remote, pathMSS, iss, tsOffset)
	c.rcv.nxt = s.Seq + 1
	if feature.Timestamps && s.HasTS {
		c.flags |= flagTS
		t := timestampsOf(&c)
		t.recent = s.TSVal
		bits := uint32(noWScale)
		if feature.WScale && s.WScale >= 0 {
			c.flags |= flagWScale
			bits = uint32(s.WScale)
		}
		if feature.SACK && s.SACKPermitted {
			c.flags |= flagSACK
			bits |= cookieSACK
		}
		if feature.ECN && env.ECN != ECNOff && s.asksECN() {
			c.ecn[:][0] = ecnOK
			bits |= cookieECN
		}
		// The clock goes back by less than 64 ms, so that its low bits are these.
		t.offset -= (t.clock(now) - bits) & cookieBits
	}
	c.state = SynReceived
	c.flags |= flagSynPending
	c.outputSyn(now, b)
}

// Cookie reports whether s, an ACK, brings back one of our cookies that is still good.
func (k *Secret) Cookie(now pkt.Time, s *Segment, local, remote ipv4.Endpoint) bool {
	iss := s.Ack - 1
	age := (uint32(now/cookieTick) - iss>>27) & 31
	return age <= 1 && k.cookie(local, remote, s.Seq-1, iss>>27, iss>>24&7) == iss
}

// AcceptCookie is Accept for an ACK that brings back a cookie, which the caller has checked. s is
// then to be given to Input.
func (c *Conn) AcceptCookie(now pkt.Time, s *Segment, local, remote ipv4.Endpoint, pathMSS uint16, tsOffset uint32) {
	iss, mss := s.Ack-1, (s.Ack-1)>>24&7
	syn := Segment{Flags: SYN, Seq: s.Seq - 1, MSS: cookieMSS[mss], WScale: -1, Wnd: s.Wnd, HasTS: s.HasTS, TSVal: s.TSVal}
	if feature.Timestamps && s.HasTS {
		if w := int8(s.TSEcr & 15); w != noWScale {
			syn.WScale = w
		}
		syn.SACKPermitted = s.TSEcr&cookieSACK != 0
		if feature.ECN && s.TSEcr&cookieECN != 0 {
			syn.Flags |= ECE | CWR
		}
	}
	c.Accept(now, &syn, local, remote, pathMSS, iss, tsOffset)
	c.flags &^= flagSynPending
	c.snd.nxt = iss + 1
	c.snd.rtx, c.snd.rtxEnd = c.snd.nxt, c.snd.nxt
}
