// Command gated gates its feature as it should.
package main

import "github.com/bonsainet/bonsai/internal/feature"

type conn struct{ urg *urgent }

func main() {
	c := new(conn)
	if feature.Urgent {
		c.urg = new(urgent)
		println(c.urg.mark(1))
	}
}
