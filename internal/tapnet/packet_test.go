//go:build linux

package tapnet

import (
	"bytes"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/socket"
	"github.com/bonsainet/bonsai/stack"
)

// sizes of datagrams: the last ones go in fragments.
func sizes() []int {
	if feature.Fragmentation && feature.Reassembly {
		return []int{0, 1, 1472, 1473, 4000, 20001, 65507}
	}
	return []int{0, 1, 1472}
}

// echoes answers each datagram with itself.
func echoes(c net.PacketConn) {
	buf := make([]byte, 65536)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		c.WriteTo(buf[:n], from)
	}
}

// ask sends datagrams and waits for their echoes.
func ask(t *testing.T, c net.Conn) {
	t.Helper()
	defer c.Close()
	buf := make([]byte, 65536)
	for _, n := range sizes() {
		msg := bytes.Repeat([]byte("0123456"), n/7+1)[:n]
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Write(msg); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		k, err := c.Read(buf)
		if err != nil || !bytes.Equal(buf[:k], msg) {
			t.Fatalf("%d of %d bytes came back, %v", k, n, err)
		}
	}
}

func TestUDPEchoByKernel(t *testing.T) {
	n := New(t, Config{})
	k, err := net.ListenPacket("udp", n.Kernel.String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	go echoes(k)
	c, err := n.Dial("udp", k.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	ask(t, c)
}

func TestUDPEchoByUs(t *testing.T) {
	n := New(t, Config{})
	p, err := n.ListenPacket("udp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	go echoes(p)
	c, err := net.Dial("udp", n.Ours.String()+":7")
	if err != nil {
		t.Fatal(err)
	}
	ask(t, c)
}

func TestUDPRefusedBothWays(t *testing.T) {
	n := New(t, Config{})
	ours, err := n.Dial("udp", n.Kernel.String()+":9")
	if err != nil {
		t.Fatal(err)
	}
	kernels, err := net.Dial("udp", n.Ours.String()+":9")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]net.Conn{"ours": ours, "the kernel's": kernels} {
		c.SetDeadline(time.Now().Add(5 * time.Second))
		c.Write([]byte("anyone?"))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s socket: %v", name, err)
		}
		c.Close()
	}
}

// echoRequest returns an ICMP echo request with n bytes of data.
func echoRequest(seq byte, n int) []byte {
	p := make([]byte, 8+n)
	p[0], p[4], p[5], p[7] = ipv4.ICMPEcho, 0xb0, 0x05, seq
	for i := range n {
		p[8+i] = byte(i)
	}
	ipv4.SetICMPChecksum(p)
	return p
}

// isEcho reports whether got is the answer to request.
func isEcho(got, request []byte) bool {
	return len(got) == len(request) && got[0] == ipv4.ICMPEchoReply && bytes.Equal(got[4:], request[4:])
}

func TestKernelPingsUs(t *testing.T) {
	n := New(t, Config{})
	c, err := net.Dial("ip4:icmp", n.Ours.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 65536)
	for i, size := range sizes() {
		size = min(size, 65000)
		p := echoRequest(byte(i), size)
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
		k, err := c.Read(buf)
		if err != nil || k < 20 || !isEcho(buf[20:k], p) {
			t.Errorf("%d bytes: %d came back, %v", size, k, err)
		}
	}
}

func TestWePingTheKernel(t *testing.T) {
	if !feature.RawSock {
		t.Skip("needs feature rawsock")
	}
	n := New(t, Config{})
	r, err := n.Socket.OpenRaw(ipv4.ProtoICMP)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	buf := make([]byte, 65536)
	for i, size := range sizes() {
		size = min(size, 65000)
		p := echoRequest(byte(i), size)
		r.SetDeadline(n.Socket.Now() + 5e9)
		if _, err := r.WriteTo(p, ipv4.AddrFrom4(n.Kernel.As4())); err != nil {
			t.Fatal(size, err)
		}
		var m socket.Meta
		k, err := r.ReadFrom(buf, &m)
		if err != nil || k < 20 || !isEcho(buf[20:k], p) || m.Src.Addr != ipv4.AddrFrom4(n.Kernel.As4()) {
			t.Errorf("%d bytes: %d came back, %v", size, k, err)
		}
	}
}

// TestPacketSockets has frames of a protocol that neither stack knows go both ways, between a packet
// socket of the kernel and one of ours.
func TestPacketSockets(t *testing.T) {
	if !feature.PktSock {
		t.Skip("needs feature pktsock")
	}
	const typ = 0x88b5 // for experiments (IEEE 802)
	n := New(t, Config{})
	ifi, err := net.InterfaceByName(n.Name)
	if err != nil {
		t.Fatal(err)
	}
	k, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, typ>>8|typ<<8&0xff00)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(k)
	if err := syscall.Bind(k, &syscall.SockaddrLinklayer{Protocol: typ>>8 | typ<<8&0xff00, Ifindex: ifi.Index}); err != nil {
		t.Fatal(err)
	}
	syscall.SetsockoptTimeval(k, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 5})
	const eth0 = 2
	raw, err := n.Socket.OpenPacketSocket(typ, eth0, false)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	cooked, err := n.Socket.OpenPacketSocket(typ, eth0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer cooked.Close()
	kernel := netif.MAC(ifi.HardwareAddr)
	for _, size := range []int{46, 100, 1500} {
		p := bytes.Repeat([]byte{byte(size)}, size)
		if _, err := cooked.WriteTo(p, &socket.LinkAddr{Addr: kernel}); err != nil {
			t.Fatal(size, err)
		}
		var f [2000]byte
		m, from, err := syscall.Recvfrom(k, f[:], 0)
		if err != nil || m != 14+size || !bytes.Equal(f[14:m], p) || netif.MAC(f[:]) != kernel {
			t.Fatalf("the kernel received % x, %v", f[:m], err)
		}
		ours := netif.MAC(f[6:])
		if a := from.(*syscall.SockaddrLinklayer); a.Pkttype != stack.PACKET_HOST || netif.MAC(a.Addr[:]) != ours {
			t.Errorf("the kernel received it from %v", a)
		}
		// Back it goes, as a frame.
		copy(f[:], ours[:])
		copy(f[6:], kernel[:])
		if err := syscall.Sendto(k, f[:m], 0, &syscall.SockaddrLinklayer{Ifindex: ifi.Index}); err != nil {
			t.Fatal(err)
		}
		for _, r := range []*socket.PacketSocket{raw, cooked} {
			want := f[:m]
			if r == cooked {
				want = p
			}
			r.SetDeadline(n.Socket.Now() + 5e9)
			var b [2000]byte
			var from socket.LinkAddr
			m, length, err := r.ReadFrom(b[:], &from)
			if err != nil || length != m || !bytes.Equal(b[:m], want) {
				t.Fatalf("received % x, %v", b[:m], err)
			}
			if from != (socket.LinkAddr{Ifindex: eth0, Protocol: typ, Pkttype: stack.PACKET_HOST, Addr: kernel}) {
				t.Errorf("from %+v", from)
			}
		}
	}
}

// Nothing of the tests is seen outside of the namespace, and the interfaces go when the
// devices are closed.
func TestNothingIsLeftBehind(t *testing.T) {
	n := New(t, Config{})
	own, err := os.Readlink("/proc/self/ns/net")
	if first, err1 := os.Readlink("/proc/1/ns/net"); err != nil || err1 == nil && first == own {
		t.Errorf("the tests run in process 1's namespace: %v", err)
	}
	n.Close()
	if b, err := os.ReadFile("/proc/self/net/dev"); err != nil || bytes.Contains(b, []byte(n.Name+":")) {
		t.Errorf("%s is still there: %v\n%s", n.Name, err, b)
	}
}
