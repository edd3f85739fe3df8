package pktest

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// A Target is a stack under test, as a script sees it: an interface with one
// address on which IPv4 packets come and go, and system calls.
//
// All methods are called from one goroutine. Times count from Setup's return. A
// target in virtual time stands still but in Wait; one in real time does what it
// can and Tolerance says how exact that is.
type Target interface {
	// Setup prepares a fresh stack. It returns an error that is Unsupported if
	// the target can't be what the script asks for, which then is skipped.
	Setup(Setup) error

	// Has reports whether the target has a feature, by its name in bonsai's table
	// of features.
	Has(feature string) bool

	// Now returns the time.
	Now() time.Duration

	// Wait lets time pass, until that time at the latest, and returns early when
	// the stack has sent a packet or a call has ended. It first does what is due
	// now, if any.
	Wait(until time.Duration)

	// Inject gives the stack an IPv4 packet that has arrived.
	Inject(packet []byte)

	// Sent returns the next packet that the stack has sent, and when; ok is false
	// if there is none.
	Sent() (packet []byte, at time.Duration, ok bool)

	// Start makes a system call. The call may go on in Wait: it is over when
	// c.Done. A call that can't block is over when Start returns, or very soon
	// after in real time.
	Start(c *Call)

	// Info returns what TCP_INFO says about a socket, by Linux's names
	// (tcpi_snd_cwnd...), in Linux's units, or nil if it is no TCP socket.
	Info(fd int) map[string]int64

	// Tolerance is how exact the target's times are: 0 in virtual time.
	Tolerance() time.Duration

	// Close ends the stack, with all that is in it.
	Close()
}

// Setup is what a script says about the stack and its interface.
type Setup struct {
	Local   netip.Addr // of the interface
	Bits    int        // of its netmask
	Gateway netip.Addr // the way to everywhere else
	Remote  netip.Addr // the peer
	MTU     int        // bytes
	Sysctl  []Sysctl   // in order
}

// Sysctl is a setting of the stack, by Linux's name: net.ipv4.tcp_syn_retries.
type Sysctl struct{ Name, Value string }

// Unsupported is the error of what a target can't do, as opposed to what it does
// wrong.
type Unsupported string

func (u Unsupported) Error() string { return string(u) }

// unsupported makes an Unsupported.
func unsupported(format string, args ...any) error {
	return Unsupported(fmt.Sprintf(format, args...))
}

// IsUnsupported reports whether err says that the target can't do what was asked.
func IsUnsupported(err error) bool {
	var u Unsupported
	return errors.As(err, &u)
}

// Call is a system call. Of its arguments, those that it has are set; numbers are
// Linux's.
type Call struct {
	Name string // "socket", "bind"...
	FD   int

	Type, Proto int            // socket
	Addr        netip.AddrPort // bind, connect, sendto; invalid: none was given
	Data        []byte         // write, send, sendto
	N           int            // read: bytes wanted; listen: backlog; shutdown: how; fcntl: command; poll: timeout in ms
	Flags       int            // MSG_..., O_...
	Level, Opt  int            // setsockopt, getsockopt; Opt is ioctl's request too
	Value       []int32        // setsockopt: the value; several for a struct
	Poll        []PollFD

	Done bool // the rest is valid:
	Result
}

// Result is what a Call returns.
type Result struct {
	Ret   int            // -1 if Errno is not 0
	Errno int            // Linux's number
	Bytes []byte         // what was read
	From  netip.AddrPort // recvfrom, accept
	Out   []int32        // getsockopt, ioctl: the value
	Err   error          // Unsupported: the target does not know the call
}

// PollFD is C's struct pollfd.
type PollFD struct {
	FD              int
	Events, Revents int16
}

// finish ends the call.
func (c *Call) finish(ret, errno int) {
	if errno != 0 {
		ret = -1
	}
	c.Ret, c.Errno, c.Done = ret, errno, true
}
