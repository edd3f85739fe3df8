package ipv4

import "github.com/bonsainet/bonsai/internal/pkt"

// Groups of routers that IGMP writes to.
const (
	AllRouters  Addr = 224<<24 | 2  // RFC 2236: who leaves a group tells them
	IGMPRouters Addr = 224<<24 | 22 // RFC 3376: reports of version 3
)

// Types of IGMP messages (RFC 3376 section 4).
const (
	IGMPQuery    = 0x11
	IGMPv1Report = 0x12
	IGMPv2Report = 0x16
	IGMPLeave    = 0x17
	IGMPv3Report = 0x22
)

// Types of an IGMPv3 report's group records (RFC 3376 section 4.2.12). To exclude no
// source is to be a member for all of them.
const (
	IGMPIsExclude = 2 // a member
	IGMPToInclude = 3 // no longer
	IGMPToExclude = 4 // from now on
)

// Lengths in bytes.
const (
	IGMPLen       = 8 // of a message of version 1 or 2, and of what comes before the records
	IGMPRecordLen = 8 // of a record without sources
	igmpQueryLen  = 12
)

// IGMP is what a host reads of a message.
type IGMP struct {
	_ [0]func() // not comparable: spares the code that would compare it

	Type       uint8    // IGMPQuery, IGMPv1Report or IGMPv2Report
	Version    uint8    // of a query, 1 to 3
	Group      Addr     // of a report or a query; 0.0.0.0: of all groups
	MaxResp    pkt.Time // of a query: within which to answer
	Robustness uint8    // of a query of version 3: the querier's, 1 to 7; else 0
	Interval   pkt.Time // of a query of version 3: between general ones; else 0
}

// maxRespV1 is within which to answer a query of version 1, which does not say
// (RFC 3376 section 7.2.1, RFC 1112's D).
const maxRespV1 = 10 * pkt.Second

// ParseIGMP reads the message p. It returns false for what a host has no use for: what is
// too short or has a wrong checksum, what is about no group, and reports of version 3.
// "Unrecognized message types MUST be silently ignored." RFC 3376 section 4. So must
// queries of a length that no version has (section 7.1).
func ParseIGMP(p []byte, m *IGMP) bool {
	if len(p) < IGMPLen || pkt.Checksum(pkt.Sum(0, p)) != 0 {
		return false
	}
	*m = IGMP{Type: p[0], Group: AddrAt(p[4:])}
	switch m.Type {
	case IGMPv1Report, IGMPv2Report:
		return m.Group.IsMulticast()
	case IGMPQuery:
	default:
		return false
	}
	if !m.Group.IsAny() && !m.Group.IsMulticast() {
		return false
	}
	// RFC 3376 section 7.1 tells the versions by length and code.
	switch code := p[1]; {
	case len(p) >= igmpQueryLen:
		n := int(pkt.BigEndian.Uint16(p[10:]))
		if igmpQueryLen+4*n > len(p) || n > 0 && m.Group.IsAny() {
			return false
		}
		m.Version = 3
		m.MaxResp = igmpTime(code) * (pkt.Second / 10)
		m.Robustness = p[8] & 7
		m.Interval = igmpTime(p[9]) * pkt.Second
	case len(p) > IGMPLen:
		return false
	case code != 0:
		m.Version = 2
		m.MaxResp = pkt.Time(code) * (pkt.Second / 10)
	default:
		// Of all groups, whatever the field holds.
		m.Version, m.MaxResp, m.Group = 1, maxRespV1, Any
	}
	return true
}

// igmpTime is the number that a Max Resp Code or a QQIC of version 3 stands for: itself
// below 128, else a mantissa and an exponent (RFC 3376 sections 4.1.1 and 4.1.7).
func igmpTime(code uint8) pkt.Time {
	if code < 128 {
		return pkt.Time(code)
	}
	return pkt.Time(code&15|16) << (code>>4&7 + 3)
}

// PutIGMP writes a message of version 1 or 2 about group into the first IGMPLen bytes
// of p.
func PutIGMP(p []byte, typ uint8, group Addr) {
	pkt.BigEndian.PutUint64(p, uint64(typ)<<56|uint64(group))
	FinishIGMP(p[:IGMPLen])
}

// PutIGMPRecord writes a record about group, without sources, into the first
// IGMPRecordLen bytes of p.
func PutIGMPRecord(p []byte, typ uint8, group Addr) {
	pkt.BigEndian.PutUint64(p, uint64(typ)<<56|uint64(group))
}

// FinishIGMP writes the checksum of message p.
func FinishIGMP(p []byte) {
	pkt.BigEndian.PutUint16(p[2:], 0)
	pkt.BigEndian.PutUint16(p[2:], pkt.Checksum(pkt.Sum(0, p)))
}
