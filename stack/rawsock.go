package stack

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
	"github.com/bonsainet/bonsai/udp"
)

// Raw is a raw socket: it receives whole packets of one protocol, header
// included, and sends payloads under a header of the stack's, or whole packets
// (feature rawsock). Its memory is the caller's.
type Raw struct {
	_ [0]func() // not comparable: spares the code that would compare it

	Sock
	stack *Stack
	next  *Raw
	mc    groupsPtr // feature multicast: *sockGroups
	queue udp.Queue

	Proto   uint8     // of what it receives and sends
	HdrIncl bool      // IP_HDRINCL: what is sent has its own header
	Filter  uint32    // ICMP_FILTER: a bit for each ICMP type that is not wanted
	Local   ipv4.Addr // 0.0.0.0: any
	Remote  ipv4.Addr // 0.0.0.0: any; else the only peer
	TTL     uint8     // 0: the stack's default
	TOS     uint8
	RcvBuf  uint32 // bytes
	// Broadcast allows sending to broadcast addresses (SO_BROADCAST).
	Broadcast bool
	// RecvErr makes the next call return what ICMP says about what was sent (IP_RECVERR):
	// else only hard errors are reported, and only with a Remote, as Linux has it.
	RecvErr bool
	// SoftErr is the pending error, which the next call returns and clears (SO_ERROR).
	SoftErr Errno
}

type rawTable struct{ head *Raw }

func rawOf(s *Stack) *rawTable { return (*rawTable)(s.raw) }

func (s *Stack) openRaw(r *Raw) error {
	if s.cfg.Unprivileged {
		return errno.EPERM
	}
	if r.stack != nil {
		return errno.EINVAL
	}
	if !r.Local.IsAny() && !s.isLocal(r.Local) {
		return errno.EADDRNOTAVAIL
	}
	if s.raw == nil {
		s.raw = pkt.Pointers(1) // a rawTable
	}
	if r.RcvBuf == 0 {
		r.RcvBuf = udpRcvBuf
	}
	r.stack, r.quiet = s, false
	r.next, rawOf(s).head = rawOf(s).head, r
	return nil
}

// inputRaw gives packet p to every raw socket that wants it, and reports whether
// there was one.
func (s *Stack) inputRaw(ifc *netif.Interface, h *ipv4.Header, p []byte) (taken bool) {
	p = p[:h.TotalLen]
	for r := rawOf(s).head; r != nil; r = r.next {
		if r.Proto != h.Proto || !r.Local.IsAny() && r.Local != h.Dst || !r.Remote.IsAny() && r.Remote != h.Src ||
			feature.Multicast && !sockGroupsOf(&r.mc).wants(h.Dst, ifc.Index) {
			continue
		}
		if h.Proto == ipv4.ProtoICMP && len(p) > h.HeaderLen() {
			if t := p[h.HeaderLen()]; t < 32 && r.Filter>>t&1 != 0 {
				continue
			}
		}
		taken = true
		m := udp.Meta{Src: ipv4.Endpoint{Addr: h.Src}, Dst: h.Dst, Ifindex: uint16(ifc.Index), TTL: h.TTL, TOS: h.TOS}
		if d := r.queue.Push(&s.mem, int(r.RcvBuf), &m, p); d != ipv4.DropNone {
			s.drop(ipv4.DropRawBufferFull)
			continue
		}
		s.notify(&r.Sock, tcp.Readable)
	}
	return taken
}

// rawError tells the sockets that may have sent q of error e, and reports whether there was
// one: "the IP protocol number MUST be extracted from the original header and used to select the
// appropriate transport protocol entity" (RFC 1122 section 3.2.2), and a raw socket stands for one.
func (s *Stack) rawError(q *ipv4.Quote, e errno.Errno, hard bool) (told bool) {
	for r := rawOf(s).head; r != nil; r = r.next {
		if r.Proto != q.Proto || !r.Local.IsAny() && r.Local != q.Src || !r.Remote.IsAny() && r.Remote != q.Dst {
			continue
		}
		if feature.PMTUD && e == errno.EMSGSIZE && r.MTUDiscover() >= IP_PMTUDISC_INTERFACE {
			continue
		}
		told = true
		if r.RecvErr || hard && !r.Remote.IsAny() && (e != errno.EMSGSIZE || !feature.PMTUD || r.MTUDiscover() != IP_PMTUDISC_DONT) {
			r.SoftErr = e
			s.notify(&r.Sock, tcpReadWrite)
		}
	}
	return told
}

