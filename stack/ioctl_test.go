package stack

import (
	"bytes"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
)

// idleDevice is a device that keeps what it is given to send and receives nothing.
type idleDevice struct {
	mtu  int
	hw   netif.MAC
	sent [][]byte
}

func (d *idleDevice) Send(bufs []*netif.Buf) error {
	for _, b := range bufs {
		d.sent = append(d.sent, bytes.Clone(b.Bytes()))
	}
	return nil
}
func (d *idleDevice) Recv([]*netif.Buf) (int, error) { select {} }
func (d *idleDevice) MTU() int                       { return d.mtu }
func (d *idleDevice) HardwareAddr() netif.MAC        { return d.hw }
func (d *idleDevice) Close() error                   { return nil }

// newTestStack returns a stack with lo and eth0, eth1... over devs, all down and
// without addresses.
func newTestStack(devs ...netif.Device) *Stack {
	s := New(Config{Seed: 1})
	for k, d := range devs {
		if _, err := s.AddInterface("eth"+string(rune('0'+k)), d); err != nil {
			panic(err)
		}
	}
	return s
}

var testHW = netif.MAC{2, 0, 0, 0, 0, 1}

func listAddrs(i *netif.Interface) (l []*netif.Address) {
	for a := i.Addrs; a != nil; a = a.Next {
		l = append(l, a)
	}
	return l
}

// ioctlTest is a stack with eth0 and eth1, to be told calls as C makes them.
type ioctlTest struct {
	*testing.T
	*Stack
	dev *idleDevice // eth0's
}

func newIoctlTest(t *testing.T) *ioctlTest {
	dev := &idleDevice{mtu: 1500, hw: testHW}
	return &ioctlTest{t, newTestStack(dev, &idleDevice{mtu: 1500, hw: netif.MAC{2, 0, 0, 0, 1, 1}}), dev}
}

// do makes calls that must succeed.
func (x *ioctlTest) do(calls ...*call) *ioctlTest {
	x.Helper()
	for _, c := range calls {
		x.fail(c, 0)
	}
	return x
}

// fail makes a call that must return e.
func (x *ioctlTest) fail(c *call, e errno.Errno) *ioctlTest {
	x.Helper()
	if got := ioctlC(x.Stack, c); got != e {
		x.Errorf("%v: %v, want %v", c, got, e)
	}
	return x
}

// addr returns what a request for an address answers.
func (x *ioctlTest) addr(req uint32, name string) ipv4.Addr {
	x.Helper()
	c := ifreq(req, name)
	x.do(c)
	return ipv4.AddrAt(c.arg[20:24])
}

func (x *ioctlTest) wantAddr(req uint32, name string, want ipv4.Addr) *ioctlTest {
	x.Helper()
	if a := x.addr(req, name); a != want {
		x.Errorf("request %#x says %v for %s, want %v", req, a, name, want)
	}
	return x
}

// wantRoute checks the way to dst: next hop, interface and source ("" each: none).
func (x *ioctlTest) wantRoute(dst, hop, dev, src string) *ioctlTest {
	x.Helper()
	d, _ := ipv4.ParseAddr(dst)
	r := x.routes.Lookup(d)
	if r == nil {
		if hop != "" {
			x.Errorf("no route to %s, want %s", dst, hop)
		}
		return x
	}
	h, s := r.NextHop(d).String(), r.Src.String()
	if r.Src.IsAny() {
		s = ""
	}
	if i := x.interfaceByIndex(r.Ifindex); h != hop || i.Name != dev || s != src {
		x.Errorf("to %s: %s on %s from %s, want %s on %s from %s", dst, h, i.Name, s, hop, dev, src)
	}
	return x
}

func TestC22BusyboxIfconfigSets(t *testing.T) {
	x := newIoctlTest(t)
	x.do(busyboxIfconfig()...)
	x.wantAddr(SIOCGIFADDR, "eth0", bbAddr).
		wantAddr(SIOCGIFNETMASK, "eth0", bbMask).
		wantAddr(SIOCGIFBRDADDR, "eth0", bbBrd).
		wantAddr(SIOCGIFDSTADDR, "eth0", bbAddr).
		wantRoute("198.18.0.2", "198.18.0.2", "eth0", "198.18.0.1").
		wantRoute("198.18.0.200", "", "", "")
	i := x.ifaces[1]
	if i.MTU != 1400 || !i.IsUp() || i.Flags&netif.IFF_RUNNING == 0 {
		t.Errorf("%+v", i)
	}
}

