package stack

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
)

// Mreqn mirrors C's struct ip_mreqn: a group, and an interface for it.
type Mreqn struct {
	Multiaddr ipv4.Addr // the group
	Address   ipv4.Addr // of the interface, if Ifindex is 0
	Ifindex   int32     // of the interface; 0: the one with Address, or if that is 0.0.0.0, by the routes
}

// maxMemberships is how many groups a socket may join: Linux's igmp_max_memberships.
const maxMemberships = 20

// linkGroups is what the stack has of an interface's groups: allocated with the first
// one, for good. What it takes to speak IGMP is called by way of it, so that programs that join no
// group do not link it.
type linkGroups struct {
	_ [0]func() // not comparable

	input  func(s *Stack, i *netif.Interface, dst ipv4.Addr, ttl uint8, p []byte) ipv4.Drop
	output func(s *Stack, m *linkGroups, b *pkt.Buf, dst ipv4.Addr)
	poll   func(s *Stack, i *netif.Interface) pkt.Time
	leave  func(m *netif.Groups, now pkt.Time, a ipv4.Addr)
	loop   []*pkt.Buf // what we have sent to groups that we are in, for the next Poll
	netif.Groups
	looping bool // the packet in progress is from loop
}

// linkGroupsShape is a linkGroups as it is allocated: see tcp.TCB.
type linkGroupsShape struct {
	_ [0]func()
	_ [4]unsafe.Pointer
	_ []byte
	_ [2]unsafe.Pointer
	_ [unsafe.Sizeof(linkGroups{}) - unsafe.Offsetof(linkGroups{}.Groups) - 2*pointer]byte
}

func groupsOf(i *netif.Interface) *linkGroups { return *(**linkGroups)(unsafe.Pointer(&i.Groups)) }

// sockGroups is what a socket has of multicast, from the first option on.
type sockGroups struct {
	_ [0]func() // not comparable

	list    *membership
	addr    ipv4.Addr // IP_MULTICAST_IF: the source, 0.0.0.0 for the interface's
	ifindex int32     // and the interface, 0 for the routes'
	ttl     uint8     // IP_MULTICAST_TTL
	quiet   bool      // no IP_MULTICAST_LOOP
	own     bool      // no IP_MULTICAST_ALL
}

type membership struct {
	_    [0]func() // not comparable
	next *membership
	Mreqn
}

// groupsPtr is where a socket has its sockGroups.
type groupsPtr = [feature.LenMulticast]unsafe.Pointer

func sockGroupsOf(p *groupsPtr) *sockGroups { return *(**sockGroups)(unsafe.Pointer(p)) }

//go:noinline
func makeSockGroups(p *groupsPtr) *sockGroups {
	if sockGroupsOf(p) == nil {
		p[:][0] = unsafe.Pointer(&sockGroups{ttl: 1})
	}
	return sockGroupsOf(p)
}

// inGroup reports whether interface i is in group a.
func inGroup(i *netif.Interface, a ipv4.Addr) bool {
	m := groupsOf(i)
	return m != nil && m.Has(a)
}

// groupSource reports whether a source that is none otherwise is good: our own, of what we have sent to
// a group; or 0.0.0.0 in IGMP, of a system "that has not yet acquired an IP address" (RFC 3376 section
// 4.2.13), or of a switch that asks in place of a router (RFC 4541 section 2.1.1).
func groupSource(i *netif.Interface, h *ipv4.Header) bool {
	m := groupsOf(i)
	return m != nil && (m.looping || h.Src.IsAny() && h.Proto == ipv4.ProtoIGMP)
}

// wants reports whether a socket takes what was sent to group a and came in by interface ifindex: by
// default whatever any socket has joined, as in Linux, and without IP_MULTICAST_ALL its own groups.
func (p *sockGroups) wants(a ipv4.Addr, ifindex int32) bool {
	return p == nil || !p.own || !a.IsMulticast() || *p.find(a, ifindex) != nil
}

// find returns where membership of group a is linked, or where to link one.
func (p *sockGroups) find(a ipv4.Addr, ifindex int32) **membership {
	q := &p.list
	for *q != nil && ((*q).Multiaddr != a || (*q).Ifindex != ifindex) {
		q = &(*q).next
	}
	return q
}

// groupRoute returns where a socket sends to groups from: its own address and interface go before those
// of IP_MULTICAST_IF.
func groupRoute(p *groupsPtr, src ipv4.Addr, ifindex int32) (ipv4.Addr, int32) {
	if x := sockGroupsOf(p); x != nil {
		if src.IsMulticast() || src.IsAny() {
			src = x.addr
		}
		if ifindex == 0 {
			ifindex = x.ifindex
		}
	}
	return src, ifindex
}

// groupTTL is IP_MULTICAST_TTL: IP_TTL is for others, as in Linux. "If the upper-layer protocol chooses not
// to specify a time-to-live, it should default to 1 for all multicast IP datagrams" (RFC 1112 section 6.1).
func groupTTL(p *groupsPtr) uint8 {
	if x := sockGroupsOf(p); x != nil {
		return x.ttl
	}
	return 1
}

