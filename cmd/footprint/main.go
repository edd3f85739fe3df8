// Footprint says what bonsai adds to a program, in bytes.
//
//	go run ./cmd/footprint                    # each profile and layer, beside other stacks
//	go run ./cmd/footprint packages PROFILE   # the same by package
//	go run ./cmd/footprint symbols PROFILE    # and by function and variable
//
// The reference client connects, writes, reads and closes; the programs are in
// cmd/footprint/ref. Figures are what they add to an empty Go program: section
// by section, built for linux with -trimpath, without symbol table and DWARF.
// PROFILE is minimal, client or full, or any list of tags, such as
// client,no_timestamps.
//
// Flags: -json prints the figures for machines; -layer chooses the program
// for packages and
// symbols (default +socket); -arch builds for another GOARCH.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
)

type usageError string

func (e usageError) Error() string { return string(e) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "footprint:", err)
		if _, ok := err.(usageError); ok {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, w io.Writer) error {
	fs := flag.NewFlagSet("footprint", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	asJSON := fs.Bool("json", false, "")
	arch := fs.String("arch", "amd64", "")
	layerName := fs.String("layer", "+socket", "")
	// Flags may stand before or behind the command.
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			return usageError(err.Error() + "; see go doc ./cmd/footprint")
		}
		if fs.NArg() == 0 {
			break
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}

	root, err := moduleRoot()
	if err != nil {
		return err
	}
	b, err := lab.NewBuilder(root)
	if err != nil {
		return err
	}
	defer b.Close()

	print := func(v any, text func(io.Writer)) error {
		if *asJSON {
			e := json.NewEncoder(w)
			e.SetIndent("", "\t")
			return e.Encode(v)
		}
		text(w)
		return nil
	}
	switch {
	case len(rest) == 0:
		r, err := profiles(ctx, b, *arch)
		if err != nil {
			return err
		}
		if err := print(r, r.write); err != nil {
			return err
		}
		return r.firstError()
	case len(rest) > 2:
		return usageError("too many arguments: give one profile, or a list of tags with commas")
	}
	profile := "client"
	if len(rest) == 2 {
		profile = rest[1]
	}
	switch rest[0] {
	case "packages":
		r, err := packages(ctx, b, *arch, profile, *layerName)
		if err != nil {
			return err
		}
		return print(r, r.write)
	case "symbols":
		r, err := symbols(ctx, b, *arch, profile, *layerName)
		if err != nil {
			return err
		}
		return print(r, r.write)
	}
	return usageError(fmt.Sprintf("unknown command %s: the commands are none, packages and symbols", rest[0]))
}

// moduleRoot finds the folder of the reference programs at or above the
// current one.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, empty)); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", usageError("run it inside a clone of bonsai: it builds the programs in " + refs)
		}
		dir = up
	}
}
