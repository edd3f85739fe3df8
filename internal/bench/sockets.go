package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Ends are two hosts with blocking sockets that reach each other. With them, every work
// but those of a bare TAP is the same for all stacks.
type Ends struct {
	// Connect opens a TCP connection from the near host.
	Connect func() (near, far net.Conn, err error)
	// Datagrams opens a UDP socket on each host, connected to the other's.
	Datagrams func() (near, far net.Conn, err error)
	Frames    func() (near, far uint64) // see Case; may be nil
	Close     func()
}

// slack is how much longer than its budget a slice may take before its sockets are closed.
const slack = 20 * time.Second

// errSlow is for slices that were given up.
var errSlow = errors.New("given up: nothing moves any more")

// Open sets up a work. The Case closes the Ends.
func (e *Ends) Open(work string, o Options) (c *Case, err error) {
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	k := &sockets{ends: e}
	switch work {
	case "crr":
		k.run = k.connectClose
	case "udp":
		err = k.datagrams()
	case "up32":
		err = k.upMany(Many)
	case "idle":
		err = k.idle(o.conns(), max(1, o.conns()/100))
	case "up", "down", "both", "small", "rr1", "rr64", "rr16k":
		var near, far net.Conn
		if near, far, err = k.connect(); err == nil {
			k.one(work, near, far)
		}
	default:
		err = ErrNotHere
	}
	if err != nil {
		k.close()
		return nil, err
	}
	return &Case{Run: k.guarded, Frames: e.Frames, Close: func() { k.close(); e.Close() }}, nil
}

// sockets is a work over blocking sockets.
type sockets struct {
	ends  *Ends
	run   func(Budget) (Count, error)
	conns []net.Conn
	wg    sync.WaitGroup // the goroutines that outlive a slice
}

func (k *sockets) close() {
	for _, c := range k.conns {
		c.Close()
	}
	k.wg.Wait()
}

// guarded runs a slice that ends in any case.
func (k *sockets) guarded(b Budget) (Count, error) {
	var late atomic.Bool
	if b.Time > 0 {
		t := time.AfterFunc(b.Time+slack, func() {
			late.Store(true)
			for _, c := range k.conns {
				c.Close()
			}
			k.ends.Close()
		})
		defer t.Stop()
	}
	n, err := k.run(b)
	if late.Load() {
		err = errSlow
	}
	return n, err
}

// connect opens a connection that close closes.
func (k *sockets) connect() (near, far net.Conn, err error) {
	if near, far, err = k.ends.Connect(); err == nil {
		k.conns = append(k.conns, near, far)
	}
	return near, far, err
}

// one sets up a work that has one connection.
func (k *sockets) one(work string, near, far net.Conn) {
	switch work {
	case "up":
		k.run = k.bulk(near, far, Chunk)
	case "down":
		k.run = k.bulk(far, near, Chunk)
	case "both":
		k.both(near, far)
	case "small":
		k.run = k.bulk(near, far, 64)
	case "rr1":
		k.run = k.roundTrips(near, far, 1)
	case "rr64":
		k.run = k.roundTrips(near, far, 64)
	case "rr16k":
		k.run = k.roundTrips(near, far, 16<<10)
	}
}

// sink reads all that arrives and counts it.
type sink struct {
	total atomic.Int64
	want  atomic.Int64
	there chan struct{} // there may be as much as is wanted; closed when no more will come
}

