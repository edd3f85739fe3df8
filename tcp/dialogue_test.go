package tcp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"

	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

const (
	ms  = pkt.Millisecond
	sec = pkt.Second
)

var (
	here  = ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 1), Port: 49152}
	there = ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2), Port: 80}
)

// dialogue is a conversation of a Conn with a peer that the test plays, in virtual
// time. Sequence numbers are relative: 0 is the SYN, 1 the first octet. Streams are
// a pattern that depends on the position, so that data in a wrong place shows.
//
// After every call the Conn's output is taken; what a test does not want fails it
// at the next call, or at its end.
type dialogue struct {
	*testing.T
	now  pkt.Time
	env  Env
	mem  pkt.Memory
	c    Conn
	opt  Options
	mtu  int
	iss  uint32 // ours
	irs  uint32 // the peer's
	tsOf uint32

	sent    []sent // not yet wanted
	nxt     uint32 // behind what we have sent, relative
	peer    uint32 // what the peer sends next, relative
	written uint32 // octets written
	read    uint32 // octets read
	edge    uint32 // the furthest right edge that was advertised, relative
	tsOn    bool   // the test's peer speaks timestamps, by default
	tsNow   func() uint32
	ecr     uint32 // the last TSval that we have sent

	hold   bool // batch: no output yet
	noTSO  bool
	supers int // super-segments
	ladder []string
}

type sent struct {
	at  pkt.Time
	raw []byte
	Segment
}

// dialogueOption changes a dialogue before it begins.
type dialogueOption func(*dialogue)

func withISS(n uint32) dialogueOption { return func(d *dialogue) { d.iss = n } }
func withIRS(n uint32) dialogueOption { return func(d *dialogue) { d.irs = n } }
func withMTU(n int) dialogueOption    { return func(d *dialogue) { d.mtu = n } }
func withRcvBuf(n uint32) dialogueOption {
	return func(d *dialogue) { d.opt.RcvBuf = n }
}
func withSndBuf(n uint32) dialogueOption {
	return func(d *dialogue) { d.opt.SndBuf = n }
}
func withMemory(n uint32) dialogueOption { return func(d *dialogue) { d.mem.Limit = n } }

// newDialogue returns a dialogue whose Conn is closed.
func newDialogue(t *testing.T, opts ...dialogueOption) *dialogue {
	d := &dialogue{
		T: t, now: 1000 * sec, mtu: 1500,
		iss: 0x1000_0000, irs: 0x7000_0000, tsOf: 0x0102_0304,
		opt: Options{RcvBuf: 60000, SndBuf: 60000, Linger: -1, RcvLowat: 1, TTL: 64},
		mem: pkt.Memory{Limit: 1 << 20, Keep: 1 << 16},
		env: Env{SynRetries: 7, Retries2: 15, OrphanRetries: 8, FinTimeout: 60 * sec, NoPacing: true},
	}
	d.env.Mem = &d.mem
	for _, o := range opts {
		o(d)
	}
	d.c.Init(&d.env, d.opt)
	d.tsNow = func() uint32 { return uint32(d.now/ms) + 7777 }
	t.Cleanup(d.done)
	return d
}

// done checks that nothing is left over.
func (d *dialogue) done() {
	if d.Failed() {
		return
	}
	d.nothingLeft("at the end")
	d.hold = true
	d.c.Abort()
	d.hold = false
	if used := d.mem.Used(); used != 0 {
		d.failf("%d bytes of memory held after Abort", used)
	}
	if at := d.c.Deadline(); at != pkt.Never {
		d.failf("a timer is set after Abort")
	}
}

func (d *dialogue) logf(format string, args ...any) {
	d.ladder = append(d.ladder, fmt.Sprintf("%10.4fs ", float64(d.now-1000*sec)/float64(sec))+fmt.Sprintf(format, args...))
}

func (d *dialogue) failf(format string, args ...any) {
	d.Helper()
	l := d.ladder
	if len(l) > 60 {
		l = append([]string{"..."}, l[len(l)-60:]...)
	}
	d.Fatalf("%s\n%s\n=> %s (%s)", d.Name(), strings.Join(l, "\n"), fmt.Sprintf(format, args...), d.c.State())
}

