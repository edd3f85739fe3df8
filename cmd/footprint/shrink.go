package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
)

// shrinkReport is what a program gains with all that the go command can be told.
type shrinkReport struct {
	Dir     string `json:"dir"` // that the overlay and the profile are in
	Profile string `json:"profile"`
	Layer   string `json:"layer"`
	Command string `json:"command"`
	*lab.Shrinking
}

const shrinkProfile = "inline.pgo"

func (t *tool) runShrink(ctx context.Context, args []string) error {
	l, err := t.program()
	if err != nil {
		return err
	}
	if isFile(l.Package) {
		return usageError("shrink builds the program: give the package that " + l.Package + " was built from")
	}
	switch t.lines {
	case lab.LinesKeep, lab.LinesFunc, lab.LinesNone:
	default:
		return usageError(fmt.Sprintf("unknown -lines %s: choose func, none or keep", t.lines))
	}
	x := t.target(l.Package)
	r := &shrinkReport{Profile: t.profile(args[1:]), Layer: l.Name}
	if x.Tags, err = t.tags(r.Profile); err != nil {
		return err
	}
	if r.Dir, err = filepath.Abs(args[0]); err != nil {
		return err
	}
	if err := lab.Prepare(r.Dir, shrinkProfile); err != nil {
		return err
	}
	if r.Shrinking, err = t.b.Shrink(ctx, x, t.target(t.p.Base), t.lines, r.Dir); err != nil {
		return err
	}
	if len(r.Edges) > 0 {
		if err := os.WriteFile(filepath.Join(r.Dir, shrinkProfile), lab.Pprof(r.Edges), 0o666); err != nil {
			return err
		}
	}
	r.Command = t.command(r, x)
	return t.print(r, r.write)
}

// command returns what makes the go command build the program.
func (t *tool) command(r *shrinkReport, x lab.Target) string {
	words := append([]string{"CGO_ENABLED=0"}, x.Env...)
	if x.GOOS != hostOS {
		words = append(words, "GOOS="+x.GOOS)
	}
	if x.GOARCH != hostArch {
		words = append(words, "GOARCH="+x.GOARCH)
	}
	words = append(words, "go")
	if wd, err := os.Getwd(); err != nil || wd != t.b.Dir {
		words = append(words, "-C", quoted(t.b.Dir))
	}
	words = append(words, "build", "-trimpath")
	if x.Tags != "" {
		words = append(words, "-tags="+x.Tags)
	}
	ldflags := "-s -w"
	if r.Align > 0 {
		ldflags += fmt.Sprintf(" -funcalign=%d", r.Align)
	}
	words = append(words, `-ldflags="`+ldflags+`"`)
	if r.Lines != lab.LinesKeep {
		words = append(words, "-overlay="+quoted(filepath.Join(r.Dir, "overlay.json")))
	}
	if len(r.Edges) > 0 {
		words = append(words, "-pgo="+quoted(filepath.Join(r.Dir, shrinkProfile)))
		words = append(words, r.Flags...)
	}
	return strings.Join(append(words, x.Package), " ")
}

// quoted returns a path as a shell takes it.
func quoted(path string) string {
	if strings.ContainsAny(path, " \t\"'$`*?[&|;<>()#~") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

func (r *shrinkReport) write(w io.Writer) {
	fmt.Fprintf(w, "%s with layer %s, the whole program, and what it adds to an empty one that is built the same way, in bytes:\n\n", r.Profile, r.Layer)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "text\trodata\tpclntab\tdata\tall of these\tadds: text\tall of these\t ")
	line := func(s, adds lab.Sizes, what string) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t %s\n", num(s.Text), num(s.Rodata), num(s.Pclntab), num(s.Data), num(s.Flash()),
			num(adds.Text), num(adds.Flash()), what)
	}
	made := slices.DeleteFunc(slices.Clone(r.Cuts), func(c lab.Cut) bool { return c.Left != "" })
	for i, c := range made {
		what := c.What
		if i > 0 {
			what = "and " + what
		}
		line(c.Program, c.Program.Sub(c.Empty), what)
	}
	first, last := made[0], made[len(made)-1]
	before, after := first.Program.Sub(first.Empty), last.Program.Sub(last.Empty)
	line(first.Program.Sub(last.Program), before.Sub(after), "less")
	cells := [7]string{}
	for i, of := range []func(s, adds lab.Sizes) int64{
		func(s, _ lab.Sizes) int64 { return s.Text },
		func(s, _ lab.Sizes) int64 { return s.Rodata },
		func(s, _ lab.Sizes) int64 { return s.Pclntab },
		func(s, _ lab.Sizes) int64 { return s.Data },
		func(s, _ lab.Sizes) int64 { return s.Flash() },
		func(_, adds lab.Sizes) int64 { return adds.Text },
		func(_, adds lab.Sizes) int64 { return adds.Flash() },
	} {
		if was := of(first.Program, before); was > 0 {
			cells[i] = fmt.Sprintf("%.1f", 100*float64(was-of(last.Program, after))/float64(was))
		}
	}
	fmt.Fprintf(t, "%s\t less, per cent\n", strings.Join(cells[:], "\t"))
	t.Flush()
	for _, c := range r.Cuts {
		if c.Left != "" {
			fmt.Fprintf(w, "\nLeft out: %s: %s.\n", c.What, c.Left)
		}
	}
	if len(made) == 1 {
		return
	}
	fmt.Fprintf(w, "\nBuild it with:\n\n%s\n\n", r.Command)
	switch r.Lines {
	case lab.LinesFunc:
		fmt.Fprintln(w, "Traces of panics name each function, its file and the line where it begins; with -lines=none, which saves more, no file and no line.")
	case lab.LinesNone:
		fmt.Fprintln(w, "Traces of panics name each function, but no file and no line.")
	}
	if n := len(r.Kept); n > 0 {
		way := "go mod vendor takes them out of there"
		if slices.Contains(r.Kept, "runtime") {
			way = "install this version of Go, which another one has downloaded"
		}
		fmt.Fprintf(w, "%d packages keep their lines, such as %s, since the go command replaces no file in the module cache: %s.\n", n, r.Kept[n-1], way)
	}
	if r.Align > 0 {
		fmt.Fprintln(w, "Where functions are not aligned, a hot loop may lie badly in the cache: leave out -funcalign where speed counts more.")
	}
	fmt.Fprintln(w, "It builds the sources as they are now, with this version of Go, on this machine: run shrink again when code changes.")
}
