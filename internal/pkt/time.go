// Package pkt holds the vocabulary that every layer shares: the frame buffer
// with its headroom and its pool, the memory of the sockets' queues, the Internet
// checksum, the byte orders, and the stack's time.
//
// Nothing in it knows a protocol, a clock or a lock. Feature fastsum adds a faster
// checksum.
package pkt

// Time is a point on the stack's clock, or a duration, in nanoseconds. The
// epoch is the caller's: only differences matter, and it never runs backwards.
type Time int64

const (
	Nanosecond  Time = 1
	Microsecond      = 1000 * Nanosecond
	Millisecond      = 1000 * Microsecond
	Second           = 1000 * Millisecond
	Minute           = 60 * Second

	// Never is later than every other Time: "no deadline".
	Never Time = 1<<63 - 1
)
