// Package matrix measures the goodput of a bulk transfer over emulated paths of all
// kinds, in virtual time: loss x round trip x rate x queue x reordering, each with two
// seeds. What it measures is the TCP of the profile that it is built with.
//
//	go run ./internal/matrix/gen
//
// measures the variants that Variants lists, and writes testdata/goodput.csv and the
// pictures and tables of docs/loss.md.
package matrix

import (
	"fmt"
	"io"
	"math"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/sim"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
)

// Variants are the builds that are measured, with their tags.
var Variants = []struct{ Name, Tags, Help string }{
	{"minimal", "minimal,with_listen", "NewReno"},
	{"client-rack", "client,no_rack,with_listen", "SACK and CUBIC, no RACK"},
	{"client", "client,with_listen", "SACK, RACK and CUBIC"},
}

// Variant returns the name of the variant that this build is, or "".
func Variant() string {
	switch {
	case !feature.Listen:
	case feature.Profile == feature.Minimal && !feature.SACK && !feature.CUBIC && !feature.Timestamps:
		return "minimal"
	case feature.Profile == feature.Client && feature.RACK && feature.CUBIC:
		return "client"
	case feature.Profile == feature.Client && feature.SACK && feature.CUBIC:
		return "client-rack"
	}
	return ""
}

// A Cell is a path.
type Cell struct {
	Loss    float64 // of frames with data
	Burst   bool    // in bursts of 3 frames on average, else each on its own
	RTT     int     // ms, without queueing
	Rate    int     // Mbit/s
	Queue   float64 // of the bottleneck, in bandwidth-delay products
	Reorder bool    // 1 % of the frames fall back behind 5 others
}

var (
	Losses = []float64{0, 0.001, 0.01, 0.03, 0.1}
	RTTs   = []int{1, 20, 100, 300}
	Rates  = []int{10, 100}
	Queues = []float64{0.25, 1}
)

// Cells returns all of them.
func Cells() (cells []Cell) {
	for _, reorder := range []bool{false, true} {
		for _, rate := range Rates {
			for _, queue := range Queues {
				for _, rtt := range RTTs {
					for _, loss := range Losses {
						for _, burst := range []bool{false, true} {
							if loss > 0 || !burst {
								cells = append(cells, Cell{loss, burst, rtt, rate, queue, reorder})
							}
						}
					}
				}
			}
		}
	}
	return cells
}

// Seeds are what each cell is measured with.
var Seeds = []uint64{1, 2}

func (c Cell) String() string {
	s := fmt.Sprintf("%g%%", c.Loss*100)
	if c.Burst {
		s += "-bursts"
	}
	s += fmt.Sprintf("-%dms-%dM-%gBDP", c.RTT, c.Rate, c.Queue)
	if c.Reorder {
		s += "-reorder"
	}
	return s
}

// frameLen is that of a full segment on Ethernet, and mss its payload where both ends use
// timestamps.
const (
	frameLen = 1514
	mss      = 1448
)

// Path returns the way from the sender to the receiver, and the way back.
func (c Cell) Path() (there, back emu.Path) {
	half := sim.Time(c.RTT) * sim.Ms / 2
	bdp := float64(c.Rate) * 1e6 / 8 * float64(c.RTT) / 1000
	there = emu.Path{
		Rate:  int64(c.Rate) * 1e6,
		Queue: max(4, int(c.Queue*bdp/frameLen)),
		Delay: half,
	}
	if c.Burst {
		const leave = 1.0 / 3
		there.Burst = emu.Burst{Enter: c.Loss * leave / (1 - c.Loss), Leave: leave}
	} else {
		there.Loss = c.Loss
	}
	if c.Reorder {
		there.Reorder, there.ReorderBy = 0.01, 5
	}
	return there, emu.Path{Delay: half}
}

// buffer is that of both ends in bytes, if they don't tune it themselves: minimal is given what
// a window holds without scaling, not the few segments of its default.
func (c Cell) buffer() uint32 {
	if feature.Autotune {
		return 0
	}
	return 64 << 10
}

// Bound returns what the model allows, in Mbit/s: the link's rate less headers, or what
// the formula of Mathis, Semke, Mahdavi and Ott (1997) gives for a TCP like Reno,
// MSS/RTT * sqrt(3/2p).
func (c Cell) Bound() float64 {
	b := float64(c.Rate) * mss / frameLen
	if c.Loss > 0 {
		b = min(b, mss*8/float64(c.RTT)/1000*math.Sqrt(1.5/c.Loss))
	}
	return b
}

// Duration returns how long a cell is measured, and how long the transfer runs before
// that begins: slow start is not what this is about.
func (c Cell) Duration() (warm, d sim.Time) {
	rtt := sim.Time(c.RTT) * sim.Ms
	d = max(2*sim.Second, 60*rtt)
	if c.Loss >= 0.01 { // timeouts make it uneven, and it is cheap
		d = max(20*sim.Second, 200*rtt)
	}
	return max(sim.Second, 20*rtt), d
}

// Result is what a run gives.
type Result struct {
	Goodput  float64 // Mbit/s
	Segments int     // with data
	Again    int     // of these, sent again
	Timeouts int     // retransmission timeouts
}

// Measure runs a cell. If capture is not nil, it gets a pcap file.
func (c Cell) Measure(seed uint64, capture io.Writer, option func(n *sim.Net, e *sim.End)) (Result, error) {
	n := sim.New(sim.Options{Seed: seed, Pcap: capture})
	cfg := stack.Config{}
	if buffer := c.buffer(); buffer > 0 {
		cfg = stack.Config{Memory: 1 << 20, RcvBuf: buffer, SndBuf: buffer}
	}
	a, b := n.Host("a", cfg), n.Host("b", cfg)
	there, back := c.Path()
	first := emu.Path{Delay: there.Delay} // ARP and the handshake undisturbed: else cells can fail to begin
	pa, pb := n.Link(a, b, emu.Config{Frames: 1 << 16, Path: first})
	const all = 1 << 50
	begin := 5 * sim.Time(c.RTT) * sim.Ms
	v := b.Listen(80, 8, func(*sim.End) sim.App { return &sim.Bulk{Recv: all} })
	e := a.Dial(b.Endpoint(80), &sim.Bulk{Send: all, Begin: n.Now() + begin})
	if err := n.RunFor(begin - 1); err != nil {
		return Result{}, err
	}
	if err := pa.SetOut(there); err != nil {
		return Result{}, err
	}
	if err := pb.SetOut(back); err != nil {
		return Result{}, err
	}
	if len(v.Ends) != 1 {
		return Result{}, fmt.Errorf("no connection")
	}
	if option != nil {
		option(n, e)
	}
	warm, d := c.Duration()
	if err := n.RunFor(warm); err != nil {
		return Result{}, err
	}
	got := v.Ends[0].Received
	if err := n.RunFor(d); err != nil {
		return Result{}, err
	}
	t := e.Traffic()
	return Result{
		Goodput:  float64(v.Ends[0].Received-got) * 8 * float64(sim.Second) / float64(d) / 1e6,
		Segments: t.Segments, Again: t.Again, Timeouts: e.Timeouts,
	}, n.FlushPcap()
}
