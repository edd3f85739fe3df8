package gonet

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/netif/emu"
)

func TestMulticastConn(t *testing.T) {
	st := New(Config{})
	defer st.Close()
	dev, _ := emu.NewLink(emu.Config{})
	if err := st.Attach("eth0", dev); err != nil {
		t.Fatal(err)
	}
	if err := st.Configure("eth0", "198.18.0.1/24", ""); err != nil {
		t.Fatal(err)
	}
	group := &net.UDPAddr{IP: net.IPv4(233, 252, 0, 1), Port: 5353}
	a, err := st.ListenMulticastUDP("udp", "eth0", group)
	if !feature.Multicast {
		if !errors.Is(err, syscall.EOPNOTSUPP) {
			t.Error(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := st.ListenMulticastUDP("udp4", "eth0", group) // the port is shared
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	read := func(want string) {
		t.Helper()
		for _, c := range []MulticastConn{a, b} {
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			n, from, err := c.ReadFrom(buf)
			if err != nil || string(buf[:n]) != want || from.String() != "198.18.0.1:5353" {
				t.Errorf("%q from %v, %v, want %q", buf[:n], from, err, want)
			}
		}
	}
	for _, err := range []error{
		a.SetMulticastLoopback(false), a.SetMulticastTTL(3), a.SetMulticastInterface("eth0"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	a.WriteTo([]byte("unheard"), group)
	a.SetMulticastLoopback(true)
	a.SetMulticastTTL(0)
	a.WriteTo([]byte("heard"), group)
	read("heard")

	for _, a := range []net.Addr{nil, (*net.UDPAddr)(nil), (*net.IPAddr)(nil), &net.TCPAddr{}} {
		if err := b.JoinGroup("", a); err == nil {
			t.Errorf("joined %v", a)
		}
	}

	other := &net.IPAddr{IP: net.IPv4(233, 252, 0, 2)}
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"join", a.JoinGroup("eth0", other), nil},
		{"join again", a.JoinGroup("eth0", other), syscall.EADDRINUSE},
		{"leave", a.LeaveGroup("eth0", other), nil},
		{"leave again", a.LeaveGroup("eth0", other), syscall.EADDRNOTAVAIL},
		{"no interface", a.JoinGroup("eth9", other), syscall.ENODEV},
		{"no route", a.JoinGroup("", other), syscall.ENODEV},
		{"no group", a.JoinGroup("eth0", &net.IPAddr{IP: net.IPv4(198, 18, 0, 9)}), syscall.EINVAL},
		{"send by none", a.SetMulticastInterface("eth9"), syscall.ENODEV},
		{"TTL", a.SetMulticastTTL(256), syscall.EINVAL},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.want)
		}
	}
	if err := a.JoinGroup("eth0", &net.IPAddr{IP: net.IPv6loopback}); err == nil {
		t.Error("joined an IPv6 group")
	}
	for _, c := range []struct {
		network, ifname string
		gaddr           *net.UDPAddr
		want            error
	}{
		{"tcp", "eth0", group, net.UnknownNetworkError("tcp")},
		{"udp", "eth9", group, syscall.ENODEV},
		{"udp", "", group, syscall.ENODEV},
		{"udp", "eth0", &net.UDPAddr{IP: net.IPv4(198, 18, 0, 1), Port: 5353}, syscall.EINVAL},
		{"udp", "eth0", &net.UDPAddr{IP: group.IP, Port: 1 << 16}, syscall.EINVAL},
	} {
		_, err := st.ListenMulticastUDP(c.network, c.ifname, c.gaddr)
		var op *net.OpError
		if !errors.Is(err, c.want) || !errors.As(err, &op) || op.Op != "listen" || op.Net != c.network {
			t.Errorf("%v: %v, want %v", c, err, c.want)
		}
	}
	if _, err := st.ListenMulticastUDP("udp", "eth0", nil); err == nil || err.Error() != "listen udp: address <nil>: missing address" {
		t.Error(err)
	}
	a.Close()
	if err := a.JoinGroup("eth0", other); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
