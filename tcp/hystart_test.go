package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
)

// starting is a connection in its first slow start, of which a test says when which round trip
// was measured.
type starting struct {
	*testing.T
	c *Conn
}

func newStarting(t *testing.T) *starting {
	t.Helper()
	if !feature.HyStart {
		t.Skip("needs feature hystart")
	}
	c := new(Conn)
	c.snd.mss = 1000
	c.snd.una, c.snd.nxt = 1, 1
	c.cc.cwnd, c.cc.ssthresh = 20_000, infinite
	c.flags |= flagCwndLimited | flagSACK
	return &starting{t, c}
}

// round acknowledges a window, segment by segment, each with the round trip that rtt gives for
// it in ms.
func (s *starting) round(n int, rtt func(i int) uint32) {
	c := s.c
	c.snd.nxt = c.snd.una + uint32(n)*1000
	for i := range n {
		c.snd.una += 1000
		sackOf(c).rack.rtt = rtt(i) * 1000
		if i == n-1 {
			c.snd.nxt += uint32(n) * 1000 // the next window is on its way
		}
		c.cc.grow(0, c, 1000)
	}
}

func flat(ms uint32) func(int) uint32 { return func(int) uint32 { return ms } }

// RFC 9406 section 4.2: a round whose least round trip is more by an eighth, but by 4 ms at least
// and 16 ms at most, than that of the round before.
func TestC97HyStartSlowsDownWhenTheRoundTripGrows(t *testing.T) {
	for _, x := range []struct {
		base, more uint32 // ms
		slow       bool
	}{
		{100, 12, false}, {100, 13, true}, // 12.5
		{10, 3, false}, {10, 4, true}, // the least: 4
		{500, 15, false}, {500, 16, true}, // the most: 16
	} {
		s := newStarting(t)
		s.round(20, flat(x.base))
		if s.c.cc.cwnd != 40_000 {
			t.Fatalf("cwnd %d after a round", s.c.cc.cwnd)
		}
		s.round(20, flat(x.base+x.more))
		// "cwnd = cwnd + (min(N, L * SMSS) / CSS_GROWTH_DIVISOR)", from the eighth sample on.
		want := uint32(60_000)
		if x.slow {
			want = 40_000 + 7*1000 + 13*250
		}
		if got := s.c.cc.cwnd; got != want {
			t.Errorf("%d + %d ms: cwnd %d, want %d", x.base, x.more, got, want)
		}
	}
}

func TestC97HyStartNeedsEightSamples(t *testing.T) {
	s := newStarting(t)
	s.round(20, flat(100))
	s.round(7, flat(200))
	if got := s.c.cc.cwnd; got != 47_000 {
		t.Errorf("cwnd %d after seven samples, want 47000", got)
	}
	// One early ACK is the least of the round.
	s = newStarting(t)
	s.round(20, flat(100))
	s.round(20, func(i int) uint32 { return []uint32{100, 200}[min(i, 1)] })
	if got := s.c.cc.cwnd; got != 60_000 {
		t.Errorf("cwnd %d: one of the ACKs was in time", got)
	}
}

// "if (currentRoundMinRTT < cssBaselineMinRtt) cssBaselineMinRtt = infinity; resume slow start
// including HyStart++".
func TestC97HyStartResumesAfterAFalseAlarm(t *testing.T) {
	s := newStarting(t)
	s.round(20, flat(100))
	s.round(20, flat(130))
	was := s.c.cc.cwnd
	s.round(20, flat(110))
	if got, want := s.c.cc.cwnd-was, uint32(7*250+13*1000); got != want {
		t.Errorf("grew by %d, want %d", got, want)
	}
}

// "CSS lasts at most CSS_ROUNDS rounds", of which the one that it began in is the first; then
// congestion avoidance, and HyStart++ no more.
func TestC97HyStartEndsSlowStartAfterFiveRounds(t *testing.T) {
	s := newStarting(t)
	s.round(20, flat(100))
	for i := range 5 {
		if s.c.cc.ssthresh != infinite {
			t.Fatalf("ssthresh %d after %d rounds", s.c.cc.ssthresh, i)
		}
		s.round(20, flat(150))
	}
	if s.c.cc.ssthresh > s.c.cc.cwnd || s.c.start[:][0] != nil {
		t.Errorf("ssthresh %d, cwnd %d", s.c.cc.ssthresh, s.c.cc.cwnd)
	}
	// A later slow start is the plain one.
	s.c.cc.cwnd, s.c.cc.ssthresh = 10_000, 100_000
	s.round(20, flat(100))
	s.round(20, flat(400))
	if s.c.cc.cwnd != 50_000 {
		t.Errorf("cwnd %d in a later slow start", s.c.cc.cwnd)
	}
}
