package lab

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../../.."
	empty  = "./cmd/footprint/ref/empty"
	known  = "./cmd/footprint/lab/testdata/known" // a program with symbols of known sizes
	broken = "./cmd/footprint/lab/testdata/broken"
)

func builder(t *testing.T) *Builder {
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return &Builder{Dir: dir, Out: t.TempDir()}
}

func measure(t *testing.T, pkg string) *Binary {
	t.Helper()
	bin, err := builder(t).Measure(context.Background(), Target{Package: pkg})
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

func TestFileSizeIsThatOfTheStrippedProgram(t *testing.T) {
	for _, arch := range []string{"amd64", "386"} {
		b := builder(t)
		path, err := b.Build(context.Background(), Target{Package: known, GOARCH: arch})
		if err != nil {
			t.Fatal(err)
		}
		full, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(b.Out, "stripped")
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-tags="+padded(""), "-o", out, known)
		cmd.Dir = b.Dir
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0", "GOARCH="+arch)
		if msg, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, msg)
		}
		stripped, err := Read(out)
		if err != nil {
			t.Fatal(err)
		}
		if len(stripped.Symbols) > 0 || len(full.Symbols) == 0 {
			t.Errorf("%s: %d symbols in the stripped program, %d in the other", arch, len(stripped.Symbols), len(full.Symbols))
		}
		if full.Sizes != stripped.Sizes {
			t.Errorf("%s: sizes are %v, of the stripped program %v", arch, full.Sizes, stripped.Sizes)
		}
		if st, _ := os.Stat(out); st.Size() != full.Sizes.File {
			t.Errorf("%s: file size %d, stripped it has %d", arch, full.Sizes.File, st.Size())
		}
	}
}

// TestSizesAgreeWithNm compares with an independent count.
func TestSizesAgreeWithNm(t *testing.T) {
	b := builder(t)
	path, err := b.Build(context.Background(), Target{Package: known})
	if err != nil {
		t.Fatal(err)
	}
	bin, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "tool", "nm", "-size", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want, got Sizes
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		n, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		switch f[2] {
		case "T", "t":
			want.Text += n
		case "B", "b":
			want.Bss += n
		}
	}
	for _, s := range bin.Symbols {
		*got.at(s.Kind) += s.Size
	}
	if got.Text != want.Text {
		t.Errorf("text of all symbols is %d, go tool nm has %d", got.Text, want.Text)
	}
	if got.Text > bin.Sizes.Text || got.Text < bin.Sizes.Text*9/10 {
		t.Errorf("text of all symbols is %d, of the section %d", got.Text, bin.Sizes.Text)
	}
}

func TestDivideSaysWhatAProgramAdds(t *testing.T) {
	s := Divide(measure(t, known), measure(t, empty))
	find := func(l []Share, name string) Sizes {
		for _, x := range l {
			if x.Name == name {
				return x.Sizes
			}
		}
		return Sizes{}
	}
	own := find(s.Own, "main")
	if own.Bss < 5000 || own.Bss > 5100 || own.Rodata+own.Data < 3000 || own.Rodata+own.Data > 3200 || own.Text < 20 || own.Text > 1000 {
		t.Errorf("main adds %+v, want bss of 5000, a table of 3000", own)
	}
	if x := find(s.Standard, "strings"); x.Text == 0 {
		t.Errorf("package strings is not among what was dragged in: %v", s.Standard)
	}
	var sum Sizes
	for _, l := range [][]Share{s.Own, s.Standard, s.Shared} {
		for _, x := range l {
			sum = sum.Add(x.Sizes)
		}
	}
	sum.File = s.Total.File
	if sum != s.Total {
		t.Errorf("the shares add up to %+v, the sections to %+v", sum, s.Total)
	}
	if d := Divide(measure(t, empty), measure(t, empty)); len(d.Own)+len(d.Standard)+len(d.Shared) > 0 || d.Total != (Sizes{}) {
		t.Errorf("a program adds %+v to itself", d)
	}
}

// TestFunctionTablesAreDividedByFunction: names of inlined functions and files
// remain, and padding.
func TestFunctionTablesAreDividedByFunction(t *testing.T) {
	for _, arch := range []string{"amd64", "386"} {
		bin, err := builder(t).Measure(context.Background(), Target{Package: known, GOARCH: arch})
		if err != nil {
			t.Fatal(err)
		}
		var sum int64
		found := false
		for _, s := range bin.Symbols {
			if s.Kind == Pclntab {
				sum += s.Size
				found = found || s.Name == "main.main" && s.Size > 100
			}
		}
		if all := bin.Sizes.Pclntab; sum > all || sum < all*85/100 {
			t.Errorf("%s: functions account for %d bytes of %d", arch, sum, all)
		}
		if !found {
			t.Errorf("%s: main.main is not among them", arch)
		}
	}
}

