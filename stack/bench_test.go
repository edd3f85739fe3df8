package stack

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// The pair benchmarks run both ends on one core, without any link in between: what
// they measure is two stacks, checksums and copies included.

// BenchmarkPairBulk is one connection that sends as fast as it can: with buffers of
// 256 KiB, which the processor's cache holds, and with those that the stack makes
// of it when nothing is lost.
func BenchmarkPairBulk(b *testing.B) {
	fixed := Config{}
	if feature.Profile > feature.Minimal {
		fixed = Config{RcvBuf: 256 << 10, SndBuf: 256 << 10, MaxRcvBuf: 256 << 10, MaxSndBuf: 256 << 10}
	}
	b.Run("mtu1500", func(b *testing.B) { benchmarkBulk(b, fixed, 1500) })
	b.Run("mtu9000", func(b *testing.B) { benchmarkBulk(b, fixed, 9000) })
	b.Run("mtu1500-default-buffers", func(b *testing.B) { benchmarkBulk(b, Config{}, 1500) })
}

func benchmarkBulk(b *testing.B, cfg Config, mtu int) {
	d := newDuo(b, cfg, mtu)
	var c Conn
	peer := d.connect(b, &c, d.listen(b, 80, 1))
	w, r := make([]byte, 64<<10), make([]byte, 64<<10)
	const size = 1 << 20
	d.send(b, &c, peer, 100*size, w, r) // until windows and buffers have grown
	first := d.s[0].ifaces[1].Stats.TxPackets
	b.SetBytes(size)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		d.send(b, &c, peer, size, w, r)
	}
	b.StopTimer()
	ns := float64(b.Elapsed().Nanoseconds())
	segments := float64(d.s[0].ifaces[1].Stats.TxPackets - first)
	b.ReportMetric(float64(b.N)*size*8/ns, "Gbit/s")
	b.ReportMetric(ns/segments, "ns/segment")
	b.ReportMetric(float64(d.s[1].ifaces[1].Stats.TxPackets)/float64(d.s[0].ifaces[1].Stats.TxPackets), "ACKs/segment")
}

// BenchmarkPairRoundTrip is a request of 64 bytes and an answer of 64 bytes.
func BenchmarkPairRoundTrip(b *testing.B) {
	d := newDuo(b, Config{}, 1500)
	var c Conn
	peer := d.connect(b, &c, d.listen(b, 80, 1))
	p := make([]byte, 64)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		c.Write(p)
		d.step(0)
		d.step(1)
		if n, e := peer.Read(p); n != len(p) {
			b.Fatal(n, e)
		}
		peer.Write(p)
		d.step(1)
		d.step(0)
		if n, e := c.Read(p); n != len(p) {
			b.Fatal(n, e)
		}
		d.now += 10 * pkt.Microsecond
	}
}

// BenchmarkPairConnectClose opens a connection and closes it at both ends. The
// first leaves it in TIME-WAIT.
func BenchmarkPairConnectClose(b *testing.B) {
	d := newDuo(b, Config{}, 1500)
	l := d.listen(b, 80, 1)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		c := new(Conn)
		peer := d.connect(b, c, l)
		c.Close(d.now)
		d.run()
		peer.Close(d.now)
		d.run()
		if d.s[0].tcp.n+d.s[1].tcp.n != 0 {
			b.Fatal(c.State(), peer.State())
		}
		d.now += 5 * pkt.Millisecond // 12,000 in a minute, which the ports can bear
	}
}
