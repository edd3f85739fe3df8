package lab

import (
	"cmp"
	"slices"
	"strings"
)

// A Root is something that keeps others alive.
type Root struct {
	Kind   string `json:"kind"` // package, function, init or type
	Name   string `json:"name"`
	Under  string `json:"under,omitempty"` // the nearest root without which it would not be there itself
	Self   Sizes  `json:"self"`
	Keeps  Sizes  `json:"keeps"` // what would vanish with it, itself included
	Flash  int64  `json:"flash"` // of keeps
	Symbol int    `json:"symbols"`
}

// Roots returns what each exported function, each package with its
// initialisation, and each type in an interface keeps alive: what would vanish
// if the linker did not find it. It asks the linker's way, once for each, so
// methods that need both a type in an interface and a call through one count
// for both.
//
// Under is the dominator tree's parent among the roots.
func (g *Graph) Roots() []Root {
	p := g.program()
	idom := p.dominators()
	byID := map[int32]int{} // a root of one symbol
	var roots []Root
	var skips []func(int32) bool
	pkgs := map[string]bool{}
	own := func(pkg string) bool { return pkg != "" && pkg != "main" && !Standard(pkg) }
	direct := map[int32]bool{} // of the standard library, what others call
	for i := range g.nodes {
		if p.f.seen[i] && g.nodes[i].pkg != "" && !Standard(g.nodes[i].pkg) {
			for _, e := range p.edges[i] {
				direct[e.to] = true
			}
		}
	}
	for i := range g.nodes {
		n := &g.nodes[i]
		if !p.f.seen[i] || n.pkg == "" {
			continue
		}
		if !pkgs[n.pkg] {
			pkgs[n.pkg] = true
		}
		id := int32(i)
		kind := ""
		switch {
		case n.kind == Text && isInit(n.name, n.pkg):
			kind = "init"
		case n.kind == Text && n.pkg == "main" && strings.Count(n.name, ".") == 1 && n.name != "main.main":
			kind = "function"
		case n.kind == Text && (own(n.pkg) || direct[id]) && exported(lastName(n.name)):
			kind = "function"
		}
		if kind != "" {
			byID[id] = len(roots)
			roots = append(roots, Root{Kind: kind, Name: n.name})
			skips = append(skips, func(x int32) bool { return x == id })
		}
	}
	for i := range g.nodes {
		n := &g.nodes[i]
		id := int32(i)
		if p.f.seen[i] && n.gotype && p.f.inIface[i] && len(n.methods) > 0 {
			byID[id] = len(roots)
			roots = append(roots, Root{Kind: "type", Name: n.name})
			skips = append(skips, func(x int32) bool { return x == id })
		}
	}
	for pkg := range pkgs {
		if pkg == "main" || pkg == "runtime" {
			continue
		}
		roots = append(roots, Root{Kind: "package", Name: pkg})
		skips = append(skips, func(x int32) bool { return g.nodes[x].pkg == pkg })
	}
	for id, i := range byID {
		for up := idom[id]; up >= 0; up = idom[up] {
			if k, ok := byID[up]; ok {
				roots[i].Under = roots[k].Name
				break
			}
		}
	}
	Parallel(len(roots), func(i int) {
		r := &roots[i]
		without := g.reach(skips[i])
		r.Self = g.weigh(func(x int32) bool { return p.f.seen[x] && skips[i](x) })
		r.Keeps = g.weigh(func(x int32) bool {
			if p.f.seen[x] && !without.seen[x] {
				r.Symbol++
				return true
			}
			return false
		})
		r.Flash = r.Keeps.Flash()
	})
	slices.SortFunc(roots, func(a, b Root) int {
		return cmp.Or(cmp.Compare(b.Flash, a.Flash), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return roots
}

// isInit reports whether name is a package's initialiser.
func isInit(name, pkg string) bool {
	rest, ok := strings.CutPrefix(name[strings.LastIndexByte(name, '/')+1:], pkg[strings.LastIndexByte(pkg, '/')+1:]+".init")
	return ok && (rest == "" || rest[0] == '.' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9')
}

// lastName returns the name of a function or method without its package and
// type.
func lastName(s string) string {
	if i := strings.IndexByte(s, '['); i > 0 {
		s = s[:i]
	}
	return s[strings.LastIndexByte(s, '.')+1:]
}
