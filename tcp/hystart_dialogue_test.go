package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// HyStart++ as the peer of a first slow start sees it, by what is sent: the rules of RFC 9406
// section 4.2, with the constants of section 4.3.

const startMSS = 1000

// starter is a sender with all data it can want, in its first slow start, over a path whose round trip
// the test gives for each ACK.
type starter struct {
	*dialogue
	out []flying // in flight, oldest first
	end uint32   // where the round ends: behind what was sent when the last one did

	// Where it is not simply acknowledged: what the peer has got in order, and behind that.
	got, lo, hi uint32
}

// flying is a segment on its way.
type flying struct {
	seq uint32
	at  pkt.Time // when it was sent
}

// startSlowly opens a connection by a path whose round trip is rtt. The first ten segments are on
// their way.
func startSlowly(t *testing.T, rtt pkt.Time, opts ...dialogueOption) *starter {
	t.Helper()
	if !feature.HyStart {
		t.Skip("needs feature hystart")
	}
	d := newDialogue(t, append(opts, withSndBuf(1<<20), withMemory(4<<20))...)
	d.open()
	syn := d.ignore()[0]
	d.advance(rtt)
	d.recv(SYN|ACK|syn.Flags&ECE, mss(startMSS), rawOptions(optNop, optNop, optSACKPermitted, 2), wscale(10))
	d.want("ACK of the SYN-ACK", ACK)
	d.c.TakeEvents()
	s := &starter{dialogue: d}
	d.write(1 << 20)
	if n := s.took(); n != 10 {
		d.failf("%d segments at first", n)
	}
	s.end = s.nxt
	return s
}

// took takes what was sent, and returns how many segments it is.
func (s *starter) took() (n int) {
	s.Helper()
	for _, x := range s.ignore() {
		if len(x.Payload) != startMSS {
			s.failf("sent %s, want a full segment", s.show(&x))
		}
		s.out = append(s.out, flying{x.Seq - s.iss, s.now})
		n++
	}
	return n
}

// acks acknowledges n times so many segments as stretch says, the last of each rtt after it was
// sent, and returns how many those ACKs have brought forth.
func (s *starter) acks(n, stretch int, rtt pkt.Time) (sent int) {
	s.Helper()
	for range n {
		last := s.out[stretch-1]
		s.out = s.out[stretch:]
		if wait := last.at + rtt - s.now; wait > 0 {
			s.advance(wait)
		}
		nxt := s.nxt
		s.recv(ACK, ack(last.seq+startMSS))
		sent += s.took()
		if last.seq+startMSS == s.end {
			s.end = nxt // "When windowEnd is ACKed, the current round ends and windowEnd is set to SND.NXT"
		}
	}
	return sent
}

// left returns how many segments the round still has.
func (s *starter) left() int { return int(s.end-s.out[0].seq) / startMSS }

// round wants a round of n segments, each acknowledged for itself, by which the window grows by so many.
func (s *starter) round(why string, rtt pkt.Time, n, grows int) {
	s.Helper()
	if s.left() != n {
		s.failf("%s: a round of %d segments, want %d", why, s.left(), n)
	}
	if got := s.acks(n, 1, rtt) - n; got != grows {
		s.failf("%s: after a round of %d segments there are %d more, want %d", why, n, got, grows)
	}
}

// "RttThresh = max(MIN_RTT_THRESH, min(lastRoundMinRTT / MIN_RTT_DIVISOR, MAX_RTT_THRESH))": an
// eighth, but at least 4 ms and at most 16 ms. "cwnd = cwnd + (min(N, L * SMSS) /
// CSS_GROWTH_DIVISOR)" it then is, with a divisor of 4, from the eighth ACK on.
func TestC97HyStartThreshold(t *testing.T) {
	for _, x := range []struct {
		base, under, over pkt.Time
		why               string
	}{
		{104 * ms, 12 * ms, 13 * ms, "an eighth"},
		{32 * ms, 3 * ms, 4 * ms, "an eighth, and the least"},
		{16 * ms, 3 * ms, 4 * ms, "the least"},
		{128 * ms, 15 * ms, 16 * ms, "an eighth, and the most"},
		{400 * ms, 15 * ms, 16 * ms, "the most"},
	} {
		s := startSlowly(t, x.base)
		s.round("the first has none to compare with", x.base, 10, 10)
		s.round(x.why+": the same", x.base, 18, 18)
		s.round(x.why+": not yet", x.base+x.under, 36, 36)
		s.over()
		s = startSlowly(t, x.base)
		s.round("the first", x.base, 10, 10)
		s.round(x.why, x.base+x.over, 18, 7+11/4)
		s.over()
	}
}

