package route

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/shapetest"
)

func TestShapes(t *testing.T) {
	shapetest.Same[entry, entryShape](t)
}
