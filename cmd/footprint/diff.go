package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
)

// A side is one of the two that diff compares.
type side struct {
	bin      *lab.Binary    // a build
	symbols  *symbolReport  // or a report of footprint symbols -json
	features *featureReport // or one of footprint features -json
}

// A change is what one name has in B and has not in A.
type change struct {
	Name   string `json:"name"`
	A      int64  `json:"a"` // flash
	B      int64  `json:"b"`
	Change int64  `json:"change"`
}

type diffReport struct {
	A        string    `json:"a"`
	B        string    `json:"b"`
	Total    lab.Sizes `json:"total"`
	Of       string    `json:"features_are"` // what the figures by feature are
	Features []change  `json:"features"`
	Packages []change  `json:"packages"`
	Symbols  []change  `json:"symbols"`
}

func (t *tool) runDiff(ctx context.Context, args []string) error {
	r, err := t.diff(ctx, args[0], args[1], t.profile(args[2:]))
	if err != nil {
		return err
	}
	return t.print(r, r.write)
}

func (t *tool) diff(ctx context.Context, nameA, nameB, profile string) (*diffReport, error) {
	a, err := t.side(ctx, nameA, profile)
	if err != nil {
		return nil, err
	}
	b, err := t.side(ctx, nameB, profile)
	if err != nil {
		return nil, err
	}
	r := &diffReport{A: nameA, B: nameB}
	if a.features != nil || b.features != nil {
		if a.features == nil || b.features == nil {
			return nil, usageError("one of the two is a report of features: give two of them, or two of symbols")
		}
		r.Of = "what each costs, if used"
		r.Features = changes(featureCosts(a.features), featureCosts(b.features))
		return r, nil
	}
	r.Total = b.total().Sub(a.total())
	r.Of = "bytes in files of its own"
	if a.bin != nil && b.bin != nil {
		r.Features = changes(t.inFiles(a.bin), t.inFiles(b.bin))
	}
	r.Packages = changes(a.by(lab.PackageOf), b.by(lab.PackageOf))
	r.Symbols = changes(a.by(nil), b.by(nil))
	return r, nil
}

