package gvisorpeer

import (
	"sync"

	"github.com/bonsainet/bonsai/netif"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// link is a netif.Device as a link of gVisor's: it adds and removes the Ethernet
// header, and copies.
type link struct {
	dev  netif.Device
	mac  tcpip.LinkAddress
	done chan struct{} // closed when nothing is received any more

	offload bool // the device takes super-segments

	mu sync.Mutex // of Send
	tx []*netif.Buf
}

const batch = 64

func newLink(dev netif.Device, offload bool) *link {
	mac := dev.HardwareAddr()
	l := &link{dev: dev, mac: tcpip.LinkAddress(mac[:]), done: make(chan struct{})}
	if o, ok := dev.(netif.Offloader); ok && offload {
		l.offload = o.Offload()
	}
	l.tx = buffers(dev, batch)
	if l.offload {
		for i := range l.tx {
			l.tx[i] = netif.NewBuf(netif.SuperSize)
		}
		l.tx = l.tx[:batch/8]
	}
	return l
}

func buffers(dev netif.Device, n int) []*netif.Buf {
	bufs := make([]*netif.Buf, n)
	for i := range bufs {
		bufs[i] = netif.NewBuf(dev.MTU() + header.EthernetMinimumSize)
	}
	return bufs
}

// GSOMaxSize and SupportedGSO make the link a stack.GSOEndpoint: as with gVisor's own fdbased
// endpoint on a packet socket, it is the host that segments.
func (l *link) GSOMaxSize() uint32 { return 65535 }

func (l *link) SupportedGSO() stack.SupportedGSO {
	if l.offload {
		return stack.HostGSOSupported
	}
	return stack.GSONotSupported
}

func (l *link) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, p := range list.AsSlice() {
		b := l.tx[n]
		b.Reset()
		for _, s := range p.AsSlices() {
			copy(b.Append(len(s)), s)
		}
		if g := &p.GSOOptions; l.offload && g.Type == stack.GSOTCPv4 && g.NeedsCsum {
			netif.SetSummed(b, netif.SumPartial)
			if p.Data().Size() > int(g.MSS) {
				netif.SetSegmentSize(b, int(g.MSS))
			}
		}
		if n++; n == len(l.tx) {
			l.dev.Send(l.tx)
			n = 0
		}
	}
	if n > 0 {
		l.dev.Send(l.tx[:n]) // what the device drops, TCP notices
	}
	return list.Len(), nil
}

// Attach starts to receive.
func (l *link) Attach(d stack.NetworkDispatcher) {
	if d != nil {
		go l.receive(d)
	}
}

func (l *link) receive(d stack.NetworkDispatcher) {
	defer close(l.done)
	bufs := buffers(l.dev, batch)
	for {
		n, err := l.dev.Recv(bufs)
		if err != nil {
			return
		}
		for _, b := range bufs[:n] {
			l.input(d, b.Bytes())
		}
	}
}

func (l *link) input(d stack.NetworkDispatcher, frame []byte) {
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	defer p.DecRef()
	if !l.ParseHeader(p) {
		return
	}
	eth := header.Ethernet(p.LinkHeader().Slice())
	switch dst := eth.DestinationAddress(); {
	case dst == header.EthernetBroadcastAddress:
		p.PktType = tcpip.PacketBroadcast
	case header.IsMulticastEthernetAddress(dst):
		p.PktType = tcpip.PacketMulticast
	case dst != l.mac:
		return
	}
	d.DeliverNetworkPacket(eth.Type(), p)
}

func (l *link) AddHeader(p *stack.PacketBuffer) {
	header.Ethernet(p.LinkHeader().Push(header.EthernetMinimumSize)).Encode(&header.EthernetFields{
		SrcAddr: l.mac, DstAddr: p.EgressRoute.RemoteLinkAddress, Type: p.NetworkProtocolNumber,
	})
}

func (l *link) ParseHeader(p *stack.PacketBuffer) bool {
	_, ok := p.LinkHeader().Consume(header.EthernetMinimumSize)
	return ok
}

func (l *link) MTU() uint32                             { return uint32(l.dev.MTU()) }
func (l *link) SetMTU(uint32)                           {}
func (l *link) MaxHeaderLength() uint16                 { return header.EthernetMinimumSize }
func (l *link) LinkAddress() tcpip.LinkAddress          { return l.mac }
func (l *link) SetLinkAddress(tcpip.LinkAddress)        {}
func (l *link) IsAttached() bool                        { return true }
func (l *link) Wait()                                   {}
func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }
func (l *link) SetOnCloseAction(func())                 {}
func (l *link) Close()                                  { l.dev.Close() }
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	c := stack.LinkEndpointCapabilities(stack.CapabilityResolutionRequired)
	if l.offload {
		c |= stack.CapabilityRXChecksumOffload // all of them, or none: with gVisor that is the link's
	}
	return c
}
