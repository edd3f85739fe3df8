package tap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/devtest"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// inNamespace runs f on a thread in a network namespace of its own, which ends
// with that thread and the devices opened there.
func inNamespace(t testing.TB, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to make a network namespace and a TAP in it")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("needs /dev/net/tun: ", err)
	}
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err = syscall.Unshare(syscall.CLONE_NEWNET); err == nil {
			f()
		}
	}()
	<-done
	if err != nil {
		t.Skip("needs to make a network namespace: ", err)
	}
}

// ip runs ip(8) in the namespace of the calling thread.
func ip(t testing.TB, args string) string {
	t.Helper()
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Error("ip(8) is not installed")
	} else if err != nil {
		t.Errorf("ip %s: %v: %s", args, err, out)
	}
	return string(out)
}

func open(t testing.TB, c Config) *Device {
	d, err := Open(c)
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func buffers(n int) []*netif.Buf {
	s := make([]*netif.Buf, n)
	for i := range s {
		s[i] = netif.NewBuf(1514)
	}
	return s
}

// receive returns the next frame of a type, or fails the test after 5 s.
func receive(t testing.TB, d *Device, typ uint16) gopacket.Packet {
	t.Helper()
	timer := time.AfterFunc(5*time.Second, func() { d.Close() })
	defer timer.Stop()
	bufs := buffers(1)
	for {
		if _, err := d.Recv(bufs); err != nil {
			t.Errorf("waiting for a frame of type %#x: %v", typ, err)
			runtime.Goexit()
		}
		if p := bufs[0].Bytes(); binary.BigEndian.Uint16(p[12:]) == typ {
			return gopacket.NewPacket(bytes.Clone(p), layers.LayerTypeEthernet, gopacket.Default)
		}
	}
}

func transmit(t testing.TB, d *Device, l ...gopacket.SerializableLayer) {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, l...); err != nil {
		t.Error(err)
	}
	bufs := buffers(1)
	bufs[0].CopyFrom(b.Bytes())
	if err := d.Send(bufs); err != nil {
		t.Error(err)
	}
}

func TestTheKernelAnswersARPAndEcho(t *testing.T) {
	inNamespace(t, func() {
		d := open(t, Config{Name: "tap7", Up: true})
		ip(t, "addr add 198.18.7.1/24 dev tap7")
		kernel, err := d.KernelAddr()
		if err != nil {
			t.Error(err)
		}
		mac, us, peer := d.HardwareAddr(), net.IP{198, 18, 7, 2}, net.IP{198, 18, 7, 1}

		transmit(t, d, &layers.Ethernet{SrcMAC: mac[:], DstMAC: layers.EthernetBroadcast, EthernetType: layers.EthernetTypeARP},
			&layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
				Operation: layers.ARPRequest, SourceHwAddress: mac[:], SourceProtAddress: us, DstHwAddress: make([]byte, 6), DstProtAddress: peer})
		arp, _ := receive(t, d, 0x0806).Layer(layers.LayerTypeARP).(*layers.ARP)
		if arp == nil || arp.Operation != layers.ARPReply || !bytes.Equal(arp.SourceHwAddress, kernel[:]) {
			t.Errorf("not the answer: %+v", arp)
		}

		payload := bytes.Repeat([]byte("bonsai"), 100)
		transmit(t, d, &layers.Ethernet{SrcMAC: mac[:], DstMAC: kernel[:], EthernetType: layers.EthernetTypeIPv4},
			&layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: us, DstIP: peer},
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: 7, Seq: 1},
			gopacket.Payload(payload))
		icmp, _ := receive(t, d, 0x0800).Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
		if icmp == nil || icmp.TypeCode.Type() != layers.ICMPv4TypeEchoReply || !bytes.Equal(icmp.Payload, payload) {
			t.Errorf("not the answer: %+v", icmp)
		}
	})
}

func TestTAPsKeepTheContract(t *testing.T) {
	devtest.Run(t, func(t *testing.T) (a, b netif.Device) {
		var x, y *Device
		inNamespace(t, func() {
			if out, err := exec.Command("ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0").CombinedOutput(); err != nil {
				t.Logf("%s", out)
				return
			}
			x = open(t, Config{Name: "tapx", Up: true})
			y = open(t, Config{Name: "tapy", Up: true})
			ip(t, "link set tapx master br0")
			ip(t, "link set tapy master br0")
			ip(t, "link set br0 up")
		})
		if x == nil || y == nil {
			t.Skip("needs a kernel with bridges, to connect two TAPs, and ip(8)")
		}
		return x, y
	})
}

