package emu

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
)

// superFrame puts a super-segment of n bytes of data, in segments of size, into b.
func superFrame(b *netif.Buf, n, size int) {
	b.Reset()
	f := b.Append(54 + n)
	clear(f)
	f[12] = 8
	h := ipv4.Header{Src: ipv4.AddrOf(198, 18, 0, 1), Dst: ipv4.AddrOf(198, 18, 0, 2), Proto: ipv4.ProtoTCP, TTL: 64, DF: true, TotalLen: uint16(40 + n)}
	h.Put(f[14:34])
	f[46] = 5 << 4
	for i := range n {
		f[54+i] = byte(i * 3)
	}
	binary.BigEndian.PutUint16(f[50:], ^pkt.Checksum(ipv4.PseudoSum(h.Src, h.Dst, h.Proto, 20+n)))
	netif.SetSegmentSize(b, size)
	netif.SetSummed(b, netif.SumPartial)
}

// good says whether f is a frame with valid checksums, and returns its data.
func good(f []byte) ([]byte, bool) {
	var h ipv4.Header
	p, d := ipv4.Parse(f[14:], &h)
	return f[54:], d == ipv4.DropNone && pkt.Checksum(pkt.Sum(ipv4.PseudoSum(h.Src, h.Dst, h.Proto, len(p)), p)) == 0
}

func needTSO(t *testing.T) {
	t.Helper()
	if !feature.TSO {
		t.Skip("needs feature tso")
	}
}

func TestSuperSegmentPassesWhole(t *testing.T) {
	needTSO(t)
	a, b := NewLink(Config{})
	b.Offload()
	bufs := []*netif.Buf{netif.NewBuf(netif.SuperSize)}
	in := []*netif.Buf{netif.NewBuf(1514), netif.NewBuf(1514)}
	superFrame(bufs[0], 60_000, 1460)
	want := bytes.Clone(bufs[0].Bytes())
	if err := a.Send(bufs); err != nil {
		t.Fatal(err)
	}
	if n := b.Take(in); n != 1 || !bytes.Equal(in[0].Bytes(), want) || netif.SegmentSize(in[0]) != 1460 || netif.Summed(in[0]) != netif.SumPartial {
		t.Fatalf("%d frames, the first of %d bytes", n, in[0].Len())
	}
	out, _ := a.Stats()
	if segs := uint64(42); out.Sent != segs || out.Delivered != segs || out.SentBytes != 60_000+segs*54 || out.DeliveredBytes != out.SentBytes {
		t.Errorf("counted as %+v", out)
	}
}

// A burst that fills the queue comes in batches, and the next needs no new Bufs.
func TestBurstsOfSuperSegments(t *testing.T) {
	needTSO(t)
	a, b := NewLink(Config{})
	b.Offload()
	out, in := make([]*netif.Buf, 16), make([]*netif.Buf, 64)
	for i := range out {
		out[i] = netif.NewBuf(netif.SuperSize)
	}
	for i := range in {
		in[i] = netif.NewBuf(1514)
	}
	const n = defaultFrames / 42 / 16 * 16
	burst := func() {
		for range n / len(out) {
			for _, b := range out {
				superFrame(b, 60_000, 1460)
			}
			if err := a.Send(out); err != nil {
				t.Fatal(err)
			}
		}
		for got := 0; got < n; {
			k := b.Take(in)
			if k < 1 || k > maxWhole {
				t.Fatalf("%d super-segments at a time, want 1 to %d", k, maxWhole)
			}
			got += k
		}
	}
	burst()
	if got := testing.AllocsPerRun(3, burst); got > 0 {
		t.Errorf("%v allocations in a burst like the one before", got)
	}
}

