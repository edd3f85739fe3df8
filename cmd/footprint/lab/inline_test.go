package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const once = "./cmd/footprint/lab/testdata/once"

func TestInlinesFunctionsWithOneCall(t *testing.T) {
	const far = "github.com/bonsainet/bonsai/cmd/footprint/lab/testdata/once/far"
	ctx := context.Background()
	for _, arch := range []string{"amd64", "arm64"} {
		b := builder(t)
		target := Target{Package: once, GOARCH: arch}
		x, err := b.Inline(ctx, target)
		if err != nil {
			t.Fatal(err)
		}
		// Of inner, the line is counted from main's, where once has become a part of it.
		for _, want := range []Edge{{"main.main", "main.once", 2}, {"main.main", "main.inner", 17}, {"main.main", far + ".Once", 12}} {
			if !slices.Contains(x.Edges, want) {
				t.Errorf("%s: no %v in %v", arch, want, x.Edges)
			}
		}
		gone := []string{"main.once", "main.inner", far + ".Once", far + "ther.Once"}
		for _, e := range x.Edges {
			if !slices.Contains(gone, e.Callee) {
				t.Errorf("%s: %s is to be inlined: it has two callers, or another use", arch, e.Callee)
			}
		}
		if left := fmt.Sprint(x.Left); left != "map[has defer:[main.careful] marked go:noinline:[main.next]]" {
			t.Errorf("%s: left are %s", arch, left)
		}
		if x.After.Flash() >= x.Before.Flash() || x.Functions != len(gone) {
			t.Errorf("%s: %d functions less: %v became %v", arch, x.Functions, x.Before, x.After)
		}

		file := filepath.Join(b.Out, "x.pgo")
		if err := os.WriteFile(file, Pprof(x.Edges), 0o666); err != nil {
			t.Fatal(err)
		}
		var outputs [2]string
		for i, pgo := range []string{"off", file} {
			target.flags = []string{"-pgo=" + pgo}
			path := must(b.Build(ctx, target))
			bin, err := Read(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range append(gone, "main.twice", "main.taken", "main.square.area", "main.careful") {
				there := slices.ContainsFunc(bin.Symbols, func(s Symbol) bool { return s.Name == name })
				if want := i == 0 || !slices.Contains(gone, name); there != want {
					t.Errorf("%s: with -pgo=%s, %s is in the program: %v", arch, pgo, name, there)
				}
			}
			if arch == "amd64" {
				out, err := exec.Command(path).CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				outputs[i] = string(out)
			}
		}
		if outputs[0] != outputs[1] {
			t.Errorf("the program prints %q, with the profile %q", outputs[0], outputs[1])
		}
	}
}

// TestProfileIsHotThroughout lets Go's own reader read a profile, and adds up as the compiler
// does to find what is hot.
func TestProfileIsHotThroughout(t *testing.T) {
	for _, n := range []int{1, 7, 250} {
		want := map[Edge]bool{}
		var edges []Edge
		for i := range n {
			e := Edge{fmt.Sprint("a/b.(*T).f", i%9), fmt.Sprint("c.g[go.shape.struct { x int }]", i), 100 - i}
			edges, want[e] = append(edges, e), true
		}
		file := filepath.Join(t.TempDir(), "x.pgo")
		if err := os.WriteFile(file, Pprof(edges), 0o666); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("go", "tool", "preprofile", "-i", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")[1:]
		total, sum := 0, 0
		for i := 2; i < len(lines); i += 3 {
			_, w, _ := strings.Cut(lines[i], " ")
			k, _ := strconv.Atoi(w)
			total += k
		}
		for i := 2; i < len(lines); i += 3 {
			at, w, _ := strings.Cut(lines[i], " ")
			line, _ := strconv.Atoi(at)
			e := Edge{lines[i-2], lines[i-1], line}
			if k, _ := strconv.Atoi(w); want[e] && sum*100 <= total*99 {
				delete(want, e) // the one that crosses the border is hot as well
				sum += k
			}
		}
		if len(want) > 0 {
			t.Errorf("of %d calls, %d are not hot: %v", n, len(want), want)
		}
		if out, err := exec.Command("go", "tool", "pprof", "-raw", file).CombinedOutput(); err != nil || !strings.Contains(string(out), "samples/count") {
			t.Errorf("go tool pprof: %v: %s", err, out)
		}
	}
}
