package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
)

// A config is what footprint.json holds.
type config struct {
	Project  *lab.Project      `json:"project,omitempty"`
	Budgets  []budget          `json:"budgets"`            // what each program may add to an empty one
	Adapters int64             `json:"adapters,omitempty"` // flash of gonet and tap by themselves: see report.adapters
	Features []featureBudget   `json:"features"`           // what each feature may cost, if used
	RAM      map[string]ramMax `json:"ram"`                // by profile
}

type featureBudget struct {
	Profile string `json:"profile"`
	Feature string `json:"feature"`
	Flash   int64  `json:"flash"`
}

// ramMax is what memory may be taken at run time, in bytes.
type ramMax struct {
	Sizeof int64 `json:"sizeof"` // socket.Conn
	Conn   int64 `json:"conn"`   // heap for each idle established connection
	Stack  int64 `json:"stack"`  // heap of an idle stack
}

// A finding is a figure and what it may be.
type finding struct {
	What   string `json:"what"`
	Is     int64  `json:"is"`
	Budget int64  `json:"budget"`
	Over   bool   `json:"over"`
}

type checkReport struct {
	Findings []finding     `json:"findings"`
	Grown    []*diffReport `json:"grown,omitempty"` // since the budgets were set, of the programs that are over
	over     int
}

func (t *tool) runCheck(ctx context.Context, args []string) error {
	if t.arch.name != "amd64" {
		return usageError("the budgets are for amd64: leave -arch away")
	}
	file := filepath.Join(t.b.Dir, "footprint.json")
	var c config
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil && !t.rewrite {
		return fmt.Errorf("no budgets: %v; footprint check -write sets them", err)
	}
	sizes, err := t.profiles(ctx)
	if err == nil {
		err = sizes.firstError()
	}
	if err != nil {
		return err
	}
	var features *featureReport
	if len(t.p.Features) > 0 {
		// All are on in the last profile.
		if features, err = t.features(ctx, t.p.Profiles[len(t.p.Profiles)-1:]); err == nil {
			err = features.firstError()
		}
		if err != nil {
			return err
		}
	}
	rams := map[string]ram{}
	for _, p := range t.p.Profiles {
		if t.ram == "" {
			break
		}
		m := t.measure(ctx, p.Tags)
		if m.err != nil {
			return m.err
		}
		rams[p.Name] = m.ram
	}
	if t.rewrite {
		return c.rewrite(file, sizes, features, rams)
	}
	r := c.check(sizes, features, rams)
	for _, b := range c.Budgets {
		for _, x := range sizes.Rows {
			if x.Profile == b.Profile && x.Layer == b.Layer && (x.Text > b.Text || x.Flash > b.Flash) {
				if d, err := t.grown(ctx, b); err == nil {
					r.Grown = append(r.Grown, d)
				}
			}
		}
	}
	if err := t.print(r, r.write); err != nil {
		return err
	}
	if r.over > 0 {
		return errors.New(plural(r.over, "figure is", "figures are") + " over budget: make it smaller, or say in the commit why footprint.json must allow it (check -write)")
	}
	return nil
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", many)
}

// check compares with the budgets.
func (c *config) check(sizes *report, features *featureReport, rams map[string]ram) *checkReport {
	r := &checkReport{}
	add := func(what string, is, max int64) {
		f := finding{what, is, max, is > max}
		if f.Over {
			r.over++
		}
		r.Findings = append(r.Findings, f)
	}
	for _, b := range c.Budgets {
		for _, x := range sizes.Rows {
			if x.Profile == b.Profile && x.Layer == b.Layer {
				name := strings.TrimSpace(x.Profile + " " + x.Layer)
				add(name+": text", x.Text, b.Text)
				add(name+": flash", x.Flash, b.Flash)
			}
		}
	}
	if n, ok := sizes.adapters(); ok && c.Adapters > 0 {
		add("client, gonet and tap beyond sockets and package net: flash", n, c.Adapters)
	}
	for _, b := range c.Features {
		for _, x := range features.Rows {
			if x.Profile == b.Profile && x.Feature == b.Feature {
				add(fmt.Sprintf("feature %s in %s: flash", x.Feature, x.Profile), x.UsedAll, b.Flash)
			}
		}
	}
	for _, p := range sizes.profileNames() {
		if b, ok := c.RAM[p]; ok {
			add(p+": sizeof(socket.Conn)", rams[p].SizeofConn, b.Sizeof)
			add(p+": heap of an idle connection", rams[p].HeapConn, b.Conn)
			add(p+": heap of an idle stack", rams[p].HeapStack, b.Stack)
		}
	}
	return r
}

