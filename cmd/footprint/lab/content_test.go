package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module writes files into a new folder.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCacheKeyFollowsTheFilesOfTheProgramAlone(t *testing.T) {
	dir := module(t, map[string]string{
		"go.mod":          "module example.com/m\n\ngo 1.24\n",
		"cmd/a/main.go":   "package main\n\nimport _ \"example.com/m/lib\"\n\nfunc main() {}\n",
		"lib/lib.go":      "package lib\n",
		"lib/lib_test.go": "package lib\n",
		"other/other.go":  "package other\n",
	})
	key := func(tags string) string {
		t.Helper()
		b := &Builder{Dir: dir}
		k, err := b.key(Target{Package: "./cmd/a", Tags: tags}, "measure")
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first := key("")
	if key("x") == first {
		t.Error("the key does not depend on tags")
	}
	for _, c := range []struct {
		file    string
		changes bool
	}{
		{"lib/lib_test.go", false},
		{"other/other.go", false},
		{"lib/lib.go", true},
		{"lib/new.go", true},
		{"cmd/a/main.go", true},
		{"go.mod", true},
	} {
		file := filepath.Join(dir, c.file)
		old, _ := os.ReadFile(file)
		if err := os.WriteFile(file, append(old, "// more\n"...), 0o666); err != nil {
			t.Fatal(err)
		}
		if got := key("") != first; got != c.changes {
			t.Errorf("after a change of %s the key is another: %v, want %v", c.file, got, c.changes)
		}
		if old == nil {
			os.Remove(file)
		} else {
			os.WriteFile(file, old, 0o666)
		}
	}
}

func TestCacheGivesWhatWasMeasured(t *testing.T) {
	dir := module(t, map[string]string{"go.mod": "module example.com/m\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() { println(7) }\n"})
	cache := t.TempDir()
	first := &Builder{Dir: dir, Out: t.TempDir(), Cache: cache}
	want, err := first.Measure(context.Background(), Target{Package: "./"})
	if err != nil {
		t.Fatal(err)
	}
	// A builder that can't build has only the cache.
	second := &Builder{Dir: dir, Out: "/dev/null/x", Cache: cache}
	got, err := second.Measure(context.Background(), Target{Package: "./"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Sizes != want.Sizes || len(got.Symbols) != len(want.Symbols) {
		t.Errorf("the cache has %+v and %d symbols, measured were %+v and %d", got.Sizes, len(got.Symbols), want.Sizes, len(want.Symbols))
	}
	if _, err := second.Measure(context.Background(), Target{Package: "./", Tags: "x"}); err == nil {
		t.Error("the cache has what was never measured")
	}
}

func TestCacheTakesNothingOfFilesThatChange(t *testing.T) {
	dir := module(t, map[string]string{"go.mod": "module example.com/m\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() {}\n"})
	b := &Builder{Dir: dir, Cache: t.TempDir()}
	_, err := b.cached(Target{Package: "./"}, "x", func() ([]byte, error) {
		return []byte("old"), os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() { println() }\n"), 0o666)
	})
	if err == nil || !strings.Contains(err.Error(), "changed while it was built") {
		t.Errorf("error is %v", err)
	}
	b = &Builder{Dir: dir, Cache: b.Cache}
	if data, err := b.cached(Target{Package: "./"}, "x", func() ([]byte, error) { return []byte("new"), nil }); string(data) != "new" || err != nil {
		t.Errorf("the cache has %q, %v", data, err)
	}
}
