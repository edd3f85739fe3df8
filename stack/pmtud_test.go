package stack

import (
	"encoding/binary"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/tcp"
)

// sackSyn are the options of a peer with selective acknowledgments, plainSyn those
// of one without.
var (
	plainSyn = []byte{2, 4, 5, 180}
	sackSyn  = []byte{2, 4, 5, 180, 1, 1, 4, 2}
)

// fragNeeded is a router's answer to packet p: it does not fit into mtu.
func fragNeeded(p []byte, mtu int) packet {
	return icmpPacket(far, a0(1), 3, ipv4.UnreachFragNeeded, uint32(mtu), quote(p))
}

// bigSender returns a host with n full segments in flight, as they were sent.
func bigSender(t *testing.T, opts []byte, n int) (*host, *Conn, *peer, [][]byte) {
	t.Helper()
	if !feature.PMTUD {
		t.Skip("needs feature pmtud")
	}
	h := newHost(t, 1)
	c, p := h.open(ep(a0(2), 80), opts)
	if m, e := c.Write(make([]byte, n*1460)); m != n*1460 {
		t.Fatal(m, e)
	}
	h.poll()
	sent := h.segments()
	if len(sent) != n || len(sent[0]) != 1500 {
		t.Fatalf("%d segments, the first of %d bytes", len(sent), len(sent[0]))
	}
	return h, c, p, sent
}

// segments takes the packets that were sent.
func (h *host) segments() (list [][]byte) {
	for _, f := range h.sent {
		list = append(list, f.f[14:])
	}
	h.sent = nil
	return list
}

func tcpSeq(p []byte) uint32 { return binary.BigEndian.Uint32(p[24:]) }

func TestC35PathMTUIsWhatTheRouterSays(t *testing.T) {
	for _, opts := range [][]byte{plainSyn, sackSyn} {
		h, c, _, sent := bigSender(t, opts, 3)
		if binary.BigEndian.Uint16(sent[0][6:]) != 0x4000 {
			t.Error("DF is not set")
		}
		h.recv(fragNeeded(sent[0], 1000))
		if c.MSS() != 960 {
			t.Errorf("MSS is %d, want 960", c.MSS())
		}
		for _, p := range h.segments() {
			if len(p) > 1000 {
				t.Errorf("a packet of %d bytes", len(p))
			}
		}
		// The next connection knows it from the start (RFC 1191 section 6.2).
		d := h.dial(ep(a0(2), 81))
		if syn := h.take(); binary.BigEndian.Uint16(syn[42:]) != 960 {
			t.Errorf("the SYN's MSS option is %d", binary.BigEndian.Uint16(syn[42:]))
		}
		// And so does none to another host.
		h.dial(ep(a0(3), 81))
		if syn := h.take(); binary.BigEndian.Uint16(syn[42:]) != 1460 {
			t.Errorf("to another host, the SYN's MSS option is %d", binary.BigEndian.Uint16(syn[42:]))
		}
		_ = d
	}
}

// RFC 1191 section 5: a router that does not give the next hop's MTU leaves it to
// us to guess, by the plateaus of section 7.1.
func TestC35PlateausForOldRouters(t *testing.T) {
	for _, c := range []struct{ total, want uint16 }{
		{65535, 32000}, {32000, 17914}, {17914, 8166}, {8166, 4352}, {4352, 2002}, {2002, 1492}, {1500, 1492},
		{1492, 1006}, {1006, 576}, {600, 576}, {576, 552}, {553, 552},
	} {
		h, _, _, sent := bigSender(t, sackSyn, 3)
		binary.BigEndian.PutUint16(sent[0][2:], c.total)
		h.recv(fragNeeded(sent[0], 0))
		if got := pmtuOf(h.s).mtu(a0(2), 65535); got != c.want {
			t.Errorf("a packet of %d bytes: %d, want %d", c.total, got, c.want)
		}
		h.sent = nil
	}
}

func TestC35NeverBelowTheFloor(t *testing.T) {
	for _, mtu := range []int{1, 20, 67, 68, 296, 551} {
		h, c, _, sent := bigSender(t, sackSyn, 3)
		h.recv(fragNeeded(sent[0], mtu))
		if c.MSS() != minPMTU-40 {
			t.Errorf("MTU %d: MSS %d", mtu, c.MSS())
		}
		h.sent = nil
	}
}

