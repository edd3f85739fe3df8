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
func SockaddrIn(a ipv4.Addr) (sa Sockaddr) {
	sa.setIn(a)
	return sa
}

//go:noinline
func (sa *Sockaddr) setIn(a ipv4.Addr) {
	*sa = Sockaddr{Family: AF_INET}
	copy(sa.Data[2:], a[:])
}

// In returns the IPv4 address in sa, which is only meaningful for AF_INET.
func (sa *Sockaddr) In() ipv4.Addr { return ipv4.Addr(sa.Data[2:6]) }

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
	Len int32   // ifc_len: bytes that Req holds, at ifreqLen each; on return, those used
	Req []Ifreq // ifc_req; nil: only say in Len how many bytes there are
}

// Ioctl configures the stack: it does what request req of Linux does with arg, a
// pointer to the type that req takes. It returns nil or an errno.Errno, the one
// that Linux returns for the same mistake.
func (s *Stack) Ioctl(req uint32, arg any) error { return s.ioctl(req, arg).Err() }

func (s *Stack) ioctl(req uint32, arg any) errno.Errno {
	if req>>8 != 0x89 {
		return errno.ENOTTY
	}
	switch req {
	case SIOCADDRT, SIOCDELRT:
		if r, ok := arg.(*Rtentry); ok {
			return s.ioctlRoute(req, r)
		}
	case SIOCDARP, SIOCGARP, SIOCSARP:
		if r, ok := arg.(*Arpreq); ok {
			return s.ioctlARP(req, r)
		}
	case SIOCGIFCONF:
		if c, ok := arg.(*Ifconf); ok {
			return s.ioctlIfconf(c)
		}
	default:
		if r, ok := arg.(*Ifreq); ok {
			return s.ioctlIf(req, r)
		}
	}
	return errno.EFAULT
}

// setRequests has a bit for every request on an interface that changes it, for
// which the kernel wants CAP_NET_ADMIN before anything else.
const setRequests = 1<<(SIOCSIFFLAGS-SIOCGIFNAME) |
	setAddrRequests |
	1<<(SIOCSIFMETRIC-SIOCGIFNAME) |
	1<<(SIOCSIFMTU-SIOCGIFNAME) |
	1<<(SIOCSIFNAME-SIOCGIFNAME) |
	1<<(SIOCSIFHWADDR-SIOCGIFNAME) |
	1<<(SIOCSIFTXQLEN-SIOCGIFNAME)

// setAddrRequests are those that must come with an AF_INET address.
const setAddrRequests = 1<<(SIOCSIFADDR-SIOCGIFNAME) |
	1<<(SIOCSIFDSTADDR-SIOCGIFNAME) |
	1<<(SIOCSIFBRDADDR-SIOCGIFNAME) |
	1<<(SIOCSIFNETMASK-SIOCGIFNAME)

// getRequests are the others that exist.
const getRequests = 1<<(SIOCGIFFLAGS-SIOCGIFNAME) |
	1<<(SIOCGIFADDR-SIOCGIFNAME) |
	1<<(SIOCGIFDSTADDR-SIOCGIFNAME) |
	1<<(SIOCGIFBRDADDR-SIOCGIFNAME) |
	1<<(SIOCGIFNETMASK-SIOCGIFNAME) |
	1<<(SIOCGIFMETRIC-SIOCGIFNAME) |
	1<<(SIOCGIFMTU-SIOCGIFNAME) |
	1<<(SIOCGIFHWADDR-SIOCGIFNAME) |
	1<<(SIOCGIFINDEX-SIOCGIFNAME) |
	1<<(SIOCGIFTXQLEN-SIOCGIFNAME)

// ioctlIf does the requests whose argument is an Ifreq, and checks what is
// common to them, in the order in which Linux does.
func (s *Stack) ioctlIf(req uint32, r *Ifreq) errno.Errno {
	if req == SIOCGIFNAME {
		i := s.interfaceByIndex(r.Value)
		if i == nil {
			return errno.ENODEV
		}
		r.Name = i.Name
		return 0
	}
	bit := uint64(1) << (req - SIOCGIFNAME) // 0 where the shift is too far
	switch {
	case req == SIOCETHTOOL, req == SIOCGIFMAP:
	case bit&setRequests != 0, req == SIOCSIFMAP:
		if s.cfg.Unprivileged {
			return errno.EPERM
		}
		if bit&setAddrRequests != 0 && r.Addr.Family != AF_INET {
			return errno.EINVAL
		}
	case bit&getRequests == 0:
		return errno.ENOTTY
	}
	name, alias := splitLabel(r.Name)
	i := s.interfaceByName(name)
	if i == nil {
		return errno.ENODEV
	}
	switch req {
	case SIOCGIFFLAGS:
		r.Flags = uint16(i.Flags)
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
	case SIOCSIFMETRIC, SIOCSIFMAP:
		return errno.EOPNOTSUPP
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
	case SIOCETHTOOL:
		if feature.Ethtool {
			return ethtool(i, r.Data)
		}
		return errno.EOPNOTSUPP
	case SIOCSIFFLAGS:
		if alias == "" {
			s.setFlags(i, int32(int16(r.Flags)))
			return 0
		}
		return s.ioctlAddr(req, i, alias, r)
	default:
		return s.ioctlAddr(req, i, alias, r)
	}
	return 0
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

// ioctlAddr does the requests that concern one address of interface i: the one
// with the given alias.
func (s *Stack) ioctlAddr(req uint32, i *netif.Interface, alias string, r *Ifreq) errno.Errno {
	// From SIOCGIFADDR on, each field has a request to get and one to set it.
	k := req - SIOCGIFADDR
	set := k&1 != 0
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
	field := [...]*ipv4.Addr{&a.Local, &a.Peer, &a.Broadcast, &a.Mask}[k/2&3]
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
		if !contiguous(addr.Uint32()) {
			return errno.EINVAL
		}
	}
	s.delAddr(i, a)
	// A broadcast address that follows from the old mask follows from the new
	// one; any other was the user's choice.
	derived := a.Broadcast.Uint32() == a.Local.Uint32()|^a.Mask.Uint32()
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
	a := new(netif.Address)
	a.Local, a.Peer, a.Mask, a.Alias = addr, addr, addr.ClassMask(), alias
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
func contiguous(mask uint32) bool { return ^mask&(^mask+1) == 0 }

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
func (s *Stack) ioctlIfconf(c *Ifconf) errno.Errno {
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
