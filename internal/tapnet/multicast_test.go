//go:build linux

package tapnet

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/socket/gonet"
)

// The kernel joins a group and we send to it, and the other way round: what is short, and what takes
// fragments.
func TestMulticastBothWays(t *testing.T) {
	if !feature.Multicast {
		t.Skip("needs feature multicast")
	}
	n := New(t, Config{})
	ifi, err := net.InterfaceByName(n.Name)
	if err != nil {
		t.Fatal(err)
	}
	group := &net.UDPAddr{IP: net.IPv4(233, 252, 0, 1), Port: 5353}
	kernels, err := net.ListenMulticastUDP("udp4", ifi, group)
	if err != nil {
		t.Fatal(err)
	}
	defer kernels.Close()
	ours, err := n.ListenMulticastUDP("udp4", "eth0", group)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	kernels.SetDeadline(deadline)
	ours.SetDeadline(deadline)
	b := make([]byte, 10000)
	texts := []string{"x", strings.Repeat("0123456789", 100)}
	if feature.Fragmentation && feature.Reassembly {
		texts = append(texts, strings.Repeat("0123456789", 400))
	}
	for _, text := range texts {
		for _, c := range []struct {
			from, to net.PacketConn
			source   string
		}{{ours, kernels, n.Ours.String()}, {kernels, ours, n.Kernel.String()}} {
			if _, err := c.from.WriteTo([]byte(text), group); err != nil {
				t.Fatal(err)
			}
			k, from, err := c.to.ReadFrom(b)
			if err != nil || string(b[:k]) != text || from.(*net.UDPAddr).IP.String() != c.source {
				t.Errorf("%d bytes from %v, %v, want %d from %s", k, from, err, len(text), c.source)
			}
		}
	}
	// A socket that is no member may send as well, to another group, which reaches nobody else.
	p, err := n.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	sender := gonet.MulticastConn{PacketConn: p.(*gonet.PacketConn)}
	if err := sender.SetMulticastInterface("eth0"); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*net.UDPAddr{{IP: net.IPv4(233, 252, 0, 2), Port: 5353}, group} {
		if _, err := sender.WriteTo([]byte(a.IP.String()), a); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []net.PacketConn{kernels, ours} {
		k, from, err := c.ReadFrom(b)
		if err != nil || string(b[:k]) != group.IP.String() {
			t.Errorf("%q from %v, %v", b[:k], from, err)
		}
	}
}
