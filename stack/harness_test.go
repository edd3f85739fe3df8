package stack

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
	"github.com/bonsainet/bonsai/udp"
)

// host is a stack in a dialogue: frames are handed to it, what it sends is checked
// and compared with what should come, in virtual time.
//
// eth0 is 198.18.0.1/24, station m1; eth1, where there is one, 198.18.1.1/24,
// station m11. Station mN is 198.18.0.N, and N+10 of them 198.18.1.N. Their hardware
// addresses are known for N from 2 to 4.
type host struct {
	*testing.T
	s    *Stack
	now  pkt.Time
	next pkt.Time // as the last Poll said
	sent []sent   // and not yet looked at
	seen [ipv4.NumDrops]uint32
	fail bool // the devices refuse everything

	noCheck bool // frames that break the rules are wanted
	ttl     uint8
}

type sent struct {
	ifindex int
	f       []byte
}

// script is a device of a host.
type script struct {
	idleDevice
	h       *host
	ifindex int
}

func (d *script) Send(bufs []*netif.Buf) error {
	for _, b := range bufs {
		f := append([]byte(nil), b.Bytes()...)
		clear(b.Space()) // whoever looks at it again gets a surprise
		if !d.h.noCheck {
			d.h.checkFrame(d, f)
		}
		d.h.sent = append(d.h.sent, sent{d.ifindex, f})
	}
	if d.h.fail {
		return errno.EIO
	}
	return nil
}

// mac returns the hardware address of station n.
func mac(n int) netif.MAC { return netif.MAC{2, 0, 0, 0, 0, byte(n)} }

// a0 and a1 are addresses on eth0's and eth1's links.
func a0(n byte) ipv4.Addr { return ipv4.AddrOf(198, 18, 0, n) }
func a1(n byte) ipv4.Addr { return ipv4.AddrOf(198, 18, 1, n) }

// far is behind routers.
var far = ipv4.AddrOf(198, 19, 5, 5)

func ep(a ipv4.Addr, port uint16) ipv4.Endpoint { return ipv4.Endpoint{Addr: a, Port: port} }

const (
	eth0 = 2 // interface indices
	eth1 = 3
)

// newHost returns a host with eth0, and eth1 if links is 2, that knows stations 2
// to 4 of each.
func newHost(t *testing.T, links int) *host { return newHostMTU(t, links, 1500, Config{}) }

func newHostMTU(t *testing.T, links, mtu int, cfg Config) *host {
	cfg.Seed = 1
	h := &host{T: t, s: New(cfg), now: 1000 * pkt.Second, ttl: 64}
	h.s.now = h.now
	h.flags("lo", true)
	for k := range links {
		name := fmt.Sprint("eth", k)
		dev := &script{idleDevice: idleDevice{mtu: mtu, hw: mac(1 + 10*k)}, h: h, ifindex: eth0 + k}
		if i, err := h.s.AddInterface(name, dev); err != nil || i != eth0+k {
			t.Fatal(i, err)
		}
		h.address(name, ipv4.AddrOf(198, 18, byte(k), 1))
		h.flags(name, true)
		for n := byte(2); n <= 4; n++ {
			h.station(name, ipv4.AddrOf(198, 18, byte(k), n), mac(10*k+int(n)))
		}
	}
	h.poll()
	t.Cleanup(func() {
		for _, f := range h.sent {
			t.Errorf("nobody wanted: %s", h.text(f))
		}
		h.drops()
	})
	return h
}

func (h *host) ioctl(req uint32, arg any) {
	h.Helper()
	if err := h.s.Ioctl(req, arg); err != nil {
		h.Fatalf("ioctl %#x of %+v: %v", req, arg, err)
	}
}

// address sets the address of an interface, with a mask of 24 bits.
func (h *host) address(name string, a ipv4.Addr) {
	h.Helper()
	h.ioctl(SIOCSIFADDR, &Ifreq{Name: name, Addr: SockaddrIn(a)})
	h.ioctl(SIOCSIFNETMASK, &Ifreq{Name: name, Addr: SockaddrIn(ipv4.Mask(24))})
}

// flags brings an interface up or down, and sets others.
func (h *host) flags(name string, up bool, others ...uint16) {
	h.Helper()
	r := &Ifreq{Name: name}
	h.ioctl(SIOCGIFFLAGS, r)
	r.Flags &^= netif.IFF_UP
	if up {
		r.Flags |= netif.IFF_UP
	}
	for _, f := range others {
		r.Flags |= f
	}
	h.ioctl(SIOCSIFFLAGS, r)
}

