package interop

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/bonsainet/bonsai/internal/feature"
	our "github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/socket"
)

// packetConns returns UDP sockets of ours, on port 1001, and of gVisor's, on 1002.
func packetConns(t *testing.T, c emu.Config) (p *pair, ours, peers net.PacketConn) {
	p = newPair(t, c)
	ours, err := p.ours.ListenPacket("udp", ":1001")
	if err != nil {
		t.Fatal(err)
	}
	if peers, err = p.peer.ListenPacket("198.18.0.1:1002"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.PacketConn{ours, peers} {
		c.SetDeadline(time.Now().Add(10 * time.Second))
	}
	return p, ours, peers
}

var (
	ourAddr  = &net.UDPAddr{IP: net.IPv4(198, 18, 0, 2), Port: 1001}
	peerAddr = &net.UDPAddr{IP: net.IPv4(198, 18, 0, 1), Port: 1002}
)

func TestUDPBothWays(t *testing.T) {
	_, ours, peers := packetConns(t, emu.Config{})
	sizes := []int{0, 1, 17, 1000, 1472}
	if feature.Fragmentation && feature.Reassembly {
		sizes = append(sizes, 1473, 8192, 65507) // in fragments
	}
	buf := make([]byte, 65536)
	for _, n := range sizes {
		msg := bytes.Repeat([]byte{byte(n)}, n)
		if _, err := ours.WriteTo(msg, peerAddr); err != nil {
			t.Fatal(n, err)
		}
		k, from, err := peers.ReadFrom(buf)
		if err != nil || !bytes.Equal(buf[:k], msg) || from.String() != ourAddr.String() {
			t.Errorf("gVisor got %d of %d bytes from %v, %v", k, n, from, err)
		}
		if _, err := peers.WriteTo(msg, ourAddr); err != nil {
			t.Fatal(n, err)
		}
		k, from, err = ours.ReadFrom(buf)
		if err != nil || !bytes.Equal(buf[:k], msg) || from.String() != peerAddr.String() {
			t.Errorf("we got %d of %d bytes from %v, %v", k, n, from, err)
		}
	}
}

func TestUDPFragmentsOutOfOrder(t *testing.T) {
	if !feature.Fragmentation || !feature.Reassembly {
		t.Skip("needs features fragmentation and reassembly")
	}
	_, ours, peers := packetConns(t, emu.Config{Path: emu.Path{Reorder: 0.5, ReorderHold: ms, Duplicate: 0.2}, Seed: 3})
	echo(t, ours, peers, 9000, 20)
}

// echo sends n datagrams each way, one after the other. None may be lost.
func echo(t *testing.T, ours, peers net.PacketConn, size, n int) {
	t.Helper()
	go func() {
		buf := make([]byte, 65536)
		for {
			k, from, err := peers.ReadFrom(buf)
			if err != nil {
				return
			}
			peers.WriteTo(buf[:k], from)
		}
	}()
	defer peers.Close()
	buf := make([]byte, 65536)
	for i := range n {
		msg := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, size/2)
		if _, err := ours.WriteTo(msg, peerAddr); err != nil {
			t.Fatal(err)
		}
		for { // what was duplicated is left over from before
			k, _, err := ours.ReadFrom(buf)
			if err != nil {
				t.Fatal(i, err)
			}
			if bytes.Equal(buf[:k], msg) {
				break
			}
			if i == 0 || !bytes.Equal(buf[:2], []byte{byte(i - 1), byte((i - 1) >> 8)}) {
				t.Fatalf("%d: %d bytes that were not sent", i, k)
			}
		}
	}
}

func TestUDPRefused(t *testing.T) {
	p := newPair(t, emu.Config{})
	c, err := p.ours.Dial("udp", "198.18.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	deadline(c)
	c.Write([]byte("anyone?"))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("port unreachable: %v", err)
	}
}

