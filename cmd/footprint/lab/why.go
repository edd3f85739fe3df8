package lab

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Step is one symbol of a chain of reasons.
type Step struct {
	Symbol string `json:"symbol"`
	How    string `json:"how"`            // how the step before keeps it alive
	Note   string `json:"note,omitempty"` // for methods: who calls such a method
	Bytes  int64  `json:"bytes"`          // of the symbol itself, without tables
}

// program is the graph of what is in the program, with the reasons for methods
// as edges.
type program struct {
	g     *Graph
	f     *flood
	edges [][]edge
}

func (g *Graph) program() *program {
	p := &program{g: g, f: g.reach(nil), edges: make([][]edge, len(g.nodes))}
	for i := range g.nodes {
		if !p.f.seen[i] {
			continue
		}
		n := &g.nodes[i]
		var out []edge
		for _, e := range n.edges {
			if e.to >= 0 && p.f.seen[e.to] {
				out = append(out, e)
			}
		}
		for _, t := range n.uses {
			if t >= 0 && p.f.seen[t] {
				out = append(out, edge{t, Converts})
			}
		}
		if n.gotype && p.f.inIface[i] {
			for k := range n.methods {
				m := &n.methods[k]
				if !p.f.wanted(m) {
					continue
				}
				kind := Method
				if _, ok := p.f.called[m.sig]; !ok {
					kind = Reflected
				}
				for _, s := range m.syms {
					if s >= 0 && p.f.seen[s] {
						out = append(out, edge{s, kind})
					}
				}
			}
		}
		p.edges[i] = out
	}
	return p
}

// chain returns the shortest way from one of starts to one of ends, or nil.
func (p *program) chain(starts, ends []int32) []Step {
	const none = -2
	parent := make([]int32, len(p.edges))
	how := make([]EdgeKind, len(p.edges))
	for i := range parent {
		parent[i] = none
	}
	var queue []int32
	for _, s := range starts {
		if p.f.seen[s] {
			parent[s] = -1
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		id := queue[0]
		queue = queue[1:]
		if slices.Contains(ends, id) {
			var steps []Step
			for ; id >= 0; id = parent[id] {
				s := Step{Symbol: p.g.nodes[id].name, Bytes: p.g.nodes[id].size}
				if parent[id] >= 0 {
					s.How = how[id].String()
					s.Note = p.note(parent[id], id, how[id])
				}
				steps = append(steps, s)
			}
			slices.Reverse(steps)
			return steps
		}
		for _, e := range p.edges[id] {
			if parent[e.to] == none {
				parent[e.to], how[e.to] = id, e.kind
				queue = append(queue, e.to)
			}
		}
	}
	return nil
}

// note says who calls the method to of type typ.
func (p *program) note(typ, to int32, how EdgeKind) string {
	if how != Method && how != Reflected {
		return ""
	}
	for _, m := range p.g.nodes[typ].methods {
		if !slices.Contains(m.syms[:], to) {
			continue
		}
		name := func(id int32) string { return p.g.nodes[id].name }
		if by, ok := p.f.called[m.sig]; ok {
			return fmt.Sprintf("%s is called through an interface, first in %s", m.sig.name, name(by))
		}
		if by, ok := p.f.named[m.sig.name]; ok {
			return fmt.Sprintf("%s is looked up by name in %s", m.sig.name, name(by))
		}
		if p.f.reflect >= 0 {
			return "any method may be looked up in " + name(p.f.reflect)
		}
	}
	return ""
}

// Find returns the names of symbols that are, or end in, or contain what: the
// best kind of match that there is. in says whether they are in the program.
func (g *Graph) Find(what string) (names []string, in bool) {
	f := g.reach(nil)
	for _, reached := range []bool{true, false} {
		for _, match := range []func(name string) bool{
			func(name string) bool { return name == what },
			func(name string) bool { return strings.HasSuffix(name, "/"+what) || strings.HasSuffix(name, "."+what) },
			func(name string) bool { return strings.Contains(name, what) },
		} {
			for name, ids := range g.names {
				if name != "" && match(name) && slices.ContainsFunc(ids, func(i int32) bool { return f.seen[i] }) == reached {
					names = append(names, name)
				}
			}
			if len(names) > 0 {
				slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
				return names, reached
			}
		}
	}
	return nil, false
}

// Why returns the shortest chain from main.main to the symbol called name, or,
// if there is none, from package initialisation, or from where the program
// starts. It is nil if the symbol is not in the program.
func (g *Graph) Why(name string) []Step {
	p := g.program()
	for _, starts := range [][]int32{g.names["main.main"], g.names["go:main.inittasks"], g.roots} {
		if c := p.chain(starts, g.names[name]); c != nil {
			return c
		}
	}
	return nil
}

// dominators returns, for each symbol of the program, the one without which it
// would not be reached, the nearest; -1 for those that have only the start in
// common. It iterates, as Cooper, Harvey and Kennedy describe: a graph of a
// program is nearly a tree, so that it takes few rounds.
func (p *program) dominators() []int32 {
	n := len(p.edges)
	order := make([]int32, 0, n) // postorder
	num := make([]int32, n+1)
	for i := range num {
		num[i] = -1
	}
	type frame struct {
		id   int32
		next int
	}
	start := int32(n) // a node of our own, in front of all roots
	preds := make([][]int32, n+1)
	seen := make([]bool, n)
	for _, r := range p.g.roots {
		preds[r] = append(preds[r], start)
		if seen[r] {
			continue
		}
		seen[r] = true
		stack := []frame{{r, 0}}
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if top.next == len(p.edges[top.id]) {
				num[top.id] = int32(len(order))
				order = append(order, top.id)
				stack = stack[:len(stack)-1]
				continue
			}
			to := p.edges[top.id][top.next].to
			top.next++
			preds[to] = append(preds[to], top.id)
			if !seen[to] {
				seen[to] = true
				stack = append(stack, frame{to, 0})
			}
		}
	}
	num[start] = int32(len(order))
	idom := make([]int32, n+1)
	for i := range idom {
		idom[i] = -1
	}
	idom[start] = start
	meet := func(a, b int32) int32 {
		for a != b {
			for num[a] < num[b] {
				a = idom[a]
			}
			for num[b] < num[a] {
				b = idom[b]
			}
		}
		return a
	}
	for changed := true; changed; {
		changed = false
		for i := len(order) - 1; i >= 0; i-- {
			id := order[i]
			best := int32(-1)
			for _, q := range preds[id] {
				if idom[q] < 0 {
					continue
				}
				if best < 0 {
					best = q
				} else {
					best = meet(best, q)
				}
			}
			if best >= 0 && idom[id] != best {
				idom[id] = best
				changed = true
			}
		}
	}
	idom = idom[:n]
	for i := range idom {
		if idom[i] == start {
			idom[i] = -1
		}
	}
	return idom
}

