package lab

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"
)

func TestZZInl(t *testing.T) {
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
	names, funcs := tab[word(3):], tab[word(7):]
	// all offsets
	sites := map[string]int{}
	fns := map[string]map[string]bool{}
	real := map[string]bool{}
	var ends []int
	for i := range n {
		off := order.Uint32(funcs[i*8+4:])
		g := funcs[off:]
		npcdata, nfuncdata := int(order.Uint32(g[28:])), int(g[43])
		for k := range nfuncdata {
			if at := order.Uint32(g[44+4*(npcdata+k):]); at != ^uint32(0) {
				ends = append(ends, int(at))
			}
		}
		s, _, _ := bytes.Cut(names[order.Uint32(g[4:]):], []byte{0})
		real[string(s)] = true
	}
	sort.Ints(ends)
	for i := range n {
		off := order.Uint32(funcs[i*8+4:])
		g := funcs[off:]
		npcdata, nfuncdata := int(order.Uint32(g[28:])), int(g[43])
		s, _, _ := bytes.Cut(names[order.Uint32(g[4:]):], []byte{0})
		name := string(s)
		if !strings.Contains(name, "bonsainet") && !strings.HasPrefix(name, "main.") || nfuncdata < 4 {
			continue
		}
		at := order.Uint32(g[44+4*(npcdata+3):])
		if at == ^uint32(0) {
			continue
		}
		k := sort.SearchInts(ends, int(at)+1)
		end := len(funcdata)
		if k < len(ends) {
			end = ends[k]
		}
		for p := int(at); p+16 <= end; p += 16 {
			no := order.Uint32(funcdata[p+4:])
			x, _, _ := bytes.Cut(names[no:], []byte{0})
			sites[string(x)]++
			if fns[string(x)] == nil {
				fns[string(x)] = map[string]bool{}
			}
			fns[string(x)][name] = true
		}
	}
	var ks []string
	tot := 0
	onlyInl, onlyBytes := 0, 0
	for k, v := range sites {
		ks = append(ks, k)
		tot += v
		if !real[k] {
			onlyInl++
			onlyBytes += len(k) + 1
		}
	}
	sort.Slice(ks, func(i, j int) bool { return sites[ks[i]] > sites[ks[j]] })
	fmt.Println("sites", tot, "functions", len(ks), "only inlined", onlyInl, "their names", onlyBytes)
	for _, k := range ks {
		x := ""
		if !real[k] {
			x = "only inlined"
		}
		fmt.Println(sites[k], len(fns[k]), strings.ReplaceAll(k, "github.com/bonsainet/bonsai/", ""), x)
	}
}
