// Package lab measures Go programs: how large their sections are, which
// packages and symbols fill them, and what a program adds to an empty one.
//
// It reads ELF files as the Go linker writes them, and builds the programs that
// it is asked about with the go command. Sizes are in bytes, and are those of
// sections and symbols, because files grow in steps of a page.
package lab

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Sizes says how large a program is, or how much larger than another.
type Sizes struct {
	Text    int64 `json:"text"`    // machine code
	Rodata  int64 `json:"rodata"`  // constants, strings, type descriptors, interface tables
	Pclntab int64 `json:"pclntab"` // function names, line tables, stack maps
	Data    int64 `json:"data"`    // initialised variables
	Bss     int64 `json:"bss"`     // variables that start as zero: not in the file
	File    int64 `json:"file"`    // the file without symbol table and DWARF
}

// Flash returns the bytes that must be stored: all sections but bss.
func (s Sizes) Flash() int64 { return s.Text + s.Rodata + s.Pclntab + s.Data }

// RAM returns the bytes of memory that variables take from the start, for
// systems that execute code in place.
func (s Sizes) RAM() int64 { return s.Data + s.Bss }

// Sub returns what s has more than t.
func (s Sizes) Sub(t Sizes) Sizes {
	return Sizes{s.Text - t.Text, s.Rodata - t.Rodata, s.Pclntab - t.Pclntab, s.Data - t.Data, s.Bss - t.Bss, s.File - t.File}
}

// Add returns the sum of s and t.
func (s Sizes) Add(t Sizes) Sizes { return s.Sub(Sizes{}.Sub(t)) }

// A Kind is the part of a program in which a symbol lies.
type Kind byte

const (
	Other Kind = iota // not loaded: symbol tables, DWARF
	Text
	Rodata
	Pclntab
	Data
	Bss
)

// at returns the field for k; k must not be Other.
func (s *Sizes) at(k Kind) *int64 {
	return [...]*int64{nil, &s.Text, &s.Rodata, &s.Pclntab, &s.Data, &s.Bss}[k]
}

// A Symbol is a function or variable of a program, or a table that the
// compiler or the linker made.
type Symbol struct {
	Name    string
	Package string // import path; "" for what is shared, such as strings
	Kind    Kind
	Size    int64
	File    string // where a function is declared; "" if not known
}

// A Binary is what was read from a program's file.
type Binary struct {
	Sizes   Sizes
	Symbols []Symbol // empty if the file was stripped
}

// Read reads a Go program: an ELF file, or of a WebAssembly module the sizes
// alone.
func Read(path string) (*Binary, error) {
	f, err := elf.Open(path)
	if err != nil {
		if errors.As(err, new(*fs.PathError)) {
			return nil, err
		}
		if data, err := os.ReadFile(path); err == nil && bytes.HasPrefix(data, []byte("\x00asm\x01\x00\x00\x00")) {
			return readWasm(path, data)
		}
		return nil, fmt.Errorf("%s is not an ELF file: give a program built for linux", path)
	}
	defer f.Close()
	if pclntab(f) == nil {
		return nil, fmt.Errorf("%s is not a Go program: it has no .gopclntab", path)
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	b := &Binary{}
	b.Sizes.File = stripped(f, st.Size())
	kinds := make([]Kind, len(f.Sections))
	for i, s := range f.Sections {
		kinds[i] = kindOf(s)
		if kinds[i] != Other {
			*b.Sizes.at(kinds[i]) += int64(s.Size)
		}
	}
	syms, err := f.Symbols()
	if err == elf.ErrNoSymbols {
		return b, nil
	} else if err != nil {
		return nil, fmt.Errorf("%s: symbol table: %v", path, err)
	}
	slices.SortStableFunc(syms, func(a, b elf.Symbol) int { return cmp.Compare(a.Value, b.Value) })
	var funcdata elf.Symbol
	for i, s := range syms {
		if int(s.Section) >= len(kinds) || s.Name == "" || kinds[s.Section] == Other {
			continue
		}
		k := kinds[s.Section]
		if s.Name == "go:func.*" {
			funcdata = s
		}
		size := int64(s.Size)
		if size == 0 && isRegion(s.Name) {
			for _, next := range syms[i:] {
				if next.Value > s.Value {
					size = int64(next.Value - s.Value)
					break
				}
			}
		}
		b.Symbols = append(b.Symbols, Symbol{Name: s.Name, Package: PackageOf(s.Name), Kind: k, Size: size})
	}
	b.addFuncTables(f, funcdata)
	return b, nil
}

// readWasm adds up the sections of a WebAssembly module. Its one section of data
// holds constants, function tables and variables: all of it is Rodata here.
func readWasm(path string, data []byte) (*Binary, error) {
	b := &Binary{}
	b.Sizes.File = 8
	for at := 8; at < len(data); {
		size, n := binary.Uvarint(data[at+1:])
		if n <= 0 || size > uint64(len(data)-at-1-n) {
			return nil, fmt.Errorf("%s is a damaged WebAssembly module: build it again", path)
		}
		all := int64(1 + n + int(size))
		switch data[at] {
		case 0: // custom: names, which are not needed to run it
		case 10:
			b.Sizes.Text += int64(size)
			b.Sizes.File += all
		default:
			b.Sizes.Rodata += int64(size)
			b.Sizes.File += all
		}
		at += int(all)
	}
	return b, nil
}

// isRegion reports whether name is a symbol without a size at the start of all
// symbols of one kind, which have no names of their own.
func isRegion(name string) bool {
	return name == "type:*" || name == "go:string.*" || name == "go:funcdesc" || name == "runtime.gcbits.*"
}

// addFuncTables adds a symbol for each function's share of .gopclntab, with the
// name of the function.
func (b *Binary) addFuncTables(f *elf.File, funcdata elf.Symbol) {
	read := func(s *elf.Section, from, size uint64) []byte {
		data, err := s.Data()
		if err != nil || from > uint64(len(data)) || size > uint64(len(data))-from {
			return nil
		}
		return data[from : from+size]
	}
	tab := pclntab(f)
	var maps []byte
	mapsKind := Other
	if i := int(funcdata.Section); i > 0 && i < len(f.Sections) && funcdata.Value >= f.Sections[i].Addr {
		s := f.Sections[i]
		maps, mapsKind = read(s, funcdata.Value-s.Addr, funcdata.Size), kindOf(s)
	}
	if mapsKind != Pclntab {
		maps = nil // older linkers keep these in .rodata
	}
	file := map[string]string{}
	for _, t := range funcTables(read(tab, 0, tab.Size), maps, f.ByteOrder) {
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

// pclntab returns the section with the function tables, whose name depends on
// the build mode.
func pclntab(f *elf.File) *elf.Section {
	if s := f.Section(".gopclntab"); s != nil {
		return s
	}
	return f.Section(".data.rel.ro.gopclntab")
}

func kindOf(s *elf.Section) Kind {
	switch {
	case s.Flags&elf.SHF_ALLOC == 0:
		return Other
	case s.Name == ".gopclntab" || s.Name == ".data.rel.ro.gopclntab":
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

// stripped returns the size that the file has when linked with -s -w: the
// linker writes what is not loaded behind everything else, and only the table
// of section names remains of it.
func stripped(f *elf.File, size int64) int64 {
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
