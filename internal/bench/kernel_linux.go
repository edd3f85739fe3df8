package bench

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/kernelif"
)

// kernelSubjects are the kernel's own, and the limits of what it gives.
func kernelSubjects() []Subject {
	// A veth pair takes a second until it carries anything, so all works share one, which
	// vanishes with the process's namespace.
	veth := func(offloads bool) func(string, Options) (*Case, error) {
		var shared *Ends
		return func(work string, o Options) (*Case, error) {
			if shared == nil {
				e, err := openVeth(offloads)
				if err != nil {
					return nil, err
				}
				e.Close = func() {}
				shared = e
			}
			return shared.Open(work, o)
		}
	}
	return []Subject{
		{"tap", "kernel-plain", "the kernel to itself: two namespaces, a veth pair, checksum and segmentation offloads off", veth(false)},
		{"tap", "kernel", "the same with veth's offloads: super-segments of 64 KiB, no checksums", veth(true)},
		{"tap", "bare", "frames of 1,514 bytes written to a TAP, which the kernel drops (up), or read from one, as fast as the kernel makes them on another core (down); 1,448 bytes of each count", openBare},
	}
}

// openVeth joins this namespace to another one, for good.
func openVeth(offloads bool) (e *Ends, err error) {
	if !kernelif.Isolated() {
		return nil, errIsolated
	}
	ns, err := kernelif.NewNamespace()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errIsolated, err)
	}
	near, far := subnet()
	name := fmt.Sprintf("veth%d", near.As4()[2])
	var l net.Listener
	ready := func(dev string, a netip.Addr) error {
		err := patient()
		if err == nil && !offloads {
			err = kernelif.NoOffloads(dev)
		}
		if err == nil {
			err = kernelif.SetAddr(dev, netip.PrefixFrom(a, 24))
		}
		if err == nil {
			err = kernelif.SetUp(dev)
		}
		return err
	}
	if err = kernelif.AddVeth(name, "eth0", ns); err == nil {
		err = ready(name, near)
	}
	if err == nil {
		err = ns.Do(func() (err error) {
			if err = ready("eth0", far); err == nil {
				l, err = listen(netip.AddrPortFrom(far, Port))
			}
			return err
		})
	}
	if err != nil {
		ns.Close()
		return nil, err
	}
	dialer := net.Dialer{Control: kernelif.Cubic}
	return &Ends{
		Connect: Dialed(l, func() (net.Conn, error) { return dialer.Dial("tcp4", l.Addr().String()) }),
		Datagrams: func() (a, b net.Conn, err error) {
			na, fa := netip.AddrPortFrom(near, NearUDP), netip.AddrPortFrom(far, FarUDP)
			if a, err = net.DialUDP("udp4", net.UDPAddrFromAddrPort(na), net.UDPAddrFromAddrPort(fa)); err != nil {
				return nil, nil, err
			}
			err = ns.Do(func() (err error) {
				b, err = net.DialUDP("udp4", net.UDPAddrFromAddrPort(fa), net.UDPAddrFromAddrPort(na))
				return err
			})
			return a, b, err
		},
		Frames: func() (near, far uint64) {
			far, near = kernelif.Packets(name)
			return near, far
		},
	}, nil
}

// bareTAP opens a TAP without anything around it: blocking system calls.
func bareTAP() (fd int, name string, err error) {
	if !kernelif.Isolated() {
		return -1, "", errIsolated
	}
	fd, err = syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, "", fmt.Errorf("%w: %w", errIsolated, err)
	}
	ifr := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_TAP | syscall.IFF_NO_PI}
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TUNSETIFF, uintptr(unsafe.Pointer(&ifr))); e != 0 {
		syscall.Close(fd)
		return -1, "", os.NewSyscallError("TUNSETIFF", e)
	}
	for _, c := range ifr.name {
		if c == 0 {
			break
		}
		name += string(rune(c))
	}
	return fd, name, nil
}

// openBare is the two loops that no stack on a TAP can beat.
func openBare(work string, o Options) (*Case, error) {
	if work != "up" && work != "down" {
		return nil, ErrNotHere
	}
	fd, name, err := bareTAP()
	if err != nil {
		return nil, err
	}
	kernel, ours := subnet()
	if err = kernelif.SetAddr(name, netip.PrefixFrom(kernel, 24)); err == nil {
		err = kernelif.SetUp(name)
	}
	if err != nil {
		syscall.Close(fd)
		return nil, err
	}
	c := &Case{Close: func() { syscall.Close(fd) }}
	if work == "up" {
		c.Run = bareWrite(fd)
		return c, nil
	}
	// The frames that are read: a UDP socket makes them. The reader answers its ARP request.
	conn, err := net.Dial("udp4", netip.AddrPortFrom(ours, 9).String())
	if err != nil {
		c.Close()
		return nil, err
	}
	if c.Run, err = bareRead(fd, conn); err != nil {
		conn.Close()
		c.Close()
		return nil, err
	}
	c.Close = func() {
		conn.Close()
		syscall.Close(fd)
	}
	return c, nil
}

// bareWrite writes frames of a type that the kernel knows not.
func bareWrite(fd int) func(Budget) (Count, error) {
	frame := make([]byte, 1514)
	copy(frame, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5})
	return func(b Budget) (n Count, err error) {
		l := b.begin()
		for k := l.next(64); k > 0; k = l.next(64) {
			for range k {
				if _, err := syscall.Write(fd, frame); err != nil {
					return n, err
				}
			}
			n.Ops += int64(k)
		}
		return n.done(l, n.Ops*framePayload), nil
	}
}

// bareRead reads what conn's kernel sends while the slice lasts.
func bareRead(fd int, conn net.Conn) (func(Budget) (Count, error), error) {
	buf, msg := make([]byte, 2048), make([]byte, Datagram)
	if _, err := conn.Write(msg[:1]); err != nil { // which waits for ARP
		return nil, err
	}
	for i := 0; ; i++ { // the answer to it
		k, err := syscall.Read(fd, buf)
		if err == nil && i > 1000 {
			err = errors.New("the kernel asks for no hardware address")
		}
		if err != nil {
			return nil, err
		}
		if k < 42 || buf[12] != 8 || buf[13] != 6 {
			continue
		}
		mac := [6]byte{2, 0, 0, 0, 0, 2}
		var reply [42]byte
		copy(reply[:], buf[6:12])
		copy(reply[6:], mac[:])
		copy(reply[12:], buf[12:20])
		reply[21] = 2
		copy(reply[22:], mac[:])
		copy(reply[28:], buf[38:42])
		copy(reply[32:], buf[22:32])
		if _, err := syscall.Write(fd, reply[:]); err != nil {
			return nil, err
		}
		break
	}
	return func(b Budget) (n Count, err error) {
		var stop atomic.Bool
		done := make(chan struct{})
		go func() {
			defer close(done)
			for end := time.Now().Add(b.Time + slack); !stop.Load() && time.Now().Before(end); {
				for range 64 {
					conn.Write(msg) // what finds no room is dropped
				}
			}
		}()
		l := b.begin()
		for k := l.next(16); k > 0 && err == nil; k = l.next(16) {
			for i := 0; i < k && err == nil; {
				var size int
				if size, err = syscall.Read(fd, buf); size == 1514 {
					i++
				}
			}
			n.Ops += int64(k)
		}
		stop.Store(true)
		n = n.done(l, n.Ops*framePayload)
		<-done
		return n, err
	}, nil
}
