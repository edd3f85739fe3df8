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
	"github.com/bonsainet/bonsai/internal/feature"
)

func main() {
	subjects := append(bench.Subjects(),
		bench.Subject{Group: "sockets", Name: "gvisor", Help: "two of gVisor's stacks over the same emulated link", Open: with(openLink, false)},
		bench.Subject{Group: "tap", Name: "gvisor", Help: "gVisor's stack over a TAP to the kernel's sockets", Open: with(openTAP, false)},
	)
	if feature.TSO { // the devices are bonsai's
		subjects = append(subjects,
			bench.Subject{Group: "sockets", Name: "gvisor-offload", Help: "the same with its host GSO: super-segments, no checksums", Open: with(openLink, true)},
			bench.Subject{Group: "tap", Name: "gvisor-offload", Help: "the same with its host GSO over vnet_hdr: super-segments, checksums left to the kernel", Open: with(openTAP, true)},
		)
	}
	os.Exit(bench.Main("go run ./examples/bench", os.Args[1:], subjects, os.Stdout, os.Stderr))
}

func with(open func(string, bench.Options, bool) (*bench.Case, error), offload bool) func(string, bench.Options) (*bench.Case, error) {
	return func(work string, o bench.Options) (*bench.Case, error) { return open(work, o, offload) }
}
