package main

import (
	"flag"
	"io"

	"github.com/bonsainet/bonsai/pktest"
)

const pktHelp = `usage: bonsai pkt [flags] FILE-OR-FOLDER...

Plays .pkt scripts, in packetdrill's language, against a stack; docs/pktest.md describes them.

`

// runPkt plays scripts: files, or folders of .pkt files.
func runPkt(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("bonsai pkt", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() {
		io.WriteString(errs, pktHelp)
		flags.PrintDefaults()
	}
	verbose := flags.Bool("v", false, "draw what went to and fro")
	name := flags.String("target", "bonsai", "the stack to test: bonsai in virtual time, or the Linux kernel in real time, for root")
	if flags.Parse(args) != nil {
		return 2
	}
	target := map[string]func() pktest.Target{
		"bonsai": func() pktest.Target { return pktest.NewBonsai() },
		"kernel": pktest.NewKernel,
	}[*name]
	if target == nil || flags.NArg() == 0 {
		flags.Usage()
		return 2
	}
	if pktest.Play(out, flags.Args(), target, *verbose) > 0 {
		return 1
	}
	return 0
}
