//go:build linux

package stack

import (
	"encoding/binary"
	"strconv"
	"syscall"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/route"
	"github.com/bonsainet/bonsai/tcp"
)

// sockopts is what a connection and a UDP socket have in common.
type sockopts interface {
	SetOption(level, name, v int) Errno
	Option(level, name int) (int, Errno)
}

// TestOptionsAsKernel sets options of a socket of the kernel's and of ours to the
// same values, and compares errors and what is then read.
func TestOptionsAsKernel(t *testing.T) {
	const setOnly = 1 // what is read differs, on purpose or by nature
	type option struct {
		level, name int
		how         int
		on          bool
	}
	both := []option{
		{SOL_SOCKET, SO_REUSEADDR, 0, true},
		{SOL_IP, IP_TOS, 0, true},
		{SOL_IP, IP_TTL, 0, true},
		{SOL_IP, IP_MTU, 0, true},
		{SOL_IP, IP_MTU_DISCOVER, 0, feature.PMTUD},
		{SOL_IP, 999, 0, true},
		{99, 1, 0, true},
		{SOL_SOCKET, 999, 0, true},
	}
	stream := append([]option{
		{SOL_SOCKET, SO_RCVLOWAT, setOnly, true},
		{SOL_SOCKET, SO_KEEPALIVE, 0, feature.Keepalive},
		{SOL_TCP, TCP_NODELAY, 0, true},
		{SOL_TCP, TCP_CORK, 0, true},
		{SOL_TCP, TCP_QUICKACK, setOnly, true},
		{SOL_TCP, TCP_MAXSEG, setOnly, true},
		{SOL_TCP, TCP_SYNCNT, setOnly, feature.TCPOpts}, // another default: rule 57
		{SOL_TCP, TCP_LINGER2, 0, feature.TCPOpts},
		{SOL_TCP, TCP_WINDOW_CLAMP, 0, feature.TCPOpts},
		{SOL_TCP, TCP_NOTSENT_LOWAT, 0, feature.TCPOpts},
		{SOL_TCP, TCP_USER_TIMEOUT, 0, true},
		{SOL_TCP, TCP_KEEPIDLE, 0, feature.Keepalive},
		{SOL_TCP, TCP_KEEPINTVL, 0, feature.Keepalive},
		{SOL_TCP, TCP_KEEPCNT, 0, feature.Keepalive},
		{SOL_TCP, 999, 0, true},
	}, both...)
	dgram := append([]option{
		{SOL_SOCKET, SO_BROADCAST, 0, true},
		{SOL_IP, IP_RECVERR, 0, true},
		{SOL_TCP, TCP_NODELAY, 0, true}, // not of UDP
	}, both...)
	values := []int{-1 << 31, -2, -1, 0, 1, 2, 3, 4, 5, 6, 87, 88, 127, 128, 255, 256, 257, 32767, 32768, 65535, 65536, 1<<31 - 1}

	h := newHost(t, 1)
	c := new(Conn)
	c.Init(h.s)
	kinds := []struct {
		typ  int
		list []option
		ours sockopts
	}{{syscall.SOCK_STREAM, stream, c}, {syscall.SOCK_DGRAM, dgram, h.udp(ipv4.Endpoint{})}}
	if feature.Listen {
		kinds = append(kinds, kinds[0])
		kinds[2].list = []option{{SOL_TCP, TCP_DEFER_ACCEPT, 0, true}, {SOL_TCP, 999, 0, true}, {99, 1, 0, true}}
		kinds[2].ours = new(Listener)
		values = append(values, 10, 63, 64, 247, 248, 14526, 14527)
	}
	for _, k := range kinds {
		fd, err := syscall.Socket(syscall.AF_INET, k.typ, 0)
		if err != nil {
			t.Skip("no socket of the kernel's to compare with: ", err)
		}
		defer syscall.Close(fd)
		for _, o := range k.list {
			if !o.on {
				continue
			}
			name := "type " + strconv.Itoa(k.typ) + " level " + strconv.Itoa(o.level) + " option " + strconv.Itoa(o.name)
			compare := func(after string) {
				t.Helper()
				want, err := syscall.GetsockoptInt(fd, o.level, o.name)
				if err == syscall.EOPNOTSUPP {
					err = syscall.ENOPROTOOPT // for a level that there is not
				}
				got, e := k.ours.Option(o.level, o.name)
				if err != nil && Errno(err.(syscall.Errno)) != e || err == nil && (e != 0 || got != want) {
					t.Errorf("%s, %s: get %d, %v, the kernel's %d, %v", name, after, got, e, want, err)
				}
			}
			if o.how != setOnly {
				compare("new")
			}
			for _, v := range values {
				want := Errno(0)
				if err := syscall.SetsockoptInt(fd, o.level, o.name, v); err != nil {
					want = Errno(err.(syscall.Errno))
				}
				if e := k.ours.SetOption(o.level, o.name, v); e != want {
					t.Errorf("%s: set %d: %v, the kernel's %v", name, v, e, want)
				}
				if o.how != setOnly {
					compare("set to " + strconv.Itoa(v))
				}
			}
		}
	}
}