func TestBusyboxIfconfigShows(t *testing.T) {
	x := newIoctlTest(t)
	x.do(busyboxIfconfig()...)
	show := busyboxIfconfigShow()
	x.do(show...)
	if n := pkt.LittleEndian.Uint32(show[0].arg); n != ifreqLen || decodeName(show[0].aux) != "eth0" || ipv4.AddrAt(show[0].aux[20:24]) != bbAddr {
		t.Errorf("GIFCONF: %d bytes, %x", n, show[0].aux[:ifreqLen])
	}
	for k, want := range [][]byte{
		{0x43, 0x10},                  // flags
		{1, 0, 2, 0, 0, 0, 0, 1},      // hardware address
		{0, 0, 0, 0},                  // metric
		{0x78, 5, 0, 0},               // MTU
		make([]byte, 24),              // map
		{0xe8, 3, 0, 0},               // queue length
		{2, 0, 0, 0, 198, 18, 0, 1},   // address
		{2, 0, 0, 0, 198, 18, 0, 1},   // peer
		{2, 0, 0, 0, 198, 18, 0, 127}, // broadcast
		{2, 0, 0, 0, 255, 255, 255, 128},
	} {
		if c := show[k+1]; !bytes.Equal(c.arg[16:16+len(want)], want) {
			t.Errorf("%#x: %x, want %x", c.req, c.arg[16:], want)
		}
	}
}

func TestC22BusyboxRoute(t *testing.T) {
	x := newIoctlTest(t)
	add := busyboxRoute(SIOCADDRT)
	x.fail(add[0], errno.ENETUNREACH) // no network yet
	x.fail(add[2], errno.ENETDOWN)
	x.do(busyboxIfconfig()...).do(add...)
	x.wantRoute("198.18.77.1", "198.18.0.2", "eth0", "").
		wantRoute("198.19.1.1", "198.18.0.2", "eth0", "").
		wantRoute("198.19.7.7", "198.19.7.7", "eth0", "")
	for _, c := range add {
		x.fail(c, errno.EEXIST)
	}
	if r := x.routes.Lookup(ipv4.AddrOf(198, 19, 1, 1)); r.Metric != 2 {
		t.Errorf("metric %d, want 2: rt_metric is one more", r.Metric)
	}
	del := busyboxRoute(SIOCDELRT)
	x.do(del...)
	for _, c := range del {
		x.fail(c, errno.ESRCH)
	}
	x.wantRoute("198.18.77.1", "", "", "")
}

func TestBusyboxARP(t *testing.T) {
	x := newIoctlTest(t)
	x.do(busyboxIfconfig()...)
	c := busyboxARP()
	x.do(c[:4]...).fail(c[4], errno.ENXIO)
	if got := c[2].arg[16:24]; !bytes.Equal(got, []byte{1, 0, 2, 0, 0, 0, 0, 2}) || c[2].arg[32] != ATF_COM|ATF_PERM {
		t.Errorf("the entry is %x, flags %#x", got, c[2].arg[32])
	}
}

func TestAddressGetsTheMaskOfItsClass(t *testing.T) {
	// 198.18.0.0/15 has one class only; the others never leave this table.
	for _, c := range []struct{ a, mask, brd ipv4.Addr }{
		{ipv4.AddrOf(198, 18, 3, 4), ipv4.AddrOf(255, 255, 255, 0), ipv4.AddrOf(198, 18, 3, 255)},
		{ipv4.AddrOf(172, 16, 3, 4), ipv4.AddrOf(255, 255, 0, 0), ipv4.AddrOf(172, 16, 255, 255)},
		{ipv4.AddrOf(10, 2, 3, 4), ipv4.AddrOf(255, 0, 0, 0), ipv4.AddrOf(10, 255, 255, 255)},
		{ipv4.AddrOf(240, 2, 3, 4), ipv4.AddrOf(255, 255, 255, 255), ipv4.Any},
	} {
		newIoctlTest(t).do(ifreqAddr(SIOCSIFADDR, "eth0", c.a)).
			wantAddr(SIOCGIFNETMASK, "eth0", c.mask).
			wantAddr(SIOCGIFBRDADDR, "eth0", c.brd)
	}
}

