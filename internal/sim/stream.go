package sim

import "encoding/binary"

// Stream is an endless sequence of bytes that depends on nothing but its value:
// what senders send and receivers compare with, at any offset.
type Stream uint64

// word returns bytes 8*i to 8*i+7 (SplitMix64).
func (s Stream) word(i int64) uint64 {
	z := uint64(s) + uint64(i)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Fill makes p the bytes from offset at on.
func (s Stream) Fill(p []byte, at int64) {
	var w [8]byte
	for len(p) > 0 {
		k := int(at & 7)
		if k == 0 && len(p) >= 8 {
			binary.LittleEndian.PutUint64(p, s.word(at>>3))
			p = p[8:]
			at += 8
			continue
		}
		binary.LittleEndian.PutUint64(w[:], s.word(at>>3))
		n := copy(p, w[k:])
		p = p[n:]
		at += int64(n)
	}
}

// Check returns the index of the first byte of p that is not that of offset at
// and following, or -1.
func (s Stream) Check(p []byte, at int64) int {
	var w [8]byte
	for i := 0; i < len(p); {
		k := int(at & 7)
		x := s.word(at >> 3)
		if k == 0 && len(p)-i >= 8 && binary.LittleEndian.Uint64(p[i:]) == x {
			i += 8
			at += 8
			continue
		}
		binary.LittleEndian.PutUint64(w[:], x)
		if p[i] != w[k] {
			return i
		}
		i++
		at++
	}
	return -1
}