// takeError returns the pending error and clears it.
func (r *Raw) takeError() Errno {
	e := r.SoftErr
	r.SoftErr = 0
	return e
}

// RecvFrom takes the next packet, from its IPv4 header on: see UDP.RecvFrom.
func (r *Raw) RecvFrom(p []byte, m *udp.Meta) (n int, e Errno) {
	if e := r.takeError(); e != 0 {
		return 0, e
	}
	n, ok := r.queue.Pop(&r.stack.mem, m, p)
	if !ok {
		return 0, errno.EAGAIN
	}
	return n, 0
}

// SendTo sends p to dst, or to r.Remote if dst is 0.0.0.0: as the payload of
// protocol r.Proto, or with HdrIncl as a whole packet, of which the total length,
// the checksum, and a zero source address or identification are filled in (raw(7)).
// The rest of such a packet is the caller's affair, even a source address that is
// not ours, but for 127/8 on a link, which is EINVAL. It returns EMSGSIZE for what
// is longer than 65,535 bytes with its header or, as a whole packet or in a build
// without fragmentation, longer than the MTU, or than SetMTUDiscover allows.
func (r *Raw) SendTo(now pkt.Time, p []byte, dst ipv4.Addr) (int, Errno) {
	s := r.stack
	s.now = now
	if e := r.takeError(); e != 0 {
		return 0, e
	}
	if dst.IsAny() {
		if dst = r.Remote; dst.IsAny() {
			return 0, errno.EDESTADDRREQ
		}
	}
	var way path
	src, ifindex := r.Local, int32(0)
	if feature.Multicast && dst.IsMulticast() {
		src, ifindex = groupRoute(&r.mc, src, ifindex)
	}
	src, e := s.route(&way, src, dst, ifindex)
	if feature.Multicast && dst.IsMulticast() {
		quieten(&r.mc, &way)
	}
	if e == 0 && way.group() && !r.Broadcast && !dst.IsMulticast() {
		e = errno.EACCES
	}
	if e != 0 {
		return 0, e
	}
	if r.HdrIncl {
		if feature.PMTUD && r.MTUDiscover() >= IP_PMTUDISC_PROBE {
			way.mtu = s.linkMTU(&way)
		}
		e = s.sendWhole(p, src, dst, &way)
	} else {
		h := ipv4.Header{Src: src, Dst: dst, Proto: r.Proto, TTL: r.TTL, TOS: r.TOS}
		if feature.Multicast && dst.IsMulticast() {
			h.TTL = groupTTL(&r.mc)
		} else if h.TTL == 0 {
			h.TTL = s.defaultTTL(dst)
		}
		if feature.PMTUD && !s.discover(&r.Sock, &h, &way, len(p)) || s.sendData(&h, &way, nil, p) != ipv4.DropNone {
			e = errno.EMSGSIZE
		}
	}
	if e != 0 {
		return 0, e
	}
	return len(p), 0
}

// sendWhole sends packet p along way.
func (s *Stack) sendWhole(p []byte, src, dst ipv4.Addr, way *path) Errno {
	if len(p) < ipv4.MinHeaderLen {
		return errno.EINVAL
	}
	n := int(p[0]&15) * 4
	switch {
	case p[0]>>4 != 4 || n < ipv4.MinHeaderLen || n > len(p) || way.ifc(s).Dev != nil && (p[12] == 127 || p[16] == 127):
		return errno.EINVAL
	case len(p) > int(way.mtu):
		return errno.EMSGSIZE
	}
	b := s.pool.Get()
	q := b.Append(len(p))
	copy(q, p)
	if ipv4.AddrAt(q[12:16]).IsAny() {
		src.Put(q[12:16])
	}
	if q[4]|q[5] == 0 {
		pkt.BigEndian.PutUint16(q[4:], s.ids.Next(src, dst, q[9]))
	}
	pkt.BigEndian.PutUint16(q[2:], uint16(len(q)))
	pkt.BigEndian.PutUint16(q[10:], 0)
	pkt.BigEndian.PutUint16(q[10:], pkt.Checksum(pkt.Sum(0, q[:n])))
	s.sendPacket(b, dst, way)
	return 0
}

// Close ends reception.
func (r *Raw) Close() {
	s := r.stack
	if s == nil {
		return
	}
	for p := &rawOf(s).head; *p != nil; p = &(*p).next {
		if *p == r {
			*p = r.next
			break
		}
	}
	if feature.Multicast {
		s.leaveGroups(&r.mc)
	}
	r.queue.Reset(&s.mem)
	r.stack, r.quiet = nil, true
}
