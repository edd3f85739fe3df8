package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// failing is a program that prints a raw string, and then panics in an initialiser of a variable.
const failing = `package main

var divide = []func(a, b int) int{
	nil,
	func(a, b int) int {
		return a /
			b
	},
}

func main() {
	n := once(len(text))
	println(text, n)
	fail(
		n,
	)
}

const text = "x"

func once(n int) int { return a(b(c(d(work(n, len(` + "`a\nb`" + `)))))) }

func a(n int) int { return work(n, 1) + work(n, 2) + work(n, 3) }

func b(n int) int { return work(n, 3) * work(n, 2) * work(n, 1) }

func c(n int) int { return work(n, 4) - work(n, 5) - work(n, 6) }

func d(n int) int { return work(n, 6) ^ work(n, 5) ^ work(n, 4) }

//go:noinline
func work(n, k int) int { return n*31 + k }

// fail divides by zero.
//
//go:noinline
func fail(n int) {
	n -= n
	println(divide[1](7,
		n))
}
`

func TestShrunkProgramIsSmallerAndTheSame(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"go.mod": "module example.com/x\n\ngo 1.24\n", "main.go": failing})
	// panics builds the program in a shell, and returns what it prints before it panics and then.
	panics := func(command string) (printed, trace string, size int64) {
		t.Helper()
		x := filepath.Join(dir, "x")
		if msg, err := exec.Command("sh", "-c", strings.Replace(command, " build ", " build -o "+x+" ", 1)).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, msg)
		}
		out, err := exec.Command(x).CombinedOutput()
		printed, trace, ok := strings.Cut(string(out), "panic: runtime error: integer divide by zero")
		if err == nil || !ok {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
		st, err := os.Stat(x)
		if err != nil {
			t.Fatal(err)
		}
		return printed, trace, st.Size()
	}
	plain, _, before := panics("CGO_ENABLED=0 go -C " + dir + ` build -trimpath -ldflags="-s -w"`)
	out := filepath.Join(dir, "out")
	var r shrinkReport
	for range 2 { // the second time over the first
		if err := json.Unmarshal([]byte(output(t, "shrink", "-json", out, "-C", dir, "-program", "./")), &r); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range r.Cuts {
		if i > 0 && (c.Left != "" || c.Program.Flash() >= r.Cuts[i-1].Program.Flash()) {
			t.Errorf("%+v after %+v", c, r.Cuts[i-1])
		}
	}
	if len(r.Cuts) != 4 || len(r.Edges) == 0 {
		t.Fatalf("%d cuts, %d calls inlined", len(r.Cuts), len(r.Edges))
	}
	shrunk, trace, after := panics(r.Command)
	if shrunk != plain || after > before-50_000 {
		t.Errorf("the program prints %q, and has %d bytes; without cuts %q and %d", shrunk, after, plain, before)
	}
	// DIR is in the package's folder, which must not show.
	at := trace
	for _, want := range [][2]string{{"main.init.func1(", "var divide"}, {"main.fail(", "func fail("}, {"main.main()", "func main("}} {
		before, _, _ := strings.Cut(failing, want[1])
		for _, line := range []string{"\n" + want[0], fmt.Sprintf("\n\texample.com/x/main.go:%d ", 1+strings.Count(before, "\n"))} {
			_, rest, ok := strings.Cut(at, line)
			if !ok {
				t.Errorf("no %q where it should be in\n%s", line, trace)
			}
			at = rest
		}
	}
}

func TestShrinkOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"go.mod": "module example.com/x\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() {}\n"})
	for _, f := range [][2]string{
		{"profile/inline.pgo", ""},
		{"sources/_src/a/a.go", "package a"},
		{"other/overlay.json", `{"Replace": {"/a.go": "/b.go"}}`},
		{"broken/overlay.json", "{"},
		{"added/_src/a/a.go", ""},
		{"added/_src/a/more.go", ""},
		{"added/overlay.json", `{"Replace": {"/a.go": "DIR/added/_src/a/a.go"}}`},
		{"file", ""},
	} {
		name, text := f[0], strings.ReplaceAll(f[1], "DIR", dir)
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		write(t, dir, map[string]string{name: text})
		out, _, _ := strings.Cut(name, "/")
		err := run(context.Background(), []string{"shrink", filepath.Join(dir, out), "-C", dir, "-program", "./"}, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), "give a folder") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error is %v, want one line that asks for another folder", name, err)
		}
		if data, _ := os.ReadFile(file); string(data) != text {
			t.Errorf("%s was overwritten", name)
		}
	}
}
