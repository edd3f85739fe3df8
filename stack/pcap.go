package stack

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// Capture calls f with every frame that interface ifindex receives, before anything
// looks at it, and sends, until it is called with nil (feature pcap). f must
// neither keep nor change the frame, nor call the stack. It fits
// netif/pcap.Writer.Packet. It returns ENODEV for an interface that does not
// exist or has no frames, as lo.
func (s *Stack) Capture(ifindex int, f func(now Time, frame []byte, sent bool)) error {
	ifc := s.interfaceByIndex(int32(ifindex))
	if ifc == nil || ifc.Dev == nil {
		return errno.ENODEV
	}
	ifc.Capture = f
	return nil
}

// captureBatch shows frames that have arrived to the interface's capture.
func captureBatch(now pkt.Time, f func(pkt.Time, []byte, bool), frames []*pkt.Buf) {
	for _, b := range frames {
		f(now, b.Bytes(), false)
	}
}
