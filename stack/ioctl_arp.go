package stack

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
)

// Arpreq mirrors C's struct arpreq.
type Arpreq struct {
	_       [0]func()
	PA      Sockaddr // arp_pa: the IPv4 address
	HA      Sockaddr // arp_ha: the hardware address
	Flags   int32    // arp_flags: ATF_...
	Netmask Sockaddr // arp_netmask, for ATF_PUBL
	Dev     string   // arp_dev; "": the one that the route to PA takes, not for SIOCGARP
}

// Flags of Arpreq, with Linux's values.
const (
	ATF_COM     = 0x02 // HA is known
	ATF_PERM    = 0x04 // never forgotten
	ATF_PUBL    = 0x08 // answer for others: refused with EOPNOTSUPP
	ATF_NETMASK = 0x20
	ATF_DONTPUB = 0x40
)

// ioctlARP gets, sets or deletes an entry of a neighbour table.
func (s *Stack) ioctlARP(req uint32, arg any) errno.Errno {
	r, ok := arg.(*Arpreq)
	if !ok || r == nil {
		return errno.EFAULT
	}
	if req != SIOCGARP && s.cfg.Unprivileged {
		return errno.EPERM
	}
	if r.PA.Family != AF_INET {
		return errno.EPFNOSUPPORT
	}
	if r.Flags&ATF_PUBL == 0 && r.Flags&(ATF_NETMASK|ATF_DONTPUB) != 0 {
		return errno.EINVAL
	}
	var i *netif.Interface
	if r.Dev != "" {
		if i = s.interfaceByName(r.Dev); i == nil {
			return errno.ENODEV
		}
		t := i.HWType()
		if r.HA.Family == 0 {
			r.HA.Family = t
		}
		if r.Flags&ATF_COM != 0 && r.HA.Family != t {
			return errno.EINVAL
		}
	} else if req == SIOCGARP {
		return errno.ENODEV
	}
	addr := r.PA.In()
	if req != SIOCGARP {
		if r.Flags&ATF_PUBL != 0 {
			return errno.EOPNOTSUPP
		}
		if (i == nil || req == SIOCSARP) && !s.isUnicast(addr) {
			return errno.EINVAL
		}
		if i == nil {
			via := s.routes.LookupOn(addr, 0, route.ScopeLink)
			if via == nil {
				return errno.ENETUNREACH
			}
			if i = s.interfaceByIndex(via.Ifindex); i == nil { // RTF_REJECT
				return errno.EHOSTUNREACH
			}
		}
		if req == SIOCSARP {
			return s.setARP(i, addr, r)
		}
	}
	n := i.Neigh.Find(addr)
	known := n != nil && n.State&^netif.StateNoARP != 0
	if n == nil || req == SIOCGARP && n.State == netif.StateNoARP {
		return errno.ENXIO
	}
	if req == SIOCDARP {
		s.delNeighbour(i, n)
		if !known {
			return errno.ENXIO
		}
		return 0
	}
	r.HA.Family = i.HWType()
	copy(r.HA.Data[:], n.HW[:])
	r.Dev = i.Name
	r.Flags = 0
	if n.State&netif.StateValid != 0 {
		r.Flags = ATF_COM
	}
	if n.State == netif.StatePermanent {
		r.Flags = ATF_COM | ATF_PERM
	}
	return 0
}

// setARP makes or changes the entry of addr.
func (s *Stack) setARP(i *netif.Interface, addr ipv4.Addr, r *Arpreq) errno.Errno {
	if i.Dev == nil || r.HA.Family != netif.ARPHRD_ETHER {
		return errno.EINVAL
	}
	n := i.Neighbour(s.now, addr)
	if n == nil {
		return errno.ENOBUFS
	}
	hw := &n.HW
	if r.Flags&(ATF_COM|ATF_PERM) != 0 {
		hw = (*netif.MAC)(r.HA.Data[:6])
	} else if n.State&netif.StateValid == 0 {
		return errno.EINVAL // nothing given, nothing known
	}
	if n.Set(s.now, hw, r.Flags&ATF_PERM != 0) {
		for _, b := range n.Take() {
			s.sendTo(i, n, b)
		}
	}
	return 0
}
