package pktest

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/tcp"
)

// bonsaiStart is what the stack's clock shows when a script begins.
const bonsaiStart = 1000 * pkt.Second

// maxSpins is how often a stack may ask to be polled again at once.
const maxSpins = 10000

// Bonsai is this module's stack as a Target, in virtual time.
type Bonsai struct {
	stack *stack.Stack
	now   pkt.Time
	next  pkt.Time // what Poll returned
	local netip.Addr
	peer  MAC // of the gateway, for every packet
	own   MAC
	out   []sentPacket
	bad   error // what gopacket says of a frame that was sent

	socks   []*bonsaiSock
	waiting []*bonsaiCall
	events  int // calls ended
}

// NewBonsai returns a Target for one script.
func NewBonsai() *Bonsai {
	return &Bonsai{peer: MAC{2, 0, 0, 0, 0, 2}, own: MAC{2, 0, 0, 0, 0, 1}, now: bonsaiStart, next: bonsaiStart}
}

// Has implements Target.
func (b *Bonsai) Has(name string) bool {
	switch name {
	case "target:bonsai", "target:bonsai/" + profileName():
		return true
	case "newreno":
		return true
	}
	return feature.On(name)
}

func profileName() string { return [...]string{"minimal", "client", "full"}[feature.Profile] }

// Tolerance implements Target.
func (b *Bonsai) Tolerance() time.Duration { return 0 }

// Now implements Target.
func (b *Bonsai) Now() time.Duration { return time.Duration(b.now - bonsaiStart) }

// Setup implements Target.
func (b *Bonsai) Setup(set Setup) error {
	// The same sizes in every profile, so that scripts need not care.
	cfg := stack.Config{Seed: 1, Memory: 4 << 20, RcvBuf: 256 << 10, SndBuf: 256 << 10, MaxRcvBuf: 256 << 10, MaxSndBuf: 256 << 10, MaxConns: 64, MaxTimeWait: 64}
	for _, s := range set.Sysctl {
		if err := b.sysctl(&cfg, s); err != nil {
			return err
		}
	}
	b.local = set.Local
	b.stack = stack.New(cfg)
	if _, err := b.stack.AddInterface("eth0", &bonsaiDevice{b, set.MTU}); err != nil {
		return err
	}
	gw := addr4(set.Gateway)
	var hw stack.Sockaddr
	hw.Family = netif.ARPHRD_ETHER
	copy(hw.Data[:], b.peer[:])
	calls := []struct {
		req uint32
		arg any
	}{
		{stack.SIOCSIFADDR, &stack.Ifreq{Name: "eth0", Addr: stack.SockaddrIn(addr4(set.Local))}},
		{stack.SIOCSIFNETMASK, &stack.Ifreq{Name: "eth0", Addr: stack.SockaddrIn(ipv4.Mask(uint8(set.Bits)))}},
		{stack.SIOCSIFFLAGS, &stack.Ifreq{Name: "lo", Flags: netif.IFF_UP}},
		{stack.SIOCSIFFLAGS, &stack.Ifreq{Name: "eth0", Flags: netif.IFF_UP}},
		{stack.SIOCADDRT, &stack.Rtentry{
			Dst: stack.SockaddrIn(ipv4.Any), Genmask: stack.SockaddrIn(ipv4.Any),
			Gateway: stack.SockaddrIn(gw), Flags: route.RTF_UP | route.RTF_GATEWAY,
		}},
		{stack.SIOCSARP, &stack.Arpreq{PA: stack.SockaddrIn(gw), HA: hw, Flags: stack.ATF_COM | stack.ATF_PERM, Dev: "eth0"}},
	}
	for _, c := range calls {
		if err := b.stack.Ioctl(c.req, c.arg); err != nil {
			return fmt.Errorf("ioctl %#x: %w", c.req, err)
		}
	}
	b.poll()
	return nil
}