func TestNewMaskMovesADerivedBroadcastAddress(t *testing.T) {
	x := newIoctlTest(t).do(ifreqAddr(SIOCSIFADDR, "eth0", bbAddr), ifreqAddr(SIOCSIFNETMASK, "eth0", bbMask))
	x.wantAddr(SIOCGIFBRDADDR, "eth0", bbBrd)
	mine := ipv4.AddrOf(198, 18, 0, 64)
	x.do(ifreqAddr(SIOCSIFBRDADDR, "eth0", mine), ifreqAddr(SIOCSIFNETMASK, "eth0", ipv4.AddrOf(255, 255, 255, 0)))
	x.wantAddr(SIOCGIFBRDADDR, "eth0", mine)
}

func TestAddressZeroRemoves(t *testing.T) {
	x := newIoctlTest(t)
	x.do(busyboxIfconfig()...).do(busyboxRoute(SIOCADDRT)...).do(busyboxARP()[:2]...)
	x.do(ifreqAddr(SIOCSIFADDR, "eth0", ipv4.Any)).fail(ifreq(SIOCGIFADDR, "eth0"), errno.EADDRNOTAVAIL)
	if x.routes.Len() != 0 || x.ifaces[1].Neigh.Len() != 0 {
		t.Errorf("%d routes and %d neighbours outlive the last address", x.routes.Len(), x.ifaces[1].Neigh.Len())
	}
	if !x.ifaces[1].IsUp() {
		t.Error("the interface went down")
	}
}

func TestSameAddressTwiceIsRefused(t *testing.T) {
	x := newIoctlTest(t).do(ifreqAddr(SIOCSIFADDR, "eth0", bbAddr)).fail(ifreqAddr(SIOCSIFADDR, "eth0:2", bbAddr), errno.EEXIST)
	// Setting what is set already is nothing to do.
	x.do(ifreqAddr(SIOCSIFADDR, "eth0", bbAddr), ifreqAddr(SIOCSIFBRDADDR, "eth0", ipv4.AddrOf(198, 18, 0, 255)), ifreqAddr(SIOCSIFDSTADDR, "eth0", bbAddr))
}

func TestAliases(t *testing.T) {
	x := newIoctlTest(t).do(ifreqFlags("eth0", upFlags))
	x.do(ifreqAddr(SIOCSIFADDR, "eth0", bbAddr), ifreqAddr(SIOCSIFADDR, "eth0:1", bbPeer), ifreqAddr(SIOCSIFADDR, "eth0:x", ipv4.AddrOf(198, 18, 5, 1)))
	x.wantAddr(SIOCGIFADDR, "eth0:1", bbPeer).fail(ifreq(SIOCGIFADDR, "eth0:2"), errno.EADDRNOTAVAIL)
	c := ifconf(30 * ifreqLen)
	x.do(c)
	if n := pkt.LittleEndian.Uint32(c.arg); n != 3*ifreqLen {
		t.Errorf("GIFCONF lists %d bytes", n)
	}
	// eth0:x is in the middle, since eth0:1 is secondary.
	if n := decodeName(c.aux[ifreqLen:]); n != "eth0:x" {
		t.Errorf("the second one is %s", n)
	}
	x.wantRoute("198.18.5.9", "198.18.5.9", "eth0", "198.18.5.1")
	// A primary address takes its secondaries with it; an alias goes down alone.
	x.do(ifreqFlags("eth0:x", 0)).wantRoute("198.18.5.9", "", "", "")
	x.do(ifreqAddr(SIOCSIFADDR, "eth0", ipv4.Any)).fail(ifreq(SIOCGIFADDR, "eth0:1"), errno.EADDRNOTAVAIL)
}

func TestDownForgetsUpRestoresTheConnectedRoute(t *testing.T) {
	x := newIoctlTest(t)
	x.do(busyboxIfconfig()...).do(busyboxRoute(SIOCADDRT)...).do(busyboxARP()[:2]...)
	gen := x.routes.Gen()
	x.do(ifreqFlags("eth0", 0))
	if x.routes.Len() != 0 || x.ifaces[1].Neigh.Len() != 0 || x.routes.Gen() == gen {
		t.Errorf("%d routes, %d neighbours", x.routes.Len(), x.ifaces[1].Neigh.Len())
	}
	x.do(ifreqFlags("eth0", upFlags)).wantRoute("198.18.0.2", "198.18.0.2", "eth0", "198.18.0.1").wantRoute("198.19.1.1", "", "", "")
}

