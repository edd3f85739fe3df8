package stack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
	"github.com/bonsainet/bonsai/udp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// group returns an address of MCAST-TEST-NET (RFC 6676).
func group(n int) ipv4.Addr { return ipv4.AddrOf(233, 252, 0, byte(n)) }

// groupMAC is the station of a group.
func groupMAC(a ipv4.Addr) netif.MAC {
	b := a.As4()
	return netif.MAC{1, 0, 0x5e, b[1] & 0x7f, b[2], b[3]}
}

// multicastHost is newHost, for tests of what all build without the feature skip.
func multicastHost(t *testing.T, links int) *host {
	t.Helper()
	if !feature.Multicast {
		t.Skip("needs feature multicast")
	}
	h := newHost(t, links)
	h.ttl = 1
	return h
}

type memberOf interface {
	SetMreqn(name int, r *Mreqn) Errno
}

// join makes u a member of group a on an interface.
func (h *host) join(u memberOf, a ipv4.Addr, ifindex int32, want Errno) {
	h.Helper()
	if e := u.SetMreqn(IP_ADD_MEMBERSHIP, &Mreqn{Multiaddr: a, Ifindex: ifindex}); e != want {
		h.Errorf("join %v: %v, want %v", a, e, want)
	}
	h.poll()
}

// leave ends it.
func (h *host) leave(u memberOf, a ipv4.Addr, ifindex int32, want Errno) {
	h.Helper()
	if e := u.SetMreqn(IP_DROP_MEMBERSHIP, &Mreqn{Multiaddr: a, Ifindex: ifindex}); e != want {
		h.Errorf("leave %v: %v, want %v", a, e, want)
	}
	h.poll()
}

// member returns a socket on port 5353 that is in group a on eth0, the join's reports being over.
func (h *host) member(groups ...ipv4.Addr) *UDP {
	h.Helper()
	u := h.udp(ep(ipv4.Any, 5353))
	for _, a := range groups {
		h.join(u, a, eth0, 0)
	}
	h.advance(20 * pkt.Second)
	h.sent = nil
	return u
}

// wantIGMP compares the IGMP messages that were sent, as another decoder reads them:
// "source > destination v3 IS_EX group", or v2, v1 or leave with a group.
func (h *host) wantIGMP(texts ...string) {
	h.Helper()
	var got []string
	for _, f := range h.sent {
		text := igmpText(h.T, f.f)
		if f.ifindex != eth0 {
			text = fmt.Sprintf("eth%d %s", f.ifindex-eth0, text)
		}
		got = append(got, text)
	}
	h.sent = nil
	if g, w := strings.Join(got, "\n\t"), strings.Join(texts, "\n\t"); g != w {
		h.Errorf("sent\n\t%s\nwant\n\t%s", g, w)
	}
}

func igmpText(t *testing.T, f []byte) string {
	t.Helper()
	p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
	eth, _ := p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	ip, _ := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	if ip == nil || p.ErrorLayer() != nil {
		t.Errorf("% x: %v", f, p.ErrorLayer())
		return "?"
	}
	dst := ipv4.AddrAt(ip.DstIP)
	if mac := groupMAC(dst); !bytes.Equal(eth.DstMAC, mac[:]) {
		t.Errorf("to %v as %v", dst, eth.DstMAC)
	}
	if ip.TTL != 1 || ip.TOS != 0xc0 || len(ip.Options) != 1 || ip.Options[0].OptionType != ipv4.OptRouterAlert ||
		!bytes.Equal(ip.Options[0].OptionData, []byte{0, 0}) || ip.Flags != layers.IPv4DontFragment {
		t.Errorf("TTL %d, TOS %#x, options %v, flags %v", ip.TTL, ip.TOS, ip.Options, ip.Flags)
	}
	if onesSum(0, ip.Payload) != 0 {
		t.Errorf("checksum of % x", ip.Payload)
	}
	text := fmt.Sprintf("%v > %v", ipv4.AddrAt(ip.SrcIP), dst)
	switch m := p.Layer(layers.LayerTypeIGMP).(type) {
	case *layers.IGMPv1or2:
		names := map[layers.IGMPType]string{
			layers.IGMPMembershipReportV1: "v1", layers.IGMPMembershipReportV2: "v2", layers.IGMPLeaveGroup: "leave",
		}
		return text + fmt.Sprintf(" %s %v", names[m.Type], m.GroupAddress)
	case *layers.IGMP:
		if m.Type != layers.IGMPMembershipReportV3 || len(m.GroupRecords) != int(m.NumberOfGroupRecords) ||
			len(ip.Payload) != 8+8*len(m.GroupRecords) {
			t.Errorf("% x", ip.Payload)
		}
		text += " v3"
		for _, r := range m.GroupRecords {
			name := []string{"?", "IS_IN", "IS_EX", "TO_IN", "TO_EX"}[r.Type]
			text += fmt.Sprintf(" %s %v", name, r.MulticastAddress)
			if r.NumberOfSources != 0 || r.AuxDataLen != 0 {
				t.Errorf("%+v", r)
			}
		}
		return text
	}
	return fmt.Sprintf("%s %v", text, p)
}

// igmp builds a message from station 2 to dst, with a router alert.
func igmp(dst ipv4.Addr, p ...byte) packet {
	p = append([]byte(nil), p...)
	p[2], p[3] = 0, 0
	binary.BigEndian.PutUint16(p[2:], onesSum(0, p))
	return packet{src: a0(2), dst: dst, proto: 2, payload: p, ttl: 1, opts: []byte{ipv4.OptRouterAlert, 4, 0, 0}}
}

