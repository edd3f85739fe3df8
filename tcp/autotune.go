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
	most uint32 // that was taken in one
}

type _ [unsafe.Sizeof(receiver{}.tune) - feature.LenAutotune*unsafe.Sizeof(tuneState{})]struct{} // it fits

func tuneOf(c *Conn) *tuneState { return (*tuneState)(unsafe.Pointer(&c.rcv.tune)) }

// tuneReceive grows the receive buffer so that it holds twice what the application
// took in the last round trip: what arrives while one window is read is the next
// (dynamic right-sizing: Fisk and Feng, 2001). While that still grows as in slow start,
// it is three times as much: should the start prove to be too fast, the window must hold
// what is sent while the losses are repaired, or the sender falls silent and then sends a
// window at once. A buffer whose size the application
// has set stays as it is, and none grows while the stack's memory is low.
func (c *Conn) tuneReceive(now pkt.Time) {
	r := &c.rcv
	t := tuneOf(c)
	us := uint32(now / pkt.Microsecond)
	rtt := c.rtt.srtt
	if rtt == 0 || us-t.at < rtt {
		return
	}
	took := r.read - t.read
	idle := us-t.at > 2*rtt
	t.at, t.read = us, r.read
	o := &c.Options
	if idle || o.RcvBuf >= c.env.MaxRcvBuf || c.flags&flagRcvLocked != 0 || c.env.Mem.Low() {
		return
	}
	want := 2*took + 16*uint32(r.mss)
	if most := t.most; took > most {
		t.most = took
		if took-most > most/4 {
			want *= 3
		}
	}
	if want > o.RcvBuf {
		o.RcvBuf = min(want, c.env.MaxRcvBuf)
	}
}

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
