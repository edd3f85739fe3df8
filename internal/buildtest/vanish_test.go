package buildtest

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
	"github.com/bonsainet/bonsai/internal/feature/table"
)

// client is the reference client: sockets over a stub device. all is the same with a
// call of everything that there is: of a feature that only a call switches on, such
// as rawsock, the reference client has nothing, whether it is gated or not.
const (
	client = "./cmd/footprint/ref/socket"
	all    = "./cmd/footprint/ref/all"
)

// TestVanishWhatIsOffIsNotInTheBinary builds a program that calls everything, for
// each profile and with each feature toggled. No function, method or variable that
// is declared in a file of a feature that is off may be in the binary.
//
// The file of a feature is PACKAGE/FEATURE.go, FEATURE_*.go or *_FEATURE.go, or
// any in a package called FEATURE.
func TestVanishWhatIsOffIsNotInTheBinary(t *testing.T) {
	decls := declared(t, root)
	b := builder(t)
	if _, err := b.Build(context.Background(), lab.Target{Package: all}); err != nil {
		t.Fatal(err) // once
	}
	for _, build := range table.Builds() {
		t.Run(build.Name, func(t *testing.T) {
			t.Parallel()
			bin, err := b.Measure(context.Background(), lab.Target{Package: all, Tags: build.Tags})
			if err != nil {
				t.Fatal(err)
			}
			for _, msg := range remains(build, decls, bin.Symbols) {
				t.Error(msg)
			}
		})
	}
}

// TestVanishFindsWhatRemains checks the test above on two small programs: one
// with a proper gate and one that calls a feature's function without.
func TestVanishFindsWhatRemains(t *testing.T) {
	const dir = "internal/buildtest/testdata"
	b := builder(t)
	off := table.Builds()[0]
	on := off
	on.On = slices.Repeat([]bool{true}, len(table.Rows))
	for _, c := range []struct {
		program string
		tags    string
		build   table.Build
		want    []string
	}{
		{"gated", "minimal", off, nil},
		{"gated", "minimal,with_urgent", on, nil},
		{"gated", "minimal,with_urgent", off, []string{
			"urgent is off, but dir/gated/urgent.go:6: dir/gated.table is in the binary",
			"urgent is off, but dir/gated/urgent.go:11: dir/gated.(*urgent).mark is in the binary",
		}},
		{"leaky", "minimal", off, []string{
			"urgent is off, but dir/leaky/urgent.go:14: dir/leaky.(*state).grow is in the binary",
			"urgent is off, but dir/leaky/urgent.go:24: dir/leaky.table is in the binary",
		}},
		{"leaky", "minimal,with_urgent", on, nil},
	} {
		bin, err := b.Measure(context.Background(), lab.Target{Package: "./" + dir + "/" + c.program, Tags: c.tags})
		if err != nil {
			t.Fatal(err)
		}
		decls := declared(t, filepath.Join(root, dir, c.program))
		for i := range decls {
			// main's symbols do not have the package's path.
			decls[i].symbol = strings.Replace(decls[i].symbol, module, "main", 1)
		}
		got := remains(c.build, decls, bin.Symbols)
		for i, s := range got {
			got[i] = strings.ReplaceAll(strings.ReplaceAll(s, "main.", "dir/"+c.program+"."), "but ", "but dir/"+c.program+"/")
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s with %s: got %q, want %q", c.program, c.tags, got, c.want)
		}
	}
}

// TestVanishEachFeatureHasAFile finds features that the tests above do not
// see.
func TestVanishEachFeatureHasAFile(t *testing.T) {
	without := []string{
		"bigtables", // sizes of tables
	}
	decls := declared(t, root)
	for _, r := range table.Rows {
		n := 0
		for _, d := range decls {
			if d.feature == r.Name {
				n++
			}
		}
		if slices.Contains(without, r.Name) {
			if n > 0 {
				t.Errorf("%s has a file: take it off the list", r.Name)
			}
		} else if n == 0 {
			t.Errorf("no file PACKAGE/%s.go declares a function or a variable", r.Name)
		}
	}
}

