package stack

import (
	"encoding/binary"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/tcp"
)

// ecnConn is a connection with ECN, opened by us, whose TOS is 0x20.
func ecnConn(t *testing.T) (*host, *Conn, *peer) {
	t.Helper()
	if !feature.ECN {
		t.Skip("needs feature ecn")
	}
	h := newHostMTU(t, 1, 1500, Config{ECN: tcp.ECNAsk})
	c := h.dial(ep(a0(2), 80))
	syn := h.take()
	if syn[1] != 0 || syn[33]&0xc2 != 0xc2 {
		t.Fatalf("the SYN has TOS %#x, flags %#x", syn[1], syn[33])
	}
	p := &peer{local: ep(a0(2), 80), remote: c.Local(), seq: 7000, ack: binary.BigEndian.Uint32(syn[24:]) + 1}
	h.recv(p.seg(tcp.SYN|tcp.ACK|tcp.ECE, nil, ""))
	p.seq++
	h.sent = nil
	if e := c.SetOption(SOL_IP, IP_TOS, 0x23); e != 0 {
		t.Fatal(e)
	}
	return h, c, p
}

// Only new data has ECT(0), with the rest of the TOS as it was set, and whatever ECN bits are in
// it.
func TestC104CodepointOnTheWire(t *testing.T) {
	h, c, p := ecnConn(t)
	c.Options.TOS |= 1 // past the socket option
	c.Write([]byte("data"))
	h.poll()
	h.want("m2 198.18.0.1:* > 198.18.0.2:80 tcp PA len 4 tos=0x22")
	h.advance(pkt.Second)
	for _, x := range h.sent {
		if tos := x.f[15]; tos != 0x20 {
			t.Errorf("sent again with TOS %#x", tos)
		}
	}
	if len(h.sent) == 0 {
		t.Error("nothing was sent again")
	}
	h.sent = nil
	p.ack += 4
	h.recv(p.seg(tcp.ACK|tcp.PSH, nil, "data"))
	h.want("m2 198.18.0.1:* > 198.18.0.2:80 tcp A len 0 tos=0x20")
	c.Abort()
	h.poll()
	h.want("m2 198.18.0.1:* > 198.18.0.2:80 tcp RA len 0 tos=0x20")
}

// What the IPv4 header says reaches TCP.
func TestC104MarkedPacketIsEchoed(t *testing.T) {
	h, c, p := ecnConn(t)
	for tos, flags := range map[uint8]string{0: "A", 1: "A", 2: "A", 0x20: "A"} {
		x := p.seg(tcp.ACK|tcp.PSH, nil, "data")
		x.tos = tos
		p.seq += 4
		h.recv(x)
		h.want("m2 198.18.0.1:* > 198.18.0.2:80 tcp " + flags + " len 0 tos=0x20")
	}
	x := p.seg(tcp.ACK|tcp.PSH, nil, "data")
	x.tos = 0x23
	p.seq += 4
	h.recv(x)
	h.want("m2 198.18.0.1:* > 198.18.0.2:80 tcp AE len 0 tos=0x20")
	h.recv(p.seg(tcp.ACK|tcp.PSH|tcp.CWR, nil, "data"))
	p.seq += 4
	h.want("m2 198.18.0.1:* > 198.18.0.2:80 tcp A len 0 tos=0x20")
	c.Abort()
	h.poll()
	h.sent = nil
}

// RFC 3168 section 5.3, also where the payload is a segment's.
func TestC104MarkedFragment(t *testing.T) {
	h, c, p := ecnConn(t)
	x := p.seg(tcp.ACK|tcp.PSH, nil, "fourteen bytes")
	p.seq += 14
	x.tos = 2
	f := fragments(x, 24)
	f[1].tos = 3
	h.recv(f[0], f[1])
	h.want("m2 198.18.0.1:* > 198.18.0.2:80 tcp AE len 0 tos=0x20")
	x = p.seg(tcp.ACK|tcp.PSH|tcp.CWR, nil, "fourteen bytes")
	x.id++
	f = fragments(x, 24)
	f[1].tos = 3 // the other is not ECN-capable
	h.recv(f[0], f[1])
	h.wantNothing()
	h.drops(ipv4.DropReassemblyOverlap, 1)
	if c.Buffered() != 14 {
		t.Errorf("%d bytes, want 14", c.Buffered())
	}
	c.Abort()
	h.poll()
	h.sent = nil
}

// ECN survives a SYN cookie, by a bit of the timestamp.
func TestC104SynCookie(t *testing.T) {
	if !feature.ECN || !feature.SynCookies || !feature.Timestamps {
		t.Skip("needs features ecn, syncookies and timestamps")
	}
	for _, asks := range []bool{false, true} {
		for _, ts := range []bool{false, true} {
			h, l := flooded(t)
			from := ep(a0(2), 999)
			opts := []byte{2, 4, 5, 180}
			if ts {
				opts = append(opts, 1, 1, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0)
			}
			f := tcp.SYN
			if asks {
				f |= tcp.ECE | tcp.CWR
			}
			h.recv(tcpPacket(from, ep(a0(1), 80), 5000, 0, f, opts, ""))
			p := h.take()[20:]
			yes := asks && ts
			if got := tcp.Flags(p[13]); got != tcp.SYN|tcp.ACK && !yes || yes && got != tcp.SYN|tcp.ACK|tcp.ECE {
				t.Errorf("asks %v, timestamps %v: flags %#x", asks, ts, p[13])
			}
			iss := binary.BigEndian.Uint32(p[4:])
			opts = nil
			if ts {
				at := 24
				for p[at] != 8 {
					at++
				}
				opts = append([]byte{1, 1, 8, 10, 0, 0, 1, 20}, p[at+2:at+6]...)
			}
			h.recv(tcpPacket(from, ep(a0(1), 80), 5001, iss+1, tcp.ACK, opts, ""))
			x := l.Accept()
			if x == nil {
				t.Fatal("not accepted")
			}
			if got := x.Info(h.now).Options&tcp.InfoECN != 0; got != yes {
				t.Errorf("asks %v, timestamps %v: ECN %v", asks, ts, got)
			}
			x.Write([]byte("answer"))
			h.poll()
			if tos := h.take()[1]; tos != map[bool]uint8{true: 2}[yes] {
				t.Errorf("asks %v, timestamps %v: TOS %#x", asks, ts, tos)
			}
			x.Abort()
			l.Close(h.now)
			h.poll()
			h.sent = nil
		}
	}
}
