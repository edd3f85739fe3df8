package stack

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/tcp"
	"github.com/bonsainet/bonsai/udp"
)

func (h *host) raw(r *Raw) *Raw {
	h.Helper()
	if !feature.RawSock {
		h.Skip("needs feature rawsock")
	}
	if err := h.s.OpenRaw(r); err != nil {
		h.Fatal(err)
	}
	return r
}

// gotRaw compares the packet that r receives with p, nil for none.
func (h *host) gotRaw(r *Raw, p []byte) {
	h.Helper()
	var m udp.Meta
	var b [70000]byte
	n, e := r.RecvFrom(b[:], &m)
	if p == nil {
		if e != errno.EAGAIN {
			h.Errorf("received % x, %v", b[:n], e)
		}
		return
	}
	if e != 0 || !bytes.Equal(b[:n], p) {
		h.Errorf("received % x, %v, want % x", b[:n], e, p)
	}
}

func (h *host) sendRaw(r *Raw, p []byte, to ipv4.Addr, want Errno) {
	h.Helper()
	n, e := r.SendTo(h.now, p, to)
	if e != want || e == 0 && n != len(p) {
		h.Errorf("send to %v: %d bytes, error %d, want %d", to, n, e, want)
	}
	h.poll()
}

func TestRawPing(t *testing.T) {
	h := newHost(t, 1)
	r := h.raw(&Raw{Proto: 1, Filter: ^uint32(1)}) // ping's: echo replies only
	h.sendRaw(r, echo(a0(1), a0(2), "ping").payload, a0(2), 0)
	h.want("m2 198.18.0.1 > 198.18.0.2 icmp 8/0 00070009 len 4")
	p := icmpPacket(a0(2), a0(1), 0, 0, 0x00070009, []byte("ping"))
	p.pad = 18
	h.recv(p)
	if e := h.events(r); e != tcp.Readable {
		t.Errorf("events %#x", e)
	}
	b := p.bytes()
	h.gotRaw(r, b[:len(b)-18])
	h.recv(icmpPacket(a0(2), a0(1), 3, 1, 0, b), echo(a0(2), a0(1), "x"))
	h.gotRaw(r, nil)
	h.want("m2 198.18.0.1 > 198.18.0.2 icmp 0/0 00070009 len 1") // the stack answers all the same
	// Ourselves.
	h.sendRaw(r, echo(a0(1), a0(1), "me").payload, a0(1), 0)
	h.poll()
	var m udp.Meta
	if n, e := r.RecvFrom(make([]byte, 100), &m); n != 30 || e != 0 || m.Src.Addr != a0(1) || m.Ifindex != 1 {
		t.Errorf("%d, %v, %+v", n, e, m)
	}
	h.wantNothing()
}

func TestRawFilters(t *testing.T) {
	h := newHost(t, 2)
	every := h.raw(&Raw{Proto: 99})
	local := h.raw(&Raw{Proto: 99, Local: a1(1)})
	peer := h.raw(&Raw{Proto: 99, Remote: a0(3)})
	other := h.raw(&Raw{Proto: 98})
	icmp := h.raw(&Raw{Proto: 1})
	p := packet{src: a0(2), dst: a0(1), proto: 99, payload: []byte("x"), id: 7, ttl: 3, tos: 4, opts: []byte{1, 1, 1, 1}}
	h.recv(p) // somebody has it: no protocol unreachable
	h.gotRaw(every, p.bytes())
	p.src = a0(3)
	h.recv(p)
	h.gotRaw(every, p.bytes())
	h.gotRaw(peer, p.bytes())
	p.dst = a1(1)
	h.recv(p)
	h.gotRaw(every, p.bytes())
	h.gotRaw(peer, p.bytes())
	h.gotRaw(local, p.bytes())
	p.dst = a0(255)
	h.recvBroadcast(p)
	h.gotRaw(every, p.bytes())
	h.gotRaw(peer, p.bytes())
	for _, r := range []*Raw{every, local, peer, other, icmp} {
		h.gotRaw(r, nil)
		r.Close()
		r.Close()
	}
	p.dst = a0(1)
	h.recv(p)
	h.want("m3 198.18.0.1 > 198.18.0.3 icmp 3/2 00000000 len 25 tos=0xc0")
	h.drops(ipv4.DropProtocol, 1)
	// Of UDP and TCP they get copies; the sockets get the data as ever.
	u, r := h.udp(ep(ipv4.Any, 1000)), h.raw(&Raw{Proto: 17})
	q := udpPacket(ep(a0(2), 7), ep(a0(1), 1000), "x")
	h.recv(q)
	h.got(u, "198.18.0.2:7 x")
	h.gotRaw(r, q.bytes())
	h.recv(udpPacket(ep(a0(2), 7), ep(a0(1), 9), "x")) // nor do they stand for a port
	h.want("m2 198.18.0.1 > 198.18.0.2 icmp 3/3 00000000 len 29 tos=0xc0")
	h.drops(ipv4.DropUDPPort, 1)
	if e := h.s.mem.Used(); e == 0 {
		t.Error("nothing is queued")
	}
	r.Close()
	if e := h.s.mem.Used(); e != 0 {
		t.Errorf("%d bytes are left", e)
	}
}

