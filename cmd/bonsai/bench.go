package main

import (
	"io"

	"github.com/bonsainet/bonsai/internal/bench"
)

// runBench measures bonsai beside its peers.
func runBench(args []string, out, errs io.Writer) int {
	return bench.Main("go run ./cmd/bonsai bench", args, bench.Subjects(), out, errs)
}
