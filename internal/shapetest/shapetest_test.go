package shapetest

import (
	"reflect"
	"slices"
	"testing"
	"unsafe"
)

func TestPointers(t *testing.T) {
	type s struct {
		A  uint32
		B  []byte
		C  [2]struct{ p *int }
		D  [0]func()
		E  any
		F  string
		G  map[int]int
		H  uintptr
		I  unsafe.Pointer
		Z  [3]byte
		Fn func()
	}
	want := []bool{false, true, false, false, true, true, false, true, true, false, true, false, true, false, true}
	if got := pointers(reflect.TypeFor[s]()); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := fieldAt(reflect.TypeFor[s](), 5*word); got != ".C" {
		t.Error(got)
	}
}
