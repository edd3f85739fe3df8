// Package pktest is a kit for testing network stacks: packets to send and to
// expect, an oracle, and packetdrill's scripts.
//
//   - TCP, UDP, ICMP, Echo and ARPRequest begin a Spec: what a test says about a packet.
//     A Spec can be sent (Spec.Packet, Spec.Frame) and be expected (Want,
//     Spec.Check): what it does not mention is a default, or is not compared.
//   - Parse and ParseIP read a packet with gopacket; Verify says whether gopacket
//     agrees with every byte of it.
//   - Ladder draws what went to and fro.
//   - ParseScript and Run play .pkt scripts, packetdrill's language, against any
//     stack that implements Target: NewBonsai in virtual time, NewKernel the Linux
//     kernel in real time. RunScripts makes subtests of a folder of them. See
//     docs/pktest.md for the language.
package pktest

import "strings"

// Flags are the control bits of a TCP segment (RFC 9293 section 3.1).
type Flags uint16

const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// flagLetters are tcpdump's letters for the flags, in the order in which they are
// written.
var flagLetters = []struct {
	bit    Flags
	letter byte
}{{SYN, 'S'}, {FIN, 'F'}, {RST, 'R'}, {PSH, 'P'}, {ACK, '.'}, {URG, 'U'}, {ECE, 'E'}, {CWR, 'W'}}

// String returns the flags as tcpdump and packetdrill write them: "S." is
// SYN|ACK, "-" is none.
func (f Flags) String() string {
	if f == 0 {
		return "-"
	}
	var b strings.Builder
	for _, l := range flagLetters {
		if f&l.bit != 0 {
			b.WriteByte(l.letter)
		}
	}
	return b.String()
}

// ParseFlags reads what String writes.
func ParseFlags(s string) (f Flags, ok bool) {
	if s == "-" {
		return 0, true
	}
next:
	for i := 0; i < len(s); i++ {
		for _, l := range flagLetters {
			if s[i] == l.letter {
				f |= l.bit
				continue next
			}
		}
		return 0, false
	}
	return f, s != ""
}
