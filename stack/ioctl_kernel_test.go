//go:build linux && (amd64 || arm64)

package stack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
)

// TestIoctlAsKernel makes the same calls, right and wrong ones, of the kernel and
// of a Stack and compares every result, and after every call the addresses,
// flags, routes and neighbours. The kernel's are those of a network namespace of
// the test's own, with two TAP interfaces that carry nothing.
func TestIoctlAsKernel(t *testing.T) {
	if feature.Profile == feature.Minimal {
		t.Skip("the tables of minimal are too small for this; the calls are the same")
	}
	seeds, calls := 24, 400
	if testing.Short() {
		seeds = 6
	}
	for seed := range seeds {
		if !t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			// The thread stays in the namespace and dies with the goroutine.
			runtime.LockOSThread()
			k := newKernel(t)
			defer k.close()
			newTwin(t, k, uint64(seed)).run(calls)
		}) {
			return
		}
	}
}

// TestBusyboxSequencesAsKernel makes the calls of busybox.
func TestBusyboxSequencesAsKernel(t *testing.T) {
	runtime.LockOSThread()
	k := newKernel(t)
	defer k.close()
	w := newTwin(t, k, 0)
	w.do(ifreqFlags("lo", netif.IFF_UP))
	for _, l := range [][]*call{
		busyboxRoute(SIOCADDRT), busyboxIfconfig(), busyboxIfconfigShow(), busyboxRoute(SIOCADDRT), busyboxRoute(SIOCADDRT),
		busyboxARP(), busyboxRoute(SIOCDELRT), busyboxRoute(SIOCDELRT), busyboxIfconfigShow(),
	} {
		for _, c := range l {
			w.do(c)
		}
	}
}

// kernel is the kernel's side, in a namespace of its own.
type kernel struct{ fds []int }

func newKernel(t *testing.T) *kernel {
	if os.Getuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		t.Skip("no network namespace to be had: ", err)
	}
	for _, c := range []string{"all", "default"} {
		os.WriteFile("/proc/sys/net/ipv4/conf/"+c+"/promote_secondaries", []byte("0"), 0)
		os.WriteFile("/proc/sys/net/ipv4/conf/"+c+"/ignore_routes_with_linkdown", []byte("0"), 0)
	}
	os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	k := new(kernel)
	sock, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	k.fds = append(k.fds, sock)
	for _, name := range []string{"eth0", "eth1"} {
		fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR, 0)
		if err != nil {
			t.Skip("no TAP to be had: ", err)
		}
		k.fds = append(k.fds, fd)
		b := make([]byte, SizeofIfreq)
		copy(b, name)
		binary.NativeEndian.PutUint16(b[16:], 0x1002) // IFF_TAP | IFF_NO_PI
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), 0x400454ca, uintptr(unsafe.Pointer(&b[0]))); e != 0 {
			t.Skip("no TAP to be had: ", e)
		}
	}
	return k
}

func (k *kernel) close() {
	for _, fd := range k.fds {
		syscall.Close(fd)
	}
}

// ioctl makes c's call of the kernel.
func (k *kernel) ioctl(c *call) errno.Errno {
	b := c.arg
	switch c.req {
	case SIOCADDRT, SIOCDELRT:
		if c.aux != nil {
			binary.NativeEndian.PutUint64(b[88:], uint64(uintptr(unsafe.Pointer(&c.aux[0]))))
			defer clear(b[88:96])
		}
	case SIOCGIFCONF:
		if c.aux != nil {
			binary.NativeEndian.PutUint64(b[8:], uint64(uintptr(unsafe.Pointer(&c.aux[0]))))
			defer clear(b[8:16])
		}
	}
	_, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(k.fds[0]), uintptr(c.req), uintptr(unsafe.Pointer(&b[0])))
	runtime.KeepAlive(c)
	return errno.Errno(e)
}

// notMade, in deliberate, says that a call is not made at all.
const notMade errno.Errno = 255

