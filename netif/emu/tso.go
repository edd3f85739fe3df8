package emu

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/netif"
)

// Super-segments pass whole where nothing can happen to them and who receives takes them; else
// they are cut as they are sent, so that MTU, rate, queue and impairments are those of frames, and
// so are counters in any case.

// maxWhole is how many super-segments a Recv takes at most: 512 KiB. Who takes more of them in than a
// cache holds reads them twice from memory.
const maxWhole = 8

// offload says that the port's receiver takes super-segments.
func (p *Port) offload() bool {
	p.in.mu.Lock()
	p.in.whole = true
	p.in.mu.Unlock()
	return true
}

// sendOffloaded takes the frame in bufs[i], whose checksum is not computed, if it is a
// super-segment. Else it returns false: the frame then goes the way of all others.
func (q *pipe) sendOffloaded(at netif.Time, bufs []*netif.Buf, i int) (err errno.Errno, done bool) {
	b := bufs[i]
	through := q.perfect && len(q.heap) == 0 && len(q.held) == 0
	if netif.SegmentSize(b) == 0 {
		if !through || !q.whole {
			netif.Complete(b)
		}
		return 0, false
	}
	var c netif.Cutter
	if !c.Begin(b) {
		q.stats.BadLength++
		q.count(b.Len())
		return errno.EMSGSIZE, true
	}
	if through && q.whole && c.FrameLen() <= q.mtu+headerLen {
		n := c.Frames()
		if q.len()+q.more+n > q.limit {
			q.stats.Sent += uint64(n)
			q.stats.SentBytes += uint64(c.Bytes())
			q.stats.Overruns += uint64(n)
			return errno.ENOBUFS, true
		}
		q.stats.Sent += uint64(n)
		q.stats.SentBytes += uint64(c.Bytes())
		q.more += n - 1
		bufs[i] = q.largeFor(b)
		q.push(b)
		return 0, true
	}
	for {
		f := q.small()
		if !c.Next(f) {
			q.free = append(q.free, f)
			return err, true
		}
		if e := q.admit(f.Bytes()); e != 0 {
			err = e
			q.free = append(q.free, f)
		} else if through {
			q.push(f)
		} else if q.transmit(at, f.Bytes()) && !q.lose() {
			q.launch(at, f)
		} else {
			q.free = append(q.free, f)
		}
	}
}

// small returns an empty Buf for a frame of the link.
func (q *pipe) small() *netif.Buf {
	if n := len(q.free) - 1; n >= 0 {
		b := q.free[n]
		q.free = q.free[:n]
		return b
	}
	return netif.NewBuf(q.mtu + headerLen + tagLen)
}

// largeFor returns an empty Buf in exchange for b.
func (q *pipe) largeFor(b *netif.Buf) *netif.Buf {
	if n := len(q.large) - 1; n >= 0 && q.large[n].Cap() >= b.Cap() {
		f := q.large[n]
		q.large = q.large[:n]
		f.Reset()
		return f
	}
	return netif.NewBuf(b.Cap())
}

// deliverWhole gives the receiver the super-segment in full for its empty Buf, which it gets back with
// the next frames.
func (q *pipe) deliverWhole(full, empty *netif.Buf) *netif.Buf {
	var c netif.Cutter
	c.Begin(full)
	q.more -= c.Frames() - 1
	q.stats.Delivered += uint64(c.Frames())
	q.stats.DeliveredBytes += uint64(c.Bytes())
	if empty.Cap() >= netif.SuperSize { // it has one already
		q.keepLarge(empty)
	} else {
		q.lent = append(q.lent, empty)
	}
	return full
}

// takeBack exchanges the large Bufs among the receiver's for those that it gave for them.
func (q *pipe) takeBack(bufs []*netif.Buf) {
	for i, b := range bufs {
		n := len(q.lent) - 1
		if n < 0 {
			return
		}
		if b.Cap() >= netif.SuperSize {
			bufs[i], q.lent = q.lent[n], q.lent[:n]
			q.keepLarge(b)
		}
	}
	// What is left was given for Bufs that the receiver keeps.
	q.free = append(q.free, q.lent...)
	q.lent = q.lent[:0]
}

func (q *pipe) keepLarge(b *netif.Buf) {
	// As many as the queue holds full ones: else what a burst needs is made anew for each.
	if len(q.large) < max(64, q.limit/(netif.SuperSize/q.mtu+1)+maxWhole) {
		q.large = append(q.large, b)
	}
}
