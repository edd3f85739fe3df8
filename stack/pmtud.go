package stack

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

const (
	// maxPMTU is how many destinations' path MTUs are remembered.
	maxPMTU = 8 << (3 * feature.Profile)
	// pmtuLife is how long: then a larger one is tried. "MUST NOT be done less than 5
	// minutes after a Datagram Too Big message" (RFC 1191 section 3); 10 with Linux.
	pmtuLife = 10 * pkt.Minute
	// minPMTU is the least that is believed: a router that asks for less is lying or
	// broken, and small segments are an attack (RFC 5927 section 7.2; Linux's
	// min_pmtu).
	minPMTU = 552
)

// pmtuTable remembers the path MTU of destinations behind a smaller link: RFC
// 1191 section 6.2's host route cache.
type pmtuTable struct {
	list []pmtu // the oldest first
}

func pmtuOf(s *Stack) *pmtuTable { return (*pmtuTable)(s.pmtu) }

type pmtu struct {
	_ [0]func() // not comparable

	dst    ipv4.Addr
	mtu    uint16
	expire pkt.Time
}

// mtu returns the path MTU to dst, given the route's.
func (t *pmtuTable) mtu(dst ipv4.Addr, mtu uint16) uint16 {
	for i := range t.list {
		if e := &t.list[i]; e.dst == dst {
			return min(e.mtu, mtu)
		}
	}
	return mtu
}

// plateaus are the usual MTUs, for routers that don't say theirs (RFC 1191
// section 7.1, table 7-1).
var plateaus = [...]uint16{32000, 17914, 8166, 4352, 2002, 1492, 1006, 576}

// fragNeeded takes "fragmentation needed and DF set" about the packet that q
// quotes.
func (s *Stack) fragNeeded(q *ipv4.Quote, m *ipv4.ICMP) ipv4.Drop {
	local, remote := ipv4.Endpoint{Addr: q.Src, Port: q.SrcPort}, ipv4.Endpoint{Addr: q.Dst, Port: q.DstPort}
	c := (*Conn)(nil)
	switch q.Proto {
	case ipv4.ProtoTCP:
		// A message about what is not in flight is forged, or too late (RFC 5927 section
		// 4.1).
		if c = s.tcp.lookup(local, remote); c == nil {
			return ipv4.DropICMPNoSocket
		}
		if !c.InFlight(q.Seq) {
			return ipv4.DropICMPSequence
		}
	case ipv4.ProtoUDP:
		if s.udp.find(local, remote) == nil {
			return ipv4.DropICMPNoSocket
		}
	default:
		return ipv4.DropICMPNoSocket
	}
	mtu := uint16(m.MTU())
	if mtu == 0 {
		mtu = minPMTU
		for _, p := range plateaus {
			if p < q.TotalLen {
				mtu = max(p, minPMTU)
				break
			}
		}
	}
	mtu = max(mtu, minPMTU)
	if mtu >= q.TotalLen {
		return ipv4.DropICMPQuote // it would have passed
	}
	s.setPMTU(q.Dst, mtu)
	if c != nil {
		c.path = path{}
		if _, e := s.route(&c.path, q.Src, q.Dst, 0); e == 0 {
			mss := c.MSS()
			c.SetPathMSS(c.pathMSS())
			c.Resegment(q.Seq, c.MSS() < mss)
			s.touch(c)
		}
	} else if u := s.udp.find(local, remote); u.Conn.Error(errno.EMSGSIZE, false) {
		s.notify(&u.Sock, tcpReadWrite)
	}
	return ipv4.DropNone
}

// setPMTU remembers a path MTU; the oldest entry gives way when the table is full.
// All flows ask their way again.
func (s *Stack) setPMTU(dst ipv4.Addr, mtu uint16) {
	if s.pmtu == nil {
		s.pmtu = unsafe.Pointer(new(pmtuTable))
	}
	t := pmtuOf(s)
	for i := range t.list {
		if t.list[i].dst == dst {
			if mtu >= t.list[i].mtu {
				return // never raised by a message (RFC 1191 section 3)
			}
			t.list = append(t.list[:i], t.list[i+1:]...)
			break
		}
	}
	if len(t.list) == maxPMTU {
		t.list = t.list[:copy(t.list, t.list[1:])]
	}
	t.list = append(t.list, pmtu{dst: dst, mtu: mtu, expire: s.now + pmtuLife})
	s.routes.Touch()
}

// pollPMTU forgets what is old, so that larger packets are tried again.
func (s *Stack) pollPMTU() pkt.Time {
	t := pmtuOf(s)
	for len(t.list) > 0 && t.list[0].expire <= s.now {
		t.list = t.list[:copy(t.list, t.list[1:])]
		s.routes.Touch()
	}
	if len(t.list) == 0 {
		return pkt.Never
	}
	return t.list[0].expire
}
