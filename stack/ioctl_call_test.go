package stack

import (
	"bytes"
	"fmt"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
)

// call is one ioctl as C has it.
type call struct {
	req uint32
	arg []byte
	aux []byte // what the pointer in arg points to
}

func (c *call) clone() *call {
	return &call{c.req, bytes.Clone(c.arg), bytes.Clone(c.aux)}
}

// ioctlC makes c's call of s, through the codecs.
func ioctlC(s *Stack, c *call) (e errno.Errno) {
	asErrno := func(err error) errno.Errno {
		if err == nil {
			return 0
		}
		return err.(errno.Errno)
	}
	switch c.req {
	case SIOCADDRT, SIOCDELRT:
		var r Rtentry
		if e = r.Decode(c.arg, c.aux); e == 0 {
			e = asErrno(s.Ioctl(c.req, &r))
		}
	case SIOCSARP, SIOCGARP, SIOCDARP:
		var r Arpreq
		if e = r.Decode(c.arg); e == 0 {
			if e = asErrno(s.Ioctl(c.req, &r)); e == 0 && c.req == SIOCGARP {
				e = r.Encode(c.arg)
			}
		}
	case SIOCGIFCONF:
		var r Ifconf
		if e = r.Decode(c.arg, c.aux); e == 0 {
			if e = asErrno(s.Ioctl(c.req, &r)); e == 0 {
				e = r.Encode(c.arg, c.aux)
			}
		}
	default:
		var r Ifreq
		if e = r.Decode(c.req, c.arg); e == 0 {
			if e = asErrno(s.Ioctl(c.req, &r)); e == 0 {
				e = r.Encode(c.req, c.arg)
			}
		}
	}
	return e
}

// String gives the request, the name or the address first, and the rest.
func (c *call) String() string {
	s := fmt.Sprintf("ioctl %#x", c.req)
	switch c.req {
	case SIOCADDRT, SIOCDELRT:
		s += fmt.Sprintf(" dst %v gw %v mask %v flags %#x metric %d dev %q", c.arg[8:16], c.arg[24:32], c.arg[40:48], c.arg[56:58], c.arg[80], decodeName(c.aux))
	case SIOCSARP, SIOCGARP, SIOCDARP:
		s += fmt.Sprintf(" pa %v ha %x flags %#x dev %q", c.arg[:8], c.arg[16:24], c.arg[32], decodeName(c.arg[52:]))
	case SIOCGIFCONF:
		s += fmt.Sprintf(" len %d nil %v", pkt.LittleEndian.Uint32(c.arg), c.aux == nil)
	default:
		s += fmt.Sprintf(" %q %v", decodeName(c.arg), c.arg[16:24])
	}
	return s
}

// The makers of calls that follow lay the arguments out as a C program does.

func ifreq(req uint32, name string) *call {
	c := &call{req: req, arg: make([]byte, SizeofIfreq)}
	encodeName(c.arg, name)
	return c
}

func ifreqAddr(req uint32, name string, a ipv4.Addr) *call {
	c := ifreq(req, name)
	sa := SockaddrIn(a)
	sa.encode(c.arg[16:])
	return c
}

func ifreqFlags(name string, flags uint16) *call {
	c := ifreq(SIOCSIFFLAGS, name)
	pkt.LittleEndian.PutUint16(c.arg[16:], flags)
	return c
}

func ifreqInt(req uint32, name string, v int32) *call {
	c := ifreq(req, name)
	pkt.LittleEndian.PutUint32(c.arg[16:], uint32(v))
	return c
}

func ifreqHW(name string, family uint16, hw netif.MAC) *call {
	c := ifreq(SIOCSIFHWADDR, name)
	pkt.LittleEndian.PutUint16(c.arg[16:], family)
	copy(c.arg[18:], hw[:])
	return c
}

func ifconf(n int) *call {
	c := &call{req: SIOCGIFCONF, arg: make([]byte, SizeofIfconf), aux: make([]byte, n)}
	pkt.LittleEndian.PutUint32(c.arg, uint32(n))
	return c
}