func TestMTUAndAddressesAreSet(t *testing.T) {
	inNamespace(t, func() {
		d := open(t, Config{Name: "tap7", MTU: 9000, KernelAddr: netif.MAC{2, 0, 0, 0, 0, 7}})
		if out := ip(t, "link show tap7"); !strings.Contains(out, "mtu 9000") || !strings.Contains(out, "02:00:00:00:00:07") {
			t.Error(out)
		}
		a, _ := d.KernelAddr()
		if h := d.HardwareAddr(); d.MTU() != 9000 || a != (netif.MAC{2, 0, 0, 0, 0, 7}) || h == a || h[0]&3 != 2 {
			t.Errorf("MTU %d, kernel's address %x, ours %x", d.MTU(), a, h)
		}
		if err := d.SetMTU(576); err != nil || d.MTU() != 576 || !strings.Contains(ip(t, "link show tap7"), "mtu 576") {
			t.Errorf("SetMTU: %v, %d", err, d.MTU())
		}
		if err := d.SetMTU(67); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("SetMTU(67): %v", err)
		}
		// A thread in another namespace must reach this interface and no other.
		done := make(chan error)
		go func() { done <- d.SetMTU(1400) }()
		if err := <-done; err != nil || !strings.Contains(ip(t, "link show tap7"), "mtu 1400") {
			t.Errorf("SetMTU from elsewhere: %v", err)
		}
		if own := open(t, Config{HardwareAddr: netif.MAC{2, 1, 2, 3, 4, 5}}); own.HardwareAddr() != (netif.MAC{2, 1, 2, 3, 4, 5}) || own.Name() != "tap0" || own.MTU() != 1500 {
			t.Errorf("%s has %x, MTU %d", own.Name(), own.HardwareAddr(), own.MTU())
		}
	})
}

func TestErrorsOfOpen(t *testing.T) {
	inNamespace(t, func() {
		open(t, Config{Name: "tap7"})
		for _, c := range []struct {
			conf Config
			err  syscall.Errno
			text string
		}{
			{Config{Name: "tap7"}, syscall.EBUSY, "tap: tap7: in use by another program: device or resource busy"},
			{Config{Name: "lo"}, syscall.EINVAL, "tap: lo: not a TAP, or not a name that the kernel allows: invalid argument"},
			{Config{Name: "a/b"}, syscall.EINVAL, "tap: a/b: not a TAP, or not a name that the kernel allows: invalid argument"},
			{Config{Name: "sixteen-letters-"}, syscall.ENAMETOOLONG, "tap: sixteen-letters-: the name is longer than 15 bytes: file name too long"},
			{Config{MTU: 65522}, syscall.EINVAL, "tap: the MTU must be 68 to 65521 bytes: invalid argument"},
			{Config{HardwareAddr: netif.MAC{1}}, syscall.EADDRNOTAVAIL, "tap: a group address can't be a station's: cannot assign requested address"},
		} {
			d, err := Open(c.conf)
			if err == nil {
				d.Close()
				t.Errorf("%+v was opened", c.conf)
			} else if !errors.Is(err, c.err) || err.Error() != c.text {
				t.Errorf("%v, want %s", err, c.text)
			}
		}
		// Only this thread becomes nobody, and it ends here.
		for _, call := range []uintptr{syscall.SYS_SETRESGID, syscall.SYS_SETRESUID} { // of this thread, which ends
			if _, _, errno := syscall.RawSyscall(call, 65534, 65534, 65534); errno != 0 {
				t.Error(errno)
			}
		}
		_, err := Open(Config{Name: "tap8"})
		if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "no permission") {
			t.Errorf("as nobody: %v", err)
		}
	})
}

