package stack

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
	"github.com/bonsainet/bonsai/udp"
)

// Input takes frames that the device of interface ifindex has received. Their
// memory stays the caller's: when Input returns, the frames have been copied
// where they belong. What they call for is sent by the next Poll.
func (s *Stack) Input(now pkt.Time, ifindex int, frames []*netif.Buf) {
	s.now = now
	ifc := s.ifaces[ifindex-1]
	if feature.Pcap && ifc.Capture != nil {
		captureBatch(now, ifc.Capture, frames)
	}
	if feature.PktSock && s.tap != nil {
		for _, b := range frames {
			s.tap(s, ifc, b.Bytes(), false)
		}
	}
	for i := 0; i < len(frames); i++ {
		b := frames[i]
		if feature.FastPath && !(feature.GRO && offloaded(b)) {
			if n := s.predicted(ifc, frames[i:]); n > 0 {
				i += n - 1
				continue
			}
		}
		if feature.GRO { // after predicted, which may have left something in s.seg
			tcp.Arrived(&s.seg, b)
		}
		if d := s.inputFrame(ifc, b.Bytes()); d != ipv4.DropNone {
			s.drop(d)
			ifc.Stats.RxDropped++
		}
	}
}

// inputFrame is a frame's way in: Ethernet, then ARP or IPv4.
func (s *Stack) inputFrame(ifc *netif.Interface, f []byte) ipv4.Drop {
	if !ifc.IsUp() {
		return ipv4.DropInterfaceDown
	}
	if len(f) < netif.EthernetHeaderLen {
		ifc.Stats.RxErrors++
		return ipv4.DropFrameShort
	}
	ifc.Stats.RxPackets++
	ifc.Stats.RxBytes += uint64(len(f))
	eth := netif.Ethernet(f)
	group := false // sent to all, or to many
	if dst := eth.Dst(); dst != ifc.HW {
		if !dst.IsMulticast() {
			return ipv4.DropNotForUs
		}
		group = true
		if !dst.IsBroadcast() {
			ifc.Stats.Multicast++
		}
	}
	p := f[netif.EthernetHeaderLen:]
	switch eth.Type() {
	case netif.EtherTypeIPv4:
		return s.inputIP(ifc, p, group)
	case netif.EtherTypeARP:
		return s.inputARP(ifc, p)
	}
	return ipv4.DropEtherType
}

// inputARP is RFC 826's packet reception.
func (s *Stack) inputARP(ifc *netif.Interface, p []byte) ipv4.Drop {
	var a netif.ARP
	if !a.Parse(p) || ifc.Flags&netif.IFF_NOARP != 0 {
		return ipv4.DropARPBad
	}
	probe := a.SPA.IsAny() // RFC 5227: asks whether anybody has an address, without one of its own
	if !probe && ipv4.BadSource(a.SPA) {
		return ipv4.DropARPBad
	}
	if feature.ACD && ifc.ACD != nil {
		s.inputACD(ifc, &a)
	}
	if s.isLocal(a.SPA) {
		return ipv4.DropARPConflict
	}
	mine := s.isLocal(a.TPA) && !a.TPA.IsLoopback()
	if !probe {
		if n := ifc.Neigh.Input(s.now, &a, mine); n != nil {
			for _, b := range n.Take() {
				s.sendTo(ifc, n, b)
			}
		}
	}
	if mine && a.Op == netif.ARPRequest {
		s.sendARP(ifc, &netif.ARP{Op: netif.ARPReply, SHA: ifc.HW, SPA: a.TPA, THA: a.SHA, TPA: a.SPA}, &a.SHA)
	}
	return ipv4.DropNone
}

