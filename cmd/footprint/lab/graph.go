package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// An EdgeKind says how one symbol keeps another alive.
type EdgeKind uint8

const (
	Refers    EdgeKind = iota // its address is taken: a variable, a constant, a function value
	Calls                     // a call
	TypeOf                    // a type descriptor
	Inits                     // package initialisation, in the runtime's order
	Converts                  // a value of the type is converted to an interface, so that its methods may be called
	Method                    // a method of a type in an interface, by a call through an interface
	Reflected                 // a method of a type in an interface, by reflection
	Tables                    // tables of a function: line numbers, pointer maps
)

func (k EdgeKind) String() string {
	return [...]string{"refers to", "calls", "needs the type", "initialises", "converts to an interface", "method by interface", "method by reflection", "tables"}[k]
}

type edge struct {
	to   int32
	kind EdgeKind
}

// A sig is a method's name and type, as interfaces ask for it.
type sig struct {
	name string
	typ  int32
}

type methodRef struct {
	sig  sig
	syms [3]int32 // type of the method, and two entries of its code
}

// A node is a symbol of the program or of what it was made of.
type node struct {
	name    string
	pkg     string
	kind    Kind
	size    int64 // with alignment
	edges   []edge
	methods []methodRef // of a type that is in an interface
	uses    []int32     // types that it converts to interfaces
	calls   []sig       // methods that it calls through interfaces
	named   []string    // methods that it calls by name
	gotype  bool
	reflect bool // it looks methods up by names that it does not know
	inIface bool // from the start
	defined bool
	unit    string // package that it was compiled in
	start   int32  // line of a function's declaration
	sites   []site // its calls
}

// A site is one call, on a line of the innermost function that was inlined there.
type site struct{ to, line int32 }

// A Graph is what the linker follows to find out which symbols a program needs:
// those that its entry point reaches. -ldflags=-dumpdep prints one way to each;
// this has all of them, so that it can say what one symbol keeps alive.
type Graph struct {
	nodes []node
	roots []int32
	names map[string][]int32
	tc    *toolchain
	below map[string]bool // packages of which the runtime is made
}

// Graph reads what t is linked from.
func (b *Builder) Graph(ctx context.Context, t Target) (*Graph, error) {
	cmd := exec.CommandContext(ctx, "go", append(t.goArgs("list"), "-export", "-deps",
		"-f", "{{.ImportPath}}\t{{.Name}}\t{{.Export}}\t{{if eq .ImportPath \"runtime\"}}{{join .Deps \" \"}}{{end}}", t.Package)...)
	cmd.Dir = b.Dir
	cmd.Env = t.env()
	var out, msgs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &msgs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("building %s with tags %q: %s", t.Package, t.Tags, firstError(msgs.String(), err))
	}
	root := exec.CommandContext(ctx, "go", "env", "GOROOT")
	root.Dir = b.Dir
	goroot, err := root.Output()
	if err != nil {
		return nil, errors.New("go env GOROOT does not work")
	}
	g := &Graph{names: map[string][]int32{}, below: map[string]bool{"runtime": true}}
	if g.tc, err = readToolchain(strings.TrimSpace(string(goroot))); err != nil {
		return nil, err
	}
	var objs []*object
	isMain := false
	for line := range strings.Lines(out.String()) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 || f[2] == "" {
			continue // unsafe
		}
		for _, dep := range strings.Fields(f[3]) {
			g.below[dep] = true
		}
		pkg := f[0]
		if f[1] == "main" {
			pkg, isMain = "main", true
		}
		o, err := readArchive(pkg, f[2])
		if err != nil {
			return nil, err
		}
		objs = append(objs, o...)
	}
	if !isMain {
		return nil, fmt.Errorf("%s is no program: name a package main", t.Package)
	}
	goos, goarch := or(t.GOOS, "linux"), or(t.GOARCH, "amd64")
	if err := g.load(objs, goos, goarch); err != nil {
		return nil, err
	}
	return g, nil
}

func (t Target) env() []string {
	env := append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0", "GOEXPERIMENT=", "GOAMD64=v1",
		"GOOS="+or(t.GOOS, "linux"), "GOARCH="+or(t.GOARCH, "amd64"))
	return append(env, t.Env...)
}

