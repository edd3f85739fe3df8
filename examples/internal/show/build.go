package show

import (
	"debug/elf"
	"debug/gosym"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/feature/table"
)

const module = "github.com/bonsainet/bonsai/"

// Profile returns the name of the profile and the features of this program.
func Profile() string {
	var on, off []string
	for _, r := range table.Rows {
		if feature.On(r.Name) {
			on = append(on, r.Name)
		} else {
			off = append(off, r.Name)
		}
	}
	s := fmt.Sprintf("profile %s: %s", table.Profiles[feature.Profile], strings.Join(on, " "))
	if len(off) > 0 {
		s += "; without " + strings.Join(off, " ")
	}
	return s
}

// Cost writes what the packages of bonsai take in the running program: machine code,
// by the table of functions that the Go runtime needs, so that it works in stripped
// programs, which those of "go run" are. Beside it stand other parts of the program,
// named by a prefix of their import paths.
func Cost(w io.Writer, others ...string) {
	path, err := os.Executable()
	var funcs []gosym.Func
	if err == nil {
		funcs, err = functions(path)
	}
	if err != nil {
		fmt.Fprintln(w, "what the stack costs in this program can't be read from it:", err)
		return
	}
	code := map[string]uint64{}
	var ours uint64
	for i := range funcs {
		f := &funcs[i]
		p := lab.PackageOf(f.Name)
		n := f.End - f.Entry
		if strings.HasPrefix(p, module) && !strings.HasPrefix(p, module+"examples/") && !strings.HasPrefix(p, module+"cmd/") {
			p = strings.TrimPrefix(p, module)
			ours += n
			code[p] += n
		}
		for _, o := range others {
			if strings.HasPrefix(lab.PackageOf(f.Name), o) {
				code[o] += n
			}
		}
	}
	fmt.Fprintf(w, "the stack in this program: %s of machine code\n", kb(ours))
	var names []string
	for p := range code {
		if !slices.Contains(others, p) {
			names = append(names, p)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return int(code[b]) - int(code[a]) })
	for _, p := range names {
		fmt.Fprintf(w, "  %-16s %9s\n", p, kb(code[p]))
	}
	for _, o := range others {
		fmt.Fprintf(w, "beside it, %s: %s\n", o, kb(code[o]))
	}
}

func kb(n uint64) string { return fmt.Sprintf("%.1f kB", float64(n)/1e3) }

// functions returns the functions in a Go program.
func functions(path string) ([]gosym.Func, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("not an ELF file: %w", err)
	}
	defer f.Close()
	tab, text := f.Section(".gopclntab"), f.Section(".text")
	if tab == nil || text == nil {
		return nil, fmt.Errorf("it has no table of functions")
	}
	data, err := tab.Data()
	if err != nil {
		return nil, err
	}
	t, err := gosym.NewTable(nil, gosym.NewLineTable(data, text.Addr))
	if err != nil {
		return nil, err
	}
	if len(t.Funcs) == 0 {
		return nil, fmt.Errorf("its table of functions has a format that is not known")
	}
	return t.Funcs, nil
}
