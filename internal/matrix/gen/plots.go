package main

import (
	"bytes"
	"os"

	"github.com/bonsainet/bonsai/internal/matrix"
	"github.com/bonsainet/bonsai/internal/plot"
	"github.com/bonsainet/bonsai/internal/sim"
)

// plots draws two transfers of this build: a clean slow start, and a recovery.
func plots() {
	trace("docs/slow-start.svg", matrix.Cell{RTT: 100, Rate: 10, Queue: 1},
		plot.Options{Title: "Slow start at 10 Mbit/s, 100 ms, a queue of one BDP", From: 0.48, To: 1.12})
	trace("docs/recovery.svg", matrix.Cell{RTT: 20, Rate: 10, Queue: 1, Loss: 0.01},
		plot.Options{Title: "Recovery at 10 Mbit/s, 20 ms, 1 % loss", From: 1.17, To: 1.25})
}

func trace(file string, c matrix.Cell, o plot.Options) {
	var capture bytes.Buffer
	var samples []plot.Sample
	var first sim.Time
	_, err := c.Measure(1, &capture, func(n *sim.Net, e *sim.End) {
		first = sim.Second // when the simulation began, and its first frame was sent
		var step func()
		step = func() {
			i := e.Conn.Info(n.Now())
			s := plot.Sample{T: float64(n.Now()-first) / float64(sim.Second), Cwnd: float64(i.SndCwnd * i.SndMSS), RTT: float64(i.RTT) / 1e6}
			if i.SndSsthresh < 1<<30 {
				s.Ssthresh = float64(i.SndSsthresh * i.SndMSS)
			}
			samples = append(samples, s)
			n.At(n.Now()+sim.Ms/2, step)
		}
		step()
	})
	check(err)
	flows, err := plot.Read(&capture)
	check(err)
	// A frame is captured when it is sent: ACKs reach the sender half a round trip later.
	half := float64(c.RTT) / 2000
	for i := range flows[0].Acks {
		a := &flows[0].Acks[i]
		a.T += half
		if a.RTT > 0 {
			a.RTT += half
		}
	}
	flows[0].Samples = samples
	check(os.WriteFile(file, []byte(flows[0].SVG(o)), 0o666))
}
