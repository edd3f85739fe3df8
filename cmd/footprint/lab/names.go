package lab

import "strings"

// PackageOf returns the import path of the package to which the symbol called
// name belongs, or "" for those that the linker merges from all of them.
//
// Go's symbols are PATH.NAME, where dots in the last element of PATH are
// written %2e; what the compiler makes for a type is type:.eq.PATH.NAME and the
// like.
func PackageOf(name string) string {
	for _, p := range [...]string{"type:.eq.", "type:.hash."} {
		if rest, ok := strings.CutPrefix(name, p); ok {
			name = rest
		}
	}
	if strings.HasPrefix(name, "go:") || strings.HasPrefix(name, "type:") || strings.HasPrefix(name, "$") {
		return ""
	}
	end := len(name)
	if i := strings.IndexAny(name, "([{*"); i >= 0 {
		end = i // receivers and type arguments have paths of their own
	}
	slash := strings.LastIndexByte(name[:end], '/')
	dot := strings.IndexByte(name[slash+1:end], '.')
	if dot <= 0 {
		return ""
	}
	path := name[:slash+1+dot]
	if path == "go" || strings.HasPrefix(name[len(path):], ".gcbits.") {
		return "" // methods of types without a name; pointer maps
	}
	return strings.ReplaceAll(path, "%2e", ".")
}

// Standard reports whether path is of the standard library: the first element
// of other paths has a dot. The program itself, main, is not.
func Standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return path != "" && path != "main" && !strings.Contains(first, ".")
}
