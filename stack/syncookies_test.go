package stack

import (
	"encoding/binary"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/tcp"
)

// flooded is a host with a listener on port 80 whose backlog is full of SYNs from nowhere.
func flooded(t *testing.T) (*host, *Listener) {
	t.Helper()
	if !feature.SynCookies {
		t.Skip("needs feature syncookies")
	}
	h := newHost(t, 1)
	l := &Listener{New: func() *Conn { c := new(Conn); c.Init(h.s); return c }}
	if err := h.s.Listen(l, ep(ipv4.Any, 80), 4); err != nil {
		t.Fatal(err)
	}
	for port := range uint16(4) {
		h.recv(tcpPacket(ep(a0(3), 2000+port), ep(a0(1), 80), 1, 0, tcp.SYN, nil, ""))
	}
	h.sent = nil
	return h, l
}

// syn sends one and returns what the SYN-ACK says: sequence number, options.
func (h *host) syn(from ipv4.Endpoint, seq uint32, opts []byte) (iss uint32, answer []byte) {
	h.Helper()
	h.recv(tcpPacket(from, ep(a0(1), 80), seq, 0, tcp.SYN, opts, ""))
	p := h.take()[20:]
	if p[13] != byte(tcp.SYN|tcp.ACK) || binary.BigEndian.Uint32(p[8:]) != seq+1 {
		h.Fatalf("answered with % x", p)
	}
	return binary.BigEndian.Uint32(p[4:]), p[20:]
}

// RFC 4987 section 3.6: a flood of SYNs keeps nobody out and takes no memory.
func TestC61CookiesLetOthersInDuringAFlood(t *testing.T) {
	h, l := flooded(t)
	for port := range uint16(1000) {
		h.recv(tcpPacket(ep(a0(2), 10000+port), ep(a0(1), 80), 1, 0, tcp.SYN, []byte{2, 4, 5, 180}, ""))
		h.sent = nil
	}
	if u := h.s.Usage(); u.Conns != 4 || l.half != 4 {
		t.Errorf("%d connections", u.Conns)
	}
	for _, c := range []struct {
		name   string
		mss    uint16
		opts   []byte
		expect int // MSS
	}{
		{"no options", 0, nil, 536},
		{"MSS", 0, []byte{2, 4, 5, 180}, 1460},
		{"an MSS in between", 0, []byte{2, 4, 5, 0}, 1220},
		{"a small MSS", 0, []byte{2, 4, 0, 70}, 64},
	} {
		from := ep(a0(2), 999)
		iss, _ := h.syn(from, 5000, c.opts)
		h.recv(tcpPacket(from, ep(a0(1), 80), 5001, iss+1, tcp.ACK, nil, "hello"))
		h.sent = nil
		x := l.Accept()
		if x == nil {
			t.Fatalf("%s: not accepted", c.name)
		}
		if x.State() != tcp.Established || x.Buffered() != 5 || x.MSS() != c.expect {
			t.Errorf("%s: %s, %d bytes, MSS %d, want %d", c.name, x.State(), x.Buffered(), x.MSS(), c.expect)
		}
		x.Write([]byte("answer"))
		h.poll()
		p := h.take()[20:]
		if seq := binary.BigEndian.Uint32(p[4:]); seq != iss+1 || binary.BigEndian.Uint32(p[8:]) != 5006 {
			t.Errorf("%s: the answer has number %d, want %d", c.name, seq, iss+1)
		}
		x.Abort()
		h.poll()
		h.sent = nil
	}
	l.Close(h.now)
	h.poll()
	h.sent = nil
}

// With timestamps, window scaling and SACK are not lost.
func TestC61CookiesWithTimestampsCarryOptions(t *testing.T) {
	if !feature.Timestamps || !feature.WScale || !feature.SACK {
		t.Skip("needs features timestamps, wscale and sack")
	}
	h, l := flooded(t)
	opts := []byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, 3, 9}
	from := ep(a0(2), 999)
	iss, o := h.syn(from, 5000, opts)
	if len(o) != 20 || o[4] != 4 || o[6] != 8 || o[17] != 3 {
		t.Fatalf("options % x", o)
	}
	h.now += 20 * pkt.Millisecond
	h.recv(tcpPacket(from, ep(a0(1), 80), 5001, iss+1, tcp.ACK, append([]byte{1, 1, 8, 10, 0, 0, 1, 20}, o[8:12]...), ""))
	x := l.Accept()
	if x == nil {
		t.Fatal("not accepted")
	}
	i := x.Info(h.now)
	if i.Options != tcp.InfoTimestamps|tcp.InfoSACK|tcp.InfoWScale || i.SndWScale != 9 || i.RTT == 0 || i.RTT > 100_000 {
		t.Errorf("%+v", i)
	}
	x.Abort()
	l.Close(h.now)
	h.poll()
	h.sent = nil
}

// Guesses, old cookies, and those of others are no way in.
func TestC61CookiesCanNotBeForged(t *testing.T) {
	h, l := flooded(t)
	from := ep(a0(2), 999)
	iss, _ := h.syn(from, 5000, nil)
	try := func(name string, from ipv4.Endpoint, seq, ack uint32) {
		t.Helper()
		h.recv(tcpPacket(from, ep(a0(1), 80), seq, ack, tcp.ACK, nil, ""))
		h.want("m2 198.18.0.1:80 > 198.18.0.2:" + map[bool]string{true: "999", false: "998"}[from.Port == 999] + " tcp R len 0")
		if l.Accept() != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for bit := range 32 {
		try("another number", from, 5001, iss+1^1<<bit)
	}
	try("another peer's", ep(a0(2), 998), 5001, iss+1)
	try("another sequence number", from, 5002, iss+1)
	h.advance(100 * pkt.Second)
	h.sent = nil
	for port := range uint16(4) { // go on flooding
		h.recv(tcpPacket(ep(a0(3), 3000+port), ep(a0(1), 80), 1, 0, tcp.SYN, nil, ""))
	}
	h.sent = nil
	h.syn(ep(a0(2), 997), 1, nil)
	h.advance(30 * pkt.Second)
	h.sent = nil
	try("an old one", from, 5001, iss+1)
	h.drops(ipv4.DropTCPNoConn, 35)
	h.advance(300 * pkt.Second)
	h.sent = nil
	h.seen = h.s.Drops
	l.Close(h.now)
	h.poll()
	h.sent = nil
}
