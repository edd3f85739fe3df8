package stack

import (
	"github.com/bonsainet/bonsai/netif"
)

// idleDevice is a device that carries nothing.
type idleDevice struct {
	mtu int
	hw  netif.MAC
}

func (d *idleDevice) Send([]*netif.Buf) error        { return nil }
func (d *idleDevice) Recv([]*netif.Buf) (int, error) { select {} }
func (d *idleDevice) MTU() int                       { return d.mtu }
func (d *idleDevice) HardwareAddr() netif.MAC        { return d.hw }
func (d *idleDevice) Close() error                   { return nil }

// newTestStack returns a stack with lo and eth0, eth1... over devs, all down and
// without addresses.
func newTestStack(devs ...netif.Device) *Stack {
	s := New(Config{Seed: 1})
	for k, d := range devs {
		if _, err := s.AddInterface("eth"+string(rune('0'+k)), d); err != nil {
			panic(err)
		}
	}
	return s
}
