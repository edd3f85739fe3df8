package gonet_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/socket/gonet"
	"github.com/bonsainet/bonsai/stack"
)

// newPair returns two stacks on a link: 198.18.0.1 and 198.18.0.2. The second one
// is the DNS server of the first.
func newPair(t testing.TB, link emu.Config) (a, b *gonet.Stack) {
	t.Helper()
	da, db := emu.NewLink(link)
	cfg := stack.Config{MaxConns: 1000, Memory: 16 << 20} // also in minimal
	a = gonet.New(gonet.Config{Stack: cfg, Nameservers: []string{"198.18.0.2"}})
	b = gonet.New(gonet.Config{Stack: cfg})
	for _, err := range []error{
		a.Attach("eth0", da), b.Attach("eth0", db),
		a.Configure("eth0", "198.18.0.1/24", "198.18.0.254"), b.Configure("eth0", "198.18.0.2/24", ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

// connect returns the ends of a connection between the stacks of a pair.
func connect(t testing.TB, link emu.Config) (c, d net.Conn) {
	needListen(t)
	a, b := newPair(t, link)
	l, err := b.Listen("tcp", "198.18.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	if c, err = a.Dial("tcp", "198.18.0.2:7"); err != nil {
		t.Fatal(err)
	}
	if d, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	return c, d
}

func needListen(t testing.TB) {
	t.Helper()
	if !feature.Listen {
		t.Skip("needs feature listen")
	}
}

// A listener that defers hands out what has data.
func TestSetDeferAccept(t *testing.T) {
	needListen(t)
	a, b := newPair(t, emu.Config{})
	l, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.(*gonet.Listener).SetDeferAccept(60); err != nil {
		t.Fatal(err)
	}
	silent, err := a.Dial("tcp", "198.18.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c, err := a.Dial("tcp", "198.18.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("x"))
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.RemoteAddr().String() != c.LocalAddr().String() {
		t.Errorf("accepted %v, which is silent, not %v", d.RemoteAddr(), c.LocalAddr())
	}
}

// An http.Client and an http.Server, a hundred connections at a time.
func TestHTTP(t *testing.T) {
	needListen(t)
	a, b := newPair(t, emu.Config{})
	l, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("0123456789abcdef"), 16<<10)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		io.Copy(h, r.Body)
		w.Write(body)
	})}
	go srv.Serve(l)
	defer srv.Close()
	c := http.Client{Transport: &http.Transport{DialContext: a.DialContext, MaxIdleConnsPerHost: 100}}
	errs := make(chan error)
	const n = 100
	for range n {
		go func() {
			for range 2 {
				r, err := c.Post("http://198.18.0.2/", "text/plain", bytes.NewReader(body))
				if err != nil {
					errs <- err
					return
				}
				got, err := io.ReadAll(r.Body)
				r.Body.Close()
				if err == nil && !bytes.Equal(got, body) {
					err = io.ErrUnexpectedEOF
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	c.CloseIdleConnections()
}
