package pktest

import (
	"fmt"
	"strings"
)

// icmpTypes are packetdrill's names of the ICMP types, and of their codes.
var icmpTypes = []struct {
	typ   uint8
	name  string
	codes []string
}{
	{0, "echo_reply", nil},
	{3, "unreachable", []string{
		"net_unreachable", "host_unreachable", "protocol_unreachable", "port_unreachable", "frag_needed",
		"source_route_failed", "net_unknown", "host_unknown", "source_host_isolated", "net_prohibited",
		"host_prohibited", "net_unreachable_for_tos", "host_unreachable_for_tos", "packet_filtered",
		"precedence_violation", "precedence_cutoff",
	}},
	{4, "source_quench", nil},
	{5, "redirect", []string{"redirect_net", "redirect_host", "redirect_net_for_tos", "redirect_host_for_tos"}},
	{8, "echo_request", nil},
	{9, "router_advertisement", nil},
	{10, "router_solicitation", nil},
	{11, "time_exceeded", []string{"ttl_exceeded", "reassembly_exceeded"}},
	{12, "parameter_problem", nil},
	{13, "timestamp_request", nil},
	{14, "timestamp_reply", nil},
	{15, "information_request", nil},
	{16, "information_reply", nil},
	{17, "address_mask_request", nil},
	{18, "address_mask_reply", nil},
}

func icmpName(typ, code uint8) string {
	for _, t := range icmpTypes {
		if t.typ != typ {
			continue
		}
		switch {
		case int(code) < len(t.codes):
			return "icmp " + t.name + " " + t.codes[code]
		case code == 0:
			return "icmp " + t.name
		}
		return fmt.Sprintf("icmp %s code %d", t.name, code)
	}
	return fmt.Sprintf("icmp type %d code %d", typ, code)
}

func protoName(n uint8) string {
	switch n {
	case ProtoTCP:
		return "tcp"
	case ProtoUDP:
		return "udp"
	case ProtoICMP:
		return "icmp"
	}
	return fmt.Sprintf("protocol %d", n)
}

// String returns p in packetdrill's notation, without its addresses.
func (p *Packet) String() string {
	var b strings.Builder
	switch {
	case p.EtherType == EtherTypeARP:
		a := &p.ARP
		if a.Op == 1 {
			return fmt.Sprintf("arp who-has %v tell %v", a.TPA, a.SPA)
		}
		return fmt.Sprintf("arp reply %v is-at %x", a.SPA, a.SHA)
	case p.EtherType != 0 && p.EtherType != EtherTypeIPv4:
		return fmt.Sprintf("ethertype %#04x (%d)", p.EtherType, len(p.Data))
	case p.FragOffset > 0:
		fmt.Fprintf(&b, "%s fragment at %d (%d)", protoName(p.Proto), p.FragOffset, len(p.Data))
	case p.Proto == ProtoTCP:
		fmt.Fprintf(&b, "%v %d:%d(%d)", p.Flags, p.Seq, p.EndSeq(), len(p.Data))
		if p.Flags&ACK != 0 {
			fmt.Fprintf(&b, " ack %d", p.Ack)
		}
		fmt.Fprintf(&b, " win %d", p.Win)
		if p.Flags&URG != 0 {
			fmt.Fprintf(&b, " urg %d", p.Urg)
		}
		if o := optionsString(p.Options); o != "" {
			b.WriteString(" " + o)
		}
	case p.Proto == ProtoUDP:
		fmt.Fprintf(&b, "udp (%d)", len(p.Data))
	case p.Proto == ProtoICMP:
		b.WriteString(icmpName(p.Type, p.Code))
		switch {
		case p.Type == 3 && p.Code == 4:
			fmt.Fprintf(&b, " mtu %d", p.Rest&0xffff)
		case p.Type == 0 || p.Type == 8:
			fmt.Fprintf(&b, " id %d seq %d (%d)", p.Rest>>16, p.Rest&0xffff, len(p.Data))
		}
		if p.Quote != nil {
			fmt.Fprintf(&b, " [%s]", p.Quote.quoted())
		}
	default:
		fmt.Fprintf(&b, "%s (%d)", protoName(p.Proto), len(p.Data))
	}
	if p.MF {
		b.WriteString(" more fragments")
	}
	return b.String()
}

// quoted returns the packet as in the quote of an ICMP error.
func (p *Packet) quoted() string {
	if p.Proto == ProtoTCP {
		return fmt.Sprintf("tcp %d:%d(%d)", p.Seq, p.EndSeq(), len(p.Data))
	}
	return fmt.Sprintf("%s (%d)", protoName(p.Proto), len(p.Data))
}

// String returns what is said about the packet, in packetdrill's notation.
func (s Spec) String() string {
	p, set := &s.p, s.set
	if p.Proto != ProtoTCP || p.FragOffset > 0 {
		str := p.String()
		if set&hasLen == 0 && p.Proto == ProtoUDP {
			str = "udp (...)"
		}
		return s.brackets() + str
	}
	var b strings.Builder
	b.WriteString(s.brackets())
	if set&hasFlags != 0 {
		b.WriteString(p.Flags.String())
	} else {
		b.WriteString("tcp")
	}
	switch {
	case set&hasSeq != 0 && set&hasLen != 0:
		fmt.Fprintf(&b, " %d:%d(%d)", p.Seq, p.EndSeq(), len(p.Data))
	case set&hasSeq != 0:
		fmt.Fprintf(&b, " seq %d", p.Seq)
	case set&hasLen != 0:
		fmt.Fprintf(&b, " (%d)", len(p.Data))
	}
	if set&hasAck != 0 {
		fmt.Fprintf(&b, " ack %d", p.Ack)
	}
	if set&hasWin != 0 {
		fmt.Fprintf(&b, " win %d", p.Win)
	}
	if set&hasUrg != 0 {
		fmt.Fprintf(&b, " urg %d", p.Urg)
	}
	switch {
	case set&hasOpts != 0 && len(p.Options) > 0:
		b.WriteString(" " + optionsString(p.Options))
	case set&hasSomeOpts != 0:
		b.WriteString(" " + strings.TrimSuffix(optionsString(s.some), ">") + ",...>")
	case set&hasOpts == 0:
		b.WriteString(" <...>")
	}
	for _, k := range s.absent {
		fmt.Fprintf(&b, " without option %d", k)
	}
	return b.String()
}

// brackets returns what is said about the IPv4 header.
func (s Spec) brackets() string {
	var parts []string
	if s.set&hasECN != 0 {
		parts = append(parts, []string{"noecn", "ect1", "ect0", "ce"}[s.p.TOS&3])
	}
	if s.set&hasTOS != 0 {
		parts = append(parts, fmt.Sprintf("tos %#x", s.p.TOS))
	}
	if s.set&hasTTL != 0 {
		parts = append(parts, fmt.Sprintf("ttl %d", s.p.TTL))
	}
	if s.set&hasDF != 0 {
		parts = append(parts, map[bool]string{true: "df", false: "nodf"}[s.p.DF])
	}
	if s.badSum {
		parts = append(parts, "badsum")
	}
	if len(parts) == 0 {
		return ""
	}
	return "[" + strings.Join(parts, ",") + "] "
}
