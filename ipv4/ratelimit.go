package ipv4

import "github.com/bonsainet/bonsai/internal/pkt"

// Bucket is a token bucket. The zero Bucket is full.
type Bucket struct {
	// The bucket is kept as the time at which it will be full again: one word,
	// and nothing to add up while it is idle.
	full pkt.Time
}

// Take takes a token and reports whether there was one. The bucket holds burst
// tokens at most and gains perSecond of them per second; both are at least 1.
func (b *Bucket) Take(now pkt.Time, perSecond, burst int) bool {
	step := pkt.Second / pkt.Time(perSecond)
	t := b.full
	// No bucket takes longer to fill than from empty: one that claims to has
	// never been used.
	if t < now || t > now+step*pkt.Time(burst) {
		t = now
	}
	t += step
	if t > now+step*pkt.Time(burst) {
		return false
	}
	b.full = t
	return true
}
