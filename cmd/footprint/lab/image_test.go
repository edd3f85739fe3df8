package lab

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// Programs for macOS and Windows say the same as those for Linux, whose ELF files have the sizes of
// all symbols: their own functions and variables are as large, but for alignment, and the functions' tables are divided.
func TestOtherFormatsSayTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the runtime for other machines")
	}
	linux := measure(t, known)
	for _, x := range []Target{
		{Package: known, GOOS: "darwin", GOARCH: "amd64"},
		{Package: known, GOOS: "darwin", GOARCH: "arm64"},
		{Package: known, GOOS: "windows", GOARCH: "amd64"},
	} {
		name := x.GOOS + "/" + x.GOARCH
		path := must(builder(t).Build(context.Background(), x))
		bin, err := Read(path)
		if err != nil {
			t.Fatal(name, err)
		}
		near := func(what string, is, want, percent int64) {
			t.Helper()
			if d := max(is-want, want-is); d*100 > want*percent {
				t.Errorf("%s: %s is %d, want %d within %d %%", name, what, is, want, percent)
			}
		}
		var tables int64
		size := map[string]int64{}
		for _, s := range bin.Symbols {
			if s.Kind == Pclntab {
				tables += s.Size
			} else {
				size[s.Name] = s.Size
			}
		}
		if tables > bin.Sizes.Pclntab || tables < bin.Sizes.Pclntab*85/100 {
			t.Errorf("%s: functions account for %d bytes of %d", name, tables, bin.Sizes.Pclntab)
		}
		if zeros := size["main.zeros"]; zeros < 5000 || zeros > 5032 {
			t.Errorf("%s: main.zeros has %d bytes, want 5000", name, zeros)
		}
		for _, s := range linux.Symbols {
			if s.Name == "main.main" && s.Kind == Text && x.GOARCH == "amd64" {
				if is := size[s.Name]; is < s.Size || is > s.Size+64 {
					t.Errorf("%s: main.main has %d bytes, for linux %d and up to 63 of alignment", name, is, s.Size)
				}
			}
		}
		// The runtime is not the same for each system.
		near("text", bin.Sizes.Text, linux.Sizes.Text, 25)
		near("rodata", bin.Sizes.Rodata, linux.Sizes.Rodata, 40)
		near("pclntab", bin.Sizes.Pclntab, linux.Sizes.Pclntab, 25)
		if st, err := os.Stat(path); err != nil || bin.Sizes.File > st.Size() || bin.Sizes.File < bin.Sizes.Flash() {
			t.Errorf("%s: the file has %d bytes without symbols, %d in sections", name, bin.Sizes.File, bin.Sizes.Flash())
		}
		// An independent count.
		out, err := exec.Command("go", "tool", "nm", "-size", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		var nm, own int64
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) >= 4 && (f[2] == "T" || f[2] == "t") {
				n, _ := strconv.ParseInt(f[1], 10, 64)
				nm += n
			}
		}
		for _, s := range bin.Symbols {
			if s.Kind == Text {
				own += s.Size
			}
		}
		near("text of all symbols by go tool nm", own, nm, 1)
		near("text of all symbols", own, bin.Sizes.Text, 1)
	}
}
