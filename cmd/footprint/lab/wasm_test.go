package lab

import (
	"context"
	"os"
	"testing"
)

func TestWebAssemblyHasSizes(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the runtime for another machine")
	}
	b := builder(t)
	path, err := b.Build(context.Background(), Target{Package: empty, GOOS: "wasip1", GOARCH: "wasm"})
	if err != nil {
		t.Fatal(err)
	}
	bin, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := bin.Sizes; s.Text < 300_000 || s.Rodata < 100_000 || s.File <= s.Flash() || s.File > st.Size() {
		t.Errorf("sizes are %+v of a file of %d", s, st.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readWasm(path, data[:len(data)/2]); err == nil {
		t.Error("half a module is taken for one")
	}
}
