//go:build !linux

package main

import (
	"errors"

	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/tap"
)

func openIn(string, tap.Config) (netif.Device, error) {
	return nil, errors.New("network namespaces are Linux's")
}