func TestLoopbackConfiguresItself(t *testing.T) {
	x := newIoctlTest(t).do(ifreqFlags("lo", netif.IFF_UP))
	x.wantAddr(SIOCGIFADDR, "lo", ipv4.Loopback).wantAddr(SIOCGIFNETMASK, "lo", ipv4.AddrOf(255, 0, 0, 0))
	if !x.isLocal(ipv4.AddrOf(127, 5, 5, 5)) {
		t.Error("127.5.5.5 is not local")
	}
}

func TestIoctlErrors(t *testing.T) {
	mask := ipv4.AddrOf(255, 0, 255, 0)
	noFamily := ifreqAddr(SIOCSIFADDR, "eth0", bbAddr)
	noFamily.arg[16] = 0
	badFamily := rtentry(SIOCADDRT, ipv4.Any, ipv4.Any, bbPeer, route.RTF_GATEWAY, 0, "")
	badFamily.arg[8] = 10
	arpFamily := arpreq(SIOCSARP, bbPeer, bbHW, ATF_COM, "eth0")
	arpFamily.arg[0] = 10
	for _, c := range []struct {
		what string
		c    *call
		e    errno.Errno
	}{
		{"no such interface", ifreq(SIOCGIFFLAGS, "eth9"), errno.ENODEV},
		{"no such interface, set", ifreqAddr(SIOCSIFADDR, "eth9", bbAddr), errno.ENODEV},
		{"no interface with this index", ifreqInt(SIOCGIFNAME, "", 9), errno.ENODEV},
		{"no interface with index 0", ifreqInt(SIOCGIFNAME, "", 0), errno.ENODEV},
		{"no address", ifreq(SIOCGIFADDR, "eth1"), errno.EADDRNOTAVAIL},
		{"no address to mask", ifreqAddr(SIOCSIFNETMASK, "eth1", bbMask), errno.EADDRNOTAVAIL},
		{"no such alias", ifreqFlags("eth0:7", 0), errno.EADDRNOTAVAIL},
		{"address without family", noFamily, errno.EINVAL},
		{"multicast address", ifreqAddr(SIOCSIFADDR, "eth0", ipv4.AddrOf(224, 0, 0, 1)), errno.EINVAL},
		{"the limited broadcast as address", ifreqAddr(SIOCSIFADDR, "eth0", ipv4.Broadcast), errno.EINVAL},
		{"mask with a hole", ifreqAddr(SIOCSIFNETMASK, "eth0", mask), errno.EINVAL},
		{"MTU below IPv4's least", ifreqInt(SIOCSIFMTU, "eth0", 67), errno.EINVAL},
		{"MTU above the device's", ifreqInt(SIOCSIFMTU, "eth0", 1501), errno.EINVAL},
		{"negative MTU", ifreqInt(SIOCSIFMTU, "eth0", -1), errno.EINVAL},
		{"negative queue length", ifreqInt(SIOCSIFTXQLEN, "eth0", -1), errno.EINVAL},
		{"metric", ifreqInt(SIOCSIFMETRIC, "eth0", 1), errno.EOPNOTSUPP},
		{"map", ifreq(SIOCSIFMAP, "eth0"), errno.EOPNOTSUPP},
		{"new name while up", ifreq(SIOCSIFNAME, "eth0"), errno.EBUSY},
		{"empty new name", ifreq(SIOCSIFNAME, "eth1"), errno.EINVAL},
		{"hardware address of another family", ifreqHW("eth0", 6, bbHW), errno.EINVAL},
		{"group as hardware address", ifreqHW("eth0", 1, netif.MAC{1}), errno.EADDRNOTAVAIL},
		{"no hardware address", ifreqHW("eth0", 1, netif.MAC{}), errno.EADDRNOTAVAIL},
		{"route of another family", badFamily, errno.EAFNOSUPPORT},
		{"route with host bits", rtentry(SIOCADDRT, bbPeer, bbMask, bbPeer, route.RTF_GATEWAY, 0, ""), errno.EINVAL},
		{"route mask with a hole", rtentry(SIOCADDRT, ipv4.Any, mask, bbPeer, route.RTF_GATEWAY, 0, ""), errno.EINVAL},
		{"gateway flag without gateway", rtentry(SIOCADDRT, ipv4.Any, ipv4.Any, ipv4.Any, route.RTF_GATEWAY, 0, ""), errno.EINVAL},
		{"route without gateway or device", rtentry(SIOCADDRT, ipv4.Any, ipv4.Any, ipv4.Any, 0, 0, ""), errno.ENODEV},
		{"route by an unknown device", rtentry(SIOCADDRT, ipv4.Any, ipv4.Any, ipv4.Any, 0, 0, "eth9"), errno.ENODEV},
		{"route by an unknown alias", rtentry(SIOCADDRT, ipv4.Any, ipv4.Any, ipv4.Any, 0, 0, "eth0:9"), errno.ENODEV},
		{"route by a device that is down", rtentry(SIOCADDRT, ipv4.Any, ipv4.Any, ipv4.Any, 0, 0, "eth1"), errno.ENETDOWN},
		{"gateway that is not on the link", rtentry(SIOCADDRT, ipv4.Any, ipv4.Any, ipv4.AddrOf(198, 19, 0, 1), route.RTF_GATEWAY, 0, ""), errno.ENETUNREACH},
		{"gateway on another link", rtentry(SIOCADDRT, ipv4.Any, ipv4.Any, bbPeer, route.RTF_GATEWAY, 0, "eth1"), errno.ENETUNREACH},
		{"broadcast gateway", rtentry(SIOCADDRT, ipv4.Any, ipv4.Any, bbBrd, route.RTF_GATEWAY, 0, ""), errno.ENETUNREACH},
		{"no route to delete", rtentry(SIOCDELRT, ipv4.Any, ipv4.Any, ipv4.Any, 0, 0, ""), errno.ESRCH},
		{"ARP of another family", arpFamily, errno.EPFNOSUPPORT},
		{"ARP mask without publishing", arpreq(SIOCSARP, bbPeer, bbHW, ATF_COM|ATF_NETMASK, "eth0"), errno.EINVAL},
		{"publishing", arpreq(SIOCSARP, bbPeer, bbHW, ATF_COM|ATF_PUBL, "eth0"), errno.EOPNOTSUPP},
		{"ARP entry without an address", arpreq(SIOCSARP, bbPeer, bbHW, 0, "eth0"), errno.EINVAL},
		{"ARP on an unknown device", arpreq(SIOCGARP, bbPeer, bbHW, 0, "eth9"), errno.ENODEV},
		{"ARP query without a device", arpreq(SIOCGARP, bbPeer, bbHW, 0, ""), errno.ENODEV},
		{"ARP entry that is not there", arpreq(SIOCGARP, ipv4.AddrOf(198, 18, 0, 9), bbHW, 0, "eth0"), errno.ENXIO},
		{"ARP entry that is not there to delete", arpreq(SIOCDARP, ipv4.AddrOf(198, 18, 0, 9), bbHW, 0, "eth0"), errno.ENXIO},
		{"ARP to nowhere", arpreq(SIOCSARP, ipv4.AddrOf(198, 19, 0, 9), bbHW, ATF_COM, ""), errno.ENETUNREACH},
		{"ARP for a broadcast address", arpreq(SIOCSARP, bbBrd, bbHW, ATF_COM, "eth0"), errno.EINVAL},
		{"unknown request", ifreq(0x8999, "eth0"), errno.ENOTTY},
		{"not a request at all", ifreq(0x5401, "eth0"), errno.ENOTTY},
	} {
		x := newIoctlTest(t)
		x.do(busyboxIfconfig()...)
		if e := ioctlC(x.Stack, c.c); e != c.e {
			t.Errorf("%s: %v: %v, want %v", c.what, c.c, e, c.e)
		}
	}
}

