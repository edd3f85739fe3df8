package stack

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
)

// The changes of state behind ioctl (and rtnetlink): each keeps addresses,
// routes and neighbours consistent the way Linux does.

// ownAddr returns the interface that has address a, or nil. An address is the
// host's whether its interface is up or not (weak host model).
func (s *Stack) ownAddr(a ipv4.Addr) *netif.Interface {
	for _, i := range s.ifaces {
		if i.IsLocal(a) {
			return i
		}
	}
	return nil
}

// maxAddrs bounds the addresses of an interface.
const maxAddrs = 4 << (2 * feature.Profile)

// addAddr gives interface i the address a, behind the other primary ones, and
// sets up what follows from it. It returns EEXIST if it is there already, EINVAL if
// the prefix has another scope, ENOBUFS if there are too many.
func (s *Stack) addAddr(i *netif.Interface, a *netif.Address) errno.Errno {
	if a.Local.IsAny() {
		return 0 // "none"
	}
	a.Secondary = false
	at := 0
	for k := range i.Addrs {
		x := &i.Addrs[k]
		if x.Bits == a.Bits && x.Prefix().Contains(a.Peer) {
			if x.Local == a.Local {
				return errno.EEXIST
			}
			if x.Scope != a.Scope {
				return errno.EINVAL
			}
			a.Secondary = true
		}
		if !x.Secondary && a.Scope <= x.Scope {
			at = k + 1
		}
	}
	if len(i.Addrs) >= maxAddrs {
		return errno.ENOBUFS
	}
	if a.Secondary {
		at = len(i.Addrs)
	}
	i.Addrs = append(i.Addrs, netif.Address{})
	copy(i.Addrs[at+1:], i.Addrs[at:])
	i.Addrs[at] = *a
	s.connect(i, a)
	s.routes.Touch()
	if feature.ACD {
		s.ownACD(i, a.Local)
	}
	return 0
}

// connect adds the route to the network of address a.
func (s *Stack) connect(i *netif.Interface, a *netif.Address) {
	p := a.Prefix()
	if !i.IsUp() || a.Secondary || i.Flags&netif.IFF_LOOPBACK != 0 || p.Addr.IsAny() ||
		p.Bits == 32 && p.Addr == a.Local {
		return
	}
	r := connected(i, a)
	s.routes.Add(&r)
}

func connected(i *netif.Interface, a *netif.Address) route.Route {
	r := route.Route{
		Dst: a.Prefix(), Src: a.Local, Ifindex: i.Index,
		Flags: route.RTF_UP, Scope: route.ScopeLink, Proto: route.ProtoKernel,
	}
	if r.Dst.Bits == 32 {
		r.Flags |= route.RTF_HOST
	}
	return r
}

// delAddr takes address number at from interface i, with its secondaries and
// the routes that depend on them.
func (s *Stack) delAddr(i *netif.Interface, at int) {
	a := i.Addrs[at]
	if !a.Secondary {
		for k := len(i.Addrs) - 1; k > at; k-- {
			x := &i.Addrs[k]
			if x.Secondary && x.Bits == a.Bits && a.Prefix().Contains(x.Peer) {
				s.dropAddr(i, k)
			}
		}
	}
	s.dropAddr(i, at)
	if len(i.Addrs) == 0 {
		s.disable(i)
	}
}

func (s *Stack) dropAddr(i *netif.Interface, at int) {
	a := i.Addrs[at]
	n := len(i.Addrs) - 1
	copy(i.Addrs[at:], i.Addrs[at+1:])
	i.Addrs[n] = netif.Address{}
	i.Addrs = i.Addrs[:n]
	if !a.Secondary {
		r := connected(i, &a)
		s.routes.Del(&r)
	}
	if s.ownAddr(a.Local) == nil {
		s.routes.DelSource(a.Local)
	}
	s.routes.Touch()
}

// disable forgets what was reached through interface i: it went down or lost
// its last address.
func (s *Stack) disable(i *netif.Interface) {
	s.routes.DelInterface(i.Index)
	s.flushNeighbours(i)
}

