package stack

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/tcp"
)

// A server that has closed first holds the pair in TIME-WAIT; the client may open
// it again, but a SYN that finds the backlog full must not end TIME-WAIT.
func TestC76TimeWaitIsReopenedByItsPeer(t *testing.T) {
	if !feature.Listen {
		t.Skip("needs feature listen")
	}
	p := newPair(t, Config{}, 1500, 10*pkt.Millisecond)
	a, b := p.connect(80)
	local, remote := a.Local(), a.Remote()
	settle := func(d pkt.Time) {
		for limit := p.now + d; p.step(limit); {
		}
	}
	b.Close(p.now)
	settle(pkt.Second)
	a.Close(p.now)
	settle(pkt.Second)
	if n := p.s[1].tcp.twN; n != 1 {
		t.Fatalf("%d connections in TIME-WAIT", n)
	}
	l := new(Listener)
	room := false
	l.New = func() *Conn {
		if !room {
			return nil
		}
		c := new(Conn)
		c.Init(p.s[1])
		return c
	}
	if err := p.s[1].Listen(l, ipv4.Endpoint{Port: 80}, 1); err != nil {
		t.Fatal(err)
	}
	c := new(Conn)
	c.Init(p.s[0])
	if err := p.s[0].Connect(p.now, c, local, remote); err != nil {
		t.Fatal(err)
	}
	settle(500 * pkt.Millisecond)
	if n := p.s[1].tcp.twN; n != 1 {
		t.Fatalf("the refused SYN ended TIME-WAIT: %d left", n)
	}
	room = true
	settle(2 * pkt.Second)
	if n := p.s[1].tcp.twN; n != 0 || c.State() != tcp.Established || l.Accept() == nil {
		t.Fatalf("%d in TIME-WAIT, %s", n, c.State())
	}
}