func TestIoctlArgumentTypes(t *testing.T) {
	x := newIoctlTest(t)
	for _, c := range []struct {
		req uint32
		arg any
		e   errno.Errno
	}{
		{SIOCGIFFLAGS, &Rtentry{}, errno.EFAULT},
		{SIOCADDRT, &Ifreq{}, errno.EFAULT},
		{SIOCGARP, nil, errno.EFAULT},
		{SIOCGIFCONF, Ifconf{}, errno.EFAULT},
		{SIOCGIFFLAGS, nil, errno.EFAULT},
		{0x8999, nil, errno.EFAULT},
		{SIOCGIFADDR, (*Ifreq)(nil), errno.EFAULT},
		{SIOCGIFMTU, (*Ifreq)(nil), errno.EFAULT},
		{SIOCGIFCONF, (*Ifconf)(nil), errno.EFAULT},
		{SIOCADDRT, (*Rtentry)(nil), errno.EFAULT},
		{SIOCGARP, (*Arpreq)(nil), errno.EFAULT},
		{0, nil, errno.ENOTTY},
	} {
		if e := x.Ioctl(c.req, c.arg); e != c.e {
			t.Errorf("%#x with %T: %v, want %v", c.req, c.arg, e, c.e)
		}
	}
	r := Ifreq{Name: "eth0", Addr: SockaddrIn(bbAddr)}
	if err := x.Ioctl(SIOCSIFADDR, &r); err != nil {
		t.Error(err)
	}
	if err := x.Ioctl(SIOCGIFNETMASK, &r); err != nil || r.Addr.In() != (ipv4.AddrOf(255, 255, 255, 0)) {
		t.Error(err, r.Addr)
	}
	conf := Ifconf{}
	if err := x.Ioctl(SIOCGIFCONF, &conf); err != nil || conf.Len != ifreqLen {
		t.Error(err, conf.Len)
	}
	r = Ifreq{Name: "eth0", Addr: SockaddrIn(bbPeer)}
	r.Name = "eth0:sixteen..letters" // as long as Go allows, cut as C does
	if err := x.Ioctl(SIOCSIFADDR, &r); err != nil || x.ifaces[1].Addrs.Next.Alias != ":sixteen..l" {
		t.Error(err, x.ifaces[1].Addrs.Next)
	}
}

