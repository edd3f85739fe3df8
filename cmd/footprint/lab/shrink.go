package lab

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Shrinking is a program made smaller by what the go command can be told, cut by cut.
type Shrinking struct {
	Cuts  []Cut    `json:"cuts"` // the first is none
	Align int      `json:"align,omitempty"`
	Lines Lines    `json:"lines"`
	Kept  []string `json:"kept,omitempty"`  // packages that keep their lines: they are in the module cache
	Edges []Edge   `json:"edges,omitempty"` // calls for a profile
	Flags []string `json:"flags,omitempty"` // more for the go command, with that profile
}

// A Cut is what a program takes after it, with those before it.
type Cut struct {
	What    string `json:"what"`
	Program Sizes  `json:"program"`
	Empty   Sizes  `json:"empty"`          // a program that does nothing, built the same way
	Left    string `json:"left,omitempty"` // why the cut was not made, or ""
}

// Shrink tries all cuts on t, and on empty the same ones, and writes the sources for those to dir,
// which Prepare has made. A cut that does not make the program smaller is left out.
func (b *Builder) Shrink(ctx context.Context, t, empty Target, lines Lines, dir string) (*Shrinking, error) {
	s := &Shrinking{Lines: LinesKeep}
	now, base, err := b.both(ctx, t, empty, "measure")
	if err != nil {
		return nil, err
	}
	s.Cuts = append(s.Cuts, Cut{What: "as go build makes it", Program: now, Empty: base})
	// try measures the program with a cut, and reports whether it stays.
	try := func(what string, t, empty Target, do string) (bool, error) {
		cut := Cut{What: what}
		program, base, err := b.both(ctx, t, empty, do)
		if err != nil {
			return false, err
		}
		if program.Flash() >= now.Flash() {
			cut.Left = "the program would not be smaller"
		} else {
			cut.Program, cut.Empty, now = program, base, program
		}
		s.Cuts = append(s.Cuts, cut)
		return cut.Left == "", nil
	}

	what := "functions not aligned"
	t2, empty2 := t, empty
	t2.Align = leastInstruction(or(t.GOARCH, "amd64"))
	empty2.Align = t2.Align
	if t2.Align > 1 {
		what = fmt.Sprintf("functions aligned to %d bytes", t2.Align)
	}
	if t2.Align == 0 {
		s.leave(what, "WebAssembly has no addresses of code")
	} else if !b.says("link", "-funcalign") {
		s.leave(what, "the linker of this Go version has no flag -funcalign")
	} else if ok, err := try(what, t2, empty2, "measure"); err != nil {
		return nil, err
	} else if ok {
		t, empty, s.Align = t2, empty2, t2.Align
	}

	if lines != LinesKeep {
		t2, empty2 = t, empty
		if t2.Overlay, err = b.OneLine(ctx, t, lines, dir); err != nil {
			return nil, err
		}
		what = "a line for each function"
		if lines == LinesNone {
			what = "no lines"
		}
		empty2.Overlay = t2.Overlay
		if ok, err := try(what, t2, empty2, "measure"); err != nil {
			return nil, err
		} else if ok {
			t, empty, s.Lines, s.Kept = t2, empty2, lines, t2.Overlay.Kept
		}
	}

	what = "functions with one call inlined"
	in, err := b.inlineFor(ctx, t, s.Lines)
	if err != nil && t.GOARCH == "wasm" {
		s.leave(what, "the lines of calls can't be read from WebAssembly, and for amd64 there is an error in "+err.Error())
		return s, nil
	} else if err != nil {
		return nil, err
	}
	if len(in.Edges) == 0 {
		s.leave(what, "the program would not be smaller")
		return s, nil
	}
	profile := Pprof(in.Edges)
	file := filepath.Join(b.Out, "shrink.pgo")
	if err := os.WriteFile(file, profile, 0o666); err != nil {
		return nil, err
	}
	var more []string
	if b.says("compile", "alignhot", "-d=help") {
		// To the compiler, where a function is inlined is hot, and what is hot it aligns.
		more = append(more, "-gcflags=all=-d=alignhot=0")
	}
	t.flags = append([]string{"-pgo=" + file}, more...)
	empty.flags = t.flags
	if ok, err := try(what, t, empty, fmt.Sprintf("measure with profile %x %q", sha256.Sum256(profile), more)); err != nil {
		return nil, err
	} else if ok {
		s.Edges, s.Flags = in.Edges, more
	}
	return s, nil
}

// inlineFor is Inline of t. As the lines of calls can't be read from WebAssembly, that of the same
// program for amd64 stands in for it: a profile is for any architecture.
func (b *Builder) inlineFor(ctx context.Context, t Target, lines Lines) (*Inlining, error) {
	if t.GOARCH == "wasm" {
		t.GOOS, t.GOARCH, t.Env = "linux", "amd64", nil
		if t.Overlay != nil {
			dir := filepath.Join(b.Out, "amd64")
			if err := Prepare(dir); err != nil {
				return nil, err
			}
			var err error
			if t.Overlay, err = b.OneLine(ctx, t, lines, dir); err != nil {
				return nil, err
			}
		}
	}
	return b.Inline(ctx, t)
}

func (s *Shrinking) leave(what, why string) { s.Cuts = append(s.Cuts, Cut{What: what, Left: why}) }

// both measures a program and the empty one.
func (b *Builder) both(ctx context.Context, t, empty Target, do string) (program, base Sizes, err error) {
	x, err := b.measure(ctx, t, do)
	if err != nil {
		return Sizes{}, Sizes{}, err
	}
	y, err := b.measure(ctx, empty, do)
	if err != nil {
		return Sizes{}, Sizes{}, err
	}
	return x.Sizes, y.Sizes, nil
}

// says reports whether the tool's help has word in it: not every version of Go has all flags.
func (b *Builder) says(tool, word string, args ...string) bool {
	cmd := exec.Command("go", append([]string{"tool", tool}, args...)...)
	cmd.Dir, cmd.Env = b.Dir, Target{}.env()
	usage, _ := cmd.CombinedOutput() // that it was given nothing to do is an error
	return strings.Contains(string(usage), word)
}

// leastInstruction returns what addresses of instructions are multiples of, or 0.
func leastInstruction(goarch string) int {
	switch goarch {
	case "amd64", "386":
		return 1
	case "s390x", "riscv64": // without compressed instructions all sizes there are multiples of 4
		return 2
	case "wasm":
		return 0
	}
	return 4
}
