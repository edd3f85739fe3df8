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
	for k := Text; k <= Bss; k++ {
		if n := *rest.at(k); n != 0 {
			var s Sizes
			*s.at(k) = n
			out.Shared = append(out.Shared, Share{restNames[k], s})
		}
	}
	out.Total = total
	for _, l := range [][]Share{out.Own, out.Standard, out.Shared} {
		largestFirst(l)
	}
	return out
}

func largestFirst(l []Share) {
	slices.SortFunc(l, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Flash(), a.Flash()), cmp.Compare(b.Bss, a.Bss), cmp.Compare(a.Name, b.Name))
	})
}

// BySymbol returns the symbols of b, without what base has under the same
// name, the largest first. A nil base is nothing.
func BySymbol(b, base *Binary) []Share {
	return shares(b, base, func(s *Symbol) string { return s.Name })
}

// ByFile returns what the functions of each source file take; what is not a
// function goes by its package.
func ByFile(b, base *Binary) []Share {
	return shares(b, base, func(s *Symbol) string {
		switch {
		case s.File != "":
			return s.File
		case s.Package != "":
			return s.Package + " (no file)"
		}
		return sharedName(s)
	})
}

func shares(b, base *Binary, name func(s *Symbol) string) []Share {
	m := map[string]Sizes{}
	add := func(b *Binary, sign int64) {
		for i := range b.Symbols {
			s := &b.Symbols[i]
			n := name(s)
			z := m[n]
			*z.at(s.Kind) += sign * s.Size
			m[n] = z
		}
	}
	add(b, 1)
	if base != nil {
		add(base, -1)
	}
	var out []Share
	for name, z := range m {
		if z != (Sizes{}) {
			out = append(out, Share{name, z})
		}
	}
	largestFirst(out)
	return out
}

// restNames says what the bytes are that no symbol accounts for.
var restNames = [...]string{
	Text:    "(alignment of functions)",
	Rodata:  "(alignment of constants)",
	Pclntab: "(function tables: names of inlined functions, files, alignment)",
	Data:    "(data without a name, alignment)",
	Bss:     "(bss without a name, alignment)",
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
		return "(function tables of functions without a package)"
	case s.Kind == Text:
		return "(assembly without a package)"
	case strings.HasPrefix(s.Name, "type:"):
		return "(type descriptors)"
	case strings.HasPrefix(s.Name, "go:string"):
		return "(strings)"
	case strings.HasPrefix(s.Name, "go:itab"):
		return "(interface tables)"
	case strings.HasPrefix(s.Name, "go:funcdesc"):
		return "(function values)"
	case strings.HasPrefix(s.Name, "runtime.gcbits"):
		return "(pointer maps)"
	}
	return "(constants)"
}