func TestUnprivilegedMayOnlyRead(t *testing.T) {
	x := newIoctlTest(t)
	x.do(busyboxIfconfig()...)
	x.cfg.Unprivileged = true
	for _, req := range []uint32{
		SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFDSTADDR, SIOCSIFBRDADDR, SIOCSIFNETMASK, SIOCSIFMETRIC, SIOCSIFMTU,
		SIOCSIFNAME, SIOCSIFHWADDR, SIOCSIFTXQLEN, SIOCSIFMAP,
	} {
		x.fail(ifreq(req, "eth9"), errno.EPERM) // before anything else
	}
	for _, req := range []uint32{SIOCADDRT, SIOCDELRT} {
		x.fail(rtentry(req, ipv4.Any, ipv4.Any, bbPeer, route.RTF_GATEWAY, 0, ""), errno.EPERM)
	}
	for _, req := range []uint32{SIOCSARP, SIOCDARP} {
		x.fail(arpreq(req, bbPeer, bbHW, ATF_COM, "eth0"), errno.EPERM)
	}
	x.do(busyboxIfconfigShow()...).fail(arpreq(SIOCGARP, bbPeer, bbHW, 0, "eth0"), errno.ENXIO)
}

func TestRenamedInterfaceKeepsItsState(t *testing.T) {
	x := newIoctlTest(t).do(ifreqAddr(SIOCSIFADDR, "eth0", bbAddr), ifreqAddr(SIOCSIFADDR, "eth0:1", ipv4.AddrOf(198, 18, 5, 1)))
	c := ifreq(SIOCSIFNAME, "eth0")
	copy(c.arg[16:], "net0")
	x.do(c).fail(ifreq(SIOCGIFFLAGS, "eth0"), errno.ENODEV).wantAddr(SIOCGIFADDR, "net0", bbAddr).wantAddr(SIOCGIFADDR, "net0:1", ipv4.AddrOf(198, 18, 5, 1))
	c = ifreq(SIOCSIFNAME, "net0")
	copy(c.arg[16:], "eth1")
	x.fail(c, errno.EEXIST)
}

func TestNewHardwareAddressForgetsNeighbours(t *testing.T) {
	x := newIoctlTest(t)
	x.do(busyboxIfconfig()...).do(busyboxARP()[1], ifreqHW("eth0", 1, netif.MAC{2, 9}))
	if x.ifaces[1].HW != (netif.MAC{2, 9}) || x.ifaces[1].Neigh.Len() != 0 {
		t.Errorf("%v, %d neighbours", x.ifaces[1].HW, x.ifaces[1].Neigh.Len())
	}
}

