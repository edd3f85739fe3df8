package stack

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
)

// The changes of state behind ioctl: each keeps addresses, routes and neighbours
// consistent the way Linux does.

// ownAddr returns the interface that has address a, up or not, or nil: see isLocal.
//
//go:noinline
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
	n := 0
	p, end := &i.Addrs, &i.Addrs // behind the primary ones, behind all
	for x := i.Addrs; x != nil; x = x.Next {
		if samePrefix(x, a) {
			if x.Local == a.Local {
				return errno.EEXIST
			}
			if x.Scope != a.Scope {
				return errno.EINVAL
			}
			a.Secondary = true
		}
		end = &x.Next
		if !x.Secondary && a.Scope <= x.Scope {
			p = end
		}
		n++
	}
	if n >= maxAddrs {
		return errno.ENOBUFS
	}
	if a.Secondary {
		p = end
	}
	a.Next, *p = *p, a
	s.connect(i, a, true)
	if feature.ACD {
		s.ownACD(i, a.Local)
	}
	return 0
}

func samePrefix(a, b *netif.Address) bool { return a.Mask == b.Mask && a.Contains(b.Peer) }

// connect adds the route to the network of address a, or deletes it.
func (s *Stack) connect(i *netif.Interface, a *netif.Address, add bool) {
	s.routes.Touch()
	if !i.IsUp() || a.Secondary || i.Flags&netif.IFF_LOOPBACK != 0 || a.Contains(ipv4.Any) {
		return
	}
	var r route.Route
	r.Dst = ipv4.Prefix{Addr: a.Peer & a.Mask, Bits: a.Bits()}
	r.Src = a.Local
	r.Ifindex = i.Index
	r.Scope = route.ScopeLink
	r.Proto = route.ProtoKernel
	r.Flags = route.RTF_UP
	if r.Dst.Bits == 32 {
		if a.Peer == a.Local {
			return
		}
		r.Flags |= route.RTF_HOST
	}
	if add {
		s.routes.Add(&r)
	} else {
		s.routes.Del(&r)
	}
}

// delAddr takes address a from interface i, with its secondaries and the routes
// that depend on them.
func (s *Stack) delAddr(i *netif.Interface, a *netif.Address) {
	for p := &i.Addrs; *p != nil; {
		x := *p
		if x != a && (a.Secondary || !x.Secondary || !samePrefix(a, x)) {
			p = &x.Next
			continue
		}
		*p = x.Next
		s.connect(i, x, false)
		if s.ownAddr(x.Local) == nil {
			s.routes.DelAll(0, x.Local)
		}
	}
	if i.Addrs == nil {
		s.disable(i)
	}
}

// disable forgets what was reached through interface i: it went down or lost
// its last address.
func (s *Stack) disable(i *netif.Interface) {
	s.routes.DelAll(i.Index, ipv4.Any)
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
	s.routes.Touch()
	if !i.IsUp() {
		if changed&netif.IFF_UP != 0 {
			i.Flags &^= netif.IFF_RUNNING
			s.disable(i)
			if feature.PktSock && s.tap != nil {
				s.tap(s, i, nil, false)
			}
			if feature.Multicast && groupsOf(i) != nil { // it may be up again before the next Poll
				groupsOf(i).poll(s, i)
			}
		}
		return
	}
	if changed&netif.IFF_NOARP != 0 {
		s.flushNeighbours(i)
	}
	if changed&netif.IFF_UP == 0 {
		return
	}
	if !i.Gone {
		i.Flags |= netif.IFF_RUNNING
	}
	if i.Flags&netif.IFF_LOOPBACK != 0 {
		a := netif.NewAddress(ipv4.Loopback, ipv4.Mask(8))
		a.Scope = route.ScopeHost
		s.addAddr(i, a)
	}
	for a := i.Addrs; a != nil; a = a.Next {
		s.connect(i, a, true)
	}
}

// DeviceGone says that the device of interface ifindex receives no more. The interface counts
// an error and goes down, its routes with it: what is sent fails with ENETUNREACH, and
// connections by way of it learn of ENETDOWN, which ends those that are being opened. It may be
// brought up again, but is never IFF_RUNNING.
func (s *Stack) DeviceGone(now pkt.Time, ifindex int) {
	s.now = now
	i := s.ifaces[ifindex-1]
	i.Stats.RxErrors++
	i.Gone = true
	for _, c := range s.tcp.buckets {
		for ; c != nil; c = c.hash {
			if c.path.via != 0 && c.path.ifc(s) == i {
				c.Unreachable(errno.ENETDOWN)
				s.touch(c)
			}
		}
	}
	s.setFlags(i, i.Flags&^netif.IFF_UP)
}

// setMTU sets the largest packet, in bytes, within what IPv4 and the device
// allow, else it returns EINVAL. The device's may have grown since it was added, but
// the buffers have not.
func (s *Stack) setMTU(i *netif.Interface, mtu int32) errno.Errno {
	limit := int32(65536)
	if i.Dev != nil {
		limit = int32(min(i.Dev.MTU(), s.pool.Size()-netif.EthernetHeaderLen))
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
	if !validName(name) {
		return errno.EINVAL
	}
	if s.interfaceByName(name) != nil {
		return errno.EEXIST
	}
	i.Name = name
	const aliases = ":2:3:4:5:6:7:8:9"
	k := 0
	for a := i.Addrs; a != nil; a = a.Next {
		if k == 0 {
			a.Alias = ""
		} else if a.Alias == "" && k < len(aliases) {
			a.Alias = aliases[k-2 : k]
		}
		k += 2
	}
	return 0
}

// validName reports whether name can be an interface's: it has no separators of
// labels, paths, words or formats.
func validName(name string) bool {
	for k := range len(name) {
		switch c := name[k]; {
		case c == ':', c == '/', c == '%', c == ' ', c == 0xa0, c-'\t' <= '\r'-'\t':
			return false
		}
	}
	return name != "" && len(name) <= maxName && name != "." && name != ".."
}
