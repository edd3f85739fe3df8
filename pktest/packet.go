package pktest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// IP protocol numbers and Ethernet types.
const (
	ProtoICMP = 1
	ProtoTCP  = 6
	ProtoUDP  = 17

	EtherTypeIPv4 = 0x0800
	EtherTypeARP  = 0x0806
)

// MAC is an Ethernet address.
type MAC [6]byte

// Packet is a packet taken apart: fields that its protocol does not have are zero.
type Packet struct {
	SrcMAC, DstMAC MAC
	EtherType      uint16 // 0: there is no Ethernet header

	ARP ARP

	Src, Dst   netip.AddrPort // port 0: the protocol has none
	Proto      uint8
	TTL, TOS   uint8
	ID         uint16
	DF, MF     bool
	FragOffset int // bytes
	IPOptions  []byte

	Flags    Flags
	Seq, Ack uint32
	Win      uint16
	Urg      uint16
	Options  []Option

	Type, Code uint8   // ICMP
	Rest       uint32  // ICMP's second word: identifier and sequence, gateway, MTU...
	Quote      *Packet // what an ICMP error is about

	Data []byte // payload
}

// ARP is an ARP packet for IPv4 on Ethernet (RFC 826).
type ARP struct {
	Op       uint16 // 1: request, 2: reply
	SHA, THA MAC
	SPA, TPA netip.Addr
}

// Parse reads an Ethernet frame.
func Parse(frame []byte) (*Packet, error) {
	var eth layers.Ethernet
	if err := eth.DecodeFromBytes(frame, gopacket.NilDecodeFeedback); err != nil {
		return nil, err
	}
	p := &Packet{EtherType: uint16(eth.EthernetType)}
	copy(p.SrcMAC[:], eth.SrcMAC)
	copy(p.DstMAC[:], eth.DstMAC)
	switch p.EtherType {
	case EtherTypeIPv4:
		return p, p.parseIP(eth.Payload)
	case EtherTypeARP:
		return p, p.parseARP(eth.Payload)
	}
	p.Data = eth.Payload
	return p, nil
}

// ParseIP reads an IPv4 packet.
func ParseIP(b []byte) (*Packet, error) {
	p := new(Packet)
	return p, p.parseIP(b)
}

func (p *Packet) parseARP(b []byte) error {
	if len(b) < 28 || b[4] != 6 || b[5] != 4 { // gopacket 1.1.19 panics on some lengths
		return errors.New("ARP not for IPv4 on Ethernet")
	}
	var a layers.ARP
	if err := a.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil {
		return err
	}
	if a.AddrType != layers.LinkTypeEthernet || a.Protocol != EtherTypeIPv4 || a.HwAddressSize != 6 || a.ProtAddressSize != 4 {
		return errors.New("ARP not for IPv4 on Ethernet")
	}
	p.ARP.Op = a.Operation
	copy(p.ARP.SHA[:], a.SourceHwAddress)
	copy(p.ARP.THA[:], a.DstHwAddress)
	p.ARP.SPA = netip.AddrFrom4([4]byte(a.SourceProtAddress))
	p.ARP.TPA = netip.AddrFrom4([4]byte(a.DstProtAddress))
	return nil
}

func (p *Packet) parseIP(b []byte) error {
	var ip layers.IPv4
	if err := ip.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil {
		return err
	}
	if ip.Version != 4 {
		return fmt.Errorf("IP version %d", ip.Version)
	}
	p.setIP(&ip, b)
	data := ip.Payload
	p.Data = data
	if p.FragOffset > 0 {
		return nil
	}
	switch p.Proto {
	case ProtoTCP:
		var t layers.TCP
		if err := t.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err != nil {
			return err
		}
		p.setTCP(data[:len(t.Contents)], t.Payload)
	case ProtoUDP:
		if len(data) < 8 {
			return errors.New("UDP header cut off")
		}
		n := int(binary.BigEndian.Uint16(data[4:]))
		if n < 8 || n > len(data) && !p.MF {
			return fmt.Errorf("UDP length %d in %d bytes", n, len(data))
		}
		p.setPorts(data)
		p.Data = data[8:min(n, len(data))]
	case ProtoICMP:
		var m layers.ICMPv4
		if err := m.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err != nil {
			return err
		}
		p.Type, p.Code = m.TypeCode.Type(), m.TypeCode.Code()
		p.Rest = uint32(m.Id)<<16 | uint32(m.Seq)
		p.Data = m.Payload
		if icmpQuotes(p.Type) {
			p.Quote = parseQuote(m.Payload)
		}
	}
	return nil
}

