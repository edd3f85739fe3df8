package pktest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// flow is a pair of endpoints, and what there is between a script's numbers and the
// stack's. The peer's sequence numbers and timestamps are sent as the script has
// them; the stack's are its own, and map to the script's by the first SYN and
// the timestamps that the script expects.
type flow struct {
	id            int
	local, remote netip.AddrPort // local port 0: not known yet

	isnKnown bool
	offset   uint32 // the stack's sequence number less the script's
	iss      uint32 // of the stack

	peerISN  uint32 // of the connection, once the stack has acknowledged it
	peerOpen bool
	peerSYNs []uint32 // that the script has sent

	ts      map[uint32]uint32 // the stack's timestamp for one of the script's
	lastTS  [2]uint32         // the script's and the stack's, of the last packet
	tsFirst [2]uint32
	tsAt    time.Duration
	tsKnown bool

	written []byte // by the application, since the SYN
	read    uint32 // bytes
	noData  bool   // urgent data: what is read is not the stream
}

// passivePort is the port of a peer that connects to the stack, less its flow's
// number.
const passivePort = 40000

// newFlow adds a flow and makes it the current one.
func (r *runner) newFlow(local, remote netip.AddrPort) *flow {
	f := &flow{id: len(r.flows) + 1, local: local, remote: remote, ts: map[uint32]uint32{}}
	r.flows = append(r.flows, f)
	r.current = f
	return f
}

// flowFor returns the flow that a packet to inject belongs to.
func (r *runner) flowFor(k *packetEvent) *flow {
	if k.flow > 0 {
		for len(r.flows) < k.flow {
			r.passiveFlow()
		}
		r.current = r.flows[k.flow-1]
	}
	if r.current == nil {
		r.passiveFlow()
	}
	return r.current
}

func (r *runner) passiveFlow() *flow {
	n := uint16(len(r.flows) + 1)
	return r.newFlow(
		netip.AddrPortFrom(r.cfg.setup.Local, r.cfg.bindPort),
		netip.AddrPortFrom(r.cfg.setup.Remote, passivePort+n))
}

// flowOf returns the flow of a packet that the stack has sent: the newest one with
// its endpoints, which learns its local port by that. nil if there is none.
func (r *runner) flowOf(p *Packet) *flow {
	for i := len(r.flows) - 1; i >= 0; i-- {
		f := r.flows[i]
		if f.remote == p.Dst && (f.local == p.Src || f.local.Port() == 0 && f.local.Addr() == p.Src.Addr()) {
			f.local = p.Src
			return f
		}
	}
	return nil
}

// pattern is byte number i of a stream: of what the peer sends, by sequence
// number; of what the application writes, by how much it wrote before.
func pattern(i uint32) byte { return byte(i * 2654435761 >> 24) }

func fillPattern(b []byte, from uint32) {
	for i := range b {
		b[i] = pattern(from + uint32(i))
	}
}

// inject sends a packet to the stack.
func (r *runner) inject(e *event) {
	k := e.packet
	f := r.flowFor(k)
	s := r.build(k, f)
	b, err := s.build()
	if err != nil {
		r.stop(e.pos, err.Error(), "", "")
	}
	if n := r.cfg.setup.MTU; len(b) > n {
		r.stop(e.pos, fmt.Sprintf("a packet of %d bytes does not fit the MTU, %d: --mtu says another", len(b), n), "", "")
	}
	if k.proto == ProtoUDP {
		r.incoming = append(r.incoming, s.p.Data)
	}
	r.report.Ladder.In(r.target.Now(), strings.TrimSpace(strings.TrimPrefix(r.describe(k), "<")))
	r.target.Inject(b)
}

// describe returns the packet as the script has it.
func (r *runner) describe(k *packetEvent) string {
	s := k.spec()
	return s.String()
}

