package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
)

// tinyReport is what the smallest program is, and that it works.
type tinyReport struct {
	Tags  string    `json:"tags"`
	File  int64     `json:"file"` // stripped
	Adds  lab.Sizes `json:"adds"` // to an empty program
	Flash int64     `json:"flash"`
	Page  string    `json:"page"` // what it fetched
	Took  string    `json:"took"`
}

// runTiny builds the program with as little as there is, and lets it fetch a
// page from one that runs beside it.
func (t *tool) runTiny(ctx context.Context, args []string) error {
	if !t.own {
		return usageError("tiny is a program of bonsai's: run it there")
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" || t.arch.name != "amd64" {
		return usageError("tiny runs what it builds, for linux/amd64: use such a machine")
	}
	tags, _ := t.p.Bare(&t.p.Profiles[0])
	client, server := t.target(refs+"tiny"), t.target(refs+"page")
	client.Tags, server.Tags = tags, "full"
	var bins [2]*lab.Binary
	var paths [2]string
	var errs [4]error
	lab.Parallel(2, func(i int) {
		bins[i], errs[i] = t.b.Measure(ctx, []lab.Target{client, t.target(t.p.Base)}[i])
		paths[i], errs[2+i] = t.b.Build(ctx, []lab.Target{client, server}[i])
	})
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	r := &tinyReport{Tags: tags, File: bins[0].Sizes.File, Adds: bins[0].Sizes.Sub(bins[1].Sizes)}
	r.Flash = r.Adds.Flash()
	ends, err := framePair()
	if err != nil {
		return err
	}
	defer ends[0].Close()
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	page := exec.CommandContext(ctx, paths[1])
	page.Stdin, page.Stderr = ends[1], os.Stderr
	if err := page.Start(); err != nil {
		return err
	}
	ends[1].Close()
	defer func() { page.Process.Kill(); page.Wait() }()
	start := time.Now()
	var out, msgs bytes.Buffer
	fetch := exec.CommandContext(ctx, paths[0])
	fetch.Stdin, fetch.Stdout, fetch.Stderr = ends[0], &out, &msgs
	err = fetch.Run()
	r.Took = time.Since(start).Round(time.Millisecond).String()
	if _, r.Page, _ = strings.Cut(out.String(), "\r\n\r\n"); r.Page == "" {
		return fmt.Errorf("the program fetched nothing: %v %s", err, strings.TrimSpace(msgs.String()))
	}
	return t.print(r, func(w io.Writer) {
		fmt.Fprintf(w, "The smallest program that fetches a page (tags %s): a file of %s bytes, stripped.\n", r.Tags, num(r.File))
		fmt.Fprintf(w, "To an empty program it adds %s: text %s, rodata %s, pclntab %s, data %s; bss %s.\n", num(r.Flash), num(r.Adds.Text),
			num(r.Adds.Rodata), num(r.Adds.Pclntab), num(r.Adds.Data), num(r.Adds.Bss))
		fmt.Fprintf(w, "It ran, and fetched in %s from net/http on bonsai: %s\n", r.Took, strings.TrimSpace(r.Page))
	})
}