// query is a query of the given version about a group, of all if that is 0.0.0.0. code is within
// which to answer, in tenths of a second.
func query(version int, code byte, a ipv4.Addr) packet {
	dst := a
	if a.IsAny() {
		dst = ipv4.AllHosts
	}
	p := append([]byte{0x11, code, 0, 0}, addrBytes(a)...)
	if version == 3 {
		p = append(p, 2, 125, 0, 0)
	}
	return igmp(dst, p...)
}

// recvGroup is recv with the group's station as destination.
func (h *host) recvGroup(packets ...packet) {
	h.Helper()
	for _, p := range packets {
		h.recvOn(eth0, frame(groupMAC(p.dst), mac(2), netif.EtherTypeIPv4, p.bytes()))
	}
}

func TestMembershipIsReportedTwice(t *testing.T) {
	h := multicastHost(t, 1)
	u := h.udp(ep(ipv4.Any, 5353))
	h.join(u, group(1), eth0, 0)
	h.wantIGMP("198.18.0.1 > 224.0.0.22 v3 TO_EX 233.252.0.1")
	if h.next == pkt.Never || h.next > h.now+pkt.Second {
		t.Errorf("the next is due in %v", h.next-h.now)
	}
	h.advance(pkt.Second)
	h.wantIGMP("198.18.0.1 > 224.0.0.22 v3 TO_EX 233.252.0.1")
	h.advance(1000 * pkt.Second)
	h.wantNothing()
	h.leave(u, group(1), eth0, 0)
	h.wantIGMP("198.18.0.1 > 224.0.0.22 v3 TO_IN 233.252.0.1")
	h.advance(pkt.Second)
	h.wantIGMP("198.18.0.1 > 224.0.0.22 v3 TO_IN 233.252.0.1")
	h.advance(1000 * pkt.Second)
	h.wantNothing()
}

// Whoever comes back before his leave is told twice tells that he is there.
func TestMembershipComesBack(t *testing.T) {
	h := multicastHost(t, 1)
	u := h.member(group(1))
	h.leave(u, group(1), eth0, 0)
	h.wantIGMP("198.18.0.1 > 224.0.0.22 v3 TO_IN 233.252.0.1")
	h.join(u, group(1), eth0, 0)
	h.wantIGMP("198.18.0.1 > 224.0.0.22 v3 TO_EX 233.252.0.1")
	h.advance(pkt.Second)
	h.wantIGMP("198.18.0.1 > 224.0.0.22 v3 TO_EX 233.252.0.1")
	h.advance(100 * pkt.Second)
	h.wantNothing()
}

func TestMembershipIsCounted(t *testing.T) {
	h := multicastHost(t, 2)
	u, v := h.udp(ep(ipv4.Any, 1000)), h.udp(ep(ipv4.Any, 2000))
	h.join(u, group(1), eth0, 0)
	h.advance(20 * pkt.Second)
	h.sent = nil
	h.join(v, group(1), eth0, 0)
	h.wantNothing()
	h.join(v, group(1), eth1, 0)
	h.wantIGMP("eth1 198.18.1.1 > 224.0.0.22 v3 TO_EX 233.252.0.1")
	h.advance(20 * pkt.Second)
	h.sent = nil
	h.leave(u, group(1), eth0, 0)
	h.advance(20 * pkt.Second)
	h.wantNothing()
	h.leave(u, group(1), eth0, errno.EADDRNOTAVAIL)
	v.Close()
	h.poll()
	h.wantIGMP("198.18.0.1 > 224.0.0.22 v3 TO_IN 233.252.0.1", "eth1 198.18.1.1 > 224.0.0.22 v3 TO_IN 233.252.0.1")
	u.Close()
	h.advance(20 * pkt.Second)
	h.sent = nil
}

func TestQueriesAreAnsweredInTime(t *testing.T) {
	h := multicastHost(t, 1)
	h.member(group(1), group(2), ipv4.AllHosts)
	all := "198.18.0.1 > 224.0.0.22 v3 IS_EX 233.252.0.1 IS_EX 233.252.0.2"
	for range 20 {
		h.recvGroup(query(3, 100, ipv4.Any))
		h.wantNothing()
		d := h.next - h.now
		if d <= 0 || d > 10*pkt.Second {
			t.Fatal(d)
		}
		h.recvGroup(query(3, 100, ipv4.Any)) // does not put it off
		if h.next-h.now > d {
			t.Errorf("in %v, then in %v", d, h.next-h.now)
		}
		h.advance(10 * pkt.Second)
		h.wantIGMP(all)
	}
	h.recvGroup(query(3, 20, group(2)), query(3, 20, group(3)))
	h.drops(ipv4.DropIPDest, 1)
	h.advance(2 * pkt.Second)
	h.wantIGMP("198.18.0.1 > 224.0.0.22 v3 IS_EX 233.252.0.2")
	// About sources: who is a member for all sources is one for these.
	p := query(3, 20, group(1))
	h.recvGroup(igmp(group(1), append(p.payload[:10:10], 0, 1, 198, 18, 0, 9)...))
	h.advance(2 * pkt.Second)
	h.wantIGMP("198.18.0.1 > 224.0.0.22 v3 IS_EX 233.252.0.1")
	// An answer about all groups that comes sooner is one about this.
	h.recvGroup(query(3, 0, ipv4.Any))
	h.wantIGMP(all)
	h.recvGroup(query(3, 1, ipv4.Any), query(3, 127, group(1)))
	h.advance(100 * pkt.Second)
	h.wantIGMP(all)
}

