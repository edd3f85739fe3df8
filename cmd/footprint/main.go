// Footprint says what a program's features cost, in bytes, and what keeps its
// parts alive.
//
//	go run ./cmd/footprint                     # each profile and layer, beside other stacks
//	go run ./cmd/footprint packages [PROFILE]  # what one adds to an empty program, by package
//	go run ./cmd/footprint files [PROFILE]     # by source file
//	go run ./cmd/footprint symbols [PROFILE]   # by function and variable
//	go run ./cmd/footprint features [PROFILE]  # each feature toggled in each profile, or in one
//	go run ./cmd/footprint why SYMBOL [PROFILE]   # the shortest chain from the start to it
//	go run ./cmd/footprint roots [PROFILE]     # what would vanish with each entry point and package
//	go run ./cmd/footprint diff A B            # programs, git revisions or reports saved with -json
//	go run ./cmd/footprint check               # against the budgets in footprint.json
//	go run ./cmd/footprint html FILE           # all of it on one page
//	go run ./cmd/footprint tiny                # the smallest program that fetches a page
//	go run ./cmd/footprint inline FILE.pgo [PROFILE]  # a profile for go build -pgo that makes it smaller
//	go run ./cmd/footprint shrink DIR [PROFILE]  # all that makes it smaller as it is, and how to build it
//
// PROFILE is minimal, client (the default) or full, or any list of tags, such as
// client,no_timestamps.
//
// Figures are what a program adds to one that does nothing: section by section,
// built for linux with -trimpath, without symbol table and DWARF. The programs
// are in cmd/footprint/ref. What was measured is kept in the user's cache folder
// for as long as the Go files that it was made of stay the same.
//
// Flags stand before or behind the command:
//
//	-json           print the figures for machines
//	-arch ARCH      amd64, arm64, arm (GOARM=5), mipsle (softfloat), riscv64, wasip1, or all
//	-layer NAME     the program, default +socket
//	-C DIR          another Go module; it may have a footprint.json that describes it
//	-program PKG    one of its programs, or a file that is one
//	-tags TAGS      to build that with
//	-cache=false    build everything again
//	-write          check sets the budgets to slightly more than there is
//	-lines LINES    what shrink leaves of lines in traces: func (default), none or keep
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
	"runtime"
	"strings"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
	"github.com/bonsainet/bonsai/internal/feature/table"
)

type usageError string

func (e usageError) Error() string { return string(e) }

const hostOS, hostArch = runtime.GOOS, runtime.GOARCH

// An arch is a kind of machine to build for.
type arch struct {
	name, goos, goarch string
	env                []string
}

var archs = []arch{
	{"amd64", "linux", "amd64", nil},
	{"arm64", "linux", "arm64", nil},
	{"arm", "linux", "arm", []string{"GOARM=5"}},
	{"mipsle", "linux", "mipsle", []string{"GOMIPS=softfloat"}},
	{"riscv64", "linux", "riscv64", nil},
	{"wasip1", "wasip1", "wasm", nil},
}

// A tool is what one run of the command works with.
type tool struct {
	b          *lab.Builder
	p          *lab.Project
	own        bool   // the project is this module
	all, ram   string // programs: one that uses everything, one that prints what memory it takes; or ""
	arch       arch
	layer      string
	goVersion  string
	budgets    []budget
	references []reference
	json       bool
	rewrite    bool // footprint.json, by check
	lines      lab.Lines
	w          io.Writer
}

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

// A command takes at most max arguments, the last of which may be a profile.
type command struct {
	name     string
	min, max int
	args     string
	run      func(t *tool, ctx context.Context, args []string) error
}

var commands []command

