package kernelif

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// isolated is set in the environment of the process in the namespace.
const isolated = "BONSAI_NAMESPACE"

// Isolate runs the program again in a network namespace of its own, with the same
// arguments, and returns its exit status: then the caller is to exit. It returns false in
// that process, and where no namespace can be made, which takes root: see Isolated. The
// namespace vanishes with the process, which dies if this one does.
func Isolate() (status int, ran bool) {
	if Isolated() {
		os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0) // it chatters
		return 0, false
	}
	if os.Getuid() != 0 {
		return 0, false
	}
	runtime.LockOSThread() // the signal comes when this thread ends
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Env = append(os.Environ(), isolated+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		runtime.UnlockOSThread()
		return 0, false
	}
	c.Wait()
	return c.ProcessState.ExitCode(), true
}

// Isolated says whether the process is one that Isolate has made.
func Isolated() bool { return os.Getenv(isolated) != "" }

// Namespace is a network namespace beside that of the process, with a thread in it.
type Namespace struct {
	ns   *os.File
	jobs chan func()
}

// NewNamespace makes a namespace.
func NewNamespace() (*Namespace, error) {
	n := &Namespace{jobs: make(chan func())}
	fail := make(chan error)
	go func() { // the thread stays locked, and ends with the goroutine
		runtime.LockOSThread()
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		if err == nil {
			n.ns, err = os.Open("/proc/thread-self/ns/net")
		}
		fail <- os.NewSyscallError("unshare", err)
		if err == nil {
			for f := range n.jobs {
				f()
			}
		}
	}()
	return n, <-fail
}

// Do calls f in the namespace: sockets and interfaces that it makes are there.
func (n *Namespace) Do(f func() error) error {
	done := make(chan error)
	n.jobs <- func() { done <- f() }
	return <-done
}

// Close lets go of the namespace: it vanishes with the last socket in it.
func (n *Namespace) Close() {
	close(n.jobs)
	n.ns.Close()
}

// AddVeth makes a pair of interfaces, joined by a cable, the second one in namespace n.
func AddVeth(name, peer string, n *Namespace) error {
	const (
		linkinfo, kind, data = 18, 1, 2 // IFLA_...
		vethPeer             = 1        // VETH_INFO_PEER
		netNSFd              = 28       // IFLA_NET_NS_FD
	)
	info := make([]byte, syscall.SizeofIfInfomsg)
	far := append(info, attr(syscall.IFLA_IFNAME, append([]byte(peer), 0))...)
	far = append(far, attr(netNSFd, binary.NativeEndian.AppendUint32(nil, uint32(n.ns.Fd())))...)
	veth := append(attr(kind, []byte("veth")), attr(data, attr(vethPeer, far))...)
	msg := append(make([]byte, syscall.SizeofNlMsghdr), info...)
	msg = append(msg, attr(syscall.IFLA_IFNAME, append([]byte(name), 0))...)
	msg = append(msg, attr(linkinfo, veth)...)
	h := (*syscall.NlMsghdr)(unsafe.Pointer(&msg[0]))
	*h = syscall.NlMsghdr{
		Len: uint32(len(msg)), Type: syscall.RTM_NEWLINK,
		Flags: syscall.NLM_F_REQUEST | syscall.NLM_F_CREATE | syscall.NLM_F_EXCL | syscall.NLM_F_ACK,
	}
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer syscall.Close(fd)
	if err := syscall.Sendto(fd, msg, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, 4096)
	k, _, err := syscall.Recvfrom(fd, buf, 0)
	if err != nil || k < syscall.SizeofNlMsghdr+4 {
		return os.NewSyscallError("recvfrom", err)
	}
	if e := int32(binary.NativeEndian.Uint32(buf[syscall.SizeofNlMsghdr:])); e != 0 {
		return os.NewSyscallError("RTM_NEWLINK", syscall.Errno(-e))
	}
	return nil
}

// attr returns a netlink attribute.
func attr(kind uint16, data []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(data)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), data...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// SetUp brings an interface up.
func SetUp(name string) error {
	ifr := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{}
	copy(ifr.name[:], name)
	if err := ioctl(syscall.SIOCGIFFLAGS, unsafe.Pointer(&ifr)); err != nil {
		return os.NewSyscallError("SIOCGIFFLAGS", err)
	}
	ifr.flags |= syscall.IFF_UP
	return os.NewSyscallError("SIOCSIFFLAGS", ioctl(syscall.SIOCSIFFLAGS, unsafe.Pointer(&ifr)))
}

// NoOffloads switches off what an interface does in place of TCP: checksums, and packets
// larger than the MTU, both ways.
func NoOffloads(name string) error {
	const siocethtool = 0x8946
	// ETHTOOL_SGRO, SGSO, STSO, SSG, STXCSUM, SRXCSUM: what needs others goes first.
	for _, cmd := range []uint32{0x2c, 0x24, 0x1f, 0x19, 0x17, 0x15} {
		ifr := struct {
			name  [syscall.IFNAMSIZ]byte
			value *[2]uint32
			_     [16]byte
		}{value: &[2]uint32{cmd, 0}}
		copy(ifr.name[:], name)
		err := ioctl(siocethtool, unsafe.Pointer(&ifr))
		if err != nil && !errors.Is(err, syscall.EOPNOTSUPP) {
			return os.NewSyscallError("SIOCETHTOOL", err)
		}
	}
	return nil
}

func ioctl(req uintptr, arg unsafe.Pointer) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), req, uintptr(arg)); e != 0 {
		return e
	}
	return nil
}

// Packets returns how many packets an interface of the process's namespace has received
// and sent.
func Packets(name string) (received, sent uint64) {
	// Not /proc/self: that is the main thread's, which may be in another Namespace.
	b, _ := os.ReadFile("/proc/thread-self/net/dev")
	for _, line := range strings.Split(string(b), "\n") {
		head, rest, _ := strings.Cut(line, ":")
		if f := strings.Fields(rest); strings.TrimSpace(head) == name && len(f) > 9 {
			received, _ = strconv.ParseUint(f[1], 10, 64)
			sent, _ = strconv.ParseUint(f[9], 10, 64)
		}
	}
	return received, sent
}
