package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// An Overlay has the go command read other files in place of a program's sources.
type Overlay struct {
	File string   // for go build -overlay
	Kept []string // packages in the module cache, where the go command replaces nothing
	hash string   // of what it has it read
}

const (
	overlayFile = "overlay.json"
	// The go command takes no folder for a package whose name begins so.
	overlaySources = "_src"
)

// replacements is what the go command reads.
type replacements struct{ Replace map[string]string }

// OneLine writes the sources of t, of all packages that it is built from, to dir with one line
// for each function. What is in the module cache stays as it is.
func (b *Builder) OneLine(ctx context.Context, t Target, lines Lines, dir string) (*Overlay, error) {
	const format = "{{$p := .}}{{range .GoFiles}}{{$p.ImportPath}}\t{{$p.Dir}}\t{{.}}\n{{end}}"
	cmd := exec.CommandContext(ctx, "go", append(t.goArgs("list"), "-deps", "-f="+format, t.Package)...)
	cmd.Dir, cmd.Env = b.Dir, t.env()
	var list, msgs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &list, &msgs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("building %s with tags %q: %s", t.Package, t.Tags, firstError(msgs.String(), err))
	}
	env := exec.CommandContext(ctx, "go", "env", "GOMODCACHE")
	env.Dir, env.Env = b.Dir, t.env()
	out, err := env.Output()
	if err != nil {
		return nil, errors.New("go env GOMODCACHE does not work")
	}
	modules := strings.TrimSpace(string(out)) + string(filepath.Separator)
	o := &Overlay{File: filepath.Join(dir, overlayFile)}
	r := replacements{map[string]string{}}
	texts := map[string][]byte{} // by file in dir
	h := sha256.New()
	for line := range strings.Lines(list.String()) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 3 {
			continue // between packages
		}
		if strings.HasPrefix(f[1], modules) {
			if !slices.Contains(o.Kept, f[0]) {
				o.Kept = append(o.Kept, f[0])
			}
			continue
		}
		from := filepath.Join(f[1], f[2])
		src, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		text, err := oneLine(src, lines)
		if err != nil {
			return nil, fmt.Errorf("%s is no Go that this tool reads: build it with the go command that builds the program (%v)", from, err)
		}
		if lines == LinesFunc {
			// The go command has a name of its own for it in traces, but not if dir is in the package's folder.
			text = append([]byte("//line "+from+":1\n"), text...)
		}
		to := filepath.Join(dir, overlaySources, filepath.FromSlash(f[0]), f[2])
		r.Replace[from], texts[to] = to, text
		fmt.Fprintf(h, "%q %q %d\n%s", f[0], f[2], len(text), text)
	}
	// The list is there before the files that it names, so that a run that was interrupted can be
	// cleared away.
	o.hash = hex.EncodeToString(h.Sum(nil))
	if err := r.write(dir); err != nil {
		return nil, err
	}
	for to, text := range texts {
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			return nil, err
		}
		if err := os.WriteFile(to, text, 0o666); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (r *replacements) write(dir string) error {
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, overlayFile), data, 0o666)
}

// Prepare makes folder dir, whose path is absolute, or removes from it what an earlier run wrote: an
// overlay and its sources, and files with the names in more. It does nothing if there is anything else.
func Prepare(dir string, more ...string) error {
	if st, err := os.Stat(dir); err == nil && !st.IsDir() {
		return fmt.Errorf("%s is a file: give a folder", dir)
	}
	known := map[string]bool{}
	var old replacements
	list, sources := filepath.Join(dir, overlayFile), filepath.Join(dir, overlaySources)
	if data, err := os.ReadFile(list); err == nil && json.Unmarshal(data, &old) == nil {
		known[list] = true
		for _, name := range more {
			known[filepath.Join(dir, name)] = true
		}
	}
	for _, file := range old.Replace {
		known[file] = true
		if !strings.HasPrefix(file, sources+string(filepath.Separator)) {
			known[list] = false // an overlay of someone else
		}
	}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || known[file] || d.IsDir() && (file == dir || file == sources || strings.HasPrefix(file, sources+string(filepath.Separator))) {
			return err
		}
		return fmt.Errorf("%s has other things in it, such as %s: give a folder that is new, empty, or of an earlier run", dir, d.Name())
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range append(more, overlaySources) {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return (&replacements{map[string]string{}}).write(dir)
}
