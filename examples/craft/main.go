// Command craft builds frames with gopacket, right ones and wrong ones, gives them to a
// stack, and prints what it answers, or why it dropped them. It runs in virtual time,
// on an emulated link.
package main

import (
	"net"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/bonsainet/bonsai/examples/internal/show"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
)

func main() {
	us, them := emu.NewLink(emu.Config{})
	s := stack.New(stack.Config{Seed: 1})
	eth0, err := s.AddInterface("eth0", us)
	show.Check(err)
	r := stack.Ifreq{Name: "eth0", Addr: stack.SockaddrIn(ipv4.AddrOf(198, 18, 0, 2)), Flags: netif.IFF_UP}
	show.Check(s.Ioctl(stack.SIOCSIFADDR, &r))
	show.Check(s.Ioctl(stack.SIOCSIFFLAGS, &r))

	mac, hw := them.HardwareAddr(), us.HardwareAddr()
	eth := &layers.Ethernet{SrcMAC: mac[:], DstMAC: hw[:], EthernetType: layers.EthernetTypeIPv4}
	ip := func(proto layers.IPProtocol) *layers.IPv4 {
		return &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: net.IP{198, 18, 0, 1}, DstIP: net.IP{198, 18, 0, 2}}
	}
	segment := func(t layers.TCP) (l []gopacket.SerializableLayer) {
		h := ip(layers.IPProtocolTCP)
		t.SrcPort, t.DstPort, t.Seq, t.Window = 1000, 80, 7, 1000
		t.SetNetworkLayerForChecksum(h)
		return []gopacket.SerializableLayer{eth, h, &t}
	}
	udp := &layers.UDP{SrcPort: 1000, DstPort: 9}
	udpIP := ip(layers.IPProtocolUDP)
	udp.SetNetworkLayerForChecksum(udpIP)
	echo := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 1, Seq: 1}
	spoofed := ip(layers.IPProtocolICMPv4)
	spoofed.SrcIP = net.IP{255, 255, 255, 255}
	broadcast := &layers.Ethernet{SrcMAC: mac[:], DstMAC: layers.EthernetBroadcast, EthernetType: layers.EthernetTypeARP}
	for _, c := range []struct {
		what   string
		damage int // the byte of the frame in which a bit is flipped, if not 0
		layers []gopacket.SerializableLayer
	}{
		{"ARP: who has 198.18.0.2?", 0, []gopacket.SerializableLayer{broadcast, &layers.ARP{
			AddrType: 1, Protocol: 0x800, HwAddressSize: 6, ProtAddressSize: 4, Operation: 1, SourceHwAddress: mac[:],
			SourceProtAddress: []byte{198, 18, 0, 1}, DstHwAddress: make([]byte, 6), DstProtAddress: []byte{198, 18, 0, 2}}}},
		{"ping", 0, []gopacket.SerializableLayer{eth, ip(layers.IPProtocolICMPv4), echo, gopacket.Payload("hello")}},
		{"ping with a flipped bit", 44, []gopacket.SerializableLayer{eth, ip(layers.IPProtocolICMPv4), echo, gopacket.Payload("hello")}},
		{"ping from 255.255.255.255", 0, []gopacket.SerializableLayer{eth, spoofed, echo}},
		{"UDP to a port that nobody has", 0, []gopacket.SerializableLayer{eth, udpIP, udp, gopacket.Payload("hello")}},
		{"protocol 99", 0, []gopacket.SerializableLayer{eth, ip(99), gopacket.Payload("hello")}},
		{"SYN to a port where nobody listens", 0, segment(layers.TCP{SYN: true})},
		{"ACK of a connection that does not exist", 0, segment(layers.TCP{ACK: true, Ack: 4711})},
		{"RST of one", 0, segment(layers.TCP{RST: true})},
		{"a Christmas tree", 0, segment(layers.TCP{FIN: true, URG: true, PSH: true})},
	} {
		b := gopacket.NewSerializeBuffer()
		show.Check(gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, c.layers...))
		frame := netif.NewBuf(1514)
		frame.CopyFrom(b.Bytes())
		if c.damage > 0 {
			frame.Bytes()[c.damage] ^= 1
		}
		show.Exchange(c.what, s, eth0, frame, them)
	}
}