// The querier's robustness and interval are ours; 0 is the default.
func TestQueriersVariables(t *testing.T) {
	h := multicastHost(t, 1)
	u := h.member(group(1))
	p := query(3, 1, group(9)).payload
	for _, c := range []struct{ robust, want int }{{3, 3}, {7, 7}, {0, 2}} {
		p[8] = 8 | byte(c.robust) // and the flag for routers
		h.recvGroup(igmp(group(1), p...))
		h.join(u, group(2), eth0, 0)
		h.advance(10 * pkt.Second)
		if n := len(h.sent); n != c.want {
			t.Errorf("robustness %d: %d reports", c.robust, n)
		}
		h.leave(u, group(2), eth0, 0)
		h.advance(10 * pkt.Second)
		h.sent = nil
	}
}

func TestQuerierOfVersion2(t *testing.T) {
	h := multicastHost(t, 1)
	u := h.member(group(1), group(2))
	h.recvGroup(query(2, 100, ipv4.Any))
	h.advance(10 * pkt.Second)
	if len(h.sent) == 2 && ipv4.AddrAt(h.sent[0].f[30:]) == group(2) {
		h.sent[0], h.sent[1] = h.sent[1], h.sent[0]
	}
	h.wantIGMP("198.18.0.1 > 233.252.0.1 v2 233.252.0.1", "198.18.0.1 > 233.252.0.2 v2 233.252.0.2")
	// Another's report spares ours, and we are no longer the last to report: no leave.
	h.recvGroup(query(2, 100, ipv4.Any), igmp(group(1), append([]byte{0x16, 0, 0, 0}, addrBytes(group(1))...)...))
	h.advance(10 * pkt.Second)
	h.wantIGMP("198.18.0.1 > 233.252.0.2 v2 233.252.0.2")
	h.leave(u, group(1), eth0, 0)
	h.wantNothing()
	h.leave(u, group(2), eth0, 0)
	h.wantIGMP("198.18.0.1 > 224.0.0.2 leave 233.252.0.2")
	// Unsolicited: twice, within 10 s.
	h.join(u, group(3), eth0, 0)
	h.wantIGMP("198.18.0.1 > 233.252.0.3 v2 233.252.0.3")
	h.advance(10 * pkt.Second)
	h.wantIGMP("198.18.0.1 > 233.252.0.3 v2 233.252.0.3")
	// Version 3 is a general query as well, to be answered in version 2.
	h.recvGroup(query(3, 10, group(3)))
	h.advance(pkt.Second)
	h.wantIGMP("198.18.0.1 > 233.252.0.3 v2 233.252.0.3")
	h.advance(100 * pkt.Second)
	h.wantNothing()
}

func TestQuerierOfVersion1(t *testing.T) {
	h := multicastHost(t, 1)
	u := h.member(group(1))
	q := query(1, 0, ipv4.Any)
	q.opts = nil
	h.recvGroup(q)
	h.advance(10 * pkt.Second)
	h.wantIGMP("198.18.0.1 > 233.252.0.1 v1 233.252.0.1")
	h.leave(u, group(1), eth0, 0)
	h.advance(10 * pkt.Second)
	h.wantNothing()
	h.join(u, group(2), eth0, 0)
	h.wantIGMP("198.18.0.1 > 233.252.0.2 v1 233.252.0.2")
	h.advance(10 * pkt.Second)
	h.wantIGMP("198.18.0.1 > 233.252.0.2 v1 233.252.0.2")
	// Others' queries are as good as version 1's.
	h.recvGroup(igmp(ipv4.AllHosts, query(3, 1, group(9)).payload...))
	h.advance(10 * pkt.Second)
	h.wantIGMP("198.18.0.1 > 233.252.0.2 v1 233.252.0.2")
}

// An older querier counts as present for 260 s: twice 125, and 10.
func TestQuerierVersionTimesOut(t *testing.T) {
	h := multicastHost(t, 1)
	u := h.member(group(1))
	v1 := query(1, 0, ipv4.Any)
	h.recvGroup(v1)
	h.advance(100 * pkt.Second)
	h.recvGroup(query(2, 10, ipv4.Any))
	h.advance(159 * pkt.Second)
	h.sent = nil
	for _, c := range []struct {
		after pkt.Time
		want  string
	}{
		{0, "233.252.0.2 v1 233.252.0.2"}, {1, "233.252.0.2 v2 233.252.0.2"}, {99, "233.252.0.2 v2 233.252.0.2"},
		{1, "224.0.0.22 v3 TO_EX 233.252.0.2"},
	} {
		h.advance(c.after * pkt.Second)
		h.sent = nil
		h.join(u, group(2), eth0, 0)
		h.wantIGMP("198.18.0.1 > " + c.want)
		h.leave(u, group(2), eth0, 0)
		h.sent = nil
	}
	// What was to be said again in the old version, or in the new one, is not.
	h.advance(10 * pkt.Second)
	h.sent = nil
	h.join(u, group(3), eth0, 0)
	h.sent = nil
	h.recvGroup(igmp(ipv4.AllHosts, query(2, 10, group(9)).payload...))
	h.advance(20 * pkt.Second)
	h.wantNothing()
}

