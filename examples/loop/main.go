// Command loop drives two stacks itself, in virtual time: no goroutine, no package
// net, no clock. It is all that a device with its own main loop needs, and works in
// profile minimal, which can't listen: both sides connect at the same time, which
// TCP allows (RFC 9293 section 3.5, figure 7). One sends 1 MiB, the other counts, over
// a link with delay and loss:
//
//	go run -tags minimal ./examples/loop
//
// It prints how much arrived and how long that took on the link.
package main

import (
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/tcp"
)

const size = 1 << 20

// host is a stack with its end of the link.
type host struct {
	s      *stack.Stack
	port   *emu.Port
	eth0   int
	conn   stack.Conn
	frames [8]*netif.Buf
	next   stack.Time // when to call Poll
}

func newHost(port *emu.Port, addr ipv4.Addr) *host {
	h := &host{s: stack.New(stack.Config{}), port: port}
	h.eth0, _ = h.s.AddInterface("eth0", port)
	r := stack.Ifreq{Name: "eth0", Addr: stack.SockaddrIn(addr), Flags: netif.IFF_UP}
	h.s.Ioctl(stack.SIOCSIFADDR, &r)
	h.s.Ioctl(stack.SIOCSIFFLAGS, &r)
	for i := range h.frames {
		h.frames[i] = h.s.NewBuf()
	}
	h.conn.Init(h.s)
	return h
}

// step takes in what has arrived and sends what is due.
func (h *host) step(now stack.Time) {
	for n := len(h.frames); n == len(h.frames); {
		n = h.port.Take(h.frames[:])
		h.s.Input(now, h.eth0, h.frames[:n])
	}
	h.next = h.s.Poll(now)
}

func main() {
	var clock emu.Virtual
	a, b := emu.NewLink(emu.Config{Clock: &clock, Seed: 1, Path: emu.Path{Delay: 5e6, Loss: 0.01}})
	left, right := newHost(a, ipv4.AddrOf(198, 18, 0, 1)), newHost(b, ipv4.AddrOf(198, 18, 0, 2))
	l, r := ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 1), Port: 1}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2), Port: 2}
	if left.s.Connect(0, &left.conn, l, r) != nil || right.s.Connect(0, &right.conn, r, l) != nil {
		panic("can't connect")
	}
	buf := make([]byte, 4096)
	sent, received := 0, 0
	for received < size && left.conn.State() != tcp.Closed {
		now := clock.Now()
		n, _ := left.conn.Write(buf[:min(len(buf), size-sent)])
		for sent += n; n > 0; sent += n {
			n, _ = left.conn.Write(buf[:min(len(buf), size-sent)])
		}
		left.step(now)
		right.step(now)
		for n = 1; n > 0; received += n {
			n, _ = right.conn.Read(buf)
		}
		right.step(now) // reading may have opened the window
		clock.Set(min(left.next, right.next, a.Next(), b.Next()))
	}
	println(received, "bytes in", int(clock.Now()/1e6), "ms on the link")
}
