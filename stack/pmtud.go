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
	n int
	v [maxPMTU]pmtu // the oldest first
}

func pmtuOf(s *Stack) *pmtuTable { return (*pmtuTable)(s.pmtu) }

// remove takes entry i out.
func (t *pmtuTable) remove(i int) {
	copy(t.v[i:], t.v[i+1:t.n])
	t.n--
}

type pmtu struct {
	_ [0]func() // not comparable

	dst    ipv4.Addr
	mtu    uint16
	expire pkt.Time
}

// mtu returns the path MTU to dst, given the route's.
func (t *pmtuTable) mtu(dst ipv4.Addr, mtu uint16) uint16 {
	for i := range t.n {
		if e := &t.v[i]; e.dst == dst {
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
	c, u := (*Conn)(nil), (*UDP)(nil)
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
		if u = s.udp.find(local, remote); u == nil {
			return ipv4.DropICMPNoSocket
		}
	default:
		if !feature.RawSock || s.raw == nil {
			return ipv4.DropICMPNoSocket
		}
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
	switch {
	case c != nil:
		s.setPMTU(q.Dst, mtu)
		if m := c.MTUDiscover(); m == IP_PMTUDISC_DONT || m >= IP_PMTUDISC_INTERFACE {
			return ipv4.DropNone
		}
		c.path.forget()
		if _, e := s.route(&c.path, q.Src, q.Dst, 0); e == 0 {
			mss := c.MSS()
			c.SetPathMSS(c.pathMSS())
			c.Resegment(q.Seq, c.MSS() < mss)
			s.touch(c)
		}
	case u != nil:
		if u.MTUDiscover() >= IP_PMTUDISC_INTERFACE {
			return ipv4.DropNone
		}
		s.setPMTU(q.Dst, mtu)
		if u.Conn.Error(errno.EMSGSIZE, u.MTUDiscover() != IP_PMTUDISC_DONT) {
			s.notify(&u.Sock, tcpReadWrite)
		}
	case !feature.RawSock || s.raw == nil || !s.rawError(q, errno.EMSGSIZE, true):
		return ipv4.DropICMPNoSocket
	default:
		s.setPMTU(q.Dst, mtu)
	}
	return ipv4.DropNone
}

// setPMTU remembers a path MTU; the oldest entry gives way when the table is full.
// All flows ask their way again.
func (s *Stack) setPMTU(dst ipv4.Addr, mtu uint16) {
	if s.pmtu == nil {
		s.pmtu = pkt.Words(unsafe.Sizeof(pmtuTable{}))
	}
	t := pmtuOf(s)
	for i := range t.n {
		if t.v[i].dst == dst {
			if mtu >= t.v[i].mtu {
				return // never raised by a message (RFC 1191 section 3)
			}
			t.remove(i)
			break
		}
	}
	if t.n == maxPMTU {
		t.remove(0)
	}
	t.v[t.n] = pmtu{dst: dst, mtu: mtu, expire: s.now + pmtuLife}
	t.n++
	s.routes.Touch()
}

// pollPMTU forgets what is old, so that larger packets are tried again.
func (s *Stack) pollPMTU() pkt.Time {
	t := pmtuOf(s)
	for t.n > 0 && t.v[0].expire <= s.now {
		t.remove(0)
		s.routes.Touch()
	}
	if t.n == 0 {
		return pkt.Never
	}
	return t.v[0].expire
}

// Modes of SetMTUDiscover, with Linux's numbers: is DF set, and which MTU counts?
const (
	IP_PMTUDISC_DONT      = 0 // no DF; what is longer than the path MTU is fragmented
	IP_PMTUDISC_WANT      = 1 // DF, but for what is longer than the path MTU: that is fragmented
	IP_PMTUDISC_DO        = 2 // DF; what is longer than the path MTU is EMSGSIZE
	IP_PMTUDISC_PROBE     = 3 // DF; what is longer than the link's MTU is EMSGSIZE (RFC 4821)
	IP_PMTUDISC_INTERFACE = 4 // no DF; likewise, and what routers say about the path is not believed
	IP_PMTUDISC_OMIT      = 5 // no DF, likewise, but longer datagrams are fragmented
)

// discoverShift is where Sock.is has the mode, so that WANT, the default, is 0.
const discoverShift = 3

// SetMTUDiscover chooses how the path MTU is found (IP_MTU_DISCOVER): one of the
// IP_PMTUDISC modes. In a segment of TCP, DF is set with WANT and DO only, and the rest
// says whether messages of routers count, as in Linux. It returns EINVAL for another
// mode, and does nothing in a build without feature pmtud.
func (k *Sock) SetMTUDiscover(mode int) Errno {
	if uint(mode) > IP_PMTUDISC_OMIT {
		return errno.EINVAL
	}
	k.is = k.is&^(7<<discoverShift) | connFlags(mode^IP_PMTUDISC_WANT)<<discoverShift
	return 0
}

// MTUDiscover returns the mode.
func (k *Sock) MTUDiscover() int { return int(k.is>>discoverShift&7) ^ IP_PMTUDISC_WANT }

// dontFragment reports whether segments go with DF: "a host MUST [...] set the DF
// bit" to do path MTU discovery (RFC 1191 section 3), which is the default.
func (k *Sock) dontFragment() bool {
	m := k.MTUDiscover()
	return m == IP_PMTUDISC_WANT || m == IP_PMTUDISC_DO
}

// discover makes h and p what the socket's mode wants of a datagram with n bytes behind
// its header: DF, and the length of packets. It reports whether it may be sent.
func (s *Stack) discover(k *Sock, h *ipv4.Header, p *path, n int) bool {
	m := k.MTUDiscover()
	if m >= IP_PMTUDISC_PROBE {
		p.mtu = s.linkMTU(p)
	}
	fits := h.HeaderLen()+n <= int(p.mtu)
	h.DF = m == IP_PMTUDISC_DO || m == IP_PMTUDISC_PROBE || m == IP_PMTUDISC_WANT && fits
	return fits || m <= IP_PMTUDISC_WANT || m == IP_PMTUDISC_OMIT
}

// linkMTU is the MTU of p's first link, whatever route and routers say.
func (s *Stack) linkMTU(p *path) uint16 {
	return uint16(min(uint32(p.ifc(s).MTU), s.maxPacket()))
}