// deliberate lists where the stack does not do as the kernel does, and why. Such
// a call is made of the stack only.
var deliberate = []struct {
	why  string
	when func(w *twin, c *call) bool
	want errno.Errno
}{
	{"of a label that a new name makes too long, Linux cuts the name and the stack the alias", func(w *twin, c *call) bool {
		if i := w.iface(c); c.req == SIOCSIFNAME && i != nil {
			for _, a := range listAddrs(i) {
				if len(decodeName(c.arg[16:32])+a.Alias) > maxName {
					return true
				}
			}
		}
		return false
	}, notMade},
	{"of an address that two interfaces have, Linux takes the one that had it first, the stack the first interface", func(w *twin, c *call) bool {
		n := 0
		for _, i := range w.s.ifaces {
			if c.req == SIOCADDRT && i.IsLocal(ipv4.AddrAt(c.arg[28:32])) {
				n++
			}
		}
		return n > 1
	}, notMade},
	{"255.255.255.255 is nobody's address (RFC 1122 section 3.2.1.3)", func(w *twin, c *call) bool {
		return (c.req == SIOCSIFADDR || c.req == SIOCSIFDSTADDR) && c.arg[16] == AF_INET &&
			ipv4.AddrAt(c.arg[20:24]) == ipv4.Broadcast && ioctlC(w.s, c.clone()) == errno.EINVAL
	}, errno.EINVAL},
	{"neither a group of hosts nor we ourselves have an entry in the neighbour table", func(w *twin, c *call) bool {
		return (c.req == SIOCSARP || c.req == SIOCDARP && decodeName(c.arg[52:]) == "") &&
			!w.s.isUnicast(ipv4.AddrAt(c.arg[4:8])) && ioctlC(w.s, c.clone()) == errno.EINVAL
	}, errno.EINVAL},
	{"the loopback interface has no neighbours", func(w *twin, c *call) bool {
		return c.req == SIOCSARP && decodeName(c.arg[52:]) == "lo" && ioctlC(w.s, c.clone()) == errno.EINVAL
	}, errno.EINVAL},
	{"IFF_UP forbids a new name, as in Linux before 6.2", func(w *twin, c *call) bool {
		i := w.iface(c)
		return c.req == SIOCSIFNAME && i != nil && i.IsUp()
	}, errno.EBUSY},
	{"the loopback interface has no hardware address to set", func(w *twin, c *call) bool {
		i := w.iface(c)
		return c.req == SIOCSIFHWADDR && i != nil && i.Dev == nil
	}, errno.EOPNOTSUPP},
	{"the loopback MTU stays between 68 and 65,536, where Linux takes anything and drops IPv4 below 68", func(w *twin, c *call) bool {
		if i := w.iface(c); c.req == SIOCSIFMTU && i != nil && i.Dev == nil {
			mtu := int32(binary.NativeEndian.Uint32(c.arg[16:]))
			return mtu < 68 || mtu > 65536
		}
		return false
	}, errno.EINVAL},
	{"the stack never answers ARP for others (rule 2 of cmd/conformance)", func(w *twin, c *call) bool {
		return (c.req == SIOCSARP || c.req == SIOCDARP) && w.okARP(c) && c.arg[32]&ATF_PUBL != 0
	}, errno.EOPNOTSUPP},
}

// twin is a kernel and a Stack that are told the same.
type twin struct {
	t   *testing.T
	k   *kernel
	s   *Stack
	rnd *rand.Rand
	log []string
}

func newTwin(t *testing.T, k *kernel, seed uint64) *twin {
	w := &twin{t: t, k: k, rnd: rand.New(rand.NewPCG(seed, 1))}
	var devs []netif.Device
	for _, name := range []string{"eth0", "eth1"} {
		c := &call{req: SIOCGIFHWADDR, arg: make([]byte, SizeofIfreq)}
		copy(c.arg, name)
		if e := k.ioctl(c); e != 0 {
			t.Fatal(e)
		}
		devs = append(devs, &idleDevice{mtu: netif.MaxMTU, hw: netif.MAC(c.arg[18:24])})
	}
	w.s = newTestStack(devs...)
	for _, i := range w.s.ifaces[1:] {
		i.MTU = 1500
	}
	return w
}

// iface returns the interface that c names, or nil.
func (w *twin) iface(c *call) *netif.Interface {
	name, _ := splitLabel(decodeName(c.arg))
	return w.s.interfaceByName(name)
}

// okARP reports whether the stack gets as far as the flags of c.
func (w *twin) okARP(c *call) bool {
	dev := decodeName(c.arg[52:])
	i := w.s.interfaceByName(dev)
	fam := binary.NativeEndian.Uint16(c.arg[16:])
	return c.arg[0] == AF_INET && (dev == "" || i != nil && (fam == i.HWType() || fam == 0 || c.arg[32]&ATF_COM == 0))
}

func (w *twin) run(calls int) {
	// In a namespace that has never had an address, Linux has no table of local
	// ones and takes every address for a broadcast address.
	lo := &call{req: SIOCSIFFLAGS, arg: make([]byte, SizeofIfreq)}
	copy(lo.arg, "lo")
	lo.arg[16] = netif.IFF_UP
	w.do(lo)
	for range calls {
		c, before := w.generate(), w.addresses()
		w.do(c)
		if w.t.Failed() {
			w.t.Logf("before:\n%safter:\n%s", before, w.addresses())
			k, n := w.neighbours()
			w.t.Logf("neighbours of the kernel:\n%s\nof the stack:\n%s", k, n)
			w.t.Logf("calls:\n%s", strings.Join(w.log[max(0, len(w.log)-25):], "\n"))
			return
		}
	}
}