func TestC35NeverRaisedByAMessage(t *testing.T) {
	h, c, _, sent := bigSender(t, sackSyn, 3)
	h.recv(fragNeeded(sent[0], 1000))
	h.sent = nil
	for _, mtu := range []int{1001, 1400, 1499, 1500, 9000, 65535} {
		h.recv(fragNeeded(sent[0], mtu))
		if c.MSS() != 960 || pmtuOf(h.s).mtu(a0(2), 1500) != 1000 {
			t.Errorf("MTU %d: MSS %d, path %d", mtu, c.MSS(), pmtuOf(h.s).mtu(a0(2), 1500))
		}
	}
	h.drops(ipv4.DropICMPQuote, 3) // 1500 and more would have passed
	h.sent = nil
}

func TestC36SequenceNumberMustBeInFlight(t *testing.T) {
	h, c, p, sent := bigSender(t, sackSyn, 3)
	p.ack += 1460
	h.recv(p.seg(tcp.ACK, nil, ""))
	una := p.ack
	for _, seq := range []uint32{una - 1, una - 1460, una + 2*1460, una + 1<<31, una - 1<<30} {
		q := append([]byte(nil), quote(sent[0])...)
		binary.BigEndian.PutUint32(q[24:], seq)
		h.recv(fragNeeded(q, 600))
		if c.MSS() != 1460 {
			t.Fatalf("a forged sequence number %d from una was believed", int32(seq-una))
		}
	}
	h.drops(ipv4.DropICMPSequence, 5)
	// Nor anything about a connection that there is not, or another protocol's.
	q := append([]byte(nil), quote(sent[1])...)
	q[23]++
	h.recv(fragNeeded(q, 600))
	q = append([]byte(nil), quote(sent[1])...)
	q[9] = 99
	h.recv(fragNeeded(q, 600))
	h.drops(ipv4.DropICMPNoSocket, 2)
	h.wantNothing()
	h.recv(fragNeeded(sent[1], 600)) // and this one is genuine
	if c.MSS() != 560 {
		t.Errorf("MSS %d", c.MSS())
	}
	h.sent = nil
}

func TestC36ResegmentsAtOnceWithoutCollapse(t *testing.T) {
	for _, opts := range [][]byte{plainSyn, sackSyn} {
		h, c, p, sent := bigSender(t, opts, 3)
		before := c.Info(h.now)
		h.recv(fragNeeded(sent[0], 1000))
		// All of it, in the smaller size, at this very instant.
		next := tcpSeq(sent[0])
		for _, x := range h.segments() {
			if tcpSeq(x) != next || len(x) > 1000 {
				t.Fatalf("%d bytes at %d, want them at %d", len(x), tcpSeq(x)-tcpSeq(sent[0]), next-tcpSeq(sent[0]))
			}
			next += uint32(len(x) - 40)
		}
		if n := next - tcpSeq(sent[0]); n != 3*1460 {
			t.Errorf("%d bytes were sent again, want %d", n, 3*1460)
		}
		// "a retransmission caused by a Datagram Too Big message should not change the
		// congestion window" (RFC 1191 section 6.4).
		after := c.Info(h.now)
		if a, b := after.SndCwnd*after.SndMSS, before.SndCwnd*before.SndMSS; a+after.SndMSS < b || after.SndSsthresh != tcp.InfiniteSsthresh {
			t.Errorf("window %d of %d, was %d of %d; ssthresh %d, was %d",
				after.SndCwnd, after.SndMSS, before.SndCwnd, before.SndMSS, after.SndSsthresh, before.SndSsthresh)
		}
		p.ack += 3 * 1460
		h.recv(p.seg(tcp.ACK, nil, ""))
		if c.Unacked() != 0 {
			t.Errorf("%d bytes unacknowledged", c.Unacked())
		}
		h.wantNothing()
	}
}

// A router that drops a whole window says so for each packet; each must not set
// off the whole window again.
func TestC36ManyMessagesOneRetransmission(t *testing.T) {
	for _, opts := range [][]byte{plainSyn, sackSyn} {
		h, _, _, sent := bigSender(t, opts, 10)
		n := 0
		for _, p := range sent {
			h.recv(fragNeeded(p, 1000))
			for _, x := range h.segments() {
				n += len(x) - 40
			}
		}
		if n > 10*1460 {
			t.Errorf("10 messages about %d bytes: %d are sent again", 10*1460, n)
		}
	}
}

