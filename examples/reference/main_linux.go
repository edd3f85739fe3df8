// Reference measures senders beside each other, in real time, through the same emulated link
// to a Linux kernel that receives: the kernel with CUBIC, bonsai, and gVisor. It prints the
// tables of docs/loss.md. It takes root, and makes its own network namespaces.
//
//	go run ./examples/reference             # cells, short transfers, fairness: 10 minutes
//	go run ./examples/reference -cells 0 -short 0 -fair 30s
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/bonsainet/bonsai/internal/kernelif"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
)

// cell is a path. Rate, queue and loss are of the data's direction.
type cell struct {
	rtt, queue  float64 // ms; bandwidth-delay products
	loss        float64
	burst, reor bool
}

const rate = 10e6

func (c cell) path() (there, back emu.Path) {
	half := netif.Time(c.rtt * 5e5)
	there = emu.Path{Rate: rate, Delay: half, Queue: max(4, int(c.queue*c.rtt*rate/8e3/1514)), Loss: c.loss}
	if c.burst {
		there.Loss, there.Burst = 0, emu.Burst{Enter: c.loss / 3 / (1 - c.loss), Leave: 1.0 / 3}
	}
	if c.reor {
		there.Reorder, there.ReorderBy = 0.01, 5
	}
	return there, emu.Path{Delay: half}
}

func (c cell) String() string {
	s := fmt.Sprintf("%g ms, queue %g BDP, %g %% loss", c.rtt, c.queue, 100*c.loss)
	if c.burst {
		s += " in bursts"
	}
	if c.reor {
		s += ", 1 % reordered"
	}
	return s
}

func main() {
	cells := flag.Int("cells", 14, "`number` of paths")
	d := flag.Duration("time", 10*time.Second, "`time` that a transfer is measured, after 2 s")
	runs := flag.Int("runs", 3, "how `often` each is: the median counts")
	short := flag.Int("short", 400, "`number` of short transfers of each sender")
	fair := flag.Duration("fair", 30*time.Second, "`time` that two flows share a link, after half of that")
	side := flag.Int("side", 2, "how `many` paths at a time")
	flag.Parse()
	if status, ran := kernelif.Isolate(); ran {
		os.Exit(status)
	}
	log.SetFlags(0)
	if *cells > 0 {
		bulk(*cells, *side, *runs, *d)
	}
	if *short > 0 {
		tails(*short)
	}
	if *fair > 0 {
		share(*fair)
	}
}

var senders = []string{"kernel", "bonsai", "gvisor"}

// bulk prints the table of goodputs. The three senders of a path run at the same time, each
// on a link of its own; the median of some runs counts, for a program that has to wait for a
// processor at the wrong time may lose what it had not read.
func bulk(n, side, runs int, d time.Duration) {
	var list []cell
	for _, rtt := range []float64{20, 100} {
		list = append(list, cell{rtt: rtt, queue: 0.25}, cell{rtt: rtt, queue: 1})
		for _, loss := range []float64{0.001, 0.01, 0.03} {
			list = append(list, cell{rtt: rtt, queue: 1, loss: loss})
		}
		list = append(list, cell{rtt: rtt, queue: 1, loss: 0.01, burst: true}, cell{rtt: rtt, queue: 1, reor: true})
	}
	list = list[:min(n, len(list))]
	got := make([][3]float64, len(list))
	places := make(chan bool, max(side, 1))
	var wg sync.WaitGroup
	for i, c := range list {
		for k, s := range senders {
			wg.Add(1)
			if k == 0 {
				places <- true
			}
			go func() {
				defer wg.Done()
				there, back := c.path()
				var g []float64
				for range runs {
					p := newPair(s, there, back)
					g = append(g, p.goodput(2*time.Second, d))
					p.close()
				}
				slices.Sort(g)
				got[i][k] = g[len(g)/2]
				if k == 0 {
					<-places
				}
			}()
		}
	}
	wg.Wait()
	fmt.Print("\n| 10 Mbit/s | kernel, Mbit/s | bonsai | gVisor | bonsai / kernel | bonsai / gVisor |\n|---|--:|--:|--:|--:|--:|\n")
	for i, c := range list {
		g := got[i]
		fmt.Printf("| %s | %.2f | %.2f | %.2f | %.0f %% | %.0f %% |\n", c, g[0], g[1], g[2], 100*g[1]/g[0], 100*g[1]/g[2])
	}
}

// tails prints how long 64 KiB take on new connections through 20 ms and 3 % loss.
func tails(n int) {
	fmt.Printf("\n| 64 KiB, %d times | median | 90th percentile | 99th percentile |\n|---|--:|--:|--:|\n", n)
	for _, s := range senders {
		t := short(s, n)
		at := func(share float64) int64 { return t[int(share*float64(len(t)-1))].Milliseconds() }
		fmt.Printf("| %s | %d ms | %d ms | %d ms |\n", s, at(0.5), at(0.9), at(0.99))
	}
}
