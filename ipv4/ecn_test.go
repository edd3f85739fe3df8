package ipv4

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
)

// RFC 3168 section 5.3, for every mix of codepoints in three fragments, in any order: CE is not
// lost, is nothing that a packet which was not ECN-capable can get, and "MUST NOT change the ECN
// codepoint when all of the fragments carry the same".
func TestC104CodepointsOfFragments(t *testing.T) {
	if !feature.ECN {
		t.Skip("needs feature ecn")
	}
	for mix := range uint8(64) {
		for order := range 3 {
			tos := [3]uint8{mix & 3, mix >> 2 & 3, mix >> 4}
			ce, not := false, false
			for _, c := range tos {
				ce, not = ce || c == 3, not || c == 0
			}
			r := newRig(t)
			var d Drop
			for i := range 3 {
				k := (i + order) % 3
				h := r.h
				h.FragOff, h.MF, h.TOS = uint16(16*k), k < 2, 0xb8|tos[k]
				h.TotalLen = 20 + 16
				r.whole, r.hdr, d = r.Input(r.now, &h, numbers[16*k:][:16])
			}
			switch {
			case ce && not:
				if r.whole != nil || d == DropNone || r.active() != 0 {
					t.Errorf("%v: not dropped", tos)
				}
				continue
			case r.whole == nil:
				t.Errorf("%v: dropped", tos)
				continue
			}
			r.wantWhole(48)
			want := 0xb8 | tos[0]
			if ce {
				want = 0xb8 | 3
			}
			var h Header
			if _, d := Parse(r.Packet(), &h); d != DropNone || h.TOS != want || r.hdr.TOS != want {
				t.Errorf("%v: TOS %#x, in the packet %#x (%v)", tos, r.hdr.TOS, h.TOS, d)
			}
		}
	}
}