// build turns a script's inbound packet into one for the stack.
func (r *runner) build(k *packetEvent, f *flow) Spec {
	src := f.remote
	if k.src.IsValid() {
		src = netip.AddrPortFrom(k.src, src.Port())
	}
	s := k.spec().FromAddr(src).ToAddr(f.local)
	p := &s.p
	p.DF = k.df != 0 && !k.hasFrag
	if k.dstBroadcast {
		a := r.cfg.setup.Local.As4()
		n := binary.BigEndian.Uint32(a[:]) | (1<<(32-r.cfg.setup.Bits) - 1)
		binary.BigEndian.PutUint32(a[:], n)
		p.Dst = netip.AddrPortFrom(netip.AddrFrom4(a), f.local.Port())
	}
	p.Data = make([]byte, k.n)
	switch k.proto {
	case ProtoTCP:
		from := k.seq
		if k.flags&SYN != 0 {
			from++
		}
		fillPattern(p.Data, from)
		if k.flags&ACK != 0 {
			p.Ack += f.offset
		}
		p.Options = f.live(k.opts)
		if k.flags&SYN != 0 {
			f.peerSYNs = append(f.peerSYNs, k.seq)
		}
		f.noData = f.noData || k.flags&URG != 0
	case ProtoUDP:
		fillPattern(p.Data, uint32(len(r.incoming))<<16)
	case ProtoICMP:
		fillPattern(p.Data, 0)
		if k.typ == 3 && k.code == 4 && !k.hasRest {
			p.Rest = 0
		}
		if k.quote != nil {
			p.Data = r.quoted(k.quote, f)
		}
	}
	if k.fill >= 0 {
		for i := range p.Data {
			p.Data[i] = byte(k.fill)
		}
	}
	return s
}

// live turns the script's options into the stack's.
func (f *flow) live(opts []Option) []Option {
	out := append([]Option(nil), opts...)
	for i, o := range out {
		switch {
		case o.Kind == KindSACK:
			e := o.Edges()
			for j := range e {
				e[j] += f.offset
			}
			out[i] = SACK(e...)
		case o.Kind == KindTimestamp && len(o.Data) == 8:
			val, ecr := o.Timestamps()
			if v, ok := f.ts[ecr]; ok {
				ecr = v
			} else if f.tsKnown {
				ecr += f.lastTS[1] - f.lastTS[0]
			}
			out[i] = TS(val, ecr)
		}
	}
	return out
}

// quoted returns the beginning of a packet that the stack could have sent.
func (r *runner) quoted(q *packetEvent, f *flow) []byte {
	s := q.spec().FromAddr(f.local).ToAddr(f.remote)
	s.p.Data = make([]byte, q.n)
	if q.proto == ProtoTCP {
		s.p.Seq += f.offset
		s.p.Flags = ACK
	}
	b, err := s.build()
	if err != nil {
		return nil
	}
	return b[:28]
}

// spec returns what the script says about the packet, in its own numbers.
func (k *packetEvent) spec() Spec {
	var s Spec
	switch k.proto {
	case ProtoTCP:
		s = TCP(k.flags)
		if k.anyFlags {
			s.set &^= hasFlags
		}
		if !k.anySeq {
			s = s.Seq(k.seq)
		}
		if k.hasAck {
			s = s.Ack(k.ack)
		}
		if k.hasWin {
			s = s.Win(k.win)
		}
		if k.hasUrg || k.flags&URG != 0 && k.in {
			s = s.Urg(k.urg)
		}
		switch {
		case k.anyOpts:
			for _, o := range k.opts {
				s = s.Opt(o)
			}
		case k.hasOpts || !k.anyFlags:
			s = s.Opts(k.opts...)
		}
	case ProtoUDP:
		s = UDP()
	default:
		s = ICMP(k.typ, k.code)
		if k.hasRest {
			s = s.Rest(k.rest)
		}
		s.p.Quote = nil
	}
	if k.hasLen {
		s = s.Len(k.n)
	}
	if k.ttl >= 0 {
		s = s.TTL(uint8(k.ttl))
	}
	if k.tos >= 0 {
		s = s.TOS(uint8(k.tos))
	}
	if k.ecn >= 0 && k.ecn < 4 {
		s = s.ECN(uint8(k.ecn))
	}
	if k.df >= 0 {
		s = s.DF(k.df == 1)
	}
	if k.badSum {
		s = s.BadChecksum()
	}
	if k.ipOptions != nil {
		s = s.IPOptions(k.ipOptions)
	}
	if k.hasFrag {
		s = s.Fragment(k.fragOff, k.fragMore)
	}
	return s
}

