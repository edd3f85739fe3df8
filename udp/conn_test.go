package udp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/ipv4"
)

func TestTheMostSpecificSocketMatches(t *testing.T) {
	src := epB
	dst := ipv4.Endpoint{Addr: hostA, Port: 5000}
	other := ipv4.Endpoint{Addr: hostB, Port: 54}
	anyAddr := ipv4.Endpoint{Port: 5000}
	// From the least to the most specific.
	conns := []Conn{
		{Local: anyAddr},
		{Local: dst},
		{Local: anyAddr, Remote: src},
		{Local: dst, Remote: src},
		{Local: dst, Remote: src, Ifindex: 2},
	}
	for i := 1; i < len(conns); i++ {
		a, b := conns[i-1].Match(src, dst, 2), conns[i].Match(src, dst, 2)
		if a == 0 || b <= a {
			t.Errorf("%+v scores %d, %+v %d", conns[i-1], a, conns[i], b)
		}
	}
	if conns[4].Match(src, dst, 0) == 0 {
		t.Error("an ICMP error, which may come by any interface, does not find its socket")
	}
	for _, c := range []struct {
		name string
		conn Conn
	}{
		{"unbound", Conn{}},
		{"another port", Conn{Local: ipv4.Endpoint{Port: 5001}}},
		{"another address", Conn{Local: ipv4.Endpoint{Addr: hostB, Port: 5000}}},
		{"connected to another port", Conn{Local: dst, Remote: other}},
		{"connected to another host", Conn{Local: dst, Remote: ipv4.Endpoint{Addr: hostA, Port: 53}}},
		{"bound to another interface", Conn{Local: dst, Ifindex: 3}},
	} {
		if got := c.conn.Match(src, dst, 2); got != 0 {
			t.Errorf("%s: score %d", c.name, got)
		}
	}
}

func TestC30ErrorsAreForThoseWhoCanTell(t *testing.T) {
	for _, c := range []struct {
		name  string
		conn  Conn
		e     errno.Errno
		hard  bool
		learn bool
	}{
		{"connected, refused", Conn{Remote: epB}, errno.ECONNREFUSED, true, true},
		{"connected, soft", Conn{Remote: epB}, errno.EHOSTUNREACH, false, false},
		{"connected, soft, asked for", Conn{Remote: epB, Flags: RecvErr}, errno.EHOSTUNREACH, false, true},
		{"unconnected, refused", Conn{}, errno.ECONNREFUSED, true, false},
		{"unconnected, asked for", Conn{Flags: RecvErr}, errno.ECONNREFUSED, true, true},
		{"what means nothing", Conn{Remote: epB, Flags: RecvErr}, 0, false, false},
	} {
		if got := c.conn.Error(c.e, c.hard); got != c.learn {
			t.Errorf("%s: %v", c.name, got)
		}
		want := c.e
		if !c.learn {
			want = 0
		}
		if got := c.conn.TakeError(); got != want {
			t.Errorf("%s: pending %v", c.name, got)
		}
		if got := c.conn.TakeError(); got != 0 {
			t.Errorf("%s: pending twice", c.name)
		}
	}
}

func TestDeliver(t *testing.T) {
	mem := newMemory()
	c := Conn{RcvBuf: 100}
	if d := c.Deliver(mem, &Meta{Src: epB}, []byte("data")); d != ipv4.DropNone || c.Queue.Count() != 1 {
		t.Errorf("%v", d)
	}
	if d := c.Deliver(mem, &Meta{}, make([]byte, 100)); d != ipv4.DropUDPBufferFull {
		t.Errorf("%v", d)
	}
	c.Flags |= ShutRd
	if d := c.Deliver(mem, &Meta{}, nil); d == ipv4.DropNone || d == ipv4.DropUDPPort || c.Queue.Count() != 1 {
		t.Errorf("after shutdown: %v", d)
	}
}
