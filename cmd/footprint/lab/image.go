package lab

import (
	"cmp"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
)

// An image is what the formats of programs have in common.
type image struct {
	order    binary.ByteOrder
	sections []section
	pclntab  int // its section; -1: none
	symbols  []symbol
	file     int64 // size without symbol table and DWARF
}

type section struct {
	kind       Kind
	addr, size uint64
	data       func() ([]byte, error) // from addr on; may be more than size, where a part is counted elsewhere
}

type symbol struct {
	name       string
	section    int
	addr, size uint64 // size 0: up to the next symbol, or nothing
}

// binary adds up the sections, and gives every symbol its size.
func (img *image) binary() *Binary {
	b := &Binary{}
	b.Sizes.File = img.file
	for _, s := range img.sections {
		if s.kind != Other {
			*b.Sizes.at(s.kind) += int64(s.size)
		}
	}
	if len(img.symbols) == 0 {
		return b // stripped
	}
	slices.SortStableFunc(img.symbols, func(a, b symbol) int { return cmp.Compare(a.addr, b.addr) })
	var funcdata symbol
	for i, s := range img.symbols {
		sec := &img.sections[s.section]
		if s.size == 0 && isRegion(s.name) {
			s.size = img.upToNext(i)
		}
		if s.name == "go:func.*" {
			funcdata = s
		}
		b.Symbols = append(b.Symbols, Symbol{Name: s.name, Package: PackageOf(s.name), Kind: sec.kind, Size: int64(s.size)})
	}
	img.addFuncTables(b, funcdata)
	return b
}

// upToNext returns how far it is from symbol i to the next one, or to the end of its section.
func (img *image) upToNext(i int) uint64 {
	s := &img.symbols[i]
	for _, next := range img.symbols[i:] {
		if next.addr > s.addr && next.section == s.section {
			return next.addr - s.addr
		}
	}
	sec := &img.sections[s.section]
	return max(sec.addr+sec.size, s.addr) - s.addr
}

// isRegion reports whether name is a symbol without a size at the start of all
// symbols of one kind, which have no names of their own.
func isRegion(name string) bool {
	return name == "type:*" || name == "go:string.*" || name == "go:funcdesc" || name == "runtime.gcbits.*"
}

// addFuncTables adds a symbol for each function's share of .gopclntab, with the
// name of the function.
func (img *image) addFuncTables(b *Binary, funcdata symbol) {
	read := func(sec int, from, size uint64) []byte {
		data, err := img.sections[sec].data()
		if err != nil || from > uint64(len(data)) || size > uint64(len(data))-from {
			return nil
		}
		return data[from : from+size]
	}
	tab := &img.sections[img.pclntab]
	var maps []byte
	mapsKind := Other
	if s := &img.sections[funcdata.section]; funcdata.name != "" {
		maps, mapsKind = read(funcdata.section, funcdata.addr-s.addr, funcdata.size), s.kind
	}
	if mapsKind != Pclntab {
		maps = nil // older linkers keep these in .rodata
	}
	file := map[string]string{}
	for _, t := range funcTables(read(img.pclntab, 0, tab.size), maps, img.order) {
		b.Divided = true
		b.Symbols = append(b.Symbols, Symbol{t.name, PackageOf(t.name), Pclntab, t.size, t.file})
		file[t.name] = t.file
		if maps != nil {
			b.Symbols = slices.DeleteFunc(b.Symbols, func(s Symbol) bool { return s.Name == "go:func.*" })
			maps = nil
		}
	}
	for i := range b.Symbols {
		if s := &b.Symbols[i]; s.Kind == Text {
			s.File = file[s.Name]
		}
	}
}

func readELF(file *os.File) (*image, error) {
	f, err := elf.NewFile(file)
	if err != nil {
		return nil, err
	}
	st, err := file.Stat()
	if err != nil {
		return nil, err
	}
	img := &image{order: f.ByteOrder, pclntab: -1, file: strippedELF(f, st.Size())}
	for i, s := range f.Sections {
		k := kindELF(s)
		if k == Pclntab {
			img.pclntab = i
		}
		img.sections = append(img.sections, section{k, s.Addr, s.Size, s.Data})
	}
	syms, err := f.Symbols()
	if errors.Is(err, elf.ErrNoSymbols) {
		return img, nil
	} else if err != nil {
		return nil, errors.New("symbol table: " + err.Error())
	}
	for _, s := range syms {
		if i := int(s.Section); i < len(img.sections) && s.Name != "" && img.sections[i].kind != Other {
			img.symbols = append(img.symbols, symbol{s.Name, i, s.Value, s.Size})
		}
	}
	return img, nil
}

func kindELF(s *elf.Section) Kind {
	switch {
	case s.Flags&elf.SHF_ALLOC == 0:
		return Other
	case s.Name == ".gopclntab" || s.Name == ".data.rel.ro.gopclntab": // by build mode
		return Pclntab
	case s.Type == elf.SHT_NOBITS:
		return Bss
	case s.Flags&elf.SHF_EXECINSTR != 0:
		return Text
	case s.Flags&elf.SHF_WRITE != 0:
		return Data
	}
	return Rodata
}

// strippedELF returns the size that the file has when linked with -s -w: the
// linker writes what is not loaded behind everything else, and only the table
// of section names remains of it.
func strippedELF(f *elf.File, size int64) int64 {
	end := int64(-1)
	var names int64
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 || s.Type == elf.SHT_NULL {
			continue
		}
		if s.Name == ".shstrtab" {
			names += int64(s.Size)
			continue
		}
		names -= int64(len(s.Name) + 1)
		if off := int64(s.Offset); end < 0 || off < end {
			end = off
		}
	}
	if end < 0 {
		return size // it is stripped
	}
	return end + names
}

