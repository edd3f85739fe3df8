package bench

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// Histogram counts times by their size, to 6 %: it takes no memory per time.
type Histogram struct {
	n     uint64
	count [64 * 16]uint32
}

// Add counts a time.
func (h *Histogram) Add(d time.Duration) {
	h.n++
	h.count[bucket(uint64(max(d, 0)))]++
}

// Merge adds what o has counted.
func (h *Histogram) Merge(o *Histogram) {
	h.n += o.n
	for i, c := range o.count {
		h.count[i] += c
	}
}

// Quantile returns the time that the share q of all is not above, to 6 %.
func (h *Histogram) Quantile(q float64) time.Duration {
	left := uint64(math.Ceil(q * float64(h.n)))
	for i, c := range h.count {
		if uint64(c) >= left && c > 0 {
			lo, hi := edges(i)
			return time.Duration((lo + hi) / 2)
		}
		left -= min(left, uint64(c))
	}
	return 0
}

// bucket returns the place of v: a power of two and the four bits behind it.
func bucket(v uint64) int {
	if v < 16 {
		return int(v)
	}
	e := bits.Len64(v) - 5
	return e<<4 + int(v>>e)
}

// edges returns the least and the greatest value of a bucket.
func edges(i int) (lo, hi uint64) {
	if i < 32 {
		return uint64(i), uint64(i)
	}
	e := i>>4 - 1
	lo = uint64(i&15+16) << e
	return lo, lo + 1<<e - 1
}

// Median returns the middle of v, NaN if there is none.
func Median(v []float64) float64 { return quantile(v, 0.5) }

// quantile returns the value that the share q of v is below, between two of them if need be.
func quantile(v []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s) == 0 {
		return math.NaN()
	}
	at := q * float64(len(s)-1)
	k := int(at)
	if k+1 == len(s) {
		return s[k]
	}
	return s[k] + (at-float64(k))*(s[k+1]-s[k])
}

// spread returns how far the middle half of the values reaches from the median, as a share
// of it.
func spread(v []float64) float64 {
	m := Median(v)
	if m == 0 {
		return 0
	}
	return max(quantile(v, 0.75)-m, m-quantile(v, 0.25)) / math.Abs(m)
}
