// Package bench measures stacks against each other: the same work for each, side by side
// in one run, in turns, with medians, spread and ratios.
//
// A Subject is a stack with a way to its peer: two engines of ours on one core, blocking
// sockets over an emulated link, a TAP to the kernel, the kernel alone, or the least that
// any stack has to do. A Work is what it is asked to do. What a subject makes of a work is
// a Case, which is set up once and then runs in slices: those of all the subjects take
// turns, so that whatever else the machine does meets all of them.
//
// Nothing here needs another module. gVisor's stack is added in examples/bench, which is
// the same command with more subjects.
package bench

import (
	"errors"
	"time"
)

// A Work is something to do that every stack can do.
type Work struct {
	Name string
	Help string
	Main string // the Metric that is compared
}

// Works are all there are. The near host is the one that is measured, where only one is.
var Works = []Work{
	{"up", "one connection, the near host sends as fast as it can, in calls of 64 KiB", "gbit_s"},
	{"down", "one connection, the near host receives as fast as it can, in calls of 64 KiB", "gbit_s"},
	{"both", "one connection, both hosts send as fast as they can", "gbit_s"},
	{"up32", "32 connections, the near host sends as fast as it can on all of them, in calls of 64 KiB", "gbit_s"},
	{"rr1", "request and answer of 1 byte each, one after the other", "per_s"},
	{"rr64", "request and answer of 64 bytes each, one after the other", "per_s"},
	{"rr16k", "request and answer of 16 KiB each, one after the other", "per_s"},
	{"crr", "connect, accept, and close at both ends, one after the other", "per_s"},
	{"idle", "10,000 connections, of which 100 exchange 64 bytes, at the same time", "per_s"},
	{"small", "one connection, the near host sends in calls of 64 bytes", "per_s"},
	{"udp", "datagrams of 1,472 bytes from the near host, 32 and then an answer", "gbit_s"},
}

// work returns the Work of that name.
func work(name string) Work {
	for _, w := range Works {
		if w.Name == name {
			return w
		}
	}
	return Work{Name: name}
}

// Sizes of the works.
const (
	Chunk      = 64 << 10 // bytes of a call in bulk transfers
	Datagram   = 1472     // bytes: what fits in a frame
	Burst      = 32       // datagrams to an answer
	Many       = 32       // connections of up32
	IdleConns  = 10_000
	IdleActive = IdleConns / 100
)

// A Subject is a stack and a way to its peer.
type Subject struct {
	Group string // those of a group are compared: "pair", "sockets", "tap"
	Name  string
	Help  string

	// Open sets up a work. ErrNotHere is for what this subject does not do; any other
	// error says why this machine or build can't.
	Open func(work string, o Options) (*Case, error)
}

// errIsolated says what is missing for everything with the kernel in it.
var errIsolated = errors.New("TAP and the kernel: skipped, they take root, to make a network namespace, and /dev/net/tun")

// ErrNotHere says that a subject does not do a work.
var ErrNotHere = errors.New("not a work of this subject")

// Options are what the works can be scaled by.
type Options struct {
	Conns int // of work idle; 0: IdleConns
	MTU   int // 0: 1500

	// Buffers is the size of each socket's buffers, in bytes; 0: the profile's defaults,
	// which grow.
	Buffers uint32
}

func (o Options) conns() int {
	if o.Conns == 0 {
		return IdleConns
	}
	return o.Conns
}

func (o Options) mtu() int {
	if o.MTU == 0 {
		return 1500
	}
	return o.MTU
}

// A Case is a work set up on a subject.
type Case struct {
	// Run works until the budget is used up, and all that was begun is done.
	Run func(Budget) (Count, error)
	// Frames returns how many frames the near and the far host have sent; it may be nil.
	Frames func() (near, far uint64)
	// Close ends it, and every goroutine of it.
	Close func()
}

// A Budget bounds a slice: a number of operations, a time, or both. What is 0 does not
// bound it.
type Budget struct {
	Ops  int
	Time time.Duration
}

// Count is what a slice has done.
type Count struct {
	Ops     int64 // calls, requests, connections, datagrams
	Bytes   int64 // of payload that arrived, both ways together
	Lost    int64 // datagrams that did not
	Both    bool  // data went both ways
	Elapsed time.Duration
	Latency *Histogram // of each Op, if it is a round trip; may be nil
}

// loop counts what a Budget allows. A goroutine has its own.
type loop struct {
	start, end time.Time
	left       int
	first      bool // nothing was done yet: a slice does something, however short
}

func (b Budget) begin() loop {
	l := loop{start: time.Now(), left: b.Ops, first: true}
	if b.Ops == 0 {
		l.left = int(^uint(0) >> 1)
	}
	if b.Time > 0 {
		l.end = l.start.Add(b.Time)
	}
	return l
}

// next takes up to n operations, and returns how many there may be: 0 at the end. The
// clock is read once for all n.
func (l *loop) next(n int) int {
	if l.left <= 0 || !l.first && !l.end.IsZero() && !time.Now().Before(l.end) {
		return 0
	}
	l.first = false
	n = min(n, l.left)
	l.left -= n
	return n
}

// each splits the operations among n goroutines.
func (b Budget) each(n int) Budget {
	if b.Ops > 0 {
		b.Ops = max(1, b.Ops/n)
	}
	return b
}
