package stack

import (
	"bytes"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

func TestCaptureSeesBothDirections(t *testing.T) {
	if !feature.Pcap {
		t.Skip("needs feature pcap")
	}
	p := newPair(t, Config{}, 1500, pkt.Millisecond)
	var sent, received [][]byte
	err := p.s[0].Capture(2, func(now Time, f []byte, out bool) {
		if now != p.now {
			t.Errorf("captured at %d, want %d", now, p.now)
		}
		if out {
			sent = append(sent, bytes.Clone(f))
		} else {
			received = append(received, bytes.Clone(f))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	c := new(Conn)
	c.Init(p.s[0])
	if err := p.s[0].Connect(p.now, c, ipv4.Endpoint{}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2), Port: 80}); err != nil {
		t.Fatal(err)
	}
	for end := p.now + pkt.Second/2; p.step(end); {
	}
	// An ARP request and a SYN; the ARP reply and the reset.
	if len(sent) != p.w[0].sent || len(sent) != 2 || len(received) != 2 {
		t.Errorf("captured %d of %d frames sent, and %d received", len(sent), p.w[0].sent, len(received))
	}
	for _, i := range []int{1, 0, 9} { // lo has no frames
		if err := p.s[0].Capture(i, nil); err != errno.ENODEV {
			t.Errorf("interface %d: %v", i, err)
		}
	}
}