// TestVanishRequestsThatNobodyCalls holds Ioctl to be inlined: the reference client
// sets an address and a route, and has nothing of the other groups of requests.
func TestVanishRequestsThatNobodyCalls(t *testing.T) {
	bin, err := builder(t).Measure(context.Background(), lab.Target{Package: client, Tags: "full"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range bin.Symbols {
		for _, f := range []string{"ioctlLink", "ioctlARP", "ioctlIfconf"} {
			if strings.HasSuffix(s.Name, "stack.(*Stack)."+f) {
				t.Errorf("%s is in the binary: stack.HandlerOf or Ioctl is not inlined", s.Name)
			}
		}
	}
}

// A decl is something that a feature's file declares.
type decl struct {
	feature string
	where   string // file:line
	symbol  string // in the binary
}

// declared reads the files of features below dir, and returns what they
// declare: functions, methods and variables. Types and constants leave no symbol
// of their own.
func declared(t *testing.T, dir string) []decl {
	var out []decl
	fset := token.NewFileSet()
	for file := range goFilesIn(t, dir) {
		name := featureOf(file)
		if name == "" {
			continue
		}
		f, err := parser.ParseFile(fset, filepath.Join(dir, file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			continue
		}
		pkg := symbolPrefix(path.Join(module, path.Dir(file)))
		add := func(pos token.Pos, symbol string) {
			p := fset.Position(pos)
			rel, err := filepath.Rel(dir, p.Filename)
			if err != nil {
				t.Fatal(err)
			}
			p.Filename, p.Column = filepath.ToSlash(rel), 0
			out = append(out, decl{name, p.String(), pkg + "." + symbol})
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				add(d.Pos(), funcSymbol(d))
			case *ast.GenDecl:
				for _, s := range d.Specs {
					v, ok := s.(*ast.ValueSpec)
					if !ok || d.Tok != token.VAR {
						continue
					}
					for _, n := range v.Names {
						if n.Name != "_" {
							add(n.Pos(), n.Name)
						}
					}
				}
			}
		}
	}
	return out
}

// featureOf returns the feature to which a file belongs by its path, or "".
func featureOf(file string) string {
	base := strings.TrimSuffix(path.Base(file), ".go")
	for _, r := range table.Rows {
		if base == r.Name || path.Base(path.Dir(file)) == r.Name || strings.HasPrefix(base, r.Name+"_") || strings.HasSuffix(base, "_"+r.Name) {
			return r.Name
		}
	}
	return ""
}

// funcSymbol returns a function's name in the symbol table, without the
// package.
func funcSymbol(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	typ, star := d.Recv.List[0].Type, false
	if s, ok := typ.(*ast.StarExpr); ok {
		typ, star = s.X, true
	}
	if x, ok := typ.(*ast.IndexExpr); ok {
		typ = x.X
	}
	name := typ.(*ast.Ident).Name
	if star {
		name = "(*" + name + ")"
	}
	return name + "." + d.Name.Name
}

// symbolPrefix writes an import path as symbols have it.
func symbolPrefix(pkg string) string {
	i := strings.LastIndexByte(pkg, '/') + 1
	return pkg[:i] + strings.ReplaceAll(pkg[i:], ".", "%2e")
}

// remains returns a line for each decl of a feature that build has not, and
// that is among syms all the same: itself, its instances, or closures in it.
func remains(build table.Build, decls []decl, syms []lab.Symbol) []string {
	names := map[string]bool{}
	for _, s := range syms {
		names[plainName(s.Name)] = true
	}
	var out []string
	for _, d := range decls {
		on := slices.IndexFunc(table.Rows[:], func(r table.Row) bool { return r.Name == d.feature })
		if !build.On[on] && names[d.symbol] {
			out = append(out, d.feature+" is off, but "+d.where+": "+d.symbol+" is in the binary")
		}
	}
	return out
}

// plainName cuts what the compiler adds to a declared name: type arguments,
// and .func1, -fm, .deferwrap2 and the like.
func plainName(s string) string {
	if i := strings.IndexByte(s, '['); i > 0 {
		s = s[:i]
	}
	for _, suffix := range []string{".func", ".gowrap", ".deferwrap", "-fm", "-range", "·f"} {
		if i := strings.Index(s, suffix); i > 0 {
			s = s[:i]
		}
	}
	return s
}

// TestBudgetStandardLibrary looks at what of the standard library the
// reference client drags in, in each profile.
func TestBudgetStandardLibrary(t *testing.T) {
	b := builder(t)
	base, err := b.Measure(context.Background(), lab.Target{Package: "./cmd/footprint/ref/empty"})
	if err != nil {
		t.Fatal(err)
	}
	for p, profile := range table.Profiles {
		bin, err := b.Measure(context.Background(), lab.Target{Package: client, Tags: profile})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range lab.Divide(bin, base).Standard {
			if limit, ok := stdBudget[s.Name]; !ok && s.Text > 0 || s.Text > limit {
				t.Errorf("%s: %s adds %d bytes of machine code, allowed are %d", table.Profiles[p], s.Name, s.Text, limit)
			}
		}
	}
}

// stdBudget says how many bytes of machine code the reference client may add
// of each package; what is not named may add none. An empty program has much of
// runtime, and a little of sync and time.
var stdBudget = map[string]int64{
	"runtime":                 16_000,
	"internal/runtime/maps":   4_000,
	"internal/runtime/atomic": 500,
	"internal/abi":            500,
	"internal/bytealg":        1_000,
	"internal/reflectlite":    1_000,
	"internal/stringslite":    500,
	"internal/sync":           3_000,
	"internal/race":           500,
	"internal/chacha8rand":    1_000,
	"internal/byteorder":      500,
	"math/rand/v2":            2_000,
	"math/bits":               500,
	"errors":                  1_000,
	"math":                    100,
	"sync":                    4_000,
	"sync/atomic":             500,
}

func builder(t *testing.T) *lab.Builder {
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return &lab.Builder{Dir: dir, Out: t.TempDir()}
}