// station makes a's hardware address known.
func (h *host) station(dev string, a ipv4.Addr, hw netif.MAC) {
	h.Helper()
	r := &Arpreq{PA: SockaddrIn(a), Flags: ATF_COM | ATF_PERM, Dev: dev}
	r.HA.Family = netif.ARPHRD_ETHER
	copy(r.HA.Data[:], hw[:])
	h.ioctl(SIOCSARP, r)
}

// route adds a route; an empty dev and a zero gw are left out.
func (h *host) route(dst string, bits uint8, gw ipv4.Addr, dev string, metric int16, flags uint16) {
	h.Helper()
	h.ioctl(SIOCADDRT, h.rtentry(dst, bits, gw, dev, metric, flags))
	h.poll()
}

func (h *host) rtentry(dst string, bits uint8, gw ipv4.Addr, dev string, metric int16, flags uint16) *Rtentry {
	a, ok := ipv4.ParseAddr(dst)
	if !ok {
		h.Fatal(dst)
	}
	r := &Rtentry{Dst: SockaddrIn(a), Genmask: SockaddrIn(ipv4.Mask(bits)), Flags: flags | 1, Dev: dev, Metric: metric}
	if bits == 32 {
		r.Flags |= 4
	}
	if !gw.IsAny() {
		r.Gateway = SockaddrIn(gw)
		r.Flags |= 2
	}
	return r
}

// defaultRoute goes by station 4 on eth0.
func (h *host) defaultRoute() {
	h.Helper()
	h.route("0.0.0.0", 0, a0(4), "", 0, 0)
}

// poll lets the stack send.
func (h *host) poll() {
	h.Helper()
	for range 100 {
		if h.next = h.s.Poll(h.now); h.next > h.now {
			return
		}
	}
	h.Fatal("Poll wants to be called again and again")
}

// advance lets time pass.
func (h *host) advance(d pkt.Time) {
	h.Helper()
	end := h.now + d
	h.poll()
	for n := 0; h.next < end; n++ {
		if n > 100000 {
			h.Fatal("time does not pass")
		}
		h.now = max(h.now, h.next)
		h.poll()
	}
	h.now = end
	h.poll()
}

// recvOn hands a frame to an interface.
func (h *host) recvOn(ifindex int, f []byte) {
	h.Helper()
	b := netif.NewBuf(len(f))
	b.CopyFrom(f)
	h.s.Input(h.now, ifindex, []*netif.Buf{b})
	b.CopyFrom(make([]byte, len(f))) // its memory is ours again
	h.poll()
}

// recv hands packets from station 2 on eth0 to the host.
func (h *host) recv(packets ...interface{ bytes() []byte }) {
	h.Helper()
	for _, p := range packets {
		h.recvOn(eth0, frame(mac(1), mac(2), netif.EtherTypeIPv4, p.bytes()))
	}
}

// recvBroadcast is recv with the link's broadcast as destination.
func (h *host) recvBroadcast(p interface{ bytes() []byte }) {
	h.Helper()
	h.recvOn(eth0, frame(netif.BroadcastMAC, mac(2), netif.EtherTypeIPv4, p.bytes()))
}

// recvARP hands an ARP packet to eth0.
func (h *host) recvARP(op uint16, sha netif.MAC, spa, tpa ipv4.Addr) {
	h.Helper()
	h.recvOn(eth0, arpFrame(netif.BroadcastMAC, op, sha, spa, netif.MAC{}, tpa))
}

// want compares what was sent with texts: see host.text.
func (h *host) want(texts ...string) {
	h.Helper()
	var got []string
	for _, f := range h.sent {
		got = append(got, h.text(f))
	}
	h.sent = nil
	if g, w := strings.Join(got, "\n\t"), strings.Join(texts, "\n\t"); g != w {
		h.Errorf("sent\n\t%s\nwant\n\t%s", g, w)
	}
}

func (h *host) wantNothing() {
	h.Helper()
	h.want()
}

// take returns the packet in the only frame that was sent.
func (h *host) take() []byte {
	h.Helper()
	if len(h.sent) != 1 {
		h.Fatalf("%d frames were sent, want 1", len(h.sent))
	}
	f := h.sent[0].f
	h.sent = nil
	return f[14:]
}

// drops compares the drops since the last call: reason, number, reason, number...
func (h *host) drops(want ...any) {
	h.Helper()
	var w [ipv4.NumDrops]uint32
	for i := 0; i < len(want); i += 2 {
		w[want[i].(ipv4.Drop)] = uint32(want[i+1].(int))
	}
	for d, n := range h.s.Drops {
		if got := n - h.seen[d]; got != w[d] {
			h.Errorf("%d dropped for %q, want %d", got, ipv4.Drop(d), w[d])
		}
	}
	h.seen = h.s.Drops
}

