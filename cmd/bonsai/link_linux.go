package main

import (
	"os"
	"runtime"
	"syscall"

	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/tap"
)

// openIn opens a TAP in another network namespace, which the file at path stands for.
func openIn(path string, c tap.Config) (netif.Device, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	type result struct {
		d   netif.Device
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, e := syscall.RawSyscall(sysSetns, f.Fd(), syscall.CLONE_NEWNET, 0); e != 0 {
			done <- result{nil, os.NewSyscallError("setns", e)}
			return
		}
		d, err := tap.Open(c)
		done <- result{d, err}
	}()
	r := <-done
	return r.d, r.err
}