func TestFunctionTablesThatAreDamagedDoNotPanic(t *testing.T) {
	f, err := os.Open(must(builder(t).Build(context.Background(), Target{Package: empty})))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := readELF(f)
	if err != nil {
		t.Fatal(err)
	}
	good, err := img.sections[img.pclntab].data()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		bad := bytes.Clone(good[:min(len(good), 1+rng.IntN(1<<(4+rng.IntN(15))))])
		for range rng.IntN(8) {
			bad[rng.IntN(len(bad))] = byte(rng.Uint32())
		}
		funcTables(bad, bad, img.order)
	}
}

func TestFunctionTablesOfAnotherVersionAreNotDivided(t *testing.T) {
	path := must(builder(t).Build(context.Background(), Target{Package: empty}))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bin, err := Read(path); err != nil || !bin.Divided {
		t.Fatal("this version's are not divided", err)
	}
	magic := []byte{0xf1, 0xff, 0xff, 0xff, 0, 0}
	data[bytes.Index(data, magic)]++
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	if bin, err := Read(path); err != nil || bin.Divided || bin.Sizes.Pclntab == 0 {
		t.Error("another magic number is taken for the one that is known", err)
	}
}

func must(path string, err error) string {
	if err != nil {
		panic(err)
	}
	return path
}

func TestPackageOf(t *testing.T) {
	for name, want := range map[string]string{
		"main.main":                                          "main",
		"runtime.(*mheap).alloc":                             "runtime",
		"encoding/binary.init":                               "encoding/binary",
		"gopkg.in/yaml%2ev3.Node":                            "gopkg.in/yaml.v3",
		"github.com/bonsainet/bonsai/tcp.(*Conn).input":      "github.com/bonsainet/bonsai/tcp",
		"github.com/bonsainet/bonsai/tcp.(*Conn).poll.func1": "github.com/bonsainet/bonsai/tcp",
		"type:.eq.github.com/bonsainet/bonsai/ipv4.Endpoint": "github.com/bonsainet/bonsai/ipv4",
		"type:.eq.[4]string":                                 "",
		"slices.SortFunc[go.shape.[]a/b.T,go.shape.int]":     "slices",
		"a/b..stmp_1":                                        "a/b",
		"go:itab.*os.File,io.Writer":                         "",
		"go.(*struct { io.Reader }).Read":                    "",
		"memeqbody":                                          "",
		"$f64.3fe0000000000000":                              "",
		"runtime.gcbits.0100":                                "",
	} {
		if got := PackageOf(name); got != want {
			t.Errorf("PackageOf(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestErrorsAreOneLineAndSayWhatToDo(t *testing.T) {
	ctx := context.Background()
	b := builder(t)
	text := filepath.Join(b.Out, "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, noProgram := Read(text)
	_, notGo := Read("/bin/true")
	cut := filepath.Join(b.Out, "cut")
	whole, err := os.ReadFile(must(b.Build(ctx, Target{Package: empty})))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, whole[:len(whole)/2], 0o666); err != nil {
		t.Fatal(err)
	}
	_, half := Read(cut)
	_, missing := Read(filepath.Join(b.Out, "missing"))
	_, unbuildable := b.Build(ctx, Target{Package: broken, Tags: "minimal"})
	_, conflict := b.Build(ctx, Target{Package: "./internal/feature", Tags: "minimal,full"})
	for _, c := range []struct {
		err  error
		want string
	}{
		{noProgram, "is no program: give an ELF, Mach-O or PE file, or a WebAssembly module"},
		{notGo, "is not a Go program: it has no .gopclntab"},
		{half, "is damaged, or not whole"},
		{missing, "no such file"},
		{unbuildable, "with tags \"minimal\": cmd/footprint/lab/testdata/broken/main.go:5:2: undefined: nothing"},
		{conflict, "choose_one_of_the_tags_minimal_client_full"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) || strings.Contains(c.err.Error(), "\n") {
			t.Errorf("error is %v, want one line with %q", c.err, c.want)
		}
	}
}

func TestParallelCallsEachOnce(t *testing.T) {
	var n [100]int
	Parallel(len(n), func(i int) { n[i]++ })
	for i, x := range n {
		if x != 1 {
			t.Errorf("%d was called %d times", i, x)
		}
	}
}
