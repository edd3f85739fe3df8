package pktest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// field is a set of fields of a Packet that a Spec mentions.
type field uint32

const (
	hasMAC field = 1 << iota
	hasSrc
	hasDst
	hasFlags
	hasSeq
	hasAck
	hasWin
	hasUrg
	hasOpts // all of them, in order
	hasSomeOpts
	hasNoOpts
	hasLen
	hasData
	hasTTL
	hasTOS
	hasECN
	hasDF
	hasID
	hasType
	hasRest
	hasQuote
	hasARP
	hasFragment
	hasIPOptions
)

// Spec is what a test says about a packet. To expect it, what was not said may be
// anything; to send it, it is what New... or the method's comment says. Each method
// returns the Spec with one more thing said, and leaves the old one alone:
//
//	pktest.TCP(pktest.SYN).From("198.18.0.2:80").To("198.18.0.1:1024").Opts(pktest.MSS(1460))
//	pktest.Want(pktest.SYN | pktest.ACK).Seq(1).Opt(pktest.MSS(1460))
type Spec struct {
	p      Packet
	set    field
	some   []Option // of hasSomeOpts
	absent []uint8  // kinds, of hasNoOpts
	badSum bool
}

func newSpec(proto uint8) Spec {
	any := netip.AddrPortFrom(netip.AddrFrom4([4]byte{}), 0)
	return Spec{p: Packet{EtherType: EtherTypeIPv4, Proto: proto, TTL: 64, Src: any, Dst: any}}
}

// TCP begins a segment with exactly these flags. To be sent it has window 65535, TTL
// 64, and DF set.
func TCP(f Flags) Spec {
	s := newSpec(ProtoTCP)
	s.p.Flags, s.p.Win, s.p.DF = f, 65535, true
	s.set = hasFlags
	return s
}

// Want is TCP, for what is expected.
func Want(f Flags) Spec { return TCP(f) }

// UDP begins a datagram.
func UDP() Spec { return newSpec(ProtoUDP) }

// ICMP begins a message of this type and code.
func ICMP(typ, code uint8) Spec {
	s := newSpec(ProtoICMP)
	s.p.Type, s.p.Code, s.set = typ, code, hasType
	return s
}

// Echo begins an echo request.
func Echo(id, seq uint16) Spec { return ICMP(8, 0).Rest(uint32(id)<<16 | uint32(seq)) }

// EchoReply begins an echo reply.
func EchoReply(id, seq uint16) Spec { return ICMP(0, 0).Rest(uint32(id)<<16 | uint32(seq)) }

// ARPRequest begins a request by sha, at spa, for the owner of tpa.
func ARPRequest(sha MAC, spa, tpa string) Spec {
	s := arpSpec(1, sha, spa, MAC{}, tpa)
	return s.MACs(sha, MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
}

// ARPReply begins the answer of sha, at spa, to tha, at tpa.
func ARPReply(sha MAC, spa string, tha MAC, tpa string) Spec {
	return arpSpec(2, sha, spa, tha, tpa).MACs(sha, tha)
}

func arpSpec(op uint16, sha MAC, spa string, tha MAC, tpa string) Spec {
	return Spec{set: hasARP, p: Packet{EtherType: EtherTypeARP, ARP: ARP{
		Op: op, SHA: sha, THA: tha, SPA: netip.MustParseAddr(spa), TPA: netip.MustParseAddr(tpa),
	}}}
}

func mustAddrPort(s string) netip.AddrPort {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 0)
	}
	return netip.MustParseAddrPort(s)
}

// From says the source, "198.18.0.1:80", or "198.18.0.1" where there are no ports or
// any will do. It panics if it is neither.
func (s Spec) From(a string) Spec { return s.FromAddr(mustAddrPort(a)) }

// FromAddr is From.
func (s Spec) FromAddr(a netip.AddrPort) Spec { s.p.Src = a; s.set |= hasSrc; return s }

// To says the destination.
func (s Spec) To(a string) Spec { return s.ToAddr(mustAddrPort(a)) }

// ToAddr is To.
func (s Spec) ToAddr(a netip.AddrPort) Spec { s.p.Dst = a; s.set |= hasDst; return s }

// MACs says the Ethernet addresses.
func (s Spec) MACs(src, dst MAC) Spec { s.p.SrcMAC, s.p.DstMAC = src, dst; s.set |= hasMAC; return s }

// Seq says the sequence number.
func (s Spec) Seq(n uint32) Spec { s.p.Seq = n; s.set |= hasSeq; return s }

// Ack says the acknowledgment number; the flag is TCP's.
func (s Spec) Ack(n uint32) Spec { s.p.Ack = n; s.set |= hasAck; return s }

// Win says the window field, as it is in the header.
func (s Spec) Win(n uint16) Spec { s.p.Win = n; s.set |= hasWin; return s }

// Urg says the urgent pointer; the flag is TCP's.
func (s Spec) Urg(n uint16) Spec { s.p.Urg = n; s.set |= hasUrg; return s }

// Opts says all TCP options in their order.
func (s Spec) Opts(o ...Option) Spec { s.p.Options = o; s.set |= hasOpts; return s }

