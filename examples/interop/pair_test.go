package interop

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/examples/internal/gvisorpeer"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/netif/emu/wall"
	"github.com/bonsainet/bonsai/socket/gonet"
)

// pair is bonsai at 198.18.0.2 and gVisor at 198.18.0.1, on a link.
type pair struct {
	ours *gonet.Stack
	peer *gvisorpeer.Peer
	port *emu.Port // ours
}

func newPair(t testing.TB, c emu.Config) *pair {
	t.Helper()
	if c.Clock == nil {
		c.Clock = wall.New()
	}
	a, b := emu.NewLink(c)
	p := &pair{ours: gonet.New(gonet.Config{}), port: a}
	if err := p.ours.Attach("eth0", a); err != nil {
		t.Fatal(err)
	}
	if err := p.ours.Configure("eth0", "198.18.0.2/24", ""); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.peer, err = gvisorpeer.New(b, "198.18.0.1/24", ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

func (p *pair) close() {
	p.ours.Close()
	p.peer.Close()
}

func needListen(t testing.TB) {
	t.Helper()
	if !feature.Listen {
		t.Skip("needs feature listen")
	}
}

// connect returns the ends of a connection: ours, and gVisor's, which dials if
// passive is set.
func (p *pair) connect(t testing.TB, passive bool) (ours, peers net.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var l net.Listener
	var err error
	if passive {
		l, err = p.ours.Listen("tcp", "198.18.0.2:0")
	} else {
		l, err = p.peer.Listen("198.18.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	if passive {
		peers, err = p.peer.Dial(ctx, l.Addr().String())
	} else {
		ours, err = p.ours.DialContext(ctx, "tcp", l.Addr().String())
	}
	if err != nil {
		t.Fatal(err)
	}
	if passive {
		ours = <-accepted
	} else {
		peers = <-accepted
	}
	return ours, peers
}

func BenchmarkDownload(b *testing.B) {
	p := newPair(b, emu.Config{})
	c, d := p.connect(b, false)
	go func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := d.Write(buf); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 64<<10)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	d.Close()
}

func BenchmarkUpload(b *testing.B) {
	p := newPair(b, emu.Config{})
	c, d := p.connect(b, false)
	go io.Copy(io.Discard, d)
	buf := make([]byte, 64<<10)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	d.Close()
}