// flushNeighbours empties the neighbour table of interface i, permanent entries
// included.
func (s *Stack) flushNeighbours(i *netif.Interface) {
	for {
		n := i.Neigh.Next(nil)
		if n == nil {
			return
		}
		s.delNeighbour(i, n)
	}
}

// delNeighbour removes one entry and what waits for it.
func (s *Stack) delNeighbour(i *netif.Interface, n *netif.Neighbour) {
	for _, b := range n.Take() {
		s.pool.Put(b)
	}
	i.Neigh.Delete(n)
}

// Flags that SIOCSIFFLAGS can change besides IFF_UP.
const userFlags = netif.IFF_DEBUG | netif.IFF_NOTRAILERS | netif.IFF_NOARP | netif.IFF_PROMISC |
	netif.IFF_ALLMULTI | netif.IFF_MULTICAST | netif.IFF_PORTSEL | netif.IFF_AUTOMEDIA | netif.IFF_DYNAMIC

// setFlags sets the flags that can be set, and brings the interface up or down.
func (s *Stack) setFlags(i *netif.Interface, flags int32) {
	changed := i.Flags ^ flags
	i.Flags ^= changed & (userFlags | netif.IFF_UP)
	if !i.IsUp() {
		if changed&netif.IFF_UP != 0 {
			i.Flags &^= netif.IFF_RUNNING
			s.disable(i)
		}
		return
	}
	if changed&netif.IFF_NOARP != 0 {
		s.flushNeighbours(i)
	}
	if changed&netif.IFF_UP == 0 {
		return
	}
	i.Flags |= netif.IFF_RUNNING
	if i.Flags&netif.IFF_LOOPBACK != 0 {
		s.addAddr(i, &netif.Address{Local: ipv4.Loopback, Peer: ipv4.Loopback, Bits: 8, Scope: route.ScopeHost})
	}
	for k := range i.Addrs {
		s.connect(i, &i.Addrs[k])
	}
	s.routes.Touch()
}

// setMTU sets the largest packet, in bytes, within what IPv4 and the device
// allow, else it returns EINVAL.
func (s *Stack) setMTU(i *netif.Interface, mtu int32) errno.Errno {
	limit := int32(65536)
	if i.Dev != nil {
		limit = int32(i.Dev.MTU())
	}
	if mtu < netif.MinMTU || mtu > limit {
		return errno.EINVAL
	}
	i.MTU = mtu
	s.routes.Touch()
	return 0
}

// setHW sets the hardware address.
func (s *Stack) setHW(i *netif.Interface, sa *Sockaddr) errno.Errno {
	hw := netif.MAC(sa.Data[:6])
	switch {
	case i.Dev == nil:
		return errno.EOPNOTSUPP
	case sa.Family != netif.ARPHRD_ETHER:
		return errno.EINVAL
	case hw.IsMulticast() || hw == netif.MAC{}:
		return errno.EADDRNOTAVAIL
	}
	i.HW = hw
	s.flushNeighbours(i)
	return 0
}

// setName renames an interface that is down.
func (s *Stack) setName(i *netif.Interface, name string) errno.Errno {
	if i.IsUp() {
		return errno.EBUSY
	}
	if name == i.Name {
		return 0
	}
	if name == "" || len(name) > maxName || name == "." || name == ".." {
		return errno.EINVAL
	}
	for k := range len(name) {
		// No separators: of labels, of paths, of words, of formats.
		switch c := name[k]; c {
		case ':', '/', ' ', '%', 0xa0:
			return errno.EINVAL
		default:
			if c >= '\t' && c <= '\r' {
				return errno.EINVAL
			}
		}
	}
	if s.interfaceByName(name) != nil {
		return errno.EEXIST
	}
	i.Name = name
	for k := range i.Addrs {
		if a := &i.Addrs[k]; k == 0 {
			a.Alias = ""
		} else if a.Alias == "" && k < 9 {
			a.Alias = ":" + string(rune('1'+k))
		}
	}
	return 0
}