func TestBadQueriesAreIgnored(t *testing.T) {
	h := multicastHost(t, 1)
	h.member(group(1), group(2))
	good := query(3, 10, ipv4.Any)
	with := func(change func(p *packet)) packet {
		p := good
		p.payload = append([]byte(nil), p.payload...)
		change(&p)
		return p
	}
	bad := []packet{
		with(func(p *packet) { p.payload[3]++ }),                               // checksum
		with(func(p *packet) { p.dst = group(1) }),                             // all groups, asked of one
		igmp(ipv4.AllHosts, append(good.payload[:8:8], 0, 0)...),               // of no version
		igmp(ipv4.AllHosts, append(good.payload[:11:11], 1)...),                // a source that is not there
		igmp(ipv4.AllHosts, append(good.payload[:11:11], 1, 198, 18, 0, 9)...), // all groups from one source
		igmp(ipv4.AllHosts, 0x11, 10, 0, 0, 198, 18, 0, 9, 2, 125, 0, 0),       // no group
		igmp(ipv4.AllHosts, 0x13, 10, 0, 0, 0, 0, 0, 0),                        // DVMRP
		igmp(ipv4.AllHosts, 0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 233, 252, 0, 1),
		igmp(ipv4.AllHosts, 0x16, 0, 0, 0, 198, 18, 0, 9),
	}
	h.recvGroup(bad...)
	h.recvBroadcast(with(func(p *packet) { p.dst = ipv4.Broadcast }))
	h.advance(10 * pkt.Second)
	h.wantNothing()
	h.drops(ipv4.DropProtocol, len(bad)+1)
	// These are good.
	answer := "198.18.0.1 > 224.0.0.22 v3 IS_EX 233.252.0.1 IS_EX 233.252.0.2"
	h.recvGroup(with(func(p *packet) { p.src = ipv4.Any })) // a switch's
	h.advance(10 * pkt.Second)
	h.wantIGMP(answer)
	h.recvGroup(with(func(p *packet) { p.opts = nil })) // without a router alert, as Linux takes it
	h.advance(10 * pkt.Second)
	h.wantIGMP(answer)
	h.recv(with(func(p *packet) { p.dst = a0(1) })) // asked of us alone
	h.advance(10 * pkt.Second)
	h.wantIGMP(answer)
	h.recvGroup(with(func(p *packet) { p.ttl = 9 }))
	h.advance(10 * pkt.Second)
	h.wantIGMP(answer)
	// Other protocols may not come from 0.0.0.0.
	h.recvGroup(packet{src: ipv4.Any, dst: group(1), proto: 17, payload: make([]byte, 8)})
	h.drops(ipv4.DropIPSource, 1)
}

func TestAllHostsIsNeverReported(t *testing.T) {
	h := multicastHost(t, 1)
	u := h.member(ipv4.AllHosts)
	h.recvGroup(query(3, 1, ipv4.Any), query(3, 1, ipv4.AllHosts))
	h.advance(20 * pkt.Second)
	h.recvGroup(query(2, 1, ipv4.Any))
	h.advance(20 * pkt.Second)
	h.leave(u, ipv4.AllHosts, eth0, 0)
	h.advance(20 * pkt.Second)
	h.wantNothing()
}

func TestMembershipOutlivesTheInterface(t *testing.T) {
	h := multicastHost(t, 1)
	u := h.udp(ep(ipv4.Any, 5353))
	h.flags("eth0", false)
	h.join(u, group(1), eth0, 0)
	h.advance(20 * pkt.Second)
	h.wantNothing()
	for range 2 {
		h.flags("eth0", true)
		h.poll()
		h.wantIGMP("198.18.0.1 > 224.0.0.22 v3 TO_EX 233.252.0.1")
		h.flags("eth0", false) // and nothing is said any more
		h.poll()
		h.advance(20 * pkt.Second)
		h.wantNothing()
	}
	h.leave(u, group(1), eth0, 0)
	h.flags("eth0", true)
	h.advance(20 * pkt.Second)
	h.wantNothing()
}

func TestInterfaceWithoutAddressReports(t *testing.T) {
	h := multicastHost(t, 1)
	h.ioctl(SIOCSIFADDR, &Ifreq{Name: "eth0", Addr: SockaddrIn(ipv4.Any)})
	u := h.udp(ep(ipv4.Any, 5353))
	h.join(u, group(1), eth0, 0)
	h.wantIGMP("0.0.0.0 > 224.0.0.22 v3 TO_EX 233.252.0.1")
	h.advance(pkt.Second)
	h.sent = nil
	h.recvGroup(query(2, 1, group(1)))
	h.advance(pkt.Second)
	h.wantIGMP("0.0.0.0 > 233.252.0.1 v2 233.252.0.1")
}

// Reports are as long as the MTU allows, and then there are more.
func TestReportsFitTheMTU(t *testing.T) {
	h := multicastHost(t, 1)
	h.ioctl(SIOCSIFMTU, &Ifreq{Name: "eth0", Value: 68})
	u := h.udp(ep(ipv4.Any, 5353))
	for n := range 10 {
		if e := u.SetMreqn(IP_ADD_MEMBERSHIP, &Mreqn{Multiaddr: group(n), Ifindex: eth0}); e != 0 {
			t.Fatal(e)
		}
	}
	h.poll()
	for _, repeat := range []string{"TO_EX", "TO_EX", "IS_EX"} {
		records := ""
		for _, f := range h.sent {
			text := igmpText(t, f.f)
			records += text[len("198.18.0.1 > 224.0.0.22 v3"):]
		}
		if n := len(h.sent); n != 3 {
			t.Errorf("%d reports", n)
		}
		h.sent = nil
		want := ""
		for n := range 10 {
			want += fmt.Sprintf(" %s 233.252.0.%d", repeat, n)
		}
		if records != want {
			t.Errorf("records%s, want%s", records, want)
		}
		h.advance(pkt.Second)
		if len(h.sent) == 0 {
			h.recvGroup(query(3, 0, ipv4.Any))
		}
	}
	h.sent = nil
}

