package main

import (
	"github.com/bonsainet/bonsai/cmd/footprint/lab"
	"github.com/bonsainet/bonsai/internal/feature/table"
)

const refs = "./cmd/footprint/ref/"

// bonsai describes this module: its features are the table's.
func bonsai() *lab.Project {
	p := &lab.Project{
		Base: refs + "empty",
		Main: "+socket",
		Programs: []lab.Program{
			{Name: "core", Package: refs + "core", Is: "stack and tcp alone, driven by a loop over a stub device"},
			{Name: "+socket", Package: refs + "socket", Is: "blocking sockets over a stub device: the reference client"},
			{Name: "+gonet", Package: refs + "gonet", Is: "net.Conn over a stub device"},
			{Name: "+tap", Package: refs + "tap", Is: "net.Conn over a Linux TAP device"},
			{Name: "+all", Package: refs + "all", Is: "blocking sockets, every call that they have"},
			{Name: "net.Dial", Package: refs + "netdial", Is: "for comparison: package net and the kernel's TCP", Fixed: true},
		},
	}
	for _, name := range table.Profiles {
		p.Profiles = append(p.Profiles, lab.Profile{Name: name, Tags: name})
	}
	for _, r := range table.Rows {
		f := lab.Feature{Name: r.Name, Add: "with_" + r.Name, Remove: "no_" + r.Name, Needs: r.Needs}
		for i, name := range table.Profiles {
			if r.Has(i) {
				f.In = append(f.In, name)
			}
		}
		p.Features = append(p.Features, f)
	}
	return p
}

// A budget is what a profile may add to an empty program.
type budget struct {
	Profile string `json:"profile"`
	Layer   string `json:"layer"`
	Text    int64  `json:"text"`
	Flash   int64  `json:"flash"` // all sections but bss
}

// targets are what this module aims at. The budgets that it keeps are in
// footprint.json.
var targets = []budget{
	{"minimal", "+socket", 50_000, 115_000},
	{"client", "+socket", 90_000, 200_000},
	{"full", "+socket", 260_000, 560_000},
}

// adaptersTarget is what net.Conn and TAP may add, at most, to the client on sockets and to
// a program with package net: see report.adapters.
const adaptersTarget = 40_000

// A reference is the size of another stack, as published or measured.
type reference struct {
	What   string `json:"what"`
	Text   int64  `json:"text"`            // machine code; or with constants and data, where What says so
	Flash  int64  `json:"flash,omitempty"` // all sections but bss
	Source string `json:"source"`
}

const (
	kleen    = "A. Kleen, netdev, 5 May 2014"
	measured = "measured, x86-64, November 2026"
)

var references = []reference{
	{"Linux 2014: enabling IPv4, about", 400_000, 0, kleen},
	{"Kleen's reduced Linux stack with LTO, about", 170_000, 0, kleen},
	{"lwIP with its socket interface, a bit over", 100_000, 0, kleen},
	{"Linux 6.1.192, working IPv4, UP, minimal options, gcc -Os", 707_000, 0, measured},
	{"Linux 6.1.192, the same, SMP, all options", 920_000, 0, measured},
	{"lwIP 2.2.1 with sockets, gcc -Os (text, rodata, data)", 50_676, 50_676, measured},
	{"lwIP 2.2.1 the same, TCP only", 34_140, 34_140, measured},
	{"lwIP 2.2.1 raw API, TCP only", 24_276, 24_276, measured},
	{"smoltcp 0.13 (Rust)", 54_768, 0, measured},
	{"lneto 0.3.2 (Go): its own text, and all that it drags in", 79_142, 1_130_000, measured},
	{"gVisor netstack 20260905 (Go), TCP client on a TAP", 1_310_000, 3_390_000, measured},
}
