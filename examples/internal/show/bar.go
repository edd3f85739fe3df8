package show

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// Bar is a progress bar on standard error, if that is a terminal: an io.Writer that
// counts.
type Bar struct {
	what        string
	size, done  int64
	start, last time.Time
	on          bool
}

// NewBar begins to show how much of size bytes is done.
func NewBar(what string, size int64) *Bar {
	st, err := os.Stderr.Stat()
	on := err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	return &Bar{what: what, size: size, start: time.Now(), on: on}
}

// Write counts p.
func (b *Bar) Write(p []byte) (int, error) {
	b.done += int64(len(p))
	if b.on {
		if now := time.Now(); now.Sub(b.last) >= 50*time.Millisecond {
			b.last = now
			b.draw()
		}
	}
	return len(p), nil
}

func (b *Bar) draw() {
	const width = 32
	n := int(width * b.done / max(b.size, 1))
	fmt.Fprintf(os.Stderr, "\r%-9s [%s%s] %3d%% %s ", b.what, strings.Repeat("=", n), strings.Repeat(" ", width-n),
		100*b.done/max(b.size, 1), b.Speed())
}

// Speed says how fast it was so far.
func (b *Bar) Speed() string {
	t := time.Since(b.start).Seconds()
	return fmt.Sprintf("%.1f MB/s", float64(b.done)/1e6/t)
}

// Done clears the bar and says what was done, how long it took and how fast it was.
func (b *Bar) Done() string {
	if b.on {
		fmt.Fprintf(os.Stderr, "\r%78s\r", "")
	}
	t := time.Since(b.start)
	unit := time.Millisecond
	return fmt.Sprintf("%-9s %d bytes in %v: %s, %.0f Mbit/s", b.what, b.done, t.Round(unit), b.Speed(),
		float64(b.done)*8/1e6/t.Seconds())
}