func TestMembershipErrors(t *testing.T) {
	h := multicastHost(t, 2)
	var closed UDP
	h.join(&closed, group(1), eth0, errno.EINVAL)
	u := h.udp(ep(ipv4.Any, 5353))
	add, drop, via := IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP, IP_MULTICAST_IF
	for i, c := range []struct {
		name int
		r    Mreqn
		want Errno
	}{
		{add, Mreqn{Multiaddr: a0(2), Ifindex: eth0}, errno.EINVAL},
		{add, Mreqn{Multiaddr: group(1), Ifindex: 9}, errno.ENODEV},
		{add, Mreqn{Multiaddr: group(1), Ifindex: -1}, errno.ENODEV},
		{add, Mreqn{Multiaddr: group(1), Address: a0(2)}, errno.ENODEV},
		{add, Mreqn{Multiaddr: group(1)}, errno.ENODEV}, // no route
		{drop, Mreqn{Multiaddr: group(1)}, errno.ENODEV},
		{drop, Mreqn{Multiaddr: group(1), Ifindex: eth0}, errno.EADDRNOTAVAIL},
		{drop, Mreqn{Multiaddr: group(1), Ifindex: 9}, errno.EADDRNOTAVAIL},
		{drop, Mreqn{Multiaddr: a0(2), Ifindex: eth0}, errno.EADDRNOTAVAIL},
		{add, Mreqn{Multiaddr: group(1), Ifindex: eth0}, 0},
		{add, Mreqn{Multiaddr: group(1), Ifindex: eth0}, errno.EADDRINUSE},
		{add, Mreqn{Multiaddr: group(1), Address: a0(1)}, errno.EADDRINUSE},
		{add, Mreqn{Multiaddr: group(1), Address: a1(1)}, 0},
		{add, Mreqn{Multiaddr: group(1), Address: a1(2), Ifindex: eth0}, errno.EADDRINUSE}, // the index counts
		{drop, Mreqn{Multiaddr: group(1), Address: a1(1)}, 0},
		{drop, Mreqn{Multiaddr: group(1), Address: a1(1)}, errno.EADDRNOTAVAIL},
		{drop, Mreqn{Multiaddr: group(1), Address: a0(9)}, errno.EADDRNOTAVAIL},
		{drop, Mreqn{Multiaddr: group(1), Ifindex: eth0}, 0},
		{add, Mreqn{Multiaddr: group(1), Ifindex: 1}, 0}, // lo
		{via, Mreqn{Ifindex: 9}, errno.EADDRNOTAVAIL},
		{via, Mreqn{Address: a0(2)}, errno.EADDRNOTAVAIL},
		{via, Mreqn{Address: a0(1)}, 0},
		{via, Mreqn{Ifindex: eth1, Address: a0(1)}, 0},
		{via, Mreqn{}, 0},
		{IP_TTL, Mreqn{}, errno.ENOPROTOOPT},
	} {
		if e := u.SetMreqn(c.name, &c.r); e != c.want {
			t.Errorf("%d: %v, want %v", i, e, c.want)
		}
	}
	h.advance(20 * pkt.Second)
	h.sent = nil
	h.defaultRoute()
	h.join(u, group(2), 0, 0) // by the route
	h.wantIGMP("198.18.0.1 > 224.0.0.22 v3 TO_EX 233.252.0.2")
	h.advance(20 * pkt.Second)
	h.sent = nil

	for i, c := range []struct {
		name, v int
		want    Errno
		get     int
	}{
		{IP_MULTICAST_TTL, 0, 0, 0}, {IP_MULTICAST_TTL, 255, 0, 255}, {IP_MULTICAST_TTL, 256, errno.EINVAL, 255},
		{IP_MULTICAST_TTL, -2, errno.EINVAL, 255}, {IP_MULTICAST_TTL, -1, 0, 1},
		{IP_MULTICAST_LOOP, 0, 0, 0}, {IP_MULTICAST_LOOP, 7, 0, 1},
		{IP_MULTICAST_ALL, 2, errno.EINVAL, 1}, {IP_MULTICAST_ALL, 0, 0, 0}, {IP_MULTICAST_ALL, 1, 0, 1},
		{IP_MULTICAST_IF, eth1, 0, eth1}, {IP_MULTICAST_IF, 9, errno.EADDRNOTAVAIL, eth1}, {IP_MULTICAST_IF, 0, 0, 0},
	} {
		if e := u.SetOption(SOL_IP, c.name, c.v); e != c.want {
			t.Errorf("%d: %v, want %v", i, e, c.want)
		}
		if v, e := u.Option(SOL_IP, c.name); v != c.get || e != 0 {
			t.Errorf("%d: got %d, %v, want %d", i, v, e, c.get)
		}
	}
	u.SetOption(SOL_SOCKET, SO_BINDTODEVICE, eth0)
	if e := u.SetOption(SOL_IP, IP_MULTICAST_IF, eth1); e != errno.EINVAL {
		t.Error(e)
	}
	if e := u.SetOption(SOL_IP, 37, 1); e != errno.ENOPROTOOPT {
		t.Error(e)
	}
	v := h.udp(ep(ipv4.Any, 5454))
	for i, want := range map[int]int{IP_MULTICAST_TTL: 1, IP_MULTICAST_LOOP: 1, IP_MULTICAST_ALL: 1, IP_MULTICAST_IF: 0} {
		if got, e := v.Option(SOL_IP, i); got != want || e != 0 {
			t.Errorf("option %d of a new socket: %d, %v", i, got, e)
		}
	}
}

