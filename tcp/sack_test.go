package tcp

import (
	"slices"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
)

// withSACK returns a dialogue with a peer that permits selective acknowledgments.
// Nothing is in flight; the round trip takes 100 ms.
func withSACK(t *testing.T, opts ...dialogueOption) *dialogue {
	t.Helper()
	if !feature.On("sack") {
		t.Skip("needs feature sack")
	}
	d := newDialogue(t, opts...)
	d.connect(mss(1460), rawOptions(optNop, optNop, optSACKPermitted, 2))
	return d
}

// seg is the relative sequence number of full segment n, the first being 0.
func seg(n int) uint32 { return uint32(1 + 1460*n) }

func TestC98SACKPermittedOnlyInSyn(t *testing.T) {
	if !feature.On("sack") {
		t.Skip("needs feature sack")
	}
	// wantSyn checks our SYN, and the dialogue that no other segment has options.
	d := established(t)
	d.recv(ACK, seq(101), octets(10))
	d.want("the peer has not permitted it: no blocks", ACK, ack(1))
	d.recv(ACK, rawOptions(optNop, optNop, optSACKPermitted, 2), seq(1), octets(1))
	d.want("nor does it permit it now", ACK, ack(2))
	d.recv(ACK, seq(201), octets(10))
	d.want("still none", ACK, ack(2))
	d.burst(4)
	d.recv(ACK, ack(1), seq(2), sack(seg(1), seg(3)))
	d.wantNothing("and its own blocks mean nothing")
	d.recv(ACK, seq(2))
}

func TestC98PassiveSideAnswersThePermission(t *testing.T) {
	if !feature.On("sack") {
		t.Skip("needs feature sack")
	}
	d := newDialogue(t)
	d.accept(mss(1460), rawOptions(optNop, optNop, optSACKPermitted, 2))
	d.want("SYN-ACK with it", SYN|ACK, seq(0), mss(1460), sackOK)
	d = newDialogue(t)
	d.accept(mss(1460))
	d.want("SYN-ACK without it", SYN|ACK, seq(0), mss(1460))
}

// RFC 2018 section 4: "The first SACK block [...] MUST specify the contiguous block of
// data containing the segment which triggered this ACK"; then "the most recently
// reported SACK blocks".
func TestC98MostRecentBlockFirst(t *testing.T) {
	d := withSACK(t)
	at := func(n, l uint32) { d.recv(ACK, seq(n), octets(int(l))) }
	at(101, 10)
	d.want("one", ACK, ack(1), sack(101, 111))
	at(201, 10)
	d.want("two", ACK, ack(1), sack(201, 211, 101, 111))
	at(111, 10)
	d.want("the first grows", ACK, ack(1), sack(101, 121, 201, 211))
	at(301, 10)
	d.want("three", ACK, ack(1), sack(301, 311, 101, 121, 201, 211))
	at(401, 10)
	d.want("four", ACK, ack(1), sack(401, 411, 301, 311, 101, 121, 201, 211))
	at(501, 10)
	d.want("never more than four", ACK, ack(1), sack(501, 511, 401, 411, 301, 311, 101, 121))
	at(211, 90)
	d.want("two become one", ACK, ack(1), sack(201, 311, 501, 511, 401, 411, 101, 121))
	for i := range uint32(5) { // a block that grows pushes none out
		at(511+10*i, 10)
		d.want("as many as possible", ACK, ack(1), sack(501, 521+10*i, 201, 311, 401, 411, 101, 121))
	}
	at(1, 100)
	d.want("what is in sequence is no block", ACK, ack(121), sack(501, 561, 201, 311, 401, 411))
	// Data carries them too.
	d.write(10)
	d.want("data", PSH|ACK, ack(121), octets(10), sack(501, 561, 201, 311, 401, 411))
	d.recv(ACK, seq(121), octets(440))
	d.want("all is here", ACK, ack(561))
	d.recv(ACK, seq(561))
}

func TestC98ThreeBlocksBesideTimestamps(t *testing.T) {
	needTimestamps(t)
	if !feature.On("sack") {
		t.Skip("needs feature sack")
	}
	d := newDialogue(t)
	d.connect(mss(1460), ts(7777, 0), rawOptions(optNop, optNop, optSACKPermitted, 2))
	for i := range uint32(5) {
		d.recv(ACK, seq(101+100*i), octets(10))
		x := d.ignore()
		if len(x) != 1 || x[0].raw[12]>>4 > 15 || len(x[0].SACK) != 8*int(min(i+1, 3)) || !x[0].HasTS {
			d.failf("after %d pieces: %d bytes of blocks", i+1, len(x[0].SACK))
		}
	}
	d.peer = 1
}