func (p *Packet) setIP(ip *layers.IPv4, b []byte) {
	src, _ := netip.AddrFromSlice(ip.SrcIP.To4())
	dst, _ := netip.AddrFromSlice(ip.DstIP.To4())
	p.Src, p.Dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	p.Proto, p.TTL, p.TOS, p.ID = uint8(ip.Protocol), ip.TTL, ip.TOS, ip.Id
	p.DF, p.MF = ip.Flags&layers.IPv4DontFragment != 0, ip.Flags&layers.IPv4MoreFragments != 0
	p.FragOffset = int(ip.FragOffset) * 8
	p.IPOptions = b[20 : int(ip.IHL)*4]
}

func (p *Packet) setPorts(b []byte) {
	p.Src = netip.AddrPortFrom(p.Src.Addr(), binary.BigEndian.Uint16(b))
	p.Dst = netip.AddrPortFrom(p.Dst.Addr(), binary.BigEndian.Uint16(b[2:]))
}

func (p *Packet) setTCP(h, payload []byte) {
	p.setPorts(h)
	p.Seq, p.Ack = binary.BigEndian.Uint32(h[4:]), binary.BigEndian.Uint32(h[8:])
	p.Flags = Flags(h[13])
	p.Win, p.Urg = binary.BigEndian.Uint16(h[14:]), binary.BigEndian.Uint16(h[18:])
	p.Options = parseOptions(h[20:])
	p.Data = payload
}

// icmpQuotes reports whether messages of type t quote what they are about.
func icmpQuotes(t uint8) bool { return t == 3 || t == 4 || t == 5 || t == 11 || t == 12 }

// parseQuote reads the beginning of a packet: its header and as much of what
// follows as there is. It returns nil if that is not even 8 bytes.
func parseQuote(b []byte) *Packet {
	if len(b) < 28 || b[0]>>4 != 4 {
		return nil
	}
	n := int(b[0]&15) * 4
	if n < 20 || len(b) < n+8 {
		return nil
	}
	var ip layers.IPv4
	h := append([]byte(nil), b...)
	binary.BigEndian.PutUint16(h[2:], uint16(len(h))) // it was cut
	if ip.DecodeFromBytes(h, gopacket.NilDecodeFeedback) != nil {
		return nil
	}
	q := new(Packet)
	q.setIP(&ip, h)
	total := int(binary.BigEndian.Uint16(b[2:]))
	d := b[n:]
	size := max(total-n, 0)
	switch q.Proto {
	case ProtoTCP:
		q.setPorts(d)
		q.Seq = binary.BigEndian.Uint32(d[4:])
		hlen := 20
		if len(d) >= 14 {
			hlen = int(d[12]>>4) * 4
			q.Ack = binary.BigEndian.Uint32(d[8:])
			q.Flags = Flags(d[13])
		}
		q.Data = make([]byte, max(size-hlen, 0))
	case ProtoUDP:
		q.setPorts(d)
		q.Data = make([]byte, max(size-8, 0))
	case ProtoICMP:
		q.Type, q.Code = d[0], d[1]
		q.Rest = binary.BigEndian.Uint32(d[4:])
		q.Data = make([]byte, max(size-8, 0))
	}
	return q
}

// EndSeq returns the sequence number behind the segment, without its SYN and FIN.
func (p *Packet) EndSeq() uint32 { return p.Seq + uint32(len(p.Data)) }

// marshalIP returns p as an IPv4 packet.
func (p *Packet) marshalIP() ([]byte, error) {
	ip := &layers.IPv4{
		Version: 4, TOS: p.TOS, TTL: p.TTL, Id: p.ID, Protocol: layers.IPProtocol(p.Proto),
		FragOffset: uint16(p.FragOffset / 8),
		SrcIP:      p.Src.Addr().AsSlice(), DstIP: p.Dst.Addr().AsSlice(),
	}
	if p.DF {
		ip.Flags |= layers.IPv4DontFragment
	}
	if p.MF {
		ip.Flags |= layers.IPv4MoreFragments
	}
	parts := []gopacket.SerializableLayer{ip}
	switch {
	case p.FragOffset > 0:
	case p.Proto == ProtoTCP:
		parts = append(parts, p.tcpLayer(ip))
	case p.Proto == ProtoUDP:
		u := &layers.UDP{SrcPort: layers.UDPPort(p.Src.Port()), DstPort: layers.UDPPort(p.Dst.Port())}
		if err := u.SetNetworkLayerForChecksum(ip); err != nil {
			return nil, err
		}
		parts = append(parts, u)
	case p.Proto == ProtoICMP:
		parts = append(parts, &layers.ICMPv4{
			TypeCode: layers.CreateICMPv4TypeCode(p.Type, p.Code), Id: uint16(p.Rest >> 16), Seq: uint16(p.Rest),
		})
	}
	parts = append(parts, gopacket.Payload(p.Data))
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opts, parts...); err != nil {
		return nil, err
	}
	b := buf.Bytes()
	if len(b) > 65535 {
		return nil, fmt.Errorf("%d bytes are too many for an IPv4 packet", len(b))
	}
	if p.Proto == ProtoTCP && p.FragOffset == 0 {
		// gopacket has put NOPs: not all that a test sends is what it could write.
		copy(b[40:], appendOptions(nil, p.Options))
		setChecksum(b, 20, 16)
	}
	if p.Proto == ProtoUDP && p.FragOffset == 0 && b[26] == 0 && b[27] == 0 {
		b[26], b[27] = 0xff, 0xff // "If the computed checksum is zero" (RFC 768)
	}
	if len(p.IPOptions) > 0 {
		b = insertIPOptions(b, p.IPOptions)
	}
	return b, nil
}

