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
	c.setup(now, local, remote, pathMSS, iss, tsOffset)
	c.takeSyn(now, s)
	c.snd.wl2 = iss
	c.flags |= flagSynPending
	c.setState(SynReceived)
}