// Opt says that the TCP options include o. A packet that is sent has them in the
// order of the calls.
func (s Spec) Opt(o Option) Spec {
	s.some = append(slices.Clip(s.some), o)
	s.p.Options = s.some
	s.set |= hasSomeOpts
	return s
}

// NoOpt says that there is no TCP option of this kind.
func (s Spec) NoOpt(kind uint8) Spec {
	s.absent = append(slices.Clip(s.absent), kind)
	s.set |= hasNoOpts
	return s
}

// Data says the payload.
func (s Spec) Data(p []byte) Spec { s.p.Data = p; s.set |= hasData | hasLen; return s }

// Len says how long the payload is. A packet that is sent has zeros.
func (s Spec) Len(n int) Spec {
	s.p.Data = make([]byte, n)
	s.set |= hasLen
	s.set &^= hasData
	return s
}

// TTL says the time to live.
func (s Spec) TTL(n uint8) Spec { s.p.TTL = n; s.set |= hasTTL; return s }

// TOS says the type of service octet, ECN included.
func (s Spec) TOS(n uint8) Spec { s.p.TOS = n; s.set |= hasTOS; return s }

// ECN says the ECN field: 0 not capable, 1 ECT(1), 2 ECT(0), 3 CE (RFC 3168 section 5).
func (s Spec) ECN(n uint8) Spec {
	s.p.TOS = s.p.TOS&^3 | n
	s.set |= hasECN
	return s
}

// DF says whether the packet may not be fragmented.
func (s Spec) DF(on bool) Spec { s.p.DF = on; s.set |= hasDF; return s }

// ID says the IPv4 identification.
func (s Spec) ID(n uint16) Spec { s.p.ID = n; s.set |= hasID; return s }

// Fragment says the packet's place in the datagram: offset in bytes, and whether
// more follow. Data is then what is behind the IPv4 header.
func (s Spec) Fragment(offset int, more bool) Spec {
	s.p.FragOffset, s.p.MF = offset, more
	s.set |= hasFragment
	return s
}

// IPOptions says the IPv4 options, raw.
func (s Spec) IPOptions(b []byte) Spec { s.p.IPOptions = b; s.set |= hasIPOptions; return s }

// Rest says the second word of an ICMP message.
func (s Spec) Rest(n uint32) Spec { s.p.Rest = n; s.set |= hasRest; return s }

// About makes a packet that is sent quote the beginning of packet b, as many bytes of
// it as RFC 792 asks for.
func (s Spec) About(b []byte) Spec {
	n := min(len(b), int(b[0]&15)*4+8)
	s.p.Data = b[:n]
	s.p.Quote = parseQuote(s.p.Data)
	s.set |= hasQuote
	return s
}

// BadChecksum makes the checksum of TCP, UDP or ICMP wrong.
func (s Spec) BadChecksum() Spec { s.badSum = true; return s }

// Packet returns the IPv4 packet to send. It panics if the Spec can't be one, as
// with more options than a header holds.
func (s Spec) Packet() []byte {
	b, err := s.build()
	if err != nil {
		panic("pktest: " + err.Error())
	}
	return b
}

func (s Spec) build() ([]byte, error) {
	if s.p.Proto == ProtoTCP && len(appendOptions(nil, s.p.Options)) > 40 {
		return nil, fmt.Errorf("%d bytes of TCP options, of 40", len(appendOptions(nil, s.p.Options)))
	}
	b, err := s.p.marshalIP()
	if err == nil && s.badSum {
		h := int(b[0]&15) * 4
		at := map[uint8]int{ProtoTCP: 16, ProtoUDP: 6, ProtoICMP: 2}[s.p.Proto]
		b[h+at+1] ^= 1
	}
	return b, err
}

// Frame returns the Ethernet frame to send, padded to 60 bytes. It panics as
// Packet does.
func (s Spec) Frame() []byte {
	q := s.p
	if q.EtherType == EtherTypeIPv4 {
		q.EtherType, q.Data = 0, s.Packet()
		b, err := q.marshal()
		if err != nil {
			panic("pktest: " + err.Error())
		}
		b[12], b[13] = EtherTypeIPv4>>8, EtherTypeIPv4&0xff
		return b
	}
	b, err := q.marshal()
	if err != nil {
		panic("pktest: " + err.Error())
	}
	return b
}

// Diff returns how p differs from s, a line for each field: none if it does not.
func (s Spec) Diff(p *Packet) []string {
	d := new(differences)
	w := &s.p
	if s.set&hasARP != 0 || p.EtherType == EtherTypeARP {
		if p.EtherType != EtherTypeARP || s.set&hasARP == 0 || p.ARP != w.ARP {
			d.add("%v, want %v", p, s)
		}
		return d.lines
	}
	if p.Proto != w.Proto {
		d.add("protocol %s, want %s", protoName(p.Proto), protoName(w.Proto))
		return d.lines
	}
	s.diffIP(d, p)
	if w.Proto == ProtoTCP {
		s.diffTCP(d, p)
	}
	if w.Proto == ProtoICMP {
		if s.set&hasType != 0 && (p.Type != w.Type || p.Code != w.Code) {
			d.add("%s, want %s", icmpName(p.Type, p.Code), icmpName(w.Type, w.Code))
		}
		if s.set&hasRest != 0 && p.Rest != w.Rest {
			d.add("second word %#x, want %#x", p.Rest, w.Rest)
		}
		if s.set&hasQuote != 0 {
			s.diffQuote(d, p)
		}
	}
	if s.set&hasLen != 0 && len(p.Data) != len(w.Data) {
		d.add("%d bytes of data, want %d", len(p.Data), len(w.Data))
	} else if s.set&hasData != 0 {
		if i := differ(p.Data, w.Data); i >= 0 {
			d.add("byte %d of the data is %#02x, want %#02x", i, p.Data[i], w.Data[i])
		}
	}
	return d.lines
}