func TestSuperSegmentIsCutForWhoTakesNone(t *testing.T) {
	needTSO(t)
	var clock Virtual
	for _, c := range []struct {
		name string
		conf Config
		take bool
	}{
		{"the other end takes none", Config{}, false},
		{"the path has a delay", Config{Path: Path{Delay: 5}, Clock: &clock}, true},
		{"the path has a rate", Config{Path: Path{Rate: 1e9}, Clock: &clock}, true},
	} {
		a, b := NewLink(c.conf)
		if c.take {
			b.Offload()
		}
		bufs := []*netif.Buf{netif.NewBuf(netif.SuperSize)}
		superFrame(bufs[0], 60_000, 1460)
		want := bytes.Clone(bufs[0].Bytes()[54:])
		if err := a.Send(bufs); err != nil {
			t.Fatal(err)
		}
		clock.Set(clock.Now() + 1e9)
		in := make([]*netif.Buf, 64)
		for i := range in {
			in[i] = netif.NewBuf(1514)
		}
		var got []byte
		n := b.Take(in)
		for _, f := range in[:n] {
			data, ok := good(f.Bytes())
			if !ok || netif.SegmentSize(f) != 0 || netif.Summed(f) != netif.SumFull {
				t.Errorf("%s: a frame that is not whole", c.name)
			}
			got = append(got, data...)
		}
		if out, _ := a.Stats(); n != 42 || !bytes.Equal(got, want) || out.Sent != 42 || out.Delivered != 42 {
			t.Errorf("%s: %d frames, %+v", c.name, n, out)
		}
	}
}

// Loss takes frames, not super-segments.
func TestSuperSegmentIsLostByFrames(t *testing.T) {
	needTSO(t)
	a, b := NewLink(Config{Path: Path{Loss: 0.5}, Seed: 1})
	b.Offload()
	bufs := []*netif.Buf{netif.NewBuf(netif.SuperSize)}
	superFrame(bufs[0], 60_000, 1460)
	a.Send(bufs)
	out, _ := a.Stats()
	in := make([]*netif.Buf, 64)
	for i := range in {
		in[i] = netif.NewBuf(1514)
	}
	if n := b.Take(in); out.Sent != 42 || out.Lost < 10 || out.Lost > 32 || n != 42-int(out.Lost) {
		t.Errorf("%d of %d lost, %d arrived", out.Lost, out.Sent, n)
	}
}

func TestSuperSegmentsStayWithinTheLimits(t *testing.T) {
	needTSO(t)
	a, b := NewLink(Config{Frames: 100})
	b.Offload()
	bufs := []*netif.Buf{netif.NewBuf(netif.SuperSize)}
	for i := range 3 {
		superFrame(bufs[0], 60_000, 1460)
		var want error
		if i == 2 {
			want = errno.ENOBUFS
		}
		if err := a.Send(bufs); err != want {
			t.Errorf("super-segment %d: %v, want %v", i, err, want)
		}
	}
	superFrame(bufs[0], 60_000, 1461)
	if err := a.Send(bufs); err != errno.EMSGSIZE {
		t.Errorf("segments longer than the MTU: %v", err)
	}
	b.Close()
	if out, _ := a.Stats(); out.Sent != 4*42 || out.Overruns != 42 || out.Down != 2*42+1 || out.BadLength != 41 {
		t.Errorf("%+v", out)
	}
}

// Large Bufs circulate: none is allocated once there are enough, and small frames do not come in
// large ones.
func TestLargeBufsComeBack(t *testing.T) {
	needTSO(t)
	a, b := NewLink(Config{})
	b.Offload()
	bufs := []*netif.Buf{netif.NewBuf(netif.SuperSize)}
	small := []*netif.Buf{netif.NewBuf(1514)}
	in := make([]*netif.Buf, 8)
	for i := range in {
		in[i] = netif.NewBuf(1514)
	}
	round := func() {
		for range 3 {
			superFrame(bufs[0], 20_000, 1460)
			a.Send(bufs)
			small[0].Reset()
			clear(small[0].Append(60))
			a.Send(small)
			if small[0].Cap() >= netif.SuperSize || bufs[0].Cap() < netif.SuperSize {
				t.Fatal("Bufs of another size in exchange")
			}
		}
		if n := b.Take(in); n != 6 {
			t.Fatal(n, "frames")
		}
		large := 0
		for _, x := range in {
			if x.Cap() >= netif.SuperSize {
				large++
			}
		}
		if large != 3 {
			t.Fatal(large, "large Bufs with who received three super-segments")
		}
	}
	for range 10 {
		round()
	}
	if n := testing.AllocsPerRun(100, round); n > 0 {
		t.Errorf("%v allocations a round", n)
	}
}