// RFC 2883 section 4: a D-SACK block is the first, reports each duplicate once, and
// is followed by the block that holds it, if there is one above the ACK.
func TestC98DuplicatesAreReported(t *testing.T) {
	d := withSACK(t)
	d.recv(ACK, octets(100))
	d.want("quick ACK", ACK, ack(101))
	d.recv(ACK, seq(1), octets(100))
	d.want("below the ACK", ACK, ack(101), sack(1, 101))
	d.recv(ACK, seq(51), octets(100)) // half of it old
	d.want("the part that is a duplicate", ACK, ack(151), sack(51, 101))
	d.peer = 151
	d.recv(ACK, octets(10))
	d.want("told once", ACK, ack(161))
	d.recv(ACK, seq(201), octets(100))
	d.want("a hole", ACK, ack(161), sack(201, 301))
	d.recv(ACK, seq(221), octets(20))
	d.want("within a block above the ACK", ACK, ack(161), sack(221, 241, 201, 301))
	d.recv(ACK, seq(401), octets(10))
	d.want("and that is told once too", ACK, ack(161), sack(401, 411, 201, 301))
	d.recv(ACK, seq(1), octets(100))
	d.want("below, with blocks above", ACK, ack(161), sack(1, 101, 401, 411, 201, 301))
	d.peer = 161
}

func TestC99NothingIsFreedByASACK(t *testing.T) {
	d := withSACK(t)
	d.burst(4)
	d.advance(100 * ms)
	d.recv(ACK, ack(seg(0)), sack(seg(1), seg(4)))
	d.want("the first is lost", ACK, seq(seg(0)), octets(1460))
	if d.c.Unacked() != 4*1460 || d.c.snd.q.span < 4*1460 {
		d.failf("%d octets unacknowledged, %d in the queue", d.c.Unacked(), d.c.snd.q.span)
	}
	d.advance(100 * ms)
	d.recv(ACK, ack(seg(4)))
	if d.c.Unacked() != 0 {
		d.failf("%d octets unacknowledged", d.c.Unacked())
	}
}

// RFC 2018 section 8: "the data receiver is permitted to discard data in its queue that
// has not been acknowledged to the data sender". The dialogue checks that all of it is
// the stream.
func TestC99RenegingPeerGetsEverythingAgain(t *testing.T) {
	d := withSACK(t)
	d.burst(4)
	d.advance(100 * ms)
	d.recv(ACK, ack(seg(0)), sack(seg(1), seg(4)))
	d.want("fast retransmit", ACK, seq(seg(0)), octets(1460))
	d.advance(100 * ms)
	// It arrives, and yet the rest, reported before, is gone.
	d.recv(ACK, ack(seg(1)))
	got := map[uint32]bool{}
	for range 40 {
		for _, x := range d.ignore() {
			for i := range uint32(len(x.Payload)) {
				got[x.Seq-d.iss+i] = true
			}
		}
		n := d.c.snd.una - d.iss
		for got[n] {
			n++
		}
		if n != d.c.snd.una-d.iss {
			d.recv(ACK, ack(n))
		} else {
			d.advance(100 * ms)
		}
	}
	if d.c.Unacked() != 0 {
		d.failf("%d octets never reached the peer", d.c.Unacked())
	}
}

func TestC99ForgottenAfterATimeout(t *testing.T) {
	d := withSACK(t)
	d.burst(4)
	d.advance(50 * ms)
	d.recv(ACK, ack(seg(0)), sack(seg(0), seg(2))) // reneging already: the first is among it
	all := d.ignore()
	for range 20 {
		d.advance(200 * ms)
		all = append(all, d.ignore()...)
	}
	if !slices.ContainsFunc(all, func(x sent) bool { return x.Seq-d.iss == seg(0) }) {
		d.failf("what was reported is believed after timeouts, too")
	}
	if sackOf(&d.c).sacked != 0 {
		d.failf("%d octets still count as arrived", sackOf(&d.c).sacked)
	}
	d.recv(ACK)
	d.ignore()
}

