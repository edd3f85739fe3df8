package tcp

import (
	"encoding/binary"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// selective is a connection whose peer takes and sends SACK.
func selective(t *testing.T) *dialogue {
	t.Helper()
	if !feature.SACK {
		t.Skip("needs feature sack")
	}
	d := newDialogue(t)
	d.connect(mss(1000), rawOptions(optNop, optNop, optSACKPermitted, 2))
	return d
}

// sacks is a SACK option of blocks of our octets: pairs of relative sequence numbers.
func (d *dialogue) sacks(edges ...uint32) part {
	o := []byte{optNop, optNop, optSACK, byte(2 + 4*len(edges))}
	for _, e := range edges {
		o = binary.BigEndian.AppendUint32(o, d.iss+e)
	}
	return rawOptions(o...)
}

// reordered loses nothing of ten segments: the first is only late, and sent again.
func (d *dialogue) reordered() {
	d.Helper()
	d.slow(10)
	d.burst(10)
	d.advance(100 * ms)
	for i := range uint32(3) {
		d.recv(ACK, ack(1), d.sacks(1001, 2001+1000*i))
	}
	d.want("fast retransmit", ACK, seq(1), octets(1000))
	if d.c.flags&flagRecovery == 0 {
		d.failf("no recovery")
	}
}

// RFC 9438 section 4.9.2, RFC 4015: what the network did not ask for is taken back.
func TestC99RecoveryThatDSACKProvesNeedlessIsUndone(t *testing.T) {
	d := selective(t)
	d.reordered()
	before := 10 * uint32(1000)
	if d.c.cc.ssthresh >= before {
		d.failf("ssthresh %d in recovery", d.c.cc.ssthresh)
	}
	d.recv(ACK, ack(10001))
	d.recv(ACK, ack(10001), d.sacks(1, 1001))
	if d.c.cc.ssthresh != before || d.c.flags&flagRecovery != 0 {
		d.failf("ssthresh %d, want %d", d.c.cc.ssthresh, before)
	}
	d.slow(10)
	d.burst(10)
	d.advance(100 * ms)
	for i := range uint32(3) { // the second time is no surprise
		d.recv(ACK, ack(10001), d.sacks(11001, 12001+1000*i))
	}
	if feature.RACK {
		d.wantNothing("reordering was seen")
	} else {
		d.want("fast retransmit", ACK, seq(10001), octets(1000))
	}
}

func TestC99OtherDSACKsUndoNothing(t *testing.T) {
	d := selective(t)
	d.reordered()
	reduced := d.c.cc.ssthresh
	d.recv(ACK, ack(10001))
	d.recv(ACK, ack(10001), d.sacks(10001, 10001)) // empty
	d.recv(ACK, ack(10001), d.sacks(0xfffff000, 0xfffff100))
	if d.c.cc.ssthresh != reduced {
		d.failf("ssthresh %d, was %d", d.c.cc.ssthresh, reduced)
	}
}

// After a slow start that was too fast, every second segment is missing: all that have arrived
// are held, and each hole is known.
func TestC98HundredsOfHoles(t *testing.T) {
	if !feature.SACK || feature.Profile == feature.Minimal {
		t.Skip("needs feature sack and its profile's memory")
	}
	var x intervals
	for i := range uint32(500) {
		if !x.add(2896*i, 2896*i+1448) {
			t.Fatalf("piece %d is refused", i)
		}
	}
	var e Env
	st := new(sackState)
	for i := range uint32(1000) {
		if st.sent(&e, ms*100+1000*pkt.Time(i), 1448*i, 1448*i+1448); i%2 == 1 {
			st.runs()[len(st.runs())-1].is = runSacked
		}
	}
	if n := len(st.runs()); n != 1000 {
		t.Errorf("%d runs of 1000", n)
	}
	var crumbs intervals
	for i := range uint32(500) {
		crumbs.add(2*i, 2*i+1)
	}
	if crumbs.n != maxIntervals {
		t.Errorf("%d pieces of one byte are held", crumbs.n)
	}
}

// RFC 8985 section 7.4.2: an ACK of just the probe may be that of the original.
func TestC99ProbeEpisodeEndsBeyondTheProbe(t *testing.T) {
	d := selective(t)
	if !feature.RACK {
		t.Skip("needs feature rack")
	}
	d.slow(10)
	d.burst(2)
	cwnd := d.c.cc.cwnd
	d.wantAfter(202*ms, "probe", PSH|ACK, seq(1001), octets(1000))
	d.recv(ACK, ack(2001))
	if d.c.cc.cwnd < cwnd || d.c.flags&flagTLPOut == 0 {
		d.failf("the episode has ended, cwnd %d", d.c.cc.cwnd)
	}
	d.recv(ACK, ack(2001), d.sacks(1001, 2001))
	if d.c.cc.cwnd < cwnd || d.c.flags&flagTLPOut != 0 {
		d.failf("the duplicate tells that nothing was lost; cwnd %d", d.c.cc.cwnd)
	}
}

// RFC 5681 section 4.3: "the loss of a retransmission, should be taken as two indications of
// congestion and, therefore, cwnd (and ssthresh) MUST be lowered twice in this case".
func TestC95LostRetransmissionLowersTheWindowTwice(t *testing.T) {
	d := selective(t)
	if !feature.RACK {
		t.Skip("without RACK it takes a timeout to find it")
	}
	d.slow(20)
	d.burst(20)
	d.advance(100 * ms)
	d.batch(func() {
		for i := range uint32(10) {
			d.input(ACK, build([]part{ack(1), d.sacks(1001, 2001+1000*i)}))
		}
	})
	d.want("fast retransmit", ACK, seq(1), octets(1000))
	once := d.c.cc.ssthresh
	d.ignore()
	d.advance(ms)
	d.write(3000) // as far as the window lets it, after the retransmission
	d.ignore()
	d.batch(func() {
		for i := range uint32(9) {
			d.input(ACK, build([]part{ack(1), d.sacks(1001, 12001+1000*i)}))
		}
	})
	d.ignore()
	if d.c.cc.ssthresh != once {
		d.failf("ssthresh %d, was %d: nothing else was lost", d.c.cc.ssthresh, once)
	}
	d.advance(100 * ms)
	end := d.nxt
	d.recv(ACK, ack(1), d.sacks(1001, end))
	d.want("and again", ACK, seq(1), octets(1000))
	factor := 0.5
	if feature.CUBIC {
		factor = 0.7
	}
	if got, want := float64(d.c.cc.ssthresh), float64(once)*factor; got < want-1 || got > want+1 {
		d.failf("ssthresh %.0f, want %.0f", got, want)
	}
	d.advance(100 * ms)
	d.recv(ACK, ack(end))
	if d.c.flags&flagRecovery != 0 || d.c.cc.cwnd > d.c.cc.ssthresh {
		d.failf("cwnd %d beyond ssthresh %d", d.c.cc.cwnd, d.c.cc.ssthresh)
	}
}

// What recovery could not send, for want of data, must not go out at once when it ends: slow
// start leads to ssthresh.
func TestC95NoBurstAtTheEndOfRecoveryForWantOfData(t *testing.T) {
	d := newDialogue(t, withSndBuf(300_000), withMemory(1<<20))
	if !feature.SACK {
		t.Skip("needs feature sack")
	}
	d.connect(mss(1000), rawOptions(optNop, optNop, optSACKPermitted, 2))
	d.c.snd.wnd = 1 << 20
	d.slow(60)
	d.batch(func() { d.write(60_000) })
	d.ignore()
	d.advance(100 * ms)
	d.batch(func() {
		d.input(ACK, build([]part{ack(1), d.sacks(1001, 4001)}))
	})
	d.ignore()
	d.recv(ACK, ack(1), d.sacks(1001, 60001))
	d.ignore()
	d.advance(100 * ms)
	d.batch(func() {
		d.input(ACK, build([]part{ack(60001)}))
		d.c.snd.wnd = 1 << 20
		d.write(60_000)
	})
	if n := len(d.ignore()); n > int(initialWindow(1000)/1000) {
		d.failf("%d segments at once", n)
	}
	if d.c.cc.ssthresh < 30_000 {
		d.failf("ssthresh %d", d.c.cc.ssthresh)
	}
	d.abort()
	d.ignore()
}

// A peer may cease to send blocks, as some do after their FIN: then it counts as one without
// SACK, and a loss costs no timeout.
func TestC99PeerThatCeasesToSACKIsRecoveredByDuplicates(t *testing.T) {
	d := selective(t)
	d.slow(10)
	d.recv(FIN | ACK)
	d.want("ACK of the FIN", ACK)
	d.burst(10)
	d.advance(100 * ms)
	d.recv(ACK, ack(1))
	d.recv(ACK, ack(1))
	d.wantNothing("two say nothing")
	d.recv(ACK, ack(1))
	d.want("fast retransmit", ACK, seq(1), octets(1000))
	d.recv(ACK, ack(1))
	d.recv(ACK, ack(1))
	d.advance(50 * ms)
	d.recv(ACK, ack(3001))
	d.want("partial ACK", ACK, seq(3001), octets(1000))
	d.wantNothing("the rest may have arrived")
	d.advance(50 * ms)
	d.recv(ACK, ack(10001))
	if d.c.flags&flagRecovery != 0 || d.c.cc.ssthresh >= 10000 {
		d.failf("flags %#x, ssthresh %d", d.c.flags, d.c.cc.ssthresh)
	}
}

// Windows that open, data and what answers our probes are no duplicates in this sense.
func TestC99WhatIsNoDuplicateIsNotCounted(t *testing.T) {
	d := selective(t)
	d.slow(10)
	d.burst(10)
	d.advance(100 * ms)
	for i := range uint32(4) {
		d.recv(ACK, ack(1), win(60000-i))
		d.wantNothing("another window")
	}
	d.recv(ACK, ack(1), win(59997))
	d.recv(ACK, ack(1), win(59997))
	d.wantNothing("two")
	d.recv(ACK, ack(2001), win(59997))
	d.recv(ACK, ack(2001), win(59997))
	d.recv(ACK, ack(2001), win(59997))
	d.wantNothing("two again")
	d.recv(ACK, ack(10001))
}