type nameABI struct {
	name string
	abi  uint16
}

// A loader gives every symbol its number.
type loader struct {
	g                    *Graph
	byName               map[nameABI]int32
	hash64               map[[8]byte]int32
	hash                 map[[16]byte]int32
	pkgs                 map[string]*object // the compiler's object of each package
	from                 []symIn            // by node
	tables               []funcParts
	align, maxAlign, ptr int64 // of functions, of data; of a pointer, its size
}

type symIn struct {
	o *object
	i int
}

func (g *Graph) load(objs []*object, goos, goarch string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the object files are not as this tool knows them: use Go 1.20 to 1.26 (%v)", r)
		}
	}()
	l := &loader{
		g: g, byName: map[nameABI]int32{}, hash64: map[[8]byte]int32{}, hash: map[[16]byte]int32{}, pkgs: map[string]*object{},
		align: 4, maxAlign: 32, ptr: 8,
	}
	switch goarch {
	case "amd64":
		l.align = 32
	case "386", "arm64":
		l.align = 16
	case "riscv64", "mips", "mipsle":
		l.align = 8
	case "wasm":
		l.align = 1
	case "arm":
		l.maxAlign = 8
	}
	switch goarch {
	case "386", "arm", "mips", "mipsle":
		l.ptr = 4
	}
	for _, o := range objs {
		if l.pkgs[o.pkg] == nil {
			l.pkgs[o.pkg] = o
		}
		l.define(o)
	}
	for _, o := range objs {
		l.refer(o)
	}
	for i := range l.from {
		l.fill(int32(i))
	}
	l.tablesOf()
	for i := range g.nodes {
		g.names[g.nodes[i].name] = append(g.names[g.nodes[i].name], int32(i))
	}
	entry := "_rt0_" + goarch + "_" + goos
	for _, root := range []string{entry, "runtime.unreachableMethod"} {
		ids := g.names[root]
		if len(ids) == 0 {
			return fmt.Errorf("there is no symbol %s: is GOARCH %s right?", root, goarch)
		}
		g.roots = append(g.roots, ids...)
	}
	g.inits(l)
	return nil
}

func (l *loader) add(o *object, i int) int32 {
	id := int32(len(l.g.nodes))
	l.g.nodes = append(l.g.nodes, node{})
	l.from = append(l.from, symIn{o, i})
	return id
}

// define numbers what o defines. Content decides which of two symbols without a
// package is the same.
func (l *loader) define(o *object) {
	o.ids = make([]int32, o.defs()+o.nRef)
	d0, d1, d2 := o.nDef[0], o.nDef[0]+o.nDef[1], o.nDef[0]+o.nDef[1]+o.nDef[2]
	for i := range o.defs() {
		s := o.sym(i)
		switch {
		case i < d0:
			o.ids[i] = l.add(o, i)
			if s.abi != staticABI {
				l.byName[nameABI{s.name, s.abi}] = o.ids[i]
			}
		case i < d1:
			var h [8]byte
			copy(h[:], o.data[o.blk[blkHash64]+uint32(8*(i-d0)):])
			id, ok := l.hash64[h]
			if !ok {
				id = l.add(o, i)
				l.hash64[h] = id
			}
			l.larger(id, o, i)
			o.ids[i] = id
		case i < d2:
			var h [16]byte
			copy(h[:], o.data[o.blk[blkHash]+uint32(16*(i-d1)):])
			id, ok := l.hash[h]
			if !ok {
				id = l.add(o, i)
				l.hash[h] = id
			}
			l.larger(id, o, i)
			o.ids[i] = id
		default:
			if s.abi == staticABI {
				o.ids[i] = l.add(o, i)
				continue
			}
			key := nameABI{s.name, s.abi}
			id, ok := l.byName[key]
			if !ok {
				id = l.add(o, i)
				l.byName[key] = id
			}
			l.larger(id, o, i)
			o.ids[i] = id
		}
	}
}

// larger makes symbol i of o the definition of id if it has more: a variable
// that is declared in Go may be defined in assembly.
func (l *loader) larger(id int32, o *object, i int) {
	old, now := l.from[id], o.sym(i)
	if was := old.o.sym(old.i); len(now.data) > len(was.data) || now.size > was.size && len(was.data) == 0 {
		l.from[id] = symIn{o, i}
	}
}

