package sim

import (
	"bytes"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/netif/pcap"
	"github.com/bonsainet/bonsai/stack"
)

// needListen skips a test that can't do without in a build that can't accept.
func needListen(t testing.TB) {
	t.Helper()
	if !feature.Listen {
		t.Skip("needs feature listen: tag full, or with_listen")
	}
}

// connect opens a connection from a to a port of b and gives each end its program.
// A build without listen opens it from both sides at once (RFC 9293 section 3.5,
// figure 8), and so does simultaneous.
func connect(a, b *Host, port uint16, atA, atB App, simultaneous bool) (ea, eb *End) {
	if feature.Listen && !simultaneous {
		v := b.Listen(port, 1, nil)
		v.serve = func(e *End) App { v.Close(); return atB }
		return a.Dial(b.Endpoint(port), atA), nil
	}
	from := ipv4.Endpoint{Port: port + 10_000}
	ea, err := a.DialFrom(from, b.Endpoint(port), atA)
	if err == nil {
		eb, err = b.DialFrom(ipv4.Endpoint{Port: port}, a.Endpoint(from.Port), atB)
	}
	if err != nil {
		panic(err)
	}
	eb.Accepted = true
	return ea, eb
}

// two returns two hosts on a link, of which a sends by path and b by back.
func two(opt Options, cfg stack.Config, mtu int, path, back emu.Path) (n *Net, a, b *Host) {
	n = New(opt)
	a, b = n.Host("a", cfg), n.Host("b", cfg)
	n.Link(a, b, emu.Config{MTU: mtu, Path: path, Back: &back})
	return n, a, b
}

func TestTransfersBothWays(t *testing.T) {
	p := emu.Path{Delay: 20 * Ms, Loss: 0.01}
	var file bytes.Buffer
	n, a, b := two(Options{Seed: 1, Pcap: &file}, stack.Config{}, 0, p, p)
	e, _ := connect(a, b, 80, &Bulk{Send: 1 << 20, Recv: 1 << 20}, &Bulk{Send: 1 << 20, Recv: 1 << 20}, false)
	if err := n.Run(10 * Minute); err != nil {
		t.Fatal(err)
	}
	t.Logf("%v %.0f bit/s %+v", stamp(n.Now()), e.Goodput(), e.Traffic())
	if tr := e.Traffic(); tr.Bytes < 1<<20 || tr.Again == 0 || e.Goodput() < 100_000 {
		t.Errorf("%.0f bit/s, %+v", e.Goodput(), tr)
	}
	if err := n.Settle(5 * Minute); err != nil {
		t.Fatal(err)
	}

	// The capture has every frame.
	if err := n.FlushPcap(); err != nil {
		t.Fatal(err)
	}
	r, err := pcap.NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	frames, last := uint64(0), int64(0)
	for {
		ns, f, _, err := r.Next()
		if err != nil {
			break
		}
		if frames++; ns < last || len(f) < 42 {
			t.Fatalf("frame %d of %d bytes at %d, after %d", frames, len(f), ns, last)
		}
		last = ns
	}
	if frames != n.Frames() {
		t.Errorf("%d frames captured, %d sent", frames, n.Frames())
	}
}

// TestSwitch: hosts on a switch, each talking with the next.
func TestSwitch(t *testing.T) {
	n := New(Options{Seed: 3})
	var hosts []*Host
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		hosts = append(hosts, n.Host(name, stack.Config{}))
	}
	sw, _ := n.Switch(emu.SwitchConfig{Path: emu.Path{Delay: 2 * Ms, Loss: 0.005, Rate: 50_000_000}}, hosts...)
	for i, h := range hosts {
		connect(h, hosts[(i+1)%len(hosts)], uint16(1000+i), &Bulk{Send: 100_000, Recv: 100_000}, &Bulk{Send: 100_000, Recv: 100_000}, false)
	}
	if err := n.Run(5 * Minute); err != nil {
		t.Fatal(err)
	}
	if err := n.Settle(5 * Minute); err != nil {
		t.Fatal(err)
	}
	if st := sw.Stats(); st.Forwarded < 500 || st.Learned != uint64(len(hosts)) {
		t.Errorf("%+v", st)
	}
}

// TestStallIsReported: a run in which nobody gets anywhere ends with an error that
// says so.
func TestStallIsReported(t *testing.T) {
	n, a, b := two(Options{Seed: 1, Stall: 30 * Second}, stack.Config{}, 0, emu.Path{}, emu.Path{})
	connect(a, b, 80, &Bulk{Recv: 1}, &Bulk{Send: 1, Begin: 50 * Minute}, false)
	if err := n.Run(60 * Minute); err == nil {
		t.Fatal("no error")
	}
	if now := n.Now(); now > 2*Minute {
		t.Error("only at ", stamp(now))
	}
}

func TestStream(t *testing.T) {
	s := Stream(7)
	all := make([]byte, 1000)
	s.Fill(all, 0)
	for at := range 100 {
		p := make([]byte, 777)
		s.Fill(p, int64(at))
		if !bytes.Equal(p, all[at:at+777]) {
			t.Fatal("not the same at offset ", at)
		}
		if i := s.Check(p, int64(at)); i != -1 {
			t.Fatal("differs at ", i)
		}
		p[at*7%777] ^= 1
		if i := s.Check(p, int64(at)); i != at*7%777 {
			t.Fatalf("differs at %d, want %d", i, at*7%777)
		}
	}
}
