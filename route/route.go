// Package route is the forwarding table of a host: connected, host, network and
// default routes in a list with longest prefix match, as Linux's main table.
//
// Local and broadcast addresses are not in it: they belong to the interfaces
// (netif.Interface.IsLocal). Feature redirect adds routes learnt from ICMP;
// feature bigtables makes the list longer.
package route

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// Flags of a route, with Linux's values (rtentry's rt_flags, /proc/net/route).
const (
	RTF_UP       = 0x0001 // usable
	RTF_GATEWAY  = 0x0002 // the next hop is Gateway, not the destination
	RTF_HOST     = 0x0004 // to one address
	RTF_DYNAMIC  = 0x0010 // learnt from an ICMP redirect
	RTF_MODIFIED = 0x0020 // changed by an ICMP redirect
	RTF_MTU      = 0x0040 // MTU is set
	RTF_WINDOW   = 0x0080 // Window is set
	RTF_IRTT     = 0x0100 // an initial round trip time, which like Linux nobody uses
	RTF_REJECT   = 0x0200 // destinations are refused with EHOSTUNREACH
)

// Scopes: how far away what a route leads to is (rtnetlink's rtm_scope).
const (
	ScopeUniverse = 0   // behind a gateway
	ScopeLink     = 253 // on the link
	ScopeHost     = 254 // in this host
	ScopeNowhere  = 255 // in a pattern: any
)

// Protocols: who made a route (rtnetlink's rtm_protocol).
const (
	ProtoAny      = 0 // in a pattern
	ProtoRedirect = 1 // an ICMP redirect
	ProtoKernel   = 2 // follows from an interface's address
	ProtoBoot     = 3 // SIOCADDRT
)

// maxRoutes is the number of routes that a table can hold: 8 in minimal, 64 in
// client and full, 8,192 with feature bigtables.
func maxRoutes() int {
	if feature.BigTables {
		return 8192
	}
	if feature.Profile == feature.Minimal {
		return 8
	}
	return 64
}

// Route is one entry. The table owns its entries: nobody changes a Route after
// Add, so that a flow may keep the pointer and ask Gen whether it still counts.
type Route struct {
	mask ipv4.Addr // of Dst

	Gateway ipv4.Addr   // next hop; 0.0.0.0: the destination is on the link
	Src     ipv4.Addr   // preferred source; 0.0.0.0: the interface chooses
	Ifindex int32       // interface to send through; 0 only with RTF_REJECT
	Metric  uint32      // among routes of equal length the least one wins
	MTU     uint32      // bytes; 0: the interface's
	Window  uint32      // clamp on TCP's receive window in bytes; 0: none
	Expire  pkt.Time    // when it goes, of one that a redirect made; 0: never
	Dst     ipv4.Prefix // without bits behind its length
	Scope   uint8
	Flags   uint16 // RTF_...
	Proto   uint8
}

// NextHop returns the address to resolve on the link for a packet to dst.
func (r *Route) NextHop(dst ipv4.Addr) ipv4.Addr {
	if r.Flags&RTF_GATEWAY != 0 {
		return r.Gateway
	}
	return dst
}

// Table is the list of routes: longest prefix first, then least metric. The
// zero Table is empty and ready to use.
type Table struct {
	_     [0]func() // not comparable: spares the code for it
	first *entry
	n     int
	gen   uint32
}

type entry struct {
	next *entry
	Route
}

// entryShape is an entry as it is allocated: see tcp.TCB.
type entryShape struct {
	_ [0]func() // not comparable
	_ unsafe.Pointer
	_ [unsafe.Sizeof(entry{}) - unsafe.Offsetof(entry{}.Route)]byte
}

// Gen returns a number that changes with every change of the table.
func (t *Table) Gen() uint32 { return t.gen }

// Len returns the number of routes.
func (t *Table) Len() int { return t.n }