// sysctl changes the configuration as a Linux setting would.
func (b *Bonsai) sysctl(cfg *stack.Config, s Sysctl) error {
	words := strings.Fields(s.Value)
	n := make([]int, len(words))
	for i, w := range words {
		v, err := strconv.Atoi(w)
		if err != nil && s.Name != "net.ipv4.tcp_congestion_control" {
			return unsupported("sysctl %s=%s", s.Name, s.Value)
		}
		n[i] = v
	}
	if len(words) == 0 {
		return unsupported("sysctl %s: no value", s.Name)
	}
	fixed := func(v bool) error { // what is as it is
		if v {
			return nil
		}
		return unsupported("sysctl %s=%s: it is not so in this build", s.Name, s.Value)
	}
	switch s.Name {
	case "net.ipv4.tcp_syn_retries", "net.ipv4.tcp_synack_retries":
		cfg.SynRetries = uint8(n[0])
	case "net.ipv4.tcp_retries2":
		cfg.Retries = uint8(n[0])
	case "net.ipv4.ip_default_ttl":
		cfg.TTL = uint8(n[0])
	case "net.ipv4.tcp_max_tw_buckets":
		cfg.MaxTimeWait = n[0]
	case "net.ipv4.tcp_max_orphans":
		cfg.MaxOrphans = n[0]
	case "net.ipv4.ip_local_port_range":
		if len(n) != 2 {
			return unsupported("sysctl %s=%s", s.Name, s.Value)
		}
		cfg.PortMin, cfg.PortMax = uint16(n[0]), uint16(n[1])
	case "net.ipv4.tcp_rmem":
		cfg.RcvBuf = uint32(n[min(1, len(n)-1)])
		if len(n) > 2 { // the window scale follows
			cfg.MaxRcvBuf = uint32(n[2])
		}
	case "net.ipv4.tcp_wmem":
		cfg.SndBuf = uint32(n[min(1, len(n)-1)])
		if len(n) > 2 {
			cfg.MaxSndBuf = uint32(n[2])
		}
	case "bonsai.memory":
		cfg.Memory = uint32(n[0])
	case "bonsai.max_conns":
		cfg.MaxConns = n[0]
	case "net.ipv4.tcp_timestamps":
		return fixed(feature.Timestamps == (n[0] != 0))
	case "net.ipv4.tcp_sack":
		return fixed(feature.On("sack") == (n[0] != 0))
	case "net.ipv4.tcp_window_scaling":
		return fixed(feature.WScale == (n[0] != 0))
	case "net.ipv4.tcp_ecn":
		if n[0] < 0 || n[0] > 2 || n[0] == 1 && !feature.On("ecn") {
			return unsupported("sysctl %s=%s", s.Name, s.Value)
		}
		cfg.ECN = [...]tcp.ECNMode{tcp.ECNOff, tcp.ECNAsk, tcp.ECNAnswer}[n[0]]
	case "net.ipv4.tcp_congestion_control":
		return fixed(words[0] == "cubic" && feature.On("cubic") || words[0] == "reno" && !feature.On("cubic"))
	case "net.ipv4.tcp_fin_timeout":
		return fixed(n[0] == 60)
	case "net.ipv4.tcp_rfc1337", "net.ipv4.tcp_slow_start_after_idle":
		return fixed(n[0] == 1)
	case "net.ipv4.tcp_mtu_probing":
		return fixed(n[0] < 2 && feature.PLPMTUD == (n[0] == 1))
	case "net.ipv4.tcp_fastopen":
		return fixed(n[0] == 0)
	default:
		return unsupported("sysctl %s is not known", s.Name)
	}
	return nil
}

func addr4(a netip.Addr) ipv4.Addr {
	if !a.Is4() {
		return ipv4.Any
	}
	return ipv4.AddrFrom4(a.As4())
}

func endpoint4(a netip.AddrPort) ipv4.Endpoint {
	return ipv4.Endpoint{Addr: addr4(a.Addr()), Port: a.Port()}
}

func addrPort(e ipv4.Endpoint) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(e.Addr.As4()), e.Port)
}

// bonsaiDevice is the interface's device.
type bonsaiDevice struct {
	b   *Bonsai
	mtu int
}

// Send takes frames from the stack: every one is judged.
func (d *bonsaiDevice) Send(bufs []*netif.Buf) error {
	for _, f := range bufs {
		d.b.sendFrame(f.Bytes())
	}
	return nil
}

func (d *bonsaiDevice) Recv([]*netif.Buf) (int, error) { select {} } // nobody calls it
func (d *bonsaiDevice) MTU() int                       { return d.mtu }
func (d *bonsaiDevice) HardwareAddr() netif.MAC        { return netif.MAC(d.b.own) }
func (d *bonsaiDevice) Close() error                   { return nil }

func (b *Bonsai) sendFrame(f []byte) {
	if err := Verify(f); err != nil && b.bad == nil {
		b.bad = fmt.Errorf("gopacket: %v: % x", err, f)
	}
	p, err := Parse(f)
	if err != nil || p.EtherType != EtherTypeIPv4 {
		return // ARP is not in scripts
	}
	b.out = append(b.out, sentPacket{append([]byte(nil), f[14:]...), b.Now()})
}

