//go:build linux && (amd64 || arm64)

package stack

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/route"
)

// TestMTUDiscoverAsKernel sends datagrams around the link's MTU, 1500, and the
// route's, 1000, in each mode of IP_MTU_DISCOVER, from UDP and raw sockets of the kernel's and of
// ours, and SYNs from TCP ones. It compares errors, IP_MTU, and length, DF and offset of each
// packet on the link.
func TestMTUDiscoverAsKernel(t *testing.T) {
	if !feature.PMTUD || !feature.Fragmentation || !feature.RawSock {
		t.Skip("needs features pmtud, fragmentation and rawsock")
	}
	runtime.LockOSThread()
	k := newKernel(t)
	defer k.close()
	for _, c := range []string{
		"addr add 198.18.0.1/24 dev eth0", "link set eth0 up", "neigh add 198.18.0.2 lladdr 02:00:00:00:00:02 dev eth0",
		"route add 198.18.9.0/24 via 198.18.0.2 mtu 1000",
	} {
		if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
			t.Skipf("ip %s: %v: %s", c, err, out)
		}
	}
	tap := k.fds[1]
	syscall.SetNonblock(tap, true)
	h := newHost(t, 1)
	h.noCheck = true
	r := h.rtentry("198.18.9.0", 24, a0(2), "eth0", 0, route.RTF_MTU)
	r.MTU = 1000
	h.ioctl(SIOCADDRT, r)

	sent := func() (list string) { // by the kernel
		b := make([]byte, 4096)
		for {
			n, err := syscall.Read(tap, b)
			if n <= 0 || err != nil {
				return list
			}
			if b[12] == 8 && b[13] == 0 && b[23] != 2 { // IPv4, but not IGMP
				list += fragText(b[14:n])
			}
		}
	}
	ours := func() (list string) {
		h.poll()
		for _, p := range h.segments() {
			list += fragText(p)
		}
		return list
	}
	near, distant := a0(2), ipv4.AddrOf(198, 18, 9, 2)
	for mode := range IP_PMTUDISC_OMIT + 1 {
		for _, to := range []ipv4.Addr{near, distant} {
			sa := &syscall.SockaddrInet4{Port: 7, Addr: to.As4()}
			for _, typ := range []int{syscall.SOCK_DGRAM, syscall.SOCK_RAW} {
				proto, head := 0, 28
				if typ == syscall.SOCK_RAW {
					proto, head = 99, 20
				}
				fd, err := syscall.Socket(syscall.AF_INET, typ, proto)
				if err != nil {
					t.Fatal(err)
				}
				u, raw := h.udp(ipv4.Endpoint{}), h.raw(&Raw{Proto: 99})
				syscall.SetsockoptInt(fd, SOL_IP, IP_MTU_DISCOVER, mode)
				if e := u.SetOption(SOL_IP, IP_MTU_DISCOVER, mode); e != 0 {
					t.Fatal(e)
				}
				raw.SetMTUDiscover(mode)
				if typ == syscall.SOCK_DGRAM {
					syscall.Connect(fd, sa)
					u.Connect(h.now, ipv4.Endpoint{Addr: to, Port: 7})
					want, _ := syscall.GetsockoptInt(fd, SOL_IP, IP_MTU)
					if got, e := u.Option(SOL_IP, IP_MTU); got != want || e != 0 {
						t.Errorf("mode %d to %v: IP_MTU %d, %v, the kernel's %d", mode, to, got, e, want)
					}
				}
				for _, n := range []int{100, 1000, 1001, 1500, 1501, 3000} {
					p := make([]byte, n-head)
					want, e := Errno(0), Errno(0)
					if err := syscall.Sendto(fd, p, 0, sa); err != nil {
						want = Errno(err.(syscall.Errno))
					}
					if typ == syscall.SOCK_DGRAM {
						_, e = u.SendTo(h.now, p, ipv4.Endpoint{Addr: to, Port: 7})
					} else {
						_, e = raw.SendTo(h.now, p, to)
					}
					if e != want {
						t.Errorf("type %d mode %d to %v, %d bytes: %v, the kernel's %v", typ, mode, to, n, e, want)
					}
					if got, want := ours(), sent(); got != want {
						t.Errorf("type %d mode %d to %v, %d bytes: sent %s, the kernel %s", typ, mode, to, n, got, want)
					}
				}
				u.Close()
				raw.Close()
				syscall.Close(fd)
			}
			fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			syscall.SetsockoptInt(fd, SOL_IP, IP_MTU_DISCOVER, mode)
			syscall.Connect(fd, sa)
			c := new(Conn)
			c.Init(h.s)
			c.SetOption(SOL_IP, IP_MTU_DISCOVER, mode)
			if err := h.s.Connect(h.now, c, ipv4.Endpoint{}, ipv4.Endpoint{Addr: to, Port: 7}); err != nil {
				t.Fatal(err)
			}
			got, want := ours(), sent()
			if got, want := got[strings.IndexByte(got, ' '):], want[strings.IndexByte(want, ' '):]; got != want {
				t.Errorf("TCP mode %d to %v: sent%s, the kernel%s", mode, to, got, want)
			}
			mtu, _ := syscall.GetsockoptInt(fd, SOL_IP, IP_MTU)
			if got, e := c.Option(SOL_IP, IP_MTU); got != mtu || e != 0 {
				t.Errorf("TCP mode %d to %v: IP_MTU %d, %v, the kernel's %d", mode, to, got, e, mtu)
			}
			c.Abort()
			syscall.SetsockoptLinger(fd, SOL_SOCKET, SO_LINGER, &syscall.Linger{Onoff: 1})
			syscall.Close(fd)
			ours()
			sent()
		}
	}
}

// fragText is length, DF, MF and offset of an IPv4 packet.
func fragText(p []byte) string {
	f := binary.BigEndian.Uint16(p[6:])
	text := fmt.Sprint(binary.BigEndian.Uint16(p[2:]))
	if f&0x4000 != 0 {
		text += " DF"
	}
	if f&0x2000 != 0 {
		text += " MF"
	}
	return text + fmt.Sprintf(" @%d; ", f&0x1fff*8)
}
