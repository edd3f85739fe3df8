package stack

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
)

// keepSuper is how many Bufs for super-segments an interface has while it sends them: 1.1 MiB. Super-segments
// leave at once, but the window may let out only what is none, and that waits for company.
const keepSuper = 16

// offloaderOf returns what the interface of path p has for super-segments, or nil.
func offloaderOf(s *Stack, p *path) *offloader {
	if p.via == 0 {
		return nil
	}
	o, _ := p.ifc(s).Dev.(*offloader)
	return o
}

// outputSuper sends what c may send now, on a path whose device takes super-segments.
func (s *Stack) outputSuper(c *Conn) {
	b := s.superBuf(c)
	for c.Conn.Output(s.now, b) {
		s.sendSegment(c, b)
		b = s.superBuf(c)
	}
	if b.Cap() < pkt.SuperSize {
		s.pool.Put(b)
	} else if c.path.via != 0 {
		s.putLarge(c.path.ifc(s), b)
	}
}

// superBuf returns a Buf for the next segment of c: for a super-segment if there is that much to
// send.
func (s *Stack) superBuf(c *Conn) *pkt.Buf {
	o := offloaderOf(s, &c.path)
	// Without DF, each segment would need an identification of its own.
	if o == nil || !c.Conn.Bulk() || !feature.PMTUD || !c.dontFragment() {
		b := s.pool.Get()
		if o != nil {
			pkt.AllowSuper(b, 0)
		}
		return b
	}
	o.used = true
	if len(o.free) == 0 {
		if ifc := c.path.ifc(s); larges(ifc.Out) >= keepSuper {
			s.flush(ifc)
		}
	}
	var b *pkt.Buf
	if n := len(o.free) - 1; n >= 0 {
		b, o.free = o.free[n], o.free[:n]
		b.Reset()
	} else {
		b = pkt.NewBuf(netif.SuperSize)
	}
	pkt.AllowSuper(b, ipv4.MaxLen)
	return b
}

// larges returns how many of bufs are for super-segments.
func larges(bufs []*pkt.Buf) (n int) {
	for _, b := range bufs {
		if b.Cap() >= pkt.SuperSize {
			n++
		}
	}
	return n
}

// putLarge takes a Buf of SuperSize back from ifc.
//
//go:noinline
func (s *Stack) putLarge(ifc *netif.Interface, b *pkt.Buf) {
	if o, ok := ifc.Dev.(*offloader); ok && len(o.free) < keepSuper {
		o.free = append(o.free, b)
	}
}

// keptSuper reports whether there are such Bufs.
func (s *Stack) keptSuper() bool {
	for _, ifc := range s.ifaces[1:] {
		if o, ok := ifc.Dev.(*offloader); ok && o.free != nil {
			return true
		}
	}
	return false
}

// trimSuper leaves those to the garbage collector that nobody has needed since the last call.
func (s *Stack) trimSuper() {
	for _, ifc := range s.ifaces[1:] {
		if o, ok := ifc.Dev.(*offloader); ok {
			if !o.used {
				o.free = nil
			}
			o.used = false
		}
	}
}

// wireLen returns how long a packet is that is made of what is in b, with an IPv4 header of head
// bytes: of a super-segment, each of its segments.
func wireLen(b *pkt.Buf, head int) int {
	if size := pkt.SegmentSize(b); size != 0 {
		return head + int(b.Bytes()[12]>>4)*4 + size
	}
	return head + b.Len()
}

// cut sends the frame in b as the interface's device takes it, if that is no offloader: its path
// has changed since it was built.
func (s *Stack) cut(ifc *netif.Interface, b *pkt.Buf) bool {
	if pkt.Summed(b) != pkt.SumPartial {
		return false
	}
	if _, ok := ifc.Dev.(*offloader); ok {
		return false
	}
	var c netif.Cutter
	if !c.Begin(b) {
		netif.Complete(b)
		return false
	}
	for f := s.pool.Get(); ; f = s.pool.Get() {
		if !c.Next(f) {
			s.pool.Put(f)
			break
		}
		s.transmit(ifc, f)
	}
	if b.Cap() < pkt.SuperSize { // else it is of another interface
		s.pool.Put(b)
	}
	return true
}
