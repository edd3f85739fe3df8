package stack

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/netif"
)

func TestAddInterfaceRefusesWhatIsNoDevice(t *testing.T) {
	s := newTestStack()
	refuses := func(what, name string, dev netif.Device, want errno.Errno) {
		t.Helper()
		if i, err := s.AddInterface(name, dev); err != want || i != 0 {
			t.Errorf("%s: index %d, %v, want %v", what, i, err, want)
		}
	}
	refuses("no device", "eth0", nil, errno.EINVAL)
	for _, mtu := range []int{-1, 0, 67, 65522, 1 << 30} {
		refuses("MTU that is no Ethernet's", "eth0", &idleDevice{mtu: mtu, hw: testHW}, errno.EINVAL)
	}
	for _, name := range []string{"", "sixteen bytes of", "a/b", "a:1", "a b"} {
		refuses(name, name, &idleDevice{mtu: 1500, hw: testHW}, errno.EINVAL)
	}
	refuses("name of lo", "lo", &idleDevice{mtu: 1500, hw: testHW}, errno.EEXIST)
	for k, mtu := range []int{68, 65521} {
		if i, err := s.AddInterface(string(rune('a'+k)), &idleDevice{mtu: mtu, hw: testHW}); err != nil || i != 2+k {
			t.Errorf("MTU %d: index %d, %v", mtu, i, err)
		}
	}
}

// A TAP's MTU can be set to more than it had when its buffers were made.
func TestMTUStaysWithinTheBuffers(t *testing.T) {
	x := newIoctlTest(t)
	x.do(busyboxIfconfig()...)
	x.dev.mtu = 9000
	x.fail(ifreqInt(SIOCSIFMTU, "eth0", 9000), errno.EINVAL)
	x.do(ifreqInt(SIOCSIFMTU, "eth0", 1500))
	if n := x.NewBuf().Cap(); n < 1514 {
		t.Errorf("buffers of %d bytes", n)
	}
}

// TestConfigIsRaisedToWhatWorks: values with which no data could ever move.
func TestConfigIsRaisedToWhatWorks(t *testing.T) {
	c := New(Config{Memory: 1, RcvBuf: 1, SndBuf: 1, PortMin: 60000, PortMax: 50000}).cfg
	if c.Memory != minMemory || c.RcvBuf != minRcvBuf || c.SndBuf != minSndBuf {
		t.Errorf("memory %d, buffers of %d and %d bytes", c.Memory, c.RcvBuf, c.SndBuf)
	}
	if c.PortMin != 60000 || c.PortMax != 60000 {
		t.Errorf("ports %d to %d", c.PortMin, c.PortMax)
	}
}
