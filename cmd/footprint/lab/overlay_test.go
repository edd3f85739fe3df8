package lab

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestOverlayHasWhatTheGoCommandReplaces looks at a program with a package from the module cache, of
// which the go command replaces nothing.
func TestOverlayHasWhatTheGoCommandReplaces(t *testing.T) {
	const tap = "./cmd/footprint/ref/tap"
	ctx, b, dir := context.Background(), builder(t), t.TempDir()
	target := Target{Package: tap, Tags: "client"}
	plain := must(b.key(target, "measure"))
	keys := []string{plain}
	for _, lines := range []Lines{LinesFunc, LinesNone} {
		o, err := b.OneLine(ctx, target, lines, dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(o.Kept) != 1 || !strings.HasSuffix(o.Kept[0], "/water") {
			t.Errorf("lines %s: packages %q keep their lines", lines, o.Kept)
		}
		var r replacements
		data, err := os.ReadFile(o.File)
		if err != nil || json.Unmarshal(data, &r) != nil {
			t.Fatalf("%s: %v", data, err)
		}
		for _, want := range []string{"runtime/proc.go", "stack/stack.go", "ref/tap/main.go"} {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(r.Replace)), func(s string) bool { return strings.HasSuffix(filepath.ToSlash(s), want) }) {
				t.Errorf("lines %s: %s is not replaced", lines, want)
			}
		}
		x := target
		x.Overlay = o
		keys = append(keys, must(b.key(x, "measure")))
		x.Align = 1
		keys = append(keys, must(b.key(x, "measure")))
	}
	slices.Sort(keys)
	if len(slices.Compact(keys)) != 5 {
		t.Errorf("two of these programs are the same to the cache: %v", keys)
	}
	if err := Prepare(dir); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("of an earlier run, %v are left", left)
	}
}
