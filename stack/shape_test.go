package stack

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/shapetest"
)

func TestShapes(t *testing.T) {
	shapetest.Same[Stack, stackShape](t)
	shapetest.Same[Conn, TCB](t)
	shapetest.Same[UDP, UDPMem](t)
	shapetest.Same[Raw, RawMem](t)
	shapetest.Same[PacketSocket, PacketMem](t)
	shapetest.Same[Listener, ListenerMem](t)
	shapetest.Same[listenTable, listenTableShape](t)
	shapetest.Same[linkGroups, linkGroupsShape](t)
	shapetest.Same[timeWait, timeWaitShape](t)
}