// part is a field of a segment: of one that the test sends, or wants.
type part func(*want)

// want is what a segment is to be.
type want struct {
	seq, ack, win, urg uint32
	has                map[string]bool
	mss                uint32
	ws                 int
	tsval, tsecr       uint32
	data               []byte
	octets             int
	raw                []byte   // options
	sack               []uint32 // blocks: left and right edges
	reserved           byte
	badSum             bool
	super              int
}

func (w *want) set(s string) { w.has[s] = true }

func seq(n uint32) part { return func(w *want) { w.seq = n; w.set("seq") } }
func ack(n uint32) part { return func(w *want) { w.ack = n; w.set("ack") } }
func win(n uint32) part { return func(w *want) { w.win = n; w.set("win") } }
func urg(n uint32) part { return func(w *want) { w.urg = n; w.set("urg") } }
func mss(n uint32) part { return func(w *want) { w.mss = n; w.set("mss") } }

// wscale is the Window Scale option, ts the Timestamps option.
func wscale(n int) part { return func(w *want) { w.ws = n; w.set("ws") } }
func ts(val, ecr uint32) part {
	return func(w *want) { w.tsval, w.tsecr = val, ecr; w.set("ts") }
}

// ecr wants TSecr alone, and noTS a segment without the option.
func ecr(n uint32) part { return func(w *want) { w.tsecr = n; w.set("ecr") } }
func noTS(w *want)      { w.set("noTS") }
func sackOK(w *want)    { w.set("sackOK") }

// sack is the option of that kind, with the blocks' left and right edges: of the
// stream of who gets the segment.
func sack(edges ...uint32) part { return func(w *want) { w.sack = edges } }

// sackOption is the option with edges relative to base.
func sackOption(base uint32, edges []uint32) []byte {
	opt := []byte{optNop, optNop, optSACK, byte(2 + 4*len(edges))}
	for _, n := range edges {
		opt = binary.BigEndian.AppendUint32(opt, base+n)
	}
	return opt
}

// octets is n octets of the stream at the segment's sequence number, data other
// ones.
func octets(n int) part  { return func(w *want) { w.octets = n; w.set("octets") } }
func data(s string) part { return func(w *want) { w.data = []byte(s); w.set("data") } }

// rawOptions are the options of a segment as they are.
func rawOptions(b ...byte) part { return func(w *want) { w.raw = b; w.set("raw") } }
func reserved(b byte) part      { return func(w *want) { w.reserved = b } }
func badChecksum(w *want)       { w.badSum = true }

// inSegments makes what arrives a super-segment of segments with n octets each.
func inSegments(n int) part { return func(w *want) { w.super = n } }

// marked is the codepoint CE in the IPv4 header.
func marked(w *want) { w.set("ce") }

func build(parts []part) *want {
	w := &want{has: map[string]bool{}}
	for _, p := range parts {
		p(w)
	}
	return w
}

// pattern is the octet at relative sequence number n, of our stream or the peer's.
func pattern(n uint32) byte { return byte(n*7 + n>>8*13 + n>>16) }

func stream(from uint32, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = pattern(from + uint32(i))
	}
	return b
}

// recv is a segment from the peer. Its sequence number is, unless given, the
// peer's next; it acknowledges, unless told otherwise, all that we have sent, and
// its window is 65535.
func (d *dialogue) recv(f Flags, parts ...part) {
	d.Helper()
	d.call()
	d.input(f, build(parts))
	d.pump()
}

