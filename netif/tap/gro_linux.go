package tap

import (
	"os"
	"strings"
	"syscall"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/netif"
)

// vnet is a TAP whose frames have a struct virtio_net_hdr in front (IFF_VNET_HDR): it says that a
// frame is a super-segment, and how far its checksum is.
type vnet struct {
	d *Device

	// A frame is read into a Buf for the largest; a short one is then copied to where Recv was
	// asked to put it, and a long one takes its place until the next Recv.
	large []*netif.Buf // empty
	small []*netif.Buf // whose places large ones have taken
	calm  int          // Recvs in a row that left more than one of the large ones unused
}

// maxLarge is how many large Bufs there are at most, 72 KiB each. While fewer are of use there is one
// more than that, of which only as much takes memory as frames were long.
const maxLarge = 4

// From linux/virtio_net.h, virtio 1.2 section 5.1.6, and linux/if_tun.h.
const (
	vnetLen = 10

	flagNeedsSum  = 1    // VIRTIO_NET_HDR_F_NEEDS_CSUM
	flagDataValid = 2    // VIRTIO_NET_HDR_F_DATA_VALID
	gsoNone       = 0    // VIRTIO_NET_HDR_GSO_NONE
	gsoTCPv4      = 1    // VIRTIO_NET_HDR_GSO_TCPV4
	tunCSum       = 0x01 // TUN_F_CSUM
	tunTSO4       = 0x02 // TUN_F_TSO4

	ipHeaderLen = 20 // without options
	protoTCP    = 6
	protoUDP    = 17
)

// vnetHeader is struct virtio_net_hdr: its numbers are in the machine's byte order.
type vnetHeader struct {
	flags, gso byte
	hlen       uint16 // of all headers
	size       uint16 // payload of a segment
	start      uint16 // where the checksum begins to count
	offset     uint16 // where it is, from there
}

// openVnet opens or makes the interface. The errors are those of water.New.
func openVnet(c *Config, persist bool) (*os.File, string, error) {
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", err
	}
	var r ifreq
	copy(r.name[:], c.Name)
	*(*uint16)(unsafe.Pointer(&r.data)) = syscall.IFF_TAP | syscall.IFF_NO_PI | syscall.IFF_VNET_HDR
	err = tunIoctl(fd, syscall.TUNSETIFF, uintptr(unsafe.Pointer(&r)))
	if err == nil && c.Owner != nil {
		if err = tunIoctl(fd, syscall.TUNSETOWNER, uintptr(c.Owner.UID)); err == nil {
			err = tunIoctl(fd, syscall.TUNSETGROUP, uintptr(c.Owner.GID))
		}
	}
	if err == nil {
		keep := uintptr(0)
		if persist {
			keep = 1
		}
		err = tunIoctl(fd, syscall.TUNSETPERSIST, keep)
	}
	if err != nil {
		syscall.Close(fd)
		return nil, "", err
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), strings.TrimRight(string(r.name[:]), "\x00"), nil
}

func tunIoctl(fd int, request, arg uintptr) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, arg); errno != 0 {
		return os.NewSyscallError("ioctl", errno)
	}
	return nil
}

// offload makes the kernel give super-segments, and checksums that are not computed.
func (d *Device) offload() bool {
	err := syscall.EINVAL
	d.raw.Control(func(fd uintptr) {
		_, _, err = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TUNSETOFFLOAD, tunCSum|tunTSO4)
	})
	return err == 0
}

// header puts what is known of the frame in b in front of it.
func header(b *netif.Buf) {
	f := b.Bytes()
	var h vnetHeader
	if netif.Summed(b) == netif.SumPartial {
		ip := int(f[headerLen]&15) * 4
		h.flags, h.start, h.offset = flagNeedsSum, uint16(headerLen+ip), 16
		if size := netif.SegmentSize(b); size != 0 {
			h.gso, h.size = gsoTCPv4, uint16(size)
			h.hlen = uint16(headerLen + ip + int(f[headerLen+ip+12]>>4)*4)
		}
	}
	copy(b.Prepend(vnetLen), (*[vnetLen]byte)(unsafe.Pointer(&h))[:])
}

// wireLen returns how long the frames are that are made of the one in b.
func wireLen(b *netif.Buf) int {
	f := b.Bytes()
	size := netif.SegmentSize(b)
	if size == 0 {
		return len(f)
	}
	ip := int(f[headerLen]&15) * 4
	return min(len(f), headerLen+ip+int(f[headerLen+ip+12]>>4)*4+size)
}

func (v *vnet) write(fd uintptr) bool {
	d := v.d
	mtu := d.MTU()
	for _, b := range d.tx.bufs {
		var err error
		f := b.Bytes()
		if len(f) < headerLen || wireLen(b) > headerLen+mtu && !fits(f, mtu) {
			err = syscall.EMSGSIZE
		} else {
			header(b)
			for {
				if _, err = transfer(syscall.SYS_WRITE, fd, b.Bytes()); err != syscall.EINTR {
					break
				}
			}
		}
		if err != nil && d.tx.err == nil {
			d.tx.err = err
		}
	}
	return true // don't wait until it can be written to
}

