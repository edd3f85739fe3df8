package sim

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/tcp"
)

// ecnRun says what a transfer through 20 Mbit/s and 40 ms saw. 67 frames are then on the link
// without a queue.
type ecnRun struct {
	goodput float64 // Mbit/s
	again   int     // segments sent again
	link    emu.Stats
	queue   float64 // frames that wait, on average, once slow start is over
	peak    int
}

// transferECN sends 32 MiB. ECT packets are marked where mark frames wait.
func transferECN(t *testing.T, path emu.Path, from, to tcp.ECNMode) (r ecnRun) {
	t.Helper()
	needListen(t)
	if !feature.ECN {
		t.Skip("needs feature ecn")
	}
	const size = 32 << 20
	path.Rate, path.Delay, path.Queue = 20e6, 20*Ms, 100
	n := New(Options{Seed: 1})
	a, b := n.Host("a", stack.Config{ECN: from}), n.Host("b", stack.Config{ECN: to})
	pa, _ := n.Link(a, b, emu.Config{Path: path, Back: &emu.Path{Delay: 20 * Ms}})
	v := b.Listen(80, 1, func(*End) App { return &Bulk{Recv: size} })
	e := a.Dial(b.Endpoint(80), &Bulk{Send: size})
	samples, sum := 0, 0
	var sample func()
	sample = func() {
		if e.Finished != 0 {
			return
		}
		if s, _ := pa.Stats(); n.Now() > 4*Second {
			waiting := max(0, int(s.Sent-s.Delivered-s.QueueDrops)-34) // 20 ms of frames are under way
			samples++
			sum += waiting
			r.peak = max(r.peak, waiting)
		}
		n.At(n.Now()+Ms, sample)
	}
	n.At(n.Now(), sample)
	if err := n.Run(Minute); err != nil {
		t.Fatal(err)
	}
	r.goodput = v.Ends[0].Goodput() / 1e6
	r.again = e.Traffic().Again
	r.link, _ = pa.Stats()
	r.queue = float64(sum) / float64(samples)
	t.Logf("%.1f Mbit/s, %d sent again, queue %.0f on average, %d at most: %+v", r.goodput, r.again, r.queue, r.peak, r.link)
	return r
}

// TestC104MarksTakeThePlaceOfLoss: a queue that marks at 20 frames keeps a flow with ECN near the
// link's rate, with nothing lost and nothing sent again, and stays short (RFC 3168 section 6.1);
// dropping what has no ECN there makes no difference to it.
func TestC104MarksTakeThePlaceOfLoss(t *testing.T) {
	plain := transferECN(t, emu.Path{}, tcp.ECNAsk, tcp.ECNAnswer)
	if plain.again == 0 || plain.link.Marked != 0 {
		t.Error("without marking nothing is lost: the test shows nothing")
	}
	for _, p := range []emu.Path{{Mark: 20}, {Mark: 20, DropNotECT: true}, {MarkBytes: 20 * 1514}} {
		r := transferECN(t, p, tcp.ECNAsk, tcp.ECNAnswer)
		if r.again != 0 || r.link.QueueDrops != 0 || r.link.Marked == 0 {
			t.Errorf("%+v: %d segments sent again, %+v", p, r.again, r.link)
		}
		if r.goodput < 18.5 || r.goodput < 0.98*plain.goodput { // 19.1 is all of the link
			t.Errorf("%+v: %.1f Mbit/s, %.1f without marking", p, r.goodput, plain.goodput)
		}
		if r.peak > 30 || r.queue > plain.queue/4 {
			t.Errorf("%+v: a queue of %.1f frames, %d at most; %.1f without marking", p, r.queue, r.peak, plain.queue)
		}
	}
}

// TestC105MarkingQueueWithoutECN: an end that does not ask, or does not answer, sends nothing that
// could be marked. Its flow is as without a marking queue, or loses what others have marked.
func TestC105MarkingQueueWithoutECN(t *testing.T) {
	plain := transferECN(t, emu.Path{}, tcp.ECNOff, tcp.ECNOff)
	for _, mode := range [][2]tcp.ECNMode{{tcp.ECNAsk, tcp.ECNOff}, {tcp.ECNAnswer, tcp.ECNAnswer}, {tcp.ECNOff, tcp.ECNAsk}} {
		r := transferECN(t, emu.Path{Mark: 20}, mode[0], mode[1])
		if r.link != plain.link || r.goodput != plain.goodput {
			t.Errorf("%v: %.1f Mbit/s, %+v; without marking %.1f, %+v", mode, r.goodput, r.link, plain.goodput, plain.link)
		}
		r = transferECN(t, emu.Path{Mark: 20, DropNotECT: true}, mode[0], mode[1])
		if r.link.Marked != 0 || r.link.QueueDrops == 0 || r.again == 0 || r.peak > 21 {
			t.Errorf("%v: %d sent again, queue %d: %+v", mode, r.again, r.peak, r.link)
		}
		if r.goodput < 18.5 {
			t.Errorf("%v: %.1f Mbit/s", mode, r.goodput)
		}
	}
}

// TestC104FlowsWithECNShareAQueue: two that have it, from either end of their connections, and
// two that don't all get through a queue that marks for the ones and drops for the others, and the
// ones lose nothing.
func TestC104FlowsWithECNShareAQueue(t *testing.T) {
	needListen(t)
	if !feature.ECN {
		t.Skip("needs feature ecn")
	}
	const size = 8 << 20
	n := New(Options{Seed: 3})
	path := emu.Path{Rate: 20e6, Delay: 10 * Ms, Queue: 100, Mark: 20, DropNotECT: true}
	a, b := n.Host("a", stack.Config{ECN: tcp.ECNAsk}), n.Host("b", stack.Config{ECN: tcp.ECNAnswer})
	old := n.Host("old", stack.Config{ECN: tcp.ECNOff})
	n.Switch(emu.SwitchConfig{}, a, b, old)
	if err := b.ports[0].(*emu.SwitchPort).SetIn(path); err != nil {
		t.Fatal(err)
	}
	b.Listen(80, 8, func(*End) App { return &Bulk{Recv: size} })
	var with, without []*End
	for range 2 {
		with = append(with, a.Dial(b.Endpoint(80), &Bulk{Send: size}))
		without = append(without, old.Dial(b.Endpoint(80), &Bulk{Send: size}))
	}
	if err := n.Run(Minute); err != nil {
		t.Fatal(err)
	}
	for _, e := range with {
		if k := e.Traffic().Again; k != 0 {
			t.Errorf("%d sent again with ECN", k)
		}
	}
	for _, e := range without {
		if k := e.Traffic().Again; k == 0 {
			t.Error("nothing lost without ECN")
		}
	}
}
