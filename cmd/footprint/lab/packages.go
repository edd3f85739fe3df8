package lab

import (
	"cmp"
	"slices"
	"strings"
)

// A Share is what a package, or something that packages share, takes of a
// program.
type Share struct {
	Name string `json:"name"`
	Sizes
}

// Shares is how a program, or what it adds to another, divides up.
type Shares struct {
	Own      []Share `json:"own"`      // packages outside of the standard library, and main
	Standard []Share `json:"standard"` // packages of the standard library
	Shared   []Share `json:"shared"`   // strings, type descriptors, function tables, padding
	Total    Sizes   `json:"total"`    // of the sections
}

// Divide says how b divides up, without what base has under the same name. Of
// a package in both, that leaves what b uses and base does not: for the standard
// library, what b drags in. A nil base is nothing.
func Divide(b, base *Binary) Shares {
	sizes := sum(b, 1)
	total := b.Sizes
	if base != nil {
		for name, s := range sum(base, -1) {
			sizes[name] = sizes[name].Add(s)
		}
		total = total.Sub(base.Sizes)
	}
	var out Shares
	rest := total
	rest.File = 0
	for name, s := range sizes {
		if s == (Sizes{}) {
			continue
		}
		rest = rest.Sub(s)
		switch {
		case strings.HasPrefix(name, "("):
			out.Shared = append(out.Shared, Share{name, s})
		case Standard(name):
			out.Standard = append(out.Standard, Share{name, s})
		default:
			out.Own = append(out.Own, Share{name, s})
		}
	}
	if rest != (Sizes{}) {
		out.Shared = append(out.Shared, Share{"(types, padding, unnamed)", rest})
	}
	out.Total = total
	for _, l := range [][]Share{out.Own, out.Standard, out.Shared} {
		slices.SortFunc(l, func(a, b Share) int {
			return cmp.Or(cmp.Compare(b.Flash(), a.Flash()), cmp.Compare(b.Bss, a.Bss), cmp.Compare(a.Name, b.Name))
		})
	}
	return out
}

// sum adds up the symbols of b by package, times sign.
func sum(b *Binary, sign int64) map[string]Sizes {
	m := map[string]Sizes{}
	for i := range b.Symbols {
		s := &b.Symbols[i]
		if s.Size == 0 {
			continue
		}
		name := s.Package
		if name == "" {
			name = sharedName(s)
		}
		z := m[name]
		*z.at(s.Kind) += sign * s.Size
		m[name] = z
	}
	return m
}

// sharedName says what a symbol is that belongs to no package.
func sharedName(s *Symbol) string {
	switch {
	case s.Kind == Pclntab:
		return "(function tables)"
	case s.Kind == Text:
		return "(assembly without a package)"
	case strings.HasPrefix(s.Name, "type:"):
		return "(type descriptors)"
	case strings.HasPrefix(s.Name, "go:string"):
		return "(strings)"
	case strings.HasPrefix(s.Name, "go:itab"):
		return "(interface tables)"
	}
	return "(constants)"
}