func (d *dialogue) input(f Flags, w *want) {
	d.Helper()
	if !w.has["seq"] {
		w.seq = d.peer
	}
	if !w.has["ack"] {
		w.ack = d.nxt
	}
	if !w.has["win"] {
		w.win = 65535
	}
	if w.has["octets"] {
		w.data = stream(w.seq+uint32(bool2int(f&SYN != 0)), w.octets)
	}
	p := d.segment(f, w)
	var s Segment
	pseudo := ipv4.PseudoSum(there.Addr, here.Addr, ipv4.ProtoTCP, len(p))
	drop := Parse(p, pseudo, &s)
	d.logf("    <-- %s", d.describe(f, w.seq, w.ack, w.win, w.data, &s))
	if drop != ipv4.DropNone {
		d.logf("        dropped: %s", drop)
		return
	}
	if end := w.seq + s.Len(); !w.has["seq"] || w.seq == d.peer {
		d.peer = end
	}
	if w.has["ce"] {
		s.ECN = ce
	}
	if w.super != 0 {
		SetSize(&s, uint16(w.super))
	}
	copied := s
	state := d.c.State()
	drop, reset := d.c.Input(d.now, &s)
	if drop != ipv4.DropNone {
		d.logf("        dropped: %s", drop)
	}
	if n := d.c.State(); n != state {
		d.logf("        %s -> %s", state, n)
	}
	if reset {
		b := pkt.NewBuf(1500)
		if Reset(&copied, there.Addr, here.Addr, b) {
			d.take(b)
		}
	}
	d.check()
}

func bool2int(b bool) int {
	if b {
		return 1
	}
	return 0
}

// segment builds the peer's segment.
func (d *dialogue) segment(f Flags, w *want) []byte {
	var opt []byte
	if w.has["mss"] {
		opt = append(opt, optMSS, 4, byte(w.mss>>8), byte(w.mss))
	}
	if w.has["ts"] || d.tsOn && !w.has["noTS"] && f&RST == 0 {
		if !w.has["ts"] {
			w.tsval, w.tsecr = d.tsNow(), d.ecr
		}
		opt = append(opt, optNop, optNop, optTimestamp, 10)
		opt = binary.BigEndian.AppendUint32(opt, w.tsval)
		opt = binary.BigEndian.AppendUint32(opt, w.tsecr)
	}
	if w.has["ws"] {
		opt = append(opt, optNop, optWScale, 3, byte(w.ws))
	}
	if w.sack != nil {
		opt = append(opt, sackOption(d.iss, w.sack)...)
	}
	opt = append(opt, w.raw...)
	for len(opt)%4 != 0 {
		opt = append(opt, optEnd)
	}
	h := make([]byte, 20, 20+len(opt)+len(w.data))
	ackno := w.ack + d.iss
	if f&ACK == 0 && !w.has["ack"] {
		ackno = 0
	}
	putHeader(h, there.Port, here.Port, w.seq+d.irs, ackno, 20+len(opt), f, uint16(w.win))
	h[12] |= w.reserved
	binary.BigEndian.PutUint16(h[18:], uint16(w.urg))
	p := append(append(h, opt...), w.data...)
	pseudo := ipv4.PseudoSum(there.Addr, here.Addr, ipv4.ProtoTCP, len(p))
	binary.BigEndian.PutUint16(p[16:], pkt.Checksum(pkt.Sum(pseudo, p)))
	if w.badSum {
		p[16] ^= 0x40
	}
	return p
}

func flagString(f Flags) string {
	var b []byte
	for i, n := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"} {
		if f&(1<<i) != 0 {
			b = append(append(b, n...), '|')
		}
	}
	return strings.TrimSuffix(string(b), "|")
}

func (d *dialogue) describe(f Flags, seq, ack, win uint32, p []byte, s *Segment) string {
	x := fmt.Sprintf("%-11s %d", flagString(f), int32(seq))
	if len(p) > 0 {
		x += fmt.Sprintf(":%d(%d)", int32(seq)+int32(len(p)), len(p))
	}
	if f&ACK != 0 {
		x += fmt.Sprintf(" ack %d", int32(ack))
	}
	x += fmt.Sprintf(" win %d", win)
	if s.MSS != 0 {
		x += fmt.Sprintf(" mss %d", s.MSS)
	}
	if s.WScale >= 0 {
		x += fmt.Sprintf(" wscale %d", s.WScale)
	}
	if s.HasTS {
		x += fmt.Sprintf(" ts %d ecr %d", s.TSVal, s.TSEcr)
	}
	for i := 0; i+8 <= len(s.SACK); i += 8 {
		x += fmt.Sprintf(" sack %#x-%#x", binary.BigEndian.Uint32(s.SACK[i:]), binary.BigEndian.Uint32(s.SACK[i+4:]))
	}
	return x
}

