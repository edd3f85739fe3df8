//go:build !linux

package kernelif

import (
	"errors"
	"net/netip"
)

// SetAddr returns an error: there is only Linux's way of it.
func SetAddr(name string, p netip.Prefix) error { return errors.ErrUnsupported }