// It is the round before that a round is compared with, not the least of all.
func TestC97HyStartComparesWithTheRoundBefore(t *testing.T) {
	s := startSlowly(t, 100*ms)
	s.round("first", 100*ms, 10, 10)
	for i, n := range []int{18, 36, 72, 144} {
		s.round("12 ms more each time", (112+12*pkt.Time(i))*ms, n, n)
	}
	s.over()
}

// "For rounds where at least N_RTT_SAMPLE RTT samples have been obtained and currentRoundMinRTT
// and lastRoundMinRTT are valid": 8.
func TestC97HyStartSamplesOfARound(t *testing.T) {
	s := startSlowly(t, 100*ms)
	s.round("the first", 100*ms, 10, 10)
	if n := s.acks(6, 2, 150*ms) + s.acks(1, 6, 150*ms); n != 2*18 {
		s.failf("%d segments in a round of 7 samples", n)
	}
	s.over()

	s = startSlowly(t, 100*ms)
	s.round("the first", 100*ms, 10, 10)
	// The eighth is for a quarter of 4 segments.
	if n := s.acks(7, 2, 150*ms) + s.acks(1, 4, 150*ms); n != 7*2*2+4+1 {
		s.failf("%d segments in a round of 8 samples", n)
	}
	s.over()

	// It is the least of them that counts: one ACK in time is enough.
	s = startSlowly(t, 100*ms)
	s.round("the first", 100*ms, 10, 10)
	if n := s.acks(1, 1, 105*ms) + s.acks(17, 1, 150*ms); n != 2*18 {
		s.failf("%d segments in a round whose first ACK was in time", n)
	}
	s.over()
}

// "min(N, L * SMSS)" with L = 8, in slow start and in CSS.
func TestC97HyStartBoundsWhatAnAckOpens(t *testing.T) {
	s := startSlowly(t, 100*ms)
	if n := s.acks(1, 10, 100*ms); n != 10+8 {
		s.failf("an ACK of 10 segments brought forth %d", n)
	}
	s.over()
	s = startSlowly(t, 100*ms)
	s.round("slow start", 100*ms, 10, 10)
	s.round("CSS", 150*ms, 18, 7+11/4)
	if n := s.acks(1, 16, 150*ms); n != 16+8/4 {
		s.failf("an ACK of 16 segments in CSS brought forth %d", n)
	}
	s.over()
}

// "CSS lasts at most CSS_ROUNDS rounds. If the transition into CSS happens in the middle of a
// round, that partial round counts toward the limit. [...] If CSS_ROUNDS rounds are complete,
// enter congestion avoidance by setting the ssthresh to the current cwnd."
func TestC97HyStartRoundsOfCSS(t *testing.T) {
	s := startSlowly(t, 100*ms)
	s.round("slow start", 100*ms, 10, 10)
	s.round("slow start", 100*ms, 18, 18)
	s.round("the first of CSS, in part", 150*ms, 36, 7+29/4)
	for range 3 {
		was, n := s.c.cc.cwnd, s.left()
		s.acks(n, 1, 150*ms)
		if got := s.c.cc.cwnd - was; got != uint32(n)*startMSS/4 {
			s.failf("cwnd grew by %d in a round of %d segments", got, n)
		}
	}
	s.acks(s.left()-1, 1, 150*ms)
	if s.c.cc.ssthresh != infinite {
		s.failf("ssthresh is %d before the fifth round is over", s.c.cc.ssthresh)
	}
	was := s.c.cc.cwnd
	s.acks(1, 1, 150*ms)
	if s.c.cc.ssthresh != was {
		s.failf("ssthresh is %d, want cwnd, %d", s.c.cc.ssthresh, was)
	}
	for range 3 { // whatever the round trip is, slow start is over
		n := s.left()
		if got := s.acks(n, 1, 150*ms) - n; got > 2 {
			s.failf("in congestion avoidance a round of %d segments brought %d more", n, got)
		}
	}
	s.over()
}