// pump takes what the Conn has to send.
func (d *dialogue) pump() {
	d.Helper()
	if d.hold {
		return
	}
	for n := 0; ; n++ {
		b := d.newBuf()
		state := d.c.State()
		ok := d.c.Output(d.now, b)
		if s := d.c.State(); s != state {
			d.logf("        %s -> %s", state, s)
		}
		if !ok {
			break
		}
		d.takeAll(b)
		if n > 2000 {
			d.failf("Output does not end")
		}
		d.check()
	}
	d.check()
}

// newBuf returns a Buf for the next segment: with feature tso, for a super-segment.
func (d *dialogue) newBuf() *pkt.Buf {
	if feature.TSO && !d.noTSO {
		b := pkt.NewBuf(pkt.SuperSize)
		pkt.AllowSuper(b, ipv4.MaxLen)
		return b
	}
	return pkt.NewBuf(max(d.mtu, 1500))
}

// takeAll examines what Output has put into b: of a super-segment, the segments that a device makes
// of it. So every dialogue shows that they are the same as those without the feature.
func (d *dialogue) takeAll(b *pkt.Buf) {
	d.Helper()
	segs, err := wireSegments(b)
	if err != "" {
		d.failf("%s", err)
	}
	if len(segs) > 1 {
		d.supers++
		d.logf("--> super-segment:")
	}
	for _, p := range segs {
		b.Reset()
		copy(b.Append(len(p)), p)
		d.take(b)
	}
}

// take examines a segment of ours: whole, well-formed, with nothing that was not
// agreed on.
func (d *dialogue) take(b *pkt.Buf) {
	d.Helper()
	x := sent{at: d.now, raw: bytes.Clone(b.Bytes())}
	p := x.raw
	if len(p) > d.mtu-20 {
		d.failf("a segment of %d bytes on an MTU of %d", len(p), d.mtu)
	}
	pseudo := ipv4.PseudoSum(here.Addr, there.Addr, ipv4.ProtoTCP, len(p))
	if r := Parse(p, pseudo, &x.Segment); r != ipv4.DropNone {
		d.failf("sent what does not parse: %s: %x", r, p)
	}
	oracle(d, p)
	if x.SrcPort != here.Port || x.DstPort != there.Port || p[12]&15 != 0 {
		d.failf("ports or reserved bits of %x", p[:20])
	}
	if x.Flags&ACK == 0 && x.Ack != 0 {
		d.failf("an acknowledgment number without ACK: %x", p[:20])
	}
	if x.Flags&URG == 0 && x.Urg != 0 {
		d.failf("an urgent pointer without URG: %x", p[:20])
	}
	rel, relAck := x.Seq-d.iss, x.Ack-d.irs
	if feature.ECN {
		if x.ECN = d.c.Codepoint(); x.ECN != 0 && (len(x.Payload) == 0 || before(rel, d.nxt)) {
			d.failf("ECT on what is not new data: %s", d.describe(x.Flags, rel, relAck, uint32(x.Wnd), x.Payload, &x.Segment))
		}
	}
	d.logf("--> %s", d.describe(x.Flags, rel, relAck, uint32(x.Wnd), x.Payload, &x.Segment))
	if x.Flags&RST == 0 {
		if len(x.Payload) > 0 && !bytes.Equal(x.Payload, stream(rel, len(x.Payload))) {
			d.failf("the payload is not the stream at %d", rel)
		}
		if x.Flags&SYN == 0 {
			if end := rel + x.Len(); before(d.nxt, end) {
				d.nxt = end
			}
		} else if d.nxt == 0 {
			d.nxt = 1
		}
		if x.Flags&ACK != 0 {
			shift := uint8(0)
			if x.Flags&SYN == 0 && d.c.flags&flagWScale != 0 {
				shift = d.c.rcv.wscale
			}
			edge := relAck + uint32(x.Wnd)<<shift
			if before(edge, d.edge) && d.edge-edge >= 1<<shift && !d.c.rcv.short { // RFC 7323 section 2.4: rounding
				d.failf("the right edge of the window moved back from %d to %d", d.edge, edge)
			}
			d.edge = maxSeq(d.edge, edge)
		}
		if x.HasTS {
			d.ecr = x.TSVal
		}
	}
	d.sent = append(d.sent, x)
}

func netIP(a ipv4.Addr) net.IP { return binary.BigEndian.AppendUint32(nil, uint32(a)) }

