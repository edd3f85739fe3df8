package stack

import (
	"encoding/binary"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/tcp"
)

// Floods: what they hold of memory, and how much they get answered.
// docs/conformance.md names these tests by the attack.

var floodOptions = []byte{2, 4, 5, 180}

// A flood of SYNs from everywhere fills the backlog and nothing else: no memory beyond
// it, at most one answer for each and a few retransmissions for those that are in the
// backlog, and a connection that there was goes on.
func TestC53SYNFloodIsBounded(t *testing.T) {
	if !feature.Listen {
		t.Skip("needs feature listen")
	}
	const backlog, flood = 16, 20000
	h := newHostMTU(t, 1, 1500, Config{Memory: 1 << 20})
	h.noCheck = true // it takes most of the time
	h.defaultRoute()
	l := new(Listener)
	l.New = func() *Conn {
		c := new(Conn)
		c.Init(h.s)
		return c
	}
	if err := h.s.Listen(l, ep(ipv4.Any, 80), backlog); err != nil {
		t.Fatal(err)
	}
	old, p := h.open(ep(a0(2), 443), floodOptions)
	before := h.s.Usage()
	for i := range uint32(flood) {
		src := ep(ipv4.AddrOf(198, 19, byte(i>>8), byte(i)), uint16(1024+i))
		h.recv(tcpPacket(src, ep(a0(1), 80), i*7919, 0, tcp.SYN, floodOptions, ""))
		if i%100 == 0 {
			h.advance(pkt.Millisecond)
		}
		if u := h.s.Usage(); u.Conns > before.Conns+2*backlog || u.Memory > before.Memory {
			t.Fatalf("after %d SYNs: %+v, before %+v", i, u, before)
		}
	}
	answers := len(h.sent)
	if answers > flood+4*backlog {
		t.Errorf("%d frames for %d SYNs", answers, flood)
	}
	h.sent = nil
	h.recv(p.seg(tcp.ACK|tcp.PSH, nil, "still here"))
	if old.Buffered() != 10 {
		t.Error("a connection that there was does not receive")
	}
	h.advance(10 * pkt.Minute) // those of the backlog give up
	if n := len(h.sent); n > backlog*12 {
		t.Errorf("%d frames after the flood", n)
	}
	if u := h.s.Usage(); u.Conns != before.Conns {
		t.Errorf("%d connections are left, there were %d", u.Conns, before.Conns)
	}
	h.sent = nil
	clear(h.s.Drops[:])
}

// A flood of resets, and of SYNs, in the window of a connection is answered ten times a
// second by that connection (RFC 5961 section 7), ends nothing, and holds nothing; the
// limit of one connection is not that of another (CVE-2016-5696).
func TestC67RSTFloodIsAnsweredTenTimesASecond(t *testing.T) {
	for _, flags := range []tcp.Flags{tcp.RST, tcp.SYN, tcp.SYN | tcp.ACK, tcp.ACK} {
		h := newHost(t, 1)
		h.noCheck = true
		c, p := h.open(ep(a0(2), 80), floodOptions)
		other, q := h.open(ep(a0(2), 81), floodOptions)
		before := h.s.Usage()
		forged := *p
		for i := range uint32(10000) {
			forged.seq = p.seq + 1 + i%1000
			if flags == tcp.ACK { // of what was never sent
				forged.seq, forged.ack = p.seq, p.ack+1+i
			}
			h.recv(forged.seg(flags, nil, ""))
			if i%10 == 9 {
				h.advance(pkt.Millisecond)
			}
		}
		if n := len(h.sent); n < 5 || n > 20 {
			t.Errorf("%v: %d answers in a second", flags, n)
		}
		h.sent = nil
		q.seq++
		h.recv(q.seg(tcp.RST, nil, "")) // the other one is not used up
		if len(h.sent) != 1 {
			t.Errorf("%v: %d challenge ACKs of the other connection", flags, len(h.sent))
		}
		if c.State() != tcp.Established || other.State() != tcp.Established {
			t.Errorf("%v: %v and %v", flags, c.State(), other.State())
		}
		if u := h.s.Usage(); u != before {
			t.Errorf("%v: %+v, before %+v", flags, u, before)
		}
		h.sent = nil
		clear(h.s.Drops[:])
	}
}

// A flood at closed ports gets a reset for each segment and none for a reset, and holds
// nothing.
func TestC60FloodOfClosedPortsHoldsNothing(t *testing.T) {
	h := newHost(t, 1)
	h.noCheck = true
	before := h.s.Usage()
	before.Frames = 1 // for the answers
	if feature.FastPath {
		before.Frames++ // the last one's is still in the transmit queue
	}
	for i := range uint32(2000) {
		src := ep(a0(2), uint16(1024+i))
		h.recv(tcpPacket(src, ep(a0(1), uint16(i)|1), i, 0, tcp.SYN, nil, ""))
		h.recv(tcpPacket(src, ep(a0(1), uint16(i)|1), i, 0, tcp.RST, nil, ""))
	}
	if len(h.sent) != 2000 {
		t.Errorf("%d answers to 2000 SYNs and as many resets", len(h.sent))
	}
	if u := h.s.Usage(); u != before {
		t.Errorf("%+v, before %+v", u, before)
	}
	h.sent = nil
	clear(h.s.Drops[:])
}

// ICMP errors that quote what is not in flight, and all sorts of unreachables about what
// is, end no established connection, and lower no path's MTU below the floor: mtu 0 is an
// old router's, 68 the least of all (RFC 5927).
func TestC36ForgedICMPErrors(t *testing.T) {
	for _, inWindow := range []bool{false, true} {
		h := newHost(t, 1)
		c, p := h.open(ep(a0(2), 80), floodOptions)
		c.Write(make([]byte, 2920))
		h.poll()
		sent := h.segments()
		for i := range uint32(4000) {
			q := append([]byte(nil), quote(sent[i%2])...)
			if !inWindow {
				binary.BigEndian.PutUint32(q[24:], p.ack+2920+i*1000003) // ISN.. is 2^32 away
				if d := binary.BigEndian.Uint32(q[24:]) - p.ack; d < 2920 {
					continue
				}
			}
			code := byte(i % 16)
			mtu := []uint32{0, 1, 68, 296, 551, 552, 1499, 1500, 65535}[i/16%9]
			h.recv(icmpPacket(far, a0(1), 3, code, mtu, q))
			h.recv(icmpPacket(far, a0(1), 11, code%2, 0, q))
			h.recv(icmpPacket(far, a0(1), 12, 0, 20<<24, q))
			if c.State() != tcp.Established {
				t.Fatalf("in the window %v: code %d ends the connection: %v", inWindow, code, c.Err())
			}
		}
		if !inWindow && (c.MSS() != 1460 || c.SoftErr() != 0 || len(h.sent) != 0) {
			t.Errorf("MSS %d, soft error %v, %d frames sent", c.MSS(), c.SoftErr(), len(h.sent))
		}
		if least := 512; inWindow && (c.MSS() < least || len(h.sent) > 100) {
			t.Errorf("MSS %d, at least %d; %d frames sent", c.MSS(), least, len(h.sent))
		}
		h.sent = nil
		clear(h.s.Drops[:])
	}
}