func init() {
	commands = []command{
		{"packages", 0, 1, "[PROFILE]", func(t *tool, ctx context.Context, args []string) error {
			r, err := t.packages(ctx, t.profile(args))
			if err != nil {
				return err
			}
			return t.print(r, r.write)
		}},
		{"symbols", 0, 1, "[PROFILE]", func(t *tool, ctx context.Context, args []string) error {
			r, err := t.symbols(ctx, t.profile(args))
			if err != nil {
				return err
			}
			return t.print(r, func(w io.Writer) { r.writeAs(w, "symbol") })
		}},
		{"files", 0, 1, "[PROFILE]", func(t *tool, ctx context.Context, args []string) error {
			r, err := t.files(ctx, t.profile(args))
			if err != nil {
				return err
			}
			return t.print(r, func(w io.Writer) { r.writeAs(w, "file") })
		}},
		{"features", 0, 1, "[PROFILE]", (*tool).runFeatures},
		{"why", 1, 2, "SYMBOL [PROFILE]", (*tool).runWhy},
		{"roots", 0, 1, "[PROFILE]", (*tool).runRoots},
		{"diff", 2, 3, "A B [PROFILE]", (*tool).runDiff},
		{"check", 0, 0, "", (*tool).runCheck},
		{"html", 1, 1, "FILE", (*tool).runHTML},
		{"tiny", 0, 0, "", (*tool).runTiny},
		{"inline", 1, 2, "FILE.pgo [PROFILE]", (*tool).runInline},
		{"shrink", 1, 2, "DIR [PROFILE]", (*tool).runShrink},
	}
}

func run(ctx context.Context, args []string, w io.Writer) error {
	fs := flag.NewFlagSet("footprint", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	asJSON := fs.Bool("json", false, "")
	archName := fs.String("arch", "amd64", "")
	layer := fs.String("layer", "", "")
	dir := fs.String("C", "", "")
	program := fs.String("program", "", "")
	tags := fs.String("tags", "", "")
	cache := fs.Bool("cache", true, "")
	write := fs.Bool("write", false, "")
	lines := fs.String("lines", string(lab.LinesFunc), "")
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
	var cmd *command
	if len(rest) > 0 {
		var names []string
		for i := range commands {
			names = append(names, commands[i].name)
			if commands[i].name == rest[0] {
				cmd = &commands[i]
			}
		}
		if cmd == nil {
			return usageError(fmt.Sprintf("unknown command %s: the commands are none, %s", rest[0], strings.Join(names, ", ")))
		}
		if n := len(rest) - 1; n < cmd.min || n > cmd.max {
			return usageError(fmt.Sprintf("%d arguments: it is footprint %s %s; a list of tags has commas", n, cmd.name, cmd.args))
		}
	}
	t, err := newTool(*dir, *program, *tags, *cache)
	if err != nil {
		return err
	}
	defer t.b.Close()
	t.json, t.w, t.layer, t.rewrite, t.lines = *asJSON, w, *layer, *write, lab.Lines(*lines)
	if _, err := t.program(); err != nil {
		return err
	}
	if *archName == "all" {
		if cmd != nil {
			return usageError("-arch all goes with the table of profiles alone: name one for " + cmd.name)
		}
		return t.matrix(ctx)
	}
	if t.arch, err = findArch(*archName); err != nil {
		return err
	}
	if cmd != nil {
		return cmd.run(t, ctx, rest[1:])
	}
	r, err := t.profiles(ctx)
	if err != nil {
		return err
	}
	if err := t.print(r, r.write); err != nil {
		return err
	}
	return r.firstError()
}

func findArch(name string) (arch, error) {
	var names []string
	for _, a := range archs {
		if a.name == name || a.goarch == name {
			return a, nil
		}
		names = append(names, a.name)
	}
	return arch{}, usageError(fmt.Sprintf("unknown -arch %s: choose %s or all", name, strings.Join(names, ", ")))
}

// print writes v as JSON, or else as text does.
func (t *tool) print(v any, text func(io.Writer)) error {
	if t.json {
		e := json.NewEncoder(t.w)
		e.SetIndent("", "\t")
		return e.Encode(v)
	}
	text(t.w)
	return nil
}

// newTool finds out what the project is.
func newTool(dir, program, tags string, cache bool) (*tool, error) {
	root, err := moduleRoot(dir)
	if err != nil {
		return nil, err
	}
	b, err := lab.NewBuilder(root)
	if err != nil {
		return nil, err
	}
	if cache {
		b.Cache = lab.DefaultCache()
	}
	t := &tool{b: b, goVersion: lab.GoVersion(root)}
	if t.goVersion == "" {
		return nil, usageError("the go command is not in PATH: install Go")
	}
	if _, err := os.Stat(filepath.Join(root, refs, "empty")); err == nil && program == "" {
		t.own, t.p, t.budgets, t.references = true, bonsai(), targets, references
		t.all, t.ram = refs+"all", refs+"ram"
		return t, nil
	}
	if program == "" {
		t.p, err = lab.ReadProject(filepath.Join(root, "footprint.json"))
		if os.IsNotExist(err) {
			return nil, usageError("no footprint.json in " + root + ": add one that describes the project, or give -program PKG")
		} else if err != nil {
			return nil, err
		}
	} else {
		t.p = &lab.Project{
			Programs: []lab.Program{{Name: program, Package: program, Is: "as asked for"}},
			Profiles: []lab.Profile{{Name: "default", Tags: tags}},
		}
		if isFile(program) {
			t.p.Programs[0].Package, err = filepath.Abs(program)
		} else if strings.HasPrefix(program, "./") || strings.HasPrefix(program, "../") {
			if rel, err := filepath.Rel(root, filepath.Join(dir, program)); err == nil {
				t.p.Programs[0].Package = "./" + filepath.ToSlash(rel)
			}
		}
	}
	if t.p.Base == "" {
		t.p.Base, err = b.Empty()
	}
	return t, err
}

func isFile(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular() && !strings.HasSuffix(name, ".go")
}

// moduleRoot finds go.mod at or above dir.
func moduleRoot(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", usageError("no go.mod here or above: run it inside a Go module, or give one with -C")
		}
		dir = up
	}
}

