package ipv4

import (
	"math/rand/v2"
	"testing"

	"github.com/bonsainet/bonsai/internal/pkt"
)

func TestC27BucketLimitsTheRate(t *testing.T) {
	for _, start := range []pkt.Time{0, 5, 1e18, -1e15} {
		var b Bucket
		take := func(at pkt.Time) int {
			n := 0
			for b.Take(start+at, 10, 5) {
				if n++; n > 1000 {
					t.Fatal("no limit")
				}
			}
			return n
		}
		for _, c := range []struct {
			at   pkt.Time
			want int
		}{
			{0, 5}, // full at first
			{0, 0},
			{99 * pkt.Millisecond, 0},
			{100 * pkt.Millisecond, 1},
			{150 * pkt.Millisecond, 0},
			{399 * pkt.Millisecond, 2},
			{400 * pkt.Millisecond, 1},
			{900 * pkt.Millisecond, 5},
			{pkt.Minute, 5}, // no more than the burst
			{pkt.Minute, 0},
		} {
			if got := take(c.at); got != c.want {
				t.Errorf("start %d: %d tokens at %d ms, want %d", start, got, c.at/pkt.Millisecond, c.want)
			}
		}
	}
}

func TestBucketNeverExceedsBurstPlusRate(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for run := 0; run < 50; run++ {
		var b Bucket
		rate, burst := 1+r.IntN(1000), 1+r.IntN(50)
		var now pkt.Time
		taken := 0
		for i := 0; i < 2000; i++ {
			now += pkt.Time(r.Int64N(int64(pkt.Second) / int64(rate)))
			if b.Take(now, rate, burst) {
				taken++
			}
		}
		most := float64(burst) + float64(now)/float64(pkt.Second/pkt.Time(rate)) + 1e-9
		if float64(taken) > most {
			t.Errorf("rate %d, burst %d: %d tokens, at most %.1f", rate, burst, taken, most)
		}
	}
}