type differences struct{ lines []string }

func (d *differences) add(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func number[T comparable](d *differences, what string, got, want T, care bool) {
	if care && got != want {
		d.add("%s %v, want %v", what, got, want)
	}
}

func (s Spec) diffIP(d *differences, p *Packet) {
	w, set := &s.p, s.set
	if set&hasMAC != 0 && (p.SrcMAC != w.SrcMAC || p.DstMAC != w.DstMAC) {
		d.add("from %x to %x, want from %x to %x", p.SrcMAC, p.DstMAC, w.SrcMAC, w.DstMAC)
	}
	endpoint(d, "source", p.Src, w.Src, set&hasSrc != 0)
	endpoint(d, "destination", p.Dst, w.Dst, set&hasDst != 0)
	number(d, "TTL", p.TTL, w.TTL, set&hasTTL != 0)
	number(d, "TOS", p.TOS, w.TOS, set&hasTOS != 0)
	number(d, "ECN", p.TOS&3, w.TOS&3, set&hasECN != 0)
	number(d, "DF", p.DF, w.DF, set&hasDF != 0)
	number(d, "IP identification", p.ID, w.ID, set&hasID != 0)
	number(d, "fragment offset", p.FragOffset, w.FragOffset, set&hasFragment != 0)
	number(d, "MF", p.MF, w.MF, set&hasFragment != 0)
	number(d, "IP options", string(p.IPOptions), string(w.IPOptions), set&hasIPOptions != 0)
}

func endpoint(d *differences, what string, got, want netip.AddrPort, care bool) {
	if care && (got.Addr() != want.Addr() || want.Port() != 0 && got.Port() != want.Port()) {
		d.add("%s %v, want %v", what, got, want)
	}
}

func (s Spec) diffTCP(d *differences, p *Packet) {
	w, set := &s.p, s.set
	number(d, "flags", p.Flags, w.Flags, set&hasFlags != 0)
	number(d, "seq", p.Seq, w.Seq, set&hasSeq != 0)
	number(d, "ack", p.Ack, w.Ack, set&hasAck != 0)
	number(d, "win", p.Win, w.Win, set&hasWin != 0)
	number(d, "urgent pointer", p.Urg, w.Urg, set&hasUrg != 0)
	if set&hasOpts != 0 {
		got, want := optionsString(p.Options), optionsString(parseOptions(appendOptions(nil, w.Options)))
		number(d, "options", orNone(got), orNone(want), true)
	}
	at := 0
	for _, o := range s.some {
		i := slices.IndexFunc(p.Options[at:], func(x Option) bool { return x.Kind == o.Kind && string(x.Data) == string(o.Data) })
		if i < 0 {
			d.add("options %s, want %v among them", orNone(optionsString(p.Options)), o)
			break
		}
		at += i + 1
	}
	for _, k := range s.absent {
		for _, o := range p.Options {
			if o.Kind == k {
				d.add("option %v, want none of its kind", o)
			}
		}
	}
}

func (s Spec) diffQuote(d *differences, p *Packet) {
	q, w := p.Quote, s.p.Quote
	switch {
	case w == nil:
	case q == nil:
		d.add("quotes nothing, want %v", w)
	case q.Proto != w.Proto || q.Src != w.Src || q.Dst != w.Dst || q.Seq != w.Seq:
		d.add("quotes %v, want %v", q, w)
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Check fails the test, and shows how, unless frame, an Ethernet frame, is as s
// says and gopacket finds nothing wrong with it.
func (s Spec) Check(t testing.TB, frame []byte) {
	t.Helper()
	p, err := Parse(frame)
	if err == nil {
		err = Verify(frame)
	}
	s.report(t, p, err, frame)
}

// CheckIP is Check for an IPv4 packet.
func (s Spec) CheckIP(t testing.TB, packet []byte) {
	t.Helper()
	p, err := ParseIP(packet)
	if err == nil {
		err = VerifyIP(packet)
	}
	s.report(t, p, err, packet)
}

func (s Spec) report(t testing.TB, p *Packet, err error, b []byte) {
	t.Helper()
	if err != nil {
		t.Errorf("%v\n\tgot  % x\n\twant %v", err, b, s)
		return
	}
	if d := s.Diff(p); len(d) > 0 {
		t.Errorf("%s\n\tgot  %v\n\twant %v", strings.Join(d, "; "), p, s)
	}
}