// At returns route i, from 0 to Len()-1, in the order of the list.
func (t *Table) At(i int) *Route {
	e := t.first
	for ; i > 0; i-- {
		e = e.next
	}
	return &e.Route
}

// Lookup returns the route to dst, or nil when there is none. The caller
// checks for RTF_REJECT.
func (t *Table) Lookup(dst ipv4.Addr) *Route { return t.LookupOn(dst, 0, ScopeUniverse) }

// LookupOn is Lookup among the routes through interface ifindex (0: any), or
// through none, whose scope is at least scope: ScopeLink finds what is on the link
// only.
func (t *Table) LookupOn(dst ipv4.Addr, ifindex int32, scope uint8) *Route {
	for e := t.first; e != nil; e = e.next {
		if dst&e.mask == e.Dst.Addr && e.Scope >= scope && (ifindex == 0 || ifindex == e.Ifindex || e.Ifindex == 0) {
			return &e.Route
		}
	}
	return nil
}

// Add puts a copy of r into the table. Of several routes with the same prefix
// and metric the latest wins, except that one with ProtoKernel comes last, as
// in Linux. It returns EEXIST when the same route is there already, ENOBUFS
// when the table is full.
func (t *Table) Add(r *Route) errno.Errno {
	r.mask = ipv4.Mask(r.Dst.Bits)
	r.Dst.Addr &= r.mask
	if t.n >= maxRoutes() && !(feature.Redirect && t.makeRoom()) {
		return errno.ENOBUFS
	}
	var at **entry // where r goes
	p := &t.first
	for ; *p != nil; p = &(*p).next {
		x := *p
		if x.Route == *r {
			return errno.EEXIST
		}
		if at == nil && (x.mask < r.mask || x.mask == r.mask &&
			(x.Metric > r.Metric || x.Metric == r.Metric && r.Proto != ProtoKernel)) {
			at = p
		}
	}
	if at == nil {
		at = p
	}
	x := (*entry)(unsafe.Pointer(new(entryShape)))
	x.next, x.Route = *at, *r
	*at = x
	t.n++
	t.gen++
	return 0
}

// Del removes the first route that the pattern p describes: to exactly p.Dst, or
// anywhere if p.Dst.Bits is AnyBits, with RTF_REJECT as in p.Flags; zero Gateway,
// Src, Ifindex, Metric and Proto and ScopeNowhere match any. It returns ESRCH when
// there is none.
func (t *Table) Del(p *Route) errno.Errno {
	for at := &t.first; *at != nil; at = &(*at).next {
		if r := &(*at).Route; (r.Dst == p.Dst || p.Dst.Bits == AnyBits) &&
			(r.Flags^p.Flags)&RTF_REJECT == 0 &&
			(r.Scope == p.Scope || p.Scope == ScopeNowhere) &&
			(r.Proto == p.Proto || p.Proto == ProtoAny) &&
			(r.Metric == p.Metric || p.Metric == 0) &&
			(r.Ifindex == p.Ifindex || p.Ifindex == 0) &&
			(r.Src == p.Src || p.Src.IsAny()) &&
			(r.Gateway == p.Gateway || p.Gateway.IsAny()) {
			t.remove(at)
			return 0
		}
	}
	return errno.ESRCH
}

// AnyBits as the length of a prefix in a pattern means any prefix.
const AnyBits = 255

// DelAll removes all routes through interface ifindex, if that is not 0, that
// prefer source src, if that is not 0.0.0.0.
//
//go:noinline
func (t *Table) DelAll(ifindex int32, src ipv4.Addr) {
	p := Route{Dst: ipv4.Prefix{Bits: AnyBits}, Scope: ScopeNowhere, Ifindex: ifindex, Src: src}
	for t.Del(&p) == 0 {
	}
}

func (t *Table) remove(at **entry) {
	*at = (*at).next
	t.n--
	t.gen++
}

// Touch makes every flow look its route up again: an address or an interface
// has changed.
func (t *Table) Touch() { t.gen++ }