// refer numbers what o refers to by name.
func (l *loader) refer(o *object) {
	for i := o.defs(); i < len(o.ids); i++ {
		s := o.sym(i)
		o.ids[i] = l.named(s.name, s.abi)
	}
	for i := range o.count(blkRefFlags, 10) {
		b := o.data[o.blk[blkRefFlags]+uint32(10*i):]
		if b[9]&flag2UsedInIface != 0 {
			if id := l.resolve(o, symRef{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])}); id >= 0 {
				l.g.nodes[id].inIface = true
			}
		}
	}
}

// named returns the symbol with that name, of the other ABI if there is none of
// this one, or -1.
func (l *loader) named(name string, abi uint16) int32 {
	if id, ok := l.byName[nameABI{name, abi}]; ok {
		return id
	}
	if id, ok := l.byName[nameABI{name, abi ^ 1}]; ok && abi < 2 {
		return id
	}
	return -1
}

func (l *loader) resolve(o *object, r symRef) int32 {
	at := int(r.sym)
	switch r.pkg {
	case 0:
		return -1
	case refSelf:
	case refHashed64:
		at += o.nDef[0]
	case refHashed:
		at += o.nDef[0] + o.nDef[1]
	case refNone:
		at += o.nDef[0] + o.nDef[1] + o.nDef[2]
	case refBuiltin:
		if at >= len(l.g.tc.builtins) {
			return -1
		}
		b := l.g.tc.builtins[at]
		return l.named(b.name, b.abi)
	default:
		p := l.pkgs[o.refs[r.pkg]]
		if p == nil {
			return -1
		}
		return p.ids[at]
	}
	return o.ids[at]
}

// fill reads symbol id.
func (l *loader) fill(id int32) {
	g, o := l.g, l.from[id].o
	s := o.sym(l.from[id].i)
	n := &g.nodes[id]
	n.name, n.pkg, n.unit, n.defined = s.name, PackageOf(s.name), o.pkg, true
	n.gotype = s.flag&flagGoType != 0
	n.reflect = s.flag&flagReflectMethod != 0
	n.inIface = n.inIface || s.flag2&flag2UsedInIface != 0
	l.sizes(n, &s)

	tc := g.tc
	line := l.lines(o, &s)
	relocs := make([]rawReloc, s.nReloc)
	for i := range relocs {
		relocs[i] = o.reloc(s.relocs + i)
	}
	for i := 0; i < len(relocs); i++ {
		r := &relocs[i]
		if r.typ < 0 {
			continue // weak
		}
		to := l.resolve(o, r.sym)
		switch r.typ {
		case tc.relocs["R_METHODOFF"]:
			if i+2 < len(relocs) {
				m := methodRef{sig: sig{l.nameAt(o, relocs, r.off-4), to}}
				for k := range m.syms {
					m.syms[k] = l.resolve(o, relocs[i+k].sym)
				}
				n.methods = append(n.methods, m)
			}
			i += 2
			continue
		case tc.relocs["R_USETYPE"]:
			continue
		case tc.relocs["R_INITORDER"]:
			n.edges = append(n.edges, edge{to, Inits}) // see inits
			continue
		case tc.relocs["R_USEIFACE"]:
			if to >= 0 {
				n.uses = append(n.uses, l.typeOf(to))
			}
			continue
		case tc.relocs["R_USEIFACEMETHOD"]:
			if to >= 0 {
				in := l.from[to]
				x := in.o.sym(in.i)
				rs := make([]rawReloc, x.nReloc)
				for k := range rs {
					rs[k] = in.o.reloc(x.relocs + k)
				}
				if t := at(rs, int32(r.add)+4); t != nil {
					n.calls = append(n.calls, sig{l.nameAt(in.o, rs, int32(r.add)), l.resolve(in.o, t.sym)})
				}
			}
			continue
		case tc.relocs["R_USENAMEDMETHOD"]:
			if to >= 0 {
				x := l.from[to].o.sym(l.from[to].i)
				n.named = append(n.named, string(x.data))
			}
			continue
		}
		if to < 0 {
			continue
		}
		kind := Refers
		if name := tc.names[r.typ]; strings.Contains(name, "CALL") && name != "R_CALLIND" || strings.HasSuffix(name, "_JAL") {
			kind = Calls
			n.sites = append(n.sites, site{to, line(r.off)})
		} else if l.isType(to) {
			kind = TypeOf
		}
		n.edges = append(n.edges, edge{to, kind})
	}
	for i := range s.nAux {
		typ, ref := o.aux(s.auxs + i)
		to := l.resolve(o, ref)
		if to < 0 || typ == auxGotype || typ >= auxDwarfInfo && typ <= auxDwarfLines {
			continue
		}
		if typ == auxFuncInfo {
			l.funcInfo(id, to)
			continue // it is not itself in the program
		}
		n.edges = append(n.edges, edge{to, Tables})
	}
	slices.SortFunc(n.edges, func(a, b edge) int { return int(a.to)<<8 + int(a.kind) - int(b.to)<<8 - int(b.kind) })
	n.edges = slices.Compact(n.edges)
}

