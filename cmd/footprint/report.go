package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
	"github.com/bonsainet/bonsai/internal/feature/table"
)

// A report is the table of profiles and layers.
type report struct {
	Go         string      `json:"go"`
	Arch       string      `json:"arch"`
	Empty      lab.Sizes   `json:"empty"` // the program that is subtracted
	Rows       []row       `json:"rows"`
	Budgets    []budget    `json:"budgets"`
	References []reference `json:"references"`
}

// A row is what one program adds to the empty one.
type row struct {
	Profile string `json:"profile"` // "" for net.Dial
	Layer   string `json:"layer"`
	lab.Sizes
	Flash int64  `json:"flash"`
	Error string `json:"error,omitempty"` // why it could not be built
}

func profiles(ctx context.Context, b *lab.Builder, arch string) (*report, error) {
	r := &report{Go: runtime.Version(), Arch: arch, Budgets: budgets, References: references}
	base, err := b.Measure(ctx, lab.Target{Package: empty, GOARCH: arch})
	if err != nil {
		return nil, err
	}
	r.Empty = base.Sizes
	var targets []lab.Target
	for _, p := range table.Profiles {
		for _, l := range layers {
			if l == netDial {
				continue
			}
			r.Rows = append(r.Rows, row{Profile: p, Layer: l.Name})
			targets = append(targets, lab.Target{Package: l.Package, Tags: p, GOARCH: arch})
		}
	}
	r.Rows = append(r.Rows, row{Layer: netDial.Name})
	targets = append(targets, lab.Target{Package: netDial.Package, GOARCH: arch})
	lab.Parallel(len(r.Rows), func(i int) {
		row := &r.Rows[i]
		bin, err := b.Measure(ctx, targets[i])
		if err != nil {
			row.Error = err.Error()
			return
		}
		row.Sizes = bin.Sizes.Sub(base.Sizes)
		row.Flash = row.Sizes.Flash()
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
	fmt.Fprintln(t, "profile\tlayer\ttext\trodata\tpclntab\tdata\tall of these\tbss\tfile\t")
	for _, x := range r.Rows {
		if x.Error != "" {
			fmt.Fprintf(t, "%s\t%s\tnot built\t\t\t\t\t\t\t\n", x.Profile, x.Layer)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", x.Profile, x.Layer, num(x.Text), num(x.Rodata), num(x.Pclntab),
			num(x.Data), num(x.Flash), num(x.Bss), num(x.File))
	}
	e := r.Empty
	fmt.Fprintf(t, "(empty\tprogram)\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", num(e.Text), num(e.Rodata), num(e.Pclntab), num(e.Data), num(e.Flash()), num(e.Bss), num(e.File))
	t.Flush()

	fmt.Fprintln(w, "\nLayers, each with those above it:")
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range layers {
		fmt.Fprintf(t, "  %s\t%s\n", l.Name, l.Is)
	}
	t.Flush()

	fmt.Fprintln(w, "\nTargets (1 KB is 1000 bytes):")
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "profile\tlayer\ttext\ttarget\tdistance\tall but bss\ttarget\tdistance\t")
	for _, x := range r.Rows {
		b := budgetOf(x.Profile, x.Layer)
		if b == nil || x.Error != "" {
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", x.Profile, x.Layer, num(x.Text), num(b.Text), distance(x.Text, b.Text),
			num(x.Flash), num(b.Flash), distance(x.Flash, b.Flash))
	}
	t.Flush()

	fmt.Fprintln(w, "\nOther stacks, machine code and all but bss where known:")
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, x := range r.References {
		flash := ""
		if x.Flash > 0 {
			flash = num(x.Flash)
		}
		fmt.Fprintf(t, "  %9s\t%9s\t%s\t%s\n", num(x.Text), flash, x.What, x.Source)
	}
	t.Flush()
	for _, x := range r.Rows {
		if x.Error != "" {
			fmt.Fprintf(w, "\nnot built: %s %s: %s\n", x.Profile, x.Layer, x.Error)
		}
	}
}

// pair builds the program of a layer and the empty one.
func pair(ctx context.Context, b *lab.Builder, arch, profile, layerName string) (bin, base *lab.Binary, l *layer, err error) {
	tags, err := profileTags(profile)
	if err != nil {
		return nil, nil, nil, err
	}
	var names string
	for i := range layers {
		names += " " + layers[i].Name
		if strings.TrimPrefix(layers[i].Name, "+") == strings.TrimPrefix(layerName, "+") {
			l = &layers[i]
		}
	}
	if l == nil {
		return nil, nil, nil, usageError(fmt.Sprintf("unknown layer %q: the layers are%s", layerName, names))
	}
	targets := [...]lab.Target{{Package: l.Package, Tags: tags, GOARCH: arch}, {Package: empty, GOARCH: arch}}
	var bins [2]*lab.Binary
	var errs [2]error
	lab.Parallel(2, func(i int) { bins[i], errs[i] = b.Measure(ctx, targets[i]) })
	return bins[0], bins[1], l, cmp.Or(errs[0], errs[1])
}

// packageReport is what one program adds, by package.
type packageReport struct {
	Profile string `json:"profile"`
	Layer   string `json:"layer"`
	lab.Shares
}

func packages(ctx context.Context, b *lab.Builder, arch, profile, layerName string) (*packageReport, error) {
	bin, base, l, err := pair(ctx, b, arch, profile, layerName)
	if err != nil {
		return nil, err
	}
	return &packageReport{profile, l.Name, lab.Divide(bin, base)}, nil
}

// symbolReport is what one program adds, by symbol.
type symbolReport struct {
	Profile string      `json:"profile"`
	Layer   string      `json:"layer"`
	Symbols []lab.Share `json:"symbols"`
}

func symbols(ctx context.Context, b *lab.Builder, arch, profile, layerName string) (*symbolReport, error) {
	bin, base, l, err := pair(ctx, b, arch, profile, layerName)
	if err != nil {
		return nil, err
	}
	return &symbolReport{profile, l.Name, lab.BySymbol(bin, base)}, nil
}

func (r *symbolReport) write(w io.Writer) {
	fmt.Fprintf(w, "What %s with layer %s adds to an empty program, by symbol, in bytes.\n\n", r.Profile, r.Layer)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "text\trodata\tpclntab\tdata\tbss\t symbol")
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
