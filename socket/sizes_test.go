package socket

import (
	"testing"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/feature/table"
	"github.com/bonsainet/bonsai/internal/shapetest"
)

// An idle connection is one allocation, and little else: at most 384 bytes in
// minimal, 512 in client and 576 in full, which are size classes of Go's heap. It puts 8
// bytes in front of what is larger than 512 and has pointers. A build with features that its
// profile does not have has no bound.
func TestSizes(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the classes are those of 64 bits")
	}
	for _, r := range table.Rows {
		if feature.On(r.Name) && (r.Level == table.F && feature.Profile < feature.Full || r.Level == table.C && feature.Profile < feature.Client) {
			t.Skipf("feature %s is none of this profile's", r.Name)
		}
	}
	most := [...]uintptr{feature.Minimal: 384, feature.Client: 512, feature.Full: 568}[feature.Profile]
	if n := unsafe.Sizeof(Conn{}); n > most {
		t.Errorf("a Conn has %d bytes, more than the %d of its size class: what is cold belongs behind a pointer, what a feature adds in an array of length feature.LenX", n, most)
	}
}

func TestShapes(t *testing.T) {
	shapetest.Same[Conn, connShape](t)
	shapetest.Same[Packet, packetShape](t)
	shapetest.Same[Raw, rawShape](t)
	shapetest.Same[PacketSocket, packetSocketShape](t)
	shapetest.Same[Listener, listenerShape](t)
	shapetest.Same[Stack, stackShape](t)
	shapetest.Same[port, portShape](t)
}