// udp opens a socket.
func (h *host) udp(local ipv4.Endpoint) *UDP {
	h.Helper()
	u := new(UDP)
	if err := h.s.OpenUDP(u, local); err != nil {
		h.Fatal(err)
	}
	return u
}

// sendTo sends on u and polls.
func (h *host) sendTo(u *UDP, p string, to ipv4.Endpoint, want Errno) {
	h.Helper()
	n, e := u.SendTo(h.now, []byte(p), to)
	if e != want || e == 0 && n != len(p) {
		h.Errorf("send to %v: %d bytes, error %d, want %d", to, n, e, want)
	}
	h.poll()
}

// got compares the datagram that u receives with "address:port text", or "" for
// none.
func (h *host) got(u *UDP, want string) {
	h.Helper()
	var m udp.Meta
	var p [70000]byte
	n, e := u.RecvFrom(p[:], &m)
	got := ""
	if e == 0 {
		got = m.Src.String() + " " + string(p[:n])
	} else if e != 11 {
		got = e.Error()
	}
	if got != want {
		h.Errorf("received %d bytes %.60q, want %d bytes %.60q", len(got), got, len(want), want)
	}
}

// dial begins a connection.
func (h *host) dial(remote ipv4.Endpoint) *Conn {
	h.Helper()
	c := new(Conn)
	c.Init(h.s)
	if err := h.s.Connect(h.now, c, ipv4.Endpoint{}, remote); err != nil {
		h.Fatal(err)
	}
	h.poll()
	return c
}

// open is dial, and the handshake with a peer behind station hop, whose options are
// opts. It returns the peer's side.
func (h *host) open(remote ipv4.Endpoint, opts []byte) (*Conn, *peer) {
	h.Helper()
	c := h.dial(remote)
	syn := h.take()
	p := &peer{local: remote, remote: c.Local(), seq: 7000, ack: binary.BigEndian.Uint32(syn[24:]) + 1}
	h.recv(p.seg(tcp.SYN|tcp.ACK, opts, ""))
	p.seq++
	if c.State() != tcp.Established {
		h.Fatal(c.State())
	}
	h.sent = nil
	return c, p
}

// peer is the other side of a connection.
type peer struct {
	local, remote ipv4.Endpoint
	seq, ack      uint32
}

func (p *peer) seg(flags tcp.Flags, opts []byte, data string) packet {
	return tcpPacket(p.local, p.remote, p.seq, p.ack, flags, opts, data)
}

// events returns what Ready says about an owner, all others being left out.
func (h *host) events(owner any) (all tcp.Events) {
	sock := reflect.ValueOf(owner).Elem().FieldByName("Sock").Addr().Interface().(*Sock)
	for k, e := h.s.Ready(); k != nil; k, e = h.s.Ready() {
		if k == sock {
			all |= e
		}
	}
	return all
}

// packet is an IPv4 packet, in whose header everything can be chosen.
type packet struct {
	src, dst ipv4.Addr
	proto    uint8
	payload  []byte

	ttl, tos uint8
	id       uint16
	frag     uint16 // flags and offset, as on the wire
	opts     []byte
	mangle   func(p []byte) // before the checksum
	badSum   bool
	pad      int // bytes behind the packet
}

func (p packet) bytes() []byte {
	n := 20 + len(p.opts)
	b := make([]byte, n, n+len(p.payload)+p.pad)
	b = append(b, p.payload...)
	b[0], b[1] = 0x40|byte(n/4), p.tos
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	binary.BigEndian.PutUint16(b[4:], p.id)
	binary.BigEndian.PutUint16(b[6:], p.frag)
	b[8], b[9] = p.ttl, p.proto
	p.src.Put(b[12:])
	p.dst.Put(b[16:])
	copy(b[20:], p.opts)
	for range p.pad {
		b = append(b, 0x55)
	}
	if p.mangle != nil {
		p.mangle(b)
	}
	binary.BigEndian.PutUint16(b[10:], onesSum(0, b[:n]))
	if p.badSum {
		b[10]++
	}
	return b
}

