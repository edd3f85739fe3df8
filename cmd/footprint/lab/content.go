package lab

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// formatVersion is part of the key of everything that is cached: count it up
// when what is measured, or how it is written, changes.
const formatVersion = "4"

// A content says what a program is made of, to know when it must be built again:
// the files of its package, and of those that it imports of the same module or of
// others in local folders. What other modules contain follows from go.mod.
type content struct {
	sync.Mutex
	once    sync.Once
	err     error
	global  string            // Go's version, go.mod, go.sum
	modules map[string]string // import path to folder
	pkgs    map[string]*pkgContent
}

type pkgContent struct {
	hash    [sha256.Size]byte
	imports []string
}

// key returns a name for what do makes of t: the same as long as the files are
// the same, and with them the result.
func (b *Builder) key(t Target, do string) (string, error) { return b.keyOf(&b.content, t, do) }

func (b *Builder) keyOf(c *content, t Target, do string) (string, error) {
	c.Lock()
	defer c.Unlock()
	c.once.Do(func() { c.err = c.read(b.Dir) })
	if c.err != nil {
		return "", c.err
	}
	start := t.Package
	if rel, ok := strings.CutPrefix(start, "./"); ok {
		for mod, dir := range c.modules {
			if dir == b.Dir {
				start = path.Join(mod, rel)
			}
		}
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %q %q %q\n", formatVersion, c.global, do, strings.TrimPrefix(t.Package, b.Out), t.Tags, []string{t.GOOS, t.GOARCH}, t.Env)
	if t.Align > 0 || t.Overlay != nil {
		fmt.Fprintf(h, "%d", t.Align)
		if t.Overlay != nil {
			fmt.Fprintf(h, " %s", t.Overlay.hash)
		}
	}
	todo, seen := []string{start}, map[string]bool{start: true}
	if strings.HasSuffix(start, ".go") { // a file of its own
		data, err := os.ReadFile(start)
		if err != nil {
			return "", err
		}
		h.Write(data)
		if f, err := parser.ParseFile(token.NewFileSet(), start, data, parser.ImportsOnly); err == nil {
			todo = todo[:0]
			for _, i := range f.Imports {
				imp, _ := strconv.Unquote(i.Path.Value)
				todo = append(todo, imp)
			}
		}
	}
	for len(todo) > 0 {
		p, err := c.pkg(todo[0])
		if err != nil {
			return "", err
		}
		todo = todo[1:]
		if p == nil {
			continue
		}
		h.Write(p.hash[:])
		for _, i := range p.imports {
			if !seen[i] {
				seen[i] = true
				todo = append(todo, i)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// read looks at go.mod.
func (c *content) read(dir string) error {
	c.modules, c.pkgs = map[string]string{}, map[string]*pkgContent{}
	cmd := exec.Command("go", "env", "GOVERSION", "GOROOT")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return errors.New("the go command does not work: run \"go version\" in " + dir)
	}
	c.global = string(out)
	var visit func(dir string) error
	visit = func(dir string) error {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil {
			return fmt.Errorf("%s has no go.mod: run it inside a Go module", dir)
		}
		sums, _ := os.ReadFile(filepath.Join(dir, "go.sum"))
		c.global += fmt.Sprintf("%x", sha256.Sum256(append(mod, sums...)))
		var replaced []string
		for line := range strings.Lines(string(mod)) {
			f := strings.Fields(line)
			if len(f) == 2 && f[0] == "module" {
				name, err := strconv.Unquote(f[1])
				if err != nil {
					name = f[1]
				}
				if c.modules[name] != "" {
					return nil
				}
				c.modules[name] = dir
			}
			if i := slices.Index(f, "=>"); i >= 0 && i+1 < len(f) && (strings.HasPrefix(f[i+1], ".") || filepath.IsAbs(f[i+1])) {
				to := f[i+1]
				if !filepath.IsAbs(to) {
					to = filepath.Join(dir, to)
				}
				replaced = append(replaced, to)
			}
		}
		for _, d := range replaced {
			if err := visit(d); err != nil {
				return err
			}
		}
		return nil
	}
	return visit(dir)
}

// folder returns where the package is, or "" if it is in none of the modules.
func (c *content) folder(pkg string) string {
	best, dir := "", ""
	for mod, d := range c.modules {
		if rest, ok := strings.CutPrefix(pkg, mod); ok && (rest == "" || rest[0] == '/') && len(mod) > len(best) {
			best, dir = mod, filepath.Join(d, filepath.FromSlash(rest))
		}
	}
	return dir
}

// pkg returns what a package contains, or nil if it is in none of the modules.
func (c *content) pkg(name string) (*pkgContent, error) {
	if p, ok := c.pkgs[name]; ok {
		return p, nil
	}
	dir := c.folder(name)
	if dir == "" {
		c.pkgs[name] = nil
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no package %s: %s does not exist", name, dir)
		}
		return nil, err
	}
	p := &pkgContent{}
	h := sha256.New()
	embeds := false
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if e.IsDir() || strings.HasSuffix(e.Name(), "_test.go") || !slices.Contains([]string{".go", ".s", ".h", ".c", ".syso", ".pgo"}, ext) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(h, "%q %d\n%s", e.Name(), len(data), data)
		if ext != ".go" {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), e.Name(), data, parser.ImportsOnly)
		if err != nil {
			continue // the compiler will say it better
		}
		for _, i := range f.Imports {
			imp, _ := strconv.Unquote(i.Path.Value)
			p.imports = append(p.imports, imp)
			embeds = embeds || imp == "embed"
		}
	}
	if embeds {
		err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(file) == ".go" {
				return err
			}
			data, err := os.ReadFile(file)
			fmt.Fprintf(h, "%q %d\n%s", file, len(data), data)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(p.imports)
	p.imports = slices.Compact(p.imports)
	h.Sum(p.hash[:0])
	c.pkgs[name] = p
	return p, nil
}

// DefaultCache returns the folder where results are kept from one run to the
// next, or "" if there can be none.
func DefaultCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "footprint")
}

// cached returns what is in the cache for do of t, or else what f makes, which
// it adds.
func (b *Builder) cached(t Target, do string, f func() ([]byte, error)) ([]byte, error) {
	if b.Cache == "" {
		return f()
	}
	key, err := b.key(t, do)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.Cache, key[:2], key)
	if data, err := os.ReadFile(file); err == nil {
		return data, nil
	}
	data, err := f()
	if err != nil {
		return nil, err
	}
	// What was built may be of other files than the key, if someone edits them.
	if now, err := b.keyOf(new(content), t, do); err != nil || now != key {
		return nil, fmt.Errorf("the files of %s changed while it was built: run it again", t.Package)
	}
	// A cache that can't be written is not the user's problem now.
	if os.MkdirAll(filepath.Dir(file), 0o777) == nil {
		tmp, err := os.CreateTemp(filepath.Dir(file), "new")
		if err == nil {
			_, err = tmp.Write(data)
			if err = cmp.Or(err, tmp.Close()); err == nil {
				err = os.Rename(tmp.Name(), file)
			}
			if err != nil {
				os.Remove(tmp.Name())
			}
		}
	}
	return data, nil
}
