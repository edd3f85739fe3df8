package stack

import (
	"encoding/binary"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
)

// fuzzPeer is the stack's device, and everybody behind it. It remembers where each
// connection is, by what the stack sends, so that its segments fit if they are to.
type fuzzPeer struct {
	z     *fuzzRun
	sent  [][]byte // by the stack, to be answered
	flows []*fuzzFlow
	last  []byte // the stack's last packet, for ICMP to quote
	swap  *pkt.Buf
	more  []byte // options for the next segment
	edges map[*Conn]uint32

	// Of an Offloader: what is known of the next frame to the stack.
	size   int
	sum    pkt.SumState
	supers int // that the stack has sent
	gave   int // that it got
}

// superPeer is the same as a device that takes and gives super-segments.
type superPeer struct{ *fuzzPeer }

func (superPeer) Offload() bool { return true }

type fuzzFlow struct {
	local, remote  ipv4.Endpoint // as the stack has them
	nxt, ack       uint32        // behind the last that the stack sent; what it expects
	una            uint32        // what we acknowledged
	ts             bool
	tsval, tsecr   uint32
	syn, fin, gone bool // the stack has sent its SYN, its FIN, a reset
}

func (p *fuzzPeer) init(z *fuzzRun) { p.z, p.edges = z, map[*Conn]uint32{} }

func (p *fuzzPeer) Send(bufs []*netif.Buf) error {
	for i, b := range bufs {
		for _, f := range p.frames(b) {
			p.take(f)
		}
		if i == 0 && p.swap != nil && p.swap.Cap() >= b.Cap() { // devices may exchange
			bufs[i], p.swap = p.swap, b
		} else if p.swap == nil {
			p.swap = p.z.s.NewBuf()
		}
	}
	if p.z.now%7 == 3 {
		return errno.ENOBUFS
	}
	return nil
}

// frames returns copies of the frames that the one in b is on a wire.
func (p *fuzzPeer) frames(b *netif.Buf) (list [][]byte) {
	if !p.z.super && offloaded(b) {
		p.z.t.Fatalf("operation %d: a segment size of %d, checksum %d for a device that is no Offloader", p.z.steps, netif.SegmentSize(b), netif.Summed(b))
	}
	var c netif.Cutter
	if c.Begin(b) {
		p.supers++
		if f := b.Bytes(); netif.Summed(b) != netif.SumPartial || f[20]&0x40 == 0 || f[47]&byte(tcp.CWR|tcp.URG|tcp.SYN|tcp.RST) != 0 || c.Frames() < 2 {
			p.z.t.Fatalf("operation %d: a super-segment of %d frames, checksum %d, header %x", p.z.steps, c.Frames(), netif.Summed(b), f[:54])
		}
		for to := netif.NewBuf(1600); c.Next(to); {
			list = append(list, append([]byte(nil), to.Bytes()...))
		}
		return list
	}
	netif.Complete(b)
	return append(list, append([]byte(nil), b.Bytes()...))
}

// take looks at a frame that the stack has sent.
func (p *fuzzPeer) take(f []byte) {
	if netif.Ethernet(f).Type() == etherTypeTest { // a packet socket's
		return
	}
	if err := checkFrame(f, 1500, p.z.k.raws == nil); err != nil {
		p.z.t.Fatalf("operation %d: %v\n%x", p.z.steps, err, f)
	}
	if len(p.sent) < 64 {
		p.sent = append(p.sent, f)
	}
	if f[12] == 8 && f[13] == 0 {
		p.last = f[netif.EthernetHeaderLen:]
		p.verify(p.last)
	}
}

