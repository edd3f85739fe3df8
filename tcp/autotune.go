package tcp

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// tuneState measures how much the application takes in a round trip.
type tuneState struct {
	at   uint32 // when the measurement began, in us
	read uint32 // rcv.read then
	most uint16 // that was taken in one, in KiB
	rtt  uint16 // the round trip is no longer than this, in units of rttUnit; 0: no bound is known
}

// rttUnit is in us: bounds of up to a second count.
const rttUnit = 16

type _ [unsafe.Sizeof(receiver{}.tune) - feature.LenAutotune*unsafe.Sizeof(tuneState{})]struct{} // it fits

func tuneOf(c *Conn) *tuneState { return (*tuneState)(unsafe.Pointer(&c.rcv.tune)) }

// tuneReceive grows the receive buffer so that it holds twice what the application
// takes in a round trip: what arrives while one window is read is the next
// (dynamic right-sizing: Fisk and Feng, 2001). While that still grows as in slow start,
// it is three times as much: should the start prove to be too fast, the window must hold
// what is sent while the losses are repaired, or the sender falls silent and then sends a
// window at once. A buffer whose size the application
// has set stays as it is, and none grows while the stack's memory is low.
//
// The round trip is the handshake's, which had to wake who answered it and may be many times the
// path's. But no more than a window arrives in one: that bounds it where more arrives. And
// where both ends are busy, a larger window only waits in queues, beyond what the cache holds: so
// the buffer grows by as much as the rate has risen since it last did, threefold at most.
func (c *Conn) tuneReceive(now pkt.Time) {
	r := &c.rcv
	t := tuneOf(c)
	us := uint32(now / pkt.Microsecond)
	rtt := c.rtt.srtt
	at := max(rtt, minTune)
	dt := us - t.at
	if rtt == 0 || dt < at {
		return
	}
	o := &c.Options
	read := uint64(r.read - t.read)
	t.at, t.read = us, r.read
	if buf := uint64(o.RcvBuf); read > buf { // which may have been there before
		if n := 1 + buf*uint64(dt)/(read-buf)/rttUnit; n < 1<<16 && (t.rtt == 0 || n < uint64(t.rtt)) {
			t.rtt = uint16(n)
		}
	}
	if t.rtt != 0 {
		rtt = min(rtt, uint32(t.rtt)*rttUnit)
	}
	took, most := uint32(read*uint64(rtt)/uint64(dt)), uint32(t.most)<<10
	if dt > 2*at || took>>10 <= most>>10 || o.RcvBuf >= c.env.MaxRcvBuf || c.flags&flagRcvLocked != 0 || c.env.Mem.Low() {
		return
	}
	want := uint64(2*took + 16*uint32(r.mss))
	if took-most > most/4 {
		want *= 3
	}
	limit := 3 * uint64(o.RcvBuf)
	if most > 0 {
		limit = min(limit, uint64(o.RcvBuf)*uint64(took)/uint64(most))
	}
	t.most = uint16(min(took>>10, 1<<16-1))
	o.RcvBuf = max(o.RcvBuf, uint32(min(want, limit, uint64(c.env.MaxRcvBuf))))
}

// minTune is the least time, in us, over which is measured what the application takes: in less, it
// is chance.
const minTune = 1000

// tuneSend grows the send buffer to twice the congestion window, so that there is
// always something to send when an ACK lets it out.
func (c *Conn) tuneSend() {
	o := &c.Options
	if want := 2 * c.cc.cwnd; want > o.SndBuf && c.flags&flagSndLocked == 0 && !c.env.Mem.Low() {
		o.SndBuf = min(want, max(o.SndBuf, c.env.MaxSndBuf))
	}
}

// LockRcvBuf and LockSndBuf say that the application has set the size of its
// buffer.
func (c *Conn) LockRcvBuf() { c.flags |= flagRcvLocked }

// LockSndBuf is LockRcvBuf for the send buffer.
func (c *Conn) LockSndBuf() { c.flags |= flagSndLocked }