func TestErrorsAreExplained(t *testing.T) {
	ioctl := func(e syscall.Errno) error { return os.NewSyscallError("ioctl", e) }
	for _, c := range []struct {
		err  error
		want string
	}{
		{syscall.ENOENT, "/dev/net/tun does not exist"},
		{syscall.ENODEV, "/dev/net/tun has no driver"},
		{syscall.EACCES, "no permission to open /dev/net/tun"},
		{ioctl(syscall.EPERM), "it takes CAP_NET_ADMIN"},
		{ioctl(syscall.EBUSY), "in use"},
		{ioctl(syscall.ENOMEM), "can't be opened"},
	} {
		var errno syscall.Errno
		errors.As(c.err, &errno)
		if err := explain("tap0", c.err); !strings.Contains(err.Error(), c.want) || !errors.Is(err, errno) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestPersistentInterfaceStays(t *testing.T) {
	inNamespace(t, func() {
		open(t, Config{Name: "tap7"}).Close()
		if _, err := exec.Command("ip", "link", "show", "tap7").Output(); err == nil {
			t.Error("an interface outlived its device")
		}
		open(t, Config{Name: "tap7", Persist: true}).Close()
		ip(t, "link show tap7")
		open(t, Config{Name: "tap7", Owner: &Owner{65534, 65534}}).Close()
		ip(t, "link show tap7")                                                        // though it was not told to persist
		for _, call := range []uintptr{syscall.SYS_SETRESGID, syscall.SYS_SETRESUID} { // of this thread, which ends
			if _, _, errno := syscall.RawSyscall(call, 65534, 65534, 65534); errno != 0 {
				t.Error(errno)
			}
		}
		// Its owner needs no capability, where the file's mode lets him.
		d, err := Open(Config{Name: "tap7"})
		if err == nil {
			d.Close()
		} else if !strings.Contains(err.Error(), "to open /dev/net/tun") {
			t.Error(err)
		}
	})
}

func TestDownInterfaceRefusesFrames(t *testing.T) {
	inNamespace(t, func() {
		d := open(t, Config{Name: "tap7"})
		bufs := buffers(3)
		send := func() error {
			for _, b := range bufs {
				b.Reset()
				clear(b.Append(60))
			}
			return d.Send(bufs)
		}
		for i := range 3 {
			if err := send(); !errors.Is(err, syscall.EIO) {
				t.Errorf("down: %v", err)
			}
			if err := d.SetUp(true); err != nil {
				t.Error(err)
			}
			if err := send(); err != nil {
				t.Errorf("up: %v", err)
			}
			if i == 1 {
				ip(t, "link set tap7 down")
			} else {
				d.SetUp(false)
			}
		}
		d.SetUp(true)
		bufs[0] = netif.NewBuf(2000)
		bufs[0].Append(1515)
		if err := d.Send(bufs[:1]); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("longer than the MTU: %v", err)
		}
		ip(t, "link del tap7")
		if err := send(); !errors.Is(err, syscall.EBADFD) {
			t.Errorf("deleted: %v", err)
		}
		for { // what the kernel sent while it was up
			if _, err := d.Recv(bufs); err != nil {
				if !errors.Is(err, syscall.EBADFD) {
					t.Errorf("deleted: %v", err)
				}
				break
			}
		}
		d.Close()
		if err := send(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if err := d.SetMTU(1000); !errors.Is(err, os.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if d.Close() != nil {
			t.Error("second Close")
		}
	})
}

func TestDeletingTheInterfaceWakesRecv(t *testing.T) {
	inNamespace(t, func() {
		d := open(t, Config{Name: "tap7"})
		done := make(chan error, 1)
		go func() {
			_, err := d.Recv(buffers(1))
			done <- err
		}()
		time.Sleep(10 * time.Millisecond) // let it wait: if it does not yet, the test is only weaker
		ip(t, "link del tap7")
		select {
		case err := <-done:
			if !errors.Is(err, syscall.EBADFD) {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Recv still waits")
		}
	})
}

func TestRecvTakesWhatIsThere(t *testing.T) {
	inNamespace(t, func() {
		d := open(t, Config{Name: "tap7", Up: true})
		conn := kernelSocket(t)
		bufs := buffers(64)
		for _, called := range []bool{false, true} { // even if it is called back
			for i := range 20 {
				conn.Write([]byte{byte(i)})
			}
			if called {
				d.Interrupt()
			}
			got := 0
			n, err := d.Recv(bufs)
			if err != nil {
				t.Error(err)
			}
			for _, b := range bufs[:n] {
				if p := b.Bytes(); len(p) == 14+20+8+1 && p[23] == 17 && p[42] == byte(got) {
					got++
				}
			}
			if got != 20 {
				t.Errorf("%d of 20 frames in a batch of %d", got, n)
			}
		}
	})
}

// kernelSocket returns a UDP socket of the kernel's that sends to the stack's
// end of tap7.
func kernelSocket(t testing.TB) net.Conn {
	ip(t, "addr add 198.18.7.1/24 dev tap7")
	ip(t, "neigh add 198.18.7.2 lladdr 02:00:00:00:00:02 dev tap7")
	conn, err := net.Dial("udp4", "198.18.7.2:9")
	if err != nil {
		t.Error(err)
		runtime.Goexit()
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// BenchmarkSend writes frames of 1,514 bytes that the kernel then drops.
func BenchmarkSend(b *testing.B) {
	inNamespace(b, func() {
		d := open(b, Config{Name: "tap7", Up: true})
		bufs := buffers(32)
		for _, buf := range bufs {
			p := buf.Append(1514)
			p[0], p[12], p[13] = 0x02, 0x88, 0xb5
		}
		b.SetBytes(1514)
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; i < b.N; i += len(bufs) {
			if err := d.Send(bufs); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkRecv reads frames of 1,514 bytes, 256 of which lie ready. Only
// reading is timed.
func BenchmarkRecv(b *testing.B) {
	inNamespace(b, func() {
		d := open(b, Config{Name: "tap7", Up: true})
		conn := kernelSocket(b)
		msg := make([]byte, 1472)
		bufs := buffers(256)
		b.SetBytes(1514)
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; i < b.N; {
			b.StopTimer()
			for range bufs {
				conn.Write(msg)
			}
			b.StartTimer()
			n, err := d.Recv(bufs)
			if err != nil {
				b.Error(err)
				return
			}
			i += n
		}
	})
}
