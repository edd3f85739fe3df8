package stack

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/netif"
)

// offloader is an interface's device that takes and gives super-segments. It stands in
// Interface.Dev, with the Bufs for them.
type offloader struct {
	netif.Offloader
	free []*pkt.Buf // of SuperSize
	used bool       // since the last trim
}

// offload returns the device of an interface, prepared for super-segments if it has them.
func offload(dev netif.Device) netif.Device {
	if o, ok := dev.(netif.Offloader); ok && o.Offload() {
		return &offloader{Offloader: o}
	}
	return dev
}

// offloads reports whether i has what cmd, an ETHTOOL_G... command, asks for: receiving is feature
// gro's, sending tso's, and a frame is always in one piece.
func offloads(i *netif.Interface, cmd uint32) bool {
	_, ok := i.Dev.(*offloader)
	return ok && cmd != ETHTOOL_GSG && (feature.TSO || cmd == ETHTOOL_GRXCSUM || cmd == ETHTOOL_GGRO)
}

// offloaded reports whether anything is known of the frame in b besides its bytes.
func offloaded(b *pkt.Buf) bool { return pkt.SegmentSize(b) != 0 || pkt.Summed(b) != pkt.SumFull }

// noChecksum makes the UDP datagram p one without a checksum, since it need not be verified.
func noChecksum(p []byte) {
	if len(p) >= 8 {
		p[6], p[7] = 0, 0
	}
}
