//go:build amd64 || arm64

package pktest

import (
	"encoding/binary"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Kernel is the Linux kernel as a Target: real sockets in a network namespace of
// its own, whose only interface is a TUN device that the script holds, in real
// time. It needs root.
//
// Calls that may block have a goroutine each.
type Kernel struct {
	start time.Time
	tun   *os.File
	work  chan func() // runs in the namespace's thread

	packets chan sentPacket
	ended   chan *Call
	out     []sentPacket

	mu  sync.Mutex
	fds map[int]bool
}

// NewKernel returns a Target for one script.
func NewKernel() Target { return &Kernel{fds: map[int]bool{}} }

// kernelSlack is how late the scheduler and the kernel's timers may be.
const kernelSlack = 60 * time.Millisecond

// Has implements Target.
func (k *Kernel) Has(name string) bool {
	switch name {
	case "loose:psh": // on more segments than MUST-61 asks for
		return true
	case "target:kernel", "wscale", "timestamps", "sack", "rack", "keepalive", "pmtud", "listen", "urgent", "ecn", "tcpinfo",
		"fragmentation", "reassembly", "rawsock", "pktsock", "redirect", "newreno":
		return true
	case "cubic":
		return hasCubic()
	}
	return false
}

// hasCubic reports whether the kernel has CUBIC. A namespace may not have it as its
// default, but root can choose it for a socket.
func hasCubic() bool {
	b, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
	return strings.Contains(string(b), "cubic")
}

// Tolerance implements Target.
func (k *Kernel) Tolerance() time.Duration { return kernelSlack }

// Now implements Target.
func (k *Kernel) Now() time.Duration { return time.Since(k.start) }

// Setup implements Target.
func (k *Kernel) Setup(set Setup) error {
	if os.Geteuid() != 0 {
		return unsupported("the kernel is for root")
	}
	k.work = make(chan func())
	k.packets = make(chan sentPacket, 4096)
	k.ended = make(chan *Call, 64)
	ready := make(chan error)
	go k.thread(ready)
	if err := <-ready; err != nil {
		close(k.work)
		return unsupported("no network namespace: %v", err)
	}
	var err error
	k.in(func() { err = k.configure(set) })
	if err != nil {
		return err
	}
	k.start = time.Now()
	go k.read()
	return nil
}

// thread is what lives in the namespace: it ends with its goroutine, since that
// does not unlock it.
func (k *Kernel) thread(ready chan<- error) {
	runtime.LockOSThread()
	ready <- syscall.Unshare(syscall.CLONE_NEWNET)
	for f := range k.work {
		f()
	}
}

// in runs f in the namespace.
func (k *Kernel) in(f func()) {
	done := make(chan struct{})
	k.work <- func() { f(); close(done) }
	<-done
}

// kernelDefaults make a kernel predictable: no memory of earlier connections, no
// ECN unless asked, nothing sent by IPv6.
var kernelDefaults = []Sysctl{
	{"net.ipv4.tcp_no_metrics_save", "1"},
	{"net.ipv4.tcp_autocorking", "0"},
	{"net.ipv4.tcp_ecn", "0"},
	{"net.ipv4.tcp_invalid_ratelimit", "0"},
	{"net.ipv4.icmp_ratelimit", "0"},
	{"net.ipv4.icmp_msgs_per_sec", "100000"},
	{"net.ipv6.conf.all.disable_ipv6", "1"},
	{"net.ipv6.conf.default.disable_ipv6", "1"},
}

func (k *Kernel) configure(set Setup) error {
	for _, s := range kernelDefaults {
		writeSysctl(s) // those that there are
	}
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return unsupported("/dev/net/tun: %v", err)
	}
	const name = "tun0"
	r := newIfreq(name)
	binary.NativeEndian.PutUint16(r[16:], 0x0001|0x1000) // IFF_TUN|IFF_NO_PI
	if e := ioctl(fd, 0x400454ca, unsafe.Pointer(&r[0])); e != 0 {
		syscall.Close(fd)
		return unsupported("TUNSETIFF: %v", e)
	}
	k.tun = os.NewFile(uintptr(fd), "tun")
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(s)
	mask := netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), set.Bits).Masked().Addr()
	brd := set.Local.As4()
	for i, m := range mask.As4() {
		brd[i] |= ^m
	}
	steps := []struct {
		name string
		req  uintptr
		fill func(p []byte)
	}{
		{"lo", syscall.SIOCSIFFLAGS, flagsField(syscall.IFF_UP)},
		{name, syscall.SIOCSIFADDR, addrField(set.Local)},
		{name, syscall.SIOCSIFNETMASK, addrField(mask)},
		{name, syscall.SIOCSIFBRDADDR, addrField(netip.AddrFrom4(brd))},
		{name, syscall.SIOCSIFMTU, func(p []byte) { binary.NativeEndian.PutUint32(p, uint32(set.MTU)) }},
		{name, syscall.SIOCSIFFLAGS, flagsField(syscall.IFF_UP | syscall.IFF_BROADCAST)},
	}
	for _, st := range steps {
		r := newIfreq(st.name)
		st.fill(r[16:])
		// The broadcast address of a TUN device may not be settable: it is derived.
		if e := ioctl(s, st.req, unsafe.Pointer(&r[0])); e != 0 && st.req != syscall.SIOCSIFBRDADDR {
			return unsupported("ioctl %#x: %v", st.req, e)
		}
	}
	var rt [120]byte // struct rtentry
	addrField(netip.IPv4Unspecified())(rt[8:])
	addrField(set.Gateway)(rt[24:])
	addrField(netip.IPv4Unspecified())(rt[40:])
	binary.NativeEndian.PutUint16(rt[56:], 1|2) // RTF_UP|RTF_GATEWAY
	if e := ioctl(s, syscall.SIOCADDRT, unsafe.Pointer(&rt[0])); e != 0 {
		return unsupported("SIOCADDRT: %v", e)
	}
	for _, s := range set.Sysctl {
		if err := writeSysctl(s); err != nil {
			return unsupported("sysctl %s: %v", s.Name, err)
		}
	}
	return nil
}