// A Way is how a symbol is reached first: the last step of the shortest chain.
type Way struct {
	Name   string `json:"n"`
	Parent int    `json:"p"` // index of a Way, or -1
	How    string `json:"h,omitempty"`
	Note   string `json:"o,omitempty"`
	Bytes  int64  `json:"b"`
}

// Ways returns for each function, variable and type of the program the step
// before it on the shortest chain: from main.main if there is one, else from
// package initialisation, else from the start.
func (g *Graph) Ways() []Way {
	p := g.program()
	parent := make([]int32, len(p.edges))
	how := make([]EdgeKind, len(p.edges))
	seen := make([]bool, len(p.edges))
	index := make([]int, len(p.edges))
	var order, queue []int32
	for _, starts := range [][]int32{g.names["main.main"], g.names["go:main.inittasks"], g.roots} {
		for _, s := range starts {
			if p.f.seen[s] && !seen[s] {
				seen[s], parent[s] = true, -1
				queue = append(queue, s)
			}
		}
		for len(queue) > 0 {
			id := queue[0]
			queue = queue[1:]
			order = append(order, id)
			for _, e := range p.edges[id] {
				if !seen[e.to] {
					seen[e.to], parent[e.to], how[e.to] = true, id, e.kind
					queue = append(queue, e.to)
				}
			}
		}
	}
	var ways []Way
	for _, id := range order {
		n := &g.nodes[id]
		if n.name == "" || n.pcln(n.name) || strings.HasPrefix(n.name, "go:string.") || strings.HasPrefix(n.name, "runtime.gcbits") || strings.HasPrefix(n.name, "type:.namedata") {
			continue
		}
		w := Way{Name: n.name, Parent: -1, Bytes: n.size}
		if up := parent[id]; up >= 0 {
			w.Parent, w.How, w.Note = index[up], how[id].String(), p.note(up, id, how[id])
		}
		index[id] = len(ways)
		ways = append(ways, w)
	}
	return ways
}

// Types returns the type descriptors in the program and their sizes, without
// those that base has too; the largest first. They have no names in a linked
// program.
func (g *Graph) Types(base *Graph) []Share {
	have := map[string]bool{}
	if base != nil {
		have = base.Reached()
	}
	f := g.reach(nil)
	m := map[string]Sizes{}
	for i := range g.nodes {
		if n := &g.nodes[i]; f.seen[i] && n.kind == Rodata && strings.HasPrefix(n.name, "type:") && !have[n.name] {
			z := m[n.name]
			z.Rodata += n.size
			m[n.name] = z
		}
	}
	var out []Share
	for name, z := range m {
		out = append(out, Share{name, z})
	}
	largestFirst(out)
	return out
}