// TestPacketConn checks of a net.PacketConn what nettest checks of a net.Conn.
func TestPacketConn(t *testing.T) {
	_, c, peers := packetConns(t, emu.Config{})
	c.SetReadDeadline(time.Now().Add(-time.Second))
	if _, _, err := c.ReadFrom(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a deadline that has passed: %v", err)
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, _, err := c.ReadFrom(make([]byte, 1))
	if e, ok := err.(net.Error); !ok || !e.Timeout() {
		t.Errorf("a deadline that passes: %v", err)
	}
	c.SetDeadline(time.Time{})

	// Concurrent use, once the neighbour is known: few packets wait for that.
	c.WriteTo([]byte("abc"), peerAddr)
	peers.ReadFrom(make([]byte, 10))
	const senders, each = 8, 50
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for range each {
				c.WriteTo([]byte("abc"), peerAddr)
				c.LocalAddr()
				c.SetWriteDeadline(time.Now().Add(time.Minute))
			}
		})
	}
	got := 0
	for buf := make([]byte, 10); got < senders*each; got++ {
		if n, _, err := peers.ReadFrom(buf); n != 3 || err != nil {
			t.Errorf("after %d of %d datagrams: %d bytes, %v", got, senders*each, n, err)
			break
		}
	}
	wg.Wait()

	// A datagram that does not fit is cut.
	peers.WriteTo([]byte("0123456789"), ourAddr)
	buf := make([]byte, 4)
	if n, from, err := c.ReadFrom(buf); n != 4 || from.String() != peerAddr.String() || err != nil {
		t.Errorf("cut: %d bytes from %v, %v", n, from, err)
	}

	// Close wakes readers.
	done := make(chan error)
	go func() {
		_, _, err := c.ReadFrom(make([]byte, 1))
		done <- err
	}()
	time.Sleep(5 * time.Millisecond)
	c.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read when closed meanwhile: %v", err)
	}
	if _, err := c.WriteTo([]byte("x"), peerAddr); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write when closed: %v", err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
}

func TestPingToGVisor(t *testing.T) {
	if !feature.RawSock {
		t.Skip("needs feature rawsock")
	}
	p := newPair(t, emu.Config{})
	r, err := p.ours.Socket.OpenRaw(our.ProtoICMP)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	msg := append([]byte{our.ICMPEcho, 0, 0, 0, 0x12, 0x34, 0, 1}, "is anybody there?"...)
	our.SetICMPChecksum(msg)
	if _, err := r.WriteTo(msg, our.AddrOf(198, 18, 0, 1)); err != nil {
		t.Fatal(err)
	}
	r.SetReadDeadline(p.ours.Socket.Now() + 5e9)
	buf := make([]byte, 1500)
	var m socket.Meta
	n, err := r.ReadFrom(buf, &m)
	if err != nil {
		t.Fatal(err)
	}
	if got := buf[20:n]; got[0] != our.ICMPEchoReply || !bytes.Equal(got[4:], msg[4:]) {
		t.Errorf("%x", got)
	}
}

func TestPingFromGVisor(t *testing.T) {
	p := newPair(t, emu.Config{})
	var wq waiter.Queue
	ep, e := p.peer.Stack.NewEndpoint(icmp.ProtocolNumber4, ipv4.ProtocolNumber, &wq)
	if e != nil {
		t.Fatal(e)
	}
	defer ep.Close()
	entry, readable := waiter.NewChannelEntry(waiter.ReadableEvents)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	if e := ep.Connect(tcpip.FullAddress{Addr: tcpip.AddrFrom4([4]byte{198, 18, 0, 2})}); e != nil {
		t.Fatal(e)
	}
	msg := make([]byte, 1400)
	msg[0], msg[7], msg[1399] = byte(header.ICMPv4Echo), 9, 7
	if _, e := ep.Write(bytes.NewReader(msg), tcpip.WriteOptions{}); e != nil {
		t.Fatal(e)
	}
	select {
	case <-readable:
	case <-time.After(5 * time.Second):
		t.Fatal("no answer")
	}
	var got bytes.Buffer
	if _, e := ep.Read(&got, tcpip.ReadOptions{}); e != nil {
		t.Fatal(e)
	}
	if b := got.Bytes(); len(b) != len(msg) || b[0] != byte(header.ICMPv4EchoReply) || !bytes.Equal(b[6:], msg[6:]) {
		t.Errorf("%d bytes: %x", len(b), b[:8])
	}
}
