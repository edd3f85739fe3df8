//go:build linux

package tapnet

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/netif/pcap"
	"github.com/bonsainet/bonsai/netif/tap"
	"github.com/bonsainet/bonsai/stack"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

func needOffload(t *testing.T) {
	t.Helper()
	if !feature.TSO {
		t.Skip("needs feature tso")
	}
}

// bothWays sends n bytes each way at once over a connection, and checks them.
func bothWays(t *testing.T, a, b net.Conn, n int64) {
	t.Helper()
	done := make(chan error, 4)
	for _, c := range []net.Conn{a, b} {
		c.SetDeadline(time.Now().Add(time.Minute))
		go func() {
			_, err := io.CopyBuffer(struct{ io.Writer }{c}, stream(n), make([]byte, 64<<10))
			done <- err
		}()
		go func() {
			got, err := sum(io.LimitReader(c, n))
			if err == nil && got != digest(n) {
				t.Error("what arrived is not what was sent")
			}
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// The kernel takes super-segments and gives them, with checksums that nobody computes.
func TestSuperSegmentsBothWays(t *testing.T) {
	needOffload(t)
	for _, mtu := range []int{576, 1500, 9000} {
		n := New(t, Config{MTU: mtu})
		ours, kernels := n.connect(t)
		bothWays(t, ours, kernels, 16<<20)
		out, in := n.cable.out.Load(), n.cable.in.Load()
		if out < 100 || in < 100 {
			t.Errorf("MTU %d: %d super-segments sent, %d received", mtu, out, in)
		}
		if d := n.cable.Device.(*tap.Device).Dropped(); d != 0 {
			t.Errorf("MTU %d: %d frames dropped", mtu, d)
		}
		t.Logf("MTU %d: %d super-segments sent, %d received", mtu, out, in)
	}
}

// The MTU becomes smaller and larger while data flows.
func TestMTUChangesUnderSuperSegments(t *testing.T) {
	needOffload(t)
	n := New(t, Config{})
	ours, kernels := n.connect(t)
	for _, mtu := range []int{1500, 700, 1400, 1500} {
		if err := n.cable.Device.(*tap.Device).SetMTU(mtu); err != nil {
			t.Fatal(err)
		}
		r := stack.Ifreq{Name: "eth0", Value: int32(mtu)}
		if err := n.Ioctl(stack.SIOCSIFMTU, &r); err != nil {
			t.Fatal(err)
		}
		bothWays(t, ours, kernels, 2<<20)
	}
}

// A capture has super-segments as they are, which others can read.
func TestSuperSegmentsAreCaptured(t *testing.T) {
	needOffload(t)
	dir := t.TempDir()
	t.Setenv("BONSAI_PCAP", dir)
	n := New(t, Config{})
	ours, kernels := n.connect(t)
	bothWays(t, ours, kernels, 4<<20)
	n.Close()
	file, err := os.ReadFile(filepath.Join(dir, t.Name()+".pcap"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcap.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	supers := 0
	for {
		_, f, _, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
		if e := p.ErrorLayer(); e != nil {
			t.Fatal(e.Error())
		}
		if len(f) > 10_000 && p.Layer(layers.LayerTypeTCP) != nil {
			supers++
		}
	}
	if supers < 20 {
		t.Errorf("%d super-segments in the capture", supers)
	}
}

// Datagrams of the kernel's come with checksums that are not computed, too.
func TestDatagramsOverAnOffloadingTAP(t *testing.T) {
	needOffload(t)
	n := New(t, Config{})
	pc, err := n.ListenPacket("udp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	c, err := net.Dial("udp4", n.Ours.String()+":53")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pc.SetDeadline(time.Now().Add(20 * time.Second))
	c.SetDeadline(time.Now().Add(20 * time.Second))
	for _, size := range []int{1, 1000, 1472, 20_000} {
		want := make([]byte, size)
		io.ReadFull(stream(int64(size)), want)
		c.Write(want)
		buf := make([]byte, 65536)
		k, from, err := pc.ReadFrom(buf)
		if err != nil || !bytes.Equal(buf[:k], want) {
			t.Fatalf("%d bytes: got %d, %v", size, k, err)
		}
		pc.WriteTo(buf[:k], from)
		if k, err = c.Read(buf); err != nil || !bytes.Equal(buf[:k], want) {
			t.Fatalf("%d bytes back: got %d, %v", size, k, err)
		}
	}
}