func TestRawReceivesWholeDatagrams(t *testing.T) {
	needReassembly(t)
	h := newHost(t, 1)
	r := h.raw(&Raw{Proto: 99})
	p := packet{src: a0(2), dst: a0(1), proto: 99, payload: bytes.Repeat([]byte("0123456789"), 300), ttl: 5}
	f := fragments(p, 800)
	for _, x := range []int{1, 0, 3, 2} {
		h.gotRaw(r, nil)
		h.recv(f[x])
	}
	p.id = f[0].id
	h.gotRaw(r, p.bytes())
	h.wantNothing()
}

func TestRawSends(t *testing.T) {
	h := newHost(t, 2)
	r := h.raw(&Raw{Proto: 99, TOS: 8})
	h.sendRaw(r, []byte("abc"), a0(2), 0)
	h.want("m2 198.18.0.1 > 198.18.0.2 proto 99 len 3 tos=0x8")
	h.sendRaw(r, []byte("abc"), far, errno.ENETUNREACH)
	h.sendRaw(r, []byte("abc"), ipv4.Any, errno.EDESTADDRREQ)
	h.sendRaw(r, []byte("abc"), a0(255), errno.EACCES)
	r.Broadcast = true
	h.sendRaw(r, []byte("abc"), a0(255), 0)
	h.want("all 198.18.0.1 > 198.18.0.255 proto 99 len 3 tos=0x8")
	r.Remote, r.Local = a0(3), a1(1)
	h.sendRaw(r, nil, ipv4.Any, 0)
	h.want("m3 198.18.1.1 > 198.18.0.3 proto 99 len 0 tos=0x8")
	h.defaultRoute()
	h.ttl = 1
	h.sendRaw(r, nil, ipv4.AllHosts, 0)
	h.want("eth1 01:00:5e:00:00:01 198.18.1.1 > 224.0.0.1 proto 99 len 0 tos=0x8 ttl=1")
	h.ttl, r.TTL = 5, 5
	h.sendRaw(r, nil, a0(2), 0)
	h.want("m2 198.18.1.1 > 198.18.0.2 proto 99 len 0 tos=0x8 ttl=5")
	big := []byte(strings.Repeat("x", 3000))
	if feature.Fragmentation {
		h.sendRaw(r, big, a0(2), 0)
		h.want("m2 198.18.1.1 > 198.18.0.2 frag 1480@0+ tos=0x8 ttl=5", "m2 198.18.1.1 > 198.18.0.2 frag 1480@1480+ tos=0x8 ttl=5",
			"m2 198.18.1.1 > 198.18.0.2 frag 40@2960 tos=0x8 ttl=5")
		h.sendRaw(r, make([]byte, 65515), a0(2), 0)
		h.sent = nil
		h.sendRaw(r, make([]byte, 65516), a0(2), errno.EMSGSIZE)
	} else {
		h.sendRaw(r, big, a0(2), errno.EMSGSIZE)
	}
	r.Local = a0(9)
	h.sendRaw(r, nil, a0(2), errno.EINVAL)
}

func TestRawHdrIncl(t *testing.T) {
	h := newHost(t, 1)
	r := h.raw(&Raw{Proto: 255, HdrIncl: true})
	p := packet{dst: a0(2), proto: 99, payload: []byte("abc"), ttl: 64, tos: 4, opts: []byte{1, 1, 1, 1}}
	p.mangle = func(b []byte) { b[2], b[3], b[10] = 77, 77, 77 } // filled in whatever it says
	h.sendRaw(r, p.bytes(), a0(2), 0)
	got := h.sent[0].f[14:]
	if id := binary.BigEndian.Uint16(got[4:]); id == 0 {
		t.Error("no ID")
	}
	h.want("m2 198.18.0.1 > 198.18.0.2 proto 99 len 3 tos=0x4 opts=01010101")
	// All else is the caller's: a source that is not ours, ID, flags and offset.
	h.noCheck = true
	p = packet{src: a0(200), dst: a0(2), proto: 99, payload: []byte("abc"), ttl: 1, id: 0x1234, frag: 0xa003}
	h.sendRaw(r, p.bytes(), a0(3), 0) // to station 3, whatever the header says
	if f := h.sent[0].f; f[5] != 3 {
		t.Errorf("to station %d", f[5])
	}
	if got := h.take(); !bytes.Equal(got, p.bytes()) {
		t.Errorf("sent % x", got)
	}
	h.noCheck = false
	b := p.bytes()
	with := func(at int, v byte) []byte {
		c := append([]byte(nil), b...)
		c[at] = v
		return c
	}
	for _, x := range [][]byte{nil, b[:19], with(0, 0x44), with(0, 0x4f), with(0, 0x65), with(12, 127), with(16, 127)} {
		h.sendRaw(r, x, a0(2), errno.EINVAL)
	}
	h.sendRaw(r, append(b, make([]byte, 1500)...), a0(2), errno.EMSGSIZE)
	h.wantNothing()
	h.drops()
}

