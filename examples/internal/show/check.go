package show

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// Check ends the program if there is an error.
func Check(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1)
	}
}

// RTT adds round-trip times up.
type RTT struct {
	n                         int
	least, most, sum, squares float64
}

// Add takes a round-trip time in ms.
func (r *RTT) Add(ms float64) {
	if r.n == 0 || ms < r.least {
		r.least = ms
	}
	r.most = max(r.most, ms)
	r.n++
	r.sum += ms
	r.squares += ms * ms
}

// Summary says what ping(8) says at the end, sent requests being the number of those
// whose answers were waited for.
func (r *RTT) Summary(sent int) string {
	s := fmt.Sprintf("%d packets transmitted, %d received, %d%% packet loss", sent, r.n, 100*(sent-r.n)/max(sent, 1))
	if r.n > 0 {
		avg := r.sum / float64(r.n)
		mdev := math.Sqrt(max(r.squares/float64(r.n)-avg*avg, 0))
		s += fmt.Sprintf("\nrtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms", r.least, avg, r.most, mdev)
	}
	return s
}
