package stack

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/tcp"
	"github.com/bonsainet/bonsai/udp"
)

// UDP is a UDP socket of a stack. Its memory is the caller's, who may hold it as a UDPMem.
type UDP struct {
	_ [0]func() // not comparable: spares the code that would compare it

	udp.Conn
	Sock
	stack *Stack
	next  *UDP      // in the table's bucket
	mc    groupsPtr // feature multicast: *sockGroups
	path  path
	dst   ipv4.Addr // where path leads
	src   ipv4.Addr // from where
	auto  bool      // Connect has chosen Local.Addr
}

// udpTable finds sockets by their port.
type udpTable struct {
	buckets [1 << udpBits]unsafe.Pointer // *UDP: see tcp.Conn
}

const udpBits = 3 * feature.Profile // 1, 8 or 64 buckets

func (t *udpTable) bucket(port uint16) **UDP {
	return (**UDP)(unsafe.Pointer(&t.buckets[port&(1<<udpBits-1)]))
}

// find returns the socket that sends from local to remote.
func (t *udpTable) find(local, remote ipv4.Endpoint) (best *UDP) {
	score := 0
	for u := *t.bucket(local.Port); u != nil; u = u.next {
		if n := u.Conn.Match(remote, local, 0); n > score {
			best, score = u, n
		}
	}
	return best
}

// deliver queues a datagram and reports whether anybody has the port.
func (t *udpTable) deliver(s *Stack, src, dst ipv4.Endpoint, m *udp.Meta, data []byte, all bool, d *ipv4.Drop) bool {
	var best *UDP
	score := 0
	for u := *t.bucket(dst.Port); u != nil; u = u.next {
		n := u.Conn.Match(src, dst, m.Ifindex)
		if n == 0 || feature.Multicast && all && !sockGroupsOf(&u.mc).wants(dst.Addr, int32(m.Ifindex)) {
			continue
		}
		if all {
			*d = u.take(s, m, data)
			best = u
		} else if n > score {
			best, score = u, n
		}
	}
	if best != nil && !all {
		*d = best.take(s, m, data)
	}
	return best != nil
}

func (u *UDP) take(s *Stack, m *udp.Meta, data []byte) ipv4.Drop {
	d := u.Conn.Deliver(&s.mem, m, data)
	if d == ipv4.DropNone {
		s.notify(&u.Sock, tcp.Readable)
	}
	return d
}

// OpenUDP binds u to local: address 0.0.0.0 for any, port 0 for a free one.
// Options such as u.Flags may be set before.
//
// It returns EADDRINUSE for an endpoint that is taken, EADDRNOTAVAIL for an address
// that is neither ours nor a group's, EINVAL if u is open already.
func (s *Stack) OpenUDP(u *UDP, local ipv4.Endpoint) error {
	if u.stack != nil {
		return errno.EINVAL
	}
	if !local.Addr.IsAny() && !s.isLocal(local.Addr) && !s.isBroadcast(local.Addr) && !local.Addr.IsMulticast() {
		return errno.EADDRNOTAVAIL
	}
	if local.Port == 0 {
		// RFC 6056 section 3.3.1: the first free one from a random port on.
		n := uint32(s.cfg.PortMax-s.cfg.PortMin) + 1
		at := uint32(s.random())
		for i := uint32(0); i < n && local.Port == 0; i++ {
			if p := s.cfg.PortMin + uint16((at+i)%n); !s.udp.taken(u, ipv4.Endpoint{Addr: local.Addr, Port: p}) {
				local.Port = p
			}
		}
		if local.Port == 0 {
			return errno.EADDRINUSE
		}
	} else if s.udp.taken(u, local) {
		return errno.EADDRINUSE
	}
	u.stack, u.quiet = s, false
	u.Local = local
	if u.RcvBuf == 0 {
		u.RcvBuf = udpRcvBuf
	}
	b := s.udp.bucket(local.Port)
	u.next, *b = *b, u
	return nil
}

// udpRcvBuf is the default receive buffer in bytes: Linux's 208 KiB, less in the
// smaller profiles.
const udpRcvBuf = 212992 >> (2 * (feature.Full - feature.Profile))

func (t *udpTable) taken(u *UDP, e ipv4.Endpoint) bool {
	for x := *t.bucket(e.Port); x != nil; x = x.next {
		if x.Local.Port == e.Port && (x.Local.Addr == e.Addr || x.Local.Addr.IsAny() || e.Addr.IsAny()) &&
			u.Flags&x.Flags&udp.ReuseAddr == 0 && (x.Ifindex == u.Ifindex || x.Ifindex == 0 || u.Ifindex == 0) {
			return true
		}
	}
	return false
}

// Connect fixes u's peer: it then receives from nobody else, and learns of errors.
// A zero remote undoes it.
func (u *UDP) Connect(now pkt.Time, remote ipv4.Endpoint) error {
	s := u.stack
	s.now = now
	if remote == (ipv4.Endpoint{}) {
		u.Remote = remote
		if u.auto {
			u.Local.Addr, u.auto = ipv4.Any, false
		}
		return nil
	}
	if remote.Addr.IsAny() {
		remote.Addr = ipv4.Loopback
	}
	if e := u.route(remote.Addr); e != 0 {
		return e
	}
	if u.Local.Addr.IsAny() {
		u.Local.Addr, u.auto = u.src, true
	}
	u.Remote = remote
	return nil
}

