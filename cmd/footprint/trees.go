package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
)

// graph reads what the program that was asked for is linked from.
func (t *tool) graph(ctx context.Context, profile string) (*lab.Graph, *lab.Program, error) {
	l, err := t.program()
	if err != nil {
		return nil, nil, err
	}
	if isFile(l.Package) {
		return nil, nil, usageError(l.Package + " is linked already, and says no more what keeps what: give the package that it was built from")
	}
	x := t.target(l.Package)
	if x.Tags, err = t.tags(profile); err != nil {
		return nil, nil, err
	}
	g, err := t.b.Graph(ctx, x)
	return g, l, err
}

type whyReport struct {
	Profile string     `json:"profile"`
	Layer   string     `json:"layer"`
	Symbol  string     `json:"symbol"`
	Keeps   lab.Sizes  `json:"keeps"` // what would vanish with it
	Chain   []lab.Step `json:"chain"`
	Others  []string   `json:"others,omitempty"` // symbols that the question fits as well
}

func (t *tool) runWhy(ctx context.Context, args []string) error {
	profile := t.profile(args[1:])
	g, l, err := t.graph(ctx, profile)
	if err != nil {
		return err
	}
	names, in := g.Find(args[0])
	if len(names) == 0 {
		return usageError(fmt.Sprintf("no symbol is called %s: footprint symbols %s lists them", args[0], profile))
	}
	if !in {
		return usageError(fmt.Sprintf("%s is not in the program: nothing reaches it, or it is inlined wherever it is called", names[0]))
	}
	r := &whyReport{Profile: profile, Layer: l.Name, Symbol: names[0], Others: names[1:min(len(names), 9)], Keeps: g.Retained(names[0]), Chain: g.Why(names[0])}
	return t.print(r, r.write)
}

func (r *whyReport) write(w io.Writer) {
	fmt.Fprintf(w, "Why %s is in %s with layer %s: the shortest of the ways to it.\n\n", r.Symbol, r.Profile, r.Layer)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range r.Chain {
		name := s.Symbol
		if s.Note != "" {
			name += "   (" + s.Note + ")"
		}
		fmt.Fprintf(t, "  %s\t%s\n", s.How, name)
	}
	t.Flush()
	fmt.Fprintf(w, "\nWithout it the program would have %s bytes less: %s text, %s rodata, %s pclntab, %s data.\n",
		num(r.Keeps.Flash()), num(r.Keeps.Text), num(r.Keeps.Rodata), num(r.Keeps.Pclntab), num(r.Keeps.Data))
	if len(r.Others) > 0 {
		fmt.Fprintf(w, "The question fits also %s.\n", strings.Join(r.Others, ", "))
	}
}

type rootReport struct {
	Profile string     `json:"profile"`
	Layer   string     `json:"layer"`
	Total   lab.Sizes  `json:"total"`
	Roots   []lab.Root `json:"roots"`
}

func (t *tool) runRoots(ctx context.Context, args []string) error {
	profile := t.profile(args)
	g, l, err := t.graph(ctx, profile)
	if err != nil {
		return err
	}
	r := &rootReport{Profile: profile, Layer: l.Name, Total: g.Size(), Roots: g.Roots()}
	return t.print(r, r.write)
}

// most is how many roots of a kind are shown as text.
const most = 25

func (r *rootReport) write(w io.Writer) {
	fmt.Fprintf(w, "What keeps what alive in %s with layer %s, in bytes: what would vanish with it from a program of %s.\n"+
		"Two may keep the same between them, and then neither keeps it alone. A root stands below the one without which it would\n"+
		"not be there itself.\n", r.Profile, r.Layer, num(r.Total.Flash()))
	for _, k := range []struct{ kind, head string }{
		{"package", "packages, with their initialisation"},
		{"function", "exported functions and methods"},
		{"init", "initialisers of packages"},
		{"type", "types whose values are in interfaces"},
	} {
		var rows []lab.Root
		for _, x := range r.Roots {
			if x.Kind == k.kind && x.Flash > 0 {
				rows = append(rows, x)
			}
		}
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s:\n", k.head)
		all := len(rows)
		rows = rows[:min(all, most)]
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "keeps\ttext\trodata\tpclntab\tdata\titself\tsymbols\t name")
		var tree func(under string, depth int)
		shown := map[string]bool{}
		tree = func(under string, depth int) {
			for _, x := range rows {
				if shown[x.Name] || x.Under != under && (depth > 0 || slices.ContainsFunc(rows, func(y lab.Root) bool { return y.Name == x.Under })) {
					continue
				}
				shown[x.Name] = true
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t %s%s\n", num(x.Flash), num(x.Keeps.Text), num(x.Keeps.Rodata), num(x.Keeps.Pclntab), num(x.Keeps.Data),
					num(x.Self.Flash()), x.Symbol, strings.Repeat("  ", depth), x.Name)
				tree(x.Name, depth+1)
			}
		}
		tree("", 0)
		t.Flush()
		if all > most {
			fmt.Fprintf(w, "and %d more: see -json\n", all-most)
		}
	}
}
