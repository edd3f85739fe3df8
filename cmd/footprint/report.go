package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
)

// A report is the table of profiles and layers.
type report struct {
	Go         string      `json:"go"`
	Arch       string      `json:"arch"`
	Empty      lab.Sizes   `json:"empty"` // the program that is subtracted
	Rows       []row       `json:"rows"`
	Budgets    []budget    `json:"budgets"`
	References []reference `json:"references"`
	programs   []lab.Program
}

// A row is what one program adds to the empty one.
type row struct {
	Profile string `json:"profile"` // "" for net.Dial
	Layer   string `json:"layer"`
	lab.Sizes
	Flash int64  `json:"flash"`           // what is stored: all sections but bss
	RAM   int64  `json:"ram"`             // what variables take from the start: data and bss
	Error string `json:"error,omitempty"` // why it could not be built
}

func (t *tool) profiles(ctx context.Context) (*report, error) {
	r := &report{Go: t.goVersion, Arch: t.arch.name, Budgets: t.budgets, References: t.references, programs: t.p.Programs}
	base, err := t.b.Measure(ctx, t.target(t.p.Base))
	if err != nil {
		return nil, err
	}
	r.Empty = base.Sizes
	var targets []lab.Target
	add := func(profile, tags string, l *lab.Program) {
		x := t.target(l.Package)
		x.Tags = tags
		r.Rows = append(r.Rows, row{Profile: profile, Layer: l.Name})
		targets = append(targets, x)
	}
	for _, p := range t.p.Profiles {
		for i := range t.p.Programs {
			if l := &t.p.Programs[i]; !l.Fixed && t.has(l) {
				add(p.Name, p.Tags, l)
			}
		}
	}
	for i := range t.p.Programs {
		if l := &t.p.Programs[i]; l.Fixed && t.has(l) {
			add("", "", l)
		}
	}
	progress := t.progress(len(targets))
	lab.Parallel(len(r.Rows), func(i int) {
		row := &r.Rows[i]
		bin, err := t.b.Measure(ctx, targets[i])
		progress(row.Profile + " " + row.Layer)
		if err != nil {
			row.Error = err.Error()
			return
		}
		row.Sizes = bin.Sizes.Sub(base.Sizes)
		row.Flash, row.RAM = row.Sizes.Flash(), row.Sizes.RAM()
	})
	return r, ctx.Err()
}

// firstError returns the first program that could not be built.
func (r *report) firstError() error {
	for i := range r.Rows {
		if r.Rows[i].Error != "" {
			return errors.New(r.Rows[i].Error)
		}
	}
	return nil
}

func (r *report) write(w io.Writer) {
	fmt.Fprintf(w, "What the reference client adds to an empty program (linux/%s, %s, stripped), in bytes.\n\n", r.Arch, r.Go)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "profile\tlayer\ttext\trodata\tpclntab\tdata\tflash\tbss\tRAM\tfile\t")
	for _, x := range r.Rows {
		if x.Error != "" {
			fmt.Fprintf(t, "%s\t%s\tnot built\t\t\t\t\t\t\t\t\n", x.Profile, x.Layer)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", x.Profile, x.Layer, num(x.Text), num(x.Rodata), num(x.Pclntab),
			num(x.Data), num(x.Flash), num(x.Bss), num(x.RAM), num(x.File))
	}
	e := r.Empty
	fmt.Fprintf(t, "(empty\tprogram)\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", num(e.Text), num(e.Rodata), num(e.Pclntab),
		num(e.Data), num(e.Flash()), num(e.Bss), num(e.RAM()), num(e.File))
	t.Flush()

	fmt.Fprintln(w, "\nFlash is text, rodata, pclntab and data; RAM is data and bss, for systems that execute in place.")
	fmt.Fprintln(w, "\nLayers, each with those above it:")
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range r.programs {
		fmt.Fprintf(t, "  %s\t%s\n", l.Name, l.Is)
	}
	t.Flush()

	if len(r.Budgets) > 0 && r.Arch == "amd64" {
		r.writeTargets(w)
	}
	if len(r.References) > 0 {
		r.writeReferences(w)
	}
	for _, x := range r.Rows {
		if x.Error != "" {
			fmt.Fprintf(w, "\nnot built: %s %s: %s\n", x.Profile, x.Layer, x.Error)
		}
	}
}

