// Package tap is a Linux TAP device: the stack's cable to the kernel, and through
// a bridge or the kernel's routing to the world.
//
// One end of it is the kernel's network interface of that name, with an address
// of its own, configured with ip(8); the other is the netif.Device, with another
// hardware address. Opening one takes CAP_NET_ADMIN, or an interface that root
// made for the user: ip tuntap add tap0 mode tap user NAME.
//
// A TAP takes and gives one frame per system call. With the features gro and tso, that is up to 64
// KiB of one connection (IFF_VNET_HDR), which the kernel segments only if it sends it on over
// a wire; without them, and for who does not call Offload, a frame of the MTU. On systems other than
// Linux, Open returns an error.
package tap

import "github.com/bonsainet/bonsai/netif"

// Config says which interface to open and how.
type Config struct {
	// Name is the kernel's name of the interface: 1 to 15 bytes. One that exists
	// is opened, else it is made. "" lets the kernel choose: tap0, tap1...
	Name string

	// MTU, if not 0, is set on the kernel's interface: 68 to 65,521 bytes. The
	// kernel makes new ones with 1,500.
	MTU int

	// HardwareAddr is the address of the stack's end, not of the kernel's. If it is
	// zero, Open derives one from the kernel's that is locally administered and
	// differs from it.
	HardwareAddr netif.MAC

	// KernelAddr, if not zero, becomes the address of the kernel's interface.
	KernelAddr netif.MAC

	// Up brings the kernel's interface up. While it is down, the kernel refuses all
	// frames: Send returns EIO.
	Up bool

	// Persist keeps an interface that Open makes when it is closed. One that
	// existed before stays in any case.
	Persist bool

	// Owner, if not nil, is who may open the interface afterwards without
	// CAP_NET_ADMIN: a process of that user which is in that group too.
	Owner *Owner
}

// Owner is a user and a group, by number.
type Owner struct{ UID, GID uint }

// Error says what failed and why. errors.Is finds the kernel's error in it.
type Error struct {
	Name   string // of the interface
	Reason string
	Err    error // a syscall.Errno, or nil
}

func (e *Error) Error() string {
	s := "tap: "
	if e.Name != "" {
		s += e.Name + ": "
	}
	s += e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

var (
	_ netif.Offloader   = (*Device)(nil)
	_ netif.Interrupter = (*Device)(nil)
)
