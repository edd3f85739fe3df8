package tcp

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// Accept begins a passive open: s is the SYN that has arrived for a listener. The
// arguments are as for Open.
func (c *Conn) Accept(now pkt.Time, s *Segment, local, remote ipv4.Endpoint, pathMSS uint16, iss, tsOffset uint32) {
	if feature.WScale {
		c.flags |= flagWScale // taken back if the SYN does not have them
	}
	if feature.Timestamps {
		c.flags |= flagTS
	}
	if feature.SACK {
		c.flags |= flagSACK
	}
	if feature.ECN && c.env.ECN != ECNOff {
		c.ecn[:][0] = ecnOK
	}
	c.setup(now, local, remote, pathMSS, iss, tsOffset)
	c.takeSyn(now, s)
	c.snd.wl2 = iss
	c.flags |= flagSynPending
	c.setState(SynReceived)
}

// repeatSyn answers the peer's SYN when it comes again, since our answer to it was lost:
// with the same, where RFC 9293 section 3.10.7.4 has an ACK, of which that peer, in
// SYN-SENT, could make nothing. So does Linux. As often as there are challenge ACKs.
func (c *Conn) repeatSyn(now pkt.Time) {
	c.challenge(now)
	if c.rcv.acks > 0 {
		c.rcv.acks = 0
		c.flags = c.flags&^flagTiming | flagSynPending // Karn: it goes out again
		c.timer.rtxAt = now + c.rtt.rto()
	}
}
