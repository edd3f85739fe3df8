package stack

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
	"github.com/bonsainet/bonsai/tcp"
)

// path is the way to a destination: what a flow keeps, so that it need not ask
// the tables for every packet.
type path struct {
	neigh *netif.Neighbour // nil: broadcast, multicast or loopback
	gen   uint32           // of the route table
	mtu   uint16
	via   uint16 // index of the interface, 0: no path; and isGroup
}

// isGroup is set in path.via for broadcast and multicast, and isQuiet, with feature multicast, if our
// own members get none of it.
const (
	isGroup = 1 << 15
	isQuiet = feature.LenMulticast << 14
)

func (p *path) group() bool { return p.via&isGroup != 0 }

func (p *path) ifc(s *Stack) *netif.Interface { return s.ifaces[p.via&^(isGroup|isQuiet)-1] }

// valid reports whether the tables still say the same.
func (p *path) valid(s *Stack) bool {
	return p.via != 0 && p.gen == s.routes.Gen() && (p.neigh == nil || !p.neigh.Dead)
}

// forget makes p no path.
func (p *path) forget() { p.neigh, p.via = nil, 0 }

// route finds the way from src, or from the address that fits best if that is
// 0.0.0.0 or a group's, to dst. ifindex, if not 0, is the interface that it must
// take. It returns EINVAL for a source that is not ours, or none for a link; p is
// then as it was.
func (s *Stack) route(p *path, src, dst ipv4.Addr, ifindex int32) (ipv4.Addr, errno.Errno) {
	group := dst.IsMulticast() || dst == ipv4.Broadcast
	if src.IsMulticast() || s.isBroadcast(src) { // a socket bound to a group
		src = ipv4.Any
	}
	if !src.IsAny() && s.ownAddr(src) == nil {
		return src, errno.EINVAL
	}
	out := s.interfaceByIndex(ifindex)
	if s.isLocal(dst) && (out == nil || out.IsLocal(dst)) {
		if src.IsAny() {
			src = dst
		}
		*p = path{via: 1, gen: s.routes.Gen(), mtu: uint16(s.maxPacket())}
		return src, 0
	}
	hop := dst
	var r *route.Route
	if group && out == nil && !src.IsAny() {
		out = s.interfaceWith(src)
	} else if r = s.routes.LookupOn(dst, ifindex, 0); r != nil {
		if r.Flags&route.RTF_REJECT != 0 {
			return src, errno.EHOSTUNREACH
		}
		hop = r.NextHop(dst)
		out = s.interfaceByIndex(r.Ifindex)
	}
	// "Internal host loopback address. Addresses of this form MUST NOT appear
	// outside a host." RFC 1122 section 3.2.1.3 (g).
	if out == nil || !out.IsUp() || dst.IsLoopback() {
		return src, errno.ENETUNREACH
	}
	if src.IsLoopback() && out.Dev != nil {
		return src, errno.EINVAL
	}
	group = group || out.IsBroadcast(dst)
	if src.IsAny() {
		switch {
		case r != nil && !r.Src.IsAny():
			src = r.Src
		case group: // maybe none: DHCP
			src = out.Source(hop)
		default:
			src = s.source(out, hop)
		}
	}
	mtu := min(uint32(out.MTU), s.maxPacket()) // lo's may be more
	if r != nil && r.MTU != 0 {
		mtu = max(min(mtu, r.MTU), ipv4.MinMTU)
	}
	way := path{gen: s.routes.Gen(), mtu: uint16(mtu), via: uint16(out.Index)}
	if group {
		way.via |= isGroup
	}
	if feature.PMTUD && s.pmtu != nil {
		way.mtu = pmtuOf(s).mtu(dst, way.mtu)
	}
	if !group && out.Dev != nil {
		if way.neigh = out.Neighbour(s.now, hop); way.neigh == nil {
			return src, errno.ENOBUFS
		}
	}
	*p = way
	return src, 0
}

// source returns the address to send from to hop, a destination or gateway on the
// link of out: its own, or any other of ours if it has none.
func (s *Stack) source(out *netif.Interface, hop ipv4.Addr) ipv4.Addr {
	src := out.Source(hop)
	for _, i := range s.ifaces[1:] {
		if src.IsAny() && i.IsUp() {
			src = i.Source(hop)
		}
	}
	return src
}

// maxPacket returns the length of the largest packet that a Buf holds.
func (s *Stack) maxPacket() uint32 {
	return uint32(min(s.pool.Size()-netif.EthernetHeaderLen, ipv4.MaxLen))
}

