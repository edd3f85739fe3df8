package buildtest

import (
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature/table"
)

// TestTagsGeneratedFilesAgreeWithTheTable evaluates the build constraints of
// the generated files for every build and compares the consts that remain with
// what the table says.
func TestTagsGeneratedFilesAgreeWithTheTable(t *testing.T) {
	type file struct {
		name   string
		when   constraint.Expr
		consts map[string]string
	}
	var files []file
	paths, _ := filepath.Glob(filepath.Join(root, "internal/feature/tags/*.go"))
	for _, p := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		x := file{name: filepath.Base(p), consts: map[string]string{}}
		for _, g := range f.Comments {
			for _, c := range g.List {
				if constraint.IsGoBuild(c.Text) {
					x.when, err = constraint.Parse(c.Text)
					if err != nil {
						t.Fatal(p, err)
					}
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.ValueSpec); ok {
				switch v := s.Values[0].(type) {
				case *ast.Ident:
					x.consts[s.Names[0].Name] = v.Name
				case *ast.BasicLit:
					x.consts[s.Names[0].Name] = v.Value
				}
			}
			return true
		})
		files = append(files, x)
	}
	for _, b := range append(table.Builds(), table.Build{Name: "no tags", Profile: 1, On: table.Builds()[1].On}) {
		if msg := table.Check(b.Tags); msg != "" {
			t.Errorf("%s: table.Check(%q) = %q", b.Name, b.Tags, msg)
		}
		tags := strings.Split(b.Tags, ",")
		got := map[string]string{}
		for _, f := range files {
			if f.when != nil && !f.when.Eval(func(tag string) bool { return slices.Contains(tags, tag) }) {
				continue
			}
			for name, v := range f.consts {
				if got[name] != "" || name == "_" {
					t.Errorf("%s: %s should not be compiled: const %s = %s", b.Name, f.name, name, v)
				}
				got[name] = v
			}
		}
		want := map[string]string{"Profile": strconv.Itoa(b.Profile)}
		for i, on := range b.On {
			want[table.Rows[i].Const] = strconv.FormatBool(on)
		}
		for name, v := range want {
			if got[name] != v {
				t.Errorf("%s: const %s is %q, want %s", b.Name, name, got[name], v)
			}
		}
	}
}

// TestConflictsDoNotCompileAndSayWhatToDo tries every combination that can't
// be.
func TestConflictsDoNotCompileAndSayWhatToDo(t *testing.T) {
	try := func(tags, want string) {
		t.Run(tags, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("go", "build", "-tags="+tags, "./internal/feature")
			cmd.Dir = root
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Error("compiles")
			} else if !strings.Contains(string(out), want) {
				t.Errorf("the compiler says\n%swithout %q", out, want)
			}
			if n := strings.Count(string(out), ".go:"); n != 1 {
				t.Errorf("%d errors, want one:\n%s", n, out)
			}
			if table.Check(tags) == "" {
				t.Error("table.Check finds nothing wrong")
			}
		})
	}
	const choose = "undefined: choose_one_of_the_tags_minimal_client_full"
	try("minimal,client", choose)
	try("minimal,full", choose)
	try("client,full", choose)
	try("minimal,client,full", choose)
	for _, r := range table.Rows {
		try("with_"+r.Name+",no_"+r.Name, "undefined: choose_one_of_the_tags_with_"+r.Name+"_and_no_"+r.Name)
		if r.Needs != "" {
			try("full,no_"+r.Needs, "undefined: take_away_the_tag_no_"+r.Needs+"_or_switch_off_"+r.Name+"_too_since_it_needs_"+r.Needs)
			if !table.Find(r.Needs).Has(0) {
				try("minimal,with_"+r.Name, "undefined: add_the_tag_with_"+r.Needs+"_since_"+r.Name+"_needs_"+r.Needs)
			}
		}
	}
}
