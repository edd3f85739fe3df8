// Package ipv4 holds the Internet Protocol, version 4: addresses, the header
// and its options, fragments, ICMP, and the reasons for dropping a packet.
//
// It parses and builds; it keeps no state but the reassembly queue and knows
// neither interfaces nor routes. It does not fill in record route and timestamp
// options and never forwards. Features reassembly, fragmentation and multicast add one file
// each.
package ipv4

import "github.com/bonsainet/bonsai/internal/pkt"

// Addr is an IPv4 address, as a big-endian number: 198.18.0.1 is 0xc6120001. The
// zero Addr is 0.0.0.0.
type Addr uint32

// Well-known addresses (RFC 1122 section 3.2.1.3).
const (
	Any       Addr = 0           // 0.0.0.0: this host, or any address
	Broadcast Addr = 0xffffffff  // the limited broadcast
	Loopback  Addr = 127<<24 | 1 // 127.0.0.1
	AllHosts  Addr = 224<<24 | 1 // 224.0.0.1, the multicast group that every host is in (RFC 1112)
)

// AddrOf returns the address a.b.c.d.
func AddrOf(a, b, c, d byte) Addr {
	return Addr(a)<<24 | Addr(b)<<16 | Addr(c)<<8 | Addr(d)
}

// AddrFrom4 returns the address whose bytes are b, as those of package net/netip.
func AddrFrom4(b [4]byte) Addr { return AddrAt(b[:]) }

// AddrAt returns the address in the first four bytes of b, as packets have it.
func AddrAt(b []byte) Addr { return Addr(pkt.BigEndian.Uint32(b)) }

// As4 returns the bytes of a.
func (a Addr) As4() (b [4]byte) {
	a.Put(b[:])
	return b
}

// Put writes a to the first four bytes of b.
func (a Addr) Put(b []byte) { pkt.BigEndian.PutUint32(b, uint32(a)) }

// IsAny reports whether a is 0.0.0.0.
func (a Addr) IsAny() bool { return a == Any }

// IsLoopback reports whether a is in 127.0.0.0/8.
func (a Addr) IsLoopback() bool { return a>>24 == 127 }

// IsMulticast reports whether a is a class D address, 224.0.0.0/4.
func (a Addr) IsMulticast() bool { return a>>28 == 14 }

// IsReserved reports whether a is a class E address, 240.0.0.0/4, which
// includes the limited broadcast.
func (a Addr) IsReserved() bool { return a>>28 == 15 }

// ClassMask returns the mask that a's class implies (RFC 791 section 2.3): what
// SIOCSIFADDR assumes until SIOCSIFNETMASK says otherwise.
func (a Addr) ClassMask() Addr {
	switch {
	case a>>31 == 0:
		return 0xff000000
	case a>>30 == 2:
		return 0xffff0000
	case a>>29 == 6:
		return 0xffffff00
	}
	return Broadcast
}

// AppendTo appends a in dotted decimal to b.
func (a Addr) AppendTo(b []byte) []byte {
	for shift := 24; ; shift -= 8 {
		b = appendUint(b, uint(a>>shift&255))
		if shift == 0 {
			return b
		}
		b = append(b, '.')
	}
}

// String returns a in dotted decimal.
func (a Addr) String() string { return string(a.AppendTo(make([]byte, 0, 15))) }

// ParseAddr parses dotted decimal: exactly four numbers from 0 to 255, without
// leading zeros.
func ParseAddr(s string) (a Addr, ok bool) {
	i := 0
	for k := range 4 {
		if k > 0 {
			if i >= len(s) || s[i] != '.' {
				return Any, false
			}
			i++
		}
		start, v := i, 0
		for i < len(s) && s[i] >= '0' && s[i] <= '9' && i-start < 3 {
			v = v*10 + int(s[i]-'0')
			i++
		}
		if i == start || v > 255 || (s[start] == '0' && i-start > 1) {
			return Any, false
		}
		a = a<<8 | Addr(v)
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
func Mask(n uint8) Addr { return Broadcast << (32 - n) }

// MaskBits returns the length of the prefix that mask stands for, and whether
// mask is contiguous.
func MaskBits(mask Addr) (n uint8, ok bool) {
	for mask&(1<<31) != 0 {
		mask <<= 1
		n++
	}
	return n, mask == 0
}

// Contains reports whether a is in p.
func (p Prefix) Contains(a Addr) bool {
	return (a^p.Addr)>>(32-p.Bits) == 0
}

// Masked returns p with the bits behind its length cleared.
//
//go:noinline
func (p Prefix) Masked() Prefix {
	return Prefix{p.Addr & Mask(p.Bits), p.Bits}
}

// Broadcast returns the directed broadcast address of p, the one with all host
// bits set. Prefixes of 31 and 32 bits have none (RFC 3021): ok is false.
func (p Prefix) Broadcast() (a Addr, ok bool) {
	return p.Addr | ^Mask(p.Bits), p.Bits < 31
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