// "if (currentRoundMinRTT < cssBaselineMinRtt) cssBaselineMinRtt = infinity; resume slow start
// including HyStart++": it was no queue. That too takes eight samples, of which the last counts in
// full again.
func TestC97HyStartResumes(t *testing.T) {
	s := startSlowly(t, 100*ms)
	s.round("slow start", 100*ms, 10, 10)
	s.round("CSS", 150*ms, 18, 7+11/4)
	n := s.left()
	s.round("the same is not below", 150*ms, n, n/4)
	was := s.c.cc.cwnd
	n = s.left()
	s.acks(n, 1, 140*ms)
	if got, want := s.c.cc.cwnd-was, uint32(7*startMSS/4+(n-7)*startMSS); got != want {
		s.failf("cwnd grew by %d in a round of %d segments that is back, want %d", got, n, want)
	}
	n = s.left()
	s.round("slow start", 140*ms, n, n)
	// It may end once more, with a baseline of its own.
	was, n = s.c.cc.cwnd, s.left()
	s.acks(n, 1, 160*ms)
	if got, want := s.c.cc.cwnd-was, uint32(7*startMSS+(n-7)*startMSS/4); got != want {
		s.failf("cwnd grew by %d in a round of %d segments that is late, want %d", got, n, want)
	}
	was, n = s.c.cc.cwnd, s.left()
	s.acks(n, 1, 159*ms)
	if got, want := s.c.cc.cwnd-was, uint32(7*startMSS/4+(n-7)*startMSS); got != want {
		s.failf("cwnd grew by %d in a round of %d segments below the new baseline, want %d", got, n, want)
	}
	s.over()
}

// Seven samples below the baseline say nothing.
func TestC97HyStartResumesAfterEightSamples(t *testing.T) {
	s := startSlowly(t, 100*ms)
	s.round("slow start", 100*ms, 10, 10)
	s.round("CSS", 150*ms, 18, 7+11/4)
	was, n := s.c.cc.cwnd, s.left()
	s.acks(6, 4, 110*ms)
	s.acks(1, n-24, 110*ms)
	if got := s.c.cc.cwnd - was; got != uint32(n)*startMSS/4 {
		s.failf("cwnd grew by %d in a round of %d segments", got, n)
	}
	s.over()
}

// over is for a test that has shown what it is about.
func (s *starter) over() { s.dialogue.end() }

// exchange gives the peer segments of ours, by their sequence numbers: each of them it acknowledges at
// once, with what it has got out of order. It returns those that were sent meanwhile.
func (s *starter) exchange(segs []uint32, rtt pkt.Time, f Flags) (more []uint32) {
	s.Helper()
	s.advance(rtt)
	for _, x := range segs {
		switch {
		case x == s.got:
			if s.got += startMSS; s.got == s.lo {
				s.got, s.lo, s.hi = s.hi, 0, 0
			}
		case x > s.got && s.hi == 0:
			s.lo, s.hi = x, x+startMSS
		case x > s.got && x == s.hi:
			s.hi += startMSS
		}
		parts := []part{ack(s.got)}
		if s.hi != 0 {
			parts = append(parts, sack(s.lo, s.hi))
		}
		s.recv(ACK|f, parts...)
		more = append(more, s.resent()...)
	}
	return more
}

// resent returns the sequence numbers of what was sent, new or not.
func (s *starter) resent() (segs []uint32) {
	for _, x := range s.ignore() {
		segs = append(segs, x.Seq-s.iss)
	}
	return segs
}

