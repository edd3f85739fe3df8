package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// What the compiler writes is described by package cmd/internal/goobj. Its
// numbers that change from one version of Go to the next are read from Go's own
// sources, so that they are always those of the compiler in use.
const objectMagic = "\x00go120ld"

// Blocks of an object file, by their place in the header.
const (
	blkAutolib = iota
	blkPkgIdx
	blkFile
	blkSymdef
	blkHashed64def
	blkHasheddef
	blkNonpkgdef
	blkNonpkgref
	blkRefFlags
	blkHash64
	blkHash
	blkRelocIdx
	blkAuxIdx
	blkDataIdx
	blkReloc
	blkAux
	blkData
	blkRefName
	blkEnd
)

// Values of PkgIdx that are no packages.
const (
	refNone = 1<<31 - 1 - iota
	refHashed64
	refHashed
	refBuiltin
	refSelf
)

const (
	objSymSize   = 21
	objRelocSize = 23
	objAuxSize   = 9
	staticABI    = 0xFFFF
)

// Flags of symbols.
const (
	flagTypelink      = 1 << 2
	flagReflectMethod = 1 << 5
	flagGoType        = 1 << 6
	flag2UsedInIface  = 1 << 0
	flag2Itab         = 1 << 1
)

// Kinds of auxiliary symbols.
const (
	auxGotype     = 0
	auxFuncInfo   = 1
	auxFuncdata   = 2
	auxDwarfInfo  = 3
	auxDwarfLines = 6
	auxPcline     = 9
	auxPcdata     = 11
)

type symRef struct{ pkg, sym uint32 }

// An object is one file that the compiler or the assembler wrote.
type object struct {
	pkg  string
	data []byte
	blk  [blkEnd + 1]uint32
	refs []string // packages by index
	nDef [4]int   // in SymbolDefs, Hashed64Defs, HashedDefs, NonPkgDefs
	nRef int
	ids  []int32 // of its symbols and references, in the linker's numbering
}

func (o *object) u32(at uint32) uint32 { return binary.LittleEndian.Uint32(o.data[at:]) }

func (o *object) str(at uint32) string {
	n, off := o.u32(at), o.u32(at+4)
	return string(o.data[off : off+n])
}

// count returns the number of elements in a block.
func (o *object) count(blk int, size uint32) int {
	return int((o.blk[blk+1] - o.blk[blk]) / size)
}

// readArchive returns the objects in a package's archive.
func readArchive(pkg, file string) (objs []*object, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("%s: the object file of package %s is not as this tool knows it: use the Go version that it was made for", file, pkg)
		}
	}()
	const head = "!<arch>\n"
	if !bytes.HasPrefix(data, []byte(head)) {
		return nil, fmt.Errorf("%s is no archive", file)
	}
	for at := len(head); at+60 <= len(data); {
		size, err := strconv.Atoi(strings.TrimSpace(string(data[at+48 : at+58])))
		if err != nil {
			return nil, fmt.Errorf("%s: damaged archive", file)
		}
		body := data[at+60 : at+60+size]
		at += 60 + size + size%2
		if !bytes.HasPrefix(body, []byte("go object ")) {
			continue
		}
		i := bytes.Index(body, []byte("\n!\n"))
		if i < 0 || len(body) < i+3+8 || !bytes.HasPrefix(body[i+3:], []byte("\x00go")) {
			continue // __.PKGDEF
		}
		o := &object{pkg: pkg, data: body[i+3:]}
		if string(o.data[:8]) != objectMagic {
			return nil, fmt.Errorf("package %s: object files are of a format that this tool does not know (%q): use Go 1.20 to 1.26", pkg, o.data[1:8])
		}
		o.read()
		objs = append(objs, o)
	}
	return objs, nil
}

func (o *object) read() {
	for i := range o.blk {
		o.blk[i] = o.u32(uint32(8 + 8 + 4 + 4*i))
	}
	for i := range o.count(blkPkgIdx, 8) {
		o.refs = append(o.refs, o.str(o.blk[blkPkgIdx]+uint32(8*i)))
	}
	for k, blk := range [...]int{blkSymdef, blkHashed64def, blkHasheddef, blkNonpkgdef} {
		o.nDef[k] = o.count(blk, objSymSize)
	}
	o.nRef = o.count(blkNonpkgref, objSymSize)
}

// A rawSym is a symbol as the object file has it.
type rawSym struct {
	name         string
	abi          uint16
	kind         uint8
	flag, flag2  uint8
	size, align  uint32
	relocs, auxs int // at the first one
	nReloc, nAux int
	data         []byte
}