func TestC99InvalidBlocksAreIgnored(t *testing.T) {
	d := withSACK(t)
	d.slow(20)
	d.burst(10)
	d.advance(10 * ms)
	d.recv(ACK, ack(seg(2)))
	d.ignore()
	for _, b := range [][]uint32{
		{seg(10), seg(11)},       // not sent yet
		{seg(8), seg(10) + 1},    // in part
		{seg(5), seg(5)},         // empty
		{seg(6), seg(4)},         // turned round
		{seg(4), seg(4) + 1<<31}, // half the space
		{seg(4) - 1<<31, seg(5)}, // likewise
		{0, seg(10)},             // from the SYN on
		{seg(1), seg(5)},         // straddles the ACK
		{seg(0), seg(1)},         // a duplicate's, below the ACK
		{seg(20), seg(21), seg(30), seg(31)},
	} {
		d.recv(ACK, ack(seg(2)), sack(b...))
		if n := sackOf(&d.c).sacked; n != 0 {
			d.failf("blocks %d: %d octets count as arrived", b, n)
		}
		d.ignore()
	}
	// An option cut short is none.
	d.recv(ACK, ack(seg(2)), rawOptions(optNop, optNop, optSACK, 6, 1, 2, 3, 4))
	d.ignore()
	if sackOf(&d.c).sacked != 0 {
		d.failf("half a block")
	}
	d.recv(ACK, ack(seg(10)))
	d.ignore()
}

// CVE-2019-11477 and 11478: a peer with a small MSS that reports crumbs.
func TestC99ScoreboardIsBounded(t *testing.T) {
	d := withSACK(t)
	d.slow(60)
	d.burst(40)
	d.advance(10 * ms)
	most := 0
	for i := uint32(0); i < 58000; i += 4 { // every fourth octet
		d.recv(ACK, ack(1), sack(3+i, 4+i))
		d.ignore()
		most = max(most, len(sackOf(&d.c).board.v))
	}
	if limit := max(2*maxRuns, 2*58400/runBytes); most > limit {
		d.failf("a scoreboard of %d pieces, want at most %d", most, limit)
	}
	// And it still works.
	d.advance(100 * ms)
	d.ignore()
	d.recv(ACK, ack(seg(40)))
	d.ignore()
	if d.c.Unacked() != 0 {
		d.failf("%d octets unacknowledged", d.c.Unacked())
	}
}

// The receiver's side is bounded as well: intervals_test and starved_test have more.
func TestC99ReceiverHoldsSoManyPieces(t *testing.T) {
	d := withSACK(t)
	for i := uint32(0); i < 50000; i += 4 {
		d.recv(ACK, seq(3+i), octets(1))
		d.ignore()
	}
	if n := d.c.rcv.ooo.n; n > max(maxIntervals, 2*50000/intervalBytes) {
		d.failf("%d pieces", n)
	}
	d.peer = 1
}

// RFC 9937: what recovery sends on an ACK is bounded by what that ACK has delivered, and
// at its end the window is ssthresh, of which nothing is sent at once.
func TestC95NoBurstAtTheEndOfRecovery(t *testing.T) {
	for _, lost := range [][]int{{0}, {0, 1}, {0, 5}, {0, 1, 2, 3}, {3, 4, 9}, {0, 2, 4, 6, 8, 10, 12, 14}} {
		d := withSACK(t, withSndBuf(1<<20), withMemory(4<<20))
		d.c.snd.wnd, d.c.snd.maxWnd = 1<<20, 1<<20
		d.slow(20)
		d.burst(20)
		ssthresh := uint32(0)
		d.batch(func() { d.write(100 * 1460) }) // there is always more to send
		d.ignore()
		// A peer that holds what arrives, and acknowledges each segment after 100 ms.
		type ev struct{ lo, hi uint32 }
		have := map[uint32]bool{}
		next := seg(0)
		var queue []ev
		for i := range 20 {
			if !slices.Contains(lost, i) {
				queue = append(queue, ev{seg(i), seg(i + 1)})
			}
		}
		d.advance(100 * ms)
		d.ignore()
		for n := 0; len(queue) > 0 && n < 60; n++ {
			e := queue[0]
			queue = queue[1:]
			was := d.c.snd.una
			have[e.lo] = true
			for have[next] {
				next += 1460
			}
			var parts []part
			parts = append(parts, ack(next))
			if e.lo >= next {
				lo, hi := e.lo, e.hi
				for have[lo-1460] {
					lo -= 1460
				}
				for have[hi] {
					hi += 1460
				}
				parts = append(parts, sack(lo, hi))
			}
			d.recv(ACK, append(parts, win(65535))...)
			d.c.snd.wnd = 1 << 20
			sentNow := d.ignore()
			bytes := uint32(0)
			for _, x := range sentNow {
				bytes += uint32(len(x.Payload))
				queue = append(queue, ev{x.Seq - d.iss, x.Seq - d.iss + uint32(len(x.Payload))})
			}
			if d.c.flags&flagRecovery != 0 {
				ssthresh = d.c.cc.ssthresh
			}
			// The ACK that ends recovery, or fills a hole, tells of many segments, all but
			// one of which had been reported: at most these two, and what slow start adds.
			if bytes > 3*1460 {
				d.failf("lost %v: %d octets are sent at once, una moved by %d", lost, bytes, d.c.snd.una-was)
			}
			d.advance(ms)
			for _, x := range d.ignore() {
				queue = append(queue, ev{x.Seq - d.iss, x.Seq - d.iss + uint32(len(x.Payload))})
			}
			if ssthresh != 0 && d.c.flags&flagRecovery == 0 {
				if f := d.c.flight(); f > ssthresh+2*1460 {
					d.failf("lost %v: %d octets in flight after recovery, ssthresh %d", lost, f, ssthresh)
				}
				break
			}
		}
		if ssthresh == 0 || d.c.flags&flagRecovery != 0 {
			d.failf("lost %v: recovery has not begun, or not ended", lost)
		}
		if want := 20 * 1460 * beta() / 100; ssthresh < want-1460 || ssthresh > want+1460 {
			d.failf("ssthresh %d, want %d", ssthresh, want)
		}
		d.ignore()
		d.recv(ACK)
		d.ignore()
	}
}