// verify checks the data of a segment that the stack sends.
func (p *fuzzPeer) verify(b []byte) {
	var h ipv4.Header
	var seg tcp.Segment
	s, d := ipv4.Parse(b, &h)
	if d != ipv4.DropNone || h.Proto != ipv4.ProtoTCP || h.IsFragment() || p.z.k.raws != nil ||
		tcp.Parse(s, ipv4.PseudoSum(h.Src, h.Dst, h.Proto, len(s)), &seg) != ipv4.DropNone {
		return
	}
	local, remote := ipv4.Endpoint{Addr: h.Src, Port: seg.SrcPort}, ipv4.Endpoint{Addr: h.Dst, Port: seg.DstPort}
	if c := p.z.s.tcp.lookup(local, remote); c != nil && seg.Flags&(tcp.SYN|tcp.RST|tcp.ACK) == tcp.ACK {
		shift := *(*uint8)(unsafe.Add(unsafe.Pointer(&c.Conn), rcvScale.off))
		edge := seg.Ack + uint32(seg.Wnd)<<shift
		// By less than a unit it may (RFC 7323 section 2.4), and to zero when memory is short.
		if old, ok := p.edges[c]; !ok || int32(edge-old) > 0 {
			p.edges[c] = edge
		} else if old-edge >= 1<<shift && seg.Wnd != 0 {
			p.z.t.Fatalf("operation %d: the window sent moved back by %d", p.z.steps, old-edge)
		}
	}
	if i := patternDiffers(seg.Payload, seg.Seq); i >= 0 {
		p.z.t.Fatalf("operation %d: byte %d of a segment of %d is wrong", p.z.steps, i, len(seg.Payload))
	}
}

func (p *fuzzPeer) Recv([]*netif.Buf) (int, error) { select {} }
func (p *fuzzPeer) MTU() int                       { return 1500 }
func (p *fuzzPeer) HardwareAddr() netif.MAC        { return netif.MAC{2, 0, 0, 0, 0, 1} }
func (p *fuzzPeer) Close() error                   { return nil }
func (p *fuzzPeer) mac(a ipv4.Addr) (m netif.MAC)  { return netif.MAC{2, 0, 0, 0, 0, byte(a)} }
func (f *fuzzFlow) is(local, remote ipv4.Endpoint) bool {
	return f.local == local && f.remote == remote
}

func (p *fuzzPeer) input(f []byte) {
	b := bufOf(f)
	netif.SetSegmentSize(b, p.size)
	netif.SetSummed(b, p.sum)
	p.size, p.sum = 0, 0
	p.z.s.Input(p.z.now, 2, []*netif.Buf{b})
}

func bufOf(f []byte) *netif.Buf {
	b := netif.NewBuf(max(len(f), 2000))
	b.CopyFrom(f)
	return b
}

// note learns from a segment that the stack has sent.
func (p *fuzzPeer) note(h *ipv4.Header, seg *tcp.Segment) *fuzzFlow {
	local, remote := ipv4.Endpoint{Addr: h.Src, Port: seg.SrcPort}, ipv4.Endpoint{Addr: h.Dst, Port: seg.DstPort}
	var f *fuzzFlow
	for _, x := range p.flows {
		if x.is(local, remote) {
			f = x
		}
	}
	if f == nil {
		f = &fuzzFlow{local: local, remote: remote, ack: 1000, una: seg.Seq}
		if len(p.flows) == 8 {
			p.flows = append(p.flows[:0], p.flows[1:]...)
		}
		p.flows = append(p.flows, f)
	}
	f.nxt = seg.Seq + seg.Len()
	if seg.Flags&tcp.ACK != 0 {
		f.ack = seg.Ack
	}
	if seg.Flags&tcp.SYN != 0 {
		f.syn = true
		f.una = seg.Seq
		if feature := seg.HasTS; feature {
			f.ts = true
		}
	}
	f.fin = f.fin || seg.Flags&tcp.FIN != 0
	f.gone = f.gone || seg.Flags&tcp.RST != 0
	if seg.HasTS {
		f.tsecr = seg.TSVal
	}
	return f
}