// Neither Mach-O nor PE says how large a symbol is: each reaches to the next one, with the
// gap between them.

func readMachO(file *os.File) (*image, error) {
	f, err := macho.NewFile(file)
	if err != nil {
		return nil, err
	}
	img := &image{order: f.ByteOrder, pclntab: -1}
	for _, l := range f.Loads {
		if s, ok := l.(*macho.Segment); ok && s.Name != "__DWARF" && s.Name != "__LINKEDIT" {
			img.file = max(img.file, int64(s.Offset+s.Filesz))
		}
	}
	const zerofill = 1 // in the low byte of the flags
	for i, s := range f.Sections {
		k := Rodata
		switch {
		case s.Seg == "__DWARF":
			k = Other
		case s.Name == "__gopclntab":
			k, img.pclntab = Pclntab, i
		case s.Flags&0xff == zerofill:
			k = Bss
		case s.Name == "__text" || s.Name == "__symbol_stub1":
			k = Text
		case s.Seg == "__DATA":
			k = Data
		}
		img.sections = append(img.sections, section{k, s.Addr, s.Size, s.Data})
	}
	if f.Symtab == nil {
		return img, nil
	}
	for _, s := range f.Symtab.Syms {
		const typeMask, defined, debug = 0x0e, 0x0e, 0xe0
		if i := int(s.Sect) - 1; i >= 0 && i < len(img.sections) && s.Type&debug == 0 && s.Type&typeMask == defined && img.sections[i].kind != Other {
			// A C compiler puts an underscore in front, and so does Go of what others may see.
			name := s.Name
			if rest, ok := strings.CutPrefix(name, "_"); ok && (isRegion(rest) || strings.HasPrefix(rest, "go:")) {
				name = rest
			}
			img.symbols = append(img.symbols, symbol{name, i, s.Value, 0})
		}
	}
	img.sizeSymbols()
	return img, nil
}

var errNoTables = errors.New("a PE file without symbols does not say where its function tables are: build it without -ldflags=-s")

func readPE(file *os.File) (*image, error) {
	f, err := pe.NewFile(file)
	if err != nil {
		return nil, err
	}
	img := &image{order: binary.LittleEndian, pclntab: -1}
	for _, s := range f.Sections {
		const code, write, discardable = 0x20, 0x80000000, 0x02000000
		k := Rodata
		switch {
		case s.Characteristics&discardable != 0 && s.Name != ".reloc": // symbols, DWARF
			k = Other
		case s.Characteristics&code != 0:
			k = Text
		case s.Characteristics&write != 0:
			k = Data
		}
		// On disk a section is padded; in memory .data goes on with variables that start as zero.
		size := uint64(min(s.VirtualSize, s.Size))
		img.sections = append(img.sections, section{k, uint64(s.VirtualAddress), size, s.Data})
		if k != Other {
			img.file = max(img.file, int64(s.Offset)+int64(s.Size))
		}
	}
	var tab, etab uint64
	in := -1
	for _, s := range f.Symbols {
		i := int(s.SectionNumber) - 1
		if i < 0 || i >= len(img.sections) || img.sections[i].kind == Other {
			continue
		}
		x := symbol{s.Name, i, img.sections[i].addr + uint64(s.Value), 0}
		switch s.Name {
		case "runtime.pclntab":
			tab, in = x.addr, i
		case "runtime.epclntab":
			etab = x.addr
		}
		img.symbols = append(img.symbols, x)
	}
	if in < 0 || etab <= tab {
		return img, errNoTables
	}
	// The function tables are a part of .rdata.
	cut := func(i int, addr, end uint64, k Kind) int {
		s := img.sections[i]
		part := section{k, addr, end - addr, func() ([]byte, error) {
			data, err := s.data()
			if err != nil || end-s.addr > uint64(len(data)) {
				return nil, io.ErrUnexpectedEOF
			}
			return data[addr-s.addr : end-s.addr], nil
		}}
		img.sections = append(img.sections, part)
		for j := range img.symbols {
			if x := &img.symbols[j]; x.section == i && x.addr >= addr && x.addr < end {
				x.section = len(img.sections) - 1
			}
		}
		return len(img.sections) - 1
	}
	img.pclntab = cut(in, tab, etab, Pclntab)
	for i, s := range f.Sections {
		if x := &img.sections[i]; x.kind == Data && uint64(s.VirtualSize) > x.size {
			cut(i, x.addr+x.size, x.addr+uint64(s.VirtualSize), Bss)
		}
	}
	img.sections[in].size -= etab - tab
	img.sizeSymbols()
	return img, nil
}

// sizeSymbols makes every symbol reach to the next one, but for the function tables as a whole,
// which addFuncTables divides.
func (img *image) sizeSymbols() {
	slices.SortStableFunc(img.symbols, func(a, b symbol) int { return cmp.Compare(a.addr, b.addr) })
	for i := range img.symbols {
		s := &img.symbols[i]
		if img.sections[s.section].kind == Pclntab && s.name != "go:func.*" {
			continue
		}
		if i+1 == len(img.symbols) || img.symbols[i+1].addr > s.addr {
			s.size = img.upToNext(i)
		}
	}
}
