package stack

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
)

func (s *Stack) capture(ifindex int, f func(now Time, frame []byte, sent bool)) error {
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
