package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// hungry plays a peer behind a link that drops what has more than most bytes of payload,
// without a word, until all of total bytes have arrived or end is reached. It acknowledges
// every segment, with SACK blocks if selective.
type hungry struct {
	*dialogue
	most      int
	total     uint32
	selective bool

	rcv     uint32         // next in sequence, relative
	early   map[uint32]int // out of order: position to length
	dropped map[int]int    // how often segments of that length were
	queue   []sent         // on their way
}

func newHungry(t *testing.T, selective bool, most int) *hungry {
	if !feature.PLPMTUD {
		t.Skip("needs feature plpmtud")
	}
	d := newDialogue(t, withSndBuf(400000))
	p := []part{mss(1460)}
	if selective {
		p = append(p, sackOK)
	}
	d.connect(p...)
	return &hungry{dialogue: d, most: most, selective: selective, rcv: 1, early: map[uint32]int{}, dropped: map[int]int{}}
}

func (h *hungry) take() { h.queue = append(h.queue, h.ignore()...) }

func (h *hungry) send(total uint32, end pkt.Time) {
	h.total += total
	for h.rcv < 1+h.total && h.now < end {
		if n := int(h.total - h.written); n > 0 {
			h.tryWrite(min(n, 100000))
			h.take()
		}
		list := h.queue
		if h.queue = nil; len(list) == 0 {
			h.advance(min(h.c.Deadline(), end) - h.now)
			h.take()
			continue
		}
		h.advance(10 * ms)
		h.take()
		for _, x := range list {
			n := len(x.Payload)
			if n > h.most {
				h.dropped[n]++
				continue
			}
			at := x.Seq - h.iss
			h.early[at] = max(h.early[at], n)
			for more := true; more; {
				more = false
				for a, n := range h.early {
					if a <= h.rcv {
						if a+uint32(n) > h.rcv {
							h.rcv, more = a+uint32(n), true
						}
						delete(h.early, a)
					}
				}
			}
			if h.selective && at > h.rcv {
				h.recv(ACK, ack(h.rcv), sack(at, at+uint32(n)))
			} else {
				h.recv(ACK, ack(h.rcv))
			}
			h.take()
		}
	}
}

// A path that drops full segments without a word: after three timeouts smaller ones get through,
// and the search then comes within 8 bytes of what the path takes.
func TestC38BlackHoleIsFoundAndMeasured(t *testing.T) {
	for _, selective := range []bool{false, true} {
		for _, most := range []int{1024, 1200, 1453} {
			h := newHungry(t, selective, most)
			start := h.now
			h.send(8e5, start+300*sec)
			if h.rcv != 1+h.total {
				t.Fatalf("selective %v, %d bytes pass: stuck at %d", selective, most, h.rcv)
			}
			if got := h.c.MSS(); got > most || got < most-probeStep {
				t.Errorf("selective %v, %d bytes pass: MSS %d", selective, most, got)
			}
			if n := h.dropped[1460]; n > 20 {
				t.Errorf("selective %v: %d full segments", selective, n)
			}
		}
	}
}

// Where only the probe is lost, "the loss SHOULD NOT be interpreted as congestion signal" (RFC 4821
// section 7.6.2).
func TestC38LossOfAProbeIsNoCongestion(t *testing.T) {
	for _, selective := range []bool{false, true} {
		h := newHungry(t, selective, 1100)
		h.send(300000, h.now+100*sec) // found
		lost, cwnd, thresh := 0, h.c.cc.cwnd, h.c.cc.ssthresh
		holeOf(&h.c).at, holeOf(&h.c).high = h.now, min(h.c.snd.peer, h.c.snd.path)+1
		before := len(h.dropped)
		for n := range h.dropped {
			lost -= h.dropped[n]
		}
		h.send(2e6, h.now+100*sec)
		for n := range h.dropped {
			lost += h.dropped[n]
		}
		if lost < 2 {
			t.Fatalf("selective %v: %d probes were lost, of %d lengths", selective, lost, before)
		}
		if h.c.cc.ssthresh != thresh || h.c.cc.cwnd < cwnd {
			t.Errorf("selective %v: cwnd %d, ssthresh %d, before %d lost probes %d and %d",
				selective, h.c.cc.cwnd, h.c.cc.ssthresh, lost, cwnd, thresh)
		}
	}
}

// A path that takes all again, or a peer that was away, gets full segments again.
func TestC38FullSizeAgainWhereItPasses(t *testing.T) {
	for _, selective := range []bool{false, true} {
		h := newHungry(t, selective, 1100)
		h.send(2e6, h.now+300*sec)
		h.most = 1460
		h.advance(probeAgain)
		h.send(2e6, h.now+300*sec)
		if got := h.c.MSS(); got != 1460 {
			t.Errorf("selective %v: MSS %d", selective, got)
		}
		h.c.close()
		if x := holesOf(&h.env); x.free != 1 {
			t.Error("its place is not free")
		}
	}
}

// What is not of full size says nothing about the path's MTU, nor does a closed window.
func TestC38SmallSegmentsAreNoBlackHole(t *testing.T) {
	if !feature.PLPMTUD {
		t.Skip("needs feature plpmtud")
	}
	d := established(t)
	d.write(500)
	d.ignore()
	for range 6 {
		d.advance(d.c.Deadline() - d.now)
		d.ignore()
	}
	if d.c.MSS() != 1460 || d.c.snd.q.hole[:][0] != 0 {
		t.Error("MSS is ", d.c.MSS())
	}
}
