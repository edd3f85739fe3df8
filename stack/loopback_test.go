package stack

import (
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
)

func TestLoopbackUDP(t *testing.T) {
	h := newHost(t, 2)
	u, v := h.udp(ep(ipv4.Any, 1000)), h.udp(ep(ipv4.Any, 2000))
	for _, c := range []struct{ to, from ipv4.Addr }{
		{ipv4.Loopback, ipv4.Loopback}, {ipv4.AddrOf(127, 9, 8, 7), ipv4.AddrOf(127, 9, 8, 7)}, {a0(1), a0(1)}, {a1(1), a1(1)},
	} {
		h.sendTo(u, "x", ep(c.to, 2000), 0)
		h.got(v, ep(c.from, 1000).String()+" x")
	}
	w := h.udp(ep(ipv4.Loopback, 2001)) // from another address of ours
	h.sendTo(w, "x", ep(a0(1), 2000), 0)
	h.got(v, "127.0.0.1:2001 x")
	if feature.Fragmentation && feature.Reassembly {
		big := strings.Repeat("0123456789", 6550)
		h.sendTo(u, big, ep(a0(1), 2000), 0)
		h.got(v, "198.18.0.1:1000 "+big)
	} else if !feature.Fragmentation {
		h.sendTo(u, strings.Repeat("x", 2000), ep(a0(1), 2000), errno.EMSGSIZE)
	}
	h.wantNothing()
	st := h.s.ifaces[0].Stats
	if st.RxPackets != st.TxPackets || st.TxPackets < 5 || st.RxBytes != st.TxBytes {
		t.Errorf("%+v", st)
	}
}

func TestLoopbackClosedPortRefuses(t *testing.T) {
	h := newHost(t, 1)
	for i, a := range []ipv4.Addr{ipv4.Loopback, a0(1)} {
		u := h.udp(ep(ipv4.Any, uint16(1000+i)))
		u.Connect(h.now, ep(a, 9))
		h.sendTo(u, "x", ipv4.Endpoint{}, 0)
		h.sendTo(u, "x", ipv4.Endpoint{}, errno.ECONNREFUSED)
		c := h.dial(ep(a, 9))
		if e := c.Err(); c.State() != tcp.Closed || e != errno.ECONNREFUSED {
			t.Errorf("%v: %v, %v", a, c.State(), e)
		}
	}
	h.wantNothing()
	h.drops(ipv4.DropUDPPort, 2, ipv4.DropTCPNoConn, 2)
}

func TestLoopbackTCP(t *testing.T) {
	if !feature.Listen {
		t.Skip("needs feature listen")
	}
	h := newHost(t, 1)
	for i, a := range []ipv4.Addr{ipv4.Loopback, a0(1)} {
		l := &Listener{New: func() *Conn { c := new(Conn); c.Init(h.s); return c }}
		if err := h.s.Listen(l, ep(ipv4.Any, uint16(80+i)), 2); err != nil {
			t.Fatal(err)
		}
		c := h.dial(ep(a, uint16(80+i)))
		d := l.Accept()
		if d == nil || c.State() != tcp.Established || c.Local() != d.Remote() || d.Local().Addr != a {
			t.Fatalf("%v: %v", a, c.State())
		}
		data := []byte(strings.Repeat("0123456789abcdef", 1<<16))
		var buf [65536]byte
		for sent, got := 0, 0; got < len(data); {
			n, _ := c.Write(data[sent:])
			sent += n
			h.poll()
			for {
				n, e := d.Read(buf[:])
				if e != 0 || n == 0 {
					break
				}
				if string(buf[:n]) != string(data[got:got+n]) {
					t.Fatalf("differs at %d", got)
				}
				got += n
			}
			h.advance(pkt.Millisecond)
		}
		c.Close(h.now)
		h.poll()
		d.Close(h.now)
		h.poll()
		l.Close(h.now)
	}
	h.advance(61 * pkt.Second)
	if u := h.s.Usage(); u.Conns != 0 || u.TimeWait != 0 || u.Memory != 0 {
		t.Errorf("%+v", u)
	}
	h.wantNothing()
}

func TestLoopbackSimultaneousOpenWithOurselves(t *testing.T) {
	h := newHost(t, 1)
	c := new(Conn)
	c.Init(h.s)
	if err := h.s.Connect(h.now, c, ep(a0(1), 5000), ep(a0(1), 5000)); err != nil {
		t.Fatal(err)
	}
	h.poll()
	if c.State() != tcp.Established {
		t.Error(c.State())
	}
	c.Write([]byte("hello"))
	h.advance(pkt.Second)
	var b [10]byte
	if n, e := c.Read(b[:]); string(b[:n]) != "hello" {
		t.Errorf("%q, %v", b[:n], e)
	}
	c.Abort()
	h.advance(pkt.Second)
	if h.s.Usage().Conns != 0 {
		t.Error("not gone")
	}
	h.wantNothing()
	h.seen = h.s.Drops
}

