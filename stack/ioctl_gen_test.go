//go:build linux && (amd64 || arm64)

package stack

import (
	"encoding/binary"

	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
)

// What generate chooses from: mostly what makes sense together, some of it
// wrong. The addresses outside of 198.18.0.0/15 are for the classes and for the
// errors; they stay in the namespace.
var (
	genNames = []string{
		"eth0", "eth0", "eth0", "eth0", "eth0:1", "eth0:1", "eth0:2", "eth1", "eth1", "eth1:x",
		"lo", "lo:1", "nodev", "nodev:1", "", ":1", "eth0:", "eth0:a:b", "eth0:sixteen..more",
	}
	genAddrs = []ipv4.Addr{
		ipv4.AddrOf(198, 18, 0, 1), ipv4.AddrOf(198, 18, 0, 1), ipv4.AddrOf(198, 18, 0, 2), ipv4.AddrOf(198, 18, 0, 5), ipv4.AddrOf(198, 18, 1, 1), ipv4.AddrOf(198, 18, 1, 2),
		ipv4.AddrOf(198, 19, 7, 1), ipv4.AddrOf(198, 19, 255, 254), ipv4.AddrOf(198, 18, 0, 0), ipv4.AddrOf(198, 18, 1, 0),
		ipv4.AddrOf(10, 0, 0, 1), ipv4.AddrOf(172, 16, 0, 1), ipv4.AddrOf(0, 0, 0, 0), ipv4.AddrOf(255, 255, 255, 255), ipv4.AddrOf(224, 0, 0, 1), ipv4.AddrOf(240, 0, 0, 1),
		ipv4.AddrOf(0, 0, 0, 5),
	}
	// None of them can be an address above: of an address that is one host's and
	// also a broadcast address, Linux believes what it heard first.
	genBrds  = []ipv4.Addr{ipv4.AddrOf(198, 18, 0, 255), ipv4.AddrOf(198, 18, 255, 255), ipv4.AddrOf(198, 19, 255, 255), ipv4.AddrOf(198, 18, 3, 255), ipv4.AddrOf(0, 0, 0, 0), ipv4.AddrOf(255, 255, 255, 255)}
	genMasks = []ipv4.Addr{
		ipv4.AddrOf(255, 255, 255, 0), ipv4.AddrOf(255, 255, 255, 0), ipv4.AddrOf(255, 255, 0, 0), ipv4.AddrOf(255, 254, 0, 0), ipv4.AddrOf(255, 255, 255, 252), ipv4.AddrOf(255, 255, 255, 254),
		ipv4.AddrOf(255, 255, 255, 255), ipv4.AddrOf(0, 0, 0, 0), ipv4.AddrOf(255, 0, 255, 0), ipv4.AddrOf(0, 255, 255, 255), ipv4.AddrOf(255, 255, 255, 128),
	}
	genFlags = []uint16{
		netif.IFF_UP, netif.IFF_UP, netif.IFF_UP | netif.IFF_BROADCAST | netif.IFF_RUNNING | netif.IFF_MULTICAST,
		0, netif.IFF_BROADCAST | netif.IFF_MULTICAST, netif.IFF_UP | netif.IFF_NOARP, netif.IFF_UP | netif.IFF_PROMISC,
		netif.IFF_UP | netif.IFF_ALLMULTI | netif.IFF_DEBUG, 0xffff, netif.IFF_UP | netif.IFF_POINTOPOINT, netif.IFF_UP | netif.IFF_DYNAMIC,
	}
	genMTUs  = []int32{1500, 1400, 576, 68, 67, 0, -1, 9000, 65521, 65522, 65536, 1 << 30}
	genNew   = []string{"eth0", "eth1", "lo", "net0", "", ".", "..", "a/b", "a:b", "a b", "fifteen.letters", "sixteen..letters", "x\ty"}
	genRtFl  = []uint16{route.RTF_UP, route.RTF_UP | route.RTF_GATEWAY, route.RTF_UP | route.RTF_HOST, route.RTF_UP | route.RTF_GATEWAY | route.RTF_HOST, 0, route.RTF_REJECT | route.RTF_UP, route.RTF_REJECT | route.RTF_HOST, route.RTF_UP | route.RTF_MTU}
	genIfReq = []uint32{
		SIOCGIFNAME, SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFDSTADDR, SIOCGIFBRDADDR, SIOCGIFNETMASK, SIOCGIFMETRIC, SIOCGIFMTU, SIOCGIFHWADDR,
		SIOCGIFINDEX, SIOCGIFTXQLEN, SIOCGIFMAP, SIOCSIFMETRIC, SIOCSIFMAP,
		SIOCSIFFLAGS, SIOCSIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFADDR, SIOCSIFADDR, SIOCSIFADDR, SIOCSIFDSTADDR, SIOCSIFBRDADDR, SIOCSIFNETMASK, SIOCSIFNETMASK,
		SIOCSIFMTU, SIOCSIFNAME, SIOCSIFHWADDR, SIOCSIFTXQLEN,
	}
)

