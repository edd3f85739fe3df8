package stack

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
	"github.com/bonsainet/bonsai/udp"
)

// PacketSocket is a packet socket, packet(7): it receives a copy of each frame of one
// protocol before anything else looks at it, and sends frames (feature pktsock). Its memory
// is the caller's.
//
// What a device is to finish is not finished yet in a copy: a super-segment is one frame, and a
// checksum that is left to the device is not there.
type PacketSocket struct {
	_ [0]func() // not comparable: spares the code that would compare it

	Sock
	stack *Stack
	next  *PacketSocket
	queue udp.Queue

	Ifindex  int32  // the interface; 0: all of them
	Protocol uint16 // EtherType; ETH_P_ALL: all frames, those sent included; 0: none is received
	// Cooked is SOCK_DGRAM: the Ethernet header is not part of what is received and sent.
	Cooked         bool
	IgnoreOutgoing bool   // PACKET_IGNORE_OUTGOING, of ETH_P_ALL
	RcvBuf         uint32 // bytes
	// SoftErr is the pending error, which the next call returns and clears (SO_ERROR).
	SoftErr Errno

	frames, drops uint32 // since Statistics was called
}

// LinkAddr mirrors C's struct sockaddr_ll, for Ethernet.
type LinkAddr struct {
	Ifindex  int32     // sll_ifindex
	Protocol uint16    // sll_protocol: EtherType, or ETH_P_802_2
	Pkttype  uint8     // sll_pkttype: PACKET_..., of what is received
	Addr     netif.MAC // sll_addr: the sender, or to whom a cooked socket sends
}

// What is not a frame's EtherType in LinkAddr.Protocol and PacketSocket.Protocol, with Linux's
// values.
const (
	ETH_P_ALL   = 0x0003
	ETH_P_802_2 = 0x0004 // a frame with a length in place of a type (IEEE 802.3)
)

// Types of received frames, with Linux's values.
const (
	PACKET_HOST      = iota // to the interface's own address
	PACKET_BROADCAST        // to all stations
	PACKET_MULTICAST        // to a group
	PACKET_OTHERHOST        // to another station
	PACKET_OUTGOING         // sent by the stack itself
)

// packetTable is the list of open packet sockets.
type packetTable struct {
	head   *PacketSocket
	sender *PacketSocket // whose frame is being sent: it gets no copy
}

// tapFunc is that of Stack.tapped: an alias, as a type of its own would have a descriptor.
type tapFunc = func(s *Stack, ifc *netif.Interface, frame []byte, sent bool)

func packetsOf(s *Stack) *packetTable { return (*packetTable)(s.packets) }

type _ [unsafe.Sizeof(packetTable{}) - 2*pointer]struct{} // it is two pointers

func (s *Stack) openPacket(r *PacketSocket) error {
	if s.cfg.Unprivileged {
		return errno.EPERM
	}
	if r.stack != nil {
		return errno.EINVAL
	}
	r.SoftErr = 0
	if r.Ifindex != 0 {
		ifc := s.interfaceByIndex(r.Ifindex)
		if ifc == nil || ifc.Dev == nil {
			return errno.ENODEV
		}
		if !ifc.IsUp() {
			r.SoftErr = errno.ENETDOWN
		}
	}
	if s.packets == nil {
		s.packets = pkt.Pointers(2)
	}
	if r.RcvBuf == 0 {
		r.RcvBuf = udpRcvBuf
	}
	r.stack, r.quiet = s, false
	r.frames, r.drops = 0, 0
	t := packetsOf(s)
	r.next, t.head = t.head, r
	s.tap = (*Stack).tapped
	return nil
}

// tapped gives frame f, which interface ifc has received or is about to send, to the packet sockets
// that want it. Without a frame, it says that ifc went down.
func (s *Stack) tapped(ifc *netif.Interface, f []byte, sent bool) {
	t := packetsOf(s)
	if f == nil {
		for r := t.head; r != nil; r = r.next {
			if r.Ifindex == ifc.Index {
				r.SoftErr = errno.ENETDOWN
				s.notify(&r.Sock, tcpReadWrite)
			}
		}
		return
	}
	if len(f) < netif.EthernetHeaderLen || !ifc.IsUp() {
		return
	}
	eth := netif.Ethernet(f)
	typ, src := eth.Type(), eth.Src()
	if typ < minEtherType {
		typ = ETH_P_802_2
	}
	// The queue is UDP's, and so are the names of what it holds beside the frame: see Recv.
	m := udp.Meta{
		Src:     ipv4.Endpoint{Addr: ipv4.AddrAt(src[:4]), Port: pkt.BigEndian.Uint16(src[4:])},
		Dst:     ipv4.Addr(typ),
		Ifindex: uint16(ifc.Index),
		TTL:     packetType(ifc, eth.Dst(), sent),
	}
	for r := t.head; r != nil; r = r.next {
		if r.Ifindex != 0 && r.Ifindex != ifc.Index {
			continue
		}
		if r.Protocol != ETH_P_ALL && (r.Protocol != typ || sent) || sent && (r.IgnoreOutgoing || r == t.sender) {
			continue
		}
		p := f
		if r.Cooked {
			p = f[netif.EthernetHeaderLen:]
		}
		r.frames++
		if len(p) > 65535 || r.queue.Push(&s.mem, int(r.RcvBuf), &m, p) != ipv4.DropNone {
			r.drops++
			continue
		}
		s.notify(&r.Sock, tcp.Readable)
	}
}

