package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/shapetest"
)

func TestShapes(t *testing.T) {
	shapetest.Same[Conn, TCB](t)
}
