package lab

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// An Inlining is what a program gains if functions that are called once become a part of their
// callers.
type Inlining struct {
	Before    Sizes               `json:"before"`
	After     Sizes               `json:"after"`
	Functions int                 `json:"functions"` // how many less there are
	Edges     []Edge              `json:"edges"`     // the calls; none if the program would not be smaller
	Larger    int                 `json:"larger"`    // functions that are left alone, since the program would be larger
	Left      map[string][]string `json:"left"`      // functions that the compiler does not inline, by reason
}

// What a search may cost: each round and each trial builds the packages that it is about.
const (
	maxRounds = 6
	maxTrials = 12
)

// Inline looks for the calls of functions of t that have exactly one call and are not referred to
// otherwise, as by an interface or as a value. Inlined, each takes with it its prologue and
// its function tables. The runtime and what that is made of stay as they are: its functions run
// on stacks of a fixed size, and in places where there may be no write barrier.
func (b *Builder) Inline(ctx context.Context, t Target) (*Inlining, error) {
	data, err := b.cached(t, "inline", func() ([]byte, error) {
		in := &inliner{b: b, t: t, calls: map[string]call{}, deep: map[string]bool{}, failed: map[string]call{}}
		x, err := in.search(ctx)
		if err != nil {
			return nil, err
		}
		return json.Marshal(x)
	})
	if err != nil {
		return nil, err
	}
	x := new(Inlining)
	return x, json.Unmarshal(data, x)
}

// A call is the only one of a function. The line is in the innermost function that was inlined
// there, the start is the first line of the caller.
type call struct {
	caller, callee         string
	line, start            int32
	callerUnit, calleeUnit string // packages that they are compiled in
}

// An inliner tries which calls to inline.
type inliner struct {
	b      *Builder
	t      Target
	calls  map[string]call // by callee: those to be inlined
	deep   map[string]bool // of these, calls that are inlined on the way to their place as well
	failed map[string]call // those that the compiler does not inline
	larger int
}

func (in *inliner) search(ctx context.Context) (*Inlining, error) {
	bin, err := in.build(ctx)
	if err != nil {
		return nil, err
	}
	x := &Inlining{Before: bin.Sizes}
	// What is inlined makes other functions have one call, and what can't be keeps some as a caller.
	for round := 0; ; round++ {
		g, err := in.graph(ctx)
		if err != nil {
			return nil, err
		}
		if !in.learn(g, round < maxRounds) {
			break
		}
	}
	if err := in.weed(ctx, bin.functions(in.t.Align)); err != nil {
		return nil, err
	}
	x.Larger = in.larger
	if x.Left, err = in.reasons(ctx); err != nil {
		return nil, err
	}
	// What counts is what the go command makes of it.
	edges := in.edges()
	file, err := in.write(edges)
	if err != nil {
		return nil, err
	}
	if bin, err = in.buildWith(ctx, "-pgo="+file); err != nil {
		return nil, err
	}
	x.After = bin.Sizes
	if x.After.Flash() < x.Before.Flash() {
		x.Edges, x.Functions = edges, len(in.calls)
	}
	return x, nil
}

// learn changes what is to be inlined by what became of it in g, and reports whether there is
// something new to try, if it may add that.
func (in *inliner) learn(g *Graph, add bool) (more bool) {
	tried := map[Edge]bool{}
	for _, e := range in.edges() {
		tried[e] = true
	}
	there, singles := g.Reached(), g.singles()
	for name, was := range in.calls {
		if !there[name] {
			continue
		}
		is, ok := singles[name]
		switch {
		case ok && !tried[Edge{is.caller, name, int(is.line - is.start)}]:
			more = true // something on the way to where it was to go has failed
		case ok && !in.deep[name] && is.caller != was.caller:
			more, in.deep[name] = true, true
		default:
			in.failed[name] = was
			delete(in.calls, name)
		}
	}
	for name, c := range singles {
		_, known := in.calls[name]
		if _, ok := in.failed[name]; !ok && !known && add {
			in.calls[name] = c
			more = true
		}
	}
	if !add {
		maps.DeleteFunc(in.calls, func(name string, _ call) bool { return there[name] })
	}
	return more && add
}

