package stack

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
)

// What a build is without must say so: a listener that never hears of anybody is worse
// than an error.
func TestCallsOfFeaturesThatAreOffFail(t *testing.T) {
	x := newIoctlTest(t)
	x.do(busyboxIfconfig()...)
	check := func(what string, on bool, err error, want errno.Errno) {
		t.Helper()
		if on {
			want = 0
		}
		if err != want.Err() {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	check("Listen", feature.Listen, x.Listen(new(Listener), ipv4.Endpoint{Port: 80}, 1), errno.EOPNOTSUPP)
	check("OpenRaw", feature.RawSock, x.OpenRaw(&Raw{Proto: ipv4.ProtoICMP}), errno.EPROTONOSUPPORT)
	check("Capture", feature.Pcap, x.Capture(2, func(Time, []byte, bool) {}), errno.EOPNOTSUPP)
	check("ProbeAddress", feature.ACD, x.ProbeAddress(0, 2, bbAddr), errno.EOPNOTSUPP)
	if st, _ := x.AddressState(2); (st != 0) != feature.ACD {
		t.Errorf("AddressState: %d", st)
	}
	c := new(Conn)
	c.Init(x.Stack)
	if err := x.Connect(0, c, ipv4.Endpoint{}, ipv4.Endpoint{Addr: bbPeer, Port: 80}); err != nil {
		t.Fatal(err)
	}
	n, e := c.WriteUrgent([]byte("x"))
	check("WriteUrgent", feature.Urgent, e.Err(), errno.EOPNOTSUPP)
	if (n == 1) != feature.Urgent {
		t.Errorf("WriteUrgent wrote %d bytes", n)
	}
}
