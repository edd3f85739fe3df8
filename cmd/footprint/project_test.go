package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
)

// other is a project that is not ours, with two profiles and a feature.
var other = map[string]string{
	"go.mod":  "module example.com/other\n\ngo 1.24\n",
	"main.go": "package main\n\nfunc main() { println(twice(2)); if Big { big() } }\n\n//go:noinline\nfunc twice(n int) int { return 2 * n }\n",
	"big.go":  "package main\n\nimport \"strconv\"\n\nvar table = [5000]byte{1: 1}\n\n//go:noinline\nfunc big() { println(strconv.Quote(string(table[:]))) }\n",
	"on.go":   "//go:build big\n\npackage main\n\nconst Big = true\n",
	"off.go":  "//go:build !big\n\npackage main\n\nconst Big = false\n",
	"footprint.json": `{"project": {
		"programs": [{"name": "main", "package": "./"}],
		"profiles": [{"name": "small", "tags": ""}],
		"features": [{"name": "big", "add": "big", "remove": "nobig", "in": []}]
	}}`,
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func output(t *testing.T, args ...string) string {
	t.Helper()
	var b bytes.Buffer
	if err := run(context.Background(), args, &b); err != nil {
		t.Fatalf("footprint %s: %v", strings.Join(args, " "), err)
	}
	return b.String()
}

func TestAnotherProject(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, other)
	if s := output(t, "-C", dir); !strings.Contains(s, "small") || strings.Contains(s, "lwIP") {
		t.Errorf("profiles of another project:\n%s", s)
	}
	var r featureReport
	if err := json.Unmarshal([]byte(output(t, "features", "-json", "-C", dir)), &r); err != nil {
		t.Fatal(err)
	}
	if x := r.Rows[0]; x.Feature != "big" || x.On || x.Flash < 5000 || x.Tax < 1000 || x.Tax > x.Flash {
		t.Errorf("feature big costs %+v, want more than its table of 5000 and what strconv takes", x)
	}
	if s := output(t, "why", "twice", "-C", dir); !strings.Contains(s, "calls  main.twice") {
		t.Errorf("why:\n%s", s)
	}
	if s := output(t, "roots", "-C", dir, "-program", "./", "-tags", "big"); !strings.Contains(s, "main.big") {
		t.Errorf("roots:\n%s", s)
	}
	if s := output(t, "check", "-C", dir, "-write"); s != "" {
		t.Errorf("check -write prints %s", s)
	}
	if s := output(t, "check", "-C", dir); !strings.Contains(s, "2 figures within their budgets") {
		t.Errorf("check:\n%s", s)
	}
}

func TestDiffOfRevisionsAndCheckNameWhatGrew(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git")
	}
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %s", args, out)
		}
	}
	write(t, dir, other)
	output(t, "check", "-C", dir, "-write")
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "first")
	write(t, dir, map[string]string{"main.go": strings.Replace(other["main.go"], "if Big", "if true", 1)})
	var b bytes.Buffer
	err := run(context.Background(), []string{"check", "-C", dir}, &b)
	if err == nil || !strings.Contains(err.Error(), "over budget") || !strings.Contains(b.String(), "main.table") {
		t.Errorf("check of what grew: %v\n%s", err, &b)
	}
	git("commit", "-q", "-a", "-m", "second")
	s := output(t, "diff", "HEAD~1", "HEAD", "-C", dir)
	for _, want := range []string{"by feature: bytes in files of its own", " big\n", " main.table\n", " strconv\n"} {
		if !strings.Contains(s, want) {
			t.Errorf("no %q in\n%s", want, s)
		}
	}
	if s := output(t, "diff", "HEAD", "HEAD", "-C", dir); !strings.Contains(s, "In all 0") {
		t.Errorf("a revision differs from itself:\n%s", s)
	}
	err = run(context.Background(), []string{"diff", "HEAD", "nope", "-C", dir}, &b)
	if _, ok := err.(usageError); !ok {
		t.Errorf("diff with a revision that is none: %v", err)
	}
}

