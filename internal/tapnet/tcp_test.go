//go:build linux

package tapnet

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/socket"
	"github.com/bonsainet/bonsai/socket/gonet"
	"github.com/bonsainet/bonsai/stack"
)

func TestServerThatResets(t *testing.T) {
	n := New(t, Config{})
	c, k := n.connect(t)
	c.Write([]byte("hello"))
	io.ReadFull(k, make([]byte, 5))
	k.(*net.TCPConn).SetLinger(0)
	k.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after a read has said that: %v", err)
	}
}

func TestServerThatResetsWhileWeWrite(t *testing.T) {
	n := New(t, Config{})
	c, k := n.connect(t)
	go func() {
		io.ReadFull(k, make([]byte, 100_000))
		k.(*net.TCPConn).SetLinger(0)
		k.Close()
	}()
	var err error
	for buf := make([]byte, 64<<10); err == nil; {
		_, err = c.Write(buf)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("write: %v", err)
	}
}

func TestWeReset(t *testing.T) {
	n := New(t, Config{})
	c, k := n.connect(t)
	c.(*gonet.Conn).SetLinger(0)
	c.Close()
	if _, err := k.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the kernel reads: %v", err)
	}
}

// A receiver that stalls closes its window for 3 s. The sender probes, and no byte is
// lost.
func TestStall(t *testing.T) {
	t.Parallel()
	for _, staller := range []string{"kernel", "ours"} {
		t.Run(staller, func(t *testing.T) {
			t.Parallel()
			n := New(t, Config{})
			from, to := n.connect(t)
			if staller == "ours" {
				from, to = to, from
			}
			const size = 24 << 20 // more than the buffers hold
			go func() {
				io.Copy(from, stream(size))
				from.Close()
			}()
			time.Sleep(3 * time.Second)
			want := digest(size)
			if got, err := sum(to); got != want || err != nil {
				t.Errorf("digest %s, want %s, %v", got, want, err)
			}
		})
	}
}

func TestHalfClose(t *testing.T) {
	n := New(t, Config{})
	for _, first := range []string{"ours", "kernel"} {
		c, d := n.connect(t)
		if first == "kernel" {
			c, d = d, c
		}
		c.Write([]byte("question"))
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Error(first, err)
		}
		if q, err := io.ReadAll(d); string(q) != "question" || err != nil {
			t.Errorf("%s closes: the other reads %q, %v", first, q, err)
		}
		const size = 1 << 20
		go func() {
			io.Copy(d, stream(size))
			d.Close()
		}()
		want := digest(size)
		if got, err := sum(c); got != want || err != nil {
			t.Errorf("%s closed: it reads digest %s, want %s, %v", first, got, want, err)
		}
		if _, err := c.Write([]byte("late")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("%s writes after CloseWrite: %v", first, err)
		}
	}
}

// timedOut wants f to return ETIMEDOUT before the limit.
func timedOut(t *testing.T, what string, limit time.Duration, f func() error) {
	t.Helper()
	start := time.Now()
	err := f()
	if e, ok := err.(net.Error); !errors.Is(err, syscall.ETIMEDOUT) || !ok || !e.Timeout() {
		t.Errorf("%s: %v, want ETIMEDOUT", what, err)
	}
	if d := time.Since(start); d > limit {
		t.Errorf("%s: it took %v, want less than %v", what, d, limit)
	}
}

