//go:build !linux

package bench

// kernelSubjects are only there on Linux.
func kernelSubjects() []Subject { return nil }
