package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
)

// inlineReport is what a program gains with a profile for the compiler.
type inlineReport struct {
	File    string `json:"file"` // that the profile is in
	Profile string `json:"profile"`
	Layer   string `json:"layer"`
	*lab.Inlining
}

func (t *tool) runInline(ctx context.Context, args []string) error {
	l, err := t.program()
	if err != nil {
		return err
	}
	if isFile(l.Package) {
		return usageError("inline builds the program: give the package that " + l.Package + " was built from")
	}
	if !strings.HasSuffix(args[0], ".pgo") {
		return usageError(args[0] + " is no name for a profile: the file's must end in .pgo")
	}
	if _, err := os.Stat(filepath.Dir(args[0])); err != nil {
		return err // better said now than when all is done
	}
	if t.arch.goarch == "wasm" {
		return usageError("the lines of calls can't be read from WebAssembly: make the profile for another -arch, the compiler takes that too")
	}
	x := t.target(l.Package)
	r := &inlineReport{File: args[0], Profile: t.profile(args[1:]), Layer: l.Name}
	if x.Tags, err = t.tags(r.Profile); err != nil {
		return err
	}
	if r.Inlining, err = t.b.Inline(ctx, x); err != nil {
		return err
	}
	if len(r.Edges) == 0 {
		return fmt.Errorf("no profile makes %s smaller: none was written", l.Package)
	}
	if err := os.WriteFile(r.File, lab.Pprof(r.Edges), 0o666); err != nil {
		return err
	}
	return t.print(r, r.write)
}

func (r *inlineReport) write(w io.Writer) {
	fmt.Fprintf(w, "%s with layer %s, the whole program, in bytes:\n\n", r.Profile, r.Layer)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "text\trodata\tpclntab\tdata\tall of these\t ")
	line := func(s lab.Sizes, what string) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t %s\n", num(s.Text), num(s.Rodata), num(s.Pclntab), num(s.Data), num(s.Flash()), what)
	}
	line(r.Before, "without a profile")
	line(r.After, "with "+r.File)
	line(r.Before.Sub(r.After), "less")
	t.Flush()
	fmt.Fprintf(w, "\n%d functions with one call are inlined there. Of the others, %d would make the program larger", r.Functions, r.Larger)
	for i, why := range slices.Sorted(maps.Keys(r.Left)) {
		if i == 0 {
			fmt.Fprint(w, ", and the compiler leaves alone:")
		}
		names, more := r.Left[why], ""
		if n := len(names) - 3; n > 0 {
			names, more = names[:3], fmt.Sprintf(" and %d more", n)
		}
		fmt.Fprintf(w, "\n  %s: %s%s", why, strings.Join(names, ", "), more)
	}
	fmt.Fprintf(w, "\nBuild with -pgo=%s, or name it default.pgo in the folder of package main.\n", r.File)
}
