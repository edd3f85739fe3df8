// Command bench is bonsai bench with gVisor's stack as one more subject, over the same
// emulated link and over a TAP:
//
//	go run -tags full ./examples/bench
//
// It prints a table: what each stack did of each work, and how many times as much bonsai
// did in the same time. -h has the flags.
package main

import (
	"os"

	"github.com/bonsainet/bonsai/internal/bench"
)

func main() {
	subjects := append(bench.Subjects(),
		bench.Subject{Group: "sockets", Name: "gvisor", Help: "two of gVisor's stacks over the same emulated link", Open: openLink},
		bench.Subject{Group: "tap", Name: "gvisor", Help: "gVisor's stack over a TAP to the kernel's sockets", Open: openTAP},
	)
	os.Exit(bench.Main("go run ./examples/bench", os.Args[1:], subjects, os.Stdout, os.Stderr))
}