// onesSum is RFC 1071 as written there, apart from the code under test.
func onesSum(sum uint32, p []byte) uint16 {
	for i := 0; i < len(p); i += 2 {
		sum += uint32(p[i]) << 8
		if i+1 < len(p) {
			sum += uint32(p[i+1])
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func addrBytes(addrs ...ipv4.Addr) (b []byte) {
	for _, a := range addrs {
		b = binary.BigEndian.AppendUint32(b, uint32(a))
	}
	return b
}

func pseudo(src, dst ipv4.Addr, proto uint8, n int) (sum uint32) {
	b := append(addrBytes(src, dst), 0, proto, byte(n>>8), byte(n))
	return uint32(^onesSum(0, b))
}

// udpPacket and the like build packets by hand.
func udpPacket(src, dst ipv4.Endpoint, data string) packet {
	b := binary.BigEndian.AppendUint16(nil, src.Port)
	b = binary.BigEndian.AppendUint16(b, dst.Port)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(data)))
	b = append(b, 0, 0)
	b = append(b, data...)
	sum := onesSum(pseudo(src.Addr, dst.Addr, 17, len(b)), b)
	binary.BigEndian.PutUint16(b[6:], max(sum, 1)) // tests use no data that sums to 0 or 1
	return packet{src: src.Addr, dst: dst.Addr, proto: 17, payload: b, ttl: 9}
}

func tcpPacket(src, dst ipv4.Endpoint, seq, ack uint32, flags tcp.Flags, opts []byte, data string) packet {
	b := binary.BigEndian.AppendUint16(nil, src.Port)
	b = binary.BigEndian.AppendUint16(b, dst.Port)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	b = append(b, byte(5+len(opts)/4)<<4, byte(flags), 0xff, 0xff, 0, 0, 0, 0)
	b = append(b, opts...)
	b = append(b, data...)
	binary.BigEndian.PutUint16(b[16:], onesSum(pseudo(src.Addr, dst.Addr, 6, len(b)), b))
	return packet{src: src.Addr, dst: dst.Addr, proto: 6, payload: b, ttl: 9}
}

func icmpPacket(src, dst ipv4.Addr, typ, code byte, rest uint32, body []byte) packet {
	b := binary.BigEndian.AppendUint32([]byte{typ, code, 0, 0}, rest)
	b = append(b, body...)
	binary.BigEndian.PutUint16(b[2:], onesSum(0, b))
	return packet{src: src, dst: dst, proto: 1, payload: b, ttl: 9}
}

func echo(src, dst ipv4.Addr, data string) packet {
	return icmpPacket(src, dst, 8, 0, 0x00070009, []byte(data))
}

func frame(dst, src netif.MAC, etherType uint16, p []byte) []byte {
	f := append(dst[:], src[:]...)
	f = binary.BigEndian.AppendUint16(f, etherType)
	return append(f, p...)
}

func arpFrame(dst netif.MAC, op uint16, sha netif.MAC, spa ipv4.Addr, tha netif.MAC, tpa ipv4.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, byte(op)}
	b = append(append(b, sha[:]...), addrBytes(spa)...)
	b = append(append(b, tha[:]...), addrBytes(tpa)...)
	return append(frame(dst, sha, netif.EtherTypeARP, b), make([]byte, 18)...) // to 60 bytes
}

