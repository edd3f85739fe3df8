package stack

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// What fuzzing found, each as a few calls.

// A socket bound to lo sent to an address that is not ours by lo's MTU, 65,536,
// and no Buf is that large.
func TestBoundToLoopbackSendsWhatABufHolds(t *testing.T) {
	s := New(Config{Seed: 1})
	up(t, s, &idleDevice{mtu: 1500, hw: testHW}, ipv4.AddrOf(198, 18, 0, 1))
	var u UDP
	if err := s.OpenUDP(&u, ipv4.Endpoint{Port: 53}); err != nil {
		t.Fatal(err)
	}
	if e := u.SetOption(SOL_SOCKET, SO_BINDTODEVICE, 1); e != 0 {
		t.Fatal(e)
	}
	for _, n := range []int{100, 1472, 1473, 20000, 65507} {
		u.SendTo(pkt.Second, make([]byte, n), ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 10), Port: 53})
		s.Poll(pkt.Second)
	}
}
