// Package ipv4 holds the Internet Protocol, version 4: addresses, the header
// and its options, fragments, ICMP, and the reasons for dropping a packet.
//
// It parses and builds; it keeps no state but the reassembly queue and knows
// neither interfaces nor routes. It does not fill in record route and timestamp
// options and never forwards. Features reassembly and fragmentation add one file
// each.
package ipv4

import "github.com/bonsainet/bonsai/internal/pkt"

// Addr is an IPv4 address in network byte order. The zero Addr is 0.0.0.0.
type Addr [4]byte

// Well-known addresses (RFC 1122 section 3.2.1.3).
var (
	Any       = Addr{}                   // 0.0.0.0: this host, or any address
	Broadcast = Addr{255, 255, 255, 255} // the limited broadcast
	Loopback  = Addr{127, 0, 0, 1}
	AllHosts  = Addr{224, 0, 0, 1} // the multicast group that every host is in (RFC 1112)
)

// AddrFrom returns the address whose big-endian value is v.
func AddrFrom(v uint32) (a Addr) {
	pkt.BigEndian.PutUint32(a[:], v)
	return a
}

// Uint32 returns the address as a big-endian number: 1.2.3.4 is 0x01020304.
func (a Addr) Uint32() uint32 { return pkt.BigEndian.Uint32(a[:]) }

// IsAny reports whether a is 0.0.0.0.
func (a Addr) IsAny() bool { return a == Addr{} }

// IsLoopback reports whether a is in 127.0.0.0/8.
func (a Addr) IsLoopback() bool { return a[0] == 127 }

// IsMulticast reports whether a is a class D address, 224.0.0.0/4.
func (a Addr) IsMulticast() bool { return a[0]>>4 == 14 }

// IsReserved reports whether a is a class E address, 240.0.0.0/4, which
// includes the limited broadcast.
func (a Addr) IsReserved() bool { return a[0]>>4 == 15 }

// ClassMask returns the mask that a's class implies (RFC 791 section 2.3): what
// SIOCSIFADDR assumes until SIOCSIFNETMASK says otherwise.
func (a Addr) ClassMask() Addr {
	switch {
	case a[0] < 128:
		return Addr{255, 0, 0, 0}
	case a[0] < 192:
		return Addr{255, 255, 0, 0}
	case a[0] < 224:
		return Addr{255, 255, 255, 0}
	}
	return Broadcast
}

// AppendTo appends a in dotted decimal to b.
func (a Addr) AppendTo(b []byte) []byte {
	for i, v := range a {
		if i > 0 {
			b = append(b, '.')
		}
		b = appendUint(b, uint(v))
	}
	return b
}

// String returns a in dotted decimal.
func (a Addr) String() string { return string(a.AppendTo(make([]byte, 0, 15))) }

// ParseAddr parses dotted decimal: exactly four numbers from 0 to 255, without
// leading zeros.
func ParseAddr(s string) (a Addr, ok bool) {
	i := 0
	for k := range a {
		if k > 0 {
			if i >= len(s) || s[i] != '.' {
				return Addr{}, false
			}
			i++
		}
		start, v := i, 0
		for i < len(s) && s[i] >= '0' && s[i] <= '9' && i-start < 3 {
			v = v*10 + int(s[i]-'0')
			i++
		}
		if i == start || v > 255 || (s[start] == '0' && i-start > 1) {
			return Addr{}, false
		}
		a[k] = byte(v)
	}
	return a, i == len(s)
}

// Endpoint is an address and a TCP or UDP port.
type Endpoint struct {
	Addr Addr
	Port uint16
}

// String returns e as "address:port".
func (e Endpoint) String() string {
	b := append(e.Addr.AppendTo(make([]byte, 0, 21)), ':')
	return string(appendUint(b, uint(e.Port)))
}

// Prefix is a block of addresses: the first Bits bits of Addr.
type Prefix struct {
	Addr Addr
	Bits uint8 // 0 to 32
}

// Mask returns the netmask of a prefix of n bits.
//
//go:noinline
func Mask(n uint8) Addr { return AddrFrom(^uint32(0) << (32 - n)) }

// MaskBits returns the length of the prefix that mask stands for, and whether
// mask is contiguous.
func MaskBits(mask Addr) (n uint8, ok bool) {
	v := mask.Uint32()
	for v&(1<<31) != 0 {
		v <<= 1
		n++
	}
	return n, v == 0
}

// Contains reports whether a is in p.
func (p Prefix) Contains(a Addr) bool {
	return (a.Uint32()^p.Addr.Uint32())>>(32-p.Bits) == 0
}

// Masked returns p with the bits behind its length cleared.
//
//go:noinline
func (p Prefix) Masked() Prefix {
	return Prefix{AddrFrom(p.Addr.Uint32() & Mask(p.Bits).Uint32()), p.Bits}
}

// Broadcast returns the directed broadcast address of p, the one with all host
// bits set. Prefixes of 31 and 32 bits have none (RFC 3021): ok is false.
func (p Prefix) Broadcast() (a Addr, ok bool) {
	return AddrFrom(p.Addr.Uint32() | ^Mask(p.Bits).Uint32()), p.Bits < 31
}

// String returns p as "address/bits".
func (p Prefix) String() string {
	b := append(p.Addr.AppendTo(make([]byte, 0, 18)), '/')
	return string(appendUint(b, uint(p.Bits)))
}

func appendUint(b []byte, v uint) []byte {
	if v >= 10 {
		b = appendUint(b, v/10)
	}
	return append(b, '0'+byte(v%10))
}