func TestMembershipsAreBounded(t *testing.T) {
	h := multicastHost(t, 1)
	var socks []*UDP
	for n := 0; ; n++ {
		u := h.udp(ep(ipv4.Any, uint16(1000+n)))
		socks = append(socks, u)
		k, e := 0, Errno(0)
		for ; e == 0; k++ {
			e = u.SetMreqn(IP_ADD_MEMBERSHIP, &Mreqn{Multiaddr: ipv4.AddrOf(233, 252, 0, 0) + ipv4.Addr(100*n+k), Ifindex: eth0})
		}
		if e != errno.ENOBUFS {
			t.Fatal(e)
		}
		if k-1 != maxMemberships {
			if n*maxMemberships+k-1 != 16<<(2*feature.Profile) {
				t.Errorf("%d sockets and %d memberships", n, k-1)
			}
			break
		}
	}
	for _, u := range socks {
		u.Close()
	}
	// Groups that come and go faster than they can be reported take no more.
	u := h.udp(ep(ipv4.Any, 1000))
	for n := range 1000 {
		r := &Mreqn{Multiaddr: ipv4.AddrOf(233, 252, 0, 0) + ipv4.Addr(n), Ifindex: eth0}
		if u.SetMreqn(IP_ADD_MEMBERSHIP, r) != 0 || u.SetMreqn(IP_DROP_MEMBERSHIP, r) != 0 {
			t.Fatal(n)
		}
	}
	h.poll()
	records := 0
	for _, f := range h.sent {
		records += strings.Count(igmpText(t, f.f), "TO_IN")
	}
	if records != 16<<(2*feature.Profile) {
		t.Errorf("%d records", records)
	}
	h.advance(20 * pkt.Second)
	h.sent = nil
	if m := groupsOf(h.s.ifaces[1]); m.Has(group(1)) || m.Due(h.now) != pkt.Never {
		t.Error("something is left")
	}
}

func TestGroupsAreDelivered(t *testing.T) {
	h := multicastHost(t, 2)
	to := ep(group(1), 5353)
	in := udpPacket(ep(a0(2), 9), to, "x")
	h.recvGroup(in)
	h.drops(ipv4.DropIPDest, 1)
	u := h.member(group(1))
	v := new(UDP)
	v.Flags, u.Flags = udp.ReuseAddr, udp.ReuseAddr
	if err := h.s.OpenUDP(v, to); err != nil {
		t.Fatal(err)
	}
	own, other := new(UDP), new(UDP)
	for _, x := range []*UDP{own, other} {
		x.Flags = udp.ReuseAddr
		if err := h.s.OpenUDP(x, ep(ipv4.Any, 5353)); err != nil {
			t.Fatal(err)
		}
	}
	own.SetOption(SOL_IP, IP_MULTICAST_ALL, 0)
	other.SetOption(SOL_SOCKET, SO_BINDTODEVICE, eth1)
	h.recvGroup(in)
	for _, x := range []*UDP{u, v} { // whoever has the port, whether a member or not
		var m udp.Meta
		var p [9]byte
		if n, e := x.RecvFrom(p[:], &m); n != 1 || e != 0 || m.Dst != group(1) || m.Src != ep(a0(2), 9) || m.Ifindex != eth0 || m.TTL != 9 {
			t.Errorf("%d, %v, %+v", n, e, m)
		}
	}
	h.got(own, "")
	h.got(other, "")
	h.join(own, group(1), eth0, 0)
	h.wantNothing() // joined already
	h.recvGroup(in)
	h.got(own, "198.18.0.2:9 x")
	h.got(u, "198.18.0.2:9 x")
	h.got(v, "198.18.0.2:9 x")
	// Another group, another interface, and the link's unicast: only the group counts.
	h.recvGroup(udpPacket(ep(a0(2), 9), ep(group(2), 5353), "x"))
	h.recvOn(eth1, frame(groupMAC(group(1)), mac(12), netif.EtherTypeIPv4, udpPacket(ep(a1(2), 9), to, "x").bytes()))
	h.drops(ipv4.DropIPDest, 2)
	h.recv(in)
	h.got(u, "198.18.0.2:9 x")
	h.got(own, "198.18.0.2:9 x")
	h.got(v, "198.18.0.2:9 x")
	// Broadcasts are no matter of memberships.
	h.recvBroadcast(udpPacket(ep(a0(2), 9), ep(ipv4.Broadcast, 5353), "b"))
	h.got(own, "198.18.0.2:9 b")
	h.got(u, "198.18.0.2:9 b")
	if feature.Reassembly {
		whole := udpPacket(ep(a0(2), 9), to, strings.Repeat("0123456789", 100))
		first, last := whole, whole
		first.payload, first.frag, first.id = whole.payload[:800], 0x2000, 7
		last.payload, last.frag, last.id = whole.payload[800:], 100, 7
		h.recvGroup(last, first)
		h.got(u, "198.18.0.2:9 "+strings.Repeat("0123456789", 100))
		h.got(own, "198.18.0.2:9 "+strings.Repeat("0123456789", 100))
		h.got(v, "198.18.0.2:9 "+strings.Repeat("0123456789", 100))
	}
	h.wantNothing()
}