func TestDiffOfSavedReports(t *testing.T) {
	dir := t.TempDir()
	save := func(name string, v any) string {
		file := filepath.Join(dir, name)
		data, _ := json.Marshal(v)
		if err := os.WriteFile(file, data, 0o666); err != nil {
			t.Fatal(err)
		}
		return file
	}
	a := save("a", symbolReport{Symbols: []lab.Share{{Name: "a/b.F", Sizes: lab.Sizes{Text: 100}}, {Name: "a/b.G", Sizes: lab.Sizes{Text: 10}}}})
	b := save("b", symbolReport{Symbols: []lab.Share{{Name: "a/b.F", Sizes: lab.Sizes{Text: 150, Pclntab: 1}}}})
	s := output(t, "diff", a, b)
	for _, want := range []string{"+51  100  151  a/b.F", "-10   10    0  a/b.G", "+41  110  151  a/b"} {
		if !strings.Contains(strings.ReplaceAll(s, " a/b", "  a/b"), want) && !strings.Contains(s, strings.ReplaceAll(want, "  a/b", " a/b")) {
			t.Errorf("no %q in\n%s", want, s)
		}
	}
	f := save("f", featureReport{Rows: []featureRow{{Profile: "full", Feature: "sack", On: true, UsedAll: 5}}})
	g := save("g", featureReport{Rows: []featureRow{{Profile: "full", Feature: "sack", On: true, UsedAll: 9}}})
	if s := output(t, "diff", f, g); !strings.Contains(s, "+4") || !strings.Contains(s, "full-sack") {
		t.Errorf("diff of features:\n%s", s)
	}
	if err := run(context.Background(), []string{"diff", a, g}, new(bytes.Buffer)); err == nil {
		t.Error("a report of symbols was compared with one of features")
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"go.mod": "module example.com/x\n\ngo 1.24\n", "x.go": "package x\n", "text": "hello", "bad.go": "//go:build bad\n\npackage main\n\nfunc main() { nothing() }\n"})
	strip := filepath.Join(dir, "stripped")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", strip, "./ref/empty")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for args, want := range map[string]string{
		"-C DIR":                                "add one that describes the project, or give -program PKG",
		"roots -C DIR -program ./":              "is no program: name a package main",
		"packages -C DIR -program ./ -tags bad": "found packages",
		"packages -C DIR -program ./nope":       "no package",
		"packages -program DIR/text":            "is no program: give an ELF, Mach-O or PE file",
		"symbols -program DIR/stripped":         "has no symbol table: build it without -ldflags=-s",
		"why main.main -program DIR/stripped":   "give the package that it was built from",
		"why no.such.symbol minimal":            "footprint symbols minimal lists them",
		"features -C DIR -program ./":           "list them in footprint.json",
		"diff DIR/text DIR/text":                "is no program: give an ELF, Mach-O or PE file",
	} {
		err := run(context.Background(), strings.Fields(strings.ReplaceAll(args, "DIR", dir)), new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error is %v, want one line with %q", args, err, want)
		}
	}
}

func TestCheckFindsWhatIsOverItsBudget(t *testing.T) {
	c := config{
		Budgets:  []budget{{"full", "+socket", 100, 200}},
		Features: []featureBudget{{"full", "sack", 50}},
		RAM:      map[string]ramMax{"full": {500, 600, 700}},
	}
	r := c.check(&report{Rows: []row{{Profile: "full", Layer: "+socket", Sizes: lab.Sizes{Text: 100}, Flash: 201}}},
		&featureReport{Rows: []featureRow{{Profile: "full", Feature: "sack", On: true, UsedAll: 51}}},
		map[string]ram{"full": {SizeofConn: 500, HeapConn: 601, HeapStack: 700}})
	var over []string
	for _, f := range r.Findings {
		if f.Over {
			over = append(over, f.What)
		}
	}
	if got, want := strings.Join(over, "; "), "full +socket: flash; feature sack in full: flash; full: heap of an idle connection"; got != want || len(r.Findings) != 6 {
		t.Errorf("over are %q of %d, want %q of 6", got, len(r.Findings), want)
	}
}

// TestPageWorksInABrowser writes the page, and looks at what Chromium makes of
// it, if that is installed.
func TestPageWorksInABrowser(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, other)
	file := filepath.Join(dir, "page.html")
	if s := output(t, "html", file, "-C", dir); !strings.Contains(s, "page.html") {
		t.Errorf("html prints %q", s)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"http://", "https://", "/*DATA*/"} {
		if bytes.Contains(data, []byte(never)) {
			t.Errorf("the page contains %s", never)
		}
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil || testing.Short() {
		t.Skip("no chromium")
	}
	cmd := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir="+t.TempDir(), "--virtual-time-budget=2000", "--dump-dom", "file://"+file+"#why=main.twice")
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("chromium does not run here: %v", err)
	}
	for _, want := range []string{`class="cell"`, `<td class="off">big`, "main.twice</span>", "small, main"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("the page as the browser has it lacks %q", want)
		}
	}
}