// weed takes out calls with which a function becomes larger than it and the one called are
// alone: it spills more, and has longer displacements. As functions do not depend on each other, one
// build tries a call in each of them, those of large functions first.
func (in *inliner) weed(ctx context.Context, alone map[string]int64) error {
	bin, err := in.build(ctx)
	if err != nil {
		return err
	}
	now, tried := bin.functions(in.t.Align), map[string]bool{}
	for range maxTrials {
		groups, trial := map[string][]string{}, map[string]call{}
		for _, name := range slices.Sorted(maps.Keys(in.calls)) {
			way := in.way(name)
			root := way[len(way)-1].caller
			groups[root] = append(groups[root], name)
		}
		for root, group := range groups {
			best := ""
			for _, name := range group {
				if !tried[name] && (best == "" || alone[name] > alone[best]) {
					best = name
				}
			}
			if best != "" {
				tried[best], trial[root] = true, in.calls[best]
				delete(in.calls, best)
			}
		}
		if len(trial) == 0 {
			break
		}
		bin, err := in.build(ctx)
		if err != nil {
			return err
		}
		next := bin.functions(in.t.Align)
		for root, c := range trial {
			parts := append(groups[root], root)
			gain := int64(0)
			for _, name := range parts {
				gain += now[name] - next[name]
			}
			if gain <= 0 {
				in.calls[c.callee] = c
				continue
			}
			in.larger++
			for _, name := range parts {
				now[name] = next[name]
			}
		}
	}
	return nil
}

// functions returns what each function takes of text, and of the function tables. The linker has
// no two functions begin within 16 bytes.
func (b *Binary) functions(align int) map[string]int64 {
	if align == 0 {
		align = 16
	}
	m := map[string]int64{}
	for _, s := range b.Symbols {
		switch s.Kind {
		case Text:
			m[s.Name] += max(16, up(s.Size, int64(align)))
		case Pclntab:
			m[s.Name] += s.Size
		}
	}
	return m
}

// edges returns the calls as the compiler looks for them: from the function in which the code
// comes to lie, since what is inlined there has lines of its own, counted from the first of that.
// Calls from a function that is itself inlined are left out: with them it would count as larger. But
// the compiler knows the body of a function of a package that it does not import only if one that
// it does import has inlined it too: those are deep.
func (in *inliner) edges() (edges []Edge) {
	for _, name := range slices.Sorted(maps.Keys(in.calls)) {
		c := in.calls[name]
		for _, r := range in.way(name) {
			edges = append(edges, Edge{r.caller, name, int(c.line - r.start)})
		}
	}
	return edges
}

// way returns the calls from the functions of which name becomes a part: the last, or all if it is
// deep.
func (in *inliner) way(name string) (way []call) {
	c, ok := in.calls[name]
	for ok && len(way) <= len(in.calls) {
		way = append(way, c)
		c, ok = in.calls[c.caller]
	}
	if !in.deep[name] {
		way = way[len(way)-1:]
	}
	return way
}

// write makes a profile of edges, and returns its file.
func (in *inliner) write(edges []Edge) (file string, err error) {
	data := Pprof(edges)
	// The go command does not look into files that a flag of the compiler names.
	file = filepath.Join(in.b.Out, fmt.Sprintf("%x.pgo", sha256.Sum256(data)))
	return file, os.WriteFile(file, data, 0o666)
}

// build builds the program with what is to be inlined.
func (in *inliner) build(ctx context.Context) (*Binary, error) {
	flags, err := in.flags("")
	if err != nil {
		return nil, err
	}
	return in.buildWith(ctx, flags...)
}

func (in *inliner) buildWith(ctx context.Context, flags ...string) (*Binary, error) {
	t := in.t
	t.flags = flags
	path, err := in.b.Build(ctx, t)
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	return Read(path)
}

// graph is that of what build builds.
func (in *inliner) graph(ctx context.Context) (*Graph, error) {
	t := in.t
	var err error
	if t.flags, err = in.flags(""); err != nil {
		return nil, err
	}
	return in.b.Graph(ctx, t)
}

// flags returns those with which the go command gives the profile, and more, to the packages
// alone that have a part in it: the others need not be built again.
func (in *inliner) flags(more string) ([]string, error) {
	flags := []string{"-pgo=off"}
	file, err := in.write(in.edges())
	if err != nil {
		return nil, err
	}
	units := map[string]bool{}
	for name, c := range in.calls {
		units[c.calleeUnit] = true
		for _, r := range in.way(name) {
			units[r.callerUnit] = true
		}
	}
	for _, u := range slices.Sorted(maps.Keys(units)) {
		if u == "main" {
			u = "" // what is named on the command line
		} else {
			u += "="
		}
		flags = append(flags, "-gcflags="+u+"-pgoprofile="+file+more)
	}
	return flags, nil
}

