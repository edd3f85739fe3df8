package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
)

// ram is what the program ref/ram prints, in bytes.
type ram struct {
	SizeofConn   int64 `json:"sizeof_conn"`   // of a socket.Conn
	SizeofEngine int64 `json:"sizeof_engine"` // of it, the engine's part
	SizeofStack  int64 `json:"sizeof_stack"`
	HeapConn     int64 `json:"heap_conn"`  // for each idle established connection
	HeapStack    int64 `json:"heap_stack"` // of an idle stack with one interface
}

func (r ram) sub(t ram) ram {
	return ram{r.SizeofConn - t.SizeofConn, r.SizeofEngine - t.SizeofEngine, r.SizeofStack - t.SizeofStack,
		r.HeapConn - t.HeapConn, r.HeapStack - t.HeapStack}
}

// featureRow is what a feature costs in a profile: what builds with it have
// more than builds without.
type featureRow struct {
	Profile string    `json:"profile"`
	Feature string    `json:"feature"`
	On      bool      `json:"on"`             // the profile has it: cost is what removing it saves; else what adding it adds
	With    []string  `json:"with,omitempty"` // features that come or go along
	Cost    lab.Sizes `json:"cost"`           // in the client
	Flash   int64     `json:"flash"`
	Used    lab.Sizes `json:"used"` // in the program that uses everything
	UsedAll int64     `json:"used_flash"`
	Tax     int64     `json:"import_tax"` // of UsedAll, what is the standard library's
	RAM     ram       `json:"ram"`
	Error   string    `json:"error,omitempty"`
}

// profileSum says what of a profile the features explain, one at a time.
type profileSum struct {
	Profile string    `json:"profile"`
	Client  lab.Sizes `json:"client"` // what the client adds to an empty program
	Used    lab.Sizes `json:"used"`   // what the program that uses everything does
	Bare    int64     `json:"bare"`   // flash of the latter with all the profile's features removed at once
	Singles int64     `json:"singles"`
	Left    int64     `json:"interaction"` // what goes only when several go
	RAM     ram       `json:"ram"`
}

type featureReport struct {
	Go       string       `json:"go"`
	Arch     string       `json:"arch"`
	Profiles []profileSum `json:"profiles"`
	Rows     []featureRow `json:"features"`
}

// taxOf returns the bytes of b that are the standard library's.
func taxOf(b *lab.Binary) (n int64) {
	for i := range b.Symbols {
		if s := &b.Symbols[i]; s.Kind != lab.Bss && lab.Standard(s.Package) {
			n += s.Size
		}
	}
	return n
}

// A figures is what was measured of a build: two programs, and what a third
// prints.
type figures struct {
	client, all *lab.Binary
	ram         ram
	err         error
}

func (t *tool) measure(ctx context.Context, tags string) (m figures) {
	target := func(program string) lab.Target {
		x := t.target(program)
		x.Tags = tags
		return x
	}
	m.client, m.err = t.b.Measure(ctx, target(t.p.Default().Package))
	if m.err == nil && t.all != "" {
		m.all, m.err = t.b.Measure(ctx, target(t.all))
	} else {
		m.all = m.client
	}
	if m.err == nil && t.ram != "" {
		var out []byte
		// Memory is measured where we are: the sizes of types follow the width of
		// pointers alone.
		out, m.err = t.b.Run(ctx, lab.Target{Package: t.ram, Tags: tags, GOOS: hostOS, GOARCH: hostArch})
		if m.err == nil {
			m.err = json.Unmarshal(out, &m.ram)
		}
	}
	return m
}

