package socket

import (
	"runtime"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif/emu/wall"
	"github.com/bonsainet/bonsai/stack"
)

// A function that panics or ends its goroutine must not leave the stack locked.
func TestDoUnlocksAfterAFunctionThatDoesNotReturn(t *testing.T) {
	s := New(stack.Config{}, wall.New())
	dies := func(do func()) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			do()
		}()
		<-done
		if !s.mu.TryLock() {
			t.Fatal("the stack is locked")
		}
		s.mu.Unlock()
	}
	dies(func() { s.Do(func(*stack.Stack) { runtime.Goexit() }) })
	c := s.NewConn()
	dies(func() { c.Do(func(*stack.Conn) { runtime.Goexit() }) })
	dies(func() {
		defer func() { recover() }()
		c.Do(func(*stack.Conn) { panic("in f") })
	})
	if feature.RawSock {
		r, err := s.OpenRaw(ipv4.ProtoICMP)
		if err != nil {
			t.Fatal(err)
		}
		dies(func() { r.Do(func(*stack.Raw) { runtime.Goexit() }) })
	}
}
