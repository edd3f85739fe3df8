package socket

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/stack"
)

// PacketSocket is a packet socket: frames in and out (feature pktsock).
type PacketSocket struct {
	sock
	mem stack.PacketMem
}

// LinkAddr says by which interface a frame came, of which type, from whom and to whom.
type LinkAddr = stack.LinkAddr

func (p *PacketSocket) eng() *stack.PacketSocket { return p.mem.Packet() }

func (s *Stack) newPacketSocket(protocol uint16, ifindex int, cooked bool) (*PacketSocket, error) {
	if int(int32(ifindex)) != ifindex {
		return nil, errno.ENODEV
	}
	p := (*PacketSocket)(unsafe.Pointer(new(packetSocketShape)))
	p.s = s
	r := p.eng()
	r.Protocol, r.Ifindex, r.Cooked = protocol, int32(ifindex), cooked
	e := p.lock()
	if e == 0 {
		r.Data = unsafe.Pointer(&p.sock)
		e, _ = s.eng().OpenPacket(r).(errno.Errno)
	}
	s.unlock()
	if e != 0 {
		return nil, e
	}
	return p, nil
}

// Do calls f with the engine's socket under the lock, to set its fields.
func (p *PacketSocket) Do(f func(*stack.PacketSocket)) error {
	e := p.lock()
	defer p.s.unlock()
	if e == 0 {
		f(p.eng())
	}
	return e.Err()
}

// ReadFrom waits for a frame, copies as much of it to b as fits and returns that number of
// bytes, and the frame's length. Errors are those of stack.PacketSocket.Recv.
func (p *PacketSocket) ReadFrom(b []byte, from *LinkAddr) (n, length int, err error) {
	w, e := p.begin(&p.r)
	for e == 0 {
		if n, length, e = p.eng().Recv(b, from); e != errno.EAGAIN {
			break
		}
		w, e = p.wait(&p.r, w, pkt.Never)
	}
	p.end(&p.r, w)
	return n, length, e.Err()
}

// WriteTo sends b. It does not wait. Errors are those of stack.PacketSocket.Send.
func (p *PacketSocket) WriteTo(b []byte, to *LinkAddr) (n int, err error) {
	w, e := p.begin(&p.w)
	if e == 0 {
		n, e = p.eng().Send(p.s.clock.Now(), b, to)
		p.s.run()
	}
	p.end(&p.w, w)
	return n, e.Err()
}

// Close ends reception; calls in progress return ErrClosed.
func (p *PacketSocket) Close() error {
	e := p.sock.close()
	p.eng().Close()
	p.s.unlock()
	return e.Err()
}
