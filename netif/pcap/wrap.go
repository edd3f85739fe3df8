package pcap

import (
	"io"
	"time"

	"github.com/bonsainet/bonsai/netif"
)

// Device is a device whose frames are recorded.
type Device struct {
	netif.Device
	w   *Writer
	now func() int64
}

// Wrap returns dev with a capture of all that it sends and receives, which goes
// to w whole, with the times at which they pass. Frames that are sent are
// recorded even if dev then drops them, as on any interface. Errors of w end the
// capture, never the traffic: Close returns them.
func Wrap(dev netif.Device, w io.Writer) *Device {
	return WrapWriter(dev, NewWriter(w, 0), func() int64 { return time.Now().UnixNano() })
}

// WrapWriter is Wrap with a Writer, which several devices can share, and a
// clock: now returns the time in nanoseconds since 1970, or since the start of a
// simulation.
func WrapWriter(dev netif.Device, w *Writer, now func() int64) *Device {
	return &Device{dev, w, now}
}

// Writer returns what the frames are recorded with.
func (d *Device) Writer() *Writer { return d.w }

func (d *Device) Send(bufs []*netif.Buf) error {
	d.record(bufs) // before they change hands
	return d.Device.Send(bufs)
}

func (d *Device) Recv(bufs []*netif.Buf) (int, error) {
	n, err := d.Device.Recv(bufs)
	d.record(bufs[:n])
	return n, err
}

// Offload implements netif.Offloader if the device does. Super-segments are recorded as they are, with
// checksums that may not be computed, as Linux captures them.
func (d *Device) Offload() bool {
	o, ok := d.Device.(netif.Offloader)
	return ok && o.Offload()
}

// Interrupt implements netif.Interrupter if the device does.
func (d *Device) Interrupt() bool {
	i, ok := d.Device.(netif.Interrupter)
	return ok && i.Interrupt()
}

func (d *Device) record(bufs []*netif.Buf) {
	w := d.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil || len(bufs) == 0 {
		return
	}
	ns := d.now() // under the lock, so that times in the file don't run backwards
	for _, b := range bufs {
		w.packet(ns, b.Bytes())
	}
}

// Close closes the device and flushes the capture, which a shared Writer goes on
// with. It returns the first error of the device or of the io.Writer.
func (d *Device) Close() error {
	err := d.Device.Close()
	if ferr := d.w.Flush(); err == nil {
		err = ferr
	}
	return err
}
