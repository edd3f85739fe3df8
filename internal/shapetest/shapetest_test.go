package shapetest

import (
	"reflect"
	"slices"
	"testing"
	"unsafe"
)

func TestPointers(t *testing.T) {
	type s struct {
		a  uint32
		b  []byte
		c  [2]struct{ p *int }
		d  [0]func()
		e  any
		f  string
		g  map[int]int
		h  uintptr
		i  unsafe.Pointer
		z  [3]byte
		fn func()
	}
	want := []bool{false, true, false, false, true, true, false, true, true, false, true, false, true, false, true}
	if got := pointers(reflect.TypeFor[s]()); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := fieldAt(reflect.TypeFor[s](), 5*word); got != ".c" {
		t.Error(got)
	}
}