// TestGroupsGetNoErrors: neither ICMP, nor a reset, nor an echo reply.
func TestGroupsGetNoErrors(t *testing.T) {
	h := multicastHost(t, 1)
	h.member(group(1))
	h.recvGroup(udpPacket(ep(a0(2), 9), ep(group(1), 9999), "x"))
	h.drops(ipv4.DropUDPPort, 1)
	h.recvGroup(tcpPacket(ep(a0(2), 9), ep(group(1), 80), 1, 0, tcp.SYN, nil, ""))
	h.drops(ipv4.DropTCPSYNSource, 1)
	h.recvGroup(echo(a0(2), group(1), "x"))
	h.drops(ipv4.DropICMPBroadcast, 1)
	h.recvGroup(packet{src: a0(2), dst: group(1), proto: 99, ttl: 9})
	h.drops(ipv4.DropProtocol, 1)
	h.wantNothing()
}

func TestGroupsLoopBack(t *testing.T) {
	h := multicastHost(t, 2)
	u := h.member(group(1))
	v := h.udp(ep(ipv4.Any, 1000))
	out := func(text string) string {
		return `01:00:5e:7c:00:01 198.18.0.1:1000 > 233.252.0.1:5353 udp "` + text + `" ttl=1`
	}
	h.sendTo(v, "x", ep(group(1), 5353), errno.ENETUNREACH)
	v.SetOption(SOL_IP, IP_MULTICAST_IF, eth0)
	h.sendTo(v, "x", ep(group(1), 5353), 0)
	h.want(out("x"))
	var m udp.Meta
	if n, e := u.RecvFrom(make([]byte, 9), &m); n != 1 || e != 0 || m.Src != ep(a0(1), 1000) || m.Dst != group(1) || m.Ifindex != eth0 {
		t.Errorf("%d, %v, %+v", n, e, m)
	}
	v.SetOption(SOL_IP, IP_MULTICAST_LOOP, 0)
	h.sendTo(v, "y", ep(group(1), 5353), 0)
	h.want(out("y"))
	h.got(u, "")
	v.SetOption(SOL_IP, IP_MULTICAST_LOOP, 1)
	v.SetOption(SOL_IP, IP_MULTICAST_TTL, 0) // to ourselves
	h.sendTo(v, "z", ep(group(1), 5353), 0)
	h.wantNothing()
	h.got(u, "198.18.0.1:1000 z")
	v.SetOption(SOL_IP, IP_MULTICAST_TTL, 1)
	// What goes by another interface does not reach a member on this one.
	v.SetOption(SOL_IP, IP_MULTICAST_IF, eth1)
	h.sendTo(v, "x", ep(group(1), 5353), 0)
	h.want(`eth1 01:00:5e:7c:00:01 198.18.1.1:1000 > 233.252.0.1:5353 udp "x" ttl=1`)
	h.got(u, "")
	// The source that goes with the interface.
	v.SetMreqn(IP_MULTICAST_IF, &Mreqn{Ifindex: eth1, Address: a0(1)})
	h.sendTo(v, "x", ep(group(1), 5353), 0)
	h.want(`eth1 01:00:5e:7c:00:01 198.18.0.1:1000 > 233.252.0.1:5353 udp "x" ttl=1`)
	// SO_BINDTODEVICE goes before IP_MULTICAST_IF.
	v.SetOption(SOL_SOCKET, SO_BINDTODEVICE, eth0)
	h.sendTo(v, "x", ep(group(1), 5353), 0)
	h.want(out("x"))
	h.got(u, "198.18.0.1:1000 x")
	if feature.Fragmentation && feature.Reassembly {
		big := strings.Repeat("0123456789", 300)
		h.sendTo(v, big, ep(group(1), 5353), 0)
		if len(h.sent) != 3 {
			t.Errorf("%d fragments", len(h.sent))
		}
		h.sent = nil
		h.got(u, "198.18.0.1:1000 "+big)
	}
	// Group to group, and the sender is a member himself.
	h.join(v, group(1), eth0, 0)
	v.SetOption(SOL_SOCKET, SO_BINDTODEVICE, 0)
	u.SetOption(SOL_IP, IP_MULTICAST_IF, eth0)
	h.sendTo(u, "me", ep(group(1), 5353), 0)
	h.sent = nil
	h.got(u, "198.18.0.1:5353 me")
	// On lo there is nobody else.
	w := h.udp(ep(ipv4.Any, 7000))
	h.join(w, group(7), 1, 0)
	v.SetMreqn(IP_MULTICAST_IF, &Mreqn{Ifindex: 1})
	h.sendTo(v, "lo", ep(group(7), 7000), 0)
	h.got(w, "127.0.0.1:1000 lo")
	h.sendTo(v, "lo", ep(group(8), 7000), 0)
	h.drops(ipv4.DropIPDest, 1)
	h.got(w, "")
	h.wantNothing()
}

