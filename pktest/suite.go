package pktest

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// RunScript plays the script in file against a target, and fails the test as a
// compiler would: file:line, expected, got. With go test -v, or on failure, the
// packet ladder follows.
func RunScript(t testing.TB, file string, target Target) {
	t.Helper()
	s, err := ReadScript(file)
	if err != nil {
		t.Fatal(err)
	}
	r := Run(s, target)
	if r.Skipped != "" {
		t.Skip(r.Skipped)
	}
	if r.Failed() {
		t.Errorf("\n%s%s", r, r.Ladder.String())
	}
}

// RunScripts plays every .pkt file in and below dir, each as a subtest that is
// called as the file is, each against a target of its own.
func RunScripts(t *testing.T, dir string, target func() Target) {
	t.Helper()
	files, err := Scripts(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no .pkt files in %s", dir)
	}
	for _, f := range files {
		rel, err := filepath.Rel(dir, f)
		if err != nil {
			rel = f
		}
		t.Run(strings.TrimSuffix(filepath.ToSlash(rel), ".pkt"), func(t *testing.T) { RunScript(t, f, target()) })
	}
}

// Scripts returns the names of the .pkt files in and below path, or path itself if
// it is a file.
func Scripts(path string) (files []string, err error) {
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (p == path || strings.HasSuffix(p, ".pkt")) {
			files = append(files, p)
		}
		return err
	})
	return files, err
}

// Play plays the scripts in paths, files or folders, each against a target of its
// own, and writes how they went. verbose adds the packet ladders. It returns how
// many failed. This is a command such as "bonsai pkt", for any stack.
func Play(out io.Writer, paths []string, target func() Target, verbose bool) (failed int) {
	passed, skipped := 0, 0
	for _, path := range paths {
		files, err := Scripts(path)
		if err != nil {
			fmt.Fprintln(out, err)
			failed++
		}
		for _, f := range files {
			s, err := ReadScript(f)
			if err != nil {
				fmt.Fprintln(out, err)
				failed++
				continue
			}
			r := Run(s, target())
			switch {
			case r.Skipped != "":
				skipped++
				fmt.Fprintf(out, "skip  %s: %s\n", f, r.Skipped)
				continue
			case r.Failed():
				failed++
				fmt.Fprintf(out, "FAIL  %s\n%s", f, r)
			default:
				passed++
				fmt.Fprintf(out, "ok    %s\n", f)
			}
			for _, p := range r.Printed {
				fmt.Fprintln(out, p)
			}
			if verbose {
				fmt.Fprint(out, r.Ladder.String())
			}
		}
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return failed
}