func (p *Packet) tcpLayer(ip *layers.IPv4) *layers.TCP {
	f := p.Flags
	t := &layers.TCP{
		SrcPort: layers.TCPPort(p.Src.Port()), DstPort: layers.TCPPort(p.Dst.Port()),
		Seq: p.Seq, Ack: p.Ack, Window: p.Win, Urgent: p.Urg,
		FIN: f&FIN != 0, SYN: f&SYN != 0, RST: f&RST != 0, PSH: f&PSH != 0,
		ACK: f&ACK != 0, URG: f&URG != 0, ECE: f&ECE != 0, CWR: f&CWR != 0,
	}
	for range appendOptions(nil, p.Options) {
		t.Options = append(t.Options, layers.TCPOption{OptionType: layers.TCPOptionKindNop})
	}
	t.SetNetworkLayerForChecksum(ip) // ip is IPv4: no error
	return t
}

// insertIPOptions puts options behind the fixed part of the header of b.
func insertIPOptions(b, opt []byte) []byte {
	for len(opt)%4 != 0 {
		opt = append(opt[:len(opt):len(opt)], 0)
	}
	r := append(append(append([]byte(nil), b[:20]...), opt...), b[20:]...)
	r[0] = 0x40 | byte(5+len(opt)/4)
	binary.BigEndian.PutUint16(r[2:], uint16(len(r)))
	binary.BigEndian.PutUint16(r[10:], 0)
	binary.BigEndian.PutUint16(r[10:], ^onesSum(0, r[:20+len(opt)]))
	return r
}

// setChecksum computes the checksum of the transport header at h, whose checksum
// field is at h+at.
func setChecksum(b []byte, h, at int) {
	binary.BigEndian.PutUint16(b[h+at:], 0)
	binary.BigEndian.PutUint16(b[h+at:], ^onesSum(pseudoSum(b, h), b[h:]))
}

// pseudoSum is the sum of the pseudo-header of packet b, whose transport header is
// at h.
func pseudoSum(b []byte, h int) uint16 {
	pseudo := append([]byte(nil), b[12:20]...)
	pseudo = append(pseudo, 0, b[9], byte((len(b)-h)>>8), byte(len(b)-h))
	return onesSum(0, pseudo)
}

// onesSum is RFC 1071's sum.
func onesSum(acc uint16, p []byte) uint16 {
	s := uint32(acc)
	for i, v := range p {
		if i%2 == 0 {
			s += uint32(v) << 8
		} else {
			s += uint32(v)
		}
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// marshal returns p as an Ethernet frame, padded to 60 bytes.
func (p *Packet) marshal() ([]byte, error) {
	eth := &layers.Ethernet{SrcMAC: p.SrcMAC[:], DstMAC: p.DstMAC[:], EthernetType: layers.EthernetType(p.EtherType)}
	payload := p.Data
	switch p.EtherType {
	case EtherTypeIPv4:
		var err error
		if payload, err = p.marshalIP(); err != nil {
			return nil, err
		}
	case EtherTypeARP:
		a := &p.ARP
		arp := &layers.ARP{
			AddrType: layers.LinkTypeEthernet, Protocol: EtherTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
			Operation:       a.Op,
			SourceHwAddress: a.SHA[:], SourceProtAddress: a.SPA.AsSlice(),
			DstHwAddress: a.THA[:], DstProtAddress: a.TPA.AsSlice(),
		}
		buf := gopacket.NewSerializeBuffer()
		err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, eth, arp)
		return buf.Bytes(), err
	}
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, eth, gopacket.Payload(payload))
	return buf.Bytes(), err
}