// flight returns those of what is in flight, which the peer has not got.
func (s *starter) flight() (segs []uint32) {
	s.got = s.out[0].seq
	for _, x := range s.out {
		segs = append(segs, x.seq)
	}
	return segs
}

// startPhases are where a first slow start may be when it ends, with more than 20 segments in flight.
var startPhases = map[string]func(*starter){
	"slow start": func(s *starter) {
		s.round("slow start", 100*ms, 10, 10)
		s.round("slow start", 100*ms, 18, 18)
	},
	"CSS": func(s *starter) {
		s.round("slow start", 100*ms, 10, 10)
		s.round("CSS", 150*ms, 18, 7+11/4)
	},
}

// avoidsCongestion wants congestion avoidance after a reduction of a window of n segments, and no
// slow start any more.
func (s *starter) avoidsCongestion(n int, segs []uint32) {
	s.Helper()
	if got, most := s.c.cc.ssthresh, uint32(n)*startMSS; got >= most || got < most/2 {
		s.failf("ssthresh is %d, and the window was %d", got, most)
	}
	for range 2 { // what the answer to it takes
		segs = s.exchange(segs, 150*ms, 0)
	}
	for range 4 {
		was := s.c.cc.cwnd
		segs = s.exchange(segs, 150*ms, 0)
		if got := s.c.cc.cwnd; got < was || got > was+was/10+startMSS {
			s.failf("cwnd goes from %d to %d in a round", was, got)
		}
	}
}

// "If loss or ECN-marking is observed at any time during standard slow start or CSS, enter
// congestion avoidance": here by way of the answer to it, which sets ssthresh.
func TestC97HyStartEndsWithALoss(t *testing.T) {
	for name, phase := range startPhases {
		t.Run(name, func(t *testing.T) {
			s := startSlowly(t, 100*ms)
			phase(s)
			n := len(s.out)
			s.avoidsCongestion(n, s.exchange(s.flight()[1:], 140*ms, 0))
			s.over()
		})
	}
}

func TestC97HyStartEndsWithAMark(t *testing.T) {
	if !feature.ECN {
		t.Skip("needs feature ecn")
	}
	for name, phase := range startPhases {
		t.Run(name, func(t *testing.T) {
			s := startSlowly(t, 100*ms, withECN(ECNAsk))
			phase(s)
			n := len(s.out)
			s.avoidsCongestion(n, s.exchange(s.flight(), 140*ms, ECE))
			s.over()
		})
	}
}

// "HyStart++ SHOULD only be used for the initial slow start (when the ssthresh value is at its
// initial value of arbitrarily high [...]) and fall back to using standard slow start for the
// remainder of the connection lifetime".
func TestC97HyStartIsForTheFirstSlowStart(t *testing.T) {
	for name, phase := range startPhases {
		t.Run(name, func(t *testing.T) {
			s := startSlowly(t, 100*ms)
			phase(s)
			for len(s.out) < 100 {
				s.acks(s.left(), 1, 145*ms)
			}
			s.flight() // all of it is lost, and the probe that follows
			for s.c.retries == 0 {
				s.advance(10 * ms)
				if segs := s.resent(); s.c.retries == 0 {
					continue
				} else if segs[len(segs)-1] != s.got {
					s.failf("sent %d after the timeout, want %d", segs, s.got)
				}
			}
			c := &s.c.cc
			if c.cwnd != startMSS || c.ssthresh < 50*startMSS || c.ssthresh > uint32(len(s.out))*startMSS {
				s.failf("cwnd %d and ssthresh %d after a timeout", c.cwnd, c.ssthresh)
			}
			segs := []uint32{s.got}
			for i := range pkt.Time(8) { // the first two are F-RTO's
				was := c.cwnd
				segs = s.exchange(segs, (100+20*i)*ms, 0)
				if c.cwnd >= c.ssthresh {
					if i < 5 {
						s.failf("slow start was over after %d rounds", i)
					}
					break
				}
				if i > 2 && c.cwnd < was*7/4 {
					s.failf("round %d: cwnd goes from %d to %d, ssthresh is %d", i, was, c.cwnd, c.ssthresh)
				}
			}
			s.over()
		})
	}
}