// answer answers the oldest frame of the stack that was not yet, as a good peer
// does if how is 0, and reports whether there was one.
func (p *fuzzPeer) answer(how byte) bool {
	if len(p.sent) == 0 {
		return false
	}
	at := 0
	if how > 3 {
		at = int(how) % len(p.sent)
	}
	b := p.sent[at]
	p.sent = append(p.sent[:at:at], p.sent[at+1:]...)
	if how&3 == 3 {
		return true // lost
	}
	e := netif.Ethernet(b)
	body := b[netif.EthernetHeaderLen:]
	if e.Type() == netif.EtherTypeARP {
		var a netif.ARP
		if a.Parse(body) && a.Op == netif.ARPRequest && byte(a.TPA) < 100 {
			p.sendARP(&netif.ARP{Op: netif.ARPReply, SHA: p.mac(a.TPA), SPA: a.TPA, THA: a.SHA, TPA: a.SPA})
		}
		return true
	}
	var h ipv4.Header
	payload, d := ipv4.Parse(body, &h)
	if d != ipv4.DropNone || h.Proto != ipv4.ProtoTCP || h.IsFragment() {
		return true
	}
	var seg tcp.Segment
	if tcp.Parse(payload, ipv4.PseudoSum(h.Src, h.Dst, h.Proto, len(payload)), &seg) != ipv4.DropNone {
		return true
	}
	f := p.note(&h, &seg)
	flags := tcp.ACK
	switch {
	case f.gone:
		return true
	case seg.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN:
		flags |= tcp.SYN
		f.ack = 1000
	case seg.Len() == 0:
		return true
	}
	f.una = f.nxt
	p.send(f, f.ack, f.una, flags, 0xffff, nil, 0)
	return true
}

// send sends a segment of flow f. extra says which options it has.
func (p *fuzzPeer) send(f *fuzzFlow, seq, ack uint32, flags tcp.Flags, wnd uint16, data []byte, extra byte) {
	var opt []byte
	if flags&tcp.SYN != 0 {
		opt = append(opt, 2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 4)
	}
	if (f.ts || flags&tcp.SYN != 0) && extra&1 == 0 {
		f.tsval++
		opt = append(opt, 1, 1, 8, 10)
		opt = binary.BigEndian.AppendUint32(opt, f.tsval)
		opt = binary.BigEndian.AppendUint32(opt, f.tsecr)
	}
	if extra&2 != 0 { // SACK of something near
		opt = append(opt, 1, 1, 5, 10)
		opt = binary.BigEndian.AppendUint32(opt, ack+uint32(extra>>4)*100)
		opt = binary.BigEndian.AppendUint32(opt, ack+uint32(extra>>4)*100+1+uint32(extra>>2)*50)
	}
	if extra&4 != 0 {
		opt = append(opt, p.z.take(int(extra>>3&7))...)
	}
	opt = append(opt, p.more...)
	opt = opt[:min(len(opt), 40)]
	for len(opt)%4 != 0 {
		opt = append(opt, 0)
	}
	n := 20 + len(opt)
	s := make([]byte, n+len(data))
	binary.BigEndian.PutUint16(s, f.remote.Port)
	binary.BigEndian.PutUint16(s[2:], f.local.Port)
	binary.BigEndian.PutUint32(s[4:], seq)
	binary.BigEndian.PutUint32(s[8:], ack)
	s[12], s[13] = byte(n)<<2, byte(flags)
	binary.BigEndian.PutUint16(s[14:], wnd)
	if flags&tcp.URG != 0 {
		s[19] = extra
	}
	copy(s[20:], opt)
	if flags&tcp.SYN != 0 {
		pattern(s[n:], seq+1)
	} else {
		pattern(s[n:], seq)
	}
	sum := pkt.Checksum(pkt.Sum(ipv4.PseudoSum(f.remote.Addr, f.local.Addr, ipv4.ProtoTCP, len(s)), s))
	if p.sum == netif.SumPartial {
		sum = 0 // nobody is to look at it
	}
	binary.BigEndian.PutUint16(s[16:], sum)
	p.packet(f.remote.Addr, f.local.Addr, ipv4.ProtoTCP, s, 0)
}

// sack acknowledges lo to hi out of order.
func (p *fuzzPeer) sack(f *fuzzFlow, lo, hi uint32) {
	p.more = binary.BigEndian.AppendUint32([]byte{1, 1, 5, 10}, lo)
	p.more = binary.BigEndian.AppendUint32(p.more, hi)
	p.send(f, f.ack, f.una, tcp.ACK, 0xffff, nil, 0)
	p.more = nil
}

