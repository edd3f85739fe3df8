// Once has functions with one call and others, for what package lab inlines.
package main

import "github.com/bonsainet/bonsai/cmd/footprint/lab/testdata/once/far"

type shape interface{ area(n int) int }

type square struct{}

type round struct{}

func main() {
	n := work(7, 1)
	n = once(n)
	n = twice(n)
	n = twice(n)
	n = careful(n)
	f := taken
	for _, s := range []shape{square{}, round{}} {
		n = s.area(n)
		f = next(f)
		n = f(n)
	}
	println(n, far.Once(n))
}

func once(n int) int {
	n = work(n, 3) + work(n, 4)
	return work(inner(n), 5)
}

// inner is called once, and by a function that is inlined itself.
func inner(n int) int { return work(n, 6) - work(n, 7) }

func twice(n int) int { return work(n, 8) - work(n, 9) }

func taken(n int) int { return work(n, 10) - work(n, 11) }

// next returns a function that is called once, but by its value.
//
//go:noinline
func next(f func(int) int) func(int) int {
	if f == nil {
		return nil
	}
	return taken
}

func (square) area(n int) int { return work(n, 12) - work(n, 13) }

func (round) area(n int) int { return work(n, 14) - work(n, 15) }

// careful is called once, but the compiler does not inline what has a defer.
func careful(n int) (m int) {
	defer func() { m++ }()
	return work(n, 16) - work(n, 17)
}

//go:noinline
func work(n, k int) int {
	for range k {
		n = n*31 + k
	}
	return n
}