// leftOut are the requests that the kernel knows and the stack does not: ENOTTY.
var leftOut = []struct {
	from, to uint32
	what     string
}{
	{0x8901, 0x8907, "SIGIO, and time stamps of a socket: not the stack's"},
	{0x890d, 0x890d, "SIOCRTMSG: was never done"},
	{0x8929, 0x8932, "slaves; multicast groups of the link"},
	{0x8934, 0x8937, "private flags; the link's broadcast address"},
	{0x8940, 0x8941, "bridges"},
	{0x8947, 0x894c, "MII registers; offloads"},
	{0x8982, 0x8983, "VLAN interfaces"},
	{0x8990, 0x89b1, "bonds, bridges, hardware time stamps"},
	{0x89f0, 0x89ff, "a driver's own"},
}

// TestIoctlUnknownRequests compares what becomes of every request from 0x8900 to
// 0x89ff, with an interface that exists and one that does not.
func TestIoctlUnknownRequests(t *testing.T) {
	runtime.LockOSThread()
	k := newKernel(t)
	defer k.close()
	w := newTwin(t, k, 0)
	for req := uint32(0x8900); req < 0x8a00; req++ {
		if req == SIOCETHTOOL { // its pointer comes first in the kernel: see TestEthtool
			continue
		}
		for _, name := range []string{"eth0", "nodev"} {
			c := &call{req: req, arg: make([]byte, 128)}
			copy(c.arg, name)
			want := k.ioctl(c.clone())
			for _, l := range leftOut {
				if l.from <= req && req <= l.to {
					want = errno.ENOTTY
				}
			}
			if e := ioctlC(w.s, c.clone()); e != want {
				t.Errorf("%#x %s: %d, want %d", req, name, e, want)
			}
		}
	}
}

// addresses prints what the stack has.
func (w *twin) addresses() string {
	var b strings.Builder
	for _, i := range w.s.ifaces {
		fmt.Fprintf(&b, "%s: %#x\n", i.Name, i.Flags)
		for _, a := range listAddrs(i) {
			fmt.Fprintf(&b, "\t%+v\n", a)
		}
	}
	_, r := w.routes()
	return b.String() + r + "\n"
}

func (w *twin) do(c *call) {
	for _, d := range deliberate {
		if d.when(w, c) {
			if d.want == notMade {
				return
			}
			if e := ioctlC(w.s, c.clone()); e != d.want {
				w.t.Errorf("%v: %v, want %v: %s", c, e, d.want, d.why)
			}
			return
		}
	}
	kc, sc := c.clone(), c.clone()
	ke, se := w.k.ioctl(kc), ioctlC(w.s, sc)
	w.log = append(w.log, fmt.Sprintf("%v = %d", c, ke))
	if ke != se {
		w.t.Errorf("%v: stack returns %d, kernel %d", c, se, ke)
		return
	}
	if ke == 0 {
		if c.req == SIOCGARP {
			// Linux fills in a netmask that it ignores, and may leave bytes behind
			// the name.
			for _, b := range [][]byte{kc.arg, sc.arg} {
				clear(b[36:52])
				encodeName(b[52:], decodeName(b[52:]))
			}
		}
		if c.req == SIOCGIFNAME { // Linux leaves bytes behind the name here, too
			encodeName(kc.arg, decodeName(kc.arg))
		}
		if !bytes.Equal(kc.arg, sc.arg) {
			w.t.Errorf("%v:\n stack  says %x\n kernel says %x", c, sc.arg, kc.arg)
		}
		if c.req == SIOCGIFCONF && c.aux != nil {
			n := int(binary.NativeEndian.Uint32(kc.arg))
			if !bytes.Equal(kc.aux[:n], sc.aux[:n]) {
				w.t.Errorf("%v:\n stack  lists %x\n kernel lists %x", c, sc.aux[:n], kc.aux[:n])
			}
		}
	}
	w.compareState()
}

// compareState compares all that the calls change.
func (w *twin) compareState() {
	for name, f := range map[string]func() (k, s string){
		"interfaces": w.interfaces, "routes": w.routes, "neighbours": w.neighbours,
	} {
		if k, s := f(); k != s {
			w.t.Errorf("%s differ after %v\nstack:\n%s\nkernel:\n%s", name, w.log[max(0, len(w.log)-1):], s, k)
		}
	}
}

