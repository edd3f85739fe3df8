package stack_test

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/bench"
	"github.com/bonsainet/bonsai/internal/bench/benchtest"
)

// The pair benchmarks run both ends on one core, without any link in between: what
// they measure is two stacks, checksums and copies included. They are bonsai bench's.

// subject returns one of bonsai bench's, or skips.
func subject(b *testing.B, name string) bench.Subject {
	for _, s := range bench.PairSubjects() {
		if s.Name == name {
			return s
		}
	}
	b.Skip("not in this profile")
	panic("unreachable")
}

// BenchmarkPairBulk is one connection that sends as fast as it can, 64 KiB at a time:
// with buffers of 256 KiB, which the processor's cache holds, and with those that the
// stack makes of it when nothing is lost.
func BenchmarkPairBulk(b *testing.B) {
	b.Run("mtu1500", func(b *testing.B) { benchtest.Run(b, subject(b, "bonsai"), "up", bench.Options{}) })
	b.Run("mtu9000", func(b *testing.B) { benchtest.Run(b, subject(b, "bonsai"), "up", bench.Options{MTU: 9000}) })
	b.Run("mtu1500-default-buffers", func(b *testing.B) { benchtest.Run(b, subject(b, "bonsai-grown"), "up", bench.Options{}) })
}

// BenchmarkPairRoundTrip is a request of 64 bytes and an answer of 64 bytes.
func BenchmarkPairRoundTrip(b *testing.B) {
	benchtest.Run(b, subject(b, "bonsai"), "rr64", bench.Options{})
}

// BenchmarkPairConnectClose opens a connection and closes it at both ends. The
// first leaves it in TIME-WAIT.
func BenchmarkPairConnectClose(b *testing.B) {
	benchtest.Run(b, subject(b, "bonsai"), "crr", bench.Options{})
}