func TestServerThatVanishes(t *testing.T) {
	t.Parallel()
	t.Run("user timeout", func(t *testing.T) {
		t.Parallel()
		n := New(t, Config{})
		c, _ := n.connect(t)
		s := (*socket.Conn)(c.(*gonet.Conn))
		if err := s.SetOption(stack.SOL_TCP, stack.TCP_USER_TIMEOUT, 1500); err != nil {
			t.Fatal(err)
		}
		n.Cut()
		c.Write([]byte("hello?"))
		timedOut(t, "read", 2800*time.Millisecond, func() error {
			_, err := c.Read(make([]byte, 1))
			return err
		})
	})
	t.Run("retries", func(t *testing.T) {
		t.Parallel()
		n := New(t, Config{Stack: stack.Config{Retries: 3}})
		c, _ := n.connect(t)
		n.Cut()
		timedOut(t, "write", 12*time.Second, func() error {
			for {
				if _, err := c.Write(make([]byte, 64<<10)); err != nil {
					return err
				}
			}
		})
	})
	t.Run("connect", func(t *testing.T) {
		t.Parallel()
		n := New(t, Config{Stack: stack.Config{SynRetries: 1}})
		n.connect(t) // so that the neighbour is known
		n.Cut()
		timedOut(t, "dial", 6*time.Second, func() error {
			_, err := n.Dial("tcp", n.Kernel.String()+":9")
			return err
		})
	})
	t.Run("context", func(t *testing.T) {
		t.Parallel()
		n := New(t, Config{})
		n.connect(t)
		n.Cut()
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if _, err := n.DialContext(ctx, "tcp", n.Kernel.String()+":9"); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("dial: %v", err)
		}
	})
}

func TestConnectErrors(t *testing.T) {
	t.Parallel()
	n := New(t, Config{})
	if _, err := n.Dial("tcp", n.Kernel.String()+":9"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
	start := time.Now()
	silent := n.Kernel.As4()
	silent[3] = 77
	_, err := n.Dial("tcp", net.IP(silent[:]).String()+":9")
	if !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("nobody answers ARP: %v", err)
	}
	if d := time.Since(start); d < 2*time.Second || d > 6*time.Second {
		t.Errorf("nobody answers ARP: it took %v, want 3 s", d)
	}
	// What the router says: the kernel's, which has no route for 198.19.0.0/16.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Dial("tcp", "198.19.0.1:9"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("the router has no route: %v", err)
	}
	// Without a default route there is none here either.
	if err := n.Ioctl(stack.SIOCDELRT, &stack.Rtentry{
		Dst: stack.Sockaddr{Family: stack.AF_INET}, Genmask: stack.Sockaddr{Family: stack.AF_INET},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Dial("tcp", "198.19.0.1:9"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("no route: %v", err)
	}
}

// The kernel gets from us what it gives us in the same cases.
func TestKernelConnectsToUs(t *testing.T) {
	n := New(t, Config{})
	if _, err := net.Dial("tcp", n.Ours.String()+":9"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
	if !feature.Listen {
		return
	}
	l, err := n.Listen("tcp", ":9")
	if err != nil {
		t.Fatal(err)
	}
	k, err := net.Dial("tcp", n.Ours.String()+":9")
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RemoteAddr().String() != k.LocalAddr().String() || c.LocalAddr().String() != k.RemoteAddr().String() {
		t.Errorf("from %v to %v, the kernel says from %v to %v", c.RemoteAddr(), c.LocalAddr(), k.LocalAddr(), k.RemoteAddr())
	}
}

// The kernel's own account of the connection, by ss(8).
func TestKernelSeesOurOptions(t *testing.T) {
	ss, err := exec.LookPath("ss")
	if err != nil {
		t.Skip("needs ss(8)")
	}
	n := New(t, Config{})
	c, k := n.connect(t)
	go io.Copy(io.Discard, k)
	c.Write(make([]byte, 100_000))
	_, port, _ := net.SplitHostPort(k.LocalAddr().String())
	out, err := exec.Command(ss, "-tinoH", "sport = :"+port).CombinedOutput()
	if err != nil {
		t.Skipf("ss: %v: %s", err, out)
	}
	want := []string{"wscale:"}
	if feature.Timestamps {
		want = append(want, " ts ")
	}
	if feature.SACK {
		want = append(want, " sack ")
	}
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			t.Errorf("no %q in what the kernel says: %s", w, out)
		}
	}
}
