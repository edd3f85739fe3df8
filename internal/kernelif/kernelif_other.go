//go:build !linux

package kernelif

import (
	"errors"
	"net/netip"
	"syscall"
)

// SetAddr returns an error: there is only Linux's way of it.
func SetAddr(name string, p netip.Prefix) error { return errors.ErrUnsupported }

// Isolate returns false: there are only Linux's namespaces.
func Isolate() (status int, ran bool) { return 0, false }

// Isolated returns false.
func Isolated() bool { return false }

// Packets returns 0.
func Packets(name string) (received, sent uint64) { return 0, 0 }

// Cubic returns an error.
func Cubic(network, address string, c syscall.RawConn) error { return errors.ErrUnsupported }
