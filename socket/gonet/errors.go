package gonet

import (
	"context"
	"net"
	"os"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/socket"
)

// sysError returns what package net has for an error of package socket in system
// call call.
func sysError(call string, err error) error {
	e, ok := err.(errno.Errno)
	if !ok {
		return err
	}
	switch e {
	case socket.ErrClosed:
		return net.ErrClosed
	case socket.ErrDeadline:
		return os.ErrDeadlineExceeded
	}
	return os.NewSyscallError(call, sysErrno(e))
}

// contextError returns what package net has for an error of a context: another
// text, but the same identity.
func contextError(err error) error {
	switch err {
	case context.Canceled:
		return canceledError{}
	case context.DeadlineExceeded:
		return timeoutError{}
	}
	return err
}

type canceledError struct{}

func (canceledError) Error() string        { return "operation was canceled" }
func (canceledError) Is(target error) bool { return target == context.Canceled }

type timeoutError struct{}

func (timeoutError) Error() string        { return "i/o timeout" }
func (timeoutError) Timeout() bool        { return true }
func (timeoutError) Temporary() bool      { return true }
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }
