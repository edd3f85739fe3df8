package stack

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
)

// Requests of Ioctl, with Linux's numbers. The comment names the argument's
// type and the fields that are read, or written by a G request.
const (
	SIOCADDRT = 0x890B // Rtentry: add a route
	SIOCDELRT = 0x890C // Rtentry: delete a route

	SIOCGIFNAME    = 0x8910 // Ifreq: Name of the interface with index Value
	SIOCGIFCONF    = 0x8912 // Ifconf: all addresses
	SIOCGIFFLAGS   = 0x8913 // Ifreq: Flags
	SIOCSIFFLAGS   = 0x8914
	SIOCGIFADDR    = 0x8915 // Ifreq: Addr
	SIOCSIFADDR    = 0x8916
	SIOCGIFDSTADDR = 0x8917 // Ifreq: Addr, the peer's
	SIOCSIFDSTADDR = 0x8918
	SIOCGIFBRDADDR = 0x8919 // Ifreq: Addr
	SIOCSIFBRDADDR = 0x891A
	SIOCGIFNETMASK = 0x891B // Ifreq: Addr
	SIOCSIFNETMASK = 0x891C
	SIOCGIFMETRIC  = 0x891D // Ifreq: Value, always 0
	SIOCSIFMETRIC  = 0x891E
	SIOCGIFMTU     = 0x8921 // Ifreq: Value, bytes
	SIOCSIFMTU     = 0x8922
	SIOCSIFNAME    = 0x8923 // Ifreq: Newname
	SIOCSIFHWADDR  = 0x8924 // Ifreq: Addr with family ARPHRD_ETHER
	SIOCGIFHWADDR  = 0x8927
	SIOCGIFINDEX   = 0x8933 // Ifreq: Value
	SIOCGIFTXQLEN  = 0x8942 // Ifreq: Value, frames
	SIOCSIFTXQLEN  = 0x8943
	SIOCETHTOOL    = 0x8946 // Ifreq: Data (feature ethtool)
	SIOCGIFMAP     = 0x8970 // Ifreq: Map, always zero
	SIOCSIFMAP     = 0x8971

	SIOCDARP = 0x8953 // Arpreq: delete an entry
	SIOCGARP = 0x8954 // Arpreq: get an entry
	SIOCSARP = 0x8955 // Arpreq: set an entry
)

// AF_INET is the address family of every Sockaddr but a hardware address.
const AF_INET = 2

// maxName is the length of an interface's name or label, in bytes: IFNAMSIZ
// without the zero byte.
const maxName = 15

// Sockaddr mirrors C's struct sockaddr.
type Sockaddr struct {
	Family uint16   // AF_INET, or ARPHRD_ETHER for a hardware address
	Data   [14]byte // AF_INET: port and address in network order; ARPHRD_ETHER: the address first
}

// SockaddrIn returns a as C's struct sockaddr_in has it, with port 0.
//
//go:noinline
func SockaddrIn(a ipv4.Addr) (sa Sockaddr) {
	sa.setIn(a)
	return sa
}

func (sa *Sockaddr) setIn(a ipv4.Addr) {
	*sa = Sockaddr{Family: AF_INET}
	a.Put(sa.Data[2:6])
}

// In returns the IPv4 address in sa, which is only meaningful for AF_INET.
func (sa *Sockaddr) In() ipv4.Addr { return ipv4.AddrAt(sa.Data[2:6]) }

// Ifreq mirrors C's struct ifreq: its union is laid out, one field for each
// type that it can hold.
type Ifreq struct {
	_       [0]func() // not comparable: spares the code for it
	Name    string    // ifr_name: "eth0", or "eth0:1" for an alias
	Addr    Sockaddr  // ifr_addr, ifr_dstaddr, ifr_broadaddr, ifr_netmask, ifr_hwaddr
	Flags   uint16    // ifr_flags: netif.IFF_...
	Value   int32     // ifr_ifindex, ifr_metric, ifr_mtu, ifr_qlen
	Newname string    // ifr_newname
	Map     Ifmap     // ifr_map
	Data    any       // ifr_data: a pointer to one of the Ethtool types
}

// Ifmap mirrors C's struct ifmap.
type Ifmap struct {
	_                [0]func()
	MemStart, MemEnd uint64
	BaseAddr         uint16
	IRQ, DMA, Port   uint8
}

// Ifconf mirrors C's struct ifconf.
type Ifconf struct {
	Len int32   // ifc_len: bytes that Req holds, at SizeofIfreq each; on return, those used
	Req []Ifreq // ifc_req; nil: only say in Len how many bytes there are
}

// Ioctl configures the stack: it does what request req of Linux does with arg, a
// pointer to the type that req takes. It returns nil or an errno.Errno, the one
// that Linux returns for the same mistake.
func (s *Stack) Ioctl(req uint32, arg any) error { return HandlerOf(req).Do(s, req, arg) }

// A Handler does the requests of one group.
type Handler func(s *Stack, req uint32, arg any) errno.Errno

// HandlerOf returns the Handler of request req. It and Ioctl are inlined: where req
// is a constant, as in nearly every call, the compiler knows which function it is,
// and a program is without those that it never calls.
func HandlerOf(req uint32) Handler {
	switch {
	case req-SIOCGIFFLAGS <= SIOCSIFNETMASK-SIOCGIFFLAGS:
		return (*Stack).ioctlAddr
	case req-SIOCADDRT <= SIOCDELRT-SIOCADDRT:
		return (*Stack).ioctlRoute
	case req-SIOCDARP <= SIOCSARP-SIOCDARP:
		return (*Stack).ioctlARP
	case req == SIOCGIFCONF:
		return (*Stack).ioctlIfconf
	}
	return (*Stack).ioctlLink
}

// Do calls f, as Ioctl does.
func (f Handler) Do(s *Stack, req uint32, arg any) error { return f(s, req, arg).Err() }

// ioctlLink does the requests on an interface that do not concern its addresses,
// and says that others do not exist.
func (s *Stack) ioctlLink(req uint32, arg any) errno.Errno {
	if req>>8 != 0x89 {
		return errno.ENOTTY
	}
	r, ok := arg.(*Ifreq)
	if !ok || r == nil {
		return errno.EFAULT
	}
	// What is common to them is checked in the order in which Linux does.
	switch req {
	case SIOCGIFNAME:
		i := s.interfaceByIndex(r.Value)
		if i == nil {
			return errno.ENODEV
		}
		r.Name = i.Name
		return 0
	case SIOCSIFMETRIC, SIOCSIFMTU, SIOCSIFNAME, SIOCSIFHWADDR, SIOCSIFTXQLEN, SIOCSIFMAP:
		if s.cfg.Unprivileged {
			return errno.EPERM
		}
	case SIOCGIFMETRIC, SIOCGIFMTU, SIOCGIFHWADDR, SIOCGIFINDEX, SIOCGIFTXQLEN, SIOCGIFMAP, SIOCETHTOOL:
	default:
		return errno.ENOTTY
	}
	i, _ := s.interfaceOf(r)
	if i == nil {
		return errno.ENODEV
	}
	switch req {
	case SIOCGIFMETRIC:
		r.Value = 0
	case SIOCGIFMTU:
		r.Value = i.MTU
	case SIOCGIFINDEX:
		r.Value = i.Index
	case SIOCGIFTXQLEN:
		r.Value = i.TxQueueLen
	case SIOCGIFMAP:
		r.Map = Ifmap{}
	case SIOCGIFHWADDR:
		r.Addr = Sockaddr{Family: i.HWType()}
		copy(r.Addr.Data[:], i.HW[:])
	case SIOCSIFMTU:
		return s.setMTU(i, r.Value)
	case SIOCSIFHWADDR:
		return s.setHW(i, &r.Addr)
	case SIOCSIFNAME:
		return s.setName(i, r.Newname)
	case SIOCSIFTXQLEN:
		if r.Value < 0 {
			return errno.EINVAL
		}
		i.TxQueueLen = r.Value
	default: // SIOCSIFMETRIC, SIOCSIFMAP, SIOCETHTOOL
		if feature.Ethtool && req == SIOCETHTOOL {
			return ethtool(i, r.Data)
		}
		return errno.EOPNOTSUPP
	}
	return 0
}

// interfaceOf returns the interface that r names, or nil, and the alias.
func (s *Stack) interfaceOf(r *Ifreq) (i *netif.Interface, alias string) {
	name, alias := splitLabel(r.Name)
	return s.interfaceByName(name), alias
}

// splitLabel cuts a label into the interface's name and the alias, which
// begins with a colon.
func splitLabel(label string) (name, alias string) {
	if len(label) > maxName {
		label = label[:maxName]
	}
	for k := range len(label) {
		if label[k] == ':' {
			return label[:k], label[k:]
		}
	}
	return label, ""
}

