package show

import (
	"fmt"

	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
)

// Exchange gives s a frame and prints it with what s sends then to the other end of the
// link, or with the reason why it dropped the frame.
func Exchange(what string, s *stack.Stack, ifindex int, frame *netif.Buf, link *emu.Port) {
	fmt.Printf("%s\n  ──▶ %s\n", what, Frame(frame.Bytes()))
	before := s.Drops
	s.Input(0, ifindex, []*netif.Buf{frame})
	s.Poll(0)
	answers := []*netif.Buf{netif.NewBuf(1514), netif.NewBuf(1514)}
	n := link.Take(answers)
	for _, b := range answers[:n] {
		fmt.Printf("  ◀── %s\n", Frame(b.Bytes()))
	}
	for d, n := range s.Drops {
		if n != before[d] {
			fmt.Printf("  dropped: %v\n", ipv4.Drop(d))
		}
	}
}
