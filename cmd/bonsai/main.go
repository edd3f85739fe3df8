// Command bonsai is the toolbox for testing network stacks.
//
//	bonsai pkt [-v] [-target bonsai|kernel] FILE...    play packet scripts
//	bonsai link [flags] A B                             join two devices by a bad cable
//	bonsai plot [flags] FILE.pcap > FILE.svg            draw a TCP connection
//	bonsai bench [flags]                                measure stacks side by side
//
// See docs/pktest.md and docs/performance.md.
package main

import (
	"fmt"
	"io"
	"os"
)

// A command is one of bonsai's, each in a file of its own. It returns the exit
// status: 0, 1 if what it checks is wrong, 2 if it was called wrongly.
type command struct {
	name, args, help string
	run              func(args []string, out, errs io.Writer) int
}

var commands = []command{
	{"pkt", "[-v] [-target bonsai|kernel] FILE...", "play packet scripts against a stack", runPkt},
	{"link", "[flags] A B", "join two devices by an emulated cable: delay, loss, reordering...", runLink},
	{"plot", "[flags] FILE.pcap > FILE.svg", "draw a TCP connection of a capture", runPlot},
	{"bench", "[flags]", "measure stacks side by side", runBench},
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errs io.Writer) int {
	if len(args) > 0 {
		for _, c := range commands {
			if c.name == args[0] {
				return c.run(args[1:], out, errs)
			}
		}
		if args[0] != "help" && args[0] != "-h" && args[0] != "--help" {
			fmt.Fprintf(errs, "bonsai: no command %q\n", args[0])
		}
	}
	for _, c := range commands {
		fmt.Fprintf(errs, "bonsai %s %s\n\t%s\n", c.name, c.args, c.help)
	}
	return 2
}
