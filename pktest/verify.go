package pktest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Verify reports what is wrong with an Ethernet frame that a stack has sent, with
// gopacket as the judge: it must decode it to the last layer, find the checksums
// right and encode it again to the same bytes. Zeros behind the packet, up to
// Ethernet's 60 bytes, are padding.
func Verify(frame []byte) error {
	var eth layers.Ethernet
	if err := eth.DecodeFromBytes(frame, gopacket.NilDecodeFeedback); err != nil {
		return err
	}
	again := gopacket.NewSerializeBuffer()
	switch eth.EthernetType {
	case layers.EthernetTypeIPv4:
		if err := VerifyIP(eth.Payload); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint16(eth.Payload[2:]))
		err := gopacket.SerializeLayers(again, gopacket.SerializeOptions{}, &eth, gopacket.Payload(eth.Payload[:n]))
		if err != nil {
			return err
		}
	case layers.EthernetTypeARP:
		if err := new(Packet).parseARP(eth.Payload); err != nil {
			return err
		}
		var arp layers.ARP
		if err := arp.DecodeFromBytes(eth.Payload, gopacket.NilDecodeFeedback); err != nil {
			return err
		}
		err := gopacket.SerializeLayers(again, gopacket.SerializeOptions{FixLengths: true}, &eth, &arp)
		if err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown Ethernet type %#04x", uint16(eth.EthernetType))
	}
	return same(frame, again.Bytes(), 60)
}

// same compares a frame with what gopacket makes of it; only one of them may be
// padded.
func same(frame, again []byte, pad int) error {
	n := min(len(frame), len(again))
	if i := differ(frame[:n], again[:n]); i >= 0 {
		return fmt.Errorf("byte %d is %#02x, and gopacket writes %#02x", i, frame[i], again[i])
	}
	for _, rest := range [][]byte{frame[n:], again[n:]} {
		if len(rest) > 0 && n+len(rest) > pad {
			return fmt.Errorf("%d bytes, and gopacket writes %d", len(frame), len(again))
		}
		if len(bytes.Trim(rest, "\x00")) > 0 {
			return errors.New("padding is not zero")
		}
	}
	return nil
}

func differ(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// VerifyIP is Verify for an IPv4 packet. What follows its total length is ignored.
func VerifyIP(b []byte) error {
	var ip layers.IPv4
	if err := ip.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil {
		return err
	}
	if int(ip.Length) > len(b) {
		return fmt.Errorf("total length %d of %d bytes", ip.Length, len(b))
	}
	b = b[:ip.Length]
	h := int(ip.IHL) * 4
	if onesSum(0, b[:h]) != 0xffff {
		return errors.New("the IPv4 header's checksum is wrong")
	}
	parts := []gopacket.SerializableLayer{&ip}
	payload := ip.Payload
	fragment := ip.FragOffset > 0 || ip.Flags&layers.IPv4MoreFragments != 0
	switch {
	case fragment:
	case ip.Protocol == layers.IPProtocolTCP:
		var t layers.TCP
		if err := t.DecodeFromBytes(payload, gopacket.NilDecodeFeedback); err != nil {
			return err
		}
		t.SetNetworkLayerForChecksum(&ip)
		if onesSum(pseudoSum(b, h), b[h:]) != 0xffff {
			return errors.New("the TCP checksum is wrong")
		}
		parts, payload = append(parts, &t), t.Payload
	case ip.Protocol == layers.IPProtocolUDP:
		var u layers.UDP
		if err := u.DecodeFromBytes(payload, gopacket.NilDecodeFeedback); err != nil {
			return err
		}
		if int(u.Length) != len(payload) {
			return fmt.Errorf("UDP length %d in %d bytes", u.Length, len(payload))
		}
		u.SetNetworkLayerForChecksum(&ip)
		if u.Checksum == 0 {
			return errors.New("UDP without a checksum")
		}
		if onesSum(pseudoSum(b, h), b[h:]) != 0xffff {
			return errors.New("the UDP checksum is wrong")
		}
		if u.Checksum == 0xffff { // gopacket would write 0, which means none
			return nil
		}
		parts, payload = append(parts, &u), u.Payload
	case ip.Protocol == layers.IPProtocolICMPv4:
		var m layers.ICMPv4
		if err := m.DecodeFromBytes(payload, gopacket.NilDecodeFeedback); err != nil {
			return err
		}
		if onesSum(0, payload) != 0xffff {
			return errors.New("the ICMP checksum is wrong")
		}
		parts, payload = append(parts, &m), m.Payload
	}
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opts, append(parts, gopacket.Payload(payload))...); err != nil {
		return err
	}
	return same(b, buf.Bytes(), 0)
}
