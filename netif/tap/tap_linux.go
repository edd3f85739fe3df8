package tap

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/netif"
	"github.com/songgao/water"
)

const (
	headerLen = 14
	tagLen    = 4

	minMTU, maxMTU = 68, 65521
)

// Device is an open TAP.
type Device struct {
	name string
	mac  netif.MAC
	mtu  atomic.Int32
	file *os.File
	raw  syscall.RawConn

	called atomic.Bool // back, by Interrupt

	mu   sync.Mutex
	ctrl int // a socket in the interface's namespace, for ioctls; -1 once closed

	// What the functions below work on, which are made once since each would
	// be an allocation.
	rx struct {
		f    func(fd uintptr) bool
		bufs []*netif.Buf
		n    int
		err  error
		once bool // without waiting
	}
	dropped atomic.Uint64
	tx      struct {
		f    func(fd uintptr) bool
		bufs []*netif.Buf
		err  error
	}
}

// Open opens or makes an interface in the network namespace of the calling
// thread. The errors are *Error, with these of the kernel's in them:
//
//   - ENOENT or ENODEV: there is no /dev/net/tun, or no driver behind it
//   - EACCES or EPERM: no permission
//   - EBUSY: another program has the interface open
//   - EINVAL: the name is not allowed, or that of an interface that is no TAP
//
// It is an error too if the name or MTU is out of range.
func Open(c Config) (*Device, error) {
	if len(c.Name) >= syscall.IFNAMSIZ {
		return nil, &Error{c.Name, "the name is longer than 15 bytes", syscall.ENAMETOOLONG}
	}
	if c.MTU != 0 && (c.MTU < minMTU || c.MTU > maxMTU) {
		return nil, &Error{c.Name, "the MTU must be 68 to 65521 bytes", syscall.EINVAL}
	}
	if c.HardwareAddr[0]&1 != 0 || c.KernelAddr[0]&1 != 0 {
		return nil, &Error{c.Name, "a group address can't be a station's", syscall.EADDRNOTAVAIL}
	}
	ctrl, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &Error{c.Name, "no socket for its configuration", err}
	}
	d := &Device{name: c.Name, ctrl: ctrl}
	// The flag of an interface that is not to be kept is cleared.
	persist := c.Persist || c.Name != "" && d.exists()
	if feature.GRO {
		d.file, d.name, err = openVnet(&c, persist)
	} else {
		err = d.open(&c, persist)
	}
	if err != nil {
		syscall.Close(ctrl)
		return nil, explain(c.Name, err)
	}
	if err := d.setup(&c); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// open opens or makes an interface whose frames are bare.
func (d *Device) open(c *Config, persist bool) error {
	conf := water.Config{DeviceType: water.TAP}
	conf.Name = c.Name
	conf.Persist = persist
	if c.Owner != nil {
		conf.Permissions = &water.DevicePermissions{Owner: c.Owner.UID, Group: c.Owner.GID}
	}
	w, err := water.New(conf)
	if err != nil {
		return err
	}
	d.name = w.Name()
	d.file = w.ReadWriteCloser.(*os.File)
	return nil
}

func (d *Device) setup(c *Config) (err error) {
	if d.raw, err = d.file.SyscallConn(); err != nil {
		return &Error{d.name, "can't be polled", err}
	}
	if feature.GRO {
		v := &vnet{d: d}
		d.rx.f, d.tx.f = v.read, v.write
	} else {
		d.rx.f, d.tx.f = d.read, d.write
	}
	if c.MTU != 0 {
		if err := d.SetMTU(c.MTU); err != nil {
			return err
		}
	}
	if c.KernelAddr != (netif.MAC{}) {
		if err := d.SetKernelAddr(c.KernelAddr); err != nil {
			return err
		}
	}
	if c.Up {
		if err := d.SetUp(true); err != nil {
			return err
		}
	}
	mtu, err := d.kernelMTU()
	if err != nil {
		return err
	}
	d.mtu.Store(int32(mtu))
	if d.mac = c.HardwareAddr; d.mac == (netif.MAC{}) {
		if d.mac, err = d.KernelAddr(); err != nil {
			return err
		}
		d.mac[0] = d.mac[0]&^1 | 2 // IEEE 802 section 8.2.2: one station's, locally administered
		d.mac[3] ^= 0xb0
	}
	return nil
}