func pick[T any](w *twin, from []T) T { return from[w.rnd.IntN(len(from))] }

// often is true with probability p percent.
func (w *twin) often(p int) bool { return w.rnd.IntN(100) < p }

// targets returns what to choose a gateway or a neighbour from.
func (w *twin) targets() []ipv4.Addr {
	if w.often(10) {
		return genBrds
	}
	return genAddrs
}

func (w *twin) sockaddr(b []byte, a ipv4.Addr) {
	if w.often(95) {
		binary.NativeEndian.PutUint16(b, AF_INET)
	} else {
		binary.NativeEndian.PutUint16(b, uint16(w.rnd.IntN(4)))
	}
	a.Put(b[4:])
}

func (w *twin) ether(b []byte) {
	b[0] = netif.ARPHRD_ETHER
	if w.often(10) {
		b[0] = byte(w.rnd.IntN(3))
	}
	copy(b[2:], []byte{2, 0, 0, 0, 0, byte(w.rnd.IntN(4))})
	if w.often(5) {
		b[2] = 1
	}
	if w.often(5) {
		clear(b[2:8])
	}
}

func (w *twin) generate() *call {
	n := binary.NativeEndian
	switch p := w.rnd.IntN(100); {
	case p < 60:
		c := &call{req: pick(w, genIfReq), arg: make([]byte, SizeofIfreq)}
		copy(c.arg, pick(w, genNames))
		u := c.arg[16:]
		switch c.req {
		case SIOCSIFFLAGS:
			n.PutUint16(u, pick(w, genFlags))
		case SIOCSIFMTU:
			n.PutUint32(u, uint32(pick(w, genMTUs)))
		case SIOCGIFNAME:
			n.PutUint32(u, uint32(w.rnd.IntN(6)-1))
		case SIOCSIFTXQLEN:
			n.PutUint32(u, uint32(w.rnd.IntN(3)*500-1))
		case SIOCSIFNAME:
			copy(u[:16], pick(w, genNew))
		case SIOCSIFHWADDR:
			w.ether(u)
		case SIOCSIFBRDADDR:
			w.sockaddr(u, pick(w, genBrds))
		case SIOCSIFNETMASK:
			w.sockaddr(u, pick(w, genMasks))
		default:
			a := pick(w, genAddrs)
			if c.arg[0] == 'l' && a>>24 != 0 && a>>29 != 7 {
				// 127.0.0.0/8 for lo and for nothing else: a route in the main table
				// hides a shorter prefix on lo from Linux, which has both tables in one
				// trie.
				a = a&0xffffff | 127<<24
			}
			w.sockaddr(u, a)
		}
		return c
	case p < 63:
		c := &call{req: SIOCGIFCONF, arg: make([]byte, SizeofIfconf)}
		c.aux = make([]byte, w.rnd.IntN(200)+1)
		n.PutUint32(c.arg, uint32(len(c.aux)))
		if w.often(30) {
			c.aux = nil
		}
		return c
	case p < 85:
		c := &call{req: SIOCADDRT, arg: make([]byte, SizeofRtentry)}
		if w.often(35) {
			c.req = SIOCDELRT
		}
		fl := pick(w, genRtFl)
		n.PutUint16(c.arg[56:], fl)
		mask, dst := pick(w, genMasks), pick(w, genAddrs)
		if w.often(90) {
			dst = dst & mask
		}
		if fl&route.RTF_GATEWAY != 0 && w.often(50) {
			mask, dst = ipv4.Any, ipv4.Any
		}
		w.sockaddr(c.arg[8:], dst)
		w.sockaddr(c.arg[40:], mask)
		if fl&route.RTF_GATEWAY != 0 || w.often(5) {
			w.sockaddr(c.arg[24:], pick(w, w.targets()))
		}
		if w.often(30) {
			n.PutUint16(c.arg[80:], uint16(w.rnd.IntN(3)))
		}
		if w.often(60) {
			c.aux = make([]byte, 32)
			copy(c.aux, pick(w, genNames))
		}
		n.PutUint64(c.arg[96:], uint64(1000+w.rnd.IntN(2)))
		return c
	case p < 97:
		c := &call{req: SIOCSARP, arg: make([]byte, SizeofArpreq)}
		if w.often(30) {
			c.req = SIOCGARP
		} else if w.often(30) {
			c.req = SIOCDARP
		}
		w.sockaddr(c.arg, pick(w, w.targets()))
		w.ether(c.arg[16:])
		c.arg[32] = pick(w, []byte{ATF_COM, ATF_COM | ATF_PERM, ATF_PERM, 0, ATF_PUBL, ATF_NETMASK, ATF_DONTPUB, ATF_PUBL | ATF_NETMASK})
		if w.often(80) {
			copy(c.arg[52:67], pick(w, genNames))
		}
		return c
	}
	c := &call{req: pick(w, []uint32{0x8918 - 1<<8, 0x891f, 0x8999, 0x5401, 0x890f, 0x8928}), arg: make([]byte, 128)}
	copy(c.arg, pick(w, genNames))
	return c
}