// minEtherType is the least type: what is smaller is the length of the frame (IEEE 802.3 section
// 3.2.6).
const minEtherType = 0x600

func packetType(ifc *netif.Interface, dst netif.MAC, sent bool) uint8 {
	switch {
	case sent:
		return PACKET_OUTGOING
	case dst == ifc.HW:
		return PACKET_HOST
	case dst.IsBroadcast():
		return PACKET_BROADCAST
	case dst.IsMulticast():
		return PACKET_MULTICAST
	}
	return PACKET_OTHERHOST
}

// takeError returns the pending error and clears it.
func (r *PacketSocket) takeError() Errno {
	e := r.SoftErr
	r.SoftErr = 0
	return e
}

// Recv takes the next frame: it copies as much of it to p as fits, and the rest is lost. It returns
// the number of bytes copied and the frame's length; the errors are EAGAIN when there is
// none, and ENETDOWN once the interface went down or was so when the socket was opened.
func (r *PacketSocket) Recv(p []byte, from *LinkAddr) (n, length int, e Errno) {
	if e := r.takeError(); e != 0 {
		return 0, 0, e
	}
	var m udp.Meta
	n, ok := r.queue.Pop(&r.stack.mem, &m, p)
	if !ok {
		return 0, 0, errno.EAGAIN
	}
	*from = LinkAddr{Ifindex: int32(m.Ifindex), Protocol: uint16(m.Dst), Pkttype: m.TTL}
	m.Src.Addr.Put(from.Addr[:4])
	pkt.BigEndian.PutUint16(from.Addr[4:], m.Src.Port)
	return n, int(m.Len), 0
}

// Send sends p through interface to.Ifindex, or the socket's if that is 0: as a whole frame, or
// of a cooked socket as the payload of one to to.Addr, of type to.Protocol, or the socket's if that is 0.
// The source address of a whole frame is the caller's affair. Poll sends it, and other packet sockets see it.
//
// It returns ENXIO for an interface that does not exist or has no frames, ENETDOWN for one that is
// down, EINVAL for less than an Ethernet header, and EMSGSIZE for more than the MTU behind it.
func (r *PacketSocket) Send(now pkt.Time, p []byte, to *LinkAddr) (int, Errno) {
	s := r.stack
	s.now = now
	if e := r.takeError(); e != 0 {
		return 0, e
	}
	index, typ := to.Ifindex, to.Protocol
	if index == 0 {
		index = r.Ifindex
	}
	if typ == 0 {
		typ = r.Protocol
	}
	ifc := s.interfaceByIndex(index)
	head := 0
	if !r.Cooked {
		head = netif.EthernetHeaderLen
	}
	switch {
	case ifc == nil || ifc.Dev == nil:
		return 0, errno.ENXIO
	case !ifc.IsUp():
		return 0, errno.ENETDOWN
	case len(p) < head:
		return 0, errno.EINVAL
	case len(p) > head+int(ifc.MTU):
		return 0, errno.EMSGSIZE
	}
	b := s.pool.Get()
	copy(b.Append(len(p)), p)
	if r.Cooked {
		netif.PutEthernet(b, &to.Addr, &ifc.HW, typ)
	}
	t := packetsOf(s)
	t.sender = r
	s.transmit(ifc, b)
	t.sender = nil
	return len(p), 0
}

// Statistics returns how many frames were for the socket since the last call, and how many of
// them found no room in the receive buffer (PACKET_STATISTICS).
func (r *PacketSocket) Statistics() (frames, drops uint32) {
	frames, drops = r.frames, r.drops
	r.frames, r.drops = 0, 0
	return frames, drops
}

// Close ends reception.
func (r *PacketSocket) Close() {
	s := r.stack
	if s == nil {
		return
	}
	t := packetsOf(s)
	for p := &t.head; *p != nil; p = &(*p).next {
		if *p == r {
			*p = r.next
			break
		}
	}
	if t.head == nil {
		s.tap = nil
	}
	r.queue.Reset(&s.mem)
	r.stack, r.quiet = nil, true
}