// quieten makes way one by which nothing comes back to us, if the socket wants that.
func quieten(p *groupsPtr, way *path) {
	if x := sockGroupsOf(p); x != nil && x.quiet {
		way.via |= isQuiet
	}
}

// outputGroup gives a copy of the packet in b, which goes to group dst by the interface of m, to our own members.
func (s *Stack) outputGroup(m *linkGroups, b *pkt.Buf, dst ipv4.Addr) {
	if !m.Has(dst) {
		return
	}
	if uint32(len(m.loop)*s.pool.Size()) >= s.cfg.Memory { // nobody polls
		s.drop(ipv4.DropMemory)
		return
	}
	c := s.pool.Get()
	c.CopyFrom(b.Bytes())
	pkt.Append((*[]unsafe.Pointer)(unsafe.Pointer(&m.loop)), unsafe.Pointer(c))
}

// leaveGroups ends all memberships of a socket.
func (s *Stack) leaveGroups(p *groupsPtr) {
	x := sockGroupsOf(p)
	if x == nil {
		return
	}
	for g := x.list; g != nil; g = g.next {
		m := groupsOf(s.ifaces[g.Ifindex-1])
		m.leave(&m.Groups, s.now, g.Multiaddr)
	}
	p[:][0] = nil
}

// setMreqn sets an option whose value is a struct ip_mreqn, of a socket that is bound to interface bound,
// or to none if that is 0.
func (s *Stack) setMreqn(p *groupsPtr, name int, r *Mreqn, bound int32) Errno {
	switch {
	case s == nil:
		return errno.EINVAL
	case name == IP_MULTICAST_IF:
		return s.setGroupInterface(p, r.Address, r.Ifindex, bound)
	case name == IP_ADD_MEMBERSHIP:
		return s.joinGroup(p, r)
	case name == IP_DROP_MEMBERSHIP:
		return s.leaveGroup(p, r)
	}
	return errno.ENOPROTOOPT
}

// setGroupInterface is IP_MULTICAST_IF: the interface with index ifindex or, if that is 0, the one with address
// a, if that is not 0.0.0.0.
func (s *Stack) setGroupInterface(p *groupsPtr, a ipv4.Addr, ifindex, bound int32) Errno {
	i := s.interfaceByIndex(ifindex)
	if ifindex == 0 && !a.IsAny() {
		i = s.ownAddr(a)
	}
	if i != nil {
		if ifindex = i.Index; bound != 0 && bound != ifindex {
			return errno.EINVAL
		}
	} else if ifindex != 0 || !a.IsAny() {
		return errno.EADDRNOTAVAIL
	}
	x := makeSockGroups(p)
	x.addr, x.ifindex = a, ifindex
	return 0
}

// groupInterface returns the interface that r names, nil if there is none.
func (s *Stack) groupInterface(r *Mreqn) *netif.Interface {
	if r.Ifindex != 0 {
		return s.interfaceByIndex(r.Ifindex)
	}
	if !r.Address.IsAny() {
		return s.ownAddr(r.Address)
	}
	var way path
	if _, e := s.route(&way, ipv4.Any, r.Multiaddr, 0); e != 0 {
		return nil
	}
	return way.ifc(s)
}

func (s *Stack) joinGroup(p *groupsPtr, r *Mreqn) Errno {
	if !r.Multiaddr.IsMulticast() {
		return errno.EINVAL
	}
	i := s.groupInterface(r)
	if i == nil {
		return errno.ENODEV
	}
	x := makeSockGroups(p)
	if *x.find(r.Multiaddr, i.Index) != nil {
		return errno.EADDRINUSE
	}
	n := 0
	for g := x.list; g != nil; g = g.next {
		n++
	}
	if n >= maxMemberships {
		return errno.ENOBUFS
	}
	m := groupsOf(i)
	if m == nil {
		m = (*linkGroups)(unsafe.Pointer(new(linkGroupsShape)))
		m.input, m.output = (*Stack).inputIGMP, (*Stack).outputGroup
		m.poll, m.leave = (*Stack).pollGroups, (*netif.Groups).Leave
		m.Init(s.random())
		i.Groups[:][0] = unsafe.Pointer(m)
	}
	m.SetUp(s.now, speaksIGMP(i))
	if !m.Join(s.now, r.Multiaddr) {
		return errno.ENOBUFS
	}
	g := &membership{Mreqn: *r}
	g.Ifindex = i.Index
	*x.find(r.Multiaddr, i.Index) = g
	return 0
}

func (s *Stack) leaveGroup(p *groupsPtr, r *Mreqn) Errno {
	i := s.groupInterface(r)
	if i == nil && r.Ifindex == 0 && r.Address.IsAny() {
		return errno.ENODEV
	}
	x := makeSockGroups(p)
	for q := &x.list; *q != nil; q = &(*q).next {
		g := *q
		switch {
		case g.Multiaddr != r.Multiaddr:
		case i != nil && g.Ifindex != i.Index, i == nil && r.Ifindex != 0:
		case i == nil && g.Address != r.Address: // an address that the interface has no longer
		default:
			*q = g.next
			m := groupsOf(s.ifaces[g.Ifindex-1])
			m.Leave(s.now, g.Multiaddr)
			return 0
		}
	}
	return errno.EADDRNOTAVAIL
}