// oracle has gopacket read a segment of ours, check it, and write it again to the
// same bytes.
func oracle(d *dialogue, p []byte) {
	d.Helper()
	ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: netIP(here.Addr), DstIP: netIP(there.Addr)}
	var tcp layers.TCP
	if err := tcp.DecodeFromBytes(p, gopacket.NilDecodeFeedback); err != nil {
		d.failf("gopacket: %v", err)
	}
	tcp.SetNetworkLayerForChecksum(ip)
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{ComputeChecksums: true}, &tcp, gopacket.Payload(tcp.Payload))
	if err != nil || !bytes.Equal(buf.Bytes(), p) {
		d.failf("gopacket writes %x\nand we sent     %x (%v)", buf.Bytes(), p, err)
	}
}

// call begins a step: all that was sent must have been wanted.
func (d *dialogue) call() {
	d.Helper()
	if !d.hold {
		d.nothingLeft("before the next step")
	}
}

func (d *dialogue) nothingLeft(when string) {
	d.Helper()
	if len(d.sent) > 0 {
		d.failf("%s: %d segments that nobody wanted, first %s", when, len(d.sent), d.show(&d.sent[0]))
	}
}

func (d *dialogue) show(x *sent) string {
	return d.describe(x.Flags, x.Seq-d.iss, x.Ack-d.irs, uint32(x.Wnd), x.Payload, &x.Segment)
}

func (d *dialogue) wantNothing(why string) {
	d.Helper()
	if len(d.sent) > 0 {
		d.failf("%s: sent %s, want nothing", why, d.show(&d.sent[0]))
	}
}

// want takes the next segment, which must be exactly this one. Its sequence number
// is to be, unless given, the lowest that was not sent before it; it is to
// acknowledge all that the peer has sent in order, and to have no payload. Its
// window is free unless given.
func (d *dialogue) want(why string, f Flags, parts ...part) *sent {
	d.Helper()
	if len(d.sent) == 0 {
		d.failf("%s: sent nothing, want %s", why, flagString(f))
	}
	x := d.sent[0]
	d.sent = d.sent[1:]
	w := build(parts)
	fail := func(field string, got, want any) {
		d.Helper()
		d.failf("%s: %s: %s is %v, want %v", why, d.show(&x), field, got, want)
	}
	if x.Flags != f {
		fail("flags", flagString(x.Flags), flagString(f))
	}
	rel := x.Seq - d.iss
	if !w.has["seq"] {
		w.seq = d.nxt
		for _, y := range append([]sent{x}, d.sent...) {
			if before(y.Seq-d.iss, w.seq) && y.Len() > 0 {
				w.seq = y.Seq - d.iss
			}
		}
	}
	if rel != w.seq {
		fail("seq", int32(rel), int32(w.seq))
	}
	if f&ACK != 0 {
		if !w.has["ack"] {
			w.ack = d.peer
		}
		if got := x.Ack - d.irs; got != w.ack {
			fail("ack", int32(got), int32(w.ack))
		}
	}
	if w.has["win"] && uint32(x.Wnd) != w.win {
		fail("window", x.Wnd, w.win)
	}
	if f&URG != 0 && uint32(x.Urg) != w.urg {
		fail("urgent pointer", x.Urg, w.urg)
	}
	switch {
	case w.has["octets"]:
		if len(x.Payload) != w.octets {
			fail("payload length", len(x.Payload), w.octets)
		}
	case len(w.data) != len(x.Payload):
		fail("payload length", len(x.Payload), len(w.data))
	}
	// The options: exactly those, laid out as everybody does.
	var opt []byte
	if w.has["mss"] {
		opt = append(opt, 2, 4, byte(w.mss>>8), byte(w.mss))
	}
	nops := []byte{optNop, optNop}
	if w.has["sackOK"] {
		nops = []byte{4, 2}
	}
	if w.has["ts"] || w.has["ecr"] || d.tsOn && !w.has["noTS"] && f&(RST|SYN) == 0 {
		if !w.has["ts"] {
			w.tsval = uint32(x.at/ms) + d.tsOf
			if !w.has["ecr"] {
				w.tsecr = x.TSEcr
			}
		}
		opt = append(append(opt, nops...), 8, 10)
		opt = binary.BigEndian.AppendUint32(opt, w.tsval)
		opt = binary.BigEndian.AppendUint32(opt, w.tsecr)
	} else if w.has["sackOK"] {
		opt = append(opt, optNop, optNop, 4, 2)
	}
	if w.has["ws"] {
		opt = append(opt, 1, 3, 3, byte(w.ws))
	}
	if w.sack != nil {
		opt = append(opt, sackOption(d.irs, w.sack)...)
	}
	if got := x.raw[20 : int(x.raw[12]>>4)*4]; !bytes.Equal(got, opt) {
		fail("options", fmt.Sprintf("%x", got), fmt.Sprintf("%x", opt))
	}
	return &x
}

