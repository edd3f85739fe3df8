// Featgen writes what follows from the table of features, and checks tags.
//
//	go run ./cmd/featgen              # write the generated files
//	go run ./cmd/featgen -check       # fail if one of them is not as it would be written
//	go run ./cmd/featgen -tags LIST   # fail if LIST holds an unknown tag or an impossible combination
//	go run ./cmd/featgen -list        # print the builds that tests and footprint walk: name and tags
//
// "go generate ./internal/feature/table" runs the first. The table is internal/feature/table.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"github.com/bonsainet/bonsai/internal/feature/table"
)

func main() {
	check := flag.Bool("check", false, "write nothing, fail if a generated file is not up to date")
	list := flag.Bool("list", false, "print the builds to walk")
	tags := flag.String("tags", "", "check this comma-separated list of build tags")
	flag.Parse()
	if err := run(*check, *list, *tags, flag.NArg()); err != nil {
		fmt.Fprintln(os.Stderr, "featgen:", err)
		os.Exit(1)
	}
}

func run(check, list bool, tags string, nargs int) error {
	switch {
	case nargs > 0:
		return errors.New("takes no arguments: see -help")
	case tags != "":
		if msg := table.Check(tags); msg != "" {
			return errors.New(msg)
		}
		return nil
	case list:
		os.Stdout.Write(builds())
		return nil
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	stale, err := update(root, check)
	if err != nil {
		return err
	}
	for _, s := range stale {
		if check {
			fmt.Fprintln(os.Stderr, "featgen: not up to date:", s)
		} else {
			fmt.Println("featgen: wrote", s)
		}
	}
	if check && len(stale) > 0 {
		return errors.New("run go generate ./internal/feature/table")
	}
	return nil
}

// moduleRoot finds the folder of go.mod at or above the current one.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "internal/feature/table/table.go")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("run it inside the bonsai repository")
		}
		dir = up
	}
}

// update brings the generated files below root up to date, unless check is
// set, and returns the paths of those that were not.
func update(root string, check bool) (stale []string, err error) {
	if err := validate(); err != nil {
		return nil, err
	}
	want, err := generate()
	if err != nil {
		return nil, err
	}
	if readme, err := os.ReadFile(filepath.Join(root, readmePath)); err == nil {
		if s, ok := splice(readme, readmeTable()); ok {
			want[readmePath] = s
		} else {
			return nil, fmt.Errorf("%s has no lines %s and %s for the table", readmePath, markBegin, markEnd)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for path, content := range want {
		full := filepath.Join(root, path)
		if old, err := os.ReadFile(full); err == nil && bytes.Equal(old, content) {
			continue
		}
		stale = append(stale, path)
		if check {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
			return nil, err
		}
		if err := os.WriteFile(full, content, 0o666); err != nil {
			return nil, err
		}
	}
	// Files of features that are no more.
	have, err := filepath.Glob(filepath.Join(root, tagsDir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, full := range have {
		path := filepath.ToSlash(filepath.Join(tagsDir, filepath.Base(full)))
		if _, ok := want[path]; ok {
			continue
		}
		stale = append(stale, path+" (to be deleted)")
		if !check {
			if err := os.Remove(full); err != nil {
				return nil, err
			}
		}
	}
	sort.Strings(stale)
	return stale, nil
}
