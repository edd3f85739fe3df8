package lab

import (
	"encoding/binary"
	"strings"
)

// sizes sets where s will lie and how much room it takes there, as far as that
// follows from the symbol alone.
func (l *loader) sizes(n *node, s *rawSym) {
	kind := l.g.tc.kinds[s.kind]
	size := int64(s.size)
	switch {
	case strings.HasPrefix(kind, "STEXT"):
		if size == 0 {
			return
		}
		n.kind, n.size = Text, up(size, l.align)
		return
	case strings.Contains(kind, "BSS"):
		n.kind = Bss
	case strings.Contains(kind, "DATA") && !strings.Contains(kind, "RODATA"):
		n.kind = Data
	case strings.HasPrefix(kind, "SRODATA"):
		n.kind = Rodata
	default:
		return // debugging data
	}
	a := int64(s.align)
	switch {
	case strings.HasPrefix(s.name, "go:string."), strings.HasPrefix(s.name, "type:.namedata."), strings.HasPrefix(s.name, "runtime.gcbits."), strings.HasPrefix(s.name, "type:.importpath."):
		a = 1
	case n.pcln(s.name):
		n.kind = Pclntab
		a = max(a, 1)
	case a == 0: // the linker's choice
		for a = l.maxAlign; a > size && a > 1; a >>= 1 {
		}
	}
	n.size = up(size, a)
	if s.flag&flagTypelink != 0 {
		n.size += 4 // in the list of types
	}
}

func up(n, to int64) int64 { return (n + to - 1) / to * to }

// pcln reports whether name is a table that the linker puts into .gopclntab:
// pointer maps and the like, and pc tables, which have no name.
func (n *node) pcln(name string) bool {
	if name == "" || strings.HasPrefix(name, "gclocals·") || strings.HasPrefix(name, "go:func.") {
		return true
	}
	for _, s := range [...]string{".stkobj", ".opendefer", ".arginfo0", ".arginfo1", ".argliveinfo", ".wrapinfo", ".args_stackmap"} {
		if strings.HasSuffix(name, s) {
			return true
		}
	}
	return false
}

// funcInfo adds to function n what the linker makes of its FuncInfo: an entry
// in the table of functions, its name, and its inlining tree, which needs the
// names of what was inlined.
func (l *loader) funcInfo(fn, id int32) {
	n := &l.g.nodes[fn]
	info := l.from[id].o.sym(l.from[id].i).data
	if n.kind != Text || n.size == 0 || len(info) < 20 {
		return
	}
	o := l.from[id].o
	n.start = int32(binary.LittleEndian.Uint32(info[12:]))
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(info[at:]) }
	t := funcParts{fn: fn}
	nFile := int(u32(16))
	at := 20 + 4*nFile
	if nFile < 0 || at+4 > len(info) {
		return
	}
	for i := range nFile {
		t.files = append(t.files, o.str(o.blk[blkFile]+8*u32(20+4*i)))
		t.lastFile = max(t.lastFile, int(u32(20+4*i)))
	}
	nInl := int(u32(at))
	at += 4
	for i := range nInl {
		p := at + 24*i
		if p+24 > len(info) {
			break
		}
		if f := l.resolve(o, symRef{u32(p + 12), u32(p + 16)}); f >= 0 {
			t.inlined = append(t.inlined, f)
		}
	}
	t.nInl = int64(nInl)
	l.tables = append(l.tables, t)
}

// A funcParts is what makes up the tables of function fn.
type funcParts struct {
	fn      int32
	nInl    int64
	inlined []int32
	files   []string

	lastFile int // the highest number of one of them in the list of the object's files
}

// tablesOf adds nodes for the parts of the function tables: one for each
// function's entry, and one for each name of a function and of a file, which
// functions share.
func (l *loader) tablesOf() {
	g := l.g
	names, files, lists := map[int32]int32{}, map[string]int32{}, map[*object][]int32{}
	add := func(name string, size int64) int32 {
		g.nodes = append(g.nodes, node{name: name, kind: Pclntab, size: size, defined: true})
		return int32(len(g.nodes) - 1)
	}
	for _, t := range l.tables {
		in := l.from[t.fn]
		s := in.o.sym(in.i)
		var nPC, nData int64
		for i := range s.nAux {
			switch typ, _ := in.o.aux(s.auxs + i); typ {
			case auxPcdata:
				nPC++
			case auxFuncdata:
				nData++
			}
		}
		if t.nInl > 0 {
			nPC, nData = max(nPC, 3), max(nData, 4)
		}
		link := func(id int32) { g.nodes[t.fn].edges = append(g.nodes[t.fn].edges, edge{id, Tables}) }
		link(add("", 8+up(44+4*nPC+4*nData, l.ptr)+16*t.nInl))
		for _, f := range append(t.inlined, t.fn) {
			id, ok := names[f]
			if !ok {
				id = add("", int64(len(g.nodes[f].name)+1))
				names[f] = id
			}
			link(id)
		}
		for _, f := range t.files {
			id, ok := files[f]
			if !ok {
				id = add("", int64(len(f)+1))
				files[f] = id
			}
			link(id)
		}
		// Each object has a list of its files, up to the last that is needed.
		list := lists[in.o]
		for len(list) <= t.lastFile {
			id := add("", 4)
			if k := len(list); k > 0 {
				g.nodes[id].edges = []edge{{list[k-1], Tables}}
			}
			list = append(list, id)
		}
		lists[in.o] = list
		link(list[t.lastFile])
	}
}
