// Package lab measures Go programs: how large their sections are, which
// packages and symbols fill them, and what a program adds to an empty one.
//
// It reads files as the Go linker writes them, ELF, Mach-O and PE, and builds the programs that
// it is asked about with the go command. Sizes are in bytes, and are those of
// sections and symbols, because files grow in steps of a page.
package lab

import (
	"debug/elf"
	"debug/macho"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
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
	Divided bool     // the function tables are in a form that this package knows, and so divided among Symbols
}

// Read reads a Go program: an ELF, Mach-O or PE file, or of a WebAssembly module the sizes
// alone.
func Read(path string) (*Binary, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var magic [4]byte
	f.ReadAt(magic[:], 0)
	var img *image
	switch {
	case string(magic[:]) == elf.ELFMAG:
		img, err = readELF(f)
	case string(magic[:2]) == "MZ":
		img, err = readPE(f)
	case string(magic[:]) == "\x00asm":
		data, err := io.ReadAll(f)
		if err != nil {
			return nil, err
		}
		return readWasm(path, data)
	default:
		if img, err = readMachO(f); errors.As(err, new(*macho.FormatError)) {
			return nil, fmt.Errorf("%s is no program: give an ELF, Mach-O or PE file, or a WebAssembly module", path)
		}
	}
	if errors.Is(err, errNoTables) {
		return nil, fmt.Errorf("%s: %v", path, err)
	} else if err != nil {
		return nil, fmt.Errorf("%s is damaged, or not whole (%v): build it again", path, err)
	}
	if img.pclntab < 0 {
		return nil, fmt.Errorf("%s is not a Go program: it has no .gopclntab", path)
	}
	return img.binary(), nil
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
