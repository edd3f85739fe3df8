package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
)

//go:embed page.html
var page []byte

// A leaf is a symbol in the treemap: what of it an empty program has not.
type leaf struct {
	Package string   `json:"p"`
	File    string   `json:"f"`
	Name    string   `json:"n"`
	Sizes   [4]int64 `json:"s"` // text, rodata, pclntab, data
}

// pageData is what the page shows.
type pageData struct {
	Name     string               `json:"name"`
	Layer    string               `json:"layer"`
	Table    *report              `json:"table"`
	Features *featureReport       `json:"features"`
	Maps     map[string][]leaf    `json:"maps"`
	Ways     map[string][]lab.Way `json:"ways"`
}

func (t *tool) runHTML(ctx context.Context, args []string) error {
	l, err := t.program()
	if err != nil {
		return err
	}
	if isFile(l.Package) {
		return usageError("the page is for packages: give the one that " + l.Package + " was built from")
	}
	d := &pageData{Name: t.b.Module(), Layer: l.Name, Maps: map[string][]leaf{}, Ways: map[string][]lab.Way{}}
	if d.Table, err = t.profiles(ctx); err == nil {
		err = d.Table.firstError()
	}
	if err != nil {
		return err
	}
	if len(t.p.Features) > 0 {
		if d.Features, err = t.features(ctx, t.p.Profiles); err != nil {
			return err
		}
	}
	emptyGraph, err := t.b.Graph(ctx, t.target(t.p.Base))
	if err != nil {
		return err
	}
	for _, p := range t.p.Profiles {
		bin, base, _, err := t.pair(ctx, p.Name)
		if err != nil {
			return err
		}
		g, _, err := t.graph(ctx, p.Name)
		if err != nil {
			return err
		}
		d.Maps[p.Name] = leaves(bin, base, g.Types(emptyGraph))
		d.Ways[p.Name] = g.Ways()
	}
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	// In a script, only "</" and "<!" must not occur: json.Marshal writes < as \u003c.
	out := bytes.Replace(page, []byte("/*DATA*/null"), data, 1)
	if err := os.WriteFile(args[0], out, 0o666); err != nil {
		return err
	}
	if !t.json {
		fmt.Fprintf(t.w, "%s: %s bytes; it needs nothing else, open it in a browser\n", args[0], num(int64(len(out))))
		return nil
	}
	_, err = t.w.Write(append(data, '\n'))
	return err
}

// leaves returns what bin has and base has not, by package, file and symbol.
func leaves(bin, base *lab.Binary, types []lab.Share) []leaf {
	type key struct{ pkg, file, name string }
	m := map[key][4]int64{}
	files := map[string]string{}
	for i := range bin.Symbols {
		if s := &bin.Symbols[i]; s.File != "" {
			files[s.Name] = s.File
		}
	}
	add := func(b *lab.Binary, sign int64) {
		for i := range b.Symbols {
			s := &b.Symbols[i]
			if s.Kind == lab.Bss || s.Size == 0 || s.Name == "type:*" {
				continue
			}
			k := key{s.Package, files[s.Name], s.Name}
			if k.pkg == "" {
				k.pkg, k.file = "(shared)", "constants, strings, interface tables"
			} else if k.file == "" {
				k.file = "(variables and constants)"
			} else {
				k.file = k.file[strings.LastIndexByte(k.file, '/')+1:]
			}
			z := m[k]
			z[s.Kind-lab.Text] += sign * s.Size
			m[k] = z
		}
	}
	add(bin, 1)
	add(base, -1)
	for _, t := range types {
		m[key{"(shared)", "type descriptors", t.Name}] = [4]int64{1: t.Rodata}
	}
	var out []leaf
	for k, z := range m {
		if z[0]+z[1]+z[2]+z[3] > 0 {
			out = append(out, leaf{k.pkg, k.file, k.name, z})
		}
	}
	sortLeaves(out)
	return out
}

func sortLeaves(l []leaf) {
	// The page must be the same for the same program.
	slices.SortFunc(l, func(a, b leaf) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.File, b.File), cmp.Compare(a.Name, b.Name))
	})
}
