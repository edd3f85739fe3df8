package netif

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/shapetest"
)

func TestShapes(t *testing.T) {
	shapetest.Same[Address, addressShape](t)
	shapetest.Same[Interface, interfaceShape](t)
	shapetest.Same[Neighbour, neighbourShape](t)
}