func (w *twin) interfaces() (k, s string) {
	conf := &call{SIOCGIFCONF, make([]byte, SizeofIfconf), make([]byte, 100*ifreqLen)}
	binary.NativeEndian.PutUint32(conf.arg, uint32(len(conf.aux)))
	w.k.ioctl(conf)
	n := int(binary.NativeEndian.Uint32(conf.arg))
	k = dump(conf.aux[:n], w.k.ioctl)
	clear(conf.aux)
	binary.NativeEndian.PutUint32(conf.arg, uint32(len(conf.aux)))
	ioctlC(w.s, conf)
	n = int(binary.NativeEndian.Uint32(conf.arg))
	return k, dump(conf.aux[:n], func(c *call) errno.Errno { return ioctlC(w.s, c) })
}

// dump asks f for all about the addresses in conf and about the interfaces.
func dump(conf []byte, f func(*call) errno.Errno) string {
	var b strings.Builder
	ask := func(e []byte, reqs ...uint32) {
		fmt.Fprintf(&b, "%-8s", decodeName(e))
		for _, req := range reqs {
			c := &call{req: req, arg: bytes.Clone(e)}
			err := f(c)
			fmt.Fprintf(&b, " %x:%x", req&0xff, c.arg[16:24])
			if err != 0 {
				fmt.Fprintf(&b, "(%d)", err)
			}
		}
		b.WriteByte('\n')
	}
	for ; len(conf) > 0; conf = conf[ifreqLen:] {
		ask(conf[:ifreqLen], SIOCGIFADDR, SIOCGIFDSTADDR, SIOCGIFBRDADDR, SIOCGIFNETMASK)
	}
	for idx := range byte(3) {
		e := make([]byte, ifreqLen)
		e[16] = idx + 1
		f(&call{req: SIOCGIFNAME, arg: e})
		clear(e[16:])
		ask(e, SIOCGIFFLAGS, SIOCGIFMTU, SIOCGIFHWADDR, SIOCGIFTXQLEN)
	}
	return b.String()
}

func (w *twin) routes() (k, s string) {
	text, err := os.ReadFile("/proc/thread-self/net/route")
	if err != nil {
		w.t.Fatal(err)
	}
	var ks, ss []string
	for _, l := range strings.Split(string(text), "\n")[1:] {
		if f := strings.Fields(l); len(f) > 7 {
			// Interface, destination, gateway, flags, metric, mask.
			var fl int
			fmt.Sscanf(f[3], "%x", &fl)
			ks = append(ks, fmt.Sprint(f[1], "/", f[7], " via ", f[2], " dev ", f[0], " flags ", fl&^route.RTF_GATEWAY, " metric ", f[6]))
		}
	}
	hex := func(a ipv4.Addr) string { return fmt.Sprintf("%08X", bits.ReverseBytes32(uint32(a))) }
	for k := range w.s.routes.Len() {
		r := w.s.routes.At(k)
		dev := "*"
		if i := w.s.interfaceByIndex(r.Ifindex); i != nil {
			dev = i.Name
		}
		ss = append(ss, fmt.Sprint(hex(r.Dst.Addr), "/", hex(ipv4.Mask(r.Dst.Bits)), " via ", hex(r.Gateway), " dev ", dev,
			" flags ", r.Flags&(route.RTF_UP|route.RTF_HOST|route.RTF_REJECT), " metric ", r.Metric))
	}
	for _, l := range [][]string{ks, ss} {
		// The order among routes to the same prefix is part of the comparison.
		sort.SliceStable(l, func(a, b int) bool { return l[a][:17] < l[b][:17] })
	}
	return strings.Join(ks, "\n"), strings.Join(ss, "\n")
}

func (w *twin) neighbours() (k, s string) {
	text, err := os.ReadFile("/proc/thread-self/net/arp")
	if err != nil {
		w.t.Fatal(err)
	}
	var ks, ss []string
	for _, l := range strings.Split(string(text), "\n")[1:] {
		if f := strings.Fields(l); len(f) >= 6 {
			ks = append(ks, fmt.Sprint(f[0], " ", f[2], " ", f[3], " ", f[5]))
		}
	}
	for _, i := range w.s.ifaces {
		for n := i.Neigh.Next(nil); n != nil; n = i.Neigh.Next(n) {
			fl := 0
			if n.State&^netif.StateNoARP == 0 {
				continue
			}
			if n.State&netif.StateValid != 0 {
				fl = ATF_COM
			}
			if n.State == netif.StatePermanent {
				fl |= ATF_PERM
			}
			ss = append(ss, fmt.Sprintf("%v 0x%x %v %v", n.Addr, fl, n.HW, i.Name))
		}
	}
	sort.Strings(ks)
	sort.Strings(ss)
	return strings.Join(ks, "\n"), strings.Join(ss, "\n")
}