func explain(name string, err error) error {
	var errno syscall.Errno
	opened := false                                // water returns the bare number if open failed
	for e := err; e != nil; e = errors.Unwrap(e) { // errors.As would be 19 KB
		switch x := e.(type) {
		case syscall.Errno:
			errno = x
		case *os.SyscallError:
			opened = true
		}
	}
	reason := "can't be opened"
	switch {
	case !opened && errno == syscall.ENOENT:
		reason = "/dev/net/tun does not exist (is the module tun loaded?)"
	case !opened && (errno == syscall.ENODEV || errno == syscall.ENXIO):
		reason = "/dev/net/tun has no driver (is the module tun loaded?)"
	case !opened && (errno == syscall.EACCES || errno == syscall.EPERM):
		reason = "no permission to open /dev/net/tun"
	case errno == syscall.EPERM:
		reason = "no permission: it takes CAP_NET_ADMIN, or an interface that belongs to this user"
	case errno == syscall.EBUSY:
		reason = "in use by another program"
	case errno == syscall.EINVAL:
		reason = "not a TAP, or not a name that the kernel allows"
	}
	if errno != 0 {
		err = errno
	}
	return &Error{name, reason, err}
}

// Name returns the kernel's name of the interface when it was opened.
func (d *Device) Name() string { return d.name }

// Offload implements netif.Offloader, with feature gro: from now on the kernel gives super-segments
// and takes them. It returns false where it can't.
func (d *Device) Offload() bool { return feature.GRO && d.offload() }

// Dropped returns how many frames from the kernel were dropped: longer than the MTU allows, or, with
// feature gro, with a virtio_net_hdr that makes no sense.
func (d *Device) Dropped() uint64 { return d.dropped.Load() }

// MTU returns the MTU of the kernel's interface, in bytes, as it was when the
// device was opened or at the last SetMTU.
func (d *Device) MTU() int { return int(d.mtu.Load()) }

// HardwareAddr returns the address of the stack's end.
func (d *Device) HardwareAddr() netif.MAC { return d.mac }

// Send implements netif.Device: one system call a frame, which never waits. Frames
// that the kernel does not take are dropped, and the first error is returned,
// a syscall.Errno: EIO when its interface is down, EAGAIN when its queue is full,
// EMSGSIZE for a frame longer than the MTU allows, EBADFD when the interface was
// deleted. After Close it is os.ErrClosed.
func (d *Device) Send(bufs []*netif.Buf) error {
	d.tx.bufs, d.tx.err = bufs, nil
	err := d.raw.Write(d.tx.f)
	d.tx.bufs = nil
	if err != nil {
		return d.gone()
	}
	return d.tx.err
}

func (d *Device) write(fd uintptr) bool {
	mtu := d.MTU()
	for i := 0; i < len(d.tx.bufs); {
		frame := d.tx.bufs[i].Bytes()
		var err error
		if !fits(frame, mtu) {
			err = syscall.EMSGSIZE
		} else if _, err = transfer(syscall.SYS_WRITE, fd, frame); err == syscall.EINTR {
			continue
		}
		if err != nil && d.tx.err == nil {
			d.tx.err = err
		}
		i++
	}
	return true // don't wait until it can be written to
}

// fits says whether a frame has a header, and no more behind it than the MTU and
// a VLAN tag.
func fits(frame []byte, mtu int) bool {
	n := len(frame) - headerLen
	return n >= 0 && (n <= mtu || n <= mtu+tagLen && frame[12] == 0x81 && frame[13] == 0)
}

// Recv implements netif.Device: it waits for a frame, and then takes what else is
// there. After Close the error is os.ErrClosed; if the interface was deleted, it
// is EBADFD.
func (d *Device) Recv(bufs []*netif.Buf) (int, error) {
	if len(bufs) == 0 {
		return 0, nil
	}
	d.rx.bufs, d.rx.n, d.rx.err = bufs, 0, nil
	err := d.raw.Read(d.rx.f)
	d.rx.bufs = nil
	if d.rx.n > 0 {
		return d.rx.n, nil // an error comes again, an interruption too
	}
	if feature.Leader && (d.called.Swap(false) || err == os.ErrDeadlineExceeded) {
		d.file.SetReadDeadline(time.Time{})
		d.rx.bufs, d.rx.once = bufs, true // the deadline says nothing of frames
		d.raw.Read(d.rx.f)
		d.rx.bufs, d.rx.once = nil, false
		return d.rx.n, nil
	}
	if err != nil {
		return 0, d.gone()
	}
	return 0, d.rx.err
}

// Interrupt implements netif.Interrupter, with feature leader: a read deadline that has passed
// is what wakes the poller. Who finds called set, or the deadline, takes both back; so at worst
// the next Recv returns without need.
func (d *Device) Interrupt() bool {
	if !feature.Leader {
		return false
	}
	d.called.Store(true)
	return d.file.SetReadDeadline(time.Unix(1, 0)) == nil
}

