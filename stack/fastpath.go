package stack

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
)

// predicted takes as many of the frames as bring a connection, the same one, the segments that
// were to be expected, and have nothing unusual in their headers. It returns their number: of
// the next, inputFrame has to take a look. It asks all that inputFrame, inputIP and inputTCP would,
// or what implies it.
func (s *Stack) predicted(ifc *netif.Interface, frames []*netif.Buf) int {
	const headers = netif.EthernetHeaderLen + ipv4.MinHeaderLen
	f := frames[0].Bytes()
	if len(f) < headers+20 || !ifc.IsUp() || s.raw != nil {
		return 0
	}
	eth := netif.Ethernet(f)
	if eth.Dst() != ifc.HW || eth.Type() != netif.EtherTypeIPv4 {
		return 0
	}
	n, tos := ipv4.Plain(f[netif.EthernetHeaderLen:], ipv4.ProtoTCP)
	if n < ipv4.MinHeaderLen+20 {
		return 0
	}
	n += netif.EthernetHeaderLen
	src := ipv4.Endpoint{Addr: ipv4.AddrAt(f[26:30]), Port: pkt.BigEndian.Uint16(f[headers:])}
	dst := ipv4.Endpoint{Addr: ipv4.AddrAt(f[30:34]), Port: pkt.BigEndian.Uint16(f[headers+2:])}
	c := s.tcp.hit
	if c == nil || c.Local() != dst || c.Remote() != src {
		c = s.tcp.lookup(dst, src)
	}
	// That its path counts says that the addresses do: they are ours and another host's.
	if c == nil || c.path.neigh == nil || !c.path.valid(s) || feature.Listen && listenerOf(c) != nil {
		return 0
	}
	if feature.ECN {
		s.seg.ECN = tos & 3
	}
	una := c.Una()
	k := 0
	for c.Conn.Predicted(s.now, f[headers:n], &s.seg) {
		if k++; k < len(frames) && n == len(f) { // nothing behind the packet
			k += c.Conn.Follow(s.now, frames[k-1:], headers)
		}
		if k == len(frames) || c.Overdue() {
			break
		}
		// Up to the ports all may be as in the frame before: then it is as good.
		g := frames[k].Bytes()
		if len(g) != len(f) || !tcp.SameHeaders(g, f) {
			break
		}
		f = g
	}
	if k > 0 {
		ifc.Stats.RxPackets += uint64(k)
		ifc.Stats.RxBytes += uint64(k * len(f)) // they are all as long
		s.progress(c, una)
	}
	return k
}

// trainState is what sendTrain works with.
type trainState struct {
	tcp.Train
	head [trainHeader]byte // of the frames
}

const trainHeader = netif.EthernetHeaderLen + ipv4.MinHeaderLen + tcp.TrainHeader

func trainOf(s *Stack) *trainState {
	if s.train == nil {
		s.train = unsafe.Pointer(new(trainState))
	}
	return (*trainState)(s.train)
}

// express sends what c may send if nothing about that is unusual, and reports whether nothing is
// left to send: else Output has to be asked.
func (s *Stack) express(c *Conn) bool {
	if !c.Conn.Sent() {
		s.sendTrain(c)
		return c.Conn.Sent()
	}
	return true
}

// sendTrain sends as many segments of new data as it may: the headers of the packets are the
// same, but for TCP's sequence number.
func (s *Stack) sendTrain(c *Conn) {
	p := &c.path
	n := p.neigh
	if n == nil || !p.valid(s) || !c.dontFragment() || !n.Output(s.now) {
		return
	}
	ifc := p.ifc(s)
	if !ifc.IsUp() || feature.Pcap && ifc.Capture != nil || feature.PktSock && s.tap != nil {
		return
	}
	t := trainOf(s)
	const ip, payload = netif.EthernetHeaderLen, netif.EthernetHeaderLen + ipv4.MinHeaderLen
	if !c.Conn.Depart(s.now, &t.Train, t.head[payload:]) {
		return
	}
	netif.Ethernet(t.head[:ip]).Put(&n.HW, &ifc.HW, netif.EtherTypeIPv4)
	size := 0
	for i := t.Len; i > 0; i-- {
		n := t.Size
		if i == 1 {
			n = t.Last
		}
		if n != size { // the first, or a last one that is not full
			size = n
			ipv4.PutPlain(t.head[ip:], c.Local().Addr, c.Remote().Addr, ipv4.ProtoTCP, c.Options.TTL, c.Options.TOS, uint16(ipv4.MinHeaderLen+size))
		}
		k := len(ifc.Out)
		ifc.Out = ifc.Out[:k+1]
		b := ifc.Out[k] // see flush
		if b != nil && b.Cap() >= s.pool.Size() {
			b.Reset()
		} else {
			b = s.pool.Get()
			ifc.Out[k] = b
		}
		f := b.Append(payload + size)
		if len(f) >= len(t.head) { // without timestamps the data begins in it
			*(*[trainHeader]byte)(f) = t.head
		} else {
			copy(f, t.head[:])
		}
		c.Conn.Next(&t.Train, f[payload:], i == 1)
		if k+1 == cap(ifc.Out) {
			s.flush(ifc)
		}
	}
	ifc.Stats.TxPackets += uint64(t.Len)
	ifc.Stats.TxBytes += uint64((t.Len-1)*(payload+t.Size) + payload + t.Last)
}
