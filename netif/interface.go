package netif

import (
	"math/bits"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
)

// Flags of an interface, with Linux's values (ifreq's ifr_flags).
const (
	IFF_UP          = 0x1
	IFF_BROADCAST   = 0x2 // has a broadcast address
	IFF_DEBUG       = 0x4
	IFF_LOOPBACK    = 0x8
	IFF_POINTOPOINT = 0x10
	IFF_NOTRAILERS  = 0x20
	IFF_RUNNING     = 0x40 // up and the link works
	IFF_NOARP       = 0x80
	IFF_PROMISC     = 0x100 // takes frames for any unicast address
	IFF_ALLMULTI    = 0x200 // takes frames for any group
	IFF_MULTICAST   = 0x1000
	IFF_PORTSEL     = 0x2000
	IFF_AUTOMEDIA   = 0x4000
	IFF_DYNAMIC     = 0x8000
)

// Hardware types (RFC 826's ar$hrd, Linux's ARPHRD_...).
const (
	ARPHRD_ETHER    = 1
	ARPHRD_LOOPBACK = 772
)

// Limits of an interface's MTU in bytes: RFC 791 section 3.2, and what an
// Ethernet header leaves of 65,535.
const (
	MinMTU = 68
	MaxMTU = 65535 - EthernetHeaderLen
)

// Address is an IPv4 address of an interface.
type Address struct {
	_    noCompare
	Next *Address // in Interface.Addrs

	Local     ipv4.Addr
	Peer      ipv4.Addr // Local, unless SIOCSIFDSTADDR said otherwise
	Broadcast ipv4.Addr // 0.0.0.0: none set
	Mask      ipv4.Addr // of the prefix that Peer is in: contiguous
	Scope     uint8     // route.ScopeUniverse, or ScopeHost for a loopback address
	Secondary bool      // has the prefix of an earlier one, and goes with it
	Alias     string    // label behind the interface's name: "" or ":..."
}

// addressShape is an Address as it is allocated: see tcp.TCB.
type addressShape struct {
	_ noCompare
	_ unsafe.Pointer
	_ [unsafe.Offsetof(Address{}.Alias) - unsafe.Offsetof(Address{}.Local)]byte
	_ string
}

// NewAddress returns an address with mask, of no interface yet.
func NewAddress(local, mask ipv4.Addr) *Address {
	a := (*Address)(unsafe.Pointer(new(addressShape)))
	a.Local, a.Peer, a.Mask = local, local, mask
	return a
}

// noCompare in a struct spares the code that compares two of them, which Go makes
// for every comparable type that it can't rule out (60 to 360 bytes each).
type noCompare [0]func()

// Contains reports whether b has a's prefix.
func (a *Address) Contains(b ipv4.Addr) bool {
	return (b^a.Peer)&a.Mask == 0
}

// Bits returns the length of a's prefix.
func (a *Address) Bits() uint8 { return uint8(bits.LeadingZeros32(^uint32(a.Mask))) }

// DirectedBroadcast returns the address with a's prefix and all other bits set,
// 0.0.0.0 if there are fewer than two of them (RFC 3021).
//
//go:noinline
func DirectedBroadcast(a, mask ipv4.Addr) ipv4.Addr {
	if ^mask <= 1 {
		return ipv4.Any
	}
	return a | ^mask
}

// Stats are an interface's counters, named as in rtnetlink's rtnl_link_stats64.
type Stats struct {
	RxPackets, TxPackets uint64
	RxBytes, TxBytes     uint64 // with the Ethernet header
	RxErrors, TxErrors   uint64
	RxDropped, TxDropped uint64
	Multicast            uint64 // frames received for a group, without broadcast
}