// ioctlAddr does the requests that concern flags and addresses: one address of an
// interface, that with the given alias. The even ones set, the odd ones get.
func (s *Stack) ioctlAddr(req uint32, arg any) errno.Errno {
	r, ok := arg.(*Ifreq)
	if !ok || r == nil {
		return errno.EFAULT
	}
	set := req&1 == 0
	if set {
		if s.cfg.Unprivileged {
			return errno.EPERM
		}
		if req != SIOCSIFFLAGS && r.Addr.Family != AF_INET {
			return errno.EINVAL
		}
	}
	i, alias := s.interfaceOf(r)
	if i == nil {
		return errno.ENODEV
	}
	if req == SIOCGIFFLAGS {
		r.Flags = uint16(i.Flags)
		return 0
	}
	if req == SIOCSIFFLAGS && alias == "" {
		s.setFlags(i, int32(int16(r.Flags)))
		return 0
	}
	addr := r.Addr.In()
	var want ipv4.Addr
	if !set && r.Addr.Family == AF_INET {
		want = addr
	}
	a := findAlias(i, alias, want)
	if a == nil {
		if req != SIOCSIFADDR {
			return errno.EADDRNOTAVAIL
		}
		return s.setAddr(i, alias, addr, nil)
	}
	if req == SIOCSIFFLAGS { // of an alias
		if r.Flags&netif.IFF_UP == 0 {
			s.delAddr(i, a)
		}
		return 0
	}
	field := [...]*ipv4.Addr{&a.Local, &a.Peer, &a.Broadcast, &a.Mask}[(req-SIOCGIFADDR)/2&3]
	if !set {
		r.Addr.setIn(*field)
		return 0
	}
	if *field == addr {
		return 0
	}
	switch req {
	case SIOCSIFADDR:
		return s.setAddr(i, alias, addr, a)
	case SIOCSIFDSTADDR:
		if !assignable(addr) {
			return errno.EINVAL
		}
	case SIOCSIFNETMASK:
		if !contiguous(addr) {
			return errno.EINVAL
		}
	}
	s.delAddr(i, a)
	// A broadcast address that follows from the old mask follows from the new
	// one; any other was the user's choice.
	derived := a.Broadcast == a.Local|^a.Mask
	*field = addr
	if derived && req == SIOCSIFNETMASK {
		setBroadcast(i, a)
	}
	s.addAddr(i, a) // Linux does not look at the result here
	return 0
}

// setAddr is SIOCSIFADDR: it gives interface i address addr with the mask of its
// class, in place of the address old if that is not nil.
func (s *Stack) setAddr(i *netif.Interface, alias string, addr ipv4.Addr, old *netif.Address) errno.Errno {
	if !assignable(addr) {
		return errno.EINVAL
	}
	if old != nil {
		s.delAddr(i, old)
	}
	a := netif.NewAddress(addr, addr.ClassMask())
	a.Alias = alias
	if addr.IsLoopback() {
		a.Scope = route.ScopeHost
	}
	setBroadcast(i, a)
	return s.addAddr(i, a)
}

// assignable reports whether a can be an address of an interface, or 0.0.0.0 for
// "none".
func assignable(a ipv4.Addr) bool { return !a.IsMulticast() && a != ipv4.Broadcast }

// contiguous reports whether all ones of mask are in front.
func contiguous(mask ipv4.Addr) bool { return ^mask&(^mask+1) == 0 }

// findAlias returns the address of interface i that has the given alias, or nil. A
// port of 4.4BSD gives the address as well as the label; any other gives junk, so
// the label alone decides if no address matches both.
func findAlias(i *netif.Interface, alias string, want ipv4.Addr) (found *netif.Address) {
	for a := i.Addrs; a != nil; a = a.Next {
		if a.Alias == alias {
			if a.Local == want {
				return a
			}
			if found == nil {
				found = a
			}
		}
	}
	return found
}

// setBroadcast sets the broadcast address that follows from the mask, if there is
// one.
func setBroadcast(i *netif.Interface, a *netif.Address) {
	b := netif.DirectedBroadcast(a.Local, a.Mask)
	if i.Flags&netif.IFF_BROADCAST != 0 && !b.IsAny() {
		a.Broadcast = b
	}
}

// ifreqLen is the size in bytes of C's struct ifreq on 64 bit.
const ifreqLen = 40

// ioctlIfconf lists the addresses of all interfaces, as many as fit.
func (s *Stack) ioctlIfconf(_ uint32, arg any) errno.Errno {
	c, ok := arg.(*Ifconf)
	if !ok || c == nil {
		return errno.EFAULT
	}
	n := 0
	room := min(len(c.Req), int(c.Len)/ifreqLen)
	for _, i := range s.ifaces {
		for a := i.Addrs; a != nil; a = a.Next {
			if c.Req != nil {
				if n >= room {
					break
				}
				r := &c.Req[n]
				r.Name = i.Name + a.Alias
				r.Addr.setIn(a.Local)
			}
			n++
		}
	}
	c.Len = int32(n * ifreqLen)
	return 0
}