func rtentry(req uint32, dst, mask, gw ipv4.Addr, flags uint16, metric int16, dev string) *call {
	c := &call{req: req, arg: make([]byte, SizeofRtentry)}
	r := Rtentry{Dst: SockaddrIn(dst), Genmask: SockaddrIn(mask), Flags: flags, Metric: metric}
	if !gw.IsAny() {
		r.Gateway = SockaddrIn(gw)
	}
	r.Encode(c.arg)
	if dev != "" {
		c.aux = append([]byte(dev), make([]byte, 16)...)
	}
	return c
}

func arpreq(req uint32, pa ipv4.Addr, hw netif.MAC, flags int32, dev string) *call {
	c := &call{req: req, arg: make([]byte, SizeofArpreq)}
	r := Arpreq{PA: SockaddrIn(pa), Flags: flags, Dev: dev}
	if req == SIOCSARP {
		r.HA.Family = netif.ARPHRD_ETHER
		copy(r.HA.Data[:], hw[:])
	}
	r.Encode(c.arg)
	return c
}

// The sequences are those that busybox makes.

var (
	bbAddr = ipv4.AddrOf(198, 18, 0, 1)
	bbMask = ipv4.AddrOf(255, 255, 255, 128)
	bbBrd  = ipv4.AddrOf(198, 18, 0, 127)
	bbPeer = ipv4.AddrOf(198, 18, 0, 2)
	bbHW   = netif.MAC{2, 0, 0, 0, 0, 2}
)

const upFlags = netif.IFF_UP | netif.IFF_RUNNING | netif.IFF_BROADCAST | netif.IFF_MULTICAST

// ifconfig eth0 A netmask M mtu 1400 up
func busyboxIfconfig() []*call {
	return []*call{
		ifreqAddr(SIOCSIFADDR, "eth0", bbAddr),
		ifreq(SIOCGIFFLAGS, "eth0"),
		ifreqFlags("eth0", upFlags),
		ifreqAddr(SIOCSIFNETMASK, "eth0", bbMask),
		ifreqAddr(SIOCSIFBRDADDR, "eth0", bbBrd),
		ifreqInt(SIOCSIFMTU, "eth0", 1400),
		ifreq(SIOCGIFFLAGS, "eth0"),
		ifreqFlags("eth0", upFlags),
	}
}

// ifconfig
func busyboxIfconfigShow() []*call {
	l := []*call{ifconf(30 * ifreqLen)}
	for _, req := range []uint32{
		SIOCGIFFLAGS, SIOCGIFHWADDR, SIOCGIFMETRIC, SIOCGIFMTU, SIOCGIFMAP, SIOCGIFTXQLEN,
		SIOCGIFADDR, SIOCGIFDSTADDR, SIOCGIFBRDADDR, SIOCGIFNETMASK,
	} {
		c := ifreq(req, "eth0")
		if req >= SIOCGIFADDR && req <= SIOCGIFNETMASK {
			c.arg[16] = AF_INET
		}
		l = append(l, c)
	}
	return l
}

// route add default gw P; route add -net N netmask M gw P metric 2; route add
// -host H dev eth0; the same with del
func busyboxRoute(req uint32) []*call {
	const up, gw, host = 1, 2, 4
	return []*call{
		rtentry(req, ipv4.Any, ipv4.Any, bbPeer, up|gw, 0, ""),
		rtentry(req, ipv4.AddrOf(198, 19, 0, 0), ipv4.AddrOf(255, 255, 0, 0), bbPeer, up|gw, 3, ""),
		rtentry(req, ipv4.AddrOf(198, 19, 7, 7), ipv4.Any, ipv4.Any, up|host, 0, "eth0"),
	}
}

// arp -s P HW; arp -a P; arp -d P; arp -a P
func busyboxARP() []*call {
	return []*call{
		ifreq(SIOCGIFHWADDR, "eth0"),
		arpreq(SIOCSARP, bbPeer, bbHW, ATF_PERM|ATF_COM, "eth0"),
		arpreq(SIOCGARP, bbPeer, bbHW, 0, "eth0"),
		arpreq(SIOCDARP, bbPeer, bbHW, ATF_PERM, "eth0"),
		arpreq(SIOCGARP, bbPeer, bbHW, 0, "eth0"),
	}
}
