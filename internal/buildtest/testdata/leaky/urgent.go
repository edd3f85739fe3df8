package main

import "os"

type state struct{ n int }

//go:noinline
func (s *state) mark() {
	s.n = -1
	println("mark")
}

//go:noinline
func (s *state) grow(by int) {
	f := func() { s.n += by }
	if len(os.Args) > 1 {
		defer f()
	}
	f()
}

func unused() { println(table[0]) }

var table = [4]byte{1, 2, 3, 4}