// setGroupOption sets one of the options that are numbers.
func (s *Stack) setGroupOption(p *groupsPtr, name, v int, bound int32) Errno {
	switch name {
	case IP_MULTICAST_IF:
		if s == nil {
			return errno.EINVAL
		}
		if int(int32(v)) != v {
			return errno.EADDRNOTAVAIL
		}
		return s.setGroupInterface(p, ipv4.Any, int32(v), bound)
	case IP_MULTICAST_TTL:
		if v == -1 {
			v = 1
		}
		if v < 0 || v > 255 {
			return errno.EINVAL
		}
		makeSockGroups(p).ttl = uint8(v)
	case IP_MULTICAST_LOOP:
		makeSockGroups(p).quiet = v == 0
	case IP_MULTICAST_ALL:
		if v != 0 && v != 1 {
			return errno.EINVAL
		}
		makeSockGroups(p).own = v == 0
	default:
		return errno.ENOPROTOOPT
	}
	return 0
}

// groupOption returns one of the options that are numbers.
func groupOption(p *groupsPtr, name int) (int, Errno) {
	x := sockGroupsOf(p)
	if x == nil {
		x = &sockGroups{ttl: 1}
	}
	switch name {
	case IP_MULTICAST_IF:
		return int(x.ifindex), 0
	case IP_MULTICAST_TTL:
		return int(x.ttl), 0
	case IP_MULTICAST_LOOP:
		return btoi(!x.quiet), 0
	case IP_MULTICAST_ALL:
		return btoi(!x.own), 0
	}
	return 0, errno.ENOPROTOOPT
}

// speaksIGMP reports whether there may be others on the link of interface i.
func speaksIGMP(i *netif.Interface) bool { return i.Dev != nil && i.IsUp() }

// inputIGMP takes message p, of a packet to dst.
func (s *Stack) inputIGMP(i *netif.Interface, dst ipv4.Addr, ttl uint8, p []byte) ipv4.Drop {
	var q ipv4.IGMP
	m := groupsOf(i)
	if m.looping {
		return ipv4.DropNone // of a raw socket of ours
	}
	// "Sent with an IP Time-to-Live of 1" (RFC 3376 section 4): what was not may come from beyond the link,
	// but for what is sent to 224.0.0.1, which no router forwards.
	if !ipv4.ParseIGMP(p, &q) || ttl != 1 && dst != ipv4.AllHosts {
		return ipv4.DropProtocol
	}
	if q.Type != ipv4.IGMPQuery {
		if q.Group == dst {
			m.Report(dst)
		}
		return ipv4.DropNone
	}
	// Hosts SHOULD ignore "v1, v2 or v3 General Queries sent to a multicast address other than 224.0.0.1"
	// (RFC 3376 section 9.1), while one to an address of ours counts (section 4.1.12). Those without a router
	// alert they should ignore as well, but Linux does not, and there are queriers that leave it out.
	if q.Group.IsAny() && dst != ipv4.AllHosts && !s.isLocal(dst) {
		return ipv4.DropProtocol
	}
	m.Query(s.now, &q)
	return ipv4.DropNone
}

// routerAlert is the option of RFC 2113, which all IGMP messages have (RFC 3376 section 4).
var routerAlert = [4]byte{ipv4.OptRouterAlert, 4}

// pollGroups takes what has come back to us, and sends the IGMP messages that are due.
func (s *Stack) pollGroups(i *netif.Interface) pkt.Time {
	m := groupsOf(i)
	m.looping = true
	for k := 0; k < len(m.loop); k++ {
		if feature.GRO {
			tcp.Arrived(&s.seg, nil)
		}
		if d := s.inputIP(i, m.loop[k].Bytes(), true); d != ipv4.DropNone {
			s.drop(d)
		}
		s.pool.Put(m.loop[k])
		m.loop[k] = nil
	}
	m.loop = m.loop[:0]
	m.looping = false
	m.SetUp(s.now, speaksIGMP(i))
	head := ipv4.MinHeaderLen + len(routerAlert)
	for {
		due := m.Due(s.now)
		if due > s.now {
			return due
		}
		b := s.pool.Get()
		n, dst := m.Poll(s.now, b.Append(min(int(i.MTU), int(s.maxPacket()))-head))
		b.SetLen(n)
		if n == 0 {
			s.pool.Put(b)
			continue
		}
		// "sent with an IP Time-to-Live of 1, IP Precedence of Internetwork Control (e.g., Type of Service
		// 0xc0), and carries an IP Router Alert option": section 4; and with DF, as Linux has it. The source
		// is 0.0.0.0 where the interface has none (section 4.2.13).
		h := ipv4.Header{Src: i.Source(dst), Dst: dst, Proto: ipv4.ProtoIGMP, TTL: 1, TOS: 0xc0, DF: true, Options: routerAlert[:]}
		s.sendIP(b, &h, &path{mtu: uint16(min(uint32(i.MTU), s.maxPacket())), via: uint16(i.Index) | isGroup | isQuiet})
	}
}
