//go:build !linux

package tap

import (
	"errors"

	"github.com/bonsainet/bonsai/netif"
)

// Device is not usable on this system.
type Device struct{}

var errSystem = errors.New("there are TAP devices on Linux only")

// Open returns an error.
func Open(c Config) (*Device, error) {
	return nil, &Error{c.Name, "not on this system", errSystem}
}

func (d *Device) Name() string                         { return "" }
func (d *Device) MTU() int                             { return 0 }
func (d *Device) HardwareAddr() netif.MAC              { return netif.MAC{} }
func (d *Device) Send(bufs []*netif.Buf) error         { return errSystem }
func (d *Device) Recv(bufs []*netif.Buf) (int, error)  { return 0, errSystem }
func (d *Device) Offload() bool                        { return false }
func (d *Device) Interrupt() bool                      { return false }
func (d *Device) Dropped() uint64                      { return 0 }
func (d *Device) Close() error                         { return nil }
func (d *Device) SetMTU(mtu int) error                 { return errSystem }
func (d *Device) SetUp(up bool) error                  { return errSystem }
func (d *Device) KernelAddr() (a netif.MAC, err error) { return a, errSystem }
func (d *Device) SetKernelAddr(a netif.MAC) error      { return errSystem }
