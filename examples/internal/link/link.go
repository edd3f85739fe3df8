// Package link gives examples their flags for an emulated Ethernet and for recording
// it.
package link

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/netif/emu/wall"
	"github.com/bonsainet/bonsai/netif/pcap"
)

// Flags are -loss, -delay, -rate, -seed, -mtu and -pcap.
type Flags struct {
	Loss  float64
	Delay time.Duration
	Rate  int64
	Seed  uint64
	MTU   int
	Pcap  string
}

// Register defines the flags; flag.Parse follows.
func Register() *Flags {
	f := &Flags{}
	flag.Func("loss", "`share` of frames lost, each way, such as 2% or 0.02", func(s string) (err error) {
		p, percent := strings.CutSuffix(s, "%")
		f.Loss, err = strconv.ParseFloat(p, 64)
		if percent {
			f.Loss /= 100
		}
		return err
	})
	flag.DurationVar(&f.Delay, "delay", 0, "`time` of propagation, each way, such as 20ms")
	flag.Func("rate", "`bits` per second, each way, such as 100M", func(s string) (err error) {
		var v float64
		unit := int64(1)
		for i, c := range "kMG" {
			if strings.HasSuffix(s, string(c)) {
				s, unit = s[:len(s)-1], [...]int64{1e3, 1e6, 1e9}[i]
			}
		}
		v, err = strconv.ParseFloat(s, 64)
		f.Rate = int64(v * float64(unit))
		return err
	})
	flag.Uint64Var(&f.Seed, "seed", 1, "`number` that decides which frames are lost")
	flag.IntVar(&f.MTU, "mtu", 1500, "largest IPv4 packet, in `bytes`")
	flag.StringVar(&f.Pcap, "pcap", "", "`file` to record all frames in, for Wireshark")
	return f
}

// Impaired says whether the link is less than perfect.
func (f *Flags) Impaired() bool { return f.Loss > 0 || f.Delay > 0 || f.Rate > 0 }

// String describes the link.
func (f *Flags) String() string {
	s := fmt.Sprintf("emulated Ethernet, MTU %d", f.MTU)
	if f.Loss > 0 {
		s += fmt.Sprintf(", %g%% loss", f.Loss*100)
	}
	if f.Delay > 0 {
		s += fmt.Sprintf(", %v delay", f.Delay)
	}
	if f.Rate > 0 {
		s += fmt.Sprintf(", %g Mbit/s", float64(f.Rate)/1e6)
	}
	if f.Loss > 0 || f.Delay > 0 {
		s += ", each way"
	}
	return s
}

// Open returns the two ends of the link. Closing the first one ends the recording.
func (f *Flags) Open() (ours, peers netif.Device, err error) {
	c := emu.Config{MTU: f.MTU, Seed: f.Seed, Path: emu.Path{Loss: f.Loss, Delay: netif.Time(f.Delay), Rate: f.Rate}}
	if f.Delay > 0 || f.Rate > 0 {
		c.Clock = wall.New()
	}
	if f.Rate > 0 { // the queue is as long as the round trip, as routers' are
		c.Path.QueueBytes = max(100*(f.MTU+14), int(f.Rate/8*int64(2*f.Delay)/1e9))
	}
	if err := c.Validate(); err != nil {
		return nil, nil, err
	}
	a, b := emu.NewLink(c)
	ours, err = f.Record(a)
	return ours, b, err
}

// Record returns dev, recorded if -pcap says so.
func (f *Flags) Record(dev netif.Device) (netif.Device, error) {
	if f.Pcap == "" {
		return dev, nil
	}
	file, err := os.Create(f.Pcap)
	if err != nil {
		return nil, err
	}
	return pcap.Wrap(dev, file), nil
}
