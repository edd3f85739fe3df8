package ipv4

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/pkt"
)

// igmpBytes finishes message p.
func igmpBytes(p ...byte) []byte {
	FinishIGMP(p)
	return p
}

func TestIGMPMessages(t *testing.T) {
	const tenth = pkt.Second / 10
	g := AddrOf(233, 252, 0, 1)
	for _, c := range []struct {
		name string
		p    []byte
		want IGMP // zero: of no use
	}{
		{"v1 query", igmpBytes(0x11, 0, 0, 0, 0, 0, 0, 0), IGMP{Type: 0x11, Version: 1, MaxResp: 10 * pkt.Second}},
		{"v1 query of junk", igmpBytes(0x11, 0, 0, 0, 233, 252, 0, 1), IGMP{Type: 0x11, Version: 1, MaxResp: 10 * pkt.Second}},
		{"v2 query", igmpBytes(0x11, 255, 0, 0, 0, 0, 0, 0), IGMP{Type: 0x11, Version: 2, MaxResp: 255 * tenth}},
		{"v2 query of a group", igmpBytes(0x11, 1, 0, 0, 233, 252, 0, 1), IGMP{Type: 0x11, Version: 2, MaxResp: tenth, Group: g}},
		{"v3 query", igmpBytes(0x11, 127, 0, 0, 0, 0, 0, 0, 0xfa, 127, 0, 0),
			IGMP{Type: 0x11, Version: 3, MaxResp: 127 * tenth, Robustness: 2, Interval: 127 * pkt.Second}},
		{"v3 query, long times", igmpBytes(0x11, 128, 0, 0, 0, 0, 0, 0, 7, 255, 0, 0),
			IGMP{Type: 0x11, Version: 3, MaxResp: 128 * tenth, Robustness: 7, Interval: 31744 * pkt.Second}},
		{"v3 query, no code", igmpBytes(0x11, 0, 0, 0, 233, 252, 0, 1, 0, 0, 0, 0), IGMP{Type: 0x11, Version: 3, Group: g}},
		{"v3 query of a source", igmpBytes(0x11, 10, 0, 0, 233, 252, 0, 1, 2, 125, 0, 1, 198, 18, 0, 1),
			IGMP{Type: 0x11, Version: 3, MaxResp: pkt.Second, Group: g, Robustness: 2, Interval: 125 * pkt.Second}},
		{"v3 query with more behind it", igmpBytes(0x11, 10, 0, 0, 233, 252, 0, 1, 2, 125, 0, 0, 1, 2),
			IGMP{Type: 0x11, Version: 3, MaxResp: pkt.Second, Group: g, Robustness: 2, Interval: 125 * pkt.Second}},
		{"v1 report", igmpBytes(0x12, 0, 0, 0, 233, 252, 0, 1), IGMP{Type: 0x12, Group: g}},
		{"v2 report", igmpBytes(0x16, 0, 0, 0, 233, 252, 0, 1), IGMP{Type: 0x16, Group: g}},

		{"nothing", nil, IGMP{}},
		{"short", igmpBytes(0x11, 1, 0, 0, 0, 0, 0), IGMP{}},
		{"checksum", []byte{0x11, 1, 1, 1, 0, 0, 0, 0}, IGMP{}},
		{"length 9", igmpBytes(0x11, 1, 0, 0, 0, 0, 0, 0, 0), IGMP{}},
		{"length 11", igmpBytes(0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0), IGMP{}},
		{"sources that are not there", igmpBytes(0x11, 1, 0, 0, 233, 252, 0, 1, 2, 125, 0, 1, 198, 18, 0), IGMP{}},
		{"sources of no group", igmpBytes(0x11, 1, 0, 0, 0, 0, 0, 0, 2, 125, 0, 1, 198, 18, 0, 1), IGMP{}},
		{"query of no group", igmpBytes(0x11, 1, 0, 0, 198, 18, 0, 1), IGMP{}},
		{"report of no group", igmpBytes(0x16, 0, 0, 0, 198, 18, 0, 1), IGMP{}},
		{"leave", igmpBytes(0x17, 0, 0, 0, 233, 252, 0, 1), IGMP{}},
		{"v3 report", igmpBytes(0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 233, 252, 0, 1), IGMP{}},
		{"unknown", igmpBytes(0x33, 0, 0, 0, 233, 252, 0, 1), IGMP{}},
	} {
		var m IGMP
		ok := ParseIGMP(c.p, &m)
		if ok != (c.want.Type != 0) || ok && !same(&m, &c.want) {
			t.Errorf("%s: %v, %+v, want %+v", c.name, ok, m, c.want)
		}
	}
}

func same(a, b *IGMP) bool {
	return a.Type == b.Type && a.Version == b.Version && a.Group == b.Group && a.MaxResp == b.MaxResp &&
		a.Robustness == b.Robustness && a.Interval == b.Interval
}

// The codes of version 3 grow, and are themselves below 128 (RFC 3376 sections 4.1.1 and 4.1.7).
func TestIGMPCodes(t *testing.T) {
	for c := range 256 {
		want := pkt.Time(c)
		if c >= 128 {
			want = pkt.Time(c&15|16) << (c>>4&7 + 3)
		}
		if got := igmpTime(uint8(c)); got != want {
			t.Errorf("%d: %d, want %d", c, got, want)
		}
		if c > 0 && igmpTime(uint8(c)) <= igmpTime(uint8(c-1)) {
			t.Errorf("%d is no more than %d", c, c-1)
		}
	}
}

func FuzzParseIGMP(f *testing.F) {
	for _, p := range [][]byte{
		igmpBytes(0x11, 0, 0, 0, 0, 0, 0, 0), igmpBytes(0x11, 100, 0, 0, 233, 252, 0, 1), igmpBytes(0x16, 0, 0, 0, 233, 252, 0, 1),
		igmpBytes(0x11, 200, 0, 0, 233, 252, 0, 1, 2, 125, 0, 1, 198, 18, 0, 1), igmpBytes(0x12, 0, 0, 0, 224, 0, 0, 251),
	} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		var m IGMP
		if !ParseIGMP(p, &m) {
			if len(p) < IGMPLen {
				return
			}
			FinishIGMP(p) // the checksum hides the rest
			if !ParseIGMP(p, &m) {
				return
			}
		}
		if len(p) < IGMPLen || pkt.Checksum(pkt.Sum(0, p)) != 0 {
			t.Error("a bad message is good")
		}
		if (m.Type == IGMPQuery) != (m.Version != 0) || m.Version > 3 || m.Robustness > 7 || m.MaxResp < 0 || m.Interval < 0 ||
			m.MaxResp > 3174400*pkt.Millisecond || !m.Group.IsAny() && !m.Group.IsMulticast() || m.Group.IsAny() && m.Type != IGMPQuery {
			t.Errorf("% x: %+v", p, m)
		}
	})
}
