package ipv4

import (
	"bytes"
	"testing"
)

func TestC16OptionsAreParsedWithBounds(t *testing.T) {
	for _, c := range []struct {
		name    string
		opts    []byte
		want    Drop
		pointer uint8
	}{
		{"none", nil, DropNone, 0},
		{"end", []byte{0, 0, 0, 0}, DropNone, 0},
		{"nops", []byte{1, 1, 1, 1}, DropNone, 0},
		{"anything behind the end", []byte{1, 0, 7, 255}, DropNone, 0},
		{"unknown ones are ignored", []byte{25, 4, 9, 9, 222, 3, 0, 0}, DropNone, 0},
		{"an unknown one of 40", append([]byte{30, 40}, make([]byte, 38)...), DropNone, 0},
		{"no length", []byte{1, 1, 1, 25}, DropIPOptions, 23},
		{"length 0", []byte{25, 0, 0, 0}, DropIPOptions, 21},
		{"length 1", []byte{1, 25, 1, 0}, DropIPOptions, 22},
		{"length 2", []byte{25, 2, 1, 0}, DropNone, 0},
		{"length past the header", []byte{25, 5, 1, 0}, DropIPOptions, 21},
		{"length 255", []byte{25, 255, 1, 0}, DropIPOptions, 21},
		{"router alert", []byte{148, 4, 0, 0}, DropNone, 0},

		{"record route, empty", []byte{7, 7, 4, 0, 0, 0, 0, 0}, DropNone, 0},
		{"record route, full", []byte{7, 7, 8, 198, 18, 0, 9, 0}, DropNone, 0},
		{"record route without a pointer", []byte{7, 2, 0, 0}, DropIPOptions, 21},
		{"record route without room", []byte{7, 3, 4, 0}, DropNone, 0},
		{"record route, pointer 3", []byte{1, 7, 6, 3, 0, 0, 0, 0}, DropIPOptions, 23},
		{"timestamp, empty", []byte{68, 8, 5, 0, 0, 0, 0, 0}, DropNone, 0},
		{"timestamp, full", []byte{68, 8, 9, 0xf0, 0, 0, 0, 0}, DropNone, 0},
		{"timestamp without flags", []byte{68, 3, 5, 0}, DropIPOptions, 21},
		{"timestamp, pointer 4", []byte{68, 4, 4, 0}, DropIPOptions, 22},

		{"loose route, ended", []byte{131, 7, 8, 198, 18, 0, 9, 0}, DropNone, 0},
		{"strict route, ended", []byte{137, 3, 4, 0}, DropNone, 0},
		{"loose route, not ended", []byte{131, 7, 4, 198, 18, 0, 9, 0}, DropIPSourceRoute, 0},
		{"strict route, not ended", []byte{1, 137, 11, 8, 198, 18, 0, 9, 198, 18, 0, 8}, DropIPSourceRoute, 0},
		{"loose route, pointer 0", []byte{131, 7, 0, 198, 18, 0, 9, 0}, DropIPOptions, 22},
		{"strict route of 2", []byte{137, 2, 4, 0}, DropIPOptions, 21},
		{"strict route past the header", []byte{137, 7, 8, 0}, DropIPOptions, 21},
	} {
		pointer, d := CheckOptions(c.opts)
		if d != c.want || pointer != c.pointer {
			t.Errorf("%s: %v, pointer %d; want %v, %d", c.name, d, pointer, c.want, c.pointer)
		}
	}
}

func FuzzOptions(f *testing.F) {
	f.Add([]byte{0})
	f.Add([]byte{7, 7, 4, 0, 0, 0, 0, 0})
	f.Add([]byte{68, 8, 5, 0, 1, 131, 7, 8, 198, 18, 0, 9})
	f.Add([]byte{137, 255, 3})
	f.Add(bytes.Repeat([]byte{1}, 40))
	f.Fuzz(func(t *testing.T, opts []byte) {
		opts = opts[:min(len(opts), 40)]
		pointer, d := CheckOptions(opts)
		switch d {
		case DropNone, DropIPSourceRoute:
			if pointer != 0 {
				t.Fatalf("%v with pointer %d", d, pointer)
			}
		case DropIPOptions:
			if int(pointer) < MinHeaderLen || int(pointer) >= MinHeaderLen+len(opts) {
				t.Fatalf("pointer %d into %d bytes of options", pointer, len(opts))
			}
		default:
			t.Fatal(d)
		}
		// The fragmenter takes whatever it is given, and what it repeats is as good.
		var fr Fragmenter
		fr.Start(&Header{Options: opts[:len(opts)&^3]}, 100, MinMTU)
		for {
			if _, _, ok := fr.Next(); !ok {
				break
			}
			p := make([]byte, fr.HeaderLen())
			fr.Put(p)
			if _, d2 := CheckOptions(p[20:]); d == DropNone && d2 != DropNone && len(opts)&3 == 0 {
				t.Fatalf("% x became % x: %v", opts, p[20:], d2)
			}
		}
	})
}