func TestLoopbackQueueIsBounded(t *testing.T) {
	h := newHostMTU(t, 1, 1500, Config{Memory: 64 << 10})
	u := h.udp(ep(ipv4.Any, 1000))
	for range 10000 {
		u.SendTo(h.now, []byte("x"), ep(ipv4.Loopback, 1000))
	}
	if n := len(h.s.loop); n*1514 > 70<<10 {
		t.Errorf("%d packets wait", n)
	}
	h.poll()
	if len(h.s.loop) != 0 || h.s.Drops[ipv4.DropMemory] == 0 {
		t.Error("not bounded")
	}
	h.seen = h.s.Drops
}

// Two sockets of ours that answer each other without end must not keep Poll from
// returning.
func TestLoopbackConversationLetsOthersIn(t *testing.T) {
	if !feature.RawSock {
		t.Skip("needs feature rawsock")
	}
	h := newHost(t, 1)
	// A reset begets none, but a crafted echo reply storm would: what we inject here
	// is an echo request that we answer ourselves, from ourselves.
	r := &Raw{Proto: 1, HdrIncl: true}
	if err := h.s.OpenRaw(r); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, e := r.SendTo(h.now, echo(a0(1), a0(1), "x").bytes(), a0(1)); e != 0 {
			t.Fatal(e)
		}
	}
	if next := h.s.Poll(h.now); next <= h.now && len(h.s.loop) == 0 {
		t.Error("wants to be called at once for nothing")
	}
	h.poll()
	if len(h.s.loop) != 0 {
		t.Error("packets are left")
	}
	h.wantNothing()
	h.seen = h.s.Drops
}

func TestLoopbackOnlyInsideTheHost(t *testing.T) {
	h := newHost(t, 1)
	h.flags("lo", false)
	u, v := h.udp(ep(ipv4.Any, 1000)), h.udp(ep(ipv4.Any, 2000))
	h.sendTo(u, "x", ep(ipv4.Loopback, 2000), errno.ENETUNREACH)
	// An address of eth0 is ours whether lo is up or not.
	h.sendTo(u, "x", ep(a0(1), 2000), 0)
	h.got(v, "198.18.0.1:1000 x")
	h.flags("lo", true)
	h.sendTo(u, "x", ep(ipv4.Loopback, 2000), 0)
	h.got(v, "127.0.0.1:1000 x")
	// A socket bound to eth0 reaches eth0's address inside the host, too: nothing asks
	// the link who has our own address.
	u.SetOption(SOL_SOCKET, SO_BINDTODEVICE, eth0)
	h.sendTo(u, "x", ep(a0(1), 2000), 0)
	h.got(v, "198.18.0.1:1000 x")
	h.wantNothing()
	_ = netif.IFF_UP
}

func TestLoopbackWithoutAnyDevice(t *testing.T) {
	h := newHost(t, 0)
	u, v := h.udp(ep(ipv4.Any, 1000)), h.udp(ep(ipv4.Any, 2000))
	for range 2 {
		h.sendTo(u, strings.Repeat("x", 500), ep(ipv4.Loopback, 2000), 0)
		h.got(v, "127.0.0.1:1000 "+strings.Repeat("x", 500))
	}
	if !feature.Listen {
		return
	}
	l := &Listener{New: func() *Conn { c := new(Conn); c.Init(h.s); return c }}
	if err := h.s.Listen(l, ep(ipv4.Any, 80), 2); err != nil {
		t.Fatal(err)
	}
	c := h.dial(ep(ipv4.Loopback, 80))
	d := l.Accept()
	if d == nil || c.MSS() < 1000 {
		t.Fatalf("MSS %d", c.MSS())
	}
	// A device with a smaller MTU appears, and the frame buffers become smaller.
	if _, err := h.s.AddInterface("eth0", &sink{idleDevice{mtu: 300, hw: mac(1)}}); err != nil {
		t.Fatal(err)
	}
	got := 0
	for sent := 0; got < 100000; {
		n, _ := c.Write(make([]byte, min(100000-sent, 8000)))
		sent += n
		h.advance(pkt.Millisecond)
		var b [10000]byte
		n, _ = d.Read(b[:])
		got += n
	}
}
