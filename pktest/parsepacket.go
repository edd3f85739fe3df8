package pktest

import (
	"net/netip"
	"strings"
)

// packet reads what stands behind < or >.
func (p *parser) packet(in bool) *packetEvent {
	k := &packetEvent{in: in, ttl: -1, tos: -1, ecn: -1, df: -1, fill: -1}
	p.space()
	if p.peek() == '[' {
		at := p.at
		p.at++
		p.space()
		if isDigit(p.peek()) { // "[1:1001(1000)] icmp ...": packetdrill's first form
			p.at = at
			q := p.quote()
			if !p.acceptWord("icmp") {
				p.fail("expected icmp, got %s", p.found())
			}
			p.icmp(k)
			k.quote = q
			return k
		}
		p.ipHeader(k)
	}
	p.space()
	at := p.at
	switch p.word() {
	case "udp":
		k.proto = ProtoUDP
		p.length(k)
	case "icmp":
		p.icmp(k)
	default:
		p.at = at
		p.segment(k)
	}
	return k
}

// ipHeader reads what stands in [] before a packet.
func (p *parser) ipHeader(k *packetEvent) {
	for {
		p.space()
		at := p.here()
		switch w := p.word(); w {
		case "noecn", "ect1", "ect0", "ce", "ect01":
			k.ecn = map[string]int{"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3, "ect01": 4}[w]
			if k.in && k.ecn == 4 {
				p.failAt(at, "ect01 is for packets to expect")
			}
		case "tos":
			k.tos = int(p.unsigned("tos", 255))
		case "ttl":
			k.ttl = int(p.unsigned("ttl", 255))
		case "flow":
			k.flow = int(p.unsigned("flow", 1000))
		case "df":
			k.df = 1
		case "nodf":
			k.df = 0
		case "badsum":
			k.badSum = true
		case "fill":
			k.fill = int(p.unsigned("fill", 255))
		case "ipopt":
			k.ipOptions = p.hex()
		case "broadcast":
			k.dstBroadcast = true
		case "from":
			k.src = p.address()
		case "frag":
			k.hasFrag = true
			k.fragOff = int(p.unsigned("offset", 65535))
			k.fragMore = p.accept("+")
		default:
			p.failAt(at, "%q says nothing about an IPv4 header", w)
		}
		if p.accept("]") {
			return
		}
		p.expect(",")
	}
}

func (p *parser) address() netip.Addr {
	p.space()
	at := p.here()
	t := p.digits("0123456789.")
	a, err := netip.ParseAddr(t)
	if err != nil {
		p.failAt(at, "%q is not an IPv4 address", t)
	}
	return a
}

// length reads "(n)" or "(...)".
func (p *parser) length(k *packetEvent) {
	p.expect("(")
	if p.accept("...") {
		if k.in {
			p.fail("how long is it?")
		}
	} else {
		k.n, k.hasLen = int(p.unsigned("length", 65535)), true
	}
	p.expect(")")
}

// segment reads "flags seq:end(len) ack n win n urg n <options>".
func (p *parser) segment(k *packetEvent) {
	k.proto = ProtoTCP
	p.space()
	at := p.here()
	var ok bool
	if strings.HasPrefix(p.rest(), "...") {
		p.at += 3
		k.anyFlags = true
	} else {
		w := p.digits("SFRP.UEWA-")
		w = strings.ReplaceAll(w, "A", ".")
		if k.flags, ok = ParseFlags(w); !ok {
			p.failAt(at, "expected udp, icmp or TCP flags (S F R P . U E W, - for none), got %s", p.found())
		}
	}
	if k.anyFlags && k.in {
		p.failAt(at, "which flags?")
	}
	p.sequence(k)
	if p.acceptWord("ack") {
		k.ack, k.hasAck = uint32(p.unsigned("ack", 1<<32-1)), true
	}
	if p.acceptWord("win") {
		k.win, k.hasWin = uint16(p.unsigned("window", 65535)), true
	}
	if p.acceptWord("urg") {
		k.urg, k.hasUrg = uint16(p.unsigned("urgent pointer", 65535)), true
	}
	p.space()
	if p.peek() == '<' {
		p.at++
		p.options(k)
	}
}

// sequence reads "seq:end(len)" or "...".
func (p *parser) sequence(k *packetEvent) {
	p.space()
	at := p.here()
	if !k.in && p.accept("...") {
		k.anySeq = true
		return
	}
	k.seq = uint32(p.unsigned("sequence number", 1<<32-1))
	p.expect(":")
	k.end = uint32(p.unsigned("sequence number", 1<<32-1))
	p.expect("(")
	k.n, k.hasLen = int(p.unsigned("length", 65535)), true
	p.expect(")")
	if k.seq+uint32(k.n) != k.end {
		p.failAt(at, "%d + %d is not %d", k.seq, k.n, k.end)
	}
}

// options reads what stands in <>.
func (p *parser) options(k *packetEvent) {
	k.optPos = p.here()
	k.hasOpts = true
	for {
		p.space()
		at := p.here()
		switch {
		case p.accept("..."):
			if k.in {
				p.failAt(at, "which options?")
			}
			k.anyOpts = true
		case p.accept(">"):
			return
		default:
			k.opts = append(k.opts, p.tcpOption())
		}
		if p.accept(">") {
			break
		}
		p.expect(",")
	}
	if n := len(appendOptions(nil, k.opts)); n > 40 {
		p.failAt(k.optPos, "%d bytes of options, of 40", n)
	}
}

func (p *parser) tcpOption() Option {
	at := p.here()
	switch w := p.word(); w {
	case "nop":
		return NOP()
	case "eol":
		return EOL()
	case "sackOK":
		return SACKOK()
	case "mss":
		return MSS(uint16(p.unsigned("mss", 65535)))
	case "wscale":
		return WScale(uint8(p.unsigned("wscale", 255)))
	case "TS":
		if !p.acceptWord("val") {
			p.fail("expected val, got %s", p.found())
		}
		val := p.unsigned("TS val", 1<<32-1)
		if !p.acceptWord("ecr") {
			p.fail("expected ecr, got %s", p.found())
		}
		return TS(uint32(val), uint32(p.unsigned("TS ecr", 1<<32-1)))
	case "sack":
		var edges []uint32
		for p.space(); isDigit(p.peek()); p.space() {
			edges = append(edges, uint32(p.unsigned("edge", 1<<32-1)))
			p.expect(":")
			edges = append(edges, uint32(p.unsigned("edge", 1<<32-1)))
		}
		return SACK(edges...)
	case "FO":
		return FastOpen(p.hex())
	case "opt": // ours
		kind := uint8(p.unsigned("kind", 254))
		return Option{kind, p.hex()}
	case "raw": // ours
		return Raw(p.hex())
	default:
		p.failAt(at, "unknown TCP option %q", w)
	}
	return Option{}
}

// icmp reads "type [code] [mtu n] [id n seq n] [(len)] [what it is about]".
func (p *parser) icmp(k *packetEvent) {
	k.proto = ProtoICMP
	p.space()
	at := p.here()
	name := p.word()
	if name == "type" {
		k.typ = uint8(p.unsigned("type", 255))
	} else {
		found := false
		for _, t := range icmpTypes {
			if t.name != name {
				continue
			}
			k.typ, found = t.typ, true
			save := p.at
			w := p.word()
			p.at = save
			for i, c := range t.codes {
				if c == w {
					k.code = uint8(i)
					p.word()
				}
			}
		}
		if !found {
			p.failAt(at, "unknown ICMP type %q", name)
		}
	}
	for {
		switch {
		case p.acceptWord("code"):
			k.code = uint8(p.unsigned("code", 255))
		case p.acceptWord("mtu"):
			k.rest, k.hasRest = uint32(p.unsigned("mtu", 65535)), true
		case p.acceptWord("id"):
			k.rest |= uint32(p.unsigned("id", 65535)) << 16
			k.hasRest = true
		case p.acceptWord("seq"):
			k.rest |= uint32(p.unsigned("seq", 65535))
			k.hasRest = true
		case p.acceptWord("rest"):
			k.rest, k.hasRest = uint32(p.unsigned("second word", 1<<32-1)), true
		case p.acceptWord("gateway"):
			b := p.address().As4()
			k.rest = uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
			k.hasRest = true
		case p.accept("("):
			p.at--
			p.length(k)
		case p.accept("["):
			p.at--
			k.quote = p.quote()
		default:
			return
		}
	}
}

// quote reads "[tcp 1:1001(1000)]", "[1:1001(1000)]" or "[udp (100)]".
func (p *parser) quote() *packetEvent {
	p.expect("[")
	q := &packetEvent{proto: ProtoTCP, in: true}
	p.space()
	switch {
	case p.acceptWord("udp"):
		q.proto = ProtoUDP
		p.length(q)
	case p.accept("..."):
		q.anySeq = true
	default:
		p.acceptWord("tcp")
		p.sequence(q)
	}
	p.expect("]")
	return q
}

// checkPacket reports what packetdrill refuses too.
func (p *parser) checkPacket(e *event) {
	k := e.packet
	if k.proto != ProtoTCP {
		return
	}
	if k.in && k.flags&ACK != 0 && !k.hasAck {
		p.failAt(e.pos, "the ACK flag needs an ack number")
	}
	if k.hasAck && k.flags&ACK == 0 && !k.anyFlags && !k.in {
		p.failAt(e.pos, "an ack number without the ACK flag")
	}
	if k.in && !k.hasWin && k.flags&RST == 0 {
		p.failAt(e.pos, "a packet to inject needs a window: win n")
	}
}
