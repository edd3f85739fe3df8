//go:build linux && (amd64 || arm64)

package stack

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// mcastTwin is a kernel and a host of ours, alike: eth0 198.18.0.1/24 and eth1 198.18.1.1/24.
type mcastTwin struct {
	*host
	k *kernel
}

// newMcastTwin locks the goroutine's thread, which stays in the kernel's namespace.
func newMcastTwin(t *testing.T) *mcastTwin {
	if !feature.Multicast || !feature.RawSock {
		t.Skip("needs features multicast and rawsock")
	}
	runtime.LockOSThread()
	k := newKernel(t)
	t.Cleanup(k.close)
	for _, c := range []string{
		"link set lo up", "addr add 198.18.0.1/24 dev eth0", "addr add 198.18.1.1/24 dev eth1", "link set eth0 up", "link set eth1 up",
	} {
		if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
			t.Skipf("ip %s: %v: %s", c, err, out)
		}
	}
	h := multicastHost(t, 2)
	return &mcastTwin{h, k}
}

func kernelIndex(t *testing.T, name string) int32 {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	var r [SizeofIfreq]byte
	copy(r[:], name)
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), SIOCGIFINDEX, uintptr(unsafe.Pointer(&r[0]))); e != 0 {
		t.Fatal(e)
	}
	return *(*int32)(unsafe.Pointer(&r[16]))
}

// setMreqn is the kernel's.
func setMreqn(fd, name int, r *Mreqn) Errno {
	err := syscall.SetsockoptIPMreqn(fd, SOL_IP, name, &syscall.IPMreqn{
		Multiaddr: r.Multiaddr.As4(), Address: r.Address.As4(), Ifindex: r.Ifindex,
	})
	if err == nil {
		return 0
	}
	return Errno(err.(syscall.Errno))
}

// TestMembershipErrorsAsKernel makes calls, right and wrong, of UDP sockets of the kernel and of ours.
func TestMembershipErrorsAsKernel(t *testing.T) {
	w := newMcastTwin(t)
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	u := w.udp(ep(ipv4.Any, 5353))
	// Ours, and the kernel's.
	index := [][2]int32{{0, 0}, {1, 1}, {eth0, kernelIndex(t, "eth0")}, {eth1, kernelIndex(t, "eth1")}, {99, 99}, {-1, -1}}
	groups := []ipv4.Addr{group(1), group(2), ipv4.AllHosts, ipv4.AddrOf(224, 0, 0, 251), a0(2), ipv4.Any, ipv4.Broadcast}
	addrs := []ipv4.Addr{ipv4.Any, a0(1), a1(1), a0(2), ipv4.Loopback, ipv4.AddrOf(127, 9, 9, 9)}
	calls := 0
	for pass := range 3 {
		if pass == 1 { // and now there is a route
			exec.Command("ip", "route", "add", "default", "via", "198.18.0.4").Run()
			w.defaultRoute()
		}
		for _, name := range []int{IP_ADD_MEMBERSHIP, IP_ADD_MEMBERSHIP, IP_MULTICAST_IF, IP_DROP_MEMBERSHIP, IP_DROP_MEMBERSHIP} {
			for _, g := range groups {
				for _, a := range addrs {
					for _, i := range index {
						if g.IsAny() && a.IsAny() && i[0] == 0 {
							continue // the kernel's routes have 0.0.0.0 as this host
						}
						r := Mreqn{Multiaddr: g, Address: a, Ifindex: i[0]}
						kr := r
						kr.Ifindex = i[1]
						want, got := setMreqn(fd, name, &kr), u.SetMreqn(name, &r)
						if calls++; got != want {
							t.Errorf("pass %d, option %d of %+v: %v, the kernel %v", pass, name, r, got, want)
						}
					}
				}
			}
		}
	}
	for _, name := range []int{IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_MULTICAST_ALL} {
		for v := -3; v < 300; v++ {
			want := Errno(0)
			if err := syscall.SetsockoptInt(fd, SOL_IP, name, v); err != nil {
				want = Errno(err.(syscall.Errno))
			}
			if got := u.SetOption(SOL_IP, name, v); got != want {
				t.Errorf("option %d, %d: %v, the kernel %v", name, v, got, want)
			}
			kv, _ := syscall.GetsockoptInt(fd, SOL_IP, name)
			if got, e := u.Option(SOL_IP, name); got != kv || e != 0 {
				t.Errorf("option %d is %d, %v, the kernel's %d", name, got, e, kv)
			}
		}
	}
	for n := 0; feature.Profile > feature.Minimal; n++ { // igmp_max_memberships; minimal's interfaces have fewer
		r := Mreqn{Multiaddr: group(n), Ifindex: eth0}
		kr := r
		kr.Ifindex = index[2][1]
		want, got := setMreqn(fd, IP_ADD_MEMBERSHIP, &kr), u.SetMreqn(IP_ADD_MEMBERSHIP, &r)
		if got != want {
			t.Fatalf("membership %d: %v, the kernel %v", n, got, want)
		}
		if want != 0 {
			break
		}
	}
	w.poll()
	w.sent = nil
	t.Log(calls, "calls")
}

