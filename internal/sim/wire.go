package sim

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/pcap"
)

// wireTap sees every frame that a host sends.
type wireTap struct {
	frames uint64
	hash   uint64
	table  *crc32.Table
	flows  map[flowKey]*Traffic
	supers int // super-segments
	pcap   *pcap.Writer
}

type flowKey struct{ src, dst ipv4.Endpoint }

// Traffic counts the TCP segments that one end of a connection has sent.
type Traffic struct {
	Segments int   // with data, SYN or FIN
	Acks     int   // without
	Bytes    int64 // of payload
	Again    int   // segments that began before the end of what was sent already
	next     uint32
}

func (w *wireTap) init(out io.Writer) {
	w.table = crc32.MakeTable(crc32.Castagnoli)
	w.flows = map[flowKey]*Traffic{}
	if out != nil {
		w.pcap = pcap.NewWriter(out, 0)
	}
}

// see looks at a frame that host number h sends at now.
func (w *wireTap) see(now Time, h byte, b *netif.Buf) {
	f := b.Bytes()
	w.frames++
	x := w.hash ^ uint64(crc32.Checksum(f, w.table))<<8 ^ uint64(h) ^ uint64(now)<<20
	x *= 0x9e3779b97f4a7c15
	w.hash = x ^ x>>29
	if w.pcap != nil {
		w.pcap.Packet(int64(now), f)
	}
	w.count(f, netif.SegmentSize(b))
}

// count keeps the statistics of the connection that f belongs to. mss is the payload of a segment if
// f is a super-segment, else 0.
func (w *wireTap) count(f []byte, mss int) {
	if len(f) < 54 || binary.BigEndian.Uint16(f[12:]) != netif.EtherTypeIPv4 || f[14] != 0x45 || f[23] != ipv4.ProtoTCP {
		return
	}
	p := f[14:]
	k := flowKey{
		ipv4.Endpoint{Addr: ipv4.AddrAt(p[12:16]), Port: binary.BigEndian.Uint16(p[20:])},
		ipv4.Endpoint{Addr: ipv4.AddrAt(p[16:20]), Port: binary.BigEndian.Uint16(p[22:])},
	}
	flags := p[33]
	n := uint32(binary.BigEndian.Uint16(p[2:])) - 20 - uint32(p[32]>>4)*4
	t := w.flows[k]
	if t == nil || flags&0x02 != 0 && t.Bytes > 0 { // a SYN: a new connection
		t = new(Traffic)
		w.flows[k] = t
	}
	seq := binary.BigEndian.Uint32(p[24:])
	size := n + uint32(flags&1) + uint32(flags>>1&1)
	if size == 0 {
		t.Acks++
		return
	}
	t.Bytes += int64(n)
	if t.Segments > 0 && int32(seq-t.next) < 0 {
		t.Again++
	}
	t.Segments++
	if mss > 0 {
		t.Segments += (int(n) - 1) / mss
		w.supers++
	}
	if t.Segments == 1 || int32(seq+size-t.next) > 0 {
		t.next = seq + size
	}
}

// tapped is a host's port, with the tap in front.
type tapped struct {
	port
	h *Host
}

func (t *tapped) Send(bufs []*netif.Buf) error {
	n := t.h.net
	now := n.Now()
	for _, b := range bufs {
		n.wire.see(now, t.h.number, b)
	}
	return t.port.Send(bufs)
}

// Frames returns how many frames all hosts have sent.
func (n *Net) Frames() uint64 { return n.wire.frames }

// Hash depends on every frame that was sent, by whom and when.
func (n *Net) Hash() uint64 { return n.wire.hash }

// FlushPcap writes what is left of the capture.
func (n *Net) FlushPcap() error {
	if n.wire.pcap == nil {
		return nil
	}
	return n.wire.pcap.Flush()
}

// Dump describes hosts and connections, for the message of a failure.
func (n *Net) Dump() string {
	var b strings.Builder
	for _, h := range n.Hosts {
		fmt.Fprintf(&b, "%s: %+v next %v\n", h.Name, h.Stack.Usage(), stamp(h.next))
		for d, k := range h.Stack.Drops {
			if k > 0 {
				fmt.Fprintf(&b, "  dropped %d: %v\n", k, ipv4.Drop(d))
			}
		}
		for i, e := range h.ends {
			if i == 8 {
				fmt.Fprintf(&b, "  and %d more\n", len(h.ends)-i)
				break
			}
			fmt.Fprintf(&b, "  %v\n", e)
		}
	}
	return b.String()
}

// Offload implements netif.Offloader.
func (t *tapped) Offload() bool {
	o, ok := t.port.(netif.Offloader)
	return t.h.net.opt.Offload && ok && o.Offload()
}
