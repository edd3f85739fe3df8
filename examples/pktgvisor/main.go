// Pktgvisor plays .pkt scripts against gVisor's network stack, in virtual time: how
// to test a stack that is not bonsai. It prints a line for each script, and for one
// that fails what was expected and what came.
//
//	go run ./examples/pktgvisor [-v] FILE-OR-FOLDER...
//	go run ./examples/pktgvisor pktest/testdata/scripts/sack
//
// All that is needed is a pktest.Target for the stack: gvisortarget is gVisor's.
package main

import (
	"flag"
	"os"

	"github.com/bonsainet/bonsai/examples/internal/gvisortarget"
	"github.com/bonsainet/bonsai/pktest"
)

func main() {
	verbose := flag.Bool("v", false, "draw what went to and fro")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if pktest.Play(os.Stdout, flag.Args(), gvisortarget.New, *verbose) > 0 {
		os.Exit(1)
	}
}
