//go:build !linux

package kernelif

import (
	"errors"
	"net/netip"
)

// SetAddr returns an error: there is only Linux's way of it.
func SetAddr(name string, p netip.Prefix) error { return errors.ErrUnsupported }

// Isolate returns false: there are only Linux's namespaces.
func Isolate() (status int, ran bool) { return 0, false }

// Isolated returns false.
func Isolated() bool { return false }

// Packets returns 0.
func Packets(name string) (received, sent uint64) { return 0, 0 }
