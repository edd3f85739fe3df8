package ipv4

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// ICMP types (RFC 792). Those that RFC 6633 and RFC 6918 deprecate (4, 6, 15 to
// 18, 30 to 39) have no name here, since they are neither sent nor heeded.
const (
	ICMPEchoReply      = 0
	ICMPUnreachable    = 3
	ICMPRedirect       = 5
	ICMPEcho           = 8
	ICMPRouterAdvert   = 9
	ICMPRouterSolicit  = 10
	ICMPTimeExceeded   = 11
	ICMPParameter      = 12
	ICMPTimestamp      = 13
	ICMPTimestampReply = 14
	ICMPHeaderLen      = 8   // bytes
	ICMPErrorLen       = 576 // the longest packet that carries an error, in bytes
	maxQuote           = ICMPErrorLen - MinHeaderLen - ICMPHeaderLen
)

// Codes of ICMPUnreachable (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section
// 5.2.7.1).
const (
	UnreachNet          = 0
	UnreachHost         = 1
	UnreachProtocol     = 2
	UnreachPort         = 3
	UnreachFragNeeded   = 4 // and DF set
	UnreachSourceRoute  = 5
	UnreachNetUnknown   = 6
	UnreachHostUnknown  = 7
	UnreachIsolated     = 8
	UnreachNetProhib    = 9
	UnreachHostProhib   = 10
	UnreachNetTOS       = 11
	UnreachHostTOS      = 12
	UnreachAdminProhib  = 13
	UnreachPrecedence   = 14
	UnreachPrecedCutoff = 15
)

// Codes of ICMPTimeExceeded and ICMPParameter.
const (
	ExceededTTL        = 0
	ExceededReassembly = 1
	ParameterPointer   = 0
)

// ICMP is an ICMP message.
type ICMP struct {
	Type, Code uint8
	Rest       uint32 // the second word, which depends on the type
	Body       []byte // what follows the first 8 bytes
}

// MTU returns the next hop's MTU in UnreachFragNeeded, 0 from a router older
// than RFC 1191.
func (m *ICMP) MTU() int { return int(uint16(m.Rest)) }

// Gateway returns the router that an ICMPRedirect names.
func (m *ICMP) Gateway() Addr { return Addr(m.Rest) }

// ParseICMP reads the message p into m, whose Body is a part of p. It verifies
// the checksum and no more: types are the caller's switch.
func ParseICMP(p []byte, m *ICMP) Drop {
	if len(p) < ICMPHeaderLen {
		return DropICMPShort
	}
	if pkt.Checksum(pkt.Sum(0, p)) != 0 {
		return DropICMPChecksum
	}
	m.Type, m.Code = p[0], p[1]
	m.Rest = pkt.BigEndian.Uint32(p[4:])
	m.Body = p[ICMPHeaderLen:]
	return DropNone
}

// SetICMPChecksum writes the checksum of the message p, of at least 4 bytes.
func SetICMPChecksum(p []byte) {
	p[2], p[3] = 0, 0
	pkt.BigEndian.PutUint16(p[2:], pkt.Checksum(pkt.Sum(0, p)))
}

// EchoReply turns the echo request p, which ParseICMP accepted, into its reply.
//
// "Data received in an ICMP Echo Request MUST be entirely included in the
// resulting Echo Reply." RFC 1122 section 3.2.2.6. So nothing but the type
// changes, and the checksum by as much (RFC 1141). That is never 0, which would be
// wrong over a message of nothing but zeros (RFC 1624 section 3).
func EchoReply(p []byte) {
	p[0] = ICMPEchoReply
	sum := uint32(pkt.BigEndian.Uint16(p[2:])) + ICMPEcho<<8
	pkt.BigEndian.PutUint16(p[2:], ^pkt.Checksum(sum))
}

// PutICMPError makes b, which must be empty, an ICMP error about the packet
// quote: IP header first, from its start. info is the second word: the pointer in
// its first octet, the MTU in its last two, or 0.
//
// "The ICMP datagram SHOULD contain as much of the original datagram as possible
// without the length of the ICMP datagram exceeding 576 bytes." RFC 1812
// section 4.3.2.3.
func PutICMPError(b *pkt.Buf, typ, code uint8, info uint32, quote []byte) {
	n := min(len(quote), maxQuote, b.Cap()-ICMPHeaderLen)
	if n >= 4 { // no link padding
		n = min(n, int(pkt.BigEndian.Uint16(quote[2:])))
	}
	p := b.Append(ICMPHeaderLen + n)
	p[0], p[1] = typ, code
	pkt.BigEndian.PutUint32(p[4:], info)
	copy(p[ICMPHeaderLen:], quote[:n])
	SetICMPChecksum(p)
}

