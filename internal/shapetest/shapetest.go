// Package shapetest compares memory as two types see it, for the garbage collector's sake.
package shapetest

import (
	"reflect"
	"slices"
	"testing"
	"unsafe"
)

// Same fails t unless T and Shape have the same size, and pointers in the same places.
func Same[T, Shape any](t *testing.T) {
	t.Helper()
	x, shape := reflect.TypeFor[T](), reflect.TypeFor[Shape]()
	want, have := pointers(x), pointers(shape)
	if x.Size() != shape.Size() || x.Align() != shape.Align() {
		t.Fatalf("%v has %d bytes, aligned to %d, its shape %d to %d", x, x.Size(), x.Align(), shape.Size(), shape.Align())
	}
	for i := range want {
		if want[i] != have[i] {
			t.Errorf("%v: word %d, in %s: a pointer %v, in its shape %v", x, i, fieldAt(x, uintptr(i)*word), want[i], have[i])
		}
	}
}

// NoPointers fails t if T has a pointer.
func NoPointers[T any](t *testing.T) {
	t.Helper()
	if x := reflect.TypeFor[T](); slices.Contains(pointers(x), true) {
		t.Errorf("%v has pointers", x)
	}
}

const word = unsafe.Sizeof(uintptr(0))

// pointers says of each word of t's memory whether the garbage collector follows it.
func pointers(t reflect.Type) []bool {
	m := make([]bool, (t.Size()+word-1)/word)
	mark(m, t, 0)
	return m
}

func mark(m []bool, t reflect.Type, at uintptr) {
	switch t.Kind() {
	case reflect.Pointer, reflect.UnsafePointer, reflect.Func, reflect.Map, reflect.Chan, reflect.Slice, reflect.String:
		m[at/word] = true
	case reflect.Interface:
		m[at/word+1] = true // the first word leads to a descriptor, which is not allocated
	case reflect.Array:
		for i := range t.Len() {
			mark(m, t.Elem(), at+uintptr(i)*t.Elem().Size())
		}
	case reflect.Struct:
		for i := range t.NumField() {
			mark(m, t.Field(i).Type, at+t.Field(i).Offset)
		}
	}
}

// fieldAt names the field of t at an offset.
func fieldAt(t reflect.Type, at uintptr) string {
	if t.Kind() != reflect.Struct {
		return ""
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Offset <= at && at < f.Offset+f.Type.Size() {
			return "." + f.Name + fieldAt(f.Type, at-f.Offset)
		}
	}
	return " padding"
}
