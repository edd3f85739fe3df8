package interop

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/examples/internal/data"
	"github.com/bonsainet/bonsai/netif/emu"
)

const ms = 1e6 // ns

// impairments are all that netif/emu can do to frames, alone and together. The sizes
// are what gVisor sends in a second or so: it waits for timeouts of 200 ms and more.
var impairments = []struct {
	name string
	link emu.Config
	size int64
}{
	{"perfect", emu.Config{}, 8 << 20},
	{"mtu=576", emu.Config{MTU: 576}, 2 << 20},
	{"mtu=9000", emu.Config{MTU: 9000}, 8 << 20},
	{"mtu=65521", emu.Config{MTU: 65521}, 8 << 20},
	{"delay", emu.Config{Path: emu.Path{Delay: 10 * ms}}, 1 << 20},
	{"jitter", emu.Config{Path: emu.Path{Delay: 2 * ms, Jitter: 5 * ms}}, 1 << 20},
	{"overtaking", emu.Config{Path: emu.Path{Delay: 2 * ms, Jitter: 3 * ms, Overtake: true}}, 256 << 10},
	{"loss", emu.Config{Path: emu.Path{Loss: 0.01}}, 512 << 10},
	{"bursts", emu.Config{Path: emu.Path{Burst: emu.Burst{Enter: 0.004, Leave: 0.5}}}, 512 << 10},
	{"corruption", emu.Config{Path: emu.Path{Corrupt: 0.01}}, 512 << 10},
	{"duplicates", emu.Config{Path: emu.Path{Duplicate: 0.2}}, 2 << 20},
	{"reordering", emu.Config{Path: emu.Path{Reorder: 0.05, ReorderBy: 3}}, 1 << 20},
	{"rate", emu.Config{Path: emu.Path{Rate: 20e6, Queue: 20}}, 1 << 20},
	{"one-way", emu.Config{Path: emu.Path{Loss: 0.02, Delay: 5 * ms}, Back: &emu.Path{Rate: 5e6}}, 512 << 10},
	{"everything", emu.Config{MTU: 1400, Path: emu.Path{
		Rate: 50e6, Queue: 50, Loss: 0.005, Burst: emu.Burst{Enter: 0.001, Leave: 0.3}, Corrupt: 0.005,
		Duplicate: 0.02, Delay: 2 * ms, Jitter: 2 * ms, Overtake: true, Reorder: 0.02,
	}}, 128 << 10},
}

// TestTransfersArriveWhole sends in both directions at once, on connections that we
// opened and, with feature listen, on such that gVisor did.
func TestTransfersArriveWhole(t *testing.T) {
	for _, passive := range []bool{false, true} {
		for i, c := range impairments {
			t.Run(fmt.Sprintf("%s/passive=%v", c.name, passive), func(t *testing.T) {
				if passive {
					needListen(t)
				}
				t.Parallel()
				c.link.Seed = uint64(i)
				p := newPair(t, c.link)
				ours, peers := p.connect(t, passive)
				exchange(t, ours, peers, c.size)
			})
		}
	}
}

// exchange sends n bytes each way at once, closes both, and compares digests.
func exchange(t *testing.T, ours, peers net.Conn, n int64) {
	t.Helper()
	want := sha256.New()
	io.Copy(want, data.Reader(n))
	ends := []struct {
		name string
		net.Conn
	}{{"ours", ours}, {"gVisor's", peers}}
	done := make(chan error, 4)
	for _, c := range ends {
		c.SetDeadline(time.Now().Add(60 * time.Second))
		start := time.Now()
		fail := func(what string, n int64, err error) error {
			return fmt.Errorf("%s end %s %d bytes in %v: %w", c.name, what, n, time.Since(start), err)
		}
		go func() {
			k, err := io.CopyBuffer(struct{ io.Writer }{c.Conn}, data.Reader(n), make([]byte, 64<<10))
			if err == nil {
				err = c.Conn.(interface{ CloseWrite() error }).CloseWrite()
			}
			if err != nil {
				err = fail("wrote", k, err)
			}
			done <- err
		}()
		go func() {
			h := sha256.New()
			k, err := io.CopyBuffer(struct{ io.Writer }{h}, c.Conn, make([]byte, 64<<10))
			switch {
			case err != nil:
				err = fail("read", k, err)
			case k != n || string(h.Sum(nil)) != string(want.Sum(nil)):
				err = fail("read", k, errors.New("not what was sent"))
			}
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	ours.Close()
	peers.Close()
}
