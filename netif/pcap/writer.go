// Package pcap records the frames that pass a device, in the format that
// tcpdump and Wireshark read (draft-ietf-opsawg-pcap), with timestamps in
// nanoseconds.
//
// Wrap is all that most programs need:
//
//	dev = pcap.Wrap(dev, file)
//
// What has no device to wrap, such as a simulation, gives its frames to a Writer
// itself, with times of its own. A device that is not wrapped pays nothing.
package pcap

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
)

const (
	magicNano  = 0xa1b23c4d
	magicMicro = 0xa1b2c3d4
	linkType   = 1 // LINKTYPE_ETHERNET

	fileHeaderLen   = 24
	packetHeaderLen = 16

	// DefaultSnapLen is how much of a frame is kept unless told otherwise, in
	// bytes: all of it. It is tcpdump's default too.
	DefaultSnapLen = 262144

	bufferLen     = 64 << 10
	flushInterval = 100e6 // ns
)

// Writer writes a capture file. It is safe for concurrent use.
//
// It collects 64 KiB before it writes, but in a busy capture waits no longer than
// 100 ms of the packets' time; Flush writes what is left. When the io.Writer
// fails, the capture ends there: Packet does nothing from then on, and Flush and
// Close say why.
type Writer struct {
	mu      sync.Mutex
	w       io.Writer
	buf     []byte
	snapLen int
	flushed int64 // time of the first packet that was not, or of the last write
	err     error
}

// NewWriter returns a Writer of frames of up to snapLen bytes, longer ones being
// cut, or of DefaultSnapLen if that is 0 or less. The file's header is written
// with the first packets, or by Flush.
func NewWriter(w io.Writer, snapLen int) *Writer {
	if snapLen <= 0 || snapLen > DefaultSnapLen {
		snapLen = DefaultSnapLen
	}
	b := make([]byte, 0, bufferLen)
	b = binary.LittleEndian.AppendUint32(b, magicNano)
	b = binary.LittleEndian.AppendUint16(b, 2) // version 2.4
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(snapLen))
	b = binary.LittleEndian.AppendUint32(b, linkType)
	return &Writer{w: w, buf: b, snapLen: snapLen}
}

// Packet records a frame that passed at a time in nanoseconds since 1970, or
// since the start of a simulation. It does not keep the slice.
func (w *Writer) Packet(ns int64, frame []byte) {
	w.mu.Lock()
	w.packet(ns, frame)
	w.mu.Unlock()
}

func (w *Writer) packet(ns int64, frame []byte) {
	if w.err != nil {
		return
	}
	data := frame[:min(len(frame), w.snapLen)]
	if len(w.buf) > 0 && (len(w.buf)+packetHeaderLen+len(data) > bufferLen || ns-w.flushed >= flushInterval) {
		w.flush()
		w.flushed = ns
	}
	b := w.buf
	b = binary.LittleEndian.AppendUint32(b, uint32(ns/1e9))
	b = binary.LittleEndian.AppendUint32(b, uint32(ns%1e9))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(frame)))
	w.buf = append(b, data...)
}

func (w *Writer) flush() {
	if w.err != nil || len(w.buf) == 0 {
		return
	}
	n, err := w.w.Write(w.buf)
	if err == nil && n < len(w.buf) {
		err = io.ErrShortWrite
	}
	w.err = err
	w.buf = w.buf[:0]
}

// Flush writes what was collected, and returns the first error of the io.Writer
// so far.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	if w.err == errClosed {
		return nil
	}
	return w.err
}

// Close flushes and ends the capture: packets that come later are not recorded.
// It does not close the io.Writer. A second Close returns nil.
func (w *Writer) Close() error {
	err := w.Flush()
	w.mu.Lock()
	w.err = errClosed
	w.mu.Unlock()
	return err
}

var errClosed = errors.New("pcap: closed")