func (r *report) writeTargets(w io.Writer) {
	fmt.Fprintln(w, "\nTargets (1 KB is 1000 bytes):")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "profile\tlayer\ttext\ttarget\tdistance\tflash\ttarget\tdistance\t")
	for _, x := range r.Rows {
		b := r.target(x.Profile, x.Layer)
		if b == nil || x.Error != "" {
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", x.Profile, x.Layer, num(x.Text), num(b.Text), distance(x.Text, b.Text),
			num(x.Flash), num(b.Flash), distance(x.Flash, b.Flash))
	}
	if n, ok := r.adapters(); ok {
		fmt.Fprintf(t, "client\tgonet and tap\t\t\t\t%s\t%s\t%s\t\n", num(n), num(adaptersTarget), distance(n, adaptersTarget))
	}
	t.Flush()
	if _, ok := r.adapters(); ok {
		fmt.Fprintln(w, "The last is +tap less +socket and less net.Dial: what the adapters take that neither sockets nor package net do.")
	}
}

// adapters returns what gonet and tap cost in client by themselves: all that the program with
// both adds, less what the client on sockets adds, and less what a program pays for net and os.
func (r *report) adapters() (flash int64, ok bool) {
	var tap, sockets, dial *row
	for i := range r.Rows {
		switch x := &r.Rows[i]; x.Profile + x.Layer {
		case "client+tap":
			tap = x
		case "client+socket":
			sockets = x
		case "net.Dial":
			dial = x
		}
	}
	if tap == nil || sockets == nil || dial == nil || tap.Error+sockets.Error+dial.Error != "" {
		return 0, false
	}
	return tap.Flash - sockets.Flash - dial.Flash, true
}

func (r *report) writeReferences(w io.Writer) {
	fmt.Fprintln(w, "\nOther stacks, machine code and all but bss where known:")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, x := range r.References {
		flash := ""
		if x.Flash > 0 {
			flash = num(x.Flash)
		}
		fmt.Fprintf(t, "  %9s\t%9s\t%s\t%s\n", num(x.Text), flash, x.What, x.Source)
	}
	t.Flush()
}

// target returns what the project aims at, or nil.
func (r *report) target(profile, layer string) *budget {
	for i := range r.Budgets {
		if b := &r.Budgets[i]; b.Profile == profile && b.Layer == layer {
			return b
		}
	}
	return nil
}

// pair builds the program that was asked for, and the empty one.
func (t *tool) pair(ctx context.Context, profile string) (bin, base *lab.Binary, l *lab.Program, err error) {
	if l, err = t.program(); err != nil {
		return nil, nil, nil, err
	}
	if isFile(l.Package) {
		if bin, err = lab.Read(l.Package); err == nil && len(bin.Symbols) == 0 {
			err = fmt.Errorf("%s has no symbol table: build it without -ldflags=-s", l.Package)
		} else if err == nil && !bin.Divided {
			err = fmt.Errorf("%s has function tables of a Go version that this tool does not know: build it with Go 1.20 to 1.26", l.Package)
		}
		return bin, &lab.Binary{}, l, err
	}
	x := t.target(l.Package)
	if x.Tags, err = t.tags(profile); err != nil {
		return nil, nil, nil, err
	}
	targets := [...]lab.Target{x, t.target(t.p.Base)}
	var bins [2]*lab.Binary
	var errs [2]error
	lab.Parallel(2, func(i int) { bins[i], errs[i] = t.b.Measure(ctx, targets[i]) })
	return bins[0], bins[1], l, cmp.Or(errs[0], errs[1])
}

// packageReport is what one program adds, by package.
type packageReport struct {
	Profile string `json:"profile"`
	Layer   string `json:"layer"`
	lab.Shares
}