// read is Device.read.
func (v *vnet) read(fd uintptr) bool {
	d := v.d
	if d.rx.n == 0 {
		v.takeBack(d.rx.bufs)
	}
	mtu := d.MTU()
	for d.rx.n < len(d.rx.bufs) && len(v.large) > 0 {
		b := v.large[len(v.large)-1]
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
			if accept(b, mtu) {
				v.place(b)
			} else {
				d.dropped.Add(1)
			}
		}
	}
	return true
}

// place gives Recv the frame in b, the last of the large Bufs.
func (v *vnet) place(b *netif.Buf) {
	rx := &v.d.rx
	to := &rx.bufs[rx.n]
	rx.n++
	if b.Len() <= (*to).Cap() {
		(*to).CopyFrom(b.Bytes())
		pkt.CopyOffload(*to, b)
		return
	}
	v.small = append(v.small, *to)
	*to = b
	v.large = v.large[:len(v.large)-1]
}

// takeBack exchanges the large Bufs in bufs for the ones whose places they took, and sees to it that
// there is one to read into.
func (v *vnet) takeBack(bufs []*netif.Buf) {
	lent := len(v.small)
	for i := 0; len(v.small) > 0 && i < len(bufs); i++ {
		if b := bufs[i]; b.Cap() >= netif.SuperSize {
			n := len(v.small) - 1
			bufs[i], v.small = v.small[n], v.small[:n]
			v.large = append(v.large, b)
		}
	}
	v.small = v.small[:0] // the caller has kept them, and ours
	if v.calm++; lent > 0 && lent >= len(v.large)-1 {
		v.calm = 0
	}
	n := len(v.large)
	switch {
	case n == 0 || lent == n && lent < maxLarge:
		// All there were have been of use: another one.
		v.large = append(v.large, netif.NewBuf(vnetLen+netif.SuperSize))
	case n > maxLarge || n > 1 && v.calm >= calmAfter:
		v.large[n-1] = nil
		v.large = v.large[:n-1]
		v.calm = 0
	}
}

// calmAfter is after how many Recvs a Buf is given up if none of them needed all but one.
const calmAfter = 256

// accept reads the header in front of the frame in b, takes it off and notes what it says. It returns
// false for a frame that is to be dropped: too long, or with a header that makes no sense.
func accept(b *netif.Buf, mtu int) bool {
	if b.Len() < vnetLen+headerLen {
		return false
	}
	var h vnetHeader
	copy((*[vnetLen]byte)(unsafe.Pointer(&h))[:], b.Bytes())
	b.TrimFront(vnetLen)
	f := b.Bytes()
	if h.gso == gsoNone && h.flags&flagNeedsSum == 0 {
		if h.flags&flagDataValid != 0 {
			netif.SetSummed(b, netif.SumVerified)
		}
		return fits(f, mtu)
	}
	start, at := int(h.start), int(h.start)+int(h.offset)
	if h.flags&flagNeedsSum == 0 || h.gso > gsoTCPv4 || at+2 > len(f) {
		return false
	}
	proto := protocol(f, start)
	switch {
	case proto == protoTCP && h.offset == 16, proto == protoUDP && h.offset == 6:
		netif.SetSummed(b, netif.SumPartial)
	case h.gso != gsoNone:
		return false
	default:
		// Nothing that the stack could know: as if it had come over a wire.
		pkt.BigEndian.PutUint16(f[at:], pkt.Checksum(pkt.Sum(0, f[start:])))
	}
	if h.gso == gsoNone {
		return fits(f, mtu)
	}
	if proto != protoTCP || start+20 > len(f) || h.size == 0 {
		return false
	}
	hlen := start + int(f[start+12]>>4)*4
	if hlen < start+20 || hlen >= len(f) || int(f[headerLen+2])<<8|int(f[headerLen+3]) != len(f)-headerLen {
		return false
	}
	if hlen+int(h.size) > headerLen+mtu {
		return false
	}
	if len(f)-hlen > int(h.size) {
		netif.SetSegmentSize(b, int(h.size))
	}
	return true
}

// protocol returns that of the IPv4 packet in f, if its header ends at end and it is no
// fragment, else 0.
func protocol(f []byte, end int) byte {
	if end < headerLen+ipHeaderLen || netif.Ethernet(f).Type() != netif.EtherTypeIPv4 {
		return 0
	}
	p := f[headerLen:]
	if p[0]>>4 != 4 || headerLen+int(p[0]&15)*4 != end || p[6]&0x3f != 0 || p[7] != 0 {
		return 0
	}
	return p[9]
}