func TestRawQueueIsBounded(t *testing.T) {
	h := newHost(t, 1)
	r := h.raw(&Raw{Proto: 99, RcvBuf: 3000})
	for range 100 {
		h.recv(packet{src: a0(2), dst: a0(1), proto: 99, payload: make([]byte, 980)})
	}
	h.drops(ipv4.DropRawBufferFull, 98)
	var m udp.Meta
	if n, e := r.RecvFrom(make([]byte, 10), &m); n != 10 || e != 0 || m.Len != 1000 {
		t.Errorf("%d, %v, %+v", n, e, m)
	}
	r.Close()
}

func TestRawNeedsPrivilege(t *testing.T) {
	h := newHost(t, 1)
	if !feature.RawSock {
		t.Skip("needs feature rawsock")
	}
	h.s.cfg.Unprivileged = true
	if err := h.s.OpenRaw(new(Raw)); err != errno.EPERM {
		t.Error(err)
	}
	h.s.cfg.Unprivileged = false
	if err := h.s.OpenRaw(&Raw{Local: a0(2)}); err != errno.EADDRNOTAVAIL {
		t.Error(err)
	}
	r := h.raw(&Raw{Proto: 99})
	if err := h.s.OpenRaw(r); err != errno.EINVAL {
		t.Errorf("opened twice: %v", err)
	}
}

// RFC 1122 section 3.2.2: errors go to whoever sent, raw sockets included.
func TestC32ErrorsReachRawSockets(t *testing.T) {
	h := newHost(t, 1)
	any := h.raw(&Raw{Proto: 99})
	asks := h.raw(&Raw{Proto: 99, RecvErr: true})
	to := h.raw(&Raw{Proto: 99, Remote: a0(2)})
	other := h.raw(&Raw{Proto: 99, Remote: a0(3)})
	ping := h.raw(&Raw{Proto: 1, RecvErr: true})
	h.sendRaw(to, []byte("some data"), a0(2), 0)
	q := h.take()
	errs := func(want ...errno.Errno) {
		t.Helper()
		for i, r := range []*Raw{any, asks, to, other, ping} {
			if _, e := r.RecvFrom(make([]byte, 100), new(udp.Meta)); e != want[i] && !(e == errno.EAGAIN && want[i] == 0) {
				t.Errorf("socket %d: %v, want %v", i, e, want[i])
			}
		}
	}
	gotIt := func() { // the message itself is ICMP, which ping receives
		t.Helper()
		if n, e := ping.RecvFrom(make([]byte, 100), new(udp.Meta)); n == 0 || e != 0 {
			t.Errorf("ping: %d, %v", n, e)
		}
	}
	h.recv(icmpPacket(a0(2), a0(1), 3, 2, 0, quote(q))) // protocol unreachable: hard
	gotIt()
	errs(0, errno.ENOPROTOOPT, errno.ENOPROTOOPT, 0, 0)
	h.recv(icmpPacket(a0(2), a0(1), 3, 1, 0, quote(q))) // host unreachable: soft
	gotIt()
	if _, e := asks.SendTo(h.now, []byte("x"), a0(2)); e != errno.EHOSTUNREACH {
		t.Errorf("send: %v", e)
	}
	errs(0, 0, 0, 0, 0)
	if e := h.events(asks); e != tcpReadWrite {
		t.Errorf("events %#x", e)
	}
	h.recv(icmpPacket(a0(2), a0(1), 3, 1, 0, append(quote(q)[:9], append([]byte{98}, quote(q)[10:]...)...)))
	gotIt()
	errs(0, 0, 0, 0, 0)
	h.drops(ipv4.DropICMPNoSocket, 1)
}