// readIGMP returns the next frame with IGMP that the kernel sends on its TAP and that wanted says yes to,
// within ten seconds.
func (w *mcastTwin) readIGMP(wanted func(text string) bool) []byte {
	w.Helper()
	tap := w.k.fds[1]
	b := make([]byte, 4096)
	for {
		fds := syscall.FdSet{}
		fds.Bits[tap/64] |= 1 << (tap % 64)
		// An answer to a query of version 1 may take 10 s, and then some for the timer.
		n, err := syscall.Select(tap+1, &fds, nil, nil, &syscall.Timeval{Sec: 30})
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 {
			w.Fatal("the kernel sends nothing: ", err)
		}
		k, err := syscall.Read(tap, b)
		if err != nil {
			w.Fatal(err)
		}
		if k < 34 || b[12] != 8 || b[13] != 0 || b[23] != ipv4.ProtoIGMP {
			continue
		}
		if wanted(igmpText(w.T, b[:k])) {
			return append([]byte(nil), b[:k]...)
		}
	}
}

// forgetID is a frame without what need not be the same: the identification, and with it the checksum,
// and the station that sends.
func forgetID(f []byte) string {
	f = append([]byte(nil), f...)
	copy(f[6:12], "------")
	copy(f[18:20], "--")
	copy(f[24:26], "--")
	return string(f)
}

// TestIGMPAsKernel joins, is asked, and leaves, in each version that the kernel is made to speak, and
// compares the kernel's messages with ours, byte for byte.
func TestIGMPAsKernel(t *testing.T) {
	for version, join := range map[int][2]string{
		3: {"v3 TO_EX 233.252.0.1", "v3 IS_EX 233.252.0.1"}, 2: {"v2 233.252.0.1", "v2 233.252.0.1"}, 1: {"v1 233.252.0.1", "v1 233.252.0.1"},
	} {
		leave := map[int]string{3: "v3 TO_IN 233.252.0.1", 2: "leave 233.252.0.1"}[version]
		t.Run("v"+string('0'+rune(version)), func(t *testing.T) {
			w := newMcastTwin(t)
			if err := os.WriteFile("/proc/sys/net/ipv4/conf/eth0/force_igmp_version", []byte{'0' + byte(version)}, 0); err != nil {
				t.Skipf("the kernel can't be told which version of IGMP to speak: %v", err)
			}
			fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer syscall.Close(fd)
			u := w.udp(ep(ipv4.Any, 5353))
			q := query(version, 10, ipv4.Any)
			if version == 1 {
				q = query(1, 0, ipv4.Any)
			}
			if version < 3 { // what the kernel is told by force_igmp_version
				x := w.udp(ep(ipv4.Any, 5454))
				w.join(x, ipv4.AllHosts, eth0, 0)
				w.recvGroup(q)
			}
			same := func(text string) {
				t.Helper()
				ours := ""
				for _, f := range w.sent {
					if strings.HasSuffix(igmpText(t, f.f), text) {
						ours = forgetID(f.f)
					}
				}
				w.sent = nil
				theirs := forgetID(w.readIGMP(func(s string) bool { return strings.HasSuffix(s, text) }))
				if ours != theirs {
					t.Errorf("ours   % x\nkernel % x", ours, theirs)
				}
			}
			r := Mreqn{Multiaddr: group(1), Address: a0(1)}
			if e := setMreqn(fd, IP_ADD_MEMBERSHIP, &r); e != 0 {
				t.Fatal(e)
			}
			if e := u.SetMreqn(IP_ADD_MEMBERSHIP, &r); e != 0 {
				t.Fatal(e)
			}
			w.poll()
			same(join[0])
			w.advance(20 * pkt.Second)
			w.sent = nil
			f := frame(groupMAC(q.dst), mac(2), 0x0800, q.bytes())
			if _, err := syscall.Write(w.k.fds[1], f); err != nil {
				t.Fatal(err)
			}
			w.recvGroup(q)
			w.advance(20 * pkt.Second)
			same(join[1])
			if e := setMreqn(fd, IP_DROP_MEMBERSHIP, &r); e != 0 {
				t.Fatal(e)
			}
			w.leave(u, group(1), eth0, 0)
			if leave != "" {
				same(leave)
			}
			w.advance(20 * pkt.Second)
			w.sent = nil
		})
	}
}
