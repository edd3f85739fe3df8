package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// roots are calls, each of which becomes a function of its own that can be left
// out of a program.
var roots = []struct{ pkg, call string }{
	{"strconv", `f, _ := strconv.ParseFloat(in, 64); sink = f`},
	{"strings", `sink = strings.NewReplacer(in, in, "b", in).Replace(in)`},
	{"text/tabwriter", `sink = tabwriter.NewWriter(out, 0, 8, 1, ' ', 0)`},
	{"encoding/hex", `sink = hex.Dump([]byte(in))`},
	{"encoding/base64", `sink, _ = base64.StdEncoding.DecodeString(in)`},
	{"encoding/csv", `sink, _ = csv.NewReader(src).ReadAll()`},
	{"regexp", `sink = regexp.MustCompile(in).FindString(in)`},
	{"compress/flate", `w, _ := flate.NewWriter(out, 9); w.Write([]byte(in))`},
	{"compress/bzip2", `bzip2.NewReader(src).Read(nil)`},
	{"math/big", `sink = new(big.Int).Exp(big.NewInt(3), big.NewInt(7), nil).String()`},
	{"net/url", `sink, _ = url.Parse(in)`},
	{"net/netip", `sink, _ = netip.ParsePrefix(in)`},
	{"encoding/json", `json.Unmarshal([]byte(in), &sink)`},
	{"encoding/xml", `xml.Unmarshal([]byte(in), &sink)`},
	{"html", `sink = html.UnescapeString(in)`},
	{"go/scanner", `var s scanner.Scanner; s.Scan()`},
	{"archive/tar", `sink, _ = tar.NewReader(src).Next()`},
	{"hash/crc32", `sink = crc32.ChecksumIEEE([]byte(in))`},
	{"text/template", `sink, _ = template.New(in).Parse(in)`},
	{"crypto/sha512", `sink = sha512.Sum512([]byte(in))`},
	{"image/png", `sink, _ = png.Decode(src)`},
	{"mime/multipart", `sink = multipart.NewReader(src, in)`},
	{"bonsai/socket", `x := socket.New(stack.Config{}, nil); sink = x.Close()`},
	{"bonsai/netif/emu", `a, b := emu.NewLink(emu.Config{}); sink = []any{a, b}`},
}

// programOf returns a program that makes all calls but number without. It
// imports the same packages in any case.
func programOf(without int) string {
	var s strings.Builder
	s.WriteString("package main\n\nimport (\n\t\"io\"\n\t\"os\"\n\tbonsaistack \"github.com/bonsainet/bonsai/stack\"\n")
	path := func(pkg string) string { return strings.Replace(pkg, "bonsai/", "github.com/bonsainet/bonsai/", 1) }
	for i, r := range roots {
		fmt.Fprintf(&s, "\t_ %q\n", path(r.pkg))
		if i != without {
			fmt.Fprintf(&s, "\t%q\n", path(r.pkg))
		}
	}
	s.WriteString(")\n\nvar (\n\tin = os.Args[0]\n\tout io.Writer = os.Stdout\n\tsrc io.Reader = os.Stdin\n\tsink any\n\t_ bonsaistack.Config\n)\n\nfunc main() {\n")
	for i := range roots {
		if i != without {
			fmt.Fprintf(&s, "\troot%d()\n", i)
		}
	}
	s.WriteString("}\n")
	for i, r := range roots {
		if i != without {
			fmt.Fprintf(&s, "\n//go:noinline\nfunc root%d() { %s }\n", i, strings.ReplaceAll(r.call, "stack.Config", "bonsaistack.Config"))
		}
	}
	return s.String()
}

// TestRootsKeepWhatVanishesWithThem removes each of the roots from a program,
// builds it again, and compares with what the graph says.
func TestRootsKeepWhatVanishesWithThem(t *testing.T) {
	if testing.Short() {
		t.Skip("links a program for each root")
	}
	b := builder(t)
	b.Cache = DefaultCache()
	write := func(without int) Target {
		dir := filepath.Join(b.Out, fmt.Sprint("without", without))
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "main.go")
		if err := os.WriteFile(file, []byte(programOf(without)), 0o666); err != nil {
			t.Fatal(err)
		}
		return Target{Package: file}
	}
	all := write(-1)
	g, err := b.Graph(context.Background(), all)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := b.Measure(context.Background(), all)
	if err != nil {
		t.Fatal(err)
	}
	list := g.Roots()
	targets := make([]Target, len(roots))
	for i := range roots {
		targets[i] = write(i)
	}
	Parallel(len(roots), func(i int) {
		name := fmt.Sprintf("main.root%d", i)
		bin, err := b.Measure(context.Background(), targets[i])
		if err != nil {
			t.Error(err)
			return
		}
		want := whole.Sizes.Sub(bin.Sizes).Flash()
		k := slices.IndexFunc(list, func(r Root) bool { return r.Name == name })
		if k < 0 {
			t.Errorf("%s is none of the roots", name)
			return
		}
		got := list[k].Flash
		if d := got - want; d > max(want/50, 64) || d < -max(want/50, 64) {
			t.Errorf("%s keeps %d bytes, without it the program has %d less (%+.1f %%): %+v, %+v", roots[i].call, got, want, 100*float64(d)/float64(want),
				list[k].Keeps, whole.Sizes.Sub(bin.Sizes))
		}
		t.Logf("%-12s keeps %7d, removing it saves %7d", roots[i].pkg, got, want)
		if chain := g.Why(name); len(chain) != 2 || chain[0].Symbol != "main.main" {
			t.Errorf("the way to %s is %v", name, chain)
		}
	})
}

func TestDominatorsOfASmallGraph(t *testing.T) {
	// 0 -> 1 -> 3, 0 -> 2 -> 3 -> 4 -> 5, 4 -> 3
	to := func(ids ...int32) (es []edge) {
		for _, id := range ids {
			es = append(es, edge{to: id})
		}
		return es
	}
	g := &Graph{nodes: make([]node, 6), roots: []int32{0}}
	for i, ids := range [][]int32{{1, 2}, {3}, {3}, {4}, {5, 3}, nil} {
		g.nodes[i] = node{name: fmt.Sprint(i), kind: Text, size: 10, edges: to(ids...)}
	}
	p := g.program()
	if got, want := p.dominators(), []int32{-1, 0, 0, 0, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("dominators are %v, want %v", got, want)
	}
	g.names = map[string][]int32{"1": {1}, "3": {3}}
	if got := g.Retained("3"); got.Text != 30 {
		t.Errorf("3 keeps %d, want 30", got.Text)
	}
	if got := g.Retained("1"); got.Text != 10 {
		t.Errorf("1 keeps %d, want 10", got.Text)
	}
}
