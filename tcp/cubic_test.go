package tcp

import (
	"math"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// cubicConn returns a connection in congestion avoidance with a window of n
// segments of 1000 bytes and a round trip of rtt, before its first loss.
func cubicConn(t *testing.T, n uint32, rtt pkt.Time) *Conn {
	t.Helper()
	if !feature.On("cubic") {
		t.Skip("needs feature cubic")
	}
	c := openConn(t, &pkt.Memory{Limit: 1 << 20})
	c.snd.mss = 1000
	c.cc.cwnd, c.cc.ssthresh = n*1000, infinite
	c.rtt.srtt = uint32(rtt / pkt.Microsecond)
	c.flags |= flagCwndLimited
	return c
}

// lose is the reduction after a loss with the whole window in flight.
func lose(c *Conn) {
	c.snd.nxt = c.snd.una + c.cc.cwnd
	c.cc.ssthresh = c.cc.reduced(c)
	c.cc.cwnd = c.cc.ssthresh
	c.snd.nxt = c.snd.una
}

// run acknowledges everything in flight, segment by segment, each round trip until the
// time is up, and returns the time.
func runCubic(c *Conn, now, d, rtt pkt.Time) pkt.Time {
	for end := now + d; now < end; {
		n := c.cc.cwnd / 1000
		step := rtt / pkt.Time(n)
		for range n {
			now += step
			if now >= end {
				return end
			}
			c.cc.grow(now, c, 1000)
		}
	}
	return now
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s: %.2f, want %.2f", what, got, want)
	}
}

func TestC97BetaIs07(t *testing.T) {
	c := cubicConn(t, 100, 100*ms)
	lose(c)
	near(t, "cwnd after a loss at 100", float64(c.cc.cwnd)/1000, 70, 0.01)
	// "a lower bound" of two segments (RFC 9438 section 4.6).
	c = cubicConn(t, 2, 100*ms)
	lose(c)
	near(t, "cwnd after a loss at 2", float64(c.cc.cwnd)/1000, 2, 0)
	// It is what was in flight that counts, when that is less.
	c = cubicConn(t, 100, 100*ms)
	c.snd.nxt = c.snd.una + 50000
	near(t, "ssthresh with 50 in flight", float64(c.cc.reduced(c))/1000, 35, 0.01)
	c.snd.nxt = c.snd.una
}

// RFC 9438 section 4.7: a second loss below the first one's window sets W_max to
// cwnd * (1 + beta) / 2.
func TestC97FastConvergence(t *testing.T) {
	c := cubicConn(t, 100, 100*ms)
	lose(c)
	q := cubicOf(c)
	near(t, "W_max", q.wmax, 100, 0.01)
	c.cc.cwnd = 90 * 1000
	lose(c)
	near(t, "W_max after a loss at 90", q.wmax, 90*(1+0.7)/2, 0.01)
	near(t, "cwnd_prior", q.prior, 90, 0.01)
	c.cc.cwnd = 95 * 1000 // above W_max again
	lose(c)
	near(t, "W_max after a loss at 95", q.wmax, 95, 0.01)
}

// W_cubic(t) = C * (t - K)^3 + W_max, K = cbrt((W_max - cwnd_epoch) / C): sections 4.1
// and 4.2. The round trip and window are so large that Reno is slower.
func TestC97GrowsByTheCubicFunction(t *testing.T) {
	const rtt = 200 * ms
	for _, w := range []float64{200, 1000, 4000} {
		c := cubicConn(t, uint32(w), rtt)
		lose(c)
		k := math.Cbrt(w * 0.3 / 0.4)
		now := 10 * sec
		c.cc.grow(now, c, 1000) // the epoch begins
		near(t, "K", cubicOf(c).k, k, 0.001)
		for s := 1; s <= int(1.8*k); s++ {
			now = runCubic(c, now, sec, rtt)
			x := float64(s) + float64(rtt)/float64(sec) // the target is a round trip ahead
			want := 0.4*math.Pow(x-k, 3) + w
			near(t, "cwnd", float64(c.cc.cwnd)/1000, want, 0.03*want)
		}
		// Concave, flat at W_max, convex: just below and above K, it is close to W_max.
	}
}

// Section 4.2: the target is at most 1.5 times cwnd, however long the epoch lasts.
func TestC97NeverMoreThanHalfAgainInARoundTrip(t *testing.T) {
	const rtt = 200 * ms
	c := cubicConn(t, 200, rtt)
	lose(c)
	now := 10 * sec
	c.cc.grow(now, c, 1000)
	now += 100 * sec // W_cubic is huge by now
	was := c.cc.cwnd
	for range was / 1000 {
		c.cc.grow(now, c, 1000)
	}
	if got := float64(c.cc.cwnd) / float64(was); got < 1.2 || got > 1.66 { // each ACK's share compounds: e^0.5
		t.Errorf("cwnd is %.2f times what it was", got)
	}
}

