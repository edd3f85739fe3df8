package gonet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/socket/gonet"
)

// world is a place to provoke errors in: package net on loopback, or two stacks of
// ours, so that the peer is not on the same host.
type world struct {
	t            *testing.T
	host         string // the peer's
	dial         func(ctx context.Context, network, address string, o options) (net.Conn, error)
	listen       func(network, address string) (net.Listener, error)
	listenPacket func(network, address string) (net.PacketConn, error)
}

type options struct {
	local    net.Addr
	timeout  time.Duration
	deadline time.Time
}

func worlds(t *testing.T) (theirs, ours *world) {
	theirs = &world{t, "127.0.0.1", func(ctx context.Context, network, address string, o options) (net.Conn, error) {
		d := net.Dialer{LocalAddr: o.local, Timeout: o.timeout, Deadline: o.deadline}
		return d.DialContext(ctx, network, address)
	}, net.Listen, net.ListenPacket}
	a, b := newPair(t, emu.Config{})
	ours = &world{t, "198.18.0.2", func(ctx context.Context, network, address string, o options) (net.Conn, error) {
		d := gonet.Dialer{Stack: a, LocalAddr: o.local, Timeout: o.timeout, Deadline: o.deadline}
		return d.DialContext(ctx, network, address)
	}, b.Listen, b.ListenPacket}
	return theirs, ours
}

// conn is what TCP connections have in common.
type conn interface {
	net.Conn
	io.ReaderFrom
	io.WriterTo
	CloseRead() error
	CloseWrite() error
	SetLinger(int) error
	SetNoDelay(bool) error
	SetKeepAlive(bool) error
	SetKeepAlivePeriod(time.Duration) error
	SetReadBuffer(int) error
}

// pair returns the ends of a connection.
func (w *world) pair() (c, d conn) {
	l, err := w.listen("tcp", w.host+":0")
	if err != nil {
		w.t.Fatal(err)
	}
	defer l.Close()
	c1, err := w.dial(context.Background(), "tcp", l.Addr().String(), options{})
	if err != nil {
		w.t.Fatal(err)
	}
	c2, err := l.Accept()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		c1.Close()
		c2.Close()
	})
	return c1.(conn), c2.(conn)
}

// port returns an address that nobody listens on.
func (w *world) port() string {
	p := w.packet("")
	defer p.Close()
	return p.LocalAddr().String()
}