// ignore takes all that was sent.
func (d *dialogue) ignore() []sent {
	s := d.sent
	d.sent = nil
	return s
}

// batch runs f with the output held back until its end, as for segments that
// arrive together.
func (d *dialogue) batch(f func()) {
	d.Helper()
	d.call()
	d.hold = true
	f()
	d.hold = false
	d.pump()
}

// advance lets time pass; timers fire when they are due.
func (d *dialogue) advance(dt pkt.Time) {
	d.Helper()
	d.call()
	end := d.now + dt
	for n := 0; d.c.Deadline() <= end; n++ {
		if n > 10000 {
			d.failf("timers fire for ever")
		}
		d.now = max(d.now, d.c.Deadline())
		d.c.Timeout(d.now)
		d.pump()
		d.check()
	}
	d.now = end
	d.c.Timeout(d.now)
	d.pump()
}

// quiet lets time pass in which nothing may be sent.
func (d *dialogue) quiet(dt pkt.Time, why string) {
	d.Helper()
	d.advance(dt)
	d.wantNothing(why)
}

// wantAfter wants a segment after exactly dt, and nothing before.
func (d *dialogue) wantAfter(dt pkt.Time, why string, f Flags, parts ...part) *sent {
	d.Helper()
	d.quiet(dt-1, why+": too early")
	d.advance(1)
	return d.want(why, f, parts...)
}

func (d *dialogue) open() {
	d.Helper()
	d.call()
	d.logf("Open")
	d.c.Open(d.now, here, there, uint16(d.mtu-40), d.iss, d.tsOf)
	d.pump()
}

// synOptions are those of our SYN.
func (d *dialogue) synOptions() []part {
	p := []part{mss(uint32(d.mtu - 40))}
	if feature.On("sack") {
		p = append(p, sackOK)
	}
	if feature.Timestamps {
		p = append(p, ts(uint32(d.now/ms)+d.tsOf, 0))
	}
	if feature.WScale {
		p = append(p, wscale(int(wscaleFor(max(d.opt.RcvBuf, d.env.MaxRcvBuf)))))
	}
	return p
}

func (d *dialogue) wantSyn(why string) {
	d.Helper()
	d.want(why, SYN, append(d.synOptions(), seq(0))...)
}

// rto is the retransmission timeout after a handshake that took 100 ms: SRTT + 4
// RTTVAR.
const rto = 300 * ms

// established returns a dialogue after an active open with a peer that has no
// options but an MSS of 1460: the same in every profile.
func established(t *testing.T, opts ...dialogueOption) *dialogue {
	t.Helper()
	d := newDialogue(t, opts...)
	d.connect(mss(1460))
	return d
}

// connect opens the connection; parts are the fields of the peer's SYN-ACK.
func (d *dialogue) connect(parts ...part) {
	d.Helper()
	d.open()
	d.wantSyn("SYN")
	d.advance(100 * ms)
	d.recv(SYN|ACK, parts...)
	w := build(parts)
	d.tsOn = d.tsOn || w.has["ts"] && feature.Timestamps
	d.want("ACK of the SYN-ACK", ACK, seq(1), ack(1))
	d.wantState(Established)
	d.wantEvents(Opened | Writable)
}

