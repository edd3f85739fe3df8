// Package far has a function with one call, by a program that does not import the package of
// the one that it calls.
package far

import "github.com/bonsainet/bonsai/cmd/footprint/lab/testdata/once/farther"

func Once(n int) int {
	n = farther.Work(n, 1) + farther.Work(n, 2)
	return farther.Once(n)
}