func (r *report) profileNames() (names []string) {
	for _, x := range r.Rows {
		if x.Profile != "" && (len(names) == 0 || names[len(names)-1] != x.Profile) {
			names = append(names, x.Profile)
		}
	}
	return names
}

// grown compares the program that is over its budget with the one of the commit
// that set it.
func (t *tool) grown(ctx context.Context, b budget) (*diffReport, error) {
	cmd := exec.CommandContext(ctx, "git", "log", "-1", "--format=%h", "--", "footprint.json")
	cmd.Dir = t.b.Dir
	out, err := cmd.Output()
	rev := strings.TrimSpace(string(out))
	if err = cmp.Or(err, nil); err != nil || rev == "" {
		return nil, errors.New("no commit set the budgets")
	}
	layer := t.layer
	defer func() { t.layer = layer }()
	t.layer = b.Layer
	old, err := t.revision(ctx, rev, b.Profile)
	if err != nil {
		return nil, err
	}
	now, _, _, err := t.pair(ctx, b.Profile)
	if err != nil {
		return nil, err
	}
	x, y := &side{bin: old}, &side{bin: now}
	d := &diffReport{A: rev + ", which set the budget", B: "now, " + b.Profile + " " + b.Layer, Total: now.Sizes.Sub(old.Sizes)}
	d.Packages = changes(x.by(lab.PackageOf), y.by(lab.PackageOf))
	d.Symbols = changes(x.by(nil), y.by(nil))
	return d, nil
}

func (r *checkReport) write(w io.Writer) {
	for _, f := range r.Findings {
		if f.Over {
			fmt.Fprintf(w, "over by %s: %s is %s, its budget %s\n", num(f.Is-f.Budget), f.What, num(f.Is), num(f.Budget))
		}
	}
	for _, d := range r.Grown {
		fmt.Fprintln(w)
		d.write(w)
	}
	if r.over == 0 {
		fmt.Fprintf(w, "%d figures within their budgets\n", len(r.Findings))
	}
}

// rewrite sets the budgets slightly above what there is.
func (c *config) rewrite(file string, sizes *report, features *featureReport, rams map[string]ram) error {
	above := func(n, percent, least, step int64) int64 {
		n += max(max(n, 0)*percent/100, least)
		return (n + step - 1) / step * step
	}
	c.Budgets, c.Features, c.RAM = nil, nil, map[string]ramMax{}
	for _, x := range sizes.Rows {
		if x.Profile != "" {
			c.Budgets = append(c.Budgets, budget{x.Profile, x.Layer, above(x.Text, 1, 0, 100), above(x.Flash, 1, 0, 100)})
		}
	}
	c.Adapters = 0
	if n, ok := sizes.adapters(); ok {
		c.Adapters = above(n, 1, 0, 100)
	}
	if features != nil {
		for _, x := range features.Rows {
			if x.On {
				c.Features = append(c.Features, featureBudget{x.Profile, x.Feature, above(x.UsedAll, 4, 100, 50)})
			}
		}
	}
	for p, m := range rams {
		c.RAM[p] = ramMax{m.SizeofConn, above(m.HeapConn, 0, 8, 8), above(m.HeapStack, 10, 1000, 1000)}
	}
	data, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o666)
}
