// Package benchtest runs the works of package bench under go test -bench.
package benchtest

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/bench"
)

// metrics are what Run reports besides go test's own.
var metrics = []struct{ name, unit string }{
	{"gbit_s", "Gbit/s"}, {"ns_segment", "ns/segment"}, {"cpu_s_GB", "cpu-ns/B"}, {"p50_us", "p50-us"}, {"p99_us", "p99-us"},
}

// Run is a benchmark of a work on a subject: an operation of the work is one of b's. It
// skips itself where the build or the machine can't.
func Run(b *testing.B, s bench.Subject, work string, o bench.Options) {
	c, err := s.Open(work, o)
	if err != nil {
		b.Skip(err)
	}
	defer c.Close()
	b.ReportAllocs()
	b.ResetTimer()
	v, err := bench.Measure(c, bench.Budget{Ops: b.N})
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(v["bytes_op"]))
	for _, m := range metrics {
		if x, ok := v[m.name]; ok {
			b.ReportMetric(x, m.unit)
		}
	}
}
