package lab

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestZZPcln(t *testing.T) {
	f, err := elf.Open(os.Getenv("ZBIN"))
	if err != nil {
		t.Fatal(err)
	}
	tab, _ := f.Section(".gopclntab").Data()
	base := f.Section(".gopclntab").Addr
	syms, _ := f.Symbols()
	var gofunc, gofuncSize uint64
	for _, s := range syms {
		if s.Name == "go:func.*" {
			gofunc, gofuncSize = s.Value-base, s.Size
		}
	}
	funcdata := tab[gofunc : gofunc+gofuncSize]
	order := binary.LittleEndian
	word := func(i int) uint64 { return order.Uint64(tab[8+8*i:]) }
	n := int(word(0))
	names, pcs, funcs := tab[word(3):], tab[word(6):], tab[word(7):]
	kinds := map[string]int{}
	count := map[string]int{}
	seenName, seenPC := map[uint32]bool{}, map[uint32]bool{0: true}
	type own struct {
		kind string
		fn   int
	}
	owner := map[uint32]own{}
	mine := make([]bool, n)
	pcnames := []string{"unsafepoint", "stackmap", "inltree", "arglive", "panicbounds"}
	fdnames := []string{"argsptr", "localsptr", "stackobj", "inltree", "defer", "arginfo", "arglive", "wrap"}
	nf := 0
	for i := range n {
		off := order.Uint32(funcs[i*8+4:])
		g := funcs[off:]
		npcdata, nfuncdata := int(order.Uint32(g[28:])), int(g[43])
		nameoff := order.Uint32(g[4:])
		s, _, _ := bytes.Cut(names[nameoff:], []byte{0})
		name := string(s)
		mine[i] = strings.Contains(name, "bonsainet")
		add := func(k string, v int) {
			if mine[i] {
				kinds[k] += v
				count[k]++
			}
		}
		if mine[i] {
			nf++
		}
		add("func fixed(8+44)", 52)
		add("func pcdata/funcdata offsets", 4*(npcdata+nfuncdata))
		if !seenName[nameoff] {
			seenName[nameoff] = true
			add("name", len(s)+1)
		}
		addPC := func(k string, at uint32) {
			if !seenPC[at] {
				seenPC[at] = true
				add(k, pcTableLen(pcs[at:]))
			}
		}
		addPC("pcsp", order.Uint32(g[16:]))
		addPC("pcfile", order.Uint32(g[20:]))
		addPC("pcln", order.Uint32(g[24:]))
		for k := range npcdata {
			addPC("pcdata "+pcnames[k], order.Uint32(g[44+4*k:]))
		}
		for k := range nfuncdata {
			at := order.Uint32(g[44+4*(npcdata+k):])
			if _, ok := owner[at]; !ok && uint64(at) < uint64(len(funcdata)) {
				owner[at] = own{"funcdata " + fdnames[k], i}
			}
		}
	}
	var ats []uint32
	for at := range owner {
		ats = append(ats, at)
	}
	slices.Sort(ats)
	for k, at := range ats {
		end := uint32(len(funcdata))
		if k+1 < len(ats) {
			end = ats[k+1]
		}
		if o := owner[at]; mine[o.fn] {
			kinds[o.kind] += int(end - at)
			count[o.kind]++
		}
	}
	fmt.Println("functions", nf)
	var ks []string
	tot := 0
	for k, v := range kinds {
		ks = append(ks, k)
		tot += v
	}
	slices.Sort(ks)
	for _, k := range ks {
		fmt.Printf("%-32s %6d bytes in %4d, %5.1f a function\n", k, kinds[k], count[k], float64(kinds[k])/float64(nf))
	}
	fmt.Println("total", tot)
	// names only of inlined
	inl := 0
	ninl := 0
	all := names[:word(4)-word(3)]
	for _, s := range bytes.Split(all, []byte{0}) {
		if bytes.Contains(s, []byte("bonsainet")) && !bytes.Contains(s, []byte("/work")) {
			found := false
			_ = found
			inl += len(s) + 1
			ninl++
		}
	}
	fmt.Println("names with bonsainet", ninl, inl)
}
