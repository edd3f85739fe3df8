// Package netif is the link layer: the Device contract, Ethernet, ARP with the
// neighbour table, and the state of an interface.
//
// It moves no frames: package stack does, with a Device. There are no VLANs, no proxy
// ARP and no filter of multicast groups. Feature acd adds address conflict detection
// (RFC 5227), feature multicast the groups of an interface and IGMP (RFC 3376); feature bigtables makes the
// neighbour table longer.
package netif

import "github.com/bonsainet/bonsai/internal/pkt"

// Buf is the memory of one frame. See its methods: a device needs Space, SetLen
// and Bytes.
type Buf = pkt.Buf

// NewBuf allocates an empty Buf for a frame of size bytes, without the frame
// check sequence.
func NewBuf(size int) *Buf { return pkt.NewBuf(size) }

// Time is a point on the stack's clock, in nanoseconds.
type Time = pkt.Time

// MAC is an Ethernet address.
type MAC [6]byte

// A Device moves Ethernet frames (without preamble and frame check sequence) in
// batches. Frames change hands by exchange, so that nothing is copied that need
// not be, and neither side's memory grows:
//
//   - Send transmits the frames in bufs, in order. On return every element of
//     bufs is a Buf that the caller owns and whose content no longer matters:
//     the same one, or another at least as large.
//   - Recv waits for at least one frame, puts up to len(bufs) frames into bufs
//     and returns their number. It fills the Bufs that it is given (Space, then
//     SetLen) or replaces them with others, at least as large, that it owned.
//
// Send may be called from several goroutines, but never at the same time. It
// must not wait for long: a device that can't take a frame drops it, as a full
// transmit ring does. It may run while another goroutine is in Recv. Close wakes
// Recv, which from then on returns an error; Send then drops everything.
//
// A frame in Bufs has at most MTU()+14 bytes, or 18 with a VLAN tag. Longer ones
// that arrive are the device's to drop.
type Device interface {
	// Send transmits frames. An error says why some were dropped; the stack
	// counts it and goes on.
	Send(bufs []*Buf) error

	// Recv returns the number of frames received, at least 1 unless it was interrupted
	// (see Interrupter), or an error, from then on, when the device is closed or gone
	// for good.
	Recv(bufs []*Buf) (int, error)

	// MTU returns the largest IPv4 packet that a frame carries, in bytes: 68 to
	// 65,521 (RFC 791 section 3.2 gives the least).
	MTU() int

	// HardwareAddr returns the address that the interface uses until SIOCSIFHWADDR
	// sets another.
	HardwareAddr() MAC

	Close() error
}

// An Interrupter is a Device whose Recv can be called back. With one, feature leader
// lets a call that waits serve the device itself.
type Interrupter interface {
	// Interrupt makes the Recv that waits, or else the next one, return soon, with 0
	// frames if there are none. It returns false if the device can't do that. It may be
	// called at any time, and does not wait. A device that wraps another must pass it on,
	// and return from Recv when that one does.
	Interrupt() bool
}