// side finds out what name is: a program, a saved report, or a git revision.
func (t *tool) side(ctx context.Context, name, profile string) (*side, error) {
	if !isFile(name) {
		bin, err := t.revision(ctx, name, profile)
		return &side{bin: bin}, err
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(strings.TrimSpace(string(data[:min(len(data), 100)])), "{") {
		bin, err := lab.Read(name)
		if err == nil && len(bin.Symbols) == 0 {
			err = fmt.Errorf("%s has no symbol table: build it without -ldflags=-s", name)
		}
		return &side{bin: bin}, err
	}
	var s symbolReport
	var f featureReport
	if json.Unmarshal(data, &s) == nil && len(s.Symbols) > 0 {
		return &side{symbols: &s}, nil
	}
	if json.Unmarshal(data, &f) == nil && len(f.Rows) > 0 {
		return &side{features: &f}, nil
	}
	return nil, fmt.Errorf("%s is neither a report of footprint symbols -json nor of footprint features -json", name)
}

// revision builds the program of a git revision, in a folder of its own.
func (t *tool) revision(ctx context.Context, rev, profile string) (*lab.Binary, error) {
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = t.b.Dir
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
	top, err := git("rev-parse", "--show-toplevel")
	if err != nil {
		return nil, usageError(rev + " is no file, and there is no git repository here: give a program, a report or a revision")
	}
	commit, err := git("rev-parse", "--verify", "--quiet", rev+"^{commit}")
	if err != nil {
		return nil, usageError(rev + " is neither a file nor a revision: see git log")
	}
	tree, err := os.MkdirTemp(t.b.Out, "tree")
	if err != nil {
		return nil, err
	}
	if _, err := git("worktree", "add", "--detach", "--force", tree, commit); err != nil {
		return nil, fmt.Errorf("git worktree add for %s failed: is the repository complete?", rev)
	}
	defer git("worktree", "remove", "--force", tree)
	sub, err := filepath.Rel(top, t.b.Dir)
	if err != nil {
		return nil, err
	}
	l, err := t.program()
	if err != nil {
		return nil, err
	}
	x := t.target(l.Package)
	if x.Tags, err = t.tags(profile); err != nil {
		return nil, err
	}
	b := &lab.Builder{Dir: filepath.Join(tree, sub), Out: t.b.Out, Cache: t.b.Cache}
	bin, err := b.Measure(ctx, x)
	if err != nil {
		return nil, fmt.Errorf("%s: %v", rev, err)
	}
	return bin, nil
}

func (s *side) total() lab.Sizes {
	if s.symbols != nil {
		return s.symbols.Total
	}
	return s.bin.Sizes
}

// by adds up by what name makes of symbols' names.
func (s *side) by(name func(string) string) map[string]int64 {
	m := map[string]int64{}
	add := func(n string, size int64) {
		if name != nil {
			if n = name(n); n == "" {
				n = "(shared)"
			}
		}
		m[n] += size
	}
	if s.symbols != nil {
		for _, x := range s.symbols.Symbols {
			add(x.Name, x.Flash())
		}
		return m
	}
	for i := range s.bin.Symbols {
		if x := &s.bin.Symbols[i]; x.Kind != lab.Bss {
			add(x.Name, x.Size)
		}
	}
	return m
}

// inFiles adds up what lies in the files of each feature: NAME.go, NAME_*.go,
// *_NAME.go, and those in a folder NAME.
func (t *tool) inFiles(b *lab.Binary) map[string]int64 {
	m := map[string]int64{}
	for i := range b.Symbols {
		s := &b.Symbols[i]
		if s.File == "" || lab.Standard(s.Package) {
			continue
		}
		base := strings.TrimSuffix(path.Base(s.File), ".go")
		for _, f := range t.p.Features {
			if base == f.Name || strings.HasPrefix(base, f.Name+"_") || strings.HasSuffix(base, "_"+f.Name) || path.Base(path.Dir(s.File)) == f.Name {
				m[f.Name] += s.Size
				break
			}
		}
	}
	return m
}

func featureCosts(r *featureReport) map[string]int64 {
	m := map[string]int64{}
	for _, x := range r.Rows {
		sign := "+"
		if x.On {
			sign = "-"
		}
		m[x.Profile+sign+x.Feature] = x.UsedAll
	}
	return m
}

// changes returns what differs, the largest first.
func changes(a, b map[string]int64) (out []change) {
	for name, n := range b {
		if n != a[name] {
			out = append(out, change{name, a[name], n, n - a[name]})
		}
	}
	for name, n := range a {
		if _, ok := b[name]; !ok && n != 0 {
			out = append(out, change{name, n, 0, -n})
		}
	}
	abs := func(n int64) int64 { return max(n, -n) }
	slices.SortFunc(out, func(x, y change) int {
		return cmp.Or(cmp.Compare(abs(y.Change), abs(x.Change)), cmp.Compare(x.Name, y.Name))
	})
	return out
}

func (r *diffReport) write(w io.Writer) {
	fmt.Fprintf(w, "From %s to %s, in bytes of flash.\n", r.A, r.B)
	if len(r.Packages)+len(r.Symbols) > 0 || len(r.Features) == 0 {
		fmt.Fprintf(w, "In all %s: text %s, rodata %s, pclntab %s, data %s; bss %s.\n", signed(r.Total.Flash()), signed(r.Total.Text), signed(r.Total.Rodata),
			signed(r.Total.Pclntab), signed(r.Total.Data), signed(r.Total.Bss))
	}
	list := func(what string, l []change) {
		if len(l) == 0 {
			return
		}
		fmt.Fprintf(w, "\nby %s:\n", what)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "change\tA\tB\t name")
		for _, c := range l[:min(len(l), 40)] {
			fmt.Fprintf(t, "%s\t%s\t%s\t %s\n", signed(c.Change), num(c.A), num(c.B), c.Name)
		}
		t.Flush()
		if len(l) > 40 {
			fmt.Fprintf(w, "and %d more: see -json\n", len(l)-40)
		}
	}
	list("feature: "+r.Of, r.Features)
	list("package", r.Packages)
	list("symbol", r.Symbols)
}

func signed(n int64) string {
	if n > 0 {
		return "+" + num(n)
	}
	return num(n)
}
