// Package examples holds a runnable program in each of its folders:
//
//	go run ./examples/quickstart
//
// It is a module of its own, so that what the examples need, gVisor as a peer
// above all, stays out of the go.mod of those who embed bonsai. The go.work at
// the root of a clone joins the two.
package examples
