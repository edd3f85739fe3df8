package gonet_test

import (
	"strconv"
	"testing"

	"github.com/bonsainet/bonsai/internal/bench"
	"github.com/bonsainet/bonsai/internal/bench/benchtest"
)

// These are bonsai bench's works over blocking net.Conns and an emulated link.

// BenchmarkUpload is one connection that sends as fast as it can, 64 KiB at a time.
func BenchmarkUpload(b *testing.B) {
	for _, mtu := range []int{1500, 9000, 65521} {
		b.Run("mtu="+strconv.Itoa(mtu), func(b *testing.B) {
			benchtest.Run(b, bench.SocketsSubject(), "up", bench.Options{MTU: mtu})
		})
	}
}

// BenchmarkPingPong is a byte there and a byte back.
func BenchmarkPingPong(b *testing.B) {
	benchtest.Run(b, bench.SocketsSubject(), "rr1", bench.Options{})
}