// accept is a passive open; parts are the fields of the peer's SYN.
func (d *dialogue) accept(parts ...part) {
	d.Helper()
	if !feature.Listen {
		d.Skip("needs feature listen")
	}
	d.call()
	w := build(parts)
	if !w.has["win"] {
		w.win = 65535
	}
	if w.has["octets"] {
		w.data = stream(1, w.octets)
	}
	p := d.segment(SYN, w)
	var s Segment
	if r := Parse(p, ipv4.PseudoSum(there.Addr, here.Addr, ipv4.ProtoTCP, len(p)), &s); r != ipv4.DropNone {
		d.failf("parse: %s", r)
	}
	d.peer = 1
	d.logf("    <-- %s", d.describe(SYN, 0, 0, w.win, nil, &s))
	d.c.Accept(d.now, &s, here, there, uint16(d.mtu-40), d.iss, d.tsOf)
	d.pump()
}

// write queues the next n octets of our stream; all of them must fit.
func (d *dialogue) write(n int) {
	d.Helper()
	if got := d.tryWrite(n); got != n {
		d.failf("Write took %d of %d octets", got, n)
	}
}

func (d *dialogue) tryWrite(n int) int {
	d.Helper()
	d.call()
	got, e := d.c.Write(stream(1+d.written, n))
	d.logf("Write(%d) = %d, %v", n, got, e)
	if e != 0 && e != errno.EAGAIN {
		d.failf("Write: %v", e)
	}
	d.written += uint32(got)
	d.check()
	d.pump()
	return got
}

// wantRead reads n octets of the peer's stream.
func (d *dialogue) wantRead(n int) {
	d.Helper()
	d.call()
	p := make([]byte, n)
	got, e := d.c.Read(p)
	d.logf("Read(%d) = %d, %v", n, got, e)
	if got != n || e != 0 {
		d.failf("Read(%d) = %d, %v", n, got, e)
	}
	if want := stream(1+d.read, n); !bytes.Equal(p, want) {
		d.failf("read what was not sent: %x, want %x", p, want)
	}
	d.read += uint32(n)
	d.check()
	d.pump()
}

// wantReadErr reads and gets nothing but e; 0 is the end of the stream.
func (d *dialogue) wantReadErr(e errno.Errno) {
	d.Helper()
	var p [10]byte
	n, got := d.c.Read(p[:])
	d.logf("Read = %d, %v", n, got)
	if n != 0 || got != e {
		d.failf("Read = %d, %v, want 0, %v", n, got, e)
	}
}

func (d *dialogue) wantWriteErr(e errno.Errno) {
	d.Helper()
	n, got := d.c.Write([]byte{1})
	d.logf("Write = %d, %v", n, got)
	if n != 0 || got != e {
		d.failf("Write = %d, %v, want 0, %v", n, got, e)
	}
}

func (d *dialogue) closeWrite() {
	d.Helper()
	d.call()
	d.logf("CloseWrite")
	if e := d.c.CloseWrite(); e != 0 {
		d.failf("CloseWrite: %v", e)
	}
	d.pump()
}

func (d *dialogue) closeRead() {
	d.Helper()
	d.call()
	d.logf("CloseRead")
	if e := d.c.CloseRead(); e != 0 {
		d.failf("CloseRead: %v", e)
	}
	d.pump()
}

func (d *dialogue) close() {
	d.Helper()
	d.call()
	d.logf("Close")
	d.c.Close(d.now)
	d.pump()
}

func (d *dialogue) abort() {
	d.Helper()
	d.call()
	d.logf("Abort")
	d.c.Abort()
	d.pump()
}

func (d *dialogue) wantState(s State) {
	d.Helper()
	if got := d.c.State(); got != s {
		d.failf("state is %s, want %s", got, s)
	}
}

func (d *dialogue) wantEvents(e Events) {
	d.Helper()
	if got := d.c.TakeEvents(); got != e {
		d.failf("events are %#x, want %#x", got, e)
	}
}

// wantErr wants the connection to be gone because of e, told once.
func (d *dialogue) wantErr(e errno.Errno) {
	d.Helper()
	d.wantState(Closed)
	if ev := d.c.TakeEvents(); ev&Failed == 0 {
		d.failf("events are %#x, without Failed", ev)
	}
	if got := d.c.Err(); got != e {
		d.failf("the error is %v, want %v", got, e)
	}
	if got := d.c.Err(); got != 0 {
		d.failf("the error was told twice")
	}
}

