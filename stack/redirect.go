package stack

import (
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
)

// redirectLife is how long a redirect counts: then its sender is asked again, which may know
// better by now. Linux's ip_rt_gc_timeout.
const redirectLife = 5 * pkt.Minute

// pollRedirects forgets the old ones.
func (s *Stack) pollRedirects() pkt.Time {
	if s.redirectAt <= s.now {
		s.redirectAt = s.routes.Expire(s.now, ipv4.Any)
	}
	return s.redirectAt
}

// inputRedirect takes a better way to one destination: "A Redirect message SHOULD
// be silently discarded if the new gateway address it specifies is not on the
// same connected (sub-) net through which the Redirect arrived [...], or if the source
// of the Redirect is not the current first-hop gateway for the specified
// destination" (RFC 1122 section 3.2.2.2).
func (s *Stack) inputRedirect(ifc *netif.Interface, h *ipv4.Header, m *ipv4.ICMP) ipv4.Drop {
	var q ipv4.Quote
	if d := ipv4.ParseQuote(m.Body, &q); d != ipv4.DropNone {
		return d
	}
	gw := m.Gateway()
	r := s.routes.Lookup(q.Dst)
	// "Since the subnet mask appropriate to the destination address is generally not
	// known, a Network Redirect message SHOULD be treated identically to a Host
	// Redirect message" (ibid.).
	if m.Code > 3 || r == nil || r.Flags&route.RTF_GATEWAY == 0 || r.Ifindex != ifc.Index || r.Gateway != h.Src || gw == h.Src ||
		!s.isLocal(q.Src) || s.isLocal(gw) || ifc.IsBroadcast(gw) || ipv4.BadSource(gw) {
		return ipv4.DropICMPRedirect
	}
	on := s.routes.LookupOn(gw, ifc.Index, route.ScopeLink)
	if on == nil || on.Flags&route.RTF_GATEWAY != 0 {
		return ipv4.DropICMPRedirect
	}
	n := route.Route{
		Dst: ipv4.Prefix{Addr: q.Dst, Bits: 32}, Gateway: gw, Ifindex: ifc.Index, Src: r.Src,
		Flags: route.RTF_UP | route.RTF_GATEWAY | route.RTF_HOST | route.RTF_DYNAMIC, Proto: route.ProtoRedirect,
		Expire: s.now + redirectLife,
	}
	if r.Flags&route.RTF_DYNAMIC != 0 {
		n.Flags |= route.RTF_MODIFIED
		s.routes.Del(r)
	}
	if s.routes.Add(&n) != 0 {
		return ipv4.DropICMPRedirect
	}
	s.redirectAt = min(s.redirectAt, n.Expire)
	return ipv4.DropNone
}
