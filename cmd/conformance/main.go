// Command conformance writes docs/conformance.md: what the RFCs ask of a host,
// rule by rule, whether each profile obeys it, and the tests that show it.
//
//	go run ./cmd/conformance          write it
//	go run ./cmd/conformance -check   fail if it is not up to date
//
// A test shows rule 64 when its name begins with TestC64. A rule that a profile
// claims to obey without a test is an error. Last come the attacks of hostile.go.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/bonsainet/bonsai/internal/feature/table"
)

// row is a rule, or the heading of a section.
type row struct {
	section string
	n       int
	who     string // for full, client, minimal: a letter each. Upper case: must; lower case: may; -: does not apply
	feature string // that obeys it; "": the base; "-": nothing does, yet
	rule    string // with its RFC and section
}

const path = "docs/conformance.md"

func main() {
	check := flag.Bool("check", false, "compare instead of writing")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	tests, err := findTests(".")
	if err != nil {
		return err
	}
	want, err := page(tests)
	if err != nil {
		return err
	}
	if !check {
		return os.WriteFile(path, want, 0o644)
	}
	have, err := os.ReadFile(path)
	if err == nil && !bytes.Equal(have, want) {
		err = fmt.Errorf("%s is not up to date: go run ./cmd/conformance", path)
	}
	return err
}

// test is a test function.
type test struct{ name, file string }

var testName = regexp.MustCompile(`(?m)^func (TestC(\d{2,3})[A-Za-z]\w*)\(`)

// findTests returns the tests below root by the number in their names.
func findTests(root string) (map[int][]test, error) {
	tests := map[int][]test{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(p, "_test.go") {
			return err
		}
		src, err := os.ReadFile(p)
		for _, m := range testName.FindAllSubmatch(src, -1) {
			n, _ := strconv.Atoi(string(m[2]))
			tests[n] = append(tests[n], test{string(m[1]), filepath.ToSlash(p)})
		}
		return err
	})
	return tests, err
}

// obeys says for profile p, an index of table.Profiles, "yes", "no" or "-".
func (r *row) obeys(p int) string {
	switch {
	case r.who[2-p] == '-':
		return "-"
	case r.feature == "-":
		return "no"
	case r.feature == "":
		return "yes"
	}
	f := table.Find(r.feature)
	if f == nil {
		return "unknown feature " + r.feature
	}
	if f.Has(p) {
		return "yes"
	}
	return "no"
}

func page(tests map[int][]test) ([]byte, error) {
	var b bytes.Buffer
	var errs []string
	counts := [3]map[string]int{{}, {}, {}}
	var body bytes.Buffer
	known := map[int]bool{}
	for i := range rows {
		r := &rows[i]
		if r.section != "" {
			fmt.Fprintf(&body, "\n## %s\n\n| | rule | full | client | minimal | tests |\n|---|---|---|---|---|---|\n", r.section)
			continue
		}
		known[r.n] = true
		cells := [3]string{}
		claimed := false
		for p := range cells {
			cells[p] = r.obeys(p)
			counts[p][cells[p]]++
			claimed = claimed || cells[p] == "yes"
			// What is must for a profile can't be answered by no without being seen.
			if cells[p] == "no" && r.who[2-p] >= 'A' && r.who[2-p] <= 'Z' {
				cells[p] = "**no**"
			}
		}
		ts := tests[r.n]
		if claimed && len(ts) == 0 {
			errs = append(errs, fmt.Sprintf("rule %d is claimed, and no test is called TestC%02d...", r.n, r.n))
		}
		rule := strings.ReplaceAll(r.rule, "|", "\\|")
		if r.feature != "" && r.feature != "-" {
			rule += " — feature `" + r.feature + "`"
		}
		fmt.Fprintf(&body, "| %d | %s | %s | %s | %s | %s |\n", r.n, rule, cells[2], cells[1], cells[0], links(ts))
	}
	for n := range tests {
		if !known[n] {
			errs = append(errs, fmt.Sprintf("%s: there is no rule %d", tests[n][0].name, n))
		}
	}
	missing, err := hostile(&body, ".")
	if err != nil {
		return nil, err
	}
	if errs = append(errs, missing...); errs != nil {
		sort.Strings(errs)
		return nil, fmt.Errorf("%s", strings.Join(errs, "\n"))
	}
	b.WriteString("# What the RFCs ask of a host, and what bonsai does\n\n" +
		"Written by `go run ./cmd/conformance`; `./test` fails when it is not up to date, or when a rule is claimed without a test.\n\n" +
		"| profile | obeys | does not, or not yet | does not apply |\n|---|---|---|---|\n")
	for p := len(counts) - 1; p >= 0; p-- {
		c := counts[p]
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", table.Profiles[p], c["yes"], c["no"], c["-"])
	}
	b.WriteString("\n\"no\" where a rule is optional for the profile, **no** where it is not. MUST, SHLD and MAY with a number are RFC 9293's own labels. " +
		"The section numbers, here and beside the code, and the quotations of six words or more, were looked up in the RFCs' texts, those of RFC 9406, 9438 and 9937 excepted.\n")
	b.Write(body.Bytes())
	return b.Bytes(), nil
}

// links names at most a few tests, with links to their files.
func links(ts []test) string {
	sort.Slice(ts, func(i, k int) bool { return ts[i].name < ts[k].name })
	const most = 3
	var out []string
	for i, t := range ts {
		if i == most {
			out = append(out, fmt.Sprintf("and %d more", len(ts)-most))
			break
		}
		out = append(out, fmt.Sprintf("[%s](../%s)", strings.TrimPrefix(t.name, "Test"), t.file))
	}
	return strings.Join(out, "<br>")
}