// anyLimit is how long a packet at time "*" may take, on the stack's clock.
const anyLimit = 5 * time.Minute

// expectPacket waits for the next packet of the stack's and compares it with the
// script's.
func (r *runner) expectPacket(e *event, at time.Duration) {
	tol := r.tolerance
	if r.target.Tolerance() > 0 {
		tol += at / 8 // what an inexact round trip makes of the timers
	}
	from, to := at-tol, at+tol
	switch {
	case e.time.any:
		from, to = 0, r.target.Now()+anyLimit
		if r.target.Tolerance() > 0 {
			to = r.target.Now() + 10*time.Second
		}
	case e.time.isRange:
		to += e.time.until - e.time.at
	}
	want := e.packet.spec()
	expected := e.timeString(at) + " > " + want.String()
	r.settle()
	for len(r.sent) == 0 && r.target.Now() < to {
		r.waitForPacket(to)
	}
	if len(r.sent) == 0 {
		r.fatal("packet", e.pos, "no packet", expected, "nothing until "+seconds(r.target.Now()))
		return
	}
	s := r.sent[0]
	r.sent = r.sent[1:]
	r.base = at
	if e.time.any || e.time.isRange {
		r.base = s.at
	}
	if err := VerifyIP(s.b); err != nil {
		r.fatal("packet", e.pos, "gopacket: "+err.Error(), expected, fmt.Sprintf("% x", s.b))
		return
	}
	p, err := ParseIP(s.b)
	if err != nil {
		r.fatal("packet", e.pos, err.Error(), expected, fmt.Sprintf("% x", s.b))
		return
	}
	r.report.Packets++
	f := r.flowOf(p)
	msgs := r.checkStream(p, f)
	q := r.asScript(p, f, e.packet)
	if q.Flags == want.p.Flags|PSH && len(q.Data) > 0 && r.target.Has("loose:psh") {
		q.Flags = want.p.Flags
	}
	msgs = append(want.Diff(q), msgs...)
	if e.packet.ecn == 4 && q.TOS&3 != 1 && q.TOS&3 != 2 {
		msgs = append(msgs, "not ECN-capable")
	}
	if e.packet.quote != nil {
		msgs = append(msgs, r.checkQuote(e.packet.quote, q)...)
	}
	if f != nil && r.current != nil && e.packet.flow == 0 && f != r.current || f != nil && e.packet.flow > 0 && f.id != e.packet.flow {
		msgs = append(msgs, fmt.Sprintf("of flow %d, want flow %d", f.id, max(e.packet.flow, r.current.id)))
	}
	if s.at < from || s.at > to {
		msgs = append(msgs, fmt.Sprintf("at %s, want %s", seconds(s.at), e.timeString(at)))
	}
	r.report.Ladder.Out(s.at, q.String())
	if len(msgs) > 0 {
		r.fatal("packet", e.pos, strings.Join(msgs, "; "), expected, seconds(s.at)+" > "+q.String())
	}
}

// waitForPacket lets time pass until a packet comes, or until at.
func (r *runner) waitForPacket(at time.Duration) {
	limit := at
	for _, p := range r.pending {
		limit = min(limit, max(p.end+r.tolerance, r.target.Now()))
	}
	r.target.Wait(limit)
	r.collect()
	now := r.target.Now()
	for _, p := range r.pending {
		if now >= p.end+r.tolerance {
			r.stop(p.event.pos, fmt.Sprintf("%s still blocks at %s", p.event.call.name, seconds(now)), p.event.text, "")
		}
	}
}

func (e *event) timeString(at time.Duration) string {
	switch {
	case e.time.any:
		return "*"
	case e.time.isRange:
		return seconds(at) + "~" + seconds(at+e.time.until-e.time.at)
	}
	return seconds(at)
}

