package lab

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// A Target is a program to be built.
type Target struct {
	Package string   // import path, or ./folder
	Tags    string   // comma-separated
	GOOS    string   // "" is linux
	GOARCH  string   // "" is amd64
	Env     []string // more of the environment, such as GOARM=5
	Align   int      // of functions, in bytes; 0 is the linker's choice
	Overlay *Overlay // of sources, or nil
	flags   []string // more of them for the go command
}

// goArgs returns what the go command is told to do with t, but for its package.
func (t *Target) goArgs(do string) []string {
	args := []string{do, "-trimpath", "-buildvcs=false", "-tags=" + padded(t.Tags)}
	if t.Overlay != nil {
		args = append(args, "-overlay="+t.Overlay.File)
	}
	return append(args, t.flags...)
}

// A Builder builds programs in a folder of its own.
type Builder struct {
	Dir   string // of the module
	Out   string // for the programs
	Cache string // for what was measured; "" for none
	seq   struct {
		sync.Mutex
		n int
	}
	content content
}

// NewBuilder returns a Builder for the module in dir. Close removes what it
// built.
func NewBuilder(dir string) (*Builder, error) {
	out, err := os.MkdirTemp("", "footprint")
	if err != nil {
		return nil, err
	}
	return &Builder{Dir: dir, Out: out}, nil
}

// Close removes the programs.
func (b *Builder) Close() error { return os.RemoveAll(b.Out) }

// Build builds t as it would be released, but with its symbol table, and
// returns the path of the program. The error is one line.
func (b *Builder) Build(ctx context.Context, t Target) (string, error) {
	b.seq.Lock()
	b.seq.n++
	out := filepath.Join(b.Out, fmt.Sprintf("%s-%d", filepath.Base(t.Package), b.seq.n))
	b.seq.Unlock()
	ldflags := "-ldflags=-w"
	if t.Align > 0 {
		ldflags += fmt.Sprintf(" -funcalign=%d", t.Align)
	}
	cmd := exec.CommandContext(ctx, "go", append(t.goArgs("build"), ldflags, "-o", out, t.Package)...)
	cmd.Dir = b.Dir
	// What a program costs must not depend on who asks.
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0", "GOEXPERIMENT=", "GOAMD64=v1",
		"GOOS="+or(t.GOOS, "linux"), "GOARCH="+or(t.GOARCH, "amd64"))
	cmd.Env = append(cmd.Env, t.Env...)
	var msgs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &msgs, &msgs
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", errors.New("the go command is not in PATH")
		}
		return "", fmt.Errorf("building %s with tags %q: %s", t.Package, t.Tags, firstError(msgs.String(), err))
	}
	return out, nil
}

// Measure builds t and reads the result, unless that is in the cache.
func (b *Builder) Measure(ctx context.Context, t Target) (*Binary, error) {
	return b.measure(ctx, t, "measure")
}

// measure is Measure, where do also names what the target's flags are.
func (b *Builder) measure(ctx context.Context, t Target, do string) (*Binary, error) {
	var bin *Binary
	data, err := b.cached(t, do, func() ([]byte, error) {
		path, err := b.Build(ctx, t)
		if err != nil {
			return nil, err
		}
		defer os.Remove(path)
		if bin, err = Read(path); err != nil {
			return nil, err
		}
		var buf bytes.Buffer
		err = gob.NewEncoder(&buf).Encode(bin)
		return buf.Bytes(), err
	})
	if err != nil || bin != nil {
		return bin, err
	}
	bin = new(Binary)
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(bin); err != nil {
		return nil, fmt.Errorf("the cache in %s is damaged: remove it (%v)", b.Cache, err)
	}
	return bin, nil
}

// Run builds t, runs it and returns what it prints, unless that is in the
// cache.
func (b *Builder) Run(ctx context.Context, t Target) ([]byte, error) {
	return b.cached(t, "run", func() ([]byte, error) {
		path, err := b.Build(ctx, t)
		if err != nil {
			return nil, err
		}
		defer os.Remove(path)
		var out, msgs bytes.Buffer
		cmd := exec.CommandContext(ctx, path)
		cmd.Stdout, cmd.Stderr = &out, &msgs
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("running %s with tags %q: %v: %s", t.Package, t.Tags, err, firstError(msgs.String(), err))
		}
		return out.Bytes(), nil
	})
}

// padded makes lists of tags equally long, with a tag that nothing asks for: the
// go command writes the list into each program, and that must not count.
func padded(tags string) string {
	if tags != "" {
		tags += ","
	}
	return tags + strings.Repeat("_", max(1, 400-len(tags)))
}

// firstError returns the first line of what the go command printed that says
// what is wrong.
func firstError(msgs string, err error) string {
	for line := range strings.Lines(msgs) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "go: downloading") {
			return line
		}
	}
	return err.Error()
}

func or(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

// Parallel calls f for 0 to n-1, as many at a time as there are processors.
func Parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, max(1, runtime.GOMAXPROCS(0)))
	for i := range n {
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer wg.Done()
			f(i)
			<-slots
		}()
	}
	wg.Wait()
}

// Empty writes a program that does nothing, and returns its file, to be built as
// a Target.
func (b *Builder) Empty() (string, error) {
	file := filepath.Join(b.Out, "empty.go")
	return file, os.WriteFile(file, []byte("package main\n\nfunc main() {}\n"), 0o666)
}

// GoVersion returns the version of the go command in dir, or "".
func GoVersion(dir string) string {
	cmd := exec.Command("go", "env", "GOVERSION")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// Module returns the path of the module, or "".
func (b *Builder) Module() string {
	cmd := exec.Command("go", "list", "-m")
	cmd.Dir, cmd.Env = b.Dir, Target{}.env()
	out, _ := cmd.Output()
	return strings.TrimSpace(string(out))
}