func at(relocs []rawReloc, off int32) *rawReloc {
	for i := range relocs {
		if relocs[i].off == off {
			return &relocs[i]
		}
	}
	return nil
}

// nameAt decodes the name to which the relocation at off points: a byte of
// flags, the length, the letters.
func (l *loader) nameAt(o *object, relocs []rawReloc, off int32) string {
	r := at(relocs, off)
	if r == nil {
		return ""
	}
	id := l.resolve(o, r.sym)
	if id < 0 {
		return ""
	}
	data := l.from[id].o.sym(l.from[id].i).data
	if len(data) < 2 {
		return ""
	}
	n, k := binary.Uvarint(data[1:])
	return string(data[1+k : 1+k+int(n)])
}

func (l *loader) isType(id int32) bool {
	return l.from[id].o.sym(l.from[id].i).flag&flagGoType != 0
}

// typeOf returns the type that an interface table is for, or the type itself.
func (l *loader) typeOf(id int32) int32 {
	in := l.from[id]
	s := in.o.sym(in.i)
	if s.flag2&flag2Itab == 0 {
		return id
	}
	for i := range s.nReloc {
		if r := in.o.reloc(s.relocs + i); int64(r.off) == l.ptr {
			return l.resolve(in.o, r.sym)
		}
	}
	return id
}

// inits adds the lists of what package initialisation runs, which the linker
// makes: the tasks in the order in which main's and the runtime's ask for them.
func (g *Graph) inits(l *loader) {
	list := func(name, first string, holder int32) {
		start := g.names[first]
		if len(start) == 0 {
			return
		}
		seen := map[int32]bool{start[0]: true}
		todo := []int32{start[0]}
		n := node{name: name, kind: Rodata, defined: true}
		for len(todo) > 0 {
			x := &g.nodes[todo[0]]
			if x.size > 8 { // a task that has functions
				n.edges = append(n.edges, edge{todo[0], Inits})
				n.size += l.ptr
			}
			todo = todo[1:]
			for _, e := range x.edges {
				if e.kind == Inits && e.to >= 0 && !seen[e.to] {
					seen[e.to] = true
					todo = append(todo, e.to)
				}
			}
		}
		id := int32(len(g.nodes))
		g.nodes = append(g.nodes, n)
		g.names[name] = []int32{id}
		if holder < 0 {
			g.roots = append(g.roots, id)
		} else {
			g.nodes[holder].edges = append(g.nodes[holder].edges, edge{id, Inits})
		}
	}
	list("go:main.inittasks", "main..inittask", -1)
	if v := g.names["runtime.runtime_inittasks"]; len(v) > 0 {
		list("go:runtime.inittasks", "runtime..inittask", v[0])
	}
	// From a task itself only its functions are reached.
	for i := range g.nodes {
		n := &g.nodes[i]
		if strings.HasSuffix(n.name, "..inittask") {
			n.edges = slices.DeleteFunc(n.edges, func(e edge) bool { return e.kind == Inits })
			for k := range n.edges {
				n.edges[k].kind = Inits
			}
		}
	}
}
