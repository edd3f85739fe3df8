package netif

import (
	"github.com/bonsainet/bonsai/internal/pkt"
)

// The Ethernet header (RFC 894).
const (
	EthernetHeaderLen = 14 // bytes
	EtherTypeIPv4     = 0x0800
	EtherTypeARP      = 0x0806
)

// BroadcastMAC is the address that every station listens to. Not to be changed.
var BroadcastMAC = MAC{255, 255, 255, 255, 255, 255}

// IsMulticast reports whether m is a group address, which includes broadcast.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// IsBroadcast reports whether m is ff:ff:ff:ff:ff:ff.
func (m MAC) IsBroadcast() bool { return m == BroadcastMAC }

// String returns m as six hexadecimal bytes with colons.
//
//go:noinline
func (m MAC) String() string {
	const digits = "0123456789abcdef"
	var b [18]byte
	for i, v := range m {
		b[3*i], b[3*i+1], b[3*i+2] = digits[v>>4], digits[v&15], ':'
	}
	return string(b[:17])
}

// ParseMAC parses six bytes of one or two hexadecimal digits, separated by
// colons, as the Linux tools do.
func ParseMAC(s string) (m MAC, ok bool) {
	k, n := 0, 0 // byte of m, digits of it
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == ':' {
			k++
			if n == 0 || k == len(m) {
				return MAC{}, false
			}
			n = 0
			continue
		}
		d := c - '0'
		if d > 9 {
			if d = c | 0x20 - 'a' + 10; d < 10 {
				d = 16
			}
		}
		if d > 15 || n == 2 {
			return MAC{}, false
		}
		m[k] = m[k]<<4 | d
		n++
	}
	return m, k == len(m)-1 && n > 0
}

// Ethernet is a view of the header at the front of a frame of at least
// EthernetHeaderLen bytes.
type Ethernet []byte

// Dst returns the destination, Src the source.
func (e Ethernet) Dst() MAC { return MAC(e[0:6]) }
func (e Ethernet) Src() MAC { return MAC(e[6:12]) }

// Type returns the EtherType.
func (e Ethernet) Type() uint16 { return pkt.BigEndian.Uint16(e[12:14]) }

// Put writes the header.
func (e Ethernet) Put(dst, src *MAC, etherType uint16) {
	copy(e[0:6], dst[:])
	copy(e[6:12], src[:])
	pkt.BigEndian.PutUint16(e[12:14], etherType)
}

// PutEthernet puts an Ethernet header in front of the frame in b.
//
//go:noinline
func PutEthernet(b *pkt.Buf, dst, src *MAC, etherType uint16) {
	Ethernet(b.Prepend(EthernetHeaderLen)).Put(dst, src, etherType)
}
