package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bonsainet/bonsai/internal/relay"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/netif/emu/wall"
	"github.com/bonsainet/bonsai/netif/tap"
)

const linkHelp = `usage: bonsai link [flags] A B

Joins two Ethernet devices by a cable with the impairments that the flags describe, until
it is interrupted. A device is

	tap:NAME        a TAP interface of this network namespace, made if need be
	tap:NAME@NS     one of namespace NS: a name (ip netns), a process number, or a path

The kernel's end of each is then configured with ip(8). Frames go both ways alike, unless
-one-way keeps what loses, disturbs and limits to those from A to B.

	ip netns add left; ip netns add right
	bonsai link -delay 20ms -loss 1% -rate 10M tap:l@left tap:r@right &
	ip -n left address add 198.18.0.1/24 dev l; ip -n right address add 198.18.0.2/24 dev r
	ip netns exec left ping 198.18.0.2

`

// linkFlags reads what a link is to do from the command line.
func linkFlags(args []string, errs io.Writer) (c emu.Config, devices []string, stats time.Duration, ok bool) {
	flags := flag.NewFlagSet("bonsai link", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() {
		io.WriteString(errs, linkHelp)
		flags.PrintDefaults()
	}
	p := &c.Path
	var burst float64
	length := flags.Float64("burst-length", 3, "mean length of a burst of loss, in `frames`")
	oneWay := flags.Bool("one-way", false, "only delay frames from B to A")
	flags.IntVar(&c.MTU, "mtu", 1500, "largest packet, in `bytes`")
	flags.Uint64Var(&c.Seed, "seed", 1, "`number` that makes chance repeatable")
	flags.DurationVar(&stats, "stats", 0, "how `often` to print the counters")
	flags.Func("rate", "`bits` per second, as 10M or 512k; 0: no limit", func(s string) (err error) {
		p.Rate, err = parseRate(s)
		return err
	})
	flags.IntVar(&p.Queue, "queue", 0, "`frames` that may wait for a limited rate (default 100)")
	flags.IntVar(&p.QueueBytes, "queue-bytes", 0, "`bytes` that may")
	flags.IntVar(&p.Mark, "mark", 0, "mark ECN-capable packets CE that find so many `frames` waiting (default never)")
	flags.IntVar(&p.MarkBytes, "mark-bytes", 0, "or so many `bytes`")
	flags.BoolVar(&p.DropNotECT, "drop-not-ect", false, "drop others where -mark would mark them")
	delay := flags.Duration("delay", 0, "`time` that a frame takes, one way")
	jitter := flags.Duration("jitter", 0, "up to this `time` more")
	flags.BoolVar(&p.Overtake, "overtake", false, "jitter reorders")
	for _, f := range []struct {
		name, help string
		v          *float64
	}{
		{"loss", "`share` of frames lost, each on its own, as 1% or 0.01", &p.Loss},
		{"burst", "`share` of frames lost in bursts", &burst},
		{"corrupt", "`share` of frames with a bit flipped", &p.Corrupt},
		{"duplicate", "`share` of frames that arrive twice", &p.Duplicate},
		{"reorder", "`share` of frames that fall back", &p.Reorder},
	} {
		flags.Func(f.name, f.help, func(s string) (err error) {
			*f.v, err = parseShare(s)
			return err
		})
	}
	flags.IntVar(&p.ReorderBy, "reorder-by", 1, "behind how many `frames`")
	if flags.Parse(args) != nil {
		return c, nil, 0, false
	}
	if flags.NArg() != 2 {
		flags.Usage()
		return c, nil, 0, false
	}
	if p.Reorder == 0 {
		p.ReorderBy = 0
	}
	p.Delay, p.Jitter = netif.Time(*delay), netif.Time(*jitter)
	if burst > 0 && burst < 1 {
		leave := 1 / max(*length, 1)
		p.Burst = emu.Burst{Enter: min(1, burst*leave/(1-burst)), Leave: leave}
	}
	if *oneWay {
		c.Back = &emu.Path{Delay: p.Delay}
	}
	c.Clock = wall.New()
	if err := c.Validate(); err != nil {
		fmt.Fprintln(errs, "bonsai link:", err)
		return c, nil, 0, false
	}
	return c, flags.Args(), stats, true
}

// parseRate reads 10M, 512k, 1G or 64000.
func parseRate(s string) (int64, error) {
	unit := 1.0
	if n := len(s); n > 0 {
		if i := strings.IndexByte("kMG", s[n-1]); i >= 0 {
			unit, s = []float64{1e3, 1e6, 1e9}[i], s[:n-1]
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	return int64(v * unit), err
}

// parseShare reads 1% or 0.01.
func parseShare(s string) (float64, error) {
	unit := 1.0
	if strings.HasSuffix(s, "%") {
		s, unit = s[:len(s)-1], 100
	}
	v, err := strconv.ParseFloat(s, 64)
	if err == nil && !(v >= 0 && v <= unit) {
		err = fmt.Errorf("is not from 0 to 100%%")
	}
	return v / unit, err
}

// runLink joins two devices until it is interrupted or one of them goes away.
func runLink(args []string, out, errs io.Writer) int {
	c, names, every, ok := linkFlags(args, errs)
	if !ok {
		return 2
	}
	var devices [2]netif.Device
	for i, name := range names {
		d, err := openDevice(name, c.MTU)
		if err != nil {
			fmt.Fprintf(errs, "bonsai link: %s: %v\n", name, err)
			return 2
		}
		defer d.Close()
		devices[i] = d
	}
	pa, pb := emu.NewLink(c)
	ends := make(chan error, 2)
	go func() { ends <- relay.Join(devices[0], pa) }()
	go func() { ends <- relay.Join(devices[1], pb) }()
	fmt.Fprintf(out, "%s and %s are joined\n", names[0], names[1])
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var tick <-chan time.Time
	if every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-tick:
			there, back := pa.Stats()
			fmt.Fprintf(out, "%s > %s: %+v\n%s > %s: %+v\n", names[0], names[1], there, names[1], names[0], back)
		case <-signals:
			return 0
		case err := <-ends:
			fmt.Fprintln(errs, "bonsai link:", err)
			return 1
		}
	}
}

// openDevice opens what the command line names.
func openDevice(spec string, mtu int) (netif.Device, error) {
	kind, name, _ := strings.Cut(spec, ":")
	if kind != "tap" || name == "" {
		return nil, fmt.Errorf("is not tap:NAME or tap:NAME@NAMESPACE")
	}
	name, space, ok := strings.Cut(name, "@")
	if !ok {
		return tap.Open(tap.Config{Name: name, MTU: mtu, Up: true})
	}
	if _, err := strconv.Atoi(space); err == nil {
		space = "/proc/" + space + "/ns/net"
	} else if !strings.Contains(space, "/") {
		space = "/run/netns/" + space
	}
	return openIn(space, tap.Config{Name: name, MTU: mtu, Up: true})
}
