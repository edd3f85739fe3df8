package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/shapetest"
)

func TestShapes(t *testing.T) {
	shapetest.Same[Conn, TCB](t)
	shapetest.Same[scoreboard, scoreboardShape](t)
	shapetest.Same[intervals, intervalsShape](t)
	shapetest.NoPointers[interval](t)
	shapetest.NoPointers[run](t)
	shapetest.NoPointers[cubicState](t)
}