// gone says why the file can't be used: the poller does not say it, and may learn
// that the interface was deleted before a system call does.
func (d *Device) gone() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctrl < 0 {
		return os.ErrClosed
	}
	return syscall.EBADFD
}

// read fills Bufs until there is no frame left, and says whether to return: else
// it is called again when there is one.
func (d *Device) read(fd uintptr) bool {
	mtu := d.MTU()
	for d.rx.n < len(d.rx.bufs) {
		b := d.rx.bufs[d.rx.n]
		n, err := transfer(syscall.SYS_READ, fd, b.Space())
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return d.rx.n > 0 || d.rx.once
		case err != nil:
			d.rx.err = err
			return true
		default:
			b.SetLen(n)
			if fits(b.Bytes(), mtu) {
				d.rx.n++
			} else {
				d.dropped.Add(1)
			}
		}
	}
	return true
}

// transfer reads or writes a frame. The file never blocks, so that the scheduler need
// not know of the call: else it may take the processor away in the middle of one, and
// waking another thread for it costs more than the call.
func transfer(call, fd uintptr, frame []byte) (int, error) {
	if len(frame) == 0 {
		return 0, syscall.EINVAL
	}
	n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(&frame[0])), uintptr(len(frame)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Close closes the device and wakes Recv. The kernel's interface vanishes, unless
// it is persistent. A second Close returns nil.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctrl < 0 {
		return nil
	}
	syscall.Close(d.ctrl)
	d.ctrl = -1
	return d.file.Close()
}

// SetMTU sets the MTU of the kernel's interface, in bytes: 68 to 65,521.
func (d *Device) SetMTU(mtu int) error {
	if mtu < minMTU || mtu > maxMTU {
		return &Error{d.name, "the MTU must be 68 to 65521 bytes", syscall.EINVAL}
	}
	var r ifreq
	r.setInt(int32(mtu))
	if err := d.ioctl(syscall.SIOCSIFMTU, &r); err != nil {
		return &Error{d.name, "can't set the MTU", err}
	}
	d.mtu.Store(int32(mtu))
	return nil
}

func (d *Device) kernelMTU() (int, error) {
	var r ifreq
	if err := d.ioctl(syscall.SIOCGIFMTU, &r); err != nil {
		return 0, &Error{d.name, "can't read the MTU", err}
	}
	return min(int(r.int()), maxMTU), nil
}

// KernelAddr returns the address of the kernel's interface.
func (d *Device) KernelAddr() (a netif.MAC, err error) {
	var r ifreq
	if err := d.ioctl(syscall.SIOCGIFHWADDR, &r); err != nil {
		return a, &Error{d.name, "can't read the address", err}
	}
	copy(a[:], r.data[2:])
	return a, nil
}

// SetKernelAddr sets the address of the kernel's interface.
func (d *Device) SetKernelAddr(a netif.MAC) error {
	var r ifreq
	family := (*uint16)(unsafe.Pointer(&r.data))
	*family = syscall.ARPHRD_ETHER
	copy(r.data[2:], a[:])
	if err := d.ioctl(syscall.SIOCSIFHWADDR, &r); err != nil {
		return &Error{d.name, "can't set the address", err}
	}
	return nil
}

// SetUp brings the kernel's interface up or down.
func (d *Device) SetUp(up bool) error {
	var r ifreq
	err := d.ioctl(syscall.SIOCGIFFLAGS, &r)
	if err == nil {
		flags := (*uint16)(unsafe.Pointer(&r.data))
		*flags &^= syscall.IFF_UP
		if up {
			*flags |= syscall.IFF_UP
		}
		err = d.ioctl(syscall.SIOCSIFFLAGS, &r)
	}
	if err != nil {
		return &Error{d.name, "can't be set up or down", err}
	}
	return nil
}

func (d *Device) exists() bool {
	var r ifreq
	return d.ioctl(syscall.SIOCGIFINDEX, &r) == nil
}

// ifreq is the kernel's struct of that name: 40 bytes on 64-bit machines, 32 on
// others, where the end of this one is not used.
type ifreq struct {
	name [syscall.IFNAMSIZ]byte
	data [24]byte
}

func (r *ifreq) int() int32     { return *(*int32)(unsafe.Pointer(&r.data)) }
func (r *ifreq) setInt(n int32) { *(*int32)(unsafe.Pointer(&r.data)) = n }

func (d *Device) ioctl(request uintptr, r *ifreq) error {
	copy(r.name[:], d.name)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctrl < 0 {
		return os.ErrClosed
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(d.ctrl), request, uintptr(unsafe.Pointer(r))); errno != 0 {
		return errno
	}
	return nil
}