// check is what holds after every step, whatever the peer does.
func (d *dialogue) check() {
	d.Helper()
	if s := invariant(&d.c); s != "" {
		d.failf("%s", s)
	}
	if d.c.selective() {
		if s := sackInvariant(&d.c); s != "" {
			d.failf("%s", s)
		}
	}
	if !d.hold {
		if got, have := chunks(&d.c)*pkt.ChunkSize, int(d.mem.Used()); got != have {
			d.failf("the queues hold %d bytes in chunks, %d are accounted for", got, have)
		}
	}
}

// chunks counts the chunks of q.
func (q *chain) chunks() (n int) {
	if q.tail != nil {
		n = 1
		for k := q.tail.Next; k != q.tail; k = k.Next {
			n++
		}
	}
	return n
}

// chunks counts the chunks that c holds.
func chunks(c *Conn) (n int) {
	for _, q := range []*chain{&c.snd.q, &c.rcv.q} {
		n += q.chunks()
	}
	return n
}

// invariant returns what is wrong with c, if anything.
func invariant(c *Conn) string {
	s, r := &c.snd, &c.rcv
	live := c.state != Closed
	if live {
		end := s.end
		if c.flags&flagFinSent != 0 {
			end++
		}
		order := []uint32{s.una, s.rtx, s.rtxEnd, s.nxt}
		if !slices.IsSortedFunc(order, func(a, b uint32) int { return int(int32(a - b)) }) {
			return fmt.Sprintf("out of order: una 0, rtx %d, rtxEnd %d, nxt %d", s.rtx-s.una, s.rtxEnd-s.una, s.nxt-s.una)
		}
		if before(end, s.nxt) {
			return fmt.Sprintf("nxt is %d beyond what was written", s.nxt-end)
		}
		if c.flags&flagFinSent != 0 && s.nxt != end {
			return "the FIN is not behind the data"
		}
		if n := uint32(c.Unacked()); n > s.q.span {
			return fmt.Sprintf("%d octets to send, a queue of %d", n, s.q.span)
		}
		inFlight := s.nxt != s.una
		if inFlight && c.state != Closed && c.timer.rtxAt == pkt.Never {
			return "no timer runs for what is in flight"
		}
		if c.state != SynSent && s.mss == 0 {
			return "MSS of 0"
		}
		if c.state.synchronized() && (c.cc.cwnd == 0 && c.flags&flagSACK == 0 || c.cc.cwnd > infinite) {
			return fmt.Sprintf("cwnd of %d", c.cc.cwnd)
		}
	} else if d := c.Deadline(); d != pkt.Never {
		return "a timer of a closed connection"
	}
	if n := c.readable(); n > r.q.span {
		return fmt.Sprintf("%d octets to read, %d in the queue", n, r.q.span)
	}
	if c.state != SynSent && live {
		if before(r.adv, r.nxt) {
			return fmt.Sprintf("rcv.nxt is %d beyond the window", r.nxt-r.adv)
		}
		if held := r.adv - r.read; held > max(c.Options.RcvBuf+c.Options.RcvBuf/4+1<<14, 65535+1) {
			return fmt.Sprintf("%d octets are promised, with a buffer of %d", held, c.Options.RcvBuf)
		}
	}
	if x := r.ooo; x != nil {
		last := r.nxt
		for i := range x.n {
			v := x.v[i]
			if !before(last, v.lo) || !before(v.lo, v.hi) {
				return fmt.Sprintf("interval %d: %d to %d, after %d", i, v.lo-r.nxt, v.hi-r.nxt, last-r.nxt)
			}
			if v.hi-r.read > r.q.span || before(r.adv, v.hi) {
				return fmt.Sprintf("interval %d ends at %d: the queue has %d, the window %d", i, v.hi-r.read, r.q.span, r.adv-r.read)
			}
			last = v.hi
		}
	}
	for _, q := range []*chain{&s.q, &r.q} {
		n := uint32(q.chunks()) * pkt.ChunkSize
		if n != q.span+q.off || q.tail != nil && q.off >= pkt.ChunkSize {
			return fmt.Sprintf("a queue of %d bytes spans %d from %d on", n, q.span, q.off)
		}
	}
	return ""
}