// packet sends a payload under an IPv4 and an Ethernet header. frag is the field
// of flags and fragment offset.
func (p *fuzzPeer) packet(src, dst ipv4.Addr, proto byte, payload []byte, frag uint16) {
	f := make([]byte, 34+len(payload))
	our, their := p.HardwareAddr(), p.mac(src)
	copy(f, our[:])
	copy(f[6:], their[:])
	f[12] = 8
	ip := f[14:]
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(payload)))
	binary.BigEndian.PutUint16(ip[4:], 77)
	binary.BigEndian.PutUint16(ip[6:], frag)
	ip[8], ip[9] = 64, proto
	src.Put(ip[12:])
	dst.Put(ip[16:])
	binary.BigEndian.PutUint16(ip[10:], pkt.Checksum(pkt.Sum(0, ip[:20])))
	copy(ip[20:], payload)
	p.input(f)
}

func (p *fuzzPeer) flow(b byte) *fuzzFlow {
	if len(p.flows) == 0 {
		return nil
	}
	return p.flows[int(b)%len(p.flows)]
}

// segment sends a segment that fits the connection more or less.
func (p *fuzzPeer) segment(which, flags, seq, ack, size, wnd byte) {
	f := p.flow(which)
	if f == nil {
		return
	}
	fl := [...]tcp.Flags{tcp.ACK, tcp.ACK | tcp.PSH, tcp.ACK | tcp.FIN, tcp.RST, tcp.RST | tcp.ACK, tcp.SYN, tcp.SYN | tcp.ACK, 0,
		tcp.ACK | tcp.URG, tcp.ACK | tcp.FIN | tcp.PSH, tcp.ACK, tcp.ACK, tcp.ACK | tcp.FIN | tcp.SYN, tcp.ACK | tcp.ECE, tcp.FIN, tcp.ACK | tcp.RST | tcp.SYN}[flags&15]
	near := func(b byte) uint32 {
		n := uint32(b >> 3)
		switch b & 7 {
		case 4:
			return n * 100
		case 5:
			return -n * 100
		case 6:
			return n
		case 7:
			return -n - 1
		}
		return 0
	}
	data := make([]byte, []int{0, 1, 10, 100, 536, 1000, 1400, 1448}[size&7])
	if p.z.super {
		data = p.offload(p.z.byte(), data)
	}
	w := []uint16{0xffff, 0, 1, 100, 1500, 4000, 20000, 536}[wnd&7]
	extra := size >> 3
	if extra&1 != 0 && flags&0x80 == 0 { // seldom without timestamps
		extra &^= 1
	}
	s, a := f.ack+near(seq), f.nxt+near(ack)
	if flags&0x40 != 0 { // what it acknowledged before: a duplicate
		a = f.una
	}
	p.send(f, s, a, fl, w, data, extra|wnd&0xf0)
	if fl&tcp.ACK != 0 && int32(a-f.una) > 0 {
		f.una = a
	}
}

// offload says what an Offloader knows of the next frame: nothing, that its checksum need not be
// verified, or that it is as many segments as data is made for.
func (p *fuzzPeer) offload(how byte, data []byte) []byte {
	if how&1 == 0 {
		return data
	}
	p.sum = []pkt.SumState{netif.SumPartial, netif.SumVerified}[how>>1&1]
	if how&4 != 0 && len(data) > 1 {
		p.gave++
		p.size = len(data)
		data = make([]byte, p.size*int(1+how>>4)+1+int(how>>3&1)*(p.size-1))
	}
	return data
}

// syn opens a connection to the listener.
func (p *fuzzPeer) syn(b byte) {
	f := &fuzzFlow{
		local:  ipv4.Endpoint{Addr: fuzzAddr, Port: 80 + uint16(b>>7)},
		remote: ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2+b&3), Port: 3000 + uint16(b>>2&15)},
		ack:    5000,
	}
	if l := p.z.listener; l != nil {
		f.local.Port = l.local.Port
	}
	p.send(f, f.ack, 0, tcp.SYN, 20000, nil, b>>6&1)
}

