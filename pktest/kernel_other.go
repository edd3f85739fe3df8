//go:build !linux || !(amd64 || arm64)

package pktest

// NewKernel returns a Target that skips every script: there is no Linux kernel
// here, or none whose calls this package knows.
func NewKernel() Target { return noKernel{NewBonsai()} }

type noKernel struct{ *Bonsai }

func (noKernel) Has(name string) bool { return true }
func (noKernel) Setup(Setup) error    { return Unsupported("no Linux kernel on this system") }