func (t *tool) packages(ctx context.Context, profile string) (*packageReport, error) {
	bin, base, l, err := t.pair(ctx, profile)
	if err != nil {
		return nil, err
	}
	return &packageReport{profile, l.Name, lab.Divide(bin, base)}, nil
}

// symbolReport is what one program adds, by symbol or by file.
type symbolReport struct {
	Profile string      `json:"profile"`
	Layer   string      `json:"layer"`
	Total   lab.Sizes   `json:"total"`
	Symbols []lab.Share `json:"symbols"`
}

func (t *tool) symbols(ctx context.Context, profile string) (*symbolReport, error) {
	bin, base, l, err := t.pair(ctx, profile)
	if err != nil {
		return nil, err
	}
	return &symbolReport{profile, l.Name, bin.Sizes.Sub(base.Sizes), lab.BySymbol(bin, base)}, nil
}

func (t *tool) files(ctx context.Context, profile string) (*symbolReport, error) {
	bin, base, l, err := t.pair(ctx, profile)
	if err != nil {
		return nil, err
	}
	return &symbolReport{profile, l.Name, bin.Sizes.Sub(base.Sizes), lab.ByFile(bin, base)}, nil
}

func (r *symbolReport) writeAs(w io.Writer, what string) {
	fmt.Fprintf(w, "What %s with layer %s adds to an empty program, by %s, in bytes.\n\n", r.Profile, r.Layer, what)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "text\trodata\tpclntab\tdata\tbss\t %s\n", what)
	for _, s := range r.Symbols {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t %s\n", num(s.Text), num(s.Rodata), num(s.Pclntab), num(s.Data), num(s.Bss), s.Name)
	}
	t.Flush()
}

func (r *packageReport) write(w io.Writer) {
	fmt.Fprintf(w, "What %s with layer %s adds to an empty program, by package, in bytes of symbols.\n\n", r.Profile, r.Layer)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(name string, s lab.Sizes) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t %s\n", num(s.Text), num(s.Rodata), num(s.Pclntab), num(s.Data), num(s.Flash()), num(s.Bss), name)
	}
	fmt.Fprintln(t, "text\trodata\tpclntab\tdata\tall of these\tbss\t package")
	for _, part := range []struct {
		name   string
		shares []lab.Share
	}{
		{"== its own", r.Own},
		{"== standard library that it drags in", r.Standard},
		{"== shared", r.Shared},
	} {
		var sum lab.Sizes
		for _, s := range part.shares {
			sum = sum.Add(s.Sizes)
		}
		line(part.name, sum)
		for _, s := range part.shares {
			line(s.Name, s.Sizes)
		}
	}
	line("== in all", r.Total)
	t.Flush()
}

// distance says how far x is from its target.
func distance(x, target int64) string {
	if x <= target {
		return "met, " + num(target-x) + " left"
	}
	return num(x-target) + " over"
}

// num writes n with a comma every three digits.
func num(n int64) string {
	if n < 0 {
		return "-" + num(-n)
	}
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", num(n/1000), n%1000)
}

// writeMatrix prints text and flash of each program for each kind of machine.
func writeMatrix(w io.Writer, reports []*report) {
	fmt.Fprintf(w, "What each program adds to an empty one (%s, stripped): text / flash, in bytes.\n\n", reports[0].Go)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "profile\tlayer\t")
	for _, r := range reports {
		fmt.Fprintf(t, "%s\t", r.Arch)
	}
	fmt.Fprintln(t)
	for _, x := range reports[0].Rows {
		fmt.Fprintf(t, "%s\t%s\t", x.Profile, x.Layer)
		for _, r := range reports {
			cell := "-"
			for _, y := range r.Rows {
				if y.Profile == x.Profile && y.Layer == x.Layer {
					cell = num(y.Text) + " / " + num(y.Flash)
					if y.Error != "" {
						cell = "not built"
					}
				}
			}
			fmt.Fprintf(t, "%s\t", cell)
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}
