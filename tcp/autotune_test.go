package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// tuned returns a dialogue whose buffers may grow to 1 MiB, over a path of 100 ms.
func tuned(t *testing.T, syn ...part) *dialogue {
	t.Helper()
	if !feature.On("autotune") {
		t.Skip("needs feature autotune")
	}
	d := newDialogue(t, withMemory(8<<20), withRcvBuf(65536), withSndBuf(16384))
	d.env.MaxRcvBuf, d.env.MaxSndBuf = 1<<20, 1<<20
	d.connect(append(syn, mss(1460), wscale(6))...)
	return d
}

// round has n octets arrive and be read in one round trip.
func (d *dialogue) round(n int) {
	d.Helper()
	for n > 0 {
		k := min(n, 1460)
		d.recv(ACK, octets(k))
		d.ignore()
		d.wantRead(k)
		d.ignore()
		n -= k
	}
	d.advance(101 * ms)
	d.ignore()
}

func TestReceiveBufferHoldsTwiceWhatIsReadInARoundTrip(t *testing.T) {
	d := tuned(t)
	for range 12 {
		d.round(60000)
	}
	// Twice of it, and 16 segments for who has just begun; in slow start it was three
	// times that.
	if n := d.c.Options.RcvBuf; n < 2*60000 || n > 3*(2*60000+17*1460) {
		d.failf("a buffer of %d for 60000 octets a round trip", n)
	}
	was := d.c.Options.RcvBuf
	for range 5 {
		d.round(1000)
	}
	if d.c.Options.RcvBuf != was {
		d.failf("the buffer has changed from %d to %d", was, d.c.Options.RcvBuf)
	}
	for range 30 {
		d.round(int(d.c.rcv.adv-d.c.rcv.nxt) / 2)
	}
	if n := d.c.Options.RcvBuf; n > 1<<20 || n <= was {
		d.failf("a buffer of %d, was %d, at most %d", n, was, 1<<20)
	}
	// And the peer is told.
	d.recv(ACK, octets(1000))
	d.ignore()
	d.wantRead(1000)
	d.ignore()
	if wnd := d.c.rcv.adv - d.c.rcv.nxt; wnd < was {
		d.failf("the window is %d", wnd)
	}
}

func TestReceiveBufferStaysWhenNobodyReads(t *testing.T) {
	d := tuned(t)
	for range 20 {
		d.recv(ACK, octets(1460))
		d.ignore()
		d.advance(101 * ms)
		d.ignore()
	}
	if n := d.c.Options.RcvBuf; n != 65536 {
		d.failf("grown to %d though nothing was read", n)
	}
}

func TestLockedBuffersDoNotGrow(t *testing.T) {
	d := tuned(t)
	d.c.LockRcvBuf()
	d.c.LockSndBuf()
	for range 10 {
		d.round(60000)
	}
	if n := d.c.Options.RcvBuf; n != 65536 {
		d.failf("receive buffer of %d", n)
	}
	for range 10 {
		d.tryWrite(100000)
		d.ignore()
		d.advance(100 * ms)
		d.ignore()
		d.recv(ACK)
		d.ignore()
	}
	if n := d.c.Options.SndBuf; n != 16384 {
		d.failf("send buffer of %d", n)
	}
	for d.c.Unacked() > 0 {
		d.recv(ACK)
		d.ignore()
	}
}

func TestBuffersDoNotGrowWhenMemoryIsLow(t *testing.T) {
	d := tuned(t)
	var hog []*pkt.Chunk // of somebody else
	limit := d.mem.Limit
	d.mem.Limit = 1 << 18
	for !d.mem.Low() {
		k := d.mem.Get()
		if k == nil {
			d.failf("memory is at its end, and not low")
		}
		hog = append(hog, k)
	}
	d.hold = true // the dialogue counts chunks
	before := d.c.Options
	tuneOf(&d.c).read = d.c.rcv.read - 60000
	tuneOf(&d.c).at = uint32((d.now - 150*ms) / pkt.Microsecond)
	d.c.tuneReceive(d.now)
	d.c.cc.cwnd = 500000
	d.c.tuneSend()
	if d.c.Options.RcvBuf != before.RcvBuf || d.c.Options.SndBuf != before.SndBuf {
		d.failf("grown to %d and %d", d.c.Options.RcvBuf, d.c.Options.SndBuf)
	}
	for _, k := range hog {
		d.mem.Put(k)
	}
	d.mem.Limit = limit
	tuneOf(&d.c).read = d.c.rcv.read - 60000
	tuneOf(&d.c).at = uint32((d.now - 150*ms) / pkt.Microsecond)
	d.c.tuneReceive(d.now)
	d.c.tuneSend()
	if d.c.Options.RcvBuf == before.RcvBuf || d.c.Options.SndBuf == before.SndBuf {
		d.failf("and with memory, not grown")
	}
	d.hold = false
}