// sym returns the i-th symbol, counted over all four kinds of definitions and
// the references behind them.
func (o *object) sym(i int) (s rawSym) {
	at := o.blk[blkSymdef] + uint32(i)*objSymSize // the blocks lie one behind the other
	b := o.data[at:]
	s.name = o.str(at)
	s.abi = binary.LittleEndian.Uint16(b[8:])
	s.kind, s.flag, s.flag2 = b[10], b[11], b[12]
	s.size, s.align = binary.LittleEndian.Uint32(b[13:]), binary.LittleEndian.Uint32(b[17:])
	if i < o.defs() {
		k := uint32(4 * i)
		s.relocs = int(o.u32(o.blk[blkRelocIdx] + k))
		s.nReloc = int(o.u32(o.blk[blkRelocIdx]+k+4)) - s.relocs
		s.auxs = int(o.u32(o.blk[blkAuxIdx] + k))
		s.nAux = int(o.u32(o.blk[blkAuxIdx]+k+4)) - s.auxs
		from, to := o.u32(o.blk[blkDataIdx]+k), o.u32(o.blk[blkDataIdx]+k+4)
		s.data = o.data[o.blk[blkData]+from : o.blk[blkData]+to]
	}
	return s
}

func (o *object) defs() int { return o.nDef[0] + o.nDef[1] + o.nDef[2] + o.nDef[3] }

type rawReloc struct {
	off int32
	typ int16
	add int64
	sym symRef
}

func (o *object) reloc(i int) rawReloc {
	b := o.data[o.blk[blkReloc]+uint32(i)*objRelocSize:]
	return rawReloc{
		off: int32(binary.LittleEndian.Uint32(b)), typ: int16(binary.LittleEndian.Uint16(b[5:])), add: int64(binary.LittleEndian.Uint64(b[7:])),
		sym: symRef{binary.LittleEndian.Uint32(b[15:]), binary.LittleEndian.Uint32(b[19:])},
	}
}

func (o *object) aux(i int) (typ uint8, sym symRef) {
	b := o.data[o.blk[blkAux]+uint32(i)*objAuxSize:]
	return b[0], symRef{binary.LittleEndian.Uint32(b[1:]), binary.LittleEndian.Uint32(b[5:])}
}

// A toolchain is what must be known of the compiler.
type toolchain struct {
	builtins []struct {
		name string
		abi  uint16
	}
	relocs map[string]int16 // kinds of relocations
	names  map[int16]string // and their names
	kinds  map[uint8]string // names of kinds of symbols
}

// readToolchain reads the compiler's sources in goroot.
func readToolchain(goroot string) (*toolchain, error) {
	t := &toolchain{relocs: map[string]int16{}, names: map[int16]string{}, kinds: map[uint8]string{}}
	dir := filepath.Join(goroot, "src", "cmd", "internal")
	parse := func(file string) (*ast.File, error) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, filepath.FromSlash(file)), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("the compiler's sources in %s can't be read: install Go with its sources (%v)", dir, errors.Unwrap(err))
		}
		return f, nil
	}
	f, err := parse("goobj/builtinlist.go")
	if err != nil {
		return nil, err
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if l, ok := n.(*ast.CompositeLit); ok && l.Type == nil && len(l.Elts) == 2 {
			name, ok1 := l.Elts[0].(*ast.BasicLit)
			abi, ok2 := l.Elts[1].(*ast.BasicLit)
			if ok1 && ok2 {
				s, _ := strconv.Unquote(name.Value)
				v, _ := strconv.Atoi(abi.Value)
				t.builtins = append(t.builtins, struct {
					name string
					abi  uint16
				}{s, uint16(v)})
			}
		}
		return true
	})
	if f, err = parse("objabi/reloctype.go"); err != nil {
		return nil, err
	}
	for i, name := range constBlock(f, "R_ADDR") {
		t.relocs[name], t.names[int16(1+i)] = int16(1+i), name
	}
	if f, err = parse("objabi/symkind.go"); err != nil {
		return nil, err
	}
	for i, name := range constBlock(f, "Sxxx") {
		t.kinds[uint8(i)] = name
	}
	for _, need := range []string{"R_METHODOFF", "R_USEIFACE", "R_USEIFACEMETHOD", "R_USENAMEDMETHOD", "R_USETYPE", "R_INITORDER"} {
		if t.relocs[need] == 0 {
			return nil, fmt.Errorf("this version of Go has no %s: use Go 1.20 to 1.26", need)
		}
	}
	return t, nil
}

// constBlock returns the names of the constants from first on in its block,
// which count up by one.
func constBlock(f *ast.File, first string) (names []string) {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		if s := g.Specs[0].(*ast.ValueSpec); s.Names[0].Name != first {
			continue
		}
		for i, x := range g.Specs {
			s := x.(*ast.ValueSpec)
			if i > 0 && len(s.Values) > 0 {
				break
			}
			names = append(names, s.Names[0].Name)
		}
	}
	return names
}
