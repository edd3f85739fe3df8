package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature/table"
)

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	stale, err := update("../..", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stale {
		t.Error("not up to date:", s)
	}
	if len(stale) > 0 {
		t.Error("run: go generate ./internal/feature/table")
	}
}

func TestUpdateWritesFindsAndDeletes(t *testing.T) {
	dir := t.TempDir()
	if _, err := update(dir, false); err != nil {
		t.Fatal(err)
	}
	if stale, err := update(dir, true); err != nil || len(stale) > 0 {
		t.Errorf("stale after writing: %v, %v", stale, err)
	}
	change := func(name, content string) string {
		path := filepath.Join(dir, tagsDir, name)
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	change(table.Rows[0].Name+"_no.go", "package tags\n")
	gone := change("oldfeature_no.go", "package tags\n")
	if stale, _ := update(dir, true); len(stale) != 2 {
		t.Errorf("stale = %v, want the two that were changed", stale)
	}
	if _, err := update(dir, false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(gone); err == nil {
		t.Error("the file of a feature without a row was not deleted")
	}
	if stale, _ := update(dir, true); len(stale) > 0 {
		t.Errorf("stale after repair: %v", stale)
	}
}

func TestReadmeTableIsPutBetweenTheMarks(t *testing.T) {
	in := "# x\n" + markBegin + "\nold\n" + markEnd + "\nrest\n"
	out, ok := splice([]byte(in), []byte("new\n"))
	if want := "# x\n" + markBegin + "\nnew\n" + markEnd + "\nrest\n"; !ok || string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
	if _, ok := splice([]byte("# x\n"), nil); ok {
		t.Error("spliced without marks")
	}
	if !bytes.Contains(readmeTable(), []byte("| `wscale` |")) {
		t.Error("no row for wscale")
	}
}