// inputIP is a packet's way in: header, addresses, options, fragments, and then
// the protocol that it is for. group says that the link's destination was a
// broadcast or multicast address.
func (s *Stack) inputIP(ifc *netif.Interface, p []byte, group bool) ipv4.Drop {
	var h ipv4.Header
	payload, d := ipv4.Parse(p, &h)
	if d != ipv4.DropNone {
		return d
	}
	if a := (addrPair{h.Src, h.Dst, ifc.Index, s.routes.Gen()}); group || a != s.known {
		if group, d = s.checkAddresses(ifc, &h, group); d != ipv4.DropNone {
			return d
		}
		if !group {
			s.known = a
		}
	}
	if len(h.Options) > 0 {
		if ptr, d := ipv4.CheckOptions(h.Options); d != ipv4.DropNone {
			if d == ipv4.DropIPOptions {
				s.sendICMPError(&h, p, payload, group, ipv4.ICMPParameter, ipv4.ParameterPointer, uint32(ptr)<<24)
			}
			return d
		}
	}
	if h.IsFragment() {
		if !feature.Reassembly {
			return ipv4.DropFragment
		}
		if payload, d = s.reassemble(&h, &p, payload); payload == nil {
			return d
		}
		if feature.GRO {
			tcp.Arrived(&s.seg, nil)
		}
	}
	raw := feature.RawSock && s.raw != nil && s.inputRaw(ifc, &h, p)
	switch h.Proto {
	case ipv4.ProtoTCP:
		if group {
			return ipv4.DropTCPSYNSource
		}
		return s.inputTCP(&h, payload)
	case ipv4.ProtoUDP:
		return s.inputUDP(ifc, &h, p, payload, group)
	case ipv4.ProtoICMP:
		return s.inputICMP(ifc, &h, payload, group)
	}
	if feature.Multicast && h.Proto == ipv4.ProtoIGMP && groupsOf(ifc) != nil {
		return groupsOf(ifc).input(s, ifc, h.Dst, h.TTL, payload)
	}
	if raw {
		return ipv4.DropNone
	}
	s.sendICMPError(&h, p, payload, group, ipv4.ICMPUnreachable, ipv4.UnreachProtocol, 0)
	return ipv4.DropProtocol
}

// addrPair is what the last packet had for addresses, if they were good ones and
// single hosts': most packets come after one of the same flow. gen is the route
// table's, which changes with every address of ours.
type addrPair struct {
	src, dst ipv4.Addr
	ifindex  int32
	gen      uint32
}

// checkAddresses says whether h may come in by ifc, and whether it was sent to
// more than us.
func (s *Stack) checkAddresses(ifc *netif.Interface, h *ipv4.Header, group bool) (bool, ipv4.Drop) {
	if ifc.Dev != nil && (h.Dst.IsLoopback() || (ipv4.BadSource(h.Src) || s.isBroadcast(h.Src) || s.isLocal(h.Src)) &&
		!(feature.Multicast && groupSource(ifc, h))) {
		// "A host MUST silently discard an incoming datagram containing an IP source
		// address that is invalid by the rules of this section" (RFC 1122 section
		// 3.2.1.3).
		return false, ipv4.DropIPSource
	}
	if !s.isLocal(h.Dst) {
		if ifc.IsBroadcast(h.Dst) || h.Dst == ipv4.AllHosts || feature.Multicast && inGroup(ifc, h.Dst) {
			return true, ipv4.DropNone
		}
		return false, ipv4.DropIPDest
	}
	if group {
		// "a host SHOULD silently discard a datagram that is received via a link-layer
		// broadcast [...] but does not specify an IP multicast or broadcast destination
		// address" (RFC 1122 section 3.3.6).
		return false, ipv4.DropIPDest
	}
	return false, ipv4.DropNone
}

// inputLoop takes the packets that we have sent to ourselves.
func (s *Stack) inputLoop() {
	lo := s.ifaces[0]
	n := len(s.loop)
	for i := range n {
		b := s.loop[i] // the list grows meanwhile
		lo.Stats.RxPackets++
		lo.Stats.RxBytes += uint64(b.Len())
		if feature.GRO {
			tcp.Arrived(&s.seg, nil)
		}
		if d := s.inputIP(lo, b.Bytes(), false); d != ipv4.DropNone {
			s.drop(d)
		}
		s.pool.Put(b)
	}
	k := copy(s.loop, s.loop[n:])
	clear(s.loop[k:])
	s.loop = s.loop[:k]
}

// inputUDP gives a datagram to the socket that fits it best, or to every one that
// fits if it was sent to all.
func (s *Stack) inputUDP(ifc *netif.Interface, h *ipv4.Header, p, payload []byte, group bool) ipv4.Drop {
	if feature.GRO && tcp.Verified(&s.seg) {
		noChecksum(payload)
	}
	sport, dport, data, d := udp.Parse(payload, h.Src, h.Dst)
	if d != ipv4.DropNone {
		return d
	}
	src, dst := ipv4.Endpoint{Addr: h.Src, Port: sport}, ipv4.Endpoint{Addr: h.Dst, Port: dport}
	m := udp.Meta{Src: src, Dst: h.Dst, Ifindex: uint16(ifc.Index), TTL: h.TTL, TOS: h.TOS}
	if !s.udp.deliver(s, src, dst, &m, data, group, &d) {
		s.sendICMPError(h, p, payload, group, ipv4.ICMPUnreachable, ipv4.UnreachPort, 0)
		return ipv4.DropUDPPort
	}
	return d
}