func TestAddressesAreBounded(t *testing.T) {
	x := newIoctlTest(t)
	var e errno.Errno
	for k := range 1000 {
		e = ioctlC(x.Stack, ifreqAddr(SIOCSIFADDR, "eth0:"+string(rune('a'+k/26%26))+string(rune('a'+k%26)), ipv4.Addr(0xc6120001+uint32(k)<<8)))
	}
	if n := len(listAddrs(x.ifaces[1])); n != maxAddrs || e != errno.ENOBUFS {
		t.Errorf("%d addresses, then %v", n, e)
	}
}

func TestSettingANeighbourSendsWhatWaited(t *testing.T) {
	x := newIoctlTest(t)
	x.do(busyboxIfconfig()...)
	n := x.ifaces[1].Neigh.Lookup(x.now, bbPeer)
	b := x.pool.Get()
	copy(b.Append(20), "packet")
	n.Hold(x.now, b)
	x.do(arpreq(SIOCSARP, bbPeer, bbHW, ATF_COM, "eth0"))
	x.Poll(x.now)
	var last []byte
	if k := len(x.dev.sent); k > 0 {
		last = x.dev.sent[k-1]
	}
	if len(last) < 34 || netif.Ethernet(last).Dst() != bbHW || netif.Ethernet(last).Src() != testHW {
		t.Errorf("sent %x", x.dev.sent)
	}
}

func TestEthtool(t *testing.T) {
	x := newIoctlTest(t)
	link := EthtoolValue{Cmd: ETHTOOL_GLINK}
	r := Ifreq{Name: "eth0", Data: &link}
	if !feature.Ethtool {
		if err := x.Ioctl(SIOCETHTOOL, &r); err != errno.EOPNOTSUPP {
			t.Errorf("%v", err)
		}
		return
	}
	ask := func(d any) error {
		r.Data = d
		return x.Ioctl(SIOCETHTOOL, &r)
	}
	if err := ask(&link); err != nil || link.Data != 0 {
		t.Errorf("link of an interface that is down: %v %d", err, link.Data)
	}
	x.do(busyboxIfconfig()...)
	if err := ask(&link); err != nil || link.Data != 1 {
		t.Errorf("link: %v %d", err, link.Data)
	}
	x.ifaces[1].Stats = netif.Stats{RxPackets: 1, TxPackets: 2, RxBytes: 3, TxBytes: 4, RxErrors: 5, TxErrors: 6, RxDropped: 7, TxDropped: 8, Multicast: 9}
	var drv = EthtoolDrvinfo{Cmd: ETHTOOL_GDRVINFO}
	names, stats := EthtoolStrings{Cmd: ETHTOOL_GSTRINGS, StringSet: ETH_SS_STATS}, EthtoolStats{Cmd: ETHTOOL_GSTATS}
	set := EthtoolSsetInfo{Cmd: ETHTOOL_GSSET_INFO, Mask: 7}
	features := EthtoolFeatures{Cmd: ETHTOOL_GFEATURES, Active: 1}
	for _, d := range []any{&drv, &names, &stats, &set, &features} {
		if err := ask(d); err != nil {
			t.Errorf("%T: %v", d, err)
		}
	}
	if n := int(drv.NStats); n != len(names.Data) || n != len(stats.Data) || n != int(set.Data[0]) || set.Mask != 2 {
		t.Errorf("%d statistics, %d names, %d values, set %+v", n, len(names.Data), len(stats.Data), set)
	}
	for k, v := range stats.Data {
		if v != uint64(k+1) {
			t.Errorf("%s is %d", names.Data[k], v)
		}
	}
	for _, d := range []any{&EthtoolValue{Cmd: 1}, &EthtoolStats{}, &EthtoolStrings{}, &EthtoolDrvinfo{}, &EthtoolFeatures{}, &EthtoolSsetInfo{}, 7} {
		if err := ask(d); err != errno.EOPNOTSUPP {
			t.Errorf("%T %v: %v, want EOPNOTSUPP", d, d, err)
		}
	}
	for _, d := range []any{nil, (*EthtoolValue)(nil), (*EthtoolDrvinfo)(nil), (*EthtoolStats)(nil)} {
		if err := ask(d); err != errno.EFAULT {
			t.Errorf("no data, %T: %v", d, err)
		}
	}
}

