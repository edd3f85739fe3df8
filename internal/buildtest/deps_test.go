package buildtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
	"github.com/bonsainet/bonsai/internal/feature/table"
)

const module = "github.com/bonsainet/bonsai"

// root is the folder of the module, seen from this one.
const root = "../.."

// engine is what packages below socket may import of the standard library, and
// core what socket may: the rest costs too much.
var (
	engine = []string{"errors", "math/bits", "math/rand/v2", "unsafe"}
	core   = append(slices.Clone(engine), "sync", "sync/atomic")
	pieces = []string{"ipv4", "route", "netif", "tcp", "udp", "stack", "internal/pkt", "internal/errno", "internal/feature"}
)

// A rule says what a package may import: packages of the standard library,
// packages of this module, and other modules. "*" stands for all.
type rule struct {
	pkg     string
	std     []string
	bonsai  []string
	outside []string
}

// rules is the table of layers. A package may import those of the rows above
// it that are named; nothing inside imports what brings an import of its own
// (netif/tap, netif/pcap, stack/rtnetlink).
var rules = []rule{
	{"internal/feature/tags", nil, nil, nil},
	{"internal/feature/table", nil, nil, nil},
	{"internal/feature", nil, []string{"internal/feature/tags"}, nil},
	{"internal/errno", engine, []string{"internal/feature"}, nil},
	{"internal/pkt", engine, []string{"internal/feature"}, nil},
	{"ipv4", engine, []string{"internal/feature", "internal/pkt", "internal/errno"}, nil},
	{"route", engine, []string{"internal/feature", "internal/pkt", "internal/errno", "ipv4"}, nil},
	{"netif", engine, []string{"internal/feature", "internal/pkt", "internal/errno", "ipv4"}, nil},
	{"tcp", engine, []string{"internal/feature", "internal/pkt", "internal/errno", "ipv4"}, nil},
	{"udp", engine, []string{"internal/feature", "internal/pkt", "internal/errno", "ipv4"}, nil},
	{"stack", engine, []string{"internal/feature", "internal/feature/table", "internal/pkt", "internal/errno", "ipv4", "route", "netif", "tcp", "udp"}, nil},
	{"socket", append(slices.Clone(engine), "sync/atomic"), pieces, nil},

	// Leaves: a program has them only if it imports them.
	{"stack/rtnetlink", engine, pieces, nil},
	{"netif/emu", core, []string{"internal/pkt", "internal/errno", "netif"}, nil},
	{"netif/emu/wall", append(slices.Clone(core), "time"), []string{"internal/pkt", "internal/errno", "netif", "netif/emu"}, nil},
	{"netif/pcap", append(slices.Clone(core), "encoding/binary", "io", "os", "time"), []string{"internal/feature", "internal/pkt", "internal/errno", "netif"}, nil},
	{"netif/tap", append(slices.Clone(core), "fmt", "io", "net", "os", "strings", "syscall", "time"), []string{"internal/feature", "internal/pkt", "internal/errno", "netif"},
		[]string{"github.com/songgao/water", "golang.org/x/sys/unix"}},
	{"socket/gonet", append(slices.Clone(core), "context", "io", "net", "net/netip", "os", "strconv", "syscall", "time"), append(slices.Clone(pieces), "socket"), nil},

	// Tools and test kits.
	{"pktest", []string{"*"}, []string{"*"}, []string{"github.com/google/gopacket", "github.com/google/gopacket/layers", "github.com/google/gopacket/pcapgo"}},
	{"netif/devtest", []string{"*"}, []string{"netif"}, nil},
	{"internal/shapetest", []string{"*"}, nil, nil},
	{"internal/sim", []string{"*"}, []string{"*"}, nil},
	{"internal/kernelif", []string{"*"}, []string{"ipv4"}, nil},
	{"internal/tapnet", []string{"*"}, []string{"*"}, nil},
	{"internal/matrix", []string{"*"}, []string{"*"}, nil},
	{"internal/matrix/gen", []string{"*"}, []string{"*"}, nil},
	{"internal/plot", []string{"*"}, []string{"*"}, []string{"github.com/google/gopacket", "github.com/google/gopacket/layers", "github.com/google/gopacket/pcapgo"}},
	{"internal/bench", []string{"*"}, []string{"*"}, nil},
	{"internal/bench/benchtest", []string{"*"}, []string{"*"}, nil},
	{"internal/relay", []string{"*"}, []string{"*"}, nil},
	{"internal/buildtest", []string{"*"}, []string{"*"}, nil},
	{"cmd", []string{"*"}, []string{"*"}, nil}, // and all below it
}

func ruleFor(pkg string) *rule {
	for i := range rules {
		if rules[i].pkg == pkg || rules[i].pkg == "cmd" && strings.HasPrefix(pkg, "cmd/") {
			return &rules[i]
		}
	}
	return nil
}