// Section 4.3: where Reno is faster, on short paths, W_est is followed: alpha =
// 3(1-beta)/(1+beta) of a segment each round trip until cwnd_prior, one after.
func TestC97RenoFriendlyRegion(t *testing.T) {
	const rtt = 10 * ms
	c := cubicConn(t, 20, rtt)
	lose(c)
	near(t, "cwnd", float64(c.cc.cwnd)/1000, 14, 0.01)
	now := runCubic(c, 10*sec, 4*rtt, rtt)
	near(t, "after 4 round trips", float64(c.cc.cwnd)/1000, 14+4*3*0.3/1.7, 0.6)
	// Up to cwnd_prior it takes 6/0.53 = 11.3 round trips.
	now = runCubic(c, now, 7*rtt, rtt)
	near(t, "after 11", float64(c.cc.cwnd)/1000, 20, 1)
	was := float64(c.cc.cwnd) / 1000
	runCubic(c, now, 10*rtt, rtt)
	near(t, "and 10 more, as Reno", float64(c.cc.cwnd)/1000-was, 10, 1.2)
}

// Section 4.2: t has no time in which the application was the limit, nor in which nothing was
// there to send.
func TestC97TimeStandsStillWhileTheApplicationIsTheLimit(t *testing.T) {
	const rtt = 200 * ms
	for _, idle := range []bool{false, true} {
		c := cubicConn(t, 200, rtt)
		lose(c)
		now := runCubic(c, 10*sec, 2*sec, rtt)
		was := c.cc.cwnd
		if idle {
			now += 60 * sec
			c.cc.sentAt = ticks(now) // no restart after idle: that is another rule
			c.cc.idle(c, now)
		} else {
			c.flags &^= flagCwndLimited
			for range 600 {
				now += 100 * ms
				c.cc.grow(now, c, 1000)
			}
			c.flags |= flagCwndLimited
		}
		if c.cc.cwnd != was {
			t.Fatalf("cwnd %d after a minute without need, was %d", c.cc.cwnd, was)
		}
		d := cubicConn(t, 200, rtt) // the same without the minute
		lose(d)
		runCubic(d, 10*sec, 3*sec, rtt)
		runCubic(c, now, sec, rtt)
		near(t, "cwnd a second later", float64(c.cc.cwnd)/1000, float64(d.cc.cwnd)/1000, 2)
	}
}

// Section 4.8: after a timeout, congestion avoidance begins with K = 0, and W_max what the window
// is then.
func TestC97AfterATimeoutTheWindowBeforeIsForgotten(t *testing.T) {
	c := cubicConn(t, 200, 200*ms)
	c.snd.nxt = c.snd.una + c.cc.cwnd
	c.retries = 1
	c.cc.timeout(c)
	c.snd.nxt = c.snd.una
	near(t, "ssthresh", float64(c.cc.ssthresh)/1000, 140, 0.01)
	c.cc.cwnd = c.cc.ssthresh // slow start is over
	c.cc.grow(10*sec, c, 1000)
	q := cubicOf(c)
	near(t, "K", q.k, 0, 0)
	near(t, "W_max", q.wmax, 140, 0.01)
}

// Section 4.10: slow start that ends without a loss is followed by CUBIC with K = 0.
func TestC97SlowStartThatEndsWithoutALoss(t *testing.T) {
	c := cubicConn(t, 400, 300*ms)
	c.cc.ssthresh = c.cc.cwnd
	runCubic(c, 10*sec, 9*sec, 300*ms)
	want := 400 + 0.4*math.Pow(9.3, 3)
	near(t, "cwnd after 9 s", float64(c.cc.cwnd)/1000, want, 0.05*want)
}

func TestC97SlowStartUpToSsthresh(t *testing.T) {
	c := cubicConn(t, 10, 100*ms)
	for range 10 {
		c.cc.grow(sec, c, 1000)
	}
	if c.cc.cwnd != 20000 {
		t.Errorf("cwnd %d after a round of slow start from 10000", c.cc.cwnd)
	}
	if feature.CUBIC && cubicOf(c) != nil {
		t.Error("a connection without a loss needs no CUBIC state")
	}
	// Only while the window is what holds data back.
	c.flags &^= flagCwndLimited
	c.cc.grow(sec, c, 1000)
	if c.cc.cwnd != 20000 {
		t.Errorf("cwnd %d: grown though not limiting", c.cc.cwnd)
	}
}

func TestC97CubeRoot(t *testing.T) {
	for _, v := range []float64{0, 1e-9, 0.001, 0.5, 1, 2, 8, 27, 1000, 1e6, 1e12} {
		near(t, "cbrt", cbrt(v), math.Cbrt(v), 1e-6*max(1, math.Cbrt(v)))
	}
}
