package pcap

import (
	"encoding/binary"
	"errors"
	"io"
)

// Reader reads the capture files that Writer, tcpdump and Wireshark ("pcap", not
// "pcapng") write, of either byte order, in microseconds or nanoseconds.
type Reader struct {
	r       io.Reader
	order   binary.ByteOrder
	scale   int64 // ns per unit of the fraction
	snapLen uint32
	buf     []byte
}

// NewReader reads the file's header.
func NewReader(r io.Reader) (*Reader, error) {
	var h [fileHeaderLen]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	p := &Reader{r: r, order: binary.LittleEndian, scale: 1}
	switch binary.LittleEndian.Uint32(h[:]) {
	case magicNano:
	case magicMicro:
		p.scale = 1000
	default:
		p.order = binary.BigEndian
		switch binary.BigEndian.Uint32(h[:]) {
		case magicNano:
		case magicMicro:
			p.scale = 1000
		default:
			return nil, errors.New("pcap: not a pcap file")
		}
	}
	if p.order.Uint32(h[20:])&0x0fffffff != linkType { // above are the FCS bits
		return nil, errors.New("pcap: not a capture of Ethernet")
	}
	p.snapLen = p.order.Uint32(h[16:])
	return p, nil
}

// Next returns the next frame, its time in nanoseconds since 1970, and how long
// it was before it was cut. The slice is valid until the next call. At the end
// the error is io.EOF, or io.ErrUnexpectedEOF within a packet.
func (p *Reader) Next() (ns int64, frame []byte, length int, err error) {
	var h [packetHeaderLen]byte
	if _, err := io.ReadFull(p.r, h[:]); err != nil {
		return 0, nil, 0, err
	}
	n := p.order.Uint32(h[8:])
	if n > max(p.snapLen, DefaultSnapLen) || n > 1<<24 {
		return 0, nil, 0, errors.New("pcap: packet longer than the file's limit")
	}
	if int(n) > len(p.buf) {
		p.buf = make([]byte, n)
	}
	frame = p.buf[:n]
	if _, err := io.ReadFull(p.r, frame); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, 0, err
	}
	ns = int64(p.order.Uint32(h[:]))*1e9 + int64(p.order.Uint32(h[4:]))*p.scale
	return ns, frame, int(p.order.Uint32(h[12:])), nil
}
