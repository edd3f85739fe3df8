package tcp

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/pkt"
)

const (
	cubicC    = 0.4
	cubicBeta = 0.7
	// cubicAlpha makes the Reno-friendly estimate as fast as Reno in spite of the
	// smaller reduction (RFC 9438 section 4.3).
	cubicAlpha = 3 * (1 - cubicBeta) / (1 + cubicBeta)
)

func cubicOf(c *Conn) *cubicState { return *(**cubicState)(unsafe.Pointer(&c.cubic)) }

// cubicState is CUBIC (RFC 9438), in segments and seconds. A connection has one
// from its first loss or congestion avoidance on.
type cubicState struct {
	_ [0]func() // not comparable

	epoch pkt.Time // when congestion avoidance began; 0: not yet
	last  pkt.Time // when it last was the window that held data back
	wmax  float64  // the window before the last reduction
	prior float64  // cwnd_prior: likewise, without fast convergence
	k     float64  // how long until the window is wmax again
	est   float64  // W_est: what Reno would have
}

// cubicReduced returns ssthresh after a loss, which leaves cubicBeta of the flight
// (RFC 9438 section 4.6), and remembers the window, with fast convergence (section 4.7).
func (c *Conn) cubicReduced(flight uint32) uint32 {
	q := cubicMade(c)
	mss := float64(c.snd.mss)
	w := float64(c.cc.cwnd) / mss
	q.prior = w
	if w < q.wmax {
		q.wmax = w * (1 + cubicBeta) / 2
	} else {
		q.wmax = w
	}
	q.epoch = 0
	return uint32(float64(flight) * cubicBeta)
}

// cubicMade returns the connection's state, new if there is none.
func cubicMade(c *Conn) *cubicState {
	if cubicOf(c) == nil {
		c.cubic[:][0] = pkt.Words(unsafe.Sizeof(cubicState{}))
	}
	return cubicOf(c)
}

// cubicIdle takes out of the epoch what has passed since the window last was the limit: t
// "MUST NOT include periods of time during which cwnd has not been updated due to
// application-limited behavior" (RFC 9438 section 4.2).
func (c *Conn) cubicIdle(now pkt.Time) {
	if q := cubicOf(c); q != nil && q.epoch != 0 {
		q.epoch += now - q.last
		q.last = now
	}
}

// cubicTimeout forgets the window before: "During the first congestion avoidance stage after
// a timeout, [...] K is set to 0, and W_max is set to the congestion window size at the
// beginning of the current congestion avoidance stage" (RFC 9438 section 4.8).
func (c *Conn) cubicTimeout() {
	if q := cubicOf(c); q != nil {
		q.epoch, q.wmax = 0, 0
	}
}

// cubicGrow opens the window in congestion avoidance for n acknowledged bytes:
// sections 4.2 to 4.5. Slow start that ended without a loss (RFC 9406) begins with K at 0
// too (section 4.10).
func (c *Conn) cubicGrow(now pkt.Time, n uint32) {
	q, r := cubicMade(c), &c.cc
	mss := float64(c.snd.mss)
	w := float64(r.cwnd) / mss
	if q.epoch == 0 {
		q.epoch, q.k, q.est = now, 0, w
		if w < q.wmax {
			q.k = cbrt((q.wmax - w) / cubicC)
		} else {
			q.wmax = w
		}
	}
	q.last = now
	acked := float64(n) / mss
	t := float64(now-q.epoch) / float64(pkt.Second)
	alpha := 1.0
	if q.est < q.prior {
		alpha = cubicAlpha
	}
	q.est += alpha * acked / w
	if q.at(t) < q.est {
		r.cwnd = max(r.cwnd, uint32(q.est*mss)) // the Reno-friendly region
		return
	}
	// The target is W_cubic(t + RTT), but at least cwnd and at most 1.5 times cwnd
	// (section 4.2).
	target := min(max(q.at(t+float64(c.rtt.srtt)/1e6), w), 1.5*w)
	r.cwnd += uint32((target - w) / w * float64(n))
}

// at is W_cubic(t) = C * (t - K)^3 + W_max.
func (q *cubicState) at(t float64) float64 {
	d := t - q.k
	return cubicC*d*d*d + q.wmax
}

// cbrt is the cube root of v, at least 0, by Newton's method.
func cbrt(v float64) float64 {
	x := max(v, 1)
	for range 60 {
		x = (2*x + v/(x*x)) / 3
	}
	return x
}