// Inject implements Target.
func (b *Bonsai) Inject(packet []byte) {
	f := b.stack.NewBuf()
	if len(packet) > f.Cap()-14 {
		return // the device would not take it
	}
	dst := b.own
	if packet[16] >= 224 || packet[19] == 255 { // to all: as a gateway would send it
		dst = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	h := f.Append(14 + len(packet))
	copy(h, dst[:])
	copy(h[6:], b.peer[:])
	h[12], h[13] = EtherTypeIPv4>>8, EtherTypeIPv4&0xff
	copy(h[14:], packet)
	b.stack.Input(b.now, 2, []*netif.Buf{f})
	b.next = b.now
}

// Sent implements Target.
func (b *Bonsai) Sent() ([]byte, time.Duration, bool) {
	if len(b.out) == 0 {
		return nil, 0, false
	}
	s := b.out[0]
	b.out = b.out[1:]
	return s.b, s.at, true
}

// Wait implements Target.
func (b *Bonsai) Wait(until time.Duration) {
	end := bonsaiStart + pkt.Time(until)
	sent, ended := len(b.out), b.events
	b.poll()
	for spins := 0; b.now < end && len(b.out) == sent && b.events == ended; {
		if b.next <= b.now {
			if spins++; spins > maxSpins {
				panic("pktest: the stack asks to be polled again at the same time, for ever")
			}
		} else {
			spins = 0
		}
		b.now = max(b.now, min(b.next, end))
		b.poll()
	}
}

// poll lets the stack do what is due and the waiting calls go on.
func (b *Bonsai) poll() {
	for {
		b.next = b.stack.Poll(b.now)
		for k, e := b.stack.Ready(); k != nil; k, e = b.stack.Ready() {
			(*bonsaiSock)(k.Data).events |= e
		}
		progress := false
		keep := b.waiting[:0]
		for _, w := range b.waiting {
			if w.sock.try(w); w.call.Done {
				b.events++
				progress = true
			} else {
				progress = progress || w.progress
				w.progress = false
				keep = append(keep, w)
			}
		}
		b.waiting = keep
		if !progress {
			return
		}
	}
}

// Start implements Target.
func (b *Bonsai) Start(c *Call) {
	if b.bad != nil {
		c.Err = b.bad
		c.finish(0, 0)
		return
	}
	b.start(c)
	b.next = b.now
}

// Info implements Target.
func (b *Bonsai) Info(fd int) map[string]int64 {
	s := b.sock(fd)
	if s == nil || s.conn == nil {
		return nil
	}
	i := s.conn.Info(b.now)
	m := map[string]int64{
		"tcpi_state": int64(i.State), "tcpi_ca_state": int64(i.CAState), "tcpi_retransmits": int64(i.Retransmits),
		"tcpi_probes": int64(i.Probes), "tcpi_backoff": int64(i.Backoff), "tcpi_options": int64(i.Options),
		"tcpi_snd_wscale": int64(i.SndWScale), "tcpi_rcv_wscale": int64(i.RcvWScale),
		"tcpi_rto": int64(i.RTO), "tcpi_ato": int64(i.ATO), "tcpi_snd_mss": int64(i.SndMSS), "tcpi_rcv_mss": int64(i.RcvMSS),
		"tcpi_unacked": int64(i.Unacked), "tcpi_sacked": int64(i.Sacked),
		"tcpi_last_data_sent": int64(i.LastDataSent), "tcpi_pmtu": int64(i.PMTU),
		"tcpi_rtt": int64(i.RTT), "tcpi_rttvar": int64(i.RTTVar),
		"tcpi_snd_ssthresh": int64(i.SndSsthresh), "tcpi_snd_cwnd": int64(i.SndCwnd), "tcpi_advmss": int64(i.AdvMSS),
		"tcpi_rcv_space": int64(i.RcvSpace), "tcpi_snd_wnd": int64(i.SndWnd), "tcpi_rcv_wnd": int64(i.RcvWnd),
		"tcpi_notsent_bytes": int64(i.NotSent),
		"tcpi_lost":          int64(i.Lost), "tcpi_retrans": int64(i.Retrans), "tcpi_min_rtt": int64(i.MinRTT), "tcpi_last_data_recv": int64(i.LastDataRecv),
	}
	if feature.TCPInfo {
		m["tcpi_bytes_sent"], m["tcpi_bytes_retrans"] = int64(i.BytesSent), int64(i.BytesRetrans)
		m["tcpi_bytes_acked"], m["tcpi_bytes_received"] = int64(i.BytesAcked), int64(i.BytesReceived)
		m["tcpi_segs_out"], m["tcpi_segs_in"] = int64(i.SegsOut), int64(i.SegsIn)
		m["tcpi_data_segs_out"], m["tcpi_data_segs_in"] = int64(i.DataSegsOut), int64(i.DataSegsIn)
		m["tcpi_total_retrans"], m["tcpi_dsack_dups"], m["tcpi_delivered"] = int64(i.TotalRetrans), int64(i.DSACKDups), int64(i.Delivered)
	}
	u := b.stack.Usage()
	m["bonsai_conns"], m["bonsai_orphans"], m["bonsai_time_wait"] = int64(u.Conns), int64(u.Orphans), int64(u.TimeWait)
	m["bonsai_memory"] = int64(u.Memory)
	return m
}

// Close implements Target.
func (b *Bonsai) Close() {}

var _ Target = (*Bonsai)(nil)

// sock returns the socket of a file descriptor, or nil.
func (b *Bonsai) sock(fd int) *bonsaiSock {
	if fd < firstFD || fd-firstFD >= len(b.socks) {
		return nil
	}
	return b.socks[fd-firstFD]
}

const firstFD = 3

// newSock adds a socket and returns its file descriptor.
func (b *Bonsai) newSock(s *bonsaiSock) int {
	s.b = b
	b.socks = append(b.socks, s)
	return firstFD + len(b.socks) - 1
}

var _ tcp.Events
