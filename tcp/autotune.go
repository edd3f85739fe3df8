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
// takes in a round trip: what arrives while one window is read is the next
// (dynamic right-sizing: Fisk and Feng, 2001). While that still grows as in slow start,
// it is three times as much: should the start prove to be too fast, the window must hold
// what is sent while the losses are repaired, or the sender falls silent and then sends a
// window at once. A buffer whose size the application
// has set stays as it is, and none grows while the stack's memory is low.
//
// The round trip is the handshake's, and what is read in it may be far more than fills the path:
// where both ends are busy, a larger window only waits in queues, beyond what the cache holds. So
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
	took := uint32(uint64(r.read-t.read) * uint64(rtt) / uint64(dt))
	t.at, t.read = us, r.read
	o := &c.Options
	if dt > 2*at || took <= t.most || o.RcvBuf >= c.env.MaxRcvBuf || c.flags&flagRcvLocked != 0 || c.env.Mem.Low() {
		return
	}
	want := uint64(2*took + 16*uint32(r.mss))
	if took-t.most > t.most/4 {
		want *= 3
	}
	limit := 3 * uint64(o.RcvBuf)
	if t.most > 0 {
		limit = min(limit, uint64(o.RcvBuf)*uint64(took)/uint64(t.most))
	}
	t.most = took
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

// What a connection to a peer nearby queues: little, or it would wait for its turn where the caches do
// not hold it, and be copied twice as slowly. A path without delay asks for no more.
const (
	nearby   = 64        // us, of a round trip: nearBuf in that is 16 Gbit/s
	nearBuf  = 128 << 10 // bytes
	crowdBuf = 64 << 10  // and when all sockets hold more than crowded
	crowded  = 2 << 20
)

// sndBuf returns how many bytes may be queued to be sent: the send buffer's size, or less of one
// whose size the application has not set.
func (c *Conn) sndBuf() uint32 {
	n := c.Options.SndBuf
	if feature.Autotune && feature.RACK && n > crowdBuf && c.flags&flagSndLocked == 0 {
		if rtt := sackOf(c).rack.min; rtt != 0 && rtt < nearby {
			most := uint32(nearBuf)
			if c.env.Mem.Used() > crowded {
				most = crowdBuf
			}
			// And four segments, where those are large: a peer that has less than two keeps its ACK.
			n = min(n, max(most, 4*uint32(c.snd.mss)))
		}
	}
	return n
}

// LockRcvBuf and LockSndBuf say that the application has set the size of its
// buffer.
func (c *Conn) LockRcvBuf() { c.flags |= flagRcvLocked }

// LockSndBuf is LockRcvBuf for the send buffer.
func (c *Conn) LockSndBuf() { c.flags |= flagSndLocked }