// features measures each feature in each of the profiles.
func (t *tool) features(ctx context.Context, profiles []lab.Profile) (*featureReport, error) {
	r := &featureReport{Go: t.goVersion, Arch: t.arch.name}
	base, err := t.b.Measure(ctx, t.target(t.p.Base))
	if err != nil {
		return nil, err
	}
	type job struct {
		tags string
		m    figures
	}
	var jobs []job
	for _, p := range profiles {
		bare, _ := t.p.Bare(&p)
		jobs = append(jobs, job{tags: p.Tags}, job{tags: bare})
		for _, x := range t.p.Toggles(&p) {
			jobs = append(jobs, job{tags: x.Tags})
		}
	}
	progress := t.progress(len(jobs))
	lab.Parallel(len(jobs), func(i int) {
		jobs[i].m = t.measure(ctx, jobs[i].tags)
		progress(jobs[i].tags)
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k := 0
	next := func() *figures { k++; return &jobs[k-1].m }
	for _, p := range profiles {
		plain, bare := next(), next()
		if err := cmp.Or(plain.err, bare.err); err != nil {
			return nil, err
		}
		sum := profileSum{
			Profile: p.Name, Client: plain.client.Sizes.Sub(base.Sizes), Used: plain.all.Sizes.Sub(base.Sizes),
			Bare: bare.all.Sizes.Sub(base.Sizes).Flash(), RAM: plain.ram,
		}
		for _, x := range t.p.Toggles(&p) {
			m := next()
			row := featureRow{Profile: p.Name, Feature: x.Feature, On: x.On, With: x.With}
			if m.err != nil {
				row.Error = m.err.Error()
				r.Rows = append(r.Rows, row)
				continue
			}
			with, without := m, plain
			if x.On {
				with, without = plain, m
			}
			row.Cost, row.Used = with.client.Sizes.Sub(without.client.Sizes), with.all.Sizes.Sub(without.all.Sizes)
			row.Flash, row.UsedAll = row.Cost.Flash(), row.Used.Flash()
			row.Tax = taxOf(with.all) - taxOf(without.all)
			row.RAM = with.ram.sub(without.ram)
			r.Rows = append(r.Rows, row)
		}
		sum.Singles = singles(r.Rows, p.Name)
		sum.Left = sum.Used.Flash() - sum.Bare - sum.Singles
		r.Profiles = append(r.Profiles, sum)
	}
	return r, nil
}

// singles adds up what the features of a profile save, each removed alone. What
// goes along with another is counted once.
func singles(rows []featureRow, profile string) (sum int64) {
	cost := map[string]int64{}
	for _, x := range rows {
		if x.Profile == profile && x.On {
			cost[x.Feature] = x.UsedAll
		}
	}
	for _, x := range rows {
		if x.Profile == profile && x.On {
			sum += x.UsedAll
			for _, also := range x.With {
				sum -= cost[also]
			}
		}
	}
	return sum
}

// firstError returns the first build that failed.
func (r *featureReport) firstError() error {
	for _, x := range r.Rows {
		if x.Error != "" {
			return fmt.Errorf("%s with %s toggled: %s", x.Profile, x.Feature, x.Error)
		}
	}
	return nil
}

func (r *featureReport) write(w io.Writer) {
	fmt.Fprintf(w, "What each feature costs (linux/%s, %s, stripped), in bytes: the difference of two builds.\n", r.Arch, r.Go)
	fmt.Fprint(w, `The first columns are what the reference client pays; "used" is what a program pays that calls everything, and "imports" the
part of that which is the standard library's. RAM is for each idle established connection: sizeof(socket.Conn), and all of its heap.
`)
	for _, p := range r.Profiles {
		fmt.Fprintf(w, "\n%s: the client adds %s to an empty program; a connection has %s bytes, and takes %s of heap.\n",
			p.Profile, num(p.Client.Flash()), num(p.RAM.SizeofConn), num(p.RAM.HeapConn))
		for _, on := range []bool{true, false} {
			var rows []featureRow
			for _, x := range r.Rows {
				if x.Profile == p.Profile && x.On == on && x.Error == "" {
					rows = append(rows, x)
				}
			}
			if len(rows) == 0 {
				continue
			}
			slices.SortStableFunc(rows, func(a, b featureRow) int {
				return cmp.Or(cmp.Compare(b.UsedAll, a.UsedAll), cmp.Compare(b.Flash, a.Flash))
			})
			head := "saved when removed"
			if !on {
				head = "added when added"
			}
			t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintf(t, "text\trodata\tpclntab\tdata\tall of these\tused: text\tall\timports\tsizeof\theap\t %s\n", head)
			for _, x := range rows {
				name := x.Feature
				if len(x.With) > 0 {
					name += " (with " + strings.Join(x.With, ", ") + ")"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t %s\n", num(x.Cost.Text), num(x.Cost.Rodata), num(x.Cost.Pclntab),
					num(x.Cost.Data), num(x.Flash), num(x.Used.Text), num(x.UsedAll), num(x.Tax), num(x.RAM.SizeofConn), num(x.RAM.HeapConn), name)
			}
			t.Flush()
		}
		fmt.Fprintf(w, "All its features removed at once save %s, one at a time %s: %s are left that go only when several go.\n",
			num(p.Used.Flash()-p.Bare), num(p.Singles), num(p.Left))
	}
	r.writeBoth(w)
	for _, x := range r.Rows {
		if x.Error != "" {
			fmt.Fprintf(w, "\nnot built: %s with %s toggled: %s\n", x.Profile, x.Feature, x.Error)
		}
	}
}

// both is what a feature adds to the first profile, and saves in the last.
type both struct {
	feature     string
	added, save int64
}

// bothWays returns, for each feature that the last profile has and the first
// has not, both costs; the largest difference first.
func (r *featureReport) bothWays() []both {
	if len(r.Profiles) < 2 {
		return nil
	}
	first, last := r.Profiles[0].Profile, r.Profiles[len(r.Profiles)-1].Profile
	var out []both
	for _, a := range r.Rows {
		for _, b := range r.Rows {
			if a.Feature == b.Feature && a.Profile == first && !a.On && b.Profile == last && b.On && a.Error+b.Error == "" {
				out = append(out, both{a.Feature, a.UsedAll, b.UsedAll})
			}
		}
	}
	abs := func(n int64) int64 { return max(n, -n) }
	slices.SortStableFunc(out, func(a, b both) int { return cmp.Compare(abs(b.save-b.added), abs(a.save-a.added)) })
	return out
}

func (r *featureReport) writeBoth(w io.Writer) {
	rows := r.bothWays()
	if len(rows) == 0 {
		return
	}
	first, last := r.Profiles[0].Profile, r.Profiles[len(r.Profiles)-1].Profile
	fmt.Fprintf(w, "\nBoth ways, if used. What differs is interaction: below 0 it shares code with other features of %s, above 0 it\nmakes them larger, or its tables follow the profile.\n", last)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "added to %s\tsaved in %s\tdifference\t feature\n", first, last)
	for _, x := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t %s\n", num(x.added), num(x.save), num(x.save-x.added), x.feature)
	}
	t.Flush()
}

// progress returns a function that says that one of n builds is done; on a
// terminal only.
func (t *tool) progress(n int) func(what string) {
	if st, err := os.Stderr.Stat(); err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return func(string) {}
	}
	var mu sync.Mutex
	done := 0
	return func(what string) {
		mu.Lock()
		defer mu.Unlock()
		done++
		fmt.Fprintf(os.Stderr, "\r\033[K%d/%d %s", done, n, what)
		if done == n {
			fmt.Fprint(os.Stderr, "\r\033[K")
		}
	}
}
