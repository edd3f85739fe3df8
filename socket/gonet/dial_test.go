//go:build go1.25

package gonet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/socket"
	"github.com/bonsainet/bonsai/socket/gonet"
	"github.com/bonsainet/bonsai/stack"
)

// Attempts that nobody answers, in virtual time.
func TestDialGivesUp(t *testing.T) {
	canceled := func(d time.Duration) context.Context {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(d, cancel)
		return ctx
	}
	deadline := func(d time.Duration) context.Context {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		time.AfterFunc(time.Hour, cancel)
		return ctx
	}
	bg := context.Background
	for _, c := range []struct {
		name    string
		address string
		ctx     func() context.Context
		o       options
		is      error
		timeout bool
		took    time.Duration // 0: any
	}{
		{"canceled", "198.18.0.2:1", func() context.Context { return canceled(time.Second) }, options{}, context.Canceled, false, time.Second},
		{"context's deadline", "198.18.0.2:1", func() context.Context { return deadline(time.Second) }, options{}, context.DeadlineExceeded, true, time.Second},
		{"timeout", "198.18.0.2:1", bg, options{timeout: time.Second}, context.DeadlineExceeded, true, time.Second},
		{"no answer", "198.18.0.2:1", bg, options{}, syscall.ETIMEDOUT, true, 0},
		{"no neighbour", "198.18.0.9:1", bg, options{}, syscall.EHOSTUNREACH, false, 3 * time.Second},
		{"no route", "198.19.0.9:1", bg, options{}, syscall.ENETUNREACH, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				da, db := emu.NewLink(emu.Config{})
				drop := &filter{Port: db}
				a, b := gonet.New(gonet.Config{}), gonet.New(gonet.Config{})
				a.Attach("eth0", da)
				b.Attach("eth0", drop)
				a.Configure("eth0", "198.18.0.1/24", "")
				b.Configure("eth0", "198.18.0.2/24", "")
				defer a.Close()
				defer b.Close()
				start := time.Now()
				d := gonet.Dialer{Stack: a, Timeout: c.o.timeout}
				_, err := d.DialContext(c.ctx(), "tcp", c.address)
				if !errors.Is(err, c.is) {
					t.Errorf("%v, want %v", err, c.is)
				}
				var o *net.OpError
				if !errors.As(err, &o) || o.Op != "dial" || o.Timeout() != c.timeout || o.Addr.String() != c.address {
					t.Errorf("%#v", err)
				}
				if took := time.Since(start); c.took != 0 && took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
			})
		})
	}
}

// filter lets only ARP pass.
type filter struct{ *emu.Port }

func (f *filter) Send(bufs []*netif.Buf) error {
	for _, b := range bufs {
		if p := b.Bytes(); p[12] == 8 && p[13] == 0 {
			b.SetLen(0)
		}
	}
	return f.Port.Send(bufs)
}

func TestCopy(t *testing.T) {
	c, d := connect(t, emu.Config{})
	data := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	go func() {
		n, err := c.(io.ReaderFrom).ReadFrom(bytes.NewReader(data))
		if n != int64(len(data)) || err != nil {
			t.Error(n, err)
		}
		c.Close()
	}()
	var got bytes.Buffer
	n, err := d.(io.WriterTo).WriteTo(&got)
	if n != int64(len(data)) || err != nil || !bytes.Equal(got.Bytes(), data) {
		t.Error(n, err)
	}
	d.Close()
}

func TestOptions(t *testing.T) {
	nc, _ := connect(t, emu.Config{})
	c := nc.(*gonet.Conn)
	for _, err := range []error{
		c.SetNoDelay(false), c.SetLinger(-1), c.SetReadBuffer(100_000), c.SetWriteBuffer(100_000),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	get := func(level, name int) int {
		v, err := (*socket.Conn)(c).Option(level, name)
		if err != nil {
			t.Error(err)
		}
		return v
	}
	if get(stack.SOL_TCP, stack.TCP_NODELAY) != 0 || get(stack.SOL_SOCKET, stack.SO_RCVBUF) < 100_000 {
		t.Error("not set")
	}
	err := c.SetKeepAlivePeriod(1500 * time.Millisecond)
	if !feature.Keepalive {
		if !errors.Is(err, syscall.ENOPROTOOPT) {
			t.Error(err)
		}
		return
	}
	if err != nil || get(stack.SOL_SOCKET, stack.SO_KEEPALIVE) != 1 || get(stack.SOL_TCP, stack.TCP_KEEPIDLE) != 2 ||
		get(stack.SOL_TCP, stack.TCP_KEEPINTVL) != 2 {
		t.Error("not set", err)
	}
	if err := c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: false}); err != nil || get(stack.SOL_SOCKET, stack.SO_KEEPALIVE) != 0 || get(stack.SOL_TCP, stack.TCP_KEEPIDLE) != 15 ||
		get(stack.SOL_TCP, stack.TCP_KEEPCNT) != 9 {
		t.Error("not set", err)
	}
}

