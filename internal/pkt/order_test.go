package pkt

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func TestByteOrdersAreThoseOfEncodingBinary(t *testing.T) {
	b := []byte{0x01, 0x82, 0x03, 0x84, 0x05, 0x86, 0x07, 0x88}
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"big 16", BigEndian.Uint16(b), binary.BigEndian.Uint16(b)},
		{"big 32", BigEndian.Uint32(b), binary.BigEndian.Uint32(b)},
		{"big 64", BigEndian.Uint64(b), binary.BigEndian.Uint64(b)},
		{"little 16", LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b)},
		{"little 32", LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b)},
		{"little 64", LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b)},
	} {
		if c.got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, c.got, c.want)
		}
	}
	put := func(o interface {
		PutUint16([]byte, uint16)
		PutUint32([]byte, uint32)
		PutUint64([]byte, uint64)
	}) []byte {
		p := make([]byte, 15)
		o.PutUint16(p, 0x1234)
		o.PutUint32(p[2:], 0x12345678)
		o.PutUint64(p[6:], 0x123456789abcdef0)
		return p
	}
	if got, want := put(BigEndian), put(binary.BigEndian); !bytes.Equal(got, want) {
		t.Errorf("big: % x, want % x", got, want)
	}
	if got, want := put(LittleEndian), put(binary.LittleEndian); !bytes.Equal(got, want) {
		t.Errorf("little: % x, want % x", got, want)
	}
}
