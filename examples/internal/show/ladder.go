// Package show prints what examples want to show: frames as a ladder, progress, and
// what the stack is and costs in the running program.
package show

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
)

// Ladder is a device that remembers a line about each of the first frames that pass
// it: a ladder diagram.
type Ladder struct {
	netif.Device
	left  atomic.Int32
	mu    sync.Mutex
	start time.Time
	lines []string
	isn   map[ipv4.Endpoint]uint32 // to show relative sequence numbers
}

// NewLadder wraps dev and watches its first n frames. Those that follow cost the
// check whether it still does.
func NewLadder(dev netif.Device, n int) *Ladder {
	l := &Ladder{Device: dev, isn: map[ipv4.Endpoint]uint32{}}
	l.left.Store(int32(n))
	return l
}

// Watch says to watch n more frames.
func (l *Ladder) Watch(n int) { l.left.Store(int32(n)) }

// Send implements netif.Device.
func (l *Ladder) Send(bufs []*netif.Buf) error {
	if l.left.Load() > 0 {
		l.record("──▶", bufs)
	}
	return l.Device.Send(bufs)
}

// Recv implements netif.Device.
func (l *Ladder) Recv(bufs []*netif.Buf) (int, error) {
	n, err := l.Device.Recv(bufs)
	if l.left.Load() > 0 {
		l.record("◀──", bufs[:n])
	}
	return n, err
}

// Interrupt implements netif.Interrupter if the device does.
func (l *Ladder) Interrupt() bool {
	i, ok := l.Device.(netif.Interrupter)
	return ok && i.Interrupt()
}

// Print writes the ladder so far, us on the left and the peer on the right, and
// forgets it.
func (l *Ladder) Print(w io.Writer) {
	l.mu.Lock()
	for _, s := range l.lines {
		fmt.Fprintln(w, s)
	}
	l.lines = nil
	l.mu.Unlock()
}

func (l *Ladder) record(arrow string, bufs []*netif.Buf) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.start.IsZero() {
		l.start = now
	}
	for _, b := range bufs {
		if l.left.Add(-1) < 0 {
			return
		}
		at := float64(now.Sub(l.start).Microseconds()) / 1000
		l.lines = append(l.lines, fmt.Sprintf("  %8.3f ms  %s  %s", at, arrow, l.describe(b.Bytes())))
	}
}

// Frame describes an Ethernet frame in a line.
func Frame(frame []byte) string {
	l := Ladder{isn: map[ipv4.Endpoint]uint32{}}
	return l.describe(frame)
}

func (l *Ladder) describe(frame []byte) string {
	if len(frame) < netif.EthernetHeaderLen {
		return fmt.Sprintf("%d bytes", len(frame))
	}
	p := frame[netif.EthernetHeaderLen:]
	switch t := netif.Ethernet(frame).Type(); t {
	case netif.EtherTypeARP:
		var a netif.ARP
		if !a.Parse(p) {
			return "ARP that makes no sense"
		}
		if a.Op == netif.ARPRequest {
			return fmt.Sprintf("ARP      who has %v?", a.TPA)
		}
		return fmt.Sprintf("ARP      %v is at %v", a.SPA, a.SHA)
	case netif.EtherTypeIPv4:
		var h ipv4.Header
		payload, d := ipv4.Parse(p, &h)
		if d != ipv4.DropNone {
			return "IPv4 that makes no sense: " + d.String()
		}
		switch {
		case h.IsFragment():
			return fmt.Sprintf("fragment of protocol %d, bytes %d to %d", h.Proto, h.FragOff, int(h.FragOff)+len(payload))
		case h.Proto == ipv4.ProtoTCP:
			return l.describeTCP(&h, payload)
		case h.Proto == ipv4.ProtoICMP && len(payload) >= 8:
			return describeICMP(payload)
		case h.Proto == ipv4.ProtoUDP:
			return fmt.Sprintf("UDP      %d bytes", len(payload)-8)
		}
		return fmt.Sprintf("protocol %d, %d bytes", h.Proto, len(payload))
	default:
		return fmt.Sprintf("EtherType %#04x, %d bytes", t, len(p))
	}
}

func describeICMP(p []byte) string {
	switch p[0] {
	case ipv4.ICMPEcho, ipv4.ICMPEchoReply:
		kind := "echo"
		if p[0] == ipv4.ICMPEchoReply {
			kind = "reply"
		}
		return fmt.Sprintf("ICMP     %s %d, %d bytes", kind, int(p[6])<<8|int(p[7]), len(p)-8)
	}
	return fmt.Sprintf("ICMP     type %d code %d, about %s", p[0], p[1], quoted(p[8:]))
}

func quoted(p []byte) string {
	var q ipv4.Quote
	if ipv4.ParseQuote(p, &q) != ipv4.DropNone {
		return "nothing"
	}
	return fmt.Sprintf("protocol %d to %v", q.Proto, q.Dst)
}

func (l *Ladder) describeTCP(h *ipv4.Header, p []byte) string {
	var s tcp.Segment
	d := tcp.Parse(p, ipv4.PseudoSum(h.Src, h.Dst, ipv4.ProtoTCP, len(p)), &s)
	if d != ipv4.DropNone {
		return "TCP that makes no sense: " + d.String()
	}
	src, dst := ipv4.Endpoint{Addr: h.Src, Port: s.SrcPort}, ipv4.Endpoint{Addr: h.Dst, Port: s.DstPort}
	var f []string
	for i, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"} {
		if s.Flags>>i&1 != 0 {
			f = append(f, name)
		}
	}
	if s.Flags&tcp.SYN != 0 {
		l.isn[src] = s.Seq
	}
	out := fmt.Sprintf("%-8s seq %d", strings.Join(f, "+"), s.Seq-l.isn[src])
	if s.Flags&tcp.ACK != 0 {
		out += fmt.Sprintf(" ack %d", s.Ack-l.isn[dst])
	}
	out += fmt.Sprintf(" win %d", s.Wnd)
	if n := len(s.Payload); n > 0 {
		out += fmt.Sprintf(" · %d bytes%s", n, firstLine(s.Payload))
	}
	if s.Flags&tcp.SYN != 0 {
		if s.MSS > 0 {
			out += fmt.Sprintf(" · mss %d", s.MSS)
		}
		if s.SACKPermitted {
			out += ", sack"
		}
		if s.HasTS {
			out += ", timestamps"
		}
		if s.WScale >= 0 {
			out += fmt.Sprintf(", scale %d", s.WScale)
		}
	}
	return out
}

// firstLine returns the first line of a payload that begins like HTTP.
func firstLine(p []byte) string {
	line, _, ok := strings.Cut(string(p[:min(len(p), 60)]), "\r\n")
	if !ok || !strings.Contains(line, "HTTP/1.") {
		return ""
	}
	return ": " + line
}