func TestBufferSizes(t *testing.T) {
	h := newHost(t, 1)
	c := new(Conn)
	c.Init(h.s)
	u := h.udp(ipv4.Endpoint{})
	for _, o := range []sockopts{c, u} {
		for _, v := range []int{-1, 0, 1, 2047, 2048, 100000, 1 << 30, 1<<31 - 1} {
			for _, name := range []int{SO_RCVBUF, SO_SNDBUF} {
				want := max(2*min(v, 1<<30-1), map[int]int{SO_RCVBUF: 2304, SO_SNDBUF: 4608}[name])
				if e := o.SetOption(SOL_SOCKET, name, v); e != 0 {
					t.Errorf("set %d: %v", v, e)
				}
				if name == SO_SNDBUF && o == u {
					continue
				}
				if got, e := o.Option(SOL_SOCKET, name); got != want || e != 0 {
					t.Errorf("option %d set to %d: %d, %v", name, v, got, e)
				}
			}
		}
	}
	for _, c := range []struct{ set, want int }{{0, 1}, {1, 1}, {1000, 1000}, {1 << 30, 50000}, {-1, 50000}} {
		x := new(Conn)
		x.Init(h.s)
		x.SetOption(SOL_SOCKET, SO_RCVBUF, 50000)
		x.SetOption(SOL_SOCKET, SO_RCVLOWAT, c.set)
		if got, _ := x.Option(SOL_SOCKET, SO_RCVLOWAT); got != c.want {
			t.Errorf("SO_RCVLOWAT %d: %d, want %d", c.set, got, c.want)
		}
	}
	for _, v := range []int{-1, 0, 5, 1 << 30} {
		c.SetOption(SOL_SOCKET, SO_LINGER, v)
		if got, _ := c.Option(SOL_SOCKET, SO_LINGER); got != v {
			t.Errorf("SO_LINGER %d: %d", v, got)
		}
	}
}

func TestOptionsOfAConnection(t *testing.T) {
	h := newHost(t, 1)
	c, p := h.open(ep(a0(2), 80), []byte{2, 4, 5, 180})
	get := func(level, name, want int) {
		t.Helper()
		if got, e := c.Option(level, name); got != want || e != 0 {
			t.Errorf("option %d of %d: %d, %v, want %d", name, level, got, e, want)
		}
	}
	get(SOL_IP, IP_MTU, 1500)
	get(SOL_TCP, TCP_MAXSEG, 1460)
	get(SOL_SOCKET, SO_ERROR, 0)
	if e := c.SetOption(SOL_TCP, TCP_DEFER_ACCEPT, 5); e != errno.ENOPROTOOPT { // a Listener's
		t.Error(e)
	}
	get(SOL_SOCKET, SIOCINQ, 0)
	h.recv(p.seg(tcp.ACK|tcp.PSH, nil, "hello"))
	get(SOL_SOCKET, SIOCINQ, 5)
	c.Write([]byte("abc"))
	get(SOL_SOCKET, SIOCOUTQ, 3)
	h.poll()
	get(SOL_SOCKET, SIOCOUTQ, 3)
	h.sent = nil
	c.SetOption(SOL_TCP, TCP_MAXSEG, 500) // while connected: for what comes
	c.Write(make([]byte, 1500))
	h.poll()
	for i, x := range h.sent {
		if n := len(x.f) - 54; n > 500 {
			t.Errorf("segment %d has %d bytes", i, n)
		}
	}
	h.sent = nil
	p.seq += 5
	h.recv(p.seg(tcp.RST, nil, ""))
	get(SOL_SOCKET, SO_ERROR, int(errno.ECONNRESET))
	get(SOL_SOCKET, SO_ERROR, 0)
	h.sent = nil
	u := h.udp(ep(ipv4.Any, 1000))
	if _, e := u.Option(SOL_IP, IP_MTU); e != errno.ENOTCONN {
		t.Error(e)
	}
	u.Connect(h.now, ep(a0(2), 7))
	if v, e := u.Option(SOL_IP, IP_MTU); v != 1500 || e != 0 {
		t.Error(v, e)
	}
	// As long as the path is not asked again, the MTU is what it was; a send asks.
	h.ioctl(SIOCSIFMTU, &Ifreq{Name: "eth0", Value: 1000})
	if v, e := u.Option(SOL_IP, IP_MTU); v != 1000 || e != 0 {
		t.Error(v, e)
	}
}

// A route's window (RTF_WINDOW) is a clamp on the window of connections that go by it,
// unless they have one of their own.
func TestRouteClampsTheWindow(t *testing.T) {
	if !feature.TCPOpts {
		t.Skip("needs feature tcpopts")
	}
	for own, want := range map[int]uint16{0: 2920, 1460: 1460} {
		h := newHost(t, 1)
		r := h.rtentry("198.18.9.0", 24, a0(2), "eth0", 0, route.RTF_WINDOW)
		r.Window = 3000
		h.ioctl(SIOCADDRT, r)
		c := new(Conn)
		c.Init(h.s)
		c.SetOption(SOL_TCP, TCP_WINDOW_CLAMP, own)
		if err := h.s.Connect(h.now, c, ipv4.Endpoint{}, ep(ipv4.AddrOf(198, 18, 9, 2), 80)); err != nil {
			t.Fatal(err)
		}
		h.poll()
		if syn := h.take(); binary.BigEndian.Uint16(syn[34:]) != want {
			t.Errorf("own clamp %d: the SYN's window is %d, want %d", own, binary.BigEndian.Uint16(syn[34:]), want)
		}
		if e := c.SetOption(SOL_TCP, TCP_WINDOW_CLAMP, 0); e != errno.EINVAL {
			t.Error("no clamp, while connected: ", e)
		}
	}
}
