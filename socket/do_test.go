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
		if s.holders != 0 {
			t.Fatal("the stack is locked")
		}
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

// Those who want the lock get it, one at a time.
func TestLockIsExclusive(t *testing.T) {
	s := New(stack.Config{}, wall.New())
	const each, all = 1000, 8
	done := make(chan struct{})
	n := 0
	for range all {
		go func() {
			for i := range each {
				s.lock()
				if n++; i%100 == 0 {
					runtime.Gosched() // let others come while it is held
				}
				s.unlock()
			}
			done <- struct{}{}
		}()
	}
	for range all {
		<-done
	}
	if n != each*all || s.holders != 0 || len(s.turn) != 0 {
		t.Errorf("counted to %d of %d; %d hold the lock, %d are next", n, each*all, s.holders, len(s.turn))
	}
}
