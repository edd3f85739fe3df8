package bench

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// perProfile builds this program with each of the tags, since a binary holds one profile,
// and runs it with the same flags. The runs come one after the other, so that figures
// across them are worth less than those of one table: each has its own floor.
func perProfile(name string, args, tags []string, flags *flag.FlagSet, out, errs io.Writer) int {
	fail := func(err error) int {
		fmt.Fprintf(errs, "%s: %v\n", name, err)
		return 1
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Path == "" {
		return fail(fmt.Errorf("-profiles: not built as a module"))
	}
	dir, err := os.MkdirTemp("", "bonsai-bench")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	// What the command is called with: "go run ./cmd/bonsai bench" has a word more.
	call := append([]string(nil), strings.Fields(name)[min(3, len(strings.Fields(name))):]...)
	jsonFile := ""
	flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "profiles", "svg", "doc":
		case "json":
			jsonFile = f.Value.String()
		default:
			call = append(call, "-"+f.Name+"="+f.Value.String())
		}
	})
	var reports []*Report
	for _, t := range tags {
		bin := filepath.Join(dir, "bench")
		build := exec.Command("go", "build", "-tags", t, "-o", bin, info.Path)
		build.Stderr = errs
		if err := build.Run(); err != nil {
			return fail(fmt.Errorf("building with tag %s, in the source tree: %w", t, err))
		}
		fmt.Fprintf(errs, "%s\n", t)
		run := exec.Command(bin, append(call, "-json=-")...)
		var b bytes.Buffer
		run.Stdout, run.Stderr = &b, errs
		if err := run.Run(); err != nil {
			return fail(fmt.Errorf("%s: %w", t, err))
		}
		r := new(Report)
		if err := json.Unmarshal(b.Bytes(), r); err != nil {
			return fail(fmt.Errorf("%s: %w", t, err))
		}
		reports = append(reports, r)
		if jsonFile != "-" {
			r.Table(out)
			fmt.Fprintln(out)
		}
	}
	if jsonFile != "-" {
		sideBySide(out, reports)
	}
	if jsonFile == "" {
		return 0
	}
	err = writeTo(jsonFile, out, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		return e.Encode(reports)
	})
	if err != nil {
		return fail(err)
	}
	return 0
}

// sideBySide writes a row for each work, and a column for each report's profile.
func sideBySide(w io.Writer, reports []*Report) {
	head := []string{"", "bonsai"}
	for _, r := range reports {
		head = append(head, r.Profile, "CPU")
	}
	rows := [][]string{head}
	for _, x := range reports[len(reports)-1].Results {
		if x.Subject != "bonsai" && x.Subject != "floor" {
			continue
		}
		row := []string{x.Group, x.Work}
		if x.Subject == "floor" {
			row[1] = "floor"
		}
		for _, r := range reports {
			median, cpu := "", ""
			if y := r.Find(x.Group, x.Work, x.Subject); y != nil {
				c := r.row(y)
				median, cpu = c[2], c[6]
			}
			row = append(row, median, cpu)
		}
		rows = append(rows, row)
	}
	columns(w, rows)
}
