package main

import "os"

// table is what the feature adds in data.
var table = [...]byte{1, 2, 3, 4, 5, 6, 7, 8}

type urgent struct{ n int }

//go:noinline
func (u *urgent) mark(n int) int {
	u.n = n
	f := func() int { return len(os.Args) + int(table[u.n&7]) }
	defer f()
	return f()
}