// checkFrame checks what every frame must obey.
func (h *host) checkFrame(d *script, f []byte) {
	h.Helper()
	i := h.s.ifaces[d.ifindex-1]
	bad := func(format string, args ...any) {
		h.Helper()
		h.Errorf("sent % x: %s", f, fmt.Sprintf(format, args...))
	}
	if len(f) < 14 || len(f) > 14+int(i.MTU) {
		bad("%d bytes", len(f))
		return
	}
	if src := netif.MAC(f[6:]); src != i.HW {
		bad("source %v", src)
	}
	own := func(a ipv4.Addr) bool {
		for _, i := range h.s.ifaces {
			for x := i.Addrs; x != nil; x = x.Next {
				if x.Local == a && !a.IsLoopback() {
					return true
				}
			}
		}
		return false
	}
	p := f[14:]
	if binary.BigEndian.Uint16(f[12:]) == netif.EtherTypeARP {
		if len(p) != 28 || netif.MAC(p[8:]) != i.HW {
			bad("ARP of %d bytes from %x", len(p), p[8:14])
		}
		if spa := ipv4.AddrAt(p[14:]); !own(spa) {
			bad("ARP from %v", spa)
		}
		return
	}
	n := int(p[0]&15) * 4
	if p[0]>>4 != 4 || n < 20 || int(binary.BigEndian.Uint16(p[2:])) != len(p) {
		bad("version %d, header %d, total length %d of %d", p[0]>>4, n, binary.BigEndian.Uint16(p[2:]), len(p))
		return
	}
	if onesSum(0, p[:n]) != 0 {
		bad("header checksum")
	}
	src, dst := ipv4.AddrAt(p[12:]), ipv4.AddrAt(p[16:])
	if !own(src) && !src.IsAny() {
		bad("source %v", src)
	}
	if dst.IsLoopback() || dst>>24 == 0 {
		bad("destination %v", dst)
	}
	if p[8] != h.ttl {
		bad("TTL %d", p[8])
	}
	frag := binary.BigEndian.Uint16(p[6:])
	// TCP goes with DF, and so do datagrams that fit, as IP_PMTUDISC_WANT has it; not the stack's
	// own answers.
	df, answer := frag == 0x4000, p[9] == ipv4.ProtoICMP && p[20] != 8 && p[20] != 13
	if df && (answer || p[9] != 6 && p[9] != ipv4.ProtoIGMP && !feature.PMTUD) || !df && p[9] == 6 && feature.PMTUD || frag>>15 != 0 {
		bad("flags and offset %#x", frag)
	}
	q := p[n:]
	if frag&0x3fff != 0 {
		return
	}
	sum := uint32(0)
	switch p[9] {
	case 6, 17:
		sum = pseudo(src, dst, p[9], len(q))
	case 1:
	default:
		return
	}
	if onesSum(sum, q) != 0 {
		bad("checksum of protocol %d", p[9])
	}
	if p[9] == 17 && int(binary.BigEndian.Uint16(q[4:])) != len(q) {
		bad("UDP length")
	}
}

// text describes a frame: "station source > destination what". A station is mN or
// "all" or a group's address, with the interface in front if it is not eth0;
// ephemeral ports are "*".
func (h *host) text(x sent) string {
	f := x.f
	to := netif.MAC(f[0:]).String()
	switch {
	case netif.MAC(f[0:]) == netif.BroadcastMAC:
		to = "all"
	case [5]byte(f[:5]) == [5]byte{2}:
		to = fmt.Sprint("m", f[5])
	}
	if x.ifindex != eth0 {
		to = fmt.Sprintf("eth%d %s", x.ifindex-eth0, to)
	}
	p := f[14:]
	if binary.BigEndian.Uint16(f[12:]) == netif.EtherTypeARP {
		spa, tpa := ipv4.AddrAt(p[14:]), ipv4.AddrAt(p[24:])
		if p[7] == 1 {
			return fmt.Sprintf("%s arp who-has %v tell %v", to, tpa, spa)
		}
		return fmt.Sprintf("%s arp %v is-at %v, %v", to, spa, netif.MAC(p[8:]), tpa)
	}
	src, dst := ipv4.AddrAt(p[12:]), ipv4.AddrAt(p[16:])
	q := p[int(p[0]&15)*4:]
	more := ""
	if p[1] != 0 {
		more += fmt.Sprintf(" tos=%#x", p[1])
	}
	if p[8] != 64 {
		more += fmt.Sprintf(" ttl=%d", p[8])
	}
	if len(p)-len(q) > 20 {
		more += fmt.Sprintf(" opts=%x", p[20:len(p)-len(q)])
	}
	if frag := binary.BigEndian.Uint16(p[6:]); frag&0x3fff != 0 {
		plus := ""
		if frag&0x2000 != 0 {
			plus = "+"
		}
		return fmt.Sprintf("%s %v > %v frag %d@%d%s", to, src, dst, len(q), frag&0x1fff*8, plus) + more
	}
	port := func(b []byte) string {
		if n := binary.BigEndian.Uint16(b); n < 49152 {
			return fmt.Sprint(n)
		}
		return "*"
	}
	switch p[9] {
	case 1:
		return fmt.Sprintf("%s %v > %v icmp %d/%d %08x len %d", to, src, dst, q[0], q[1], q[4:8], len(q)-8) + more
	case 6:
		n := int(q[12]>>4) * 4
		return fmt.Sprintf("%s %v:%s > %v:%s tcp %s len %d", to, src, port(q), dst, port(q[2:]), flagText(q[13]), len(q)-n) + more
	case 17:
		return fmt.Sprintf("%s %v:%s > %v:%s udp %q", to, src, port(q), dst, port(q[2:]), q[8:min(len(q), 28)]) + more
	}
	return fmt.Sprintf("%s %v > %v proto %d len %d", to, src, dst, p[9], len(q)) + more
}

func flagText(f byte) (s string) {
	for i, c := range "FSRPAUEC" {
		if f>>i&1 != 0 {
			s += string(c)
		}
	}
	return s
}
