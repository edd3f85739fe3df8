package main

import "github.com/bonsainet/bonsai/internal/feature/table"

const refs = "./cmd/footprint/ref/"

// A layer is a program that uses the stack up to some layer. All but the last
// do the same: connect, write, read, close.
type layer struct {
	Name    string
	Package string
	Is      string
}

var empty = refs + "empty"

var layers = []layer{
	{"core", refs + "core", "stack and tcp alone, driven by a loop over a stub device"},
	{"+socket", refs + "socket", "blocking sockets over a stub device"},
	{"+gonet", refs + "gonet", "net.Conn over a stub device"},
	{"+tap", refs + "tap", "net.Conn over a Linux TAP device"},
	netDial,
}

// netDial does not use the stack, so it is the same in every profile.
var netDial = layer{"net.Dial", refs + "netdial", "for comparison: package net and the kernel's TCP"}

// A budget is what a profile may add to an empty program.
type budget struct {
	Profile string `json:"profile"`
	Layer   string `json:"layer"`
	Text    int64  `json:"text"`
	Flash   int64  `json:"flash"` // all sections but bss
}

var budgets = []budget{
	{"minimal", "+socket", 60_000, 140_000},
	{"client", "+socket", 110_000, 250_000},
}

func budgetOf(profile, layer string) *budget {
	for i := range budgets {
		if budgets[i].Profile == profile && budgets[i].Layer == layer {
			return &budgets[i]
		}
	}
	return nil
}

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

// profileTags returns the tags of what the user calls a profile: the name of
// one, or a list of tags.
func profileTags(s string) (string, error) {
	if msg := table.Check(s); msg != "" {
		return "", usageError(msg)
	}
	return s, nil
}