func (p *fuzzPeer) datagram(from, to byte, n int) {
	src := ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2+from&3), Port: 99}
	dst := ipv4.Endpoint{Addr: fuzzAddr, Port: 53 + uint16(to&3)}
	if to&0x80 != 0 {
		dst.Addr |= 255
	}
	s := make([]byte, 8+n)
	binary.BigEndian.PutUint16(s, src.Port)
	binary.BigEndian.PutUint16(s[2:], dst.Port)
	binary.BigEndian.PutUint16(s[4:], uint16(len(s)))
	if from&4 == 0 {
		sum := pkt.Checksum(pkt.Sum(ipv4.PseudoSum(src.Addr, dst.Addr, ipv4.ProtoUDP, len(s)), s))
		binary.BigEndian.PutUint16(s[6:], sum)
	}
	p.packet(src.Addr, dst.Addr, ipv4.ProtoUDP, s, 0)
}

// fragment sends a piece of a datagram: UDP to port 53, if it is ever complete.
func (p *fuzzPeer) fragment(how, off, size byte) {
	d := make([]byte, int(size)*8)
	if off == 0 && len(d) >= 8 {
		binary.BigEndian.PutUint16(d[2:], 53)
		binary.BigEndian.PutUint16(d[4:], uint16(how)*8)
	}
	frag := uint16(off) * 4
	if how&1 == 0 {
		frag |= 0x2000
	}
	p.packet(ipv4.AddrOf(198, 18, 0, 2+how>>6), fuzzAddr, ipv4.ProtoUDP, d, frag)
}

// icmpError sends an error about the stack's last packet.
func (p *fuzzPeer) icmpError(typ, code byte) {
	if p.last == nil {
		return
	}
	b := pkt.NewBuf(1500)
	t := []byte{3, 11, 12, 5, 4, 3, 3, 3}[typ&7]
	info := uint32(0)
	if t == 3 && code&7 == 4 {
		info = uint32(p.z.byte()) * 6
	} else if t == 5 {
		info = uint32(ipv4.AddrOf(198, 18, 0, code))
	}
	ipv4.PutICMPError(b, t, code&15, info, p.last)
	p.packet(ipv4.AddrAt(p.last[16:20]), fuzzAddr, ipv4.ProtoICMP, b.Bytes(), 0)
}

func (p *fuzzPeer) echo(n int) {
	b := make([]byte, 8+n)
	b[0] = 8
	ipv4.SetICMPChecksum(b)
	p.packet(ipv4.AddrOf(198, 18, 0, 2), fuzzAddr, ipv4.ProtoICMP, b, 0)
}

func (p *fuzzPeer) sendARP(a *netif.ARP) {
	f := make([]byte, netif.EthernetHeaderLen+netif.ARPLen)
	copy(f, a.THA[:])
	copy(f[6:], a.SHA[:])
	binary.BigEndian.PutUint16(f[12:], netif.EtherTypeARP)
	a.Put(f[netif.EthernetHeaderLen:])
	p.input(f)
}

// arp sends a request or an answer nobody asked for.
func (p *fuzzPeer) arp(how, from byte) {
	a := netif.ARP{Op: netif.ARPRequest, SPA: ipv4.AddrOf(198, 18, 0, from), TPA: fuzzAddr, THA: netif.BroadcastMAC}
	a.SHA = p.mac(a.SPA)
	if how&1 != 0 {
		a.Op, a.THA = netif.ARPReply, p.HardwareAddr()
	}
	if how&2 != 0 {
		a.SHA[4]++
	}
	if how&4 != 0 {
		a.TPA = a.SPA
	}
	p.sendARP(&a)
}

// frame sends the next bytes of input as a frame; the link's addresses and the
// checksum of an IPv4 header are right.
func (p *fuzzPeer) frame() {
	n := int(p.z.byte())
	f := append(make([]byte, 14), p.z.take(n)...)
	hw := p.HardwareAddr()
	copy(f, hw[:])
	f[7], f[12] = 2, 8
	if n&1 != 0 {
		f[13] = 6
	} else if ip := f[14:]; len(ip) >= 20 {
		ip[0] = 0x40 | ip[0]&15
		if h := int(ip[0]&15) * 4; h <= len(ip) {
			fuzzAddr.Put(ip[16:])
			ip[10], ip[11] = 0, 0
			binary.BigEndian.PutUint16(ip[10:], pkt.Checksum(pkt.Sum(0, ip[:h])))
		}
	}
	p.input(f)
}