// reasons asks the compiler why it did not inline the calls that failed.
func (in *inliner) reasons(ctx context.Context) (map[string][]string, error) {
	x := *in
	x.calls = maps.Clone(in.calls)
	maps.Copy(x.calls, in.failed)
	flags, err := x.flags(" -m=2")
	if err != nil || len(in.failed) == 0 {
		return nil, err
	}
	t := in.t
	t.flags = flags
	cmd := exec.CommandContext(ctx, "go", append(t.goArgs("build"), "-o", os.DevNull, t.Package)...)
	cmd.Dir, cmd.Env = in.b.Dir, t.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("building %s with tags %q: %s", t.Package, t.Tags, firstError(string(out), err))
	}
	units := map[string]bool{}
	for _, c := range in.failed {
		units[c.calleeUnit] = true
	}
	why, pkg := map[string]string{}, ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if p, ok := strings.CutPrefix(line, "# "); ok {
			if pkg = p; !units[p] {
				pkg = "main" // it has its path there
			}
		} else if _, rest, ok := strings.Cut(line, ": cannot inline "); ok {
			if name, reason, ok := strings.Cut(rest, ": "); ok {
				why[pkg+"."+name] = reason
			}
		}
	}
	left := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(in.failed)) {
		reason := why[strings.ReplaceAll(name, "%2e", ".")]
		if op, ok := strings.CutPrefix(reason, "unhandled op "); ok {
			reason = "has " + strings.ToLower(op)
		} else if strings.HasPrefix(reason, "function too complex") {
			reason = "too complex"
		}
		reason = or(reason, "for a reason that it does not say")
		left[reason] = append(left[reason], name)
	}
	return left, nil
}

// singles returns the functions of the program, but for the runtime's, that are called once and
// not referred to otherwise.
func (g *Graph) singles() map[string]call {
	p := g.program()
	refs := make([]int, len(g.nodes))
	calls := map[int32]call{}
	for _, r := range g.roots {
		refs[r] += 2
	}
	for i := range g.nodes {
		n := &g.nodes[i]
		if !p.f.seen[i] {
			continue
		}
		for _, e := range p.edges[i] {
			if e.kind != Calls {
				refs[e.to] += 2
			}
		}
		for _, s := range n.sites {
			refs[s.to]++
			if to := &g.nodes[s.to]; s.line > 0 && n.start > 0 && !strings.HasPrefix(to.name, "type:") && !g.below[n.unit] && !g.below[to.unit] {
				calls[s.to] = call{n.name, to.name, s.line, n.start, n.unit, to.unit}
			}
		}
	}
	out := map[string]call{}
	for to, c := range calls {
		// One name of two symbols: a function in assembly and its wrapper.
		if refs[to] == 1 && len(g.names[c.callee]) == 1 && len(g.names[c.caller]) == 1 && c.caller != c.callee {
			out[c.callee] = c
		}
	}
	return out
}

// lines returns a function that says on which line of the innermost function the
// instruction at an offset into s is, or 0. The table has pairs of differences: in line,
// and in program counter, whose unit is the least instruction.
func (l *loader) lines(o *object, s *rawSym) func(off int32) int32 {
	var table []byte
	var unit int32
	walk := func(do func(line, end int32) (more bool)) {
		line, end := int32(-1), int32(0)
		for at := 0; at < len(table); {
			d, n := binary.Varint(table[at:])
			if n <= 0 || d == 0 && at > 0 {
				return
			}
			pc, m := binary.Uvarint(table[at+n:])
			if at += n + m; m <= 0 {
				return
			}
			line, end = line+int32(d), end+int32(pc)
			if !do(line, end) {
				return
			}
		}
	}
	return func(off int32) (found int32) {
		for i := 0; i < s.nAux && table == nil; i++ {
			if typ, ref := o.aux(s.auxs + i); typ == auxPcline {
				if id := l.resolve(o, ref); id >= 0 {
					table = l.from[id].o.sym(l.from[id].i).data
				}
				var units int32
				walk(func(_, end int32) bool { units = end; return true })
				unit = int32(s.size) / max(1, units)
			}
		}
		walk(func(line, end int32) bool { found = line; return off >= end*unit })
		return found
	}
}
