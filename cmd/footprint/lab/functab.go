package lab

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// A funcTable is what the runtime knows about a function: the linker keeps it
// all in .gopclntab.
type funcTable struct {
	name string
	size int64  // bytes of .gopclntab that are there for this function first
	file string // where it is declared
}

const go120Magic = 0xfffffff1 // of Go 1.20 to 1.26

// funcTables divides the function tables by function. What several functions
// share belongs to the first of them. It returns nil for a format that it does
// not know. funcdata is the part with pointer maps and inlining trees (go:func.*),
// if it is known where that is.
//
// The format is described by pcHeader and _func in package runtime.
func funcTables(tab, funcdata []byte, order binary.ByteOrder) []funcTable {
	if len(tab) < 8 || order.Uint32(tab) != go120Magic {
		return nil
	}
	minLC, ptr := tab[6], int(tab[7])
	if ptr != 4 && ptr != 8 || minLC == 0 {
		return nil
	}
	word := func(i int) uint64 {
		at := 8 + i*ptr
		if at+ptr > len(tab) {
			return 0
		}
		if ptr == 4 {
			return uint64(order.Uint32(tab[at:]))
		}
		return order.Uint64(tab[at:])
	}
	part := func(from uint64) []byte { return tab[min(from, uint64(len(tab))):] }
	n := int(word(0))
	names, units, files, pcs, funcs := part(word(3)), part(word(4)), part(word(5)), part(word(6)), part(word(7))
	const fixed = 44 // bytes of _func before its arrays
	if n < 0 || len(funcs)/8 < n {
		return nil
	}

	out := make([]funcTable, 0, n)
	seenName, seenPC := map[uint32]bool{}, map[uint32]bool{0: true}
	owner := map[uint32]int{} // of an offset into funcdata
	for i := range n {
		off := order.Uint32(funcs[i*8+4:])
		if uint64(off)+fixed > uint64(len(funcs)) {
			return nil
		}
		f := funcs[off:]
		npcdata, nfuncdata := int(order.Uint32(f[28:])), int(f[43])
		end := fixed + 4*(npcdata+nfuncdata)
		if npcdata > 64 || end > len(f) {
			return nil
		}
		x := funcTable{size: 8 + int64(end)}
		if name := order.Uint32(f[4:]); uint64(name) < uint64(len(names)) {
			s, _, _ := bytes.Cut(names[name:], []byte{0})
			x.name = string(s)
			if !seenName[name] {
				seenName[name] = true
				x.size += int64(len(s) + 1)
			}
		}
		x.file = fileOf(order, units, files, pcs, order.Uint32(f[20:]), order.Uint32(f[32:]))
		addPC := func(at uint32) {
			if !seenPC[at] && uint64(at) < uint64(len(pcs)) {
				seenPC[at] = true
				x.size += int64(pcTableLen(pcs[at:]))
			}
		}
		for at := 16; at < 28; at += 4 { // pcsp, pcfile, pcln
			addPC(order.Uint32(f[at:]))
		}
		for k := range npcdata {
			addPC(order.Uint32(f[fixed+4*k:]))
		}
		for k := range nfuncdata {
			at := order.Uint32(f[fixed+4*(npcdata+k):])
			if _, ok := owner[at]; !ok && uint64(at) < uint64(len(funcdata)) {
				owner[at] = i
			}
		}
		out = append(out, x)
	}
	// The pieces of funcdata lie one behind the other.
	type piece struct {
		at    uint32
		owner int
	}
	pieces := make([]piece, 0, len(owner)+1)
	for at, i := range owner {
		pieces = append(pieces, piece{at, i})
	}
	slices.SortFunc(pieces, func(a, b piece) int { return cmp.Compare(a.at, b.at) })
	for k, p := range pieces {
		end := uint32(len(funcdata))
		if k+1 < len(pieces) {
			end = pieces[k+1].at
		}
		out[p.owner].size += int64(end - p.at)
	}
	return out
}

// fileOf returns the file of a function's first instruction: pcfile is where
// its table is, which begins with a number in the list of the compilation unit's
// files.
func fileOf(order binary.ByteOrder, units, files, pcs []byte, pcfile, unit uint32) string {
	if pcfile == 0 || uint64(pcfile) >= uint64(len(pcs)) {
		return ""
	}
	first, n := binary.Varint(pcs[pcfile:]) // from -1
	at := (int64(unit) + first - 1) * 4
	if n <= 0 || at < 0 || at+4 > int64(len(units)) {
		return ""
	}
	name := order.Uint32(units[at:])
	if uint64(name) >= uint64(len(files)) {
		return ""
	}
	s, _, _ := bytes.Cut(files[name:], []byte{0})
	return string(s)
}

// pcTableLen returns the length of the table at the start of b: pairs of
// variable-length numbers, a difference in value and one in program counter; the
// difference 0, but as the first one, ends it.
func pcTableLen(b []byte) int {
	at := 0
	for first := true; ; first = false {
		v, n := binary.Uvarint(b[at:])
		if n <= 0 {
			return at
		}
		at += n
		if v == 0 && !first {
			return at
		}
		_, n = binary.Uvarint(b[at:])
		if n <= 0 {
			return at
		}
		at += n
	}
}
