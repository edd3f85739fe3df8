package stack

import (
	"math/bits"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
)

// Rtentry mirrors C's struct rtentry, without its padding.
type Rtentry struct {
	_       [0]func()
	Dst     Sockaddr // rt_dst
	Gateway Sockaddr // rt_gateway
	Genmask Sockaddr // rt_genmask; not looked at with route.RTF_HOST
	Flags   uint16   // rt_flags: route.RTF_...
	Metric  int16    // rt_metric: one more than the metric; 0: 0, or any when deleting
	Dev     string   // rt_dev: interface or alias; "": found by the gateway
	MTU     uint64   // rt_mtu (rt_mss), bytes, with RTF_MTU
	Window  uint64   // rt_window, bytes, with RTF_WINDOW
	IRTT    uint16   // rt_irtt, ms, with RTF_IRTT: only taken, as by Linux
}

// ioctlRoute adds or deletes a route.
func (s *Stack) ioctlRoute(req uint32, arg any) errno.Errno {
	e, ok := arg.(*Rtentry)
	if !ok || e == nil {
		return errno.EFAULT
	}
	if s.cfg.Unprivileged {
		return errno.EPERM
	}
	var r route.Route
	if err := s.describeRoute(e, &r); err != 0 {
		return err
	}
	if req == SIOCDELRT {
		return s.routes.Del(&r)
	}
	return s.addRoute(&r, e)
}

// describeRoute turns e into a route as far as it says: a pattern for Del.
func (s *Stack) describeRoute(e *Rtentry, r *route.Route) errno.Errno {
	if e.Dst.Family != AF_INET {
		return errno.EAFNOSUPPORT
	}
	dst, mask := e.Dst.In(), ipv4.Broadcast
	if e.Flags&route.RTF_HOST == 0 {
		// An application may forget the family if it means "all", only then.
		mask = e.Genmask.In()
		if e.Genmask.Family != AF_INET && (e.Genmask.Family != 0 || mask != 0) {
			return errno.EAFNOSUPPORT
		}
		if !contiguous(mask) || dst&^mask != 0 {
			return errno.EINVAL
		}
	}
	r.Dst = ipv4.Prefix{Addr: dst, Bits: uint8(bits.LeadingZeros32(^uint32(mask)))}
	if e.Metric != 0 {
		r.Metric = uint32(int32(e.Metric) - 1)
	}
	r.Flags = route.RTF_UP
	if mask == ipv4.Broadcast {
		r.Flags |= route.RTF_HOST
	}
	if e.Flags&route.RTF_REJECT != 0 {
		r.Flags |= route.RTF_REJECT
		r.Scope = route.ScopeHost
		return 0
	}
	r.Scope = route.ScopeNowhere
	if e.Dev != "" {
		name, alias := splitLabel(e.Dev)
		i := s.interfaceByName(name)
		if i == nil {
			return errno.ENODEV
		}
		r.Ifindex = i.Index
		if alias != "" {
			a := findAlias(i, alias, ipv4.Any)
			if a == nil {
				return errno.ENODEV
			}
			r.Src = a.Local
		}
	}
	if e.Gateway.Family == AF_INET {
		r.Gateway = e.Gateway.In()
		if e.Flags&route.RTF_GATEWAY != 0 && !r.Gateway.IsAny() && s.isUnicast(r.Gateway) {
			r.Scope = route.ScopeUniverse
		}
	}
	return 0
}

// isUnicast reports whether a can be the address of another host.
func (s *Stack) isUnicast(a ipv4.Addr) bool {
	if a.IsAny() || a.IsMulticast() || a == ipv4.Broadcast {
		return false
	}
	for _, i := range s.ifaces {
		if i.IsLocal(a) || i.IsUp() && i.IsBroadcast(a) {
			return false
		}
	}
	return true
}

// addRoute completes the description r of e and adds it.
func (s *Stack) addRoute(r *route.Route, e *Rtentry) errno.Errno {
	r.Proto = route.ProtoBoot
	switch {
	case r.Flags&route.RTF_REJECT != 0:
	case !r.Gateway.IsAny():
		if err := s.addGateway(r); err != 0 {
			return err
		}
	case e.Flags&route.RTF_GATEWAY != 0:
		return errno.EINVAL
	default:
		i := s.interfaceByIndex(r.Ifindex)
		if i == nil {
			return errno.ENODEV
		}
		if i.Flags&netif.IFF_UP == 0 {
			return errno.ENETDOWN
		}
		r.Scope = route.ScopeLink
	}
	if r.Flags&route.RTF_REJECT == 0 {
		r.Flags |= e.Flags & (route.RTF_MTU | route.RTF_WINDOW | route.RTF_IRTT)
		if e.Flags&route.RTF_MTU != 0 {
			r.MTU = uint32(e.MTU)
		}
		if e.Flags&route.RTF_WINDOW != 0 {
			r.Window = uint32(e.Window)
		}
	}
	return s.routes.Add(r)
}

// addGateway finds the interface that leads to the gateway of r.
func (s *Stack) addGateway(r *route.Route) errno.Errno {
	scope := uint8(route.ScopeLink)
	if r.Scope != route.ScopeUniverse {
		// Not another host's address: an own one is an old way of saying "on the
		// link".
		i := s.interfaceByIndex(r.Ifindex)
		if i == nil {
			i = s.ownAddr(r.Gateway)
		}
		if i != nil && i.IsLocal(r.Gateway) {
			if !i.IsUp() {
				return errno.ENETDOWN
			}
			r.Ifindex = i.Index
			r.Scope = route.ScopeLink
			return 0
		}
		scope = route.ScopeHost
	}
	via := s.routes.LookupOn(r.Gateway, r.Ifindex, scope)
	if via == nil {
		return errno.ENETUNREACH
	}
	if via.Flags&route.RTF_REJECT != 0 {
		return errno.EHOSTUNREACH
	}
	r.Ifindex = via.Ifindex
	r.Flags |= route.RTF_GATEWAY
	return 0
}
