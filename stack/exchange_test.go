package stack

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
)

// exchange is one end of a link that costs next to nothing: frames change hands
// for empty Bufs, and are there at once.
type exchange struct {
	idleDevice
	peer *exchange
	in   []*netif.Buf // for this end
	free []*netif.Buf // this end's
}

func (x *exchange) Send(bufs []*netif.Buf) error {
	for i, b := range bufs {
		x.peer.in = append(x.peer.in, b)
		if n := len(x.free) - 1; n >= 0 {
			bufs[i], x.free = x.free[n], x.free[:n]
		} else {
			bufs[i] = netif.NewBuf(b.Cap())
		}
	}
	return nil
}

// duo is two stacks with an exchange between them: for what is to be measured.
type duo struct {
	now    pkt.Time
	s      [2]*Stack
	x      [2]*exchange
	frames int
}

func newDuo(t testing.TB, cfg Config, mtu int) *duo {
	d := &duo{now: pkt.Second}
	for i := range d.x {
		d.x[i] = &exchange{idleDevice: idleDevice{mtu: mtu, hw: netif.MAC{2, 0, 0, 0, 0, byte(i + 1)}}}
	}
	d.x[0].peer, d.x[1].peer = d.x[1], d.x[0]
	for i := range d.s {
		cfg.Seed = uint64(i + 1)
		d.s[i] = New(cfg)
		up(t, d.s[i], d.x[i], ipv4.AddrOf(198, 18, 0, byte(i+1)))
	}
	return d
}

// step gives stack i what has arrived and polls it.
func (d *duo) step(i int) {
	s, x := d.s[i], d.x[i]
	if n := len(x.in); n > 0 {
		d.frames += n
		s.Input(d.now, 2, x.in)
		x.peer.free = append(x.peer.free, x.in...)
		x.in = x.in[:0]
	}
	s.Poll(d.now)
	for k, _ := s.Ready(); k != nil; k, _ = s.Ready() {
	}
}

// run steps both until nothing is under way.
func (d *duo) run() {
	for {
		d.step(0)
		d.step(1)
		d.now += 10 * pkt.Microsecond
		if len(d.x[0].in)+len(d.x[1].in) == 0 {
			return
		}
	}
}

// sleep lets time pass for both.
func (d *duo) sleep(t pkt.Time) {
	for end := d.now + t; d.now < end; {
		next := end
		for i := range d.s {
			next = min(next, d.s[i].Poll(d.now))
		}
		d.run()
		d.now = max(d.now, next)
	}
}

func (d *duo) listen(t testing.TB, port uint16, backlog int) *Listener {
	if !feature.Listen {
		t.Skip("both ends are ours, so one must accept: needs feature listen (tag full, or with_listen)")
	}
	l := new(Listener)
	l.New = func() *Conn { c := new(Conn); c.Init(d.s[1]); return c }
	if err := d.s[1].Listen(l, ipv4.Endpoint{Port: port}, backlog); err != nil {
		t.Fatal(err)
	}
	return l
}

// connect opens c to the listener.
func (d *duo) connect(t testing.TB, c *Conn, l *Listener) *Conn {
	c.Init(d.s[0])
	if err := d.s[0].Connect(d.now, c, ipv4.Endpoint{}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2), Port: l.Local().Port}); err != nil {
		t.Fatal(err)
	}
	d.run()
	b := l.Accept()
	if b == nil || c.State() != tcp.Established {
		t.Fatal("no connection: ", c.State())
	}
	return b
}

// send moves n bytes from a, of the first stack, to b, with calls of len(w) and
// len(r) bytes.
func (d *duo) send(t testing.TB, a, b *Conn, n int, w, r []byte) {
	for left, got := n, 0; got < n; {
		for left > 0 {
			k, e := a.Write(w[:min(len(w), left)])
			left -= k
			if e == errno.EAGAIN || k < len(w) {
				break
			}
			if e != 0 {
				t.Fatal(e)
			}
		}
		before := got
		d.step(0)
		d.step(1)
		for {
			k, e := b.Read(r)
			got += k
			if e == errno.EAGAIN {
				break
			}
			if e != 0 || k == 0 {
				t.Fatal("read: ", k, e)
			}
		}
		d.step(1)
		d.now += 10 * pkt.Microsecond
		if got == before && len(d.x[0].in)+len(d.x[1].in) == 0 { // a delayed ACK, say
			d.sleep(50 * pkt.Millisecond)
		}
	}
}