// Interface is a network interface. The stack changes it, by way of
// configuration; others read.
type Interface struct {
	Name    string                                  // at most 15 bytes
	Dev     Device                                  // nil for the loopback interface
	Out     []*Buf                                  // frames that wait for Dev.Send
	Addrs   *Address                                // primary ones before their secondaries
	Capture func(now Time, frame []byte, sent bool) // feature pcap: sees every frame
	ACD     unsafe.Pointer                          // *ACD: feature acd, conflict detection while it runs
	Groups  [feature.LenMulticast]unsafe.Pointer    // feature multicast: the stack's, once a group was joined
	Neigh   Neighbours

	Flags      int32 // IFF_...
	Index      int32
	MTU        int32 // bytes of the largest IPv4 packet
	HW         MAC
	TxQueueLen int32 // frames; only remembered
	Gone       bool  // Dev receives no more: never IFF_RUNNING again
	Stats      Stats
}

// interfaceShape is an Interface as it is allocated: see tcp.TCB.
type interfaceShape struct {
	_ string
	_ any
	_ []byte
	_ [3 + feature.LenMulticast + len(Neighbours{}.buckets)]unsafe.Pointer // Addrs to Neigh
	_ [unsafe.Sizeof(Interface{}) - unsafe.Offsetof(Interface{}.Neigh) - unsafe.Sizeof(Neighbours{}.buckets)]byte
}

// NewInterface returns an interface that is down and has no address: Ethernet
// over dev, or loopback if dev is nil. seed is for random times.
func NewInterface(name string, index int32, dev Device, seed uint64) *Interface {
	i := (*Interface)(unsafe.Pointer(new(interfaceShape)))
	i.Name, i.Index, i.Dev, i.TxQueueLen = name, index, dev, 1000
	i.Flags, i.MTU = IFF_LOOPBACK, 65536
	if dev != nil {
		i.Flags, i.MTU, i.HW = IFF_BROADCAST|IFF_MULTICAST, int32(dev.MTU()), dev.HardwareAddr()
	}
	i.Neigh.Seed(seed)
	return i
}

// HWType returns the hardware type: ARPHRD_ETHER or ARPHRD_LOOPBACK.
func (i *Interface) HWType() uint16 {
	if i.Flags&IFF_LOOPBACK != 0 {
		return ARPHRD_LOOPBACK
	}
	return ARPHRD_ETHER
}

// IsUp reports whether the interface takes part in anything.
func (i *Interface) IsUp() bool { return i.Flags&IFF_UP != 0 }

// IsLocal reports whether a is one of the interface's own addresses; on the
// loopback interface all of a prefix are.
func (i *Interface) IsLocal(a ipv4.Addr) bool {
	for x := i.Addrs; x != nil; x = x.Next {
		if x.Local == a || i.Flags&IFF_LOOPBACK != 0 && x.Contains(a) && !x.Contains(ipv4.Any) {
			return true
		}
	}
	return false
}

// IsBroadcast reports whether a is a broadcast address of the interface, or the
// limited one (RFC 1122 section 3.2.1.3).
func (i *Interface) IsBroadcast(a ipv4.Addr) bool {
	if a.IsAny() {
		return false
	}
	for x := i.Addrs; x != nil; x = x.Next {
		if x.Broadcast == a || DirectedBroadcast(x.Peer, x.Mask) == a {
			return true
		}
	}
	return a == ipv4.Broadcast
}

// Source returns the address to send from to hop, a destination or gateway on
// the link: the first one that shares its prefix, else the first one; 0.0.0.0
// if there is none.
func (i *Interface) Source(hop ipv4.Addr) (src ipv4.Addr) {
	for x := i.Addrs; x != nil; x = x.Next {
		if x.Secondary {
			continue
		}
		if x.Contains(hop) {
			return x.Local
		}
		if src.IsAny() {
			src = x.Local
		}
	}
	return src
}

// Neighbour returns the entry for addr, which it makes if there is none: see
// Neighbours.Lookup. Without ARP it is complete at once, with the interface's own
// address, as in Linux.
func (i *Interface) Neighbour(now Time, addr ipv4.Addr) *Neighbour {
	n := i.Neigh.Lookup(now, addr)
	if n != nil && n.State == StateNone && i.Flags&(IFF_NOARP|IFF_LOOPBACK) != 0 {
		n.State, n.HW = StateNoARP, i.HW
	}
	return n
}