// ETHTOOL_G... say what the device does in place of the stack: of an Offloader, what this build
// has a feature for; of one that refuses, and of any other, nothing.
func TestEthtoolSaysWhatIsOffloaded(t *testing.T) {
	if !feature.Ethtool {
		t.Skip("needs feature ethtool")
	}
	offload := func(refuse bool) netif.Device {
		return &superWire{wire: wire{idleDevice: idleDevice{mtu: 1500, hw: testHW}}, refuse: refuse, t: t}
	}
	for name, x := range map[string]struct {
		dev      netif.Device
		gro, tso bool
	}{
		"no Offloader":      {dev: &idleDevice{mtu: 1500, hw: testHW}},
		"one that refuses":  {dev: offload(true)},
		"one that does not": {dev: offload(false), gro: feature.GRO, tso: feature.TSO},
	} {
		s := New(Config{Seed: 1})
		up(t, s, x.dev, ipv4.AddrOf(198, 18, 0, 1))
		for cmd, want := range map[uint32]bool{
			ETHTOOL_GRXCSUM: x.gro, ETHTOOL_GGRO: x.gro,
			ETHTOOL_GTXCSUM: x.tso, ETHTOOL_GTSO: x.tso, ETHTOOL_GGSO: x.tso,
			ETHTOOL_GSG: false, // a frame is in one piece
		} {
			d := EthtoolValue{Cmd: cmd, Data: 7}
			if err := s.Ioctl(SIOCETHTOOL, &Ifreq{Name: "eth0", Data: &d}); err != nil || d.Data != uint32(btoi(want)) {
				t.Errorf("%s, command %#x: %v, %d", name, cmd, err, d.Data)
			}
			d.Data = 7
			if err := s.Ioctl(SIOCETHTOOL, &Ifreq{Name: "lo", Data: &d}); err != nil || d.Data != 0 {
				t.Errorf("lo, command %#x: %v, %d", cmd, err, d.Data)
			}
		}
	}
}

func TestC06AddressIsProbedThenAnnounced(t *testing.T) {
	if !feature.ACD {
		t.Skip("this build has no conflict detection")
	}
	x := newIoctlTest(t).do(ifreqFlags("eth0", upFlags))
	if err := x.ProbeAddress(0, 9, bbAddr); err != errno.ENODEV {
		t.Error(err)
	}
	if err := x.ProbeAddress(0, 3, bbAddr); err != errno.ENETDOWN {
		t.Error(err)
	}
	if err := x.ProbeAddress(0, 2, bbAddr); err != nil {
		t.Fatal(err)
	}
	now := pkt.Time(0)
	for next := x.Poll(now); next != pkt.Never; next = x.Poll(now) {
		now = next
	}
	if st, _ := x.AddressState(2); st != netif.ACDFree || len(x.dev.sent) != 3 || now > 7*pkt.Second {
		t.Fatalf("state %d after %d frames, %v ns", st, len(x.dev.sent), now)
	}
	x.do(ifreqAddr(SIOCSIFADDR, "eth0", bbAddr))
	for next := x.Poll(now); next != pkt.Never; next = x.Poll(next) {
	}
	if n := len(x.dev.sent); n != 5 {
		t.Fatalf("%d frames, want 3 probes and 2 announcements", n)
	}
	// Somebody else uses it: defended once.
	thief := netif.ARP{Op: netif.ARPReply, SHA: netif.MAC{2, 7}, SPA: bbAddr, TPA: bbPeer}
	f := x.NewBuf()
	f.Reset()
	thief.Put(f.Append(netif.ARPLen))
	netif.PutEthernet(f, &netif.BroadcastMAC, &thief.SHA, netif.EtherTypeARP)
	for range 3 {
		x.Input(20*pkt.Second, 2, []*netif.Buf{f})
		x.Poll(20 * pkt.Second)
	}
	if st, who := x.AddressState(2); len(x.dev.sent) != 6 || st != netif.ACDOwned || who != thief.SHA {
		t.Errorf("%d frames, state %d, other %v", len(x.dev.sent), st, who)
	}
	x.do(ifreqAddr(SIOCSIFADDR, "eth0", ipv4.Any))
	x.Poll(21 * pkt.Second)
	if x.ifaces[1].ACD != nil {
		t.Error("an address that was removed is still watched")
	}
}