// target returns package pkg for the machine that was asked for.
func (t *tool) target(pkg string) lab.Target {
	return lab.Target{Package: pkg, GOOS: t.arch.goos, GOARCH: t.arch.goarch, Env: t.arch.env}
}

// has reports whether a program can be built for the machine: TAP is Linux's,
// and WASI has no sockets to dial.
func (t *tool) has(l *lab.Program) bool {
	return !t.own || t.arch.goos == "linux" || l.Name != "+tap" && l.Name != "net.Dial"
}

// program returns the program that -layer names.
func (t *tool) program() (*lab.Program, error) {
	if t.layer == "" {
		return t.p.Default(), nil
	}
	if l := t.p.Program(t.layer); l != nil {
		return l, nil
	}
	var names string
	for i := range t.p.Programs {
		names += " " + t.p.Programs[i].Name
	}
	return nil, usageError(fmt.Sprintf("unknown layer %q: the layers are%s", t.layer, names))
}

// profile returns the one of args that names a profile, or the default.
func (t *tool) profile(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	if t.p.Profile("client") != nil {
		return "client"
	}
	return t.p.Profiles[0].Name
}

// tags returns the tags of what the user calls a profile: the name of one, or a
// list of tags.
func (t *tool) tags(s string) (string, error) {
	if p := t.p.Profile(s); p != nil {
		return p.Tags, nil
	}
	if t.own {
		if msg := table.Check(s); msg != "" {
			return "", usageError(msg)
		}
	}
	return s, nil
}

func (t *tool) runFeatures(ctx context.Context, args []string) error {
	if len(t.p.Features) == 0 {
		return usageError("the project has no features: list them in footprint.json")
	}
	profiles := t.p.Profiles
	if len(args) > 0 {
		p := t.p.Profile(args[0])
		if p == nil {
			var names []string
			for _, p := range t.p.Profiles {
				names = append(names, p.Name)
			}
			return usageError("no profile " + args[0] + ": the profiles are " + strings.Join(names, ", "))
		}
		profiles = []lab.Profile{*p}
	}
	r, err := t.features(ctx, profiles)
	if err != nil {
		return err
	}
	if err := t.print(r, r.write); err != nil {
		return err
	}
	return r.firstError()
}

// matrix prints the first layer's row for each kind of machine.
func (t *tool) matrix(ctx context.Context) error {
	var reports []*report
	for _, a := range archs {
		t.arch = a
		r, err := t.profiles(ctx)
		if err != nil {
			return err
		}
		reports = append(reports, r)
	}
	return t.print(reports, func(w io.Writer) { writeMatrix(w, reports) })
}
