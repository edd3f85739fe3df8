package lab

import (
	"bytes"
	"context"
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
}

// A Builder builds programs in a folder of its own.
type Builder struct {
	Dir string // of the module
	Out string // for the programs
	seq struct {
		sync.Mutex
		n int
	}
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
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-w", "-tags="+t.Tags, "-o", out, t.Package)
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

// Measure builds t and reads the result.
func (b *Builder) Measure(ctx context.Context, t Target) (*Binary, error) {
	path, err := b.Build(ctx, t)
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	return Read(path)
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
