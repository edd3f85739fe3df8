package pktest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// Kinds of TCP options.
const (
	KindEOL       = 0
	KindNOP       = 1
	KindMSS       = 2
	KindWScale    = 3
	KindSACKOK    = 4
	KindSACK      = 5
	KindTimestamp = 8
	KindFastOpen  = 34
	// KindRaw is not an option: its Data stands in the header as it is, whatever it
	// means.
	KindRaw = 255
)

// Option is a TCP option. Data is what follows its kind and length.
type Option struct {
	Kind uint8
	Data []byte
}

// MSS is the maximum segment size option, in bytes (RFC 9293 section 3.7.1).
func MSS(n uint16) Option { return Option{KindMSS, binary.BigEndian.AppendUint16(nil, n)} }

// WScale is the window scale option (RFC 7323 section 2).
func WScale(shift uint8) Option { return Option{KindWScale, []byte{shift}} }

// TS is the timestamps option (RFC 7323 section 3).
func TS(val, ecr uint32) Option {
	return Option{KindTimestamp, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, val), ecr)}
}

// NOP pads by one byte.
func NOP() Option { return Option{Kind: KindNOP} }

// EOL ends the options.
func EOL() Option { return Option{Kind: KindEOL} }

// SACKOK is the SACK-permitted option (RFC 2018 section 2).
func SACKOK() Option { return Option{Kind: KindSACKOK} }

// SACK is the SACK option: pairs of left and right edges (RFC 2018 section 3).
func SACK(edges ...uint32) Option {
	o := Option{Kind: KindSACK}
	for _, e := range edges {
		o.Data = binary.BigEndian.AppendUint32(o.Data, e)
	}
	return o
}

// FastOpen is the TCP Fast Open option (RFC 7413 section 2).
func FastOpen(cookie []byte) Option { return Option{KindFastOpen, cookie} }

// Raw are bytes that stand where options do.
func Raw(b []byte) Option { return Option{KindRaw, b} }

// Timestamps returns what is in a timestamps option.
func (o Option) Timestamps() (val, ecr uint32) {
	if len(o.Data) < 8 {
		return 0, 0
	}
	return binary.BigEndian.Uint32(o.Data), binary.BigEndian.Uint32(o.Data[4:])
}

// Edges returns what is in a SACK option.
func (o Option) Edges() []uint32 {
	var e []uint32
	for p := o.Data; len(p) >= 4; p = p[4:] {
		e = append(e, binary.BigEndian.Uint32(p))
	}
	return e
}

// String returns the option as packetdrill writes it.
func (o Option) String() string {
	n := len(o.Data)
	switch {
	case o.Kind == KindEOL:
		return "eol"
	case o.Kind == KindNOP:
		return "nop"
	case o.Kind == KindMSS && n == 2:
		return fmt.Sprintf("mss %d", binary.BigEndian.Uint16(o.Data))
	case o.Kind == KindWScale && n == 1:
		return fmt.Sprintf("wscale %d", o.Data[0])
	case o.Kind == KindSACKOK && n == 0:
		return "sackOK"
	case o.Kind == KindTimestamp && n == 8:
		val, ecr := o.Timestamps()
		return fmt.Sprintf("TS val %d ecr %d", val, ecr)
	case o.Kind == KindSACK && n%8 == 0 && n > 0:
		var b strings.Builder
		b.WriteString("sack")
		for e := o.Edges(); len(e) > 1; e = e[2:] {
			fmt.Fprintf(&b, " %d:%d", e[0], e[1])
		}
		return b.String()
	case o.Kind == KindFastOpen:
		return fmt.Sprintf("FO %x", o.Data)
	case o.Kind == KindRaw:
		return fmt.Sprintf("raw %x", o.Data)
	}
	return fmt.Sprintf("opt %d %x", o.Kind, o.Data)
}

// optionsString returns options as packetdrill writes them, or "".
func optionsString(opts []Option) string {
	if len(opts) == 0 {
		return ""
	}
	parts := make([]string, len(opts))
	for i, o := range opts {
		parts[i] = o.String()
	}
	return "<" + strings.Join(parts, ",") + ">"
}

// appendOptions lays out options in a header, padded with zeros to whole words.
func appendOptions(b []byte, opts []Option) []byte {
	start := len(b)
	for _, o := range opts {
		switch o.Kind {
		case KindEOL, KindNOP:
			b = append(b, o.Kind)
		case KindRaw:
			b = append(b, o.Data...)
		default:
			b = append(append(b, o.Kind, byte(len(o.Data)+2)), o.Data...)
		}
	}
	for (len(b)-start)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// parseOptions reads the options of a header. What can't be one is KindRaw; zeros at
// the end are padding.
func parseOptions(p []byte) (opts []Option) {
	for len(p) > 0 {
		switch p[0] {
		case KindEOL:
			if rest := bytes.TrimLeft(p, "\x00"); len(rest) > 0 { // "padding is composed of zeros"
				opts = append(opts, EOL(), Raw(p[1:]))
			}
			return opts
		case KindNOP:
			opts, p = append(opts, NOP()), p[1:]
			continue
		}
		if len(p) < 2 || p[1] < 2 || int(p[1]) > len(p) {
			return append(opts, Raw(p))
		}
		n := int(p[1])
		opts, p = append(opts, Option{p[0], p[2:n:n]}), p[n:]
	}
	return opts
}