func (w *world) packet(address string) net.PacketConn {
	if address == "" {
		address = w.host + ":0"
	}
	p, err := w.listenPacket("udp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { p.Close() })
	return p
}

func (w *world) udp(address string) net.Conn {
	c, err := w.dial(context.Background(), "udp", address, options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

func (w *world) open(network, address string, o options) error {
	c, err := w.dial(context.Background(), network, address, o)
	if err == nil {
		c.Close()
	}
	return err
}

var past = time.Unix(1, 0)

// errorCases provoke an error each. Those that need a listener are skipped without.
var errorCases = []struct {
	name   string
	listen bool
	f      func(w *world) error
}{
	{"dial refused", false, func(w *world) error { return w.open("tcp", w.port(), options{}) }},
	{"dial tcp4 refused", false, func(w *world) error { return w.open("tcp4", w.port(), options{}) }},
	{"dial canceled", false, func(w *world) error {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := w.dial(ctx, "tcp", w.host+":1", options{})
		return err
	}},
	{"dial past deadline", false, func(w *world) error { return w.open("tcp", w.host+":1", options{deadline: past}) }},
	{"dial no time", false, func(w *world) error { return w.open("tcp", w.host+":1", options{timeout: 1}) }},
	{"dial without port", false, func(w *world) error { return w.open("tcp", w.host, options{}) }},
	{"dial bad port", false, func(w *world) error { return w.open("tcp", w.host+":99999", options{}) }},
	{"dial unknown service", false, func(w *world) error { return w.open("tcp", w.host+":nosuchservice", options{}) }},
	{"dial unknown network", false, func(w *world) error { return w.open("sctp", w.host+":1", options{}) }},
	{"dial empty network", false, func(w *world) error { return w.open("", w.host+":1", options{}) }},
	{"dial mismatched local address", false, func(w *world) error {
		return w.open("tcp", w.host+":1", options{local: &net.UDPAddr{}})
	}},
	{"dial from foreign address", false, func(w *world) error {
		return w.open("tcp", w.host+":1", options{local: &net.TCPAddr{IP: net.IPv4(198, 18, 7, 7)}})
	}},
	{"dial from a port that is none", false, func(w *world) error {
		return w.open("tcp", w.host+":1", options{local: &net.TCPAddr{Port: 65536 + 1}})
	}},
	{"dial to a broadcast address", false, func(w *world) error { return w.open("tcp", "255.255.255.255:1", options{}) }},
	{"dial udp from a port that is none", false, func(w *world) error {
		return w.open("udp", w.host+":1", options{local: &net.UDPAddr{Port: -1}})
	}},
	{"dial udp from foreign address", false, func(w *world) error {
		return w.open("udp", w.host+":1", options{local: &net.UDPAddr{IP: net.IPv4(198, 18, 7, 7)}})
	}},
	{"listen in use", true, func(w *world) error {
		l, _ := w.listen("tcp", w.host+":0")
		defer l.Close()
		_, err := w.listen("tcp", l.Addr().String())
		return err
	}},
	{"listen on foreign address", true, func(w *world) error {
		_, err := w.listen("tcp", "198.18.7.7:1234")
		return err
	}},
	{"listen unknown network", true, func(w *world) error {
		_, err := w.listen("sctp", w.host+":1")
		return err
	}},
	{"listen without port", true, func(w *world) error {
		_, err := w.listen("tcp", w.host)
		return err
	}},
	{"accept after close", true, func(w *world) error {
		l, _ := w.listen("tcp", w.host+":0")
		l.Close()
		_, err := l.Accept()
		return err
	}},
	{"close wakes accept", true, func(w *world) error {
		l, _ := w.listen("tcp", w.host+":0")
		time.AfterFunc(time.Millisecond, func() { l.Close() })
		_, err := l.Accept()
		return err
	}},
	{"accept deadline", true, func(w *world) error {
		l, _ := w.listen("tcp", w.host+":0")
		defer l.Close()
		l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(time.Millisecond))
		_, err := l.Accept()
		return err
	}},
	{"close listener twice", true, func(w *world) error {
		l, _ := w.listen("tcp", w.host+":0")
		l.Close()
		return l.Close()
	}},

	{"read closed", true, func(w *world) error { c, _ := w.pair(); c.Close(); return read(c) }},
	{"write closed", true, func(w *world) error { c, _ := w.pair(); c.Close(); return write(c) }},
	{"close twice", true, func(w *world) error { c, _ := w.pair(); c.Close(); return c.Close() }},
	{"close read closed", true, func(w *world) error { c, _ := w.pair(); c.Close(); return c.CloseRead() }},
	{"close write closed", true, func(w *world) error { c, _ := w.pair(); c.Close(); return c.CloseWrite() }},
	{"set deadline closed", true, func(w *world) error { c, _ := w.pair(); c.Close(); return c.SetDeadline(past) }},
	{"set read deadline closed", true, func(w *world) error { c, _ := w.pair(); c.Close(); return c.SetReadDeadline(past) }},
	{"set write deadline closed", true, func(w *world) error { c, _ := w.pair(); c.Close(); return c.SetWriteDeadline(past) }},
	{"set no delay closed", true, func(w *world) error { c, _ := w.pair(); c.Close(); return c.SetNoDelay(true) }},
	{"set linger closed", true, func(w *world) error { c, _ := w.pair(); c.Close(); return c.SetLinger(1) }},
	{"set keepalive closed", true, func(w *world) error { c, _ := w.pair(); c.Close(); return c.SetKeepAlive(true) }},
	{"set keepalive period closed", true, func(w *world) error {
		c, _ := w.pair()
		c.Close()
		return c.SetKeepAlivePeriod(time.Second)
	}},
	{"set read buffer closed", true, func(w *world) error { c, _ := w.pair(); c.Close(); return c.SetReadBuffer(1) }},
	{"read nothing closed", true, func(w *world) error { c, _ := w.pair(); c.Close(); _, err := c.Read(nil); return err }},
	{"write nothing closed", true, func(w *world) error { c, _ := w.pair(); c.Close(); _, err := c.Write(nil); return err }},
	{"read from closed", true, func(w *world) error {
		c, _ := w.pair()
		c.Close()
		_, err := c.ReadFrom(strings.NewReader("x"))
		return err
	}},
	{"write to closed", true, func(w *world) error { c, _ := w.pair(); c.Close(); _, err := c.WriteTo(io.Discard); return err }},
	{"close wakes read", true, func(w *world) error {
		c, _ := w.pair()
		time.AfterFunc(time.Millisecond, func() { c.Close() })
		return read(c)
	}},
	{"close wakes write", true, func(w *world) error {
		c, _ := w.pair()
		time.AfterFunc(20*time.Millisecond, func() { c.Close() })
		return fill(c)
	}},
	{"read past deadline", true, func(w *world) error {
		c, d := w.pair()
		d.Write([]byte("data does not help"))
		time.Sleep(time.Millisecond)
		c.SetDeadline(past)
		return read(c)
	}},
	{"write past deadline", true, func(w *world) error { c, _ := w.pair(); c.SetWriteDeadline(past); return write(c) }},
	{"read nothing past deadline", true, func(w *world) error {
		c, _ := w.pair()
		c.SetDeadline(past)
		_, err := c.Read(nil)
		return err
	}},
	{"write nothing past deadline", true, func(w *world) error {
		c, _ := w.pair()
		c.SetDeadline(past)
		_, err := c.Write(nil)
		return err
	}},
	{"read nothing", true, func(w *world) error { c, _ := w.pair(); _, err := c.Read(nil); return err }},
	{"write nothing", true, func(w *world) error { c, _ := w.pair(); _, err := c.Write(nil); return err }},
	{"read deadline", true, func(w *world) error {
		c, _ := w.pair()
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		return read(c)
	}},
	{"write deadline", true, func(w *world) error {
		c, _ := w.pair()
		c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		return fill(c)
	}},
	{"new deadline wakes read", true, func(w *world) error {
		c, _ := w.pair()
		time.AfterFunc(time.Millisecond, func() { c.SetReadDeadline(past) })
		return read(c)
	}},
	{"deadline taken back", true, func(w *world) error {
		c, d := w.pair()
		c.SetReadDeadline(past)
		read(c)
		c.SetReadDeadline(time.Time{})
		d.Close()
		return read(c)
	}},
	{"end of stream", true, func(w *world) error { c, d := w.pair(); d.CloseWrite(); return read(c) }},
	{"end of stream again", true, func(w *world) error { c, d := w.pair(); d.CloseWrite(); read(c); return read(c) }},
	{"read after close read", true, func(w *world) error { c, _ := w.pair(); c.CloseRead(); return read(c) }},
	{"write after close write", true, func(w *world) error { c, _ := w.pair(); c.CloseWrite(); return write(c) }},
	{"close write twice", true, func(w *world) error { c, _ := w.pair(); c.CloseWrite(); return c.CloseWrite() }},
	{"read reset", true, func(w *world) error { c, d := w.pair(); reset(d); return read(c) }},
	{"read after reset", true, func(w *world) error { c, d := w.pair(); reset(d); read(c); return read(c) }},
	{"write after reset", true, func(w *world) error { c, d := w.pair(); reset(d); read(c); return write(c) }},
	{"write reset", true, func(w *world) error { c, d := w.pair(); reset(d); time.Sleep(5 * time.Millisecond); return write(c) }},
	{"close write after reset", true, func(w *world) error { c, d := w.pair(); reset(d); read(c); return c.CloseWrite() }},
	{"copy from reset", true, func(w *world) error {
		c, d := w.pair()
		reset(d)
		_, err := c.WriteTo(struct{ io.Writer }{io.Discard})
		return err
	}},
	{"copy to reset", true, func(w *world) error {
		c, d := w.pair()
		reset(d)
		read(c)
		_, err := c.ReadFrom(struct{ io.Reader }{strings.NewReader("x")})
		return err
	}},

	{"listen packet in use", false, func(w *world) error {
		_, err := w.listenPacket("udp", w.packet("").LocalAddr().String())
		return err
	}},
	{"listen packet on foreign address", false, func(w *world) error {
		_, err := w.listenPacket("udp", "198.18.7.7:1234")
		return err
	}},
	{"listen packet unknown network", false, func(w *world) error {
		_, err := w.listenPacket("sctp", w.host+":1")
		return err
	}},
	{"packet read closed", false, func(w *world) error { p := w.packet(""); p.Close(); return readFrom(p) }},
	{"packet read past deadline", false, func(w *world) error { p := w.packet(""); p.SetDeadline(past); return readFrom(p) }},
	{"packet read deadline", false, func(w *world) error {
		p := w.packet("")
		p.SetDeadline(time.Now().Add(time.Millisecond))
		return readFrom(p)
	}},
	{"close wakes packet read", false, func(w *world) error {
		p := w.packet("")
		time.AfterFunc(time.Millisecond, func() { p.Close() })
		return readFrom(p)
	}},
	{"packet close twice", false, func(w *world) error { p := w.packet(""); p.Close(); return p.Close() }},
	{"packet set deadline closed", false, func(w *world) error { p := w.packet(""); p.Close(); return p.SetDeadline(past) }},
	{"packet write closed", false, func(w *world) error {
		p := w.packet("")
		p.Close()
		_, err := p.WriteTo([]byte("x"), p.LocalAddr())
		return err
	}},
	{"packet write to a stream's address", false, func(w *world) error {
		_, err := w.packet("").WriteTo([]byte("x"), &net.TCPAddr{IP: net.IPv4(198, 18, 0, 1), Port: 1})
		return err
	}},
	{"packet write to a port that is none", false, func(w *world) error {
		_, err := w.packet("").WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(198, 18, 0, 1), Port: 65536 + 1})
		return err
	}},
	{"packet write to IPv6", false, func(w *world) error {
		_, err := w.packet("").WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv6loopback, Port: 1})
		return err
	}},
	{"packet write to no address", false, func(w *world) error {
		_, err := w.packet("").WriteTo([]byte("x"), (*net.UDPAddr)(nil))
		return err
	}},
	{"packet write to nil", false, func(w *world) error { _, err := w.packet("").WriteTo([]byte("x"), nil); return err }},
	{"packet write without peer", false, func(w *world) error { return write(w.packet("").(net.Conn)) }},
	{"packet write to while connected", false, func(w *world) error {
		c := w.udp(w.port())
		_, err := c.(net.PacketConn).WriteTo([]byte("x"), c.RemoteAddr())
		return err
	}},
	{"packet too long", false, func(w *world) error {
		_, err := w.udp(w.port()).Write(make([]byte, 65508))
		return err
	}},
	{"packet read refused", false, func(w *world) error { c := w.udp(w.port()); write(c); return read(c) }},
	{"packet write refused", false, func(w *world) error {
		c := w.udp(w.port())
		write(c)
		time.Sleep(5 * time.Millisecond)
		return write(c)
	}},
	{"connected packet read closed", false, func(w *world) error { c := w.udp(w.port()); c.Close(); return read(c) }},
	{"connected packet write closed", false, func(w *world) error { c := w.udp(w.port()); c.Close(); return write(c) }},
	{"connected packet close twice", false, func(w *world) error { c := w.udp(w.port()); c.Close(); return c.Close() }},
	{"connected packet read deadline", false, func(w *world) error { c := w.udp(w.port()); c.SetDeadline(past); return read(c) }},
	{"packet read nothing", false, func(w *world) error { _, err := w.udp(w.port()).Read(nil); return err }},
}