// route finds the way to dst, which u must be allowed to send to.
func (u *UDP) route(dst ipv4.Addr) (e errno.Errno) {
	if u.dst == dst && u.path.valid(u.stack) {
		return 0
	}
	u.dst = dst
	src, ifindex := u.Local.Addr, int32(u.Ifindex)
	if feature.Multicast && dst.IsMulticast() {
		src, ifindex = groupRoute(&u.mc, src, ifindex)
	}
	u.src, e = u.stack.route(&u.path, src, dst, ifindex)
	if e == 0 && u.path.group() && u.Flags&udp.Broadcast == 0 && !dst.IsMulticast() {
		e = errno.EACCES
	}
	if feature.Multicast && dst.IsMulticast() {
		quieten(&u.mc, &u.path)
	}
	if e != 0 {
		u.path.forget()
	}
	return e
}

// SendTo sends p to dst, or to the peer if dst is zero; the next Poll puts it on the
// wire. It returns EMSGSIZE when p is longer than 65,507 bytes or, in a build
// without fragmentation, than the MTU allows, or than SetMTUDiscover does; EDESTADDRREQ without a peer; EACCES for
// a broadcast address without udp.Broadcast; EINVAL for port 0 or when u's address
// is no longer ours; ENETUNREACH; EHOSTUNREACH; EPIPE; ENOBUFS; and what ICMP has reported
// since the last call.
func (u *UDP) SendTo(now pkt.Time, p []byte, dst ipv4.Endpoint) (int, Errno) {
	s := u.stack
	s.now = now
	if e := u.TakeError(); e != 0 {
		return 0, e
	}
	switch {
	case u.Flags&udp.ShutWr != 0:
		return 0, errno.EPIPE
	case len(p) > udp.MaxPayload:
		return 0, errno.EMSGSIZE
	case dst == ipv4.Endpoint{}:
		if dst = u.Remote; dst.Port == 0 {
			return 0, errno.EDESTADDRREQ
		}
	case dst.Port == 0:
		return 0, errno.EINVAL
	case dst.Addr.IsAny(): // to this host, as Linux has it
		dst.Addr = ipv4.Loopback
	}
	src := u.Local
	if e := u.route(dst.Addr); e != 0 {
		return 0, e
	}
	src.Addr = u.src
	h := ipv4.Header{Src: src.Addr, Dst: dst.Addr, Proto: ipv4.ProtoUDP, TTL: u.TTL, TOS: u.TOS, Options: u.Options}
	if feature.Multicast && dst.Addr.IsMulticast() {
		h.TTL = groupTTL(&u.mc)
	} else if h.TTL == 0 {
		h.TTL = s.defaultTTL(dst.Addr)
	}
	var head [udp.HeaderLen]byte
	udp.Put(head[:], src, dst, p)
	way := u.path
	if feature.PMTUD && !s.discover(&u.Sock, &h, &way, len(head)+len(p)) || s.sendData(&h, &way, head[:], p) != ipv4.DropNone {
		return 0, errno.EMSGSIZE
	}
	return len(p), 0
}

// RecvFrom takes the next datagram: m says whose it is and how long it was, of
// which n bytes fitted in p. It returns EAGAIN when there is none, and what ICMP
// has reported.
func (u *UDP) RecvFrom(p []byte, m *udp.Meta) (n int, e Errno) {
	if e := u.TakeError(); e != 0 {
		return 0, e
	}
	n, ok := u.Queue.Pop(&u.stack.mem, m, p)
	if !ok && u.Flags&udp.ShutRd == 0 {
		return 0, errno.EAGAIN
	}
	return n, 0
}

// Shutdown ends receiving (how 0), sending (1) or both (2), as shutdown(2) does: datagrams that
// come later are dropped and RecvFrom returns 0 bytes when none is left; SendTo returns EPIPE.
// It returns ENOTCONN without a peer and EINVAL for another how.
func (u *UDP) Shutdown(how int) Errno {
	switch {
	case uint(how) > 2:
		return errno.EINVAL
	case !u.Connected():
		return errno.ENOTCONN
	}
	if how != 1 {
		u.Flags |= udp.ShutRd
	}
	if how != 0 {
		u.Flags |= udp.ShutWr
	}
	u.stack.notify(&u.Sock, tcpReadWrite)
	return 0
}

// Close frees the port and what was not read.
func (u *UDP) Close() {
	s := u.stack
	if s == nil {
		return
	}
	for p := s.udp.bucket(u.Local.Port); *p != nil; p = &(*p).next {
		if *p == u {
			*p = u.next
			break
		}
	}
	if feature.Multicast {
		s.leaveGroups(&u.mc)
	}
	u.Queue.Reset(&s.mem)
	u.stack, u.quiet = nil, true
}