func writeSysctl(s Sysctl) error {
	return os.WriteFile("/proc/sys/"+strings.ReplaceAll(s.Name, ".", "/"), []byte(s.Value), 0)
}

func newIfreq(name string) (r [40]byte) {
	copy(r[:15], name)
	return r
}

func flagsField(f int) func([]byte) {
	return func(p []byte) { binary.NativeEndian.PutUint16(p, uint16(f)) }
}

func addrField(a netip.Addr) func([]byte) {
	return func(p []byte) {
		binary.NativeEndian.PutUint16(p, syscall.AF_INET)
		b := a.As4()
		copy(p[4:], b[:])
	}
}

func ioctl(fd int, req uintptr, arg unsafe.Pointer) syscall.Errno {
	_, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), req, uintptr(arg))
	return e
}

// read takes what the kernel sends.
func (k *Kernel) read() {
	buf := make([]byte, 65536)
	for {
		n, err := k.tun.Read(buf)
		if err != nil {
			return
		}
		if n < 20 || buf[0]>>4 != 4 {
			continue
		}
		k.packets <- sentPacket{append([]byte(nil), buf[:n]...), k.Now()}
	}
}

// Inject implements Target.
func (k *Kernel) Inject(packet []byte) { k.tun.Write(packet) }

// Sent implements Target.
func (k *Kernel) Sent() ([]byte, time.Duration, bool) {
	for {
		select {
		case p := <-k.packets:
			k.out = append(k.out, p)
			continue
		default:
		}
		break
	}
	if len(k.out) == 0 {
		return nil, 0, false
	}
	p := k.out[0]
	k.out = k.out[1:]
	return p.b, p.at, true
}

// Wait implements Target.
func (k *Kernel) Wait(until time.Duration) {
	select {
	case c := <-k.ended:
		c.Done = true
		return
	default:
	}
	t := time.NewTimer(until - k.Now())
	defer t.Stop()
	select {
	case p := <-k.packets:
		k.out = append(k.out, p)
	case c := <-k.ended:
		c.Done = true
	case <-t.C:
	}
}

// Close implements Target.
func (k *Kernel) Close() {
	k.mu.Lock()
	for fd := range k.fds {
		// What blocks in a call wakes.
		syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
		syscall.Shutdown(fd, syscall.SHUT_RDWR)
		syscall.Close(fd)
	}
	k.mu.Unlock()
	if k.tun != nil {
		k.tun.Close()
	}
	if k.work != nil {
		defer func() { recover() }() // closed already if there is no namespace
		close(k.work)
	}
}

// Info implements Target.
func (k *Kernel) Info(fd int) map[string]int64 {
	var b [256]byte
	n := uint32(len(b))
	_, _, e := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), syscall.IPPROTO_TCP, tcpInfo,
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)), 0)
	if e != 0 {
		return nil
	}
	m := map[string]int64{
		"tcpi_state": int64(b[0]), "tcpi_ca_state": int64(b[1]), "tcpi_retransmits": int64(b[2]),
		"tcpi_probes": int64(b[3]), "tcpi_backoff": int64(b[4]), "tcpi_options": int64(b[5]),
		"tcpi_snd_wscale": int64(b[6] & 15), "tcpi_rcv_wscale": int64(b[6] >> 4),
	}
	for name, at := range tcpInfoFields {
		m[name] = int64(binary.NativeEndian.Uint32(b[at:]))
	}
	for name, at := range map[string]int{"tcpi_bytes_acked": 120, "tcpi_bytes_received": 128, "tcpi_bytes_sent": 200, "tcpi_bytes_retrans": 208} {
		m[name] = int64(binary.NativeEndian.Uint64(b[at:]))
	}
	return m
}

// tcpInfoFields are the places in struct tcp_info of what has 32 bits.
var tcpInfoFields = map[string]int{
	"tcpi_rto": 8, "tcpi_ato": 12, "tcpi_snd_mss": 16, "tcpi_rcv_mss": 20, "tcpi_unacked": 24, "tcpi_sacked": 28,
	"tcpi_lost": 32, "tcpi_retrans": 36, "tcpi_fackets": 40, "tcpi_last_data_sent": 44, "tcpi_last_data_recv": 52,
	"tcpi_last_ack_recv": 56, "tcpi_pmtu": 60, "tcpi_rcv_ssthresh": 64, "tcpi_rtt": 68, "tcpi_rttvar": 72,
	"tcpi_snd_ssthresh": 76, "tcpi_snd_cwnd": 80, "tcpi_advmss": 84, "tcpi_reordering": 88, "tcpi_rcv_rtt": 92,
	"tcpi_rcv_space": 96, "tcpi_total_retrans": 100, "tcpi_segs_out": 136, "tcpi_segs_in": 140,
	"tcpi_notsent_bytes": 144, "tcpi_min_rtt": 148, "tcpi_data_segs_in": 152, "tcpi_data_segs_out": 156,
	"tcpi_delivered": 192, "tcpi_dsack_dups": 216, "tcpi_snd_wnd": 228, "tcpi_rcv_wnd": 232,
}
