package lab

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// A flood is one walk over the graph as the linker does it.
type flood struct {
	g       *Graph
	skip    func(int32) bool // symbols that are taken out
	seen    []bool
	inIface []bool  // types that values of are converted to interfaces
	parent  []int32 // how each symbol was reached first; -1 for roots
	how     []EdgeKind
	called  map[sig]int32    // methods that are called through interfaces, and by whom
	named   map[string]int32 // methods that are looked up by name
	reflect int32            // who looks up methods by names that are not known; -1 nobody
	pending []pendingMethod
	queue   []int32
}

type pendingMethod struct {
	typ int32
	m   *methodRef
}

// reach follows the graph from its roots, breadth first, but not through what
// skip holds. Without skip, it reaches what is in the program.
func (g *Graph) reach(skip func(int32) bool) *flood {
	n := len(g.nodes)
	f := &flood{
		g: g, skip: skip, seen: make([]bool, n), inIface: make([]bool, n), parent: make([]int32, n), how: make([]EdgeKind, n),
		called: map[sig]int32{}, named: map[string]int32{}, reflect: -1,
	}
	for i := range g.nodes {
		f.inIface[i] = g.nodes[i].inIface
	}
	for _, r := range g.roots {
		f.mark(r, -1, Refers)
	}
	for {
		for i := 0; i < len(f.queue); i++ {
			f.visit(f.queue[i])
		}
		f.queue = f.queue[:0]
		// Methods of types in interfaces, once something calls such a method.
		rest := f.pending[:0]
		for _, p := range f.pending {
			if !f.wanted(p.m) {
				rest = append(rest, p)
				continue
			}
			kind := Method
			if _, ok := f.called[p.m.sig]; !ok {
				kind = Reflected
			}
			for _, s := range p.m.syms {
				f.mark(s, p.typ, kind)
			}
		}
		f.pending = rest
		if len(f.queue) == 0 {
			return f
		}
	}
}

func (f *flood) wanted(m *methodRef) bool {
	if _, ok := f.called[m.sig]; ok {
		return true
	}
	if _, ok := f.named[m.sig.name]; ok {
		return true
	}
	return f.reflect >= 0 && exported(m.sig.name)
}

func exported(name string) bool {
	r, _ := utf8.DecodeRuneInString(name)
	return unicode.IsUpper(r)
}

func (f *flood) mark(to, from int32, how EdgeKind) {
	if to < 0 || f.seen[to] || f.skip != nil && f.skip(to) {
		return
	}
	f.seen[to], f.parent[to], f.how[to] = true, from, how
	f.queue = append(f.queue, to)
}

// convert notes that values of type t are in interfaces, and looks at it again
// if that comes late.
func (f *flood) convert(t int32) {
	if t < 0 || f.inIface[t] {
		return
	}
	f.inIface[t] = true
	if f.seen[t] {
		f.queue = append(f.queue, t)
	}
}

func (f *flood) visit(id int32) {
	n := &f.g.nodes[id]
	if n.reflect && f.reflect < 0 {
		f.reflect = id
	}
	for _, s := range n.calls {
		if _, ok := f.called[s]; !ok {
			f.called[s] = id
		}
	}
	for _, s := range n.named {
		if _, ok := f.named[s]; !ok {
			f.named[s] = id
		}
	}
	for _, t := range n.uses {
		f.convert(t)
	}
	whole := n.gotype && f.inIface[id]
	for _, e := range n.edges {
		if whole && e.to >= 0 && f.g.nodes[e.to].gotype {
			f.convert(e.to) // reflection can get at it
		}
		f.mark(e.to, id, e.kind)
	}
	if whole {
		for i := range n.methods {
			f.convert(n.methods[i].syms[0])
			f.pending = append(f.pending, pendingMethod{id, &n.methods[i]})
		}
	}
}

// Weigh adds up the sizes of the symbols for which in is true.
func (g *Graph) weigh(in func(int32) bool) (s Sizes) {
	for i := range g.nodes {
		if n := &g.nodes[i]; n.kind != Other && n.size > 0 && in(int32(i)) {
			*s.at(n.kind) += n.size
		}
	}
	return s
}

// Size returns what the program's symbols take together.
func (g *Graph) Size() Sizes {
	f := g.reach(nil)
	return g.weigh(func(i int32) bool { return f.seen[i] })
}

// Retained returns what would not be in the program if nothing named by names
// were: the symbols, and all that only they keep alive.
func (g *Graph) Retained(names ...string) Sizes {
	var ids []int32
	for _, name := range names {
		ids = append(ids, g.names[name]...)
	}
	return g.retained(g.reach(nil), func(i int32) bool { return slices.Contains(ids, i) })
}

func (g *Graph) retained(whole *flood, skip func(int32) bool) Sizes {
	without := g.reach(skip)
	return g.weigh(func(i int32) bool { return whole.seen[i] && !without.seen[i] })
}

// Reached returns the names of all symbols that are in the program.
func (g *Graph) Reached() map[string]bool {
	f := g.reach(nil)
	m := map[string]bool{}
	for i := range g.nodes {
		if f.seen[i] && g.nodes[i].name != "" {
			m[g.nodes[i].name] = true
		}
	}
	return m
}
