// Package farther has a function with one call.
package farther

func Once(n int) int { return Work(n, 3) - Work(n, 4) }

//go:noinline
func Work(n, k int) int {
	for range k {
		n = n*17 + k
	}
	return n
}