func (k *sockets) sink(c net.Conn) *sink {
	s := &sink{there: make(chan struct{}, 1)}
	k.wg.Add(1)
	go func() {
		defer k.wg.Done()
		defer close(s.there)
		buf := make([]byte, Chunk)
		for {
			n, err := c.Read(buf)
			if s.total.Add(int64(n)) >= s.want.Load() {
				select {
				case s.there <- struct{}{}:
				default:
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return s
}

// wait returns when n bytes have arrived since the beginning.
func (s *sink) wait(n int64) error {
	s.want.Store(n)
	for s.total.Load() < n {
		if _, ok := <-s.there; !ok && s.total.Load() < n {
			return io.ErrUnexpectedEOF
		}
	}
	s.want.Store(1 << 62)
	return nil
}

// write sends as long as the budget allows and returns the number of calls.
func write(c net.Conn, l *loop, buf []byte) (calls int64, err error) {
	batch := max(1, 4096/len(buf))
	for k := l.next(batch); k > 0; k = l.next(batch) {
		for range k {
			if _, err := c.Write(buf); err != nil {
				return calls, err
			}
			calls++
		}
	}
	return calls, nil
}

// bulk sends one way. A slice ends when the other host has read all of it.
func (k *sockets) bulk(from, to net.Conn, size int) func(Budget) (Count, error) {
	s := k.sink(to)
	s.want.Store(1 << 62)
	buf := make([]byte, size)
	sent := int64(0)
	return func(b Budget) (n Count, err error) {
		l := b.begin()
		if n.Ops, err = write(from, &l, buf); err != nil {
			return n, err
		}
		sent += n.Ops * int64(size)
		err = s.wait(sent)
		return n.done(l, n.Ops*int64(size)), err
	}
}

// both sends both ways.
func (k *sockets) both(near, far net.Conn) {
	up, down := k.bulk(near, far, Chunk), k.bulk(far, near, Chunk)
	each := atOnce([]func(Budget) (Count, error){up, down})
	k.run = func(b Budget) (Count, error) {
		b.Ops *= 2 // as many in each direction
		n, err := each(b)
		n.Both = true
		return n, err
	}
}

// echo answers each request of size bytes with as many.
func (k *sockets) echo(c net.Conn, size int) {
	k.wg.Add(1)
	go func() {
		defer k.wg.Done()
		buf := make([]byte, size)
		for {
			if _, err := io.ReadFull(c, buf); err != nil {
				return
			}
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}()
}

func (k *sockets) roundTrips(near, far net.Conn, size int) func(Budget) (Count, error) {
	k.echo(far, size)
	buf := make([]byte, size)
	h := new(Histogram)
	return func(b Budget) (n Count, err error) {
		l := b.begin()
		*h = Histogram{}
		for last := l.start; l.next(1) > 0; {
			if _, err := near.Write(buf); err != nil {
				return n, err
			}
			if _, err := io.ReadFull(near, buf); err != nil {
				return n, err
			}
			now := time.Now()
			h.Add(now.Sub(last))
			last = now
			n.Ops++
		}
		n.Latency = h
		return n.done(l, 2*n.Ops*int64(size)), nil
	}
}

// idle opens n connections and uses some of them, at even distances, at the same time.
func (k *sockets) idle(n, active int) error {
	var runs []func(Budget) (Count, error)
	for i := range n {
		near, far, err := k.connect()
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		if i%(n/active) == 0 && len(runs) < active {
			runs = append(runs, k.roundTrips(near, far, 64))
		}
	}
	k.run = atOnce(runs)
	return nil
}

// upMany sends on n connections at the same time.
func (k *sockets) upMany(n int) error {
	var runs []func(Budget) (Count, error)
	for i := range n {
		near, far, err := k.connect()
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		runs = append(runs, k.bulk(near, far, Chunk))
	}
	k.run = atOnce(runs)
	_, err := k.guarded(Budget{Ops: 16 * n, Time: time.Second}) // until windows have grown
	return err
}

// atOnce does all runs at the same time, and adds up what they did.
func atOnce(runs []func(Budget) (Count, error)) func(Budget) (Count, error) {
	h := new(Histogram)
	return func(b Budget) (sum Count, err error) {
		l := b.begin()
		*h = Histogram{}
		errs := make(chan error, len(runs))
		counts := make([]Count, len(runs))
		for i, run := range runs {
			go func() {
				n, err := run(b.each(len(runs)))
				counts[i] = n
				errs <- err
			}()
		}
		for range runs {
			err = errors.Join(err, <-errs)
		}
		bytes := int64(0)
		for _, n := range counts {
			sum.Ops += n.Ops
			bytes += n.Bytes
			if n.Latency != nil {
				h.Merge(n.Latency)
				sum.Latency = h
			}
		}
		return sum.done(l, bytes), err
	}
}

// connectClose opens connections and closes them at both ends, the near one first.
func (k *sockets) connectClose(b Budget) (n Count, err error) {
	l := b.begin()
	h := new(Histogram)
	var one [1]byte
	for last := l.start; l.next(1) > 0; {
		near, far, err := k.ends.Connect()
		if err != nil {
			return n, err
		}
		near.Close()
		if _, err := far.Read(one[:]); err != io.EOF {
			far.Close()
			return n, fmt.Errorf("at the end of a connection: %v", err)
		}
		far.Close()
		now := time.Now()
		h.Add(now.Sub(last))
		last = now
		n.Ops++
	}
	n.Latency = h
	return n.done(l, 0), nil
}

// datagrams sends bursts. The far host counts what arrives, and answers the last datagram of
// a burst with the number; if that one is lost, a shorter one asks again.
func (k *sockets) datagrams() error {
	near, far, err := k.ends.Datagrams()
	if err != nil {
		return err
	}
	k.conns = append(k.conns, near, far)
	k.wg.Add(1)
	go func() {
		defer k.wg.Done()
		buf := make([]byte, 2048)
		total := uint32(0)
		for {
			n, err := far.Read(buf)
			if err != nil {
				return
			}
			if n == Datagram {
				total++
			}
			if n >= 8 && buf[0] == 1 { // the last one
				binary.BigEndian.PutUint32(buf[:4], total)
				if _, err := far.Write(buf[:8]); err != nil {
					return
				}
			}
		}
	}()
	buf := make([]byte, Datagram)
	answer := make([]byte, 64)
	id, before := uint32(0), uint32(0)
	burst := func(n int) (got int, err error) {
		id++
		binary.BigEndian.PutUint32(buf[4:], id)
		for i := range n {
			buf[0] = 0
			if i == n-1 {
				buf[0] = 1
			}
			near.Write(buf) // what does not get out is lost
		}
		for range 100 {
			near.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			for {
				m, err := near.Read(answer)
				if err != nil {
					break
				}
				if m == 8 && binary.BigEndian.Uint32(answer[4:]) == id {
					total := binary.BigEndian.Uint32(answer)
					got, before = int(total-before), total
					return got, nil
				}
			}
			near.Write(buf[:8])
		}
		return 0, errSlow
	}
	if _, err := burst(1); err != nil { // ARP
		return err
	}
	k.run = func(b Budget) (n Count, err error) {
		l := b.begin()
		for m := l.next(Burst); m > 0 && err == nil; m = l.next(Burst) {
			var got int
			got, err = burst(m)
			n.Ops += int64(got)
			n.Lost += int64(m - got)
		}
		return n.done(l, n.Ops*Datagram), err
	}
	return nil
}