// Without RACK, loss is counted: RFC 6675 section 4, IsLost. With it, the function
// is not called, but it is there.
func TestC94IsLostByCounting(t *testing.T) {
	const mss = 1000
	for _, c := range []struct {
		what string
		runs string // of 1000 octets each; s: sacked, r: sent again, l: lost already
		lost string
	}{
		{"nothing SACKed", "....", "...."},
		{"two segments above", ".ss", "..."},
		{"three in one block: more than two segments' bytes", ".sss", "l..."},
		{"three discontiguous ones", ".s.s.s", "l....."},
		{"those above each are few", "..s.s.s", "ll....."},
		{"sent again: left to the timer", "r.sss", ".l..."},
		{"all that is below", "...sssss", "lll....."},
	} {
		st := &sackState{board: &scoreboard{v: make([]run, 20)}}
		for i, k := range c.runs {
			r := run{lo: uint32(i) * mss, hi: uint32(i+1) * mss}
			switch k {
			case 's':
				r.is = runSacked
				st.sacked += mss
			case 'r':
				r.is = runResent
			}
			st.board.v[i] = r
			st.board.n++
		}
		st.detect(mss)
		got := ""
		for _, r := range st.runs() {
			if r.is&runLost != 0 {
				got += "l"
			} else {
				got += "."
			}
		}
		if got != c.lost {
			t.Errorf("%s: %s: lost %s, want %s", c.what, c.runs, got, c.lost)
		}
	}
}

// A connection with little in flight has a short scoreboard, which the next one gets. Those
// that nobody needs for a while go.
func TestScoreboardsAreKeptWhileTheyAreNeeded(t *testing.T) {
	if !feature.SACK {
		t.Skip("needs feature sack")
	}
	e := new(Env)
	st := make([]sackState, 1000)
	send := func(n int) {
		for i := range st[:n] {
			st[i].sent(e, 1, 0, 1)
		}
		for i := range st[:n] {
			if k := len(st[i].board.v); k != firstRuns {
				t.Fatalf("a scoreboard for one segment has room for %d", k)
			}
			st[i].release(e)
		}
	}
	kept := func(n int) {
		t.Helper()
		k := 0
		for b := (*scoreboard)(e.boards); b != nil; b = b.next {
			k++
		}
		if k != n || int(e.keptRuns) != n*firstRuns || e.Keeps() != (n > 0) {
			t.Errorf("%d scoreboards kept, %d runs, want %d", k, e.keptRuns, n)
		}
	}
	send(1000)
	kept(1000)
	if n := testing.AllocsPerRun(10, func() { send(1000) }); n != 0 {
		t.Errorf("%v allocations with as many connections as before", n)
	}
	e.Trim()
	kept(1000)
	send(30)
	e.Trim()
	kept(30)
	e.Trim()
	e.Trim()
	kept(0)
	send(2)
	kept(2)
}