// Who shares the path learns it too, with nothing lost on the way.
func TestC36OtherConnectionsOnThePath(t *testing.T) {
	h, _, _, sent := bigSender(t, sackSyn, 3)
	other, _ := h.open(ep(a0(2), 81), sackSyn)
	h.recv(fragNeeded(sent[0], 1000))
	h.sent = nil
	other.Write(make([]byte, 2000))
	h.poll()
	n := 0
	for _, x := range h.segments() {
		if len(x) > 1000 {
			t.Errorf("a packet of %d bytes", len(x))
		}
		n += len(x) - 40
	}
	if n != 2000 {
		t.Errorf("%d of 2000 bytes were sent", n)
	}
}

func TestC36DatagramsLearnThePathMTU(t *testing.T) {
	if !feature.PMTUD || !feature.Fragmentation {
		t.Skip("needs features pmtud and fragmentation")
	}
	h := newHost(t, 1)
	u := h.udp(ep(ipv4.Any, 1000))
	u.Connect(h.now, ep(a0(2), 2000))
	data := string(make([]byte, 1400))
	h.sendTo(u, data, ipv4.Endpoint{}, 0)
	sent := h.take()
	// Not about a socket that there is not.
	q := append([]byte(nil), quote(sent)...)
	q[21]++
	h.recv(fragNeeded(q, 600))
	h.drops(ipv4.DropICMPNoSocket, 1)
	h.recv(fragNeeded(sent, 1000))
	h.sendTo(u, data, ipv4.Endpoint{}, errno.EMSGSIZE)
	h.sendTo(u, data, ipv4.Endpoint{}, 0)
	h.want("m2 198.18.0.1 > 198.18.0.2 frag 976@0+", "m2 198.18.0.1 > 198.18.0.2 frag 432@976")
}

