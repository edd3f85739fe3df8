// Package emu emulates an Ethernet: links and switches within the process, with
// seeded loss, delay, jitter, reordering, duplication, corruption and limited
// rate, each direction on its own.
//
// The ends of a link and the ports of a switch are netif.Devices. A program in
// real time uses them as such: Recv blocks. A simulation asks Next when
// something will arrive, sets its clock to that, and gets it with Take, which
// does not block: one goroutine can run any number of stacks and links, and does
// the same every time.
//
//	var clock emu.Virtual
//	a, b := emu.NewLink(emu.Config{Clock: &clock, Seed: 1, Path: emu.Path{Delay: 20e6, Loss: 0.02}})
//
// A link without impairments copies nothing: Bufs change hands, if those of both
// ends are equally large, and no goroutine stands between them. It does not pad short
// frames to 60 bytes. Feature tso adds super-segments: what counters and impairments see of them
// is the frames that they stand for.
package emu

import "github.com/bonsainet/bonsai/netif"

// Port is one end of a link. It is safe for concurrent use.
type Port struct {
	out, in *pipe
	mac     netif.MAC
}

type link struct {
	a, b   Port
	ab, ba pipe
}

// NewLink returns the two ends of a new link. It panics if c.Validate returns an
// error: a program that takes its configuration from a user calls that first.
func NewLink(c Config) (a, b *Port) {
	if err := c.Validate(); err != nil {
		panic(err)
	}
	back := c.Path
	if c.Back != nil {
		back = *c.Back
	}
	l := new(link)
	l.ab.init(c.MTU, c.Frames, c.Path, c.Seed, 1, c.Clock)
	l.ba.init(c.MTU, c.Frames, back, c.Seed, 2, c.Clock)
	l.a = Port{&l.ab, &l.ba, address(c.Seed, 1)}
	l.b = Port{&l.ba, &l.ab, address(c.Seed, 2)}
	return &l.a, &l.b
}

// address makes a locally administered address (IEEE 802 section 8.2.2).
func address(seed uint64, port int) netif.MAC {
	return netif.MAC{0x02, 0xb0, byte(seed >> 8), byte(seed), byte(port >> 8), byte(port)}
}

// Send implements netif.Device: it never waits. The frames go out at the
// clock's time. Frames that the emulation drops on the way are not errors; those
// that the device can't take are: ENOBUFS (Config.Frames are under way),
// EMSGSIZE (longer than the MTU), ENETDOWN (no carrier, or closed).
func (p *Port) Send(bufs []*netif.Buf) error { return p.out.send(ask, bufs).Err() }

// Recv implements netif.Device. It returns ENODEV once the port is closed.
func (p *Port) Recv(bufs []*netif.Buf) (int, error) { return p.in.recv(bufs) }

// Take is a Recv that does not wait: it returns the number of frames that were
// there, possibly 0.
func (p *Port) Take(bufs []*netif.Buf) int {
	p.in.mu.Lock()
	defer p.in.mu.Unlock()
	if p.in.closed {
		return 0
	}
	return p.in.take(ask, bufs)
}

// Next returns the time at which Take will have a frame, if none is sent until
// then: one that has passed, such as 0, if it has one now, or 1<<63-1 (never).
func (p *Port) Next() netif.Time {
	p.in.mu.Lock()
	defer p.in.mu.Unlock()
	return p.in.next()
}

// MTU returns Config.MTU, in bytes.
func (p *Port) MTU() int { return p.out.mtu }

// HardwareAddr returns a locally administered address that depends on the seed
// and the port alone.
func (p *Port) HardwareAddr() netif.MAC { return p.mac }

// Close pulls the cable and wakes Recv. What the other end sends is dropped; what
// was under way to it arrives.
func (p *Port) Close() error {
	p.out.end()
	p.in.close()
	return nil
}

// SetDown pulls the cable, or plugs it in again: without carrier what is under
// way in either direction is lost, and what is sent is dropped.
func (p *Port) SetDown(down bool) {
	p.out.setDown(down)
	p.in.setDown(down)
}

// SetOut changes what happens to the frames that the port sends from now on. It
// returns a *ConfigError and changes nothing if the path makes no sense.
func (p *Port) SetOut(path Path) error { return p.out.change(path) }

// SetIn changes what happens to the frames sent to the port from now on.
func (p *Port) SetIn(path Path) error { return p.in.change(path) }

// Stats returns the counters of what the port sent and of what was sent to it.
func (p *Port) Stats() (out, in Stats) { return p.out.readStats(), p.in.readStats() }

func (q *pipe) change(p Path) error {
	if err := p.validate("Path", q.clock); err != nil {
		return err
	}
	q.mu.Lock()
	q.setPath(p)
	q.mu.Unlock()
	return nil
}

// Offload implements netif.Offloader, with features gro and tso. Super-segments that the other end
// does not take, or that meet an impairment, are cut into frames as they are sent.
func (p *Port) Offload() bool { return netif.Offloads && p.offload() }

// Interrupt implements netif.Interrupter. It always returns true.
func (p *Port) Interrupt() bool {
	p.in.interrupt()
	return true
}

var (
	_ netif.Offloader   = (*Port)(nil)
	_ netif.Interrupter = (*Port)(nil)
)
