package socket

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/udp"
)

// Packet is a UDP socket.
type Packet struct {
	sock
	mem stack.UDPMem
}

func (p *Packet) eng() *stack.UDP { return (*stack.UDP)(unsafe.Pointer(&p.mem)) } // mem.UDP()

// Meta says whose a datagram is, how long it was and by which interface it came.
type Meta = udp.Meta

// OpenPacket returns a socket bound to local: address 0.0.0.0 for any, port 0 for a
// free one. flags are options that must be set before, such as udp.ReuseAddr.
// Errors are those of stack.Stack.OpenUDP.
func (s *Stack) OpenPacket(local ipv4.Endpoint, flags udp.Flags) (*Packet, error) {
	p := (*Packet)(unsafe.Pointer(new(packetShape)))
	p.s = s
	p.eng().Flags = flags
	e := p.lock()
	if e == 0 {
		p.eng().Data = unsafe.Pointer(&p.sock)
		e, _ = s.eng().OpenUDP(p.eng(), local).(errno.Errno)
	}
	s.unlock()
	if e != 0 {
		return nil, e
	}
	return p, nil
}

// Connect fixes the peer: see stack.UDP.Connect.
func (p *Packet) Connect(remote ipv4.Endpoint) error {
	e := p.lock()
	if e == 0 {
		e, _ = p.eng().Connect(p.s.clock.Now(), remote).(errno.Errno)
	}
	p.s.unlock()
	return e.Err()
}

// ReadFrom waits for a datagram, copies as much of it to b as fits and returns
// that number of bytes; the rest is lost. m.Len is its length.
func (p *Packet) ReadFrom(b []byte, m *Meta) (n int, err error) {
	w, e := p.begin(&p.r)
	for e == 0 {
		if n, e = p.eng().RecvFrom(b, m); e != errno.EAGAIN {
			break
		}
		w, e = p.wait(&p.r, w, pkt.Never)
	}
	p.end(&p.r, w)
	return n, e.Err()
}

// WriteTo sends b to dst, or to the peer if dst is zero. It does not wait. Errors
// are those of stack.UDP.SendTo.
func (p *Packet) WriteTo(b []byte, dst ipv4.Endpoint) (n int, err error) {
	w, e := p.begin(&p.w)
	if e == 0 {
		n, e = p.eng().SendTo(p.s.clock.Now(), b, dst)
		p.s.run()
	}
	p.end(&p.w, w)
	return n, e.Err()
}

// Close frees the port; calls in progress return ErrClosed.
func (p *Packet) Close() error {
	e := p.sock.close()
	p.eng().Close()
	if feature.Multicast && e == 0 {
		p.s.run() // the routers learn of it
	}
	p.s.unlock()
	return e.Err()
}

// SetOption sets a socket option: see stack.UDP.SetOption.
func (p *Packet) SetOption(level, name, v int) error {
	e := p.lock()
	if e == 0 {
		e = p.eng().SetOption(level, name, v)
	}
	p.s.unlock()
	return e.Err()
}

// SetMreqn joins or leaves a group, or says by which interface to send to groups: see
// stack.UDP.SetMreqn.
func (p *Packet) SetMreqn(name int, r *stack.Mreqn) error {
	e := p.lock()
	if e == 0 {
		e = p.eng().SetMreqn(name, r)
		p.s.run()
	}
	p.s.unlock()
	return e.Err()
}

// Option returns a socket option: see stack.UDP.Option.
func (p *Packet) Option(level, name int) (v int, err error) {
	e := p.lock()
	if e == 0 {
		v, e = p.eng().Option(level, name)
	}
	p.s.unlock()
	return v, e.Err()
}

// Local returns our endpoint. Its address is 0.0.0.0 if the socket is neither bound
// to one nor connected.
func (p *Packet) Local() ipv4.Endpoint {
	p.s.lock()
	defer p.s.unlock()
	return p.eng().Local
}

// Remote returns the peer's endpoint, which is zero unless connected.
func (p *Packet) Remote() ipv4.Endpoint {
	p.s.lock()
	defer p.s.unlock()
	return p.eng().Remote
}