// defaultTTL is 1 for groups: a multicast stays on its link unless the application
// says how far it may go (RFC 1112 section 6.1).
func (s *Stack) defaultTTL(dst ipv4.Addr) uint8 {
	if dst.IsMulticast() {
		return 1
	}
	return s.cfg.TTL
}

//go:noinline
func (s *Stack) interfaceByIndex(i int32) *netif.Interface {
	if i < 1 || int(i) > len(s.ifaces) {
		return nil
	}
	return s.ifaces[i-1]
}

// interfaceWith returns the interface that has address a and is up, or nil.
//
//go:noinline
func (s *Stack) interfaceWith(a ipv4.Addr) *netif.Interface {
	for _, ifc := range s.ifaces {
		if ifc.IsUp() && ifc.IsLocal(a) {
			return ifc
		}
	}
	return nil
}

// isLocal reports whether a is an address of ours: on any interface that is up,
// which is the weak end system model, as Linux has it (RFC 1122 section 3.3.4.2).
//
//go:noinline
func (s *Stack) isLocal(a ipv4.Addr) bool { return s.interfaceWith(a) != nil }

//go:noinline
func (s *Stack) isBroadcast(a ipv4.Addr) bool {
	for _, ifc := range s.ifaces {
		if ifc.IsBroadcast(a) {
			return true
		}
	}
	return false
}

// sendData sends head and data, one behind the other, as one datagram along p, in
// fragments if need be. It returns DropMTU when that can't be.
func (s *Stack) sendData(h *ipv4.Header, p *path, head, data []byte) ipv4.Drop {
	n := len(head) + len(data)
	if h.HeaderLen()+n > int(p.mtu) {
		if !feature.Fragmentation {
			return ipv4.DropMTU
		}
		return s.sendFragments(h, p, head, data)
	}
	b := s.pool.Get()
	f := b.Append(n)
	copy(f[copy(f, head):], data)
	return s.sendIP(b, h, p)
}

// reply sends the payload in b back to the sender of the packet with header h. TCP's
// goes without fragmentation.
func (s *Stack) reply(b *pkt.Buf, h *ipv4.Header, proto, ttl, tos uint8) {
	var p path
	if _, e := s.route(&p, h.Dst, h.Src, 0); e != 0 {
		s.pool.Put(b)
		return
	}
	s.sendIP(b, &ipv4.Header{Src: h.Dst, Dst: h.Src, Proto: proto, TTL: ttl, TOS: tos, DF: proto == ipv4.ProtoTCP}, &p)
}

// sendIP puts the header in front of the payload in b and sends it along p.
func (s *Stack) sendIP(b *pkt.Buf, h *ipv4.Header, p *path) ipv4.Drop {
	n := b.Len() + h.HeaderLen()
	wire := n
	if feature.TSO {
		wire = wireLen(b, h.HeaderLen())
	}
	if wire > int(p.mtu) {
		s.pool.Put(b)
		return ipv4.DropMTU
	}
	if !h.DF {
		h.ID = s.ids.Next(h.Src, h.Dst, h.Proto)
	}
	h.TotalLen = uint16(n)
	h.Put(b.Prepend(h.HeaderLen()))
	s.sendPacket(b, h.Dst, p)
	return ipv4.DropNone
}

// sendPacket gives the packet in b to the neighbour.
func (s *Stack) sendPacket(b *pkt.Buf, dst ipv4.Addr, p *path) {
	ifc := p.ifc(s)
	switch {
	case p.neigh != nil:
		if p.neigh.Output(s.now) {
			s.sendTo(ifc, p.neigh, b)
		} else if old := p.neigh.Hold(s.now, b); old != nil {
			s.drop(ipv4.DropNeighbour)
			s.pool.Put(old)
		}
	case ifc.Dev == nil:
		ifc.Stats.TxPackets++
		ifc.Stats.TxBytes += uint64(b.Len())
		if uint32(len(s.loop)*s.pool.Size()) >= s.cfg.Memory { // nobody polls
			s.drop(ipv4.DropMemory)
			s.pool.Put(b)
			return
		}
		s.loop = append(s.loop, b)
	default:
		if feature.Multicast && dst.IsMulticast() {
			if m := groupsOf(ifc); m != nil && p.via&isQuiet == 0 {
				m.output(s, m, b, dst)
			}
			if b.Bytes()[8] == 0 { // a time to live of 0 is for members on this host, as in Linux
				s.pool.Put(b)
				return
			}
		}
		mac := netif.BroadcastMAC
		if dst.IsMulticast() { // RFC 1112 section 6.4
			mac = netif.MAC{0x01, 0x00, 0x5e, byte(dst>>16) & 0x7f, byte(dst >> 8), byte(dst)}
		}
		netif.PutEthernet(b, &mac, &ifc.HW, netif.EtherTypeIPv4)
		s.transmit(ifc, b)
	}
}

