package stack

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
)

func acdOf(i *netif.Interface) *netif.ACD { return (*netif.ACD)(i.ACD) }

func (s *Stack) probeAddress(now pkt.Time, ifindex int, a ipv4.Addr) error {
	s.now = now
	i := s.interfaceByIndex(int32(ifindex))
	if i == nil || i.Dev == nil {
		return errno.ENODEV
	}
	if !i.IsUp() {
		return errno.ENETDOWN
	}
	if i.ACD == nil {
		i.ACD = unsafe.Pointer(new(netif.ACD))
	}
	acdOf(i).Start(now, a, s.random())
	return nil
}

func (s *Stack) addressState(ifindex int) (netif.ACDState, netif.MAC) {
	i := s.interfaceByIndex(int32(ifindex))
	if i == nil || i.ACD == nil {
		return 0, netif.MAC{}
	}
	return acdOf(i).State, acdOf(i).Other
}

// ownACD announces an address that was probed for and has now been configured.
func (s *Stack) ownACD(i *netif.Interface, a ipv4.Addr) {
	if i.ACD != nil && acdOf(i).Addr == a {
		acdOf(i).Own(s.now)
	}
}

// inputACD shows an ARP packet to the conflict detection of its interface.
func (s *Stack) inputACD(i *netif.Interface, a *netif.ARP) { acdOf(i).Input(s.now, a, &i.HW) }

// pollACD sends the probes and announcements that are due.
func (s *Stack) pollACD(i *netif.Interface) pkt.Time {
	if acdOf(i).State == netif.ACDOwned && !i.IsLocal(acdOf(i).Addr) {
		i.ACD = nil // the address was given up
		return pkt.Never
	}
	var a netif.ARP
	for {
		send, next := acdOf(i).Poll(s.now, &i.HW, &a)
		if !send {
			return next
		}
		s.sendARP(i, &a, &netif.BroadcastMAC)
	}
}
