//go:build linux

package tapnet

import (
	"net"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

// listen returns a listener of the kernel's.
func (n *Net) listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", n.Kernel.String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// connect returns the ends of a connection that we opened to the kernel.
func (n *Net) connect(t testing.TB) (ours, kernels net.Conn) {
	t.Helper()
	l := n.listen(t)
	defer l.Close()
	ours, err := n.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if kernels, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ours.Close()
		kernels.Close()
	})
	deadline := time.Now().Add(30 * time.Second)
	ours.SetDeadline(deadline)
	kernels.SetDeadline(deadline)
	return ours, kernels
}