// MayError reports whether an ICMP error may be sent about the packet with
// header h and the given payload. broadcast says what the header does not: the
// link layer's destination was a broadcast or multicast, or the IP destination
// is a directed broadcast.
//
// "An ICMP error message MUST NOT be sent as the result of receiving: an ICMP
// error message, or a datagram destined to an IP broadcast or IP multicast
// address, or a datagram sent as a link-layer broadcast, or a non-initial
// fragment, or a datagram whose source address does not define a single host."
// RFC 1122 section 3.2.2. A loopback source defines one: this host. It is BadSource
// that keeps such datagrams from coming in by a link.
func MayError(h *Header, payload []byte, broadcast bool) bool {
	if broadcast || h.FragOff != 0 || h.Src>>24 == 0 || h.Src>>29 == 7 || h.Dst>>29 == 7 {
		return false
	}
	if h.Proto != ProtoICMP {
		return true
	}
	// A type that we do not know may be an error.
	if len(payload) == 0 {
		return false
	}
	switch payload[0] {
	case ICMPEcho, ICMPEchoReply, ICMPTimestamp, ICMPTimestampReply:
		return true
	}
	return false
}

// Quote is what an ICMP error quotes of the datagram that it is about: one that
// we sent, if it is not forged.
type Quote struct {
	Src, Dst         Addr   // Src is ours
	SrcPort, DstPort uint16 // TCP and UDP
	Seq              uint32 // TCP
	TotalLen         uint16 // bytes, as the router saw it
	HeaderLen        uint8  // bytes
	Proto            uint8
	DF               bool
	Payload          []byte // of the datagram, at least 8 bytes
}

// ParseQuote reads the body of an ICMP error. The quoted checksum is not
// verified, since routers and translators on the way have changed the header.
func ParseQuote(p []byte, q *Quote) Drop {
	if len(p) < MinHeaderLen+8 || p[0]>>4 != 4 {
		return DropICMPQuote
	}
	hlen := int(p[0]&15) << 2
	if hlen < MinHeaderLen || len(p) < hlen+8 {
		return DropICMPQuote
	}
	flags := pkt.BigEndian.Uint16(p[6:])
	// Only the first fragment has the ports, and about others no error is sent.
	if flags&fragMask != 0 {
		return DropICMPQuote
	}
	q.TotalLen = pkt.BigEndian.Uint16(p[2:])
	q.DF = flags&flagDF != 0
	q.HeaderLen = uint8(hlen)
	q.Proto = p[9]
	q.Src = AddrAt(p[12:16])
	q.Dst = AddrAt(p[16:20])
	q.Payload = p[hlen:]
	w := pkt.BigEndian.Uint64(q.Payload)
	q.SrcPort = uint16(w >> 48)
	q.DstPort = uint16(w >> 32)
	q.Seq = uint32(w)
	return DropNone
}

// hard marks an error that ends the call or the connection attempt.
const hard = 0x80

// unreachErrnos has Linux's error for each code of ICMPUnreachable: what icmp(7)
// and ip(7) promise to applications.
var unreachErrnos = [16]errno.Errno{
	UnreachNet:          errno.ENETUNREACH,
	UnreachHost:         errno.EHOSTUNREACH,
	UnreachProtocol:     errno.ENOPROTOOPT | hard,
	UnreachPort:         errno.ECONNREFUSED | hard,
	UnreachFragNeeded:   errno.EMSGSIZE,
	UnreachSourceRoute:  errno.EOPNOTSUPP,
	UnreachNetUnknown:   errno.ENETUNREACH | hard,
	UnreachHostUnknown:  errno.EHOSTDOWN | hard,
	UnreachIsolated:     errno.ENONET | hard,
	UnreachNetProhib:    errno.ENETUNREACH | hard,
	UnreachHostProhib:   errno.EHOSTUNREACH | hard,
	UnreachNetTOS:       errno.ENETUNREACH,
	UnreachHostTOS:      errno.EHOSTUNREACH,
	UnreachAdminProhib:  errno.EHOSTUNREACH | hard,
	UnreachPrecedence:   errno.EHOSTUNREACH | hard,
	UnreachPrecedCutoff: errno.EHOSTUNREACH | hard,
}

// ICMPErrno returns the error that an ICMP message means to a socket, and
// whether it is a hard one, which ends a call or a connection attempt. It is 0 for
// messages that mean none: source quench, which RFC 6633 section 3 has hosts
// discard, redirects, the deprecated (RFC 6918) and the unknown.
func ICMPErrno(typ, code uint8) (e errno.Errno, isHard bool) {
	switch {
	case typ == ICMPUnreachable && code < uint8(len(unreachErrnos)):
		e = unreachErrnos[code]
		return e &^ hard, e&hard != 0
	case typ == ICMPTimeExceeded && code <= ExceededReassembly:
		return errno.EHOSTUNREACH, false
	case typ == ICMPParameter && code <= 2:
		return errno.EPROTO, true
	}
	return 0, false
}