// check returns what is wrong with pkg importing imp.
func (r *rule) check(imp string) string {
	list, what := r.outside, "outside of the standard library"
	if rest, ok := strings.CutPrefix(imp, module+"/"); ok {
		list, what, imp = r.bonsai, "of its own module", rest
	} else if lab.Standard(imp) {
		list, what = r.std, "of the standard library"
	}
	if slices.Contains(list, imp) || slices.Contains(list, "*") {
		return ""
	}
	if len(list) == 0 {
		return fmt.Sprintf("imports %s: it may import nothing %s", imp, what)
	}
	return fmt.Sprintf("imports %s: %s, it may import only %s", imp, what, strings.Join(list, ", "))
}

// TestDepsEachPackageImportsOnlyWhatItsLayerMay looks at every file, whatever
// its build constraints, but not at tests.
func TestDepsEachPackageImportsOnlyWhatItsLayerMay(t *testing.T) {
	known := map[string]bool{}
	for file := range goFilesIn(t, root) {
		pkg := path.Dir(file)
		r := ruleFor(pkg)
		if r == nil {
			if !known[pkg] {
				t.Errorf("%s has no row in the table of layers, rules in deps_test.go: add one", pkg)
				known[pkg] = true
			}
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, i := range f.Imports {
			imp, _ := strconv.Unquote(i.Path.Value)
			if msg := r.check(imp); msg != "" {
				t.Errorf("%s %s", file, msg)
			}
		}
	}
}

func TestDepsRuleNamesTheImport(t *testing.T) {
	for _, c := range []struct{ pkg, imp, want string }{
		{"tcp", "fmt", "imports fmt: of the standard library, it may import only"},
		{"tcp", "sync", "imports sync: of the standard library, it may import only"},
		{"tcp", module + "/netif", "imports netif: of its own module, it may import only"},
		{"tcp", module + "/ipv4", ""},
		{"socket", "sync/atomic", ""},
		{"socket", "sync", "imports sync: of the standard library, it may import only"},
		{"socket", "golang.org/x/sys/unix", "imports golang.org/x/sys/unix: it may import nothing outside"},
		{"cmd/footprint/lab", "debug/elf", ""},
	} {
		if got := ruleFor(c.pkg).check(c.imp); !strings.HasPrefix(got, c.want) || got != "" && c.want == "" {
			t.Errorf("%s: got %q, want %q", c.pkg, got, c.want)
		}
	}
}

// TestDepsClosureOfTheEngine follows the imports to their end, in each
// profile: what the core packages may import drags in nothing else.
func TestDepsClosureOfTheEngine(t *testing.T) {
	for _, c := range []struct {
		pkgs    []string
		allowed []string
	}{
		{[]string{"ipv4", "route", "netif", "tcp", "udp", "stack"}, engine},
		{[]string{"socket"}, core},
	} {
		allowed := map[string]bool{}
		for _, p := range list(t, "", c.allowed...) {
			allowed[p] = true
		}
		for _, profile := range table.Profiles {
			for _, pkg := range c.pkgs {
				if files, _ := filepath.Glob(filepath.Join(root, pkg, "*.go")); len(files) == 0 {
					continue
				}
				for _, p := range list(t, profile, "./"+pkg) {
					rest, own := strings.CutPrefix(p, module+"/")
					switch {
					case own && rest != pkg && !slices.Contains(pieces, rest) && rest != "internal/feature/tags" && rest != "internal/feature/table":
						t.Errorf("%s with tag %s reaches %s", pkg, profile, p)
					case !own && !allowed[p]:
						t.Errorf("%s with tag %s reaches %s, which %s do not", pkg, profile, p, strings.Join(c.allowed, ", "))
					}
				}
			}
		}
	}
}

// list returns the import paths of pkgs and of all that they import.
func list(t *testing.T, tags string, pkgs ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-deps", "-tags=" + tags}, pkgs...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if e, ok := err.(*exec.ExitError); ok {
		t.Fatalf("go list %v: %s", pkgs, e.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// goFilesIn yields the paths, seen from dir, of all Go files in and below it
// but tests and what is in examples and testdata.
func goFilesIn(t *testing.T, dir string) func(func(string) bool) {
	return func(yield func(string) bool) {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name := d.Name()
			if d.IsDir() {
				if p != dir && (name[0] == '.' || name[0] == '_' || name == "testdata" || p == filepath.Join(root, "examples")) {
					return fs.SkipDir
				}
				return nil
			}
			if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return nil
			}
			rel, err := filepath.Rel(dir, p)
			if err != nil {
				return err
			}
			if !yield(filepath.ToSlash(rel)) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
