//go:build linux

package tapnet

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/internal/bench"
	"github.com/bonsainet/bonsai/internal/bench/benchtest"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/stack"
)

// stream is the first n bytes of a stream of numbers.
func stream(n int64) io.Reader { return io.LimitReader(&numbers{}, n) }

type numbers struct {
	next uint64
	buf  [64 << 10]byte
	left []byte
}

func (r *numbers) Read(p []byte) (int, error) {
	if len(r.left) == 0 {
		for i := 0; i < len(r.buf); i += 8 {
			r.next += 0x9e3779b97f4a7c15
			binary.LittleEndian.PutUint64(r.buf[i:], r.next)
		}
		r.left = r.buf[:]
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

func digest(n int64) string {
	h := sha256.New()
	io.Copy(h, stream(n))
	return fmt.Sprintf("%x", h.Sum(nil))
}

// serve runs an HTTP server on l: GET /N returns the first N bytes of the stream, POST
// the digest of what was posted.
func serve(t testing.TB, l net.Listener) (url string) {
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			h := sha256.New()
			io.CopyBuffer(struct{ io.Writer }{h}, r.Body, make([]byte, 64<<10))
			fmt.Fprintf(w, "%x", h.Sum(nil))
			return
		}
		n, _ := strconv.ParseInt(r.URL.Path[1:], 10, 64)
		w.Header().Set("Content-Length", r.URL.Path[1:])
		io.CopyBuffer(struct{ io.Writer }{w}, stream(n), make([]byte, 64<<10))
	})}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return "http://" + l.Addr().String() + "/"
}

// get downloads n bytes and returns their digest.
func get(c *http.Client, url string, n int64) (string, error) {
	r, err := c.Get(url + strconv.FormatInt(n, 10))
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	h := sha256.New()
	k, err := io.CopyBuffer(struct{ io.Writer }{h}, r.Body, make([]byte, 64<<10))
	if err != nil {
		return "", fmt.Errorf("after %d bytes: %w", k, err)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// post uploads n bytes and returns the digest that the server saw.
func post(c *http.Client, url string, n int64) (string, error) {
	r, err := c.Post(url, "application/octet-stream", stream(n))
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

func client(n *Net) *http.Client {
	return &http.Client{
		Transport: &http.Transport{DialContext: n.DialContext, MaxIdleConnsPerHost: 200},
		Timeout:   2 * time.Minute,
	}
}

// TestHTTPDownAndUp moves 1 GiB each way in the default profile, less in others and
// with -short.
func TestHTTPDownAndUp(t *testing.T) {
	for _, c := range []struct {
		mtu  int
		size int64
	}{{576, 32 << 20}, {1500, 1 << 30}, {9000, 256 << 20}} {
		t.Run("mtu="+strconv.Itoa(c.mtu), func(t *testing.T) {
			if testing.Short() || feature.Profile != feature.Client {
				c.size = 16 << 20
			}
			n := New(t, Config{MTU: c.mtu})
			url := serve(t, n.listen(t))
			want := digest(c.size)
			cl := client(n)
			defer cl.CloseIdleConnections()
			for _, way := range []struct {
				name string
				do   func(*http.Client, string, int64) (string, error)
			}{{"down", get}, {"up", post}} {
				start := time.Now()
				got, err := way.do(cl, url, c.size)
				if err != nil {
					t.Fatal(way.name, ": ", err)
				}
				if got != want {
					t.Errorf("%s: digest %s, want %s", way.name, got, want)
				}
				d := time.Since(start)
				t.Logf("%4s: %d MiB in %v, %.0f Mbit/s", way.name, c.size>>20, d.Round(time.Millisecond), float64(c.size)*8/1e6/d.Seconds())
			}
		})
	}
}

func TestTwoHundredConnectionsAtOnce(t *testing.T) {
	n := New(t, Config{Stack: stack.Config{MaxConns: 400, Memory: 16 << 20}})
	url := serve(t, n.listen(t))
	manyTransfers(t, client(n), url)
}

func manyTransfers(t *testing.T, cl *http.Client, url string) {
	const conns, size = 200, 300_000
	want := digest(size)
	done := make(chan error)
	for i := range conns {
		go func() {
			do := get
			if i%2 == 1 {
				do = post
			}
			got, err := do(cl, url, size)
			if err == nil && got != want {
				err = errors.New("wrong digest")
			}
			done <- err
		}()
	}
	for range conns {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	cl.CloseIdleConnections()
}

// The kernel is the client here, and package net/http our server.
func TestKernelAsClient(t *testing.T) {
	if !feature.Listen {
		t.Skip("needs feature listen")
	}
	n := New(t, Config{})
	l, err := n.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l)
	url := "http://" + n.Ours.String() + "/"
	cl := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}, Timeout: time.Minute}
	size := int64(64 << 20)
	if testing.Short() {
		size >>= 3
	}
	want := digest(size)
	if got, err := get(cl, url, size); got != want || err != nil {
		t.Errorf("down: digest %s, want %s, %v", got, want, err)
	}
	if got, err := post(cl, url, size); got != want || err != nil {
		t.Errorf("up: digest %s, want %s, %v", got, want, err)
	}
	manyTransfers(t, cl, url)
}

// The benchmarks are bonsai bench's works over a TAP.
func benchmark(b *testing.B, work string) {
	for _, mtu := range []int{1500, 9000, tapMax} {
		b.Run("mtu="+strconv.Itoa(mtu), func(b *testing.B) {
			benchtest.Run(b, bench.TAPSubject(), work, bench.Options{MTU: mtu})
		})
	}
}

func BenchmarkDownload(b *testing.B) { benchmark(b, "down") }
func BenchmarkUpload(b *testing.B)   { benchmark(b, "up") }

const tapMax = 65521

// sum returns the digest of all that r has.
func sum(r io.Reader) (string, error) {
	h := sha256.New()
	_, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, make([]byte, 64<<10))
	return fmt.Sprintf("%x", h.Sum(nil)), err
}