// sendTo sends the packet in b to neighbour n, whose address is known.
func (s *Stack) sendTo(ifc *netif.Interface, n *netif.Neighbour, b *pkt.Buf) {
	netif.PutEthernet(b, &n.HW, &ifc.HW, netif.EtherTypeIPv4)
	s.transmit(ifc, b)
}

// sendARP sends a to the station dst.
func (s *Stack) sendARP(ifc *netif.Interface, a *netif.ARP, dst *netif.MAC) {
	b := s.pool.Get()
	a.Put(b.Append(netif.ARPLen))
	netif.PutEthernet(b, dst, &ifc.HW, netif.EtherTypeARP)
	s.transmit(ifc, b)
}

// transmit queues a frame for the interface's device.
func (s *Stack) transmit(ifc *netif.Interface, b *pkt.Buf) {
	if !ifc.IsUp() {
		s.drop(ipv4.DropInterfaceDown)
		s.pool.Put(b)
		return
	}
	if feature.TSO && s.cut(ifc, b) {
		return
	}
	ifc.Stats.TxPackets++
	ifc.Stats.TxBytes += uint64(b.Len())
	if feature.Pcap && ifc.Capture != nil {
		ifc.Capture(s.now, b.Bytes(), true)
	}
	if feature.PktSock && s.tap != nil {
		s.tap(s, ifc, b.Bytes(), true)
	}
	s.enqueue(ifc, b)
}

// enqueue adds b to the frames for the device, which gets them when there is a batch.
func (s *Stack) enqueue(ifc *netif.Interface, b *pkt.Buf) {
	n := len(ifc.Out)
	ifc.Out = ifc.Out[:n+1]
	if old := ifc.Out[n]; feature.FastPath && old != nil {
		s.pool.Put(old)
	}
	ifc.Out[n] = b
	if n+1 == cap(ifc.Out) || feature.TSO && pkt.SegmentSize(b) != 0 {
		s.flush(ifc)
	}
}

// flush gives the device what is queued for it and takes the buffers that it
// gives back. With feature fastpath they stay where they are, for the next to be sent.
func (s *Stack) flush(ifc *netif.Interface) {
	if ifc.Dev.Send(ifc.Out) != nil {
		ifc.Stats.TxErrors++
		s.drop(ipv4.DropDevice)
	}
	for i, b := range ifc.Out {
		if feature.TSO && b.Cap() >= pkt.SuperSize {
			s.putLarge(ifc, b)
		} else if feature.FastPath {
			continue
		} else {
			s.pool.Put(b)
		}
		ifc.Out[i] = nil
	}
	ifc.Out = ifc.Out[:0]
}

// pollNeighbours sends the ARP requests that are due, and disposes of what waits
// for neighbours that did not answer.
func (s *Stack) pollNeighbours() (next pkt.Time) {
	next = pkt.Never
	for _, ifc := range s.ifaces {
		if ifc.Dev == nil {
			continue
		}
		if feature.ACD && ifc.ACD != nil {
			next = min(next, s.pollACD(ifc))
		}
		if feature.Multicast && groupsOf(ifc) != nil {
			next = min(next, groupsOf(ifc).poll(s, ifc))
		}
		if at := ifc.Neigh.Due(); at > s.now {
			next = min(next, at)
			continue
		}
		for {
			act, n, at := ifc.Neigh.Poll(s.now)
			if act == netif.ActNone {
				next = min(next, at)
				break
			}
			if act == netif.ActFail {
				s.neighbourFailed(n)
				continue
			}
			dst := &netif.BroadcastMAC
			a := netif.ARP{Op: netif.ARPRequest, SHA: ifc.HW, SPA: s.source(ifc, n.Addr), TPA: n.Addr}
			if act == netif.ActUnicast {
				dst = &n.HW
			}
			s.sendARP(ifc, &a, dst)
		}
	}
	return next
}

// neighbourFailed reports "destination unreachable" to the senders of the packets
// that waited (RFC 1122 section 2.3.2.2 and 2.4).
func (s *Stack) neighbourFailed(n *netif.Neighbour) {
	if feature.Redirect {
		s.redirectAt = s.routes.Expire(s.now, n.Addr) // RFC 1122 section 3.3.1.4: back to the other gateway
	}
	for _, b := range n.Take() {
		var q ipv4.Quote
		s.drop(ipv4.DropNeighbour)
		if ipv4.ParseQuote(b.Bytes(), &q) == ipv4.DropNone {
			s.unreachable(&q, errno.EHOSTUNREACH, true)
		}
		s.pool.Put(b)
	}
}

const tcpReadWrite = tcp.Readable | tcp.Writable