func TestNearbyConnectionsQueueLittle(t *testing.T) {
	if !feature.On("rack") {
		t.Skip("no least round trip is kept")
	}
	for _, c := range []struct {
		name  string
		rtt   pkt.Time
		hog   uint32 // others hold more bytes
		locks bool
		most  int // that may be queued
	}{
		{"alone", nearby / 2 * pkt.Microsecond, 0, false, nearBuf},
		{"crowded", nearby / 2 * pkt.Microsecond, crowded, false, crowdBuf},
		{"far", nearby * pkt.Microsecond, crowded, false, 300000},
		{"size set", nearby / 2 * pkt.Microsecond, crowded, true, 300000},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := tuned(t, rawOptions(optNop, optNop, optSACKPermitted, 2))
			d.mem.Limit = 64 << 20
			d.tryWrite(1000)
			d.ignore()
			d.advance(c.rtt)
			d.recv(ACK)
			d.ignore()
			d.c.Options.SndBuf = 300000
			if c.locks {
				d.c.LockSndBuf()
			}
			d.hold = true // the dialogue counts chunks
			var hog []*pkt.Chunk
			for uint32(len(hog))*pkt.ChunkSize <= c.hog {
				hog = append(hog, d.mem.Get())
			}
			d.tryWrite(1 << 20)
			d.ignore()
			if n := d.c.Unacked(); n != c.most {
				d.failf("%d bytes are queued, want %d", n, c.most)
			}
			// Once the others let go, there is more room.
			for _, k := range hog {
				d.mem.Put(k)
			}
			d.tryWrite(1 << 20)
			d.ignore()
			if n := d.c.Unacked(); n != max(c.most, nearBuf) {
				d.failf("%d bytes are queued in the end", n)
			}
			d.hold = false
		})
	}
}

// TestNearbyConnectionsQueueFourSegments: with less than two, the peer would keep its ACK.
func TestNearbyConnectionsQueueFourSegments(t *testing.T) {
	d := tuned(t, rawOptions(optNop, optNop, optSACKPermitted, 2))
	if !feature.On("rack") {
		d.Skip("no least round trip is kept")
	}
	d.tryWrite(1000)
	d.ignore()
	d.advance(nearby / 2 * pkt.Microsecond)
	d.recv(ACK)
	d.ignore()
	d.c.Options.SndBuf, d.c.snd.mss = 1<<20, 64960
	if n := d.c.sndBuf(); n != 4*64960 {
		d.failf("%d bytes may be queued", n)
	}
	d.c.snd.mss = 1460
}

func TestSendBufferIsTwiceTheCongestionWindow(t *testing.T) {
	d := tuned(t)
	for range 8 {
		d.tryWrite(1 << 20)
		d.ignore()
		d.advance(100 * ms)
		d.ignore()
		d.recv(ACK)
		d.ignore()
	}
	if n, cwnd := d.c.Options.SndBuf, d.c.cc.cwnd; n <= 16384 || n > 2*cwnd || n > 1<<20 {
		d.failf("a send buffer of %d with a window of %d", n, cwnd)
	}
	for range 100 {
		d.recv(ACK)
		d.ignore()
	}
}

// Where the peer sends no faster with a larger window, it is not the window that holds it back: what
// lies in queues is no reason to grow. The handshake's round trip may be many times the path's.
func TestReceiveBufferGrowsOnlyWithTheRate(t *testing.T) {
	d := tuned(t)
	d.env.MaxRcvBuf = 16 << 20
	// 100 ms of round trip, by the handshake; in truth one that fits into it many times, so that
	// all that both ends can do goes through, whatever the window.
	for range 40 {
		for range 40 {
			d.recv(ACK, octets(30_000))
			d.ignore()
			d.wantRead(30_000)
			d.ignore()
		}
		d.advance(101 * ms)
		d.ignore()
	}
	if n := d.c.Options.RcvBuf; n > 3*65536 {
		d.failf("a buffer of %d", n)
	}
}
