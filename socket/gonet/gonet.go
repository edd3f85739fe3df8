// Package gonet is package net over a stack of ours: net.Conn, net.Listener and
// net.PacketConn, a Dialer, and a Resolver, which is Go's own over our UDP and TCP.
//
//	st := gonet.New(gonet.Config{Nameservers: []string{"198.18.0.1"}})
//	st.Attach("eth0", dev)
//	st.Configure("eth0", "198.18.0.2/24", "198.18.0.1")
//	client := http.Client{Transport: &http.Transport{DialContext: st.DialContext}}
//
// Errors are what package net returns in the same case: *net.OpError, for which
// errors.Is finds syscall.ECONNREFUSED, net.ErrClosed, os.ErrDeadlineExceeded,
// context.Canceled and so on, and io.EOF as it is.
//
// Networks are "tcp", "tcp4", "udp" and "udp4". Listen needs feature listen, ListenMulticastUDP
// feature multicast. What a file descriptor is for is not there: SyscallConn, File, control messages. Raw
// and packet sockets are those of package socket.
package gonet

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
	"github.com/bonsainet/bonsai/socket"
	"github.com/bonsainet/bonsai/stack"
)

// Config is what New takes. The zero Config is good.
type Config struct {
	// Stack has the bounds and defaults of the stack.
	Stack stack.Config
	// Nameservers are the DNS servers for the Resolver: addresses, with a port if it
	// is not 53. The next one is asked when one does not answer.
	Nameservers []string
	// Clock is the stack's; nil is the real time.
	Clock socket.Clock
}

// Stack is a TCP/IPv4 host with the functions of package net.
type Stack struct {
	// Socket is what lies below.
	Socket *socket.Stack
	// Resolver looks names up by Config.Nameservers. As Go's resolver always, it
	// reads /etc/hosts and the options in /etc/resolv.conf if the system has them.
	Resolver *net.Resolver

	servers []string
	server  atomic.Uint32 // the one to ask
	buffers sync.Pool     // to copy by: *[copyBuffer]byte
}

// New returns a Stack whose loopback interface is up.
func New(cfg Config) *Stack {
	if cfg.Clock == nil {
		cfg.Clock = clock{time.Now()}
	}
	s := &Stack{Socket: socket.New(cfg.Stack, cfg.Clock), servers: cfg.Nameservers}
	s.Socket.Owner = unsafe.Pointer(s)
	s.Resolver = &net.Resolver{PreferGo: true, Dial: s.dialDNS}
	s.Socket.Ioctl(stack.SIOCSIFFLAGS, &stack.Ifreq{Name: "lo", Flags: netif.IFF_UP | netif.IFF_RUNNING})
	return s
}

// Attach adds an interface on dev, which the stack then owns. It is down and has no
// address: see Configure and Ioctl.
func (s *Stack) Attach(name string, dev netif.Device) error {
	_, err := s.Socket.Attach(name, dev)
	return sysError("attach", err)
}

// Configure gives an interface an address, such as "198.18.0.2/24", brings it up,
// and adds a default route by gateway, unless that is empty: what ifconfig and route
// do by ioctl.
func (s *Stack) Configure(name, address, gateway string) error {
	ip, prefix, err := net.ParseCIDR(address) // netip.ParsePrefix would link strconv's errors: 8 KB
	if err != nil {
		return err
	}
	if len(prefix.IP) != net.IPv4len {
		return &net.AddrError{Err: "not an IPv4 address", Addr: address}
	}
	bits, _ := prefix.Mask.Size()
	r := stack.Ifreq{Name: name, Addr: stack.SockaddrIn(ipv4.AddrAt(ip.To4()))}
	if err := s.Ioctl(stack.SIOCSIFADDR, &r); err != nil {
		return os.NewSyscallError("SIOCSIFADDR", err)
	}
	r.Addr = stack.SockaddrIn(ipv4.Mask(uint8(bits)))
	if err := s.Ioctl(stack.SIOCSIFNETMASK, &r); err != nil {
		return os.NewSyscallError("SIOCSIFNETMASK", err)
	}
	if err := s.Ioctl(stack.SIOCGIFFLAGS, &r); err != nil {
		return os.NewSyscallError("SIOCGIFFLAGS", err)
	}
	r.Flags |= netif.IFF_UP | netif.IFF_RUNNING
	if err := s.Ioctl(stack.SIOCSIFFLAGS, &r); err != nil {
		return os.NewSyscallError("SIOCSIFFLAGS", err)
	}
	if gateway == "" {
		return nil
	}
	gw, err := netip.ParseAddr(gateway)
	if err != nil {
		return err
	}
	if !gw.Is4() {
		return &net.AddrError{Err: "not an IPv4 address", Addr: gateway}
	}
	err = s.Ioctl(stack.SIOCADDRT, &stack.Rtentry{
		Dst: stack.SockaddrIn(ipv4.Any), Genmask: stack.SockaddrIn(ipv4.Any), Gateway: stack.SockaddrIn(ipv4.AddrFrom4(gw.As4())),
		Flags: route.RTF_UP | route.RTF_GATEWAY,
	})
	return os.NewSyscallError("SIOCADDRT", err)
}

// Ioctl configures the stack: see stack.Stack.Ioctl. The error is a syscall.Errno.
func (s *Stack) Ioctl(req uint32, arg any) error {
	return configure((*Stack).ioctl, s, stack.HandlerOf(req), req, arg)
}

// configure is there so that Ioctl is inlined: see socket.Stack.Ioctl.
func configure(f func(*Stack, stack.Handler, uint32, any) error, s *Stack, h stack.Handler, req uint32, arg any) error {
	return f(s, h, req, arg)
}

func (s *Stack) ioctl(h stack.Handler, req uint32, arg any) (err error) {
	s.Socket.Do(func(k *stack.Stack) { err = h.Do(k, req, arg) })
	if e, ok := err.(errno.Errno); ok {
		return sysErrno(e)
	}
	return nil
}

// Close closes the devices; all calls of sockets, those in progress included, fail with
// net.ErrClosed. Peers are not told: close connections before.
func (s *Stack) Close() error { return sysError("close", s.Socket.Close()) }

// clock is the real time, by the monotonic clock.
type clock struct{ start time.Time }

func (c clock) Now() socket.Time { return socket.Time(time.Since(c.start)) + 1 }

func (c clock) Timer(f func()) func(at socket.Time) {
	var t *time.Timer
	return func(at socket.Time) {
		d := time.Duration(at - c.Now())
		if t == nil {
			t = time.AfterFunc(d, f)
		} else {
			t.Reset(d)
		}
	}
}

// stackTime is t by the clock of s, for the deadlines of package socket.
func stackTime(s *socket.Stack, t time.Time) socket.Time {
	if t.IsZero() {
		return 0
	}
	d := socket.Time(time.Until(t))
	if d <= 0 {
		return -1
	}
	now := s.Now()
	if now+d < now {
		return 1<<63 - 1
	}
	return now + d
}
