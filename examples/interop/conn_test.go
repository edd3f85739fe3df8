package interop

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/socket"
	"github.com/bonsainet/bonsai/socket/gonet"
	"github.com/bonsainet/bonsai/stack"
)

// TestConn runs the standard checks of a net.Conn. gVisor's end is the second one.
func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		p := newPair(t, emu.Config{})
		c, d := p.connect(t, false)
		return c, d, func() {
			c.Close()
			d.Close()
			p.close()
		}, nil
	})
}

func TestAHundredConnectionsAtOnce(t *testing.T) {
	for _, passive := range []bool{false, true} {
		t.Run(map[bool]string{false: "active", true: "passive"}[passive], func(t *testing.T) {
			if passive {
				needListen(t)
			}
			n := 100
			if feature.Profile == feature.Minimal {
				n = 8 // of 16 that a stack may have by default
			}
			p := newPair(t, emu.Config{})
			var l net.Listener
			var err error
			if passive {
				l, err = p.ours.Listen("tcp", ":7")
			} else {
				l, err = p.peer.Listen(":7")
			}
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
						c.Close()
					}()
				}
			}()
			done := make(chan error)
			for i := range n {
				go func() { done <- p.echo(passive, i) }()
			}
			for range n {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// echo sends 64 KiB to an echo server and reads them back.
func (p *pair) echo(passive bool, i int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var c net.Conn
	var err error
	if passive {
		c, err = p.peer.Dial(ctx, "198.18.0.2:7")
	} else {
		c, err = p.ours.DialContext(ctx, "tcp", "198.18.0.1:7")
	}
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	msg := bytes.Repeat([]byte{byte(i), 1, 2, 3}, 16<<10)
	go func() {
		c.Write(msg)
		c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err == nil && !bytes.Equal(got, msg) {
		err = errors.New("the echo differs")
	}
	return err
}

func TestHalfClose(t *testing.T) {
	p := newPair(t, emu.Config{})
	for _, first := range []string{"ours", "gVisor"} {
		c, d := p.connect(t, false)
		if first == "gVisor" {
			c, d = d, c
		}
		deadline(c, d)
		c.Write([]byte("question"))
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Error(first, err)
		}
		if q, err := io.ReadAll(d); string(q) != "question" || err != nil {
			t.Errorf("%s closes: the other reads %q, %v", first, q, err)
		}
		answer := bytes.Repeat([]byte("answer"), 20000)
		go func() {
			d.Write(answer)
			d.Close()
		}()
		if a, err := io.ReadAll(c); !bytes.Equal(a, answer) || err != nil {
			t.Errorf("%s closed: it reads %d bytes, %v", first, len(a), err)
		}
		if _, err := c.Write([]byte("late")); err == nil {
			t.Errorf("%s writes after CloseWrite", first)
		}
		c.Close()
	}
}

func deadline(conns ...net.Conn) {
	for _, c := range conns {
		c.SetDeadline(time.Now().Add(10 * time.Second))
	}
}

func TestResetByGVisor(t *testing.T) {
	p := newPair(t, emu.Config{})
	c, d := p.connect(t, false)
	deadline(c, d)
	c.Write([]byte("never read"))
	for deadline := time.Now().Add(5 * time.Second); ; { // until it has arrived: then closing resets
		n, err := (*socket.Conn)(c.(*gonet.Conn)).Option(stack.SOL_SOCKET, stack.SIOCOUTQ)
		if n == 0 || err != nil || time.Now().After(deadline) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	d.Close()
	if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after a read has said that: %v", err)
	}
	c.Close()
}

func TestResetByUs(t *testing.T) {
	p := newPair(t, emu.Config{})
	c, d := p.connect(t, false)
	deadline(c, d)
	c.(*gonet.Conn).SetLinger(0)
	c.Close()
	if _, err := d.Read(make([]byte, 1)); err == nil || err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("gVisor reads: %v", err)
	}
	d.Close()
}

func TestRefused(t *testing.T) {
	p := newPair(t, emu.Config{})
	if _, err := p.ours.Dial("tcp", "198.18.0.1:9"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("by gVisor: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if c, err := p.peer.Dial(ctx, "198.18.0.2:9"); err == nil || ctx.Err() != nil {
		t.Errorf("by us: %v, %v", c, err)
	}
}

// A server that does not read closes its window; data waits and comes through.
func TestZeroWindow(t *testing.T) {
	p := newPair(t, emu.Config{})
	for _, writer := range []string{"ours", "gVisor"} {
		c, d := p.connect(t, false)
		if writer == "gVisor" {
			c, d = d, c
		}
		deadline(c, d)
		const n = 16 << 20 // more than the buffers hold
		go func() {
			c.Write(make([]byte, n))
			c.Close()
		}()
		time.Sleep(700 * time.Millisecond) // a few probes
		if got, err := io.Copy(struct{ io.Writer }{io.Discard}, d); got != n || err != nil {
			t.Errorf("%s sends: %d bytes arrived, %v", writer, got, err)
		}
		d.Close()
	}
}