func TestConfigureErrors(t *testing.T) {
	a, _ := newPair(t, emu.Config{})
	port, _ := emu.NewLink(emu.Config{})
	for _, c := range []struct {
		err  error
		want string
	}{
		{a.Configure("eth0", "198.18.0.1", ""), "invalid CIDR address: 198.18.0.1"},
		{a.Configure("eth0", "2001:db8::1/64", ""), "not an IPv4 address"},
		{a.Configure("eth0", "198.18.0.1/24", "x"), "ParseAddr"},
		{a.Configure("eth0", "198.18.0.1/24", "2001:db8::1"), "not an IPv4 address"},
		{a.Configure("eth0", "198.18.0.1/24", "198.19.0.1"), "SIOCADDRT"},
		{a.Configure("eth1", "198.18.0.1/24", ""), "SIOCSIFADDR: " + syscall.ENODEV.Error()},
		{a.Attach("eth0", port), "attach: " + syscall.EEXIST.Error()},
		{a.Attach("eth1", nil), "attach: " + syscall.EINVAL.Error()},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%v, want %s", c.err, c.want)
		}
	}
	if _, err := a.Dial("tcp6", "[::1]:1"); !errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Error(err)
	}
	if _, err := a.Dial("tcp", "[::1]:1"); err == nil {
		t.Error("dialed IPv6")
	}
	if _, err := a.Listen("tcp", ":0"); !feature.Listen && !errors.Is(err, syscall.EOPNOTSUPP) {
		t.Error(err)
	}
}

// After Close of the stack all calls fail.
func TestStackClose(t *testing.T) {
	a, b := newPair(t, emu.Config{})
	p, err := a.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Millisecond, func() { a.Close() })
	if _, _, err := p.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := a.Dial("tcp", "198.18.0.2:1"); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := a.ListenPacket("udp", ":0"); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if err := a.Close(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	b.Close()
}

func TestPacketConn(t *testing.T) {
	a, b := newPair(t, emu.Config{})
	s, err := b.ListenPacket("udp", "198.18.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := s.ReadFrom(buf)
			if err != nil {
				return
			}
			if n, err := s.WriteTo(buf[:n], from); err != nil {
				t.Error(n, err)
			}
		}
	}()
	c, err := a.Dial("udp4", "198.18.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	if c.RemoteAddr().String() != "198.18.0.2:7" || !strings.HasPrefix(c.LocalAddr().String(), "198.18.0.1:") {
		t.Error(c.LocalAddr(), c.RemoteAddr())
	}
	if s.(net.Conn).RemoteAddr() != nil {
		t.Error("a peer")
	}
	for _, n := range []int{0, 1, 1000} {
		if n > 0 && n == 1000 && feature.Profile == feature.Minimal {
			n = 500
		}
		c.Write(make([]byte, n))
		buf := make([]byte, 2000)
		if k, err := c.Read(buf); k != n || err != nil {
			t.Error(n, k, err)
		}
	}
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	c.Close()
	s.Close()
}

// Steady state allocates nothing.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, b := newPair(t, emu.Config{})
	s, err := b.ListenPacket("udp", "198.18.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		p := s.(*gonet.PacketConn)
		buf := make([]byte, 2000)
		for {
			n, from, err := p.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			p.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	u, err := a.Dial("udp", "198.18.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1000)
	echo := func(c net.Conn) func() {
		return func() {
			c.Write(buf)
			if _, err := io.ReadFull(c, buf); err != nil {
				t.Error(err)
			}
		}
	}
	check := func(what string, f func()) {
		for range 100 {
			f()
		}
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	check("UDP", echo(u))
	if !feature.Listen {
		return
	}
	c, d := connect(t, emu.Config{})
	go io.Copy(d, d)
	tcp := echo(c)
	check("TCP", tcp)
	check("TCP with deadlines", func() {
		c.SetDeadline(time.Now().Add(time.Minute))
		tcp()
	})
}
