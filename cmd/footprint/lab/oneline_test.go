package lab

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestFunctionsOnOneLine(t *testing.T) {
	for _, x := range []struct{ name, src, want string }{
		{"comments",
			"func f() int { // one\n\t/* two\n\tlines */ a := 1 // three\n\treturn a /* four */\n} // five\n",
			"func f ( ) int { a := 1 ; return a ; } \n\n\n\n // five\n"},
		{"raw string with newlines", "func f() {\n\tg(`a\"\n\\b`, `c`)\n}\n", "func f ( ) { g ( \"a\\\"\\n\\\\b\" , `c` ) ; } \n\n\n\n"},
		{"chain of if",
			"func f() {\n\tif a {\n\t\tb()\n\t} else if c {\n\t} else {\n\t\treturn\n\t}\n}\n",
			"func f ( ) { if a { b ( ) ; } else if c { } else { return ; } ; } \n\n\n\n\n\n\n\n"},
		{"labels and switch",
			"func f() {\nL:\n\tfor {\n\t\tswitch x := y.(type) {\n\t\tcase int,\n\t\t\tT:\n\t\t\tbreak L\n\t\tdefault:\n\t\t}\n\t}\n}\n",
			"func f ( ) { L : for { switch x := y . ( type ) { case int , T : break L ; default : } ; } ; } " + strings.Repeat("\n", 11)},
		{"label at the end", "func f() {\n\tgoto L\nL:\n}\n", "func f ( ) { goto L ; L : } \n\n\n\n"},
		{"generics, methods",
			"func (s *S[T]) f(\n\ta, b T,\n) (x map[string][]T) {\n\treturn g[int,\n\t\tT](a)\n}\n",
			"func ( s * S [ T ] ) f ( a , b T , ) ( x map [ string ] [ ] T ) { return g [ int , T ] ( a ) ; } \n\n\n\n\n\n"},
		{"tags, composite literals",
			"func f() {\n\ttype t struct {\n\t\ta int `json:\"a\"`\n\t}\n\tx := []t{\n\t\t{1},\n\t\t{a: 2},\n\t}\n\tx.\n\t\tg()\n}\n",
			"func f ( ) { type t struct { a int `json:\"a\"` ; } ; x := [ ] t { { 1 } , { a : 2 } , } ; x . g ( ) ; } " + strings.Repeat("\n", 11)},
		{"directive in front", "//go:nosplit\nfunc f() {\n}\n\nfunc g()\n", "//go:nosplit\nfunc f ( ) { } \n\n\nfunc g()\n"},
		{"directive inside", "func f() {\n\t//go:linkname a b\n\tg()\n}\n", "func f() {\n\t//go:linkname a b\n\tg()\n}\n"},
		{"line directive inside", "func f() {\n//line y.y:7\n\tg()\n}\n", "func f() {\n//line y.y:7\n\tg()\n}\n"},
		{"line directive outside", "//line y.y:7\nfunc f() {\n\tg()\n}\n", "//line y.y:7\nfunc f ( ) { g ( ) ; } \n\n\n"},
		{"variables",
			"var a = func() {\n\tb()\n}\n\nvar (\n\tc = T{\n\t\t1,\n\t} // one\n\td int\n)\n\ntype e func(\n)\n",
			"var a = func ( ) { b ( ) ; } \n\n\n\nvar (\n\tc = T { 1 , } \n\n // one\n\td int\n)\n\ntype e func(\n)\n"},
		{"semicolons", "func f() {\n}; func g() {\n}\n", "func f() {\n}; func g ( ) { } \n\n"},
		{"end of lines of Windows", "func f() {\r\n\tg(`a\r\nb`)\r\n}\r\n", "func f ( ) { g ( \"a\\nb\" ) ; } \n\n\n\r\n"},
	} {
		got, err := oneLine([]byte("package p\n\n"+x.src), LinesFunc)
		if want := "package p\n\n" + x.want; err != nil || string(got) != want {
			t.Errorf("%s: %v\ngot  %q\nwant %q", x.name, err, got, want)
		}
	}
	got, err := oneLine([]byte("package p\n\n//go:nosplit\nfunc f() {\n\tg()\n}\n\nvar a, b = 1,\n\t2\n"), LinesNone)
	want := "package p\n\n//go:nosplit\n//line s.go:1\nfunc f ( ) { g ( ) ; } \n\nvar \n//line s.go:1\na , b = 1 , 2 \n"
	if err != nil || string(got) != want {
		t.Errorf("no lines: %v\ngot  %q\nwant %q", err, got, want)
	}
	if _, err := oneLine([]byte("package p\nfunc {"), LinesFunc); err == nil {
		t.Error("what is no Go was taken")
	}
}

// TestOneLineIsTheSameProgram compares the syntax trees of all files of some packages, and where
// what is not in functions stands.
func TestOneLineIsTheSameProgram(t *testing.T) {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	std := filepath.Join(strings.TrimSpace(string(goroot)), "src")
	n := 0
	for _, dir := range []string{filepath.Join(std, "strconv"), filepath.Join(std, "go", "parser"), filepath.Join(std, "runtime"), filepath.Join(root, "stack")} {
		files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
		for _, name := range files {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want, at := treeOf(t, name, src)
			for _, lines := range []Lines{LinesFunc, LinesNone} {
				out, err := oneLine(src, lines)
				if err != nil {
					t.Fatal(err)
				}
				tree, decls := treeOf(t, name, out)
				if tree != want {
					t.Errorf("%s: with lines %s it is another program", name, lines)
				}
				if lines == LinesFunc && decls != at {
					t.Errorf("%s: declarations have moved: %s became %s", name, at, decls)
				}
			}
			n++
		}
	}
	if n < 100 {
		t.Errorf("%d files", n)
	}
}

// treeOf returns the syntax tree of src without positions, and the lines of its declarations.
func treeOf(t *testing.T, name string, src []byte) (tree, lines string) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		lines += fmt.Sprint(" ", fset.Position(d.Pos()).Line)
	}
	var b strings.Builder
	dump(&b, reflect.ValueOf(f.Decls))
	return b.String(), lines
}

func dump(b *strings.Builder, v reflect.Value) {
	switch x := v.Interface().(type) {
	case *ast.CommentGroup:
		return
	case token.Pos:
		fmt.Fprint(b, x.IsValid(), " ") // that of the dots in a call means something
		return
	case *ast.BasicLit:
		if x != nil && x.Kind == token.STRING {
			s, _ := strconv.Unquote(x.Value) // it may be quoted another way
			fmt.Fprintf(b, "%q ", s)
			return
		}
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			dump(b, v.Elem())
		}
	case reflect.Slice:
		fmt.Fprint(b, v.Len(), "[ ")
		for i := range v.Len() {
			dump(b, v.Index(i))
		}
	case reflect.Struct:
		fmt.Fprint(b, v.Type(), "{ ")
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "Implicit" { // a semicolon
				dump(b, v.Field(i))
			}
		}
		b.WriteString("} ")
	default:
		fmt.Fprint(b, v.Interface(), " ")
	}
}