// checkStream compares the payload with what the application wrote.
func (r *runner) checkStream(p *Packet, f *flow) []string {
	if f == nil || len(p.Data) == 0 {
		return nil
	}
	if p.Proto == ProtoUDP {
		if bytes.Contains(f.written, p.Data) {
			return nil
		}
		return []string{"a payload that was not written"}
	}
	if p.Proto != ProtoTCP || !f.isnKnown || p.Flags&SYN != 0 {
		return nil
	}
	at := int(int32(p.Seq - (f.iss + 1)))
	if at < 0 || at+len(p.Data) > len(f.written) {
		return []string{fmt.Sprintf("bytes %d to %d of a stream of which %d are written", at, at+len(p.Data), len(f.written))}
	}
	if i := differ(p.Data, f.written[at:]); i >= 0 {
		return []string{fmt.Sprintf("byte %d of the stream is %#02x, and %#02x was written", at+i, p.Data[i], f.written[at+i])}
	}
	return nil
}

// asScript returns p in the script's numbers. k, if not nil, is what the script
// expects: its SYN and its timestamps fix the numbers.
func (r *runner) asScript(p *Packet, f *flow, k *packetEvent) *Packet {
	q := *p
	if f == nil || p.Proto != ProtoTCP {
		return &q
	}
	if p.Flags&SYN != 0 {
		again := p.Flags&ACK != 0 && f.isnKnown && !f.acked(p.Ack-1)
		if (!f.isnKnown || again) && k != nil {
			f.offset, f.iss, f.isnKnown = p.Seq-k.seq, p.Seq, true
			f.peerOpen = false
			if again {
				f.written, f.read, f.tsKnown = nil, 0, false
			}
		}
	}
	if p.Flags&ACK != 0 && !f.peerOpen {
		for _, isn := range f.peerSYNs {
			if p.Ack-isn-1 < 1<<16 {
				f.peerISN, f.peerOpen = isn, true
			}
		}
	}
	q.Seq -= f.offset
	q.Options = append([]Option(nil), p.Options...)
	for i, o := range q.Options {
		if o.Kind == KindTimestamp && len(o.Data) == 8 {
			val, ecr := o.Timestamps()
			q.Options[i] = TS(r.mapTS(f, val, k), ecr)
		}
	}
	return &q
}

// acked reports whether isn is the peer's initial sequence number of the
// connection as it is.
func (f *flow) acked(isn uint32) bool { return !f.peerOpen || f.peerISN == isn }

// mapTS returns the script's timestamp for the stack's.
func (r *runner) mapTS(f *flow, val uint32, k *packetEvent) uint32 {
	want, ok := uint32(0), false
	if k != nil {
		for _, o := range k.opts {
			if o.Kind == KindTimestamp {
				want, _ = o.Timestamps()
				ok = true
			}
		}
	}
	if !ok || f.tsKnown && int32(val-f.lastTS[1]) < 0 {
		return val - f.lastTS[1] + f.lastTS[0]
	}
	now := r.target.Now()
	if !f.tsKnown {
		f.tsFirst, f.tsAt, f.tsKnown = [2]uint32{want, val}, now, true
	}
	if tick := r.cfg.tsTick; tick > 0 {
		got := f.tsFirst[0] + (val - f.tsFirst[1])
		slack := 1 + uint32(r.tolerance/tick)
		if got-want+slack > 2*slack {
			return got
		}
	}
	f.ts[want] = val
	f.lastTS = [2]uint32{want, val}
	return want
}

// checkQuote compares what an ICMP error of the stack's quotes.
func (r *runner) checkQuote(want *packetEvent, p *Packet) []string {
	q := p.Quote
	switch {
	case q == nil:
		return []string{"quotes nothing"}
	case q.Proto != want.proto:
		return []string{"quotes " + q.quoted()}
	case want.proto == ProtoTCP && !want.anySeq && (q.Seq != want.seq || len(q.Data) != want.n),
		want.proto == ProtoUDP && want.hasLen && len(q.Data) != want.n:
		return []string{"quotes " + q.quoted()}
	}
	return nil
}