func read(c net.Conn) error {
	n, err := c.Read(make([]byte, 100))
	if n != 0 && err == nil {
		err = fmt.Errorf("read %d bytes", n)
	}
	return err
}

func write(c net.Conn) error {
	_, err := c.Write([]byte("x"))
	return err
}

func readFrom(p net.PacketConn) error {
	_, _, err := p.ReadFrom(make([]byte, 100))
	return err
}

// fill writes until there is an error.
func fill(c net.Conn) error {
	for {
		if _, err := c.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
	}
}

func reset(c conn) {
	c.SetLinger(0)
	c.Close()
}

// identities are what errors.Is may find.
var identities = []error{
	io.EOF, os.ErrDeadlineExceeded, net.ErrClosed, net.ErrWriteToConnected, context.Canceled, context.DeadlineExceeded,
	syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
	syscall.EADDRINUSE, syscall.EADDRNOTAVAIL, syscall.EPIPE, syscall.EMSGSIZE, syscall.EINVAL, syscall.ENOTCONN, syscall.EDESTADDRREQ,
	net.UnknownNetworkError("sctp"),
}

// describe says all that a program can find out about an error. The text is without
// addresses.
func describe(err error) string {
	if err == nil {
		return "nil"
	}
	s := addresses.ReplaceAllString(err.Error(), "ADDR")
	for _, id := range identities {
		if errors.Is(err, id) {
			s += "; is " + id.Error()
		}
	}
	var t interface{ Timeout() bool }
	if errors.As(err, &t) {
		s += fmt.Sprint("; timeout ", t.Timeout())
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch e := e.(type) {
		case *net.OpError:
			s += fmt.Sprintf("; op %q net %q source %T addr %T", e.Op, e.Net, e.Source, e.Addr)
		case *os.SyscallError:
			s += "; call " + e.Syscall
		}
	}
	return s
}

var addresses = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+(:\d+)?`)

// Each error is what package net has in the same case on loopback.
func TestErrorsAreThoseOfPackageNet(t *testing.T) {
	for _, c := range errorCases {
		if c.listen && !feature.Listen {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			theirs, ours := worlds(t)
			want, got := describe(c.f(theirs)), describe(c.f(ours))
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
