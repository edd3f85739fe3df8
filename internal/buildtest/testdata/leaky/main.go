// Command leaky gates one use of its feature and forgets the others.
package main

import "github.com/bonsainet/bonsai/internal/feature"

func main() {
	s := new(state)
	if feature.Urgent {
		s.mark()
	}
	s.grow(len(table))
	println(s.n, table[s.n&3])
}