// What nobody polls for does not fill the memory.
func TestGroupLoopIsBounded(t *testing.T) {
	if !feature.Multicast {
		t.Skip("needs feature multicast")
	}
	h := newHostMTU(t, 1, 1500, Config{Memory: 32 << 10})
	h.ttl = 1
	u := h.member(group(1))
	u.SetOption(SOL_IP, IP_MULTICAST_IF, eth0)
	for range 100 {
		if _, e := u.SendTo(h.now, []byte("x"), ep(group(1), 9)); e != 0 {
			t.Fatal(e)
		}
	}
	m := groupsOf(h.s.ifaces[1])
	n := len(m.loop)
	if n*h.s.pool.Size() > 34<<10 || n < 10 {
		t.Errorf("%d wait", n)
	}
	h.poll()
	h.drops(ipv4.DropMemory, 100-n, ipv4.DropUDPPort, n)
	if len(m.loop) != 0 {
		t.Errorf("%d are left", len(m.loop))
	}
	h.sent = nil
}

func TestRawSocketsInGroups(t *testing.T) {
	h := multicastHost(t, 2)
	r := h.raw(&Raw{Proto: 99})
	p := packet{src: a0(2), dst: group(1), proto: 99, payload: []byte("data"), ttl: 9}
	h.recvGroup(p)
	h.drops(ipv4.DropIPDest, 1)
	h.join(r, group(1), eth0, 0)
	h.advance(20 * pkt.Second)
	h.sent = nil
	h.recvGroup(p)
	h.gotRaw(r, p.bytes())
	q := h.raw(&Raw{Proto: 99})
	if e := q.SetMulticast(IP_MULTICAST_ALL, 0); e != 0 {
		t.Error(e)
	}
	h.recvGroup(p)
	h.gotRaw(r, p.bytes())
	h.gotRaw(q, nil)
	if e := q.SetMulticast(IP_MULTICAST_IF, eth1); e != 0 {
		t.Error(e)
	}
	h.sendRaw(q, []byte("out"), group(1), 0)
	h.want("eth1 01:00:5e:7c:00:01 198.18.1.1 > 233.252.0.1 proto 99 len 3 ttl=1")
	q.SetMulticast(IP_MULTICAST_TTL, 3)
	q.SetMulticast(IP_MULTICAST_IF, eth0)
	h.ttl = 3
	h.sendRaw(q, []byte("out"), group(1), 0)
	h.want("01:00:5e:7c:00:01 198.18.0.1 > 233.252.0.1 proto 99 len 3 ttl=3")
	var m udp.Meta
	if n, e := r.RecvFrom(make([]byte, 99), &m); n != 23 || e != 0 || m.Src.Addr != a0(1) || m.Ifindex != eth0 {
		t.Errorf("%d, %v, %+v", n, e, m)
	}
	q.SetMulticast(IP_MULTICAST_LOOP, 0)
	h.sendRaw(q, []byte("out"), group(1), 0)
	h.gotRaw(r, nil)
	h.sent = nil
	h.ttl = 1
	r.Close()
	h.poll()
	h.wantIGMP("198.18.0.1 > 224.0.0.22 v3 TO_IN 233.252.0.1")
	h.advance(20 * pkt.Second)
	h.sent = nil
	h.recvGroup(p)
	h.drops(ipv4.DropIPDest, 1)
}

// Without the feature the calls say so.
func TestWithoutMulticast(t *testing.T) {
	if feature.Multicast {
		t.Skip("it is about builds without feature multicast")
	}
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 5353))
	h.join(u, group(1), eth0, errno.ENOPROTOOPT)
	if e := u.SetOption(SOL_IP, IP_MULTICAST_TTL, 1); e != errno.ENOPROTOOPT {
		t.Error(e)
	}
	var r Raw
	if r.SetMreqn(IP_ADD_MEMBERSHIP, &Mreqn{}) != errno.ENOPROTOOPT || r.SetMulticast(IP_MULTICAST_TTL, 1) != errno.ENOPROTOOPT {
		t.Error("raw sockets have it")
	}
}

// TestQueriesFromBeyondTheLinkAreIgnored: those have had another time to live than 1, and a destination
// that routers forward.
func TestQueriesFromBeyondTheLinkAreIgnored(t *testing.T) {
	h := multicastHost(t, 1)
	h.defaultRoute()
	h.member(group(1))
	for _, q := range []packet{query(1, 0, ipv4.Any), query(2, 1, ipv4.Any), query(3, 0, ipv4.Any)} {
		q.src, q.dst, q.ttl = far, a0(1), 57
		h.recv(q)
	}
	// Nor does one for 127.0.0.1, as which it would be asked of us, come from a link.
	q := query(3, 0, ipv4.Any)
	q.src, q.dst = ipv4.Any, ipv4.Loopback
	h.recv(q)
	h.advance(20 * pkt.Second)
	h.wantNothing()
	h.drops(ipv4.DropProtocol, 3, ipv4.DropIPSource, 1)
}

// TestAFlapIsAnnounced: an interface that goes down and comes up again between two calls of Poll.
func TestAFlapIsAnnounced(t *testing.T) {
	h := multicastHost(t, 1)
	h.member(group(1))
	h.advance(10 * pkt.Second)
	h.sent = nil
	i := h.s.ifaces[eth0-1]
	h.s.setFlags(i, i.Flags&^netif.IFF_UP)
	h.s.setFlags(i, i.Flags|netif.IFF_UP)
	h.poll()
	h.wantIGMP("198.18.0.1 > 224.0.0.22 v3 TO_EX 233.252.0.1")
	h.advance(10 * pkt.Second)
	h.sent = nil
}
