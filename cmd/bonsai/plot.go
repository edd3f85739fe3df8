package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/bonsainet/bonsai/internal/plot"
)

// runPlot draws a connection in a capture.
func runPlot(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("bonsai plot", flag.ContinueOnError)
	flags.SetOutput(errs)
	var o plot.Options
	flags.StringVar(&o.Title, "title", "", "`text` above the picture (default: the addresses)")
	flags.Float64Var(&o.From, "from", 0, "`seconds` after the first packet at which the picture begins")
	flags.Float64Var(&o.To, "to", 0, "`seconds` at which it ends")
	n := flags.Int("n", 0, "`number` of the direction to draw: 0 has the most data")
	samples := flags.String("samples", "", "`file` with the sender's own state: lines of seconds,cwnd,ssthresh,RTT in bytes and seconds")
	list := flags.Bool("list", false, "list the directions instead")
	if flags.Parse(args) != nil {
		return 2
	}
	if flags.NArg() != 1 {
		fmt.Fprintln(errs, "usage: bonsai plot [flags] FILE.pcap > FILE.svg")
		flags.PrintDefaults()
		return 2
	}
	f, err := os.Open(flags.Arg(0))
	if err != nil {
		fmt.Fprintln(errs, "bonsai plot:", err)
		return 2
	}
	defer f.Close()
	flows, err := plot.Read(bufio.NewReader(f))
	if err == nil && (*n < 0 || *n >= len(flows)) {
		err = fmt.Errorf("there are %d directions with data", len(flows))
	}
	if err == nil && *samples != "" {
		flows[*n].Samples, err = readSamples(*samples)
	}
	if err != nil {
		fmt.Fprintf(errs, "bonsai plot: %s: %v\n", flags.Arg(0), err)
		return 1
	}
	if *list {
		for i, f := range flows {
			fmt.Fprintf(out, "%d %s: %d segments, %d ACKs\n", i, f.Name, len(f.Segments), len(f.Acks))
		}
		return 0
	}
	io.WriteString(out, flows[*n].SVG(o))
	return 0
}

func readSamples(name string) (list []plot.Sample, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for i, l := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		var s plot.Sample
		if _, err := fmt.Sscanf(l, "%g,%g,%g,%g", &s.T, &s.Cwnd, &s.Ssthresh, &s.RTT); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
		list = append(list, s)
	}
	return list, nil
}
