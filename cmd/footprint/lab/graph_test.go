package lab

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const client = "./cmd/footprint/ref/socket"

func graph(t *testing.T, pkg, tags string) *Graph {
	t.Helper()
	g, err := builder(t).Graph(context.Background(), Target{Package: pkg, Tags: tags})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestGraphReachesWhatTheLinkerDoes compares with -dumpdep, which prints each
// symbol that the linker reaches.
func TestGraphReachesWhatTheLinkerDoes(t *testing.T) {
	for _, pkg := range []string{client, "./cmd/footprint/ref/netdial"} {
		g := graph(t, pkg, "minimal")
		got := g.Reached()
		b := builder(t)
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-w -dumpdep", "-tags="+padded("minimal"), "-o", filepath.Join(b.Out, "x"), pkg)
		cmd.Dir, cmd.Env = b.Dir, Target{}.env()
		var out bytes.Buffer
		cmd.Stderr = &out
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		for line := range strings.Lines(out.String()) {
			if _, to, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " -> "); ok {
				to, _, _ = strings.Cut(to, " <")
				want[to] = true
			}
		}
		for name := range want {
			if !got[name] && g.isFunc(name) {
				t.Errorf("%s: the linker reaches %s, the graph does not", pkg, name)
			}
		}
		n := 0
		for name := range got {
			if g.isFunc(name) {
				if n++; !want[name] {
					t.Errorf("%s: the graph reaches %s, the linker does not", pkg, name)
				}
			}
		}
		if n < 1000 {
			t.Errorf("%s: only %d functions", pkg, n)
		}
	}
}

func (g *Graph) isFunc(name string) bool {
	for _, id := range g.names[name] {
		if g.nodes[id].kind == Text {
			return true
		}
	}
	return false
}

// TestGraphWeighsWhatTheSectionsHave: what a program adds to another, and each
// of them in all, but for what the linker adds itself.
func TestGraphWeighsWhatTheSectionsHave(t *testing.T) {
	for _, arch := range []string{"amd64", "arm"} {
		b := builder(t)
		var weighed, sections [2]Sizes
		for i, pkg := range []string{client, empty} {
			target := Target{Package: pkg, Tags: "minimal", GOARCH: arch}
			g, err := b.Graph(context.Background(), target)
			if err != nil {
				t.Fatal(err)
			}
			weighed[i] = g.Size()
			bin, err := b.Measure(context.Background(), target)
			if err != nil {
				t.Fatal(err)
			}
			sections[i] = bin.Sizes
		}
		got, want := weighed[0].Sub(weighed[1]), sections[0].Sub(sections[1])
		for k, name := range map[Kind]string{Text: "text", Rodata: "rodata", Pclntab: "pclntab"} {
			if g, w := *got.at(k), *want.at(k); g < w*98/100 || g > w*102/100 {
				t.Errorf("%s: the client adds %d bytes of %s by the graph, %d by its section", arch, g, name, w)
			}
			if g, w := *weighed[0].at(k), *sections[0].at(k); g < w*97/100 || g > w*103/100 {
				t.Errorf("%s: the client has %d bytes of %s by the graph, %d by its section", arch, g, name, w)
			}
		}
	}
}
