package emu_test

import (
	"testing"

	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/devtest"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/netif/emu/wall"
)

func TestPortsKeepTheContract(t *testing.T) {
	t.Run("link", func(t *testing.T) {
		devtest.Run(t, func(t *testing.T) (a, b netif.Device) { return emu.NewLink(emu.Config{}) })
	})
	t.Run("jumbo", func(t *testing.T) {
		devtest.Run(t, func(t *testing.T) (a, b netif.Device) { return emu.NewLink(emu.Config{MTU: 65521, Frames: 64}) })
	})
	t.Run("slow link", func(t *testing.T) {
		devtest.Run(t, func(t *testing.T) (a, b netif.Device) {
			return emu.NewLink(emu.Config{MTU: 576, Clock: wall.New(), Path: emu.Path{Delay: 50e3, Jitter: 50e3, Rate: 1e9}})
		})
	})
	t.Run("switch", func(t *testing.T) {
		devtest.Run(t, func(t *testing.T) (a, b netif.Device) {
			s := emu.NewSwitch(emu.SwitchConfig{})
			return s.Port(), s.Port()
		})
	})
}