// "An attempt to detect an increase [...] MUST NOT be done less than 5 minutes after a Datagram
// Too Big message has been received" (RFC 1191 section 3): 10, here.
func TestC37LargerIsTriedAfterTenMinutes(t *testing.T) {
	h, c, p, sent := bigSender(t, sackSyn, 3)
	h.recv(fragNeeded(sent[0], 1000))
	h.sent = nil
	p.ack += 3 * 1460
	h.recv(p.seg(tcp.ACK, nil, ""))
	mss := func() int {
		c.Write(make([]byte, 2000))
		h.poll()
		most := 0
		for _, x := range h.segments() {
			most = max(most, len(x)-40)
		}
		p.ack += 2000
		h.recv(p.seg(tcp.ACK, nil, ""))
		h.sent = nil
		return most
	}
	h.advance(5 * pkt.Minute)
	if n := mss(); n != 960 {
		t.Errorf("after 5 minutes: segments of %d bytes", n)
	}
	h.advance(5*pkt.Minute - pkt.Second)
	if n := mss(); n != 960 {
		t.Errorf("after 9:59: segments of %d bytes", n)
	}
	h.advance(2 * pkt.Second)
	mss()
	if n := mss(); n != 1460 {
		t.Errorf("after 10 minutes: segments of %d bytes", n)
	}
	if n := pmtuOf(h.s).n; n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// A message that says the same again does not begin the 10 minutes anew; one that
// says less does.
func TestC37EachDecreaseBeginsAnew(t *testing.T) {
	h, _, _, sent := bigSender(t, sackSyn, 3)
	h.recv(fragNeeded(sent[0], 1000))
	h.sent = nil
	start := h.now
	h.s.setPMTU(a0(9), 1200)
	h.now += 9 * pkt.Minute
	h.s.now = h.now
	h.s.setPMTU(a0(2), 900)
	h.now = start + 10*pkt.Minute
	h.s.now = h.now
	if next := h.s.pollPMTU(); next != start+19*pkt.Minute {
		t.Errorf("next expiry %d s from the start, want 1140", (next-start)/pkt.Second)
	}
	if a, b := pmtuOf(h.s).mtu(a0(2), 1500), pmtuOf(h.s).mtu(a0(9), 1500); a != 900 || b != 1500 {
		t.Errorf("paths of %d and %d", a, b)
	}
}

func TestC35TableIsBounded(t *testing.T) {
	if !feature.PMTUD {
		t.Skip("needs feature pmtud")
	}
	h := newHost(t, 1)
	for i := range uint32(4 * maxPMTU) {
		h.s.setPMTU(ipv4.AddrOf(198, 19, byte(i>>8), byte(i)), 1000)
		if n := pmtuOf(h.s).n; n > maxPMTU {
			t.Fatalf("%d entries, at most %d", n, maxPMTU)
		}
	}
	last := uint32(4*maxPMTU - 1)
	if pmtuOf(h.s).mtu(ipv4.AddrOf(198, 19, byte(last>>8), byte(last)), 1500) != 1000 {
		t.Error("the latest is not there")
	}
	if pmtuOf(h.s).mtu(ipv4.AddrOf(198, 19, 0, 0), 1500) != 1500 {
		t.Error("the oldest has not given way")
	}
}

// What a router says counts in all modes of IP_MTU_DISCOVER but INTERFACE and OMIT; a
// connected socket learns of it as of a hard error, but with DONT (as Linux has it).
func TestC36ModesOfMTUDiscover(t *testing.T) {
	if !feature.PMTUD || !feature.Fragmentation {
		t.Skip("needs features pmtud and fragmentation")
	}
	for mode, want := range []struct {
		mtu int
		err Errno
	}{{1000, 0}, {1000, errno.EMSGSIZE}, {1000, errno.EMSGSIZE}, {1000, errno.EMSGSIZE}, {1500, 0}, {1500, 0}} {
		h := newHost(t, 1)
		u := h.udp(ep(ipv4.Any, 1000))
		u.Connect(h.now, ep(a0(2), 2000))
		u.SetOption(SOL_IP, IP_MTU_DISCOVER, mode)
		h.sendTo(u, string(make([]byte, 1400)), ipv4.Endpoint{}, 0)
		h.recv(fragNeeded(h.take(), 1000))
		if v, _ := u.Option(SOL_IP, IP_MTU); v != want.mtu {
			t.Errorf("mode %d: IP_MTU %d, want %d", mode, v, want.mtu)
		}
		if e, _ := u.Option(SOL_SOCKET, SO_ERROR); Errno(e) != want.err {
			t.Errorf("mode %d: %v, want %v", mode, Errno(e), want.err)
		}
		if mode == IP_PMTUDISC_DO {
			h.sendTo(u, string(make([]byte, 973)), ipv4.Endpoint{}, errno.EMSGSIZE)
			h.sendTo(u, string(make([]byte, 972)), ipv4.Endpoint{}, 0)
			h.take()
		}
	}
	for mode := range IP_PMTUDISC_OMIT + 1 { // TCP sends again at once
		h, c, _, sent := bigSender(t, sackSyn, 3)
		c.SetOption(SOL_IP, IP_MTU_DISCOVER, mode)
		h.noCheck = true
		h.recv(fragNeeded(sent[0], 1000))
		if got, want := len(h.segments()) > 0, mode != IP_PMTUDISC_DONT && mode < IP_PMTUDISC_INTERFACE; got != want {
			t.Errorf("mode %d: resegmented %v, want %v", mode, got, want)
		}
	}
}

// Packets of raw sockets go with DF too, so that what is said about them counts.
func TestC36RawSocketsLearnThePathMTU(t *testing.T) {
	if !feature.PMTUD || !feature.Fragmentation || !feature.RawSock {
		t.Skip("needs features pmtud, fragmentation and rawsock")
	}
	h := newHost(t, 1)
	r := h.raw(&Raw{Proto: 99, Remote: a0(2)})
	h.sendRaw(r, make([]byte, 1400), ipv4.Any, 0)
	sent := h.take()
	other := append([]byte(nil), quote(sent)...)
	other[9] = 98
	h.recv(fragNeeded(other, 1000))
	h.drops(ipv4.DropICMPNoSocket, 1)
	h.recv(fragNeeded(sent, 1000))
	h.sendRaw(r, make([]byte, 1400), ipv4.Any, errno.EMSGSIZE)
	h.sendRaw(r, make([]byte, 1400), ipv4.Any, 0)
	h.want("m2 198.18.0.1 > 198.18.0.2 frag 976@0+", "m2 198.18.0.1 > 198.18.0.2 frag 424@976")
}
