package tcp

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// Info is what can be learned about a connection: the fields of Linux's struct
// tcp_info that have a meaning here, in its units. Times are microseconds unless
// said otherwise.
type Info struct {
	State       State
	CAState     uint8  // see the constants
	Retransmits uint8  // timeouts since the last ACK of new data
	Probes      uint8  // window probes since the peer was last heard
	Backoff     uint8  // doublings of RTO
	Options     uint8  // InfoTimestamps, InfoSACK, InfoWScale, InfoECN
	SndWScale   uint8  // shift of the windows that the peer sends
	RcvWScale   uint8  // shift of ours
	RTO         uint32 // retransmission timeout, with its backoff
	ATO         uint32 // how long an ACK is delayed
	SndMSS      uint32 // bytes of payload in a full segment
	RcvMSS      uint32 // likewise of the peer's, as far as seen

	Unacked uint32 // segments sent and not acknowledged
	Sacked  uint32 // segments of these that have arrived, by SACK

	LastDataSent uint32 // ms ago
	LastDataRecv uint32 // ms ago; of any segment
	PMTU         uint32 // bytes
	RTT          uint32 // smoothed; 0: not measured
	RTTVar       uint32
	SndSsthresh  uint32 // segments; InfiniteSsthresh: none yet
	SndCwnd      uint32 // segments
	AdvMSS       uint32 // bytes: the MSS option that we sent
	RcvSpace     uint32 // bytes of the receive buffer
	SndWnd       uint32 // bytes: the peer's window
	RcvWnd       uint32 // bytes: what is left of ours
	NotSent      uint32 // bytes written and not sent

	Lost      uint32 // segments thought to be lost and not acknowledged since; without feature tcpinfo, nor sent again
	Retrans   uint32 // segments in flight that were sent again
	MinRTT    uint32 // the least of late (feature rack), else 0
	Delivered uint32 // segments that the peer has, for full ones
	// Counters, from the first data on (feature tcpinfo, else 0). SYN and FIN count as a byte
	// acknowledged or received each, as in Linux.
	BytesSent, BytesRetrans, BytesAcked, BytesReceived uint64
	SegsOut, SegsIn, DataSegsOut, DataSegsIn           uint32
	TotalRetrans                                       uint32 // segments sent again
	DSACKDups                                          uint32 // D-SACKs received
}

// Values of Info.CAState: TCP_CA_Open and so on.
const (
	CAOpen     = 0
	CADisorder = 1 // duplicate ACKs
	CACWR      = 2 // the window was reduced for a mark (feature ecn), less than a round trip ago
	CARecovery = 3 // fast recovery
	CALoss     = 4 // after a timeout
)

// Bits of Info.Options.
const (
	InfoTimestamps = 1
	InfoSACK       = 2
	InfoWScale     = 4
	InfoECN        = 8
)

// InfiniteSsthresh is Linux's TCP_INFINITE_SSTHRESH.
const InfiniteSsthresh = 0x7fffffff

// Info describes the connection at now (TCP_INFO).
func (c *Conn) Info(now pkt.Time) (i Info) {
	s, r, t := &c.snd, &c.rcv, &c.timer
	i.State = c.state
	i.SndMSS, i.RcvMSS = uint32(s.mss), uint32(r.mss)
	i.RTO, i.ATO = c.rtt.value, uint32(delayedAck/pkt.Microsecond)
	i.RTT, i.RTTVar = c.rtt.srtt, c.rtt.dev
	i.PMTU, i.AdvMSS = uint32(s.path)+minHeaderLen+ipv4.MinHeaderLen, uint32(s.path)
	i.SndWnd, i.RcvWnd, i.RcvSpace = s.wnd, r.adv-r.nxt, c.Options.RcvBuf
	i.Probes = c.probes
	if i.Backoff = c.retries; c.flags&flagPersist == 0 {
		i.Retransmits = c.retries
	}
	i.LastDataSent = ticks(now) - c.cc.sentAt
	i.LastDataRecv = ticks(now) - t.lastRcv
	if feature.WScale && c.flags&flagWScale != 0 {
		i.Options |= InfoWScale
		i.SndWScale, i.RcvWScale = s.wscale, r.wscale
	}
	if feature.Timestamps && c.flags&flagTS != 0 {
		i.Options |= InfoTimestamps
	}
	if feature.ECN && c.ecn[:][0]&ecnOK != 0 {
		i.Options |= InfoECN
	}
	mss := max(uint32(s.mss), 1)
	if feature.SACK && c.flags&flagSACK != 0 {
		i.Options |= InfoSACK
		if c.selective() {
			i.Sacked = (sackOf(c).sacked + mss - 1) / mss
			i.Lost = (sackOf(c).lost + mss - 1) / mss
			if feature.TCPInfo {
				i.Retrans = (sackOf(c).resentBytes() + mss - 1) / mss
				i.Lost += i.Retrans // until they are acknowledged, as Linux counts
			}
			if feature.RACK {
				i.MinRTT = sackOf(c).rack.min
			}
		}
	}
	i.Unacked = (s.nxt - s.una + mss - 1) / mss
	if n := s.end - s.nxt; int32(n) > 0 && c.state != SynSent && c.state != SynReceived {
		i.NotSent = n
	}
	i.SndCwnd, i.SndSsthresh = c.cc.cwnd/mss, c.cc.ssthresh/mss
	if c.cc.ssthresh >= infinite || c.cc.ssthresh == 0 {
		i.SndSsthresh = InfiniteSsthresh
	}
	switch {
	case c.flags&flagRecovery != 0:
		i.CAState = CARecovery
	case c.retries > 0 && c.flags&flagPersist == 0 && c.state != SynSent && c.state != SynReceived,
		feature.SACK && c.flags&flagLoss != 0:
		i.CAState = CALoss
	case feature.ECN && c.ecnAnswered():
		i.CAState = CACWR
	case c.dupacks > 0 || i.Sacked > 0:
		i.CAState = CADisorder
	}
	if feature.TCPInfo {
		c.count(&i)
	}
	return i
}
