package main

import (
	"flag"
	"fmt"
	"io"

	"github.com/bonsainet/bonsai/pktest"
)

// runPkt plays scripts: files, or folders of .pkt files.
func runPkt(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("bonsai pkt", flag.ContinueOnError)
	flags.SetOutput(errs)
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
	var passed, failed, skipped int
	for _, path := range flags.Args() {
		files, err := pktest.Scripts(path)
		if err != nil {
			fmt.Fprintln(errs, err)
			failed++
			continue
		}
		for _, f := range files {
			s, err := pktest.ReadScript(f)
			if err != nil {
				fmt.Fprintln(out, err)
				failed++
				continue
			}
			r := pktest.Run(s, target())
			switch {
			case r.Skipped != "":
				skipped++
				fmt.Fprintf(out, "skip  %s: %s\n", f, r.Skipped)
				continue
			case r.Failed():
				failed++
				fmt.Fprintf(out, "FAIL  %s\n%s", f, r)
			default:
				passed++
				fmt.Fprintf(out, "ok    %s\n", f)
			}
			if *verbose {
				fmt.Fprint(out, r.Ladder.String())
			}
		}
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	if failed > 0 {
		return 1
	}
	return 0
}
