package pktest

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// ReadScript parses the .pkt file called name.
func ReadScript(name string) (*Script, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return ParseScript(name, string(b))
}

// ParseScript parses the text of a script. name is what errors call it; they are
// *ScriptError.
func ParseScript(name, text string) (script *Script, err error) {
	p := &parser{scanner: scanner{file: name, src: text}}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *ScriptError:
			script, err = nil, r
		default:
			panic(r)
		}
	}()
	p.script = &Script{File: name, config: defaultConfig()}
	p.file()
	return p.script, nil
}

func defaultConfig() config {
	return config{
		setup: Setup{
			Local: netip.MustParseAddr("198.18.0.1"), Bits: 24,
			Gateway: netip.MustParseAddr("198.18.0.2"), Remote: netip.MustParseAddr("198.19.0.1"),
			MTU: 1500,
		},
		tolerance: 4 * time.Millisecond, bindPort: 8080, connectPort: 8080,
		nonFatal: map[string]bool{}, define: map[string]string{},
	}
}

type parser struct {
	scanner
	script *Script
}

func (p *parser) file() {
	for p.space(); strings.HasPrefix(p.rest(), "--"); p.space() {
		p.option()
	}
	for p.space(); p.peek() == '`'; p.space() {
		p.initCommands()
	}
	for p.space(); !p.eof(); p.space() {
		p.event()
	}
}

// ignoredOptions are packetdrill's options that mean nothing here: how it finds
// its device and its peer, and how fast a real network is.
var ignoredOptions = []string{
	"ip_version", "speed", "init_scripts", "wire_client", "wire_server", "wire_client_dev", "wire_server_dev",
	"wire_server_ip", "wire_server_port", "wire_server_at", "persistent_tun_dev", "tun_dev", "so_filename", "so_flags", "verbose", "debug",
	"is_anyip", "is_local", "send_omit_free", "use_expect", "tcp_ts_ecr_scaled", "strict_segments", "code_command",
	"code_format", "code_sockopt", "promote_dev",
}

func (p *parser) option() {
	at := p.here()
	line := strings.TrimSpace(p.src[p.at : p.at+strings.IndexAny(p.rest()+"\n", "\r\n \t")])
	p.at += len(line)
	name, v, hasValue := strings.Cut(line[2:], "=")
	c := &p.script.config
	bad := func() { p.failAt(at, "%q is not a value for --%s", v, name) }
	addr := func() netip.Addr {
		a, err := netip.ParseAddr(v)
		if err != nil || !a.Is4() {
			bad()
		}
		return a
	}
	num := func(limit uint64) int64 {
		n, err := strconv.ParseUint(v, 0, 63)
		if err != nil || n > limit {
			bad()
		}
		return int64(n)
	}
	switch name {
	case "local_ip":
		c.setup.Local = addr()
	case "remote_ip":
		a, _, _ := strings.Cut(v, "/")
		v = a
		c.setup.Remote = addr()
	case "gateway_ip":
		c.setup.Gateway = addr()
	case "netmask_ip":
		b := addr().As4()
		n := 0
		for n < 32 && b[n/8]>>(7-n%8)&1 != 0 {
			n++
		}
		c.setup.Bits = n
	case "mtu":
		c.setup.MTU = int(num(65535))
	case "bind_port":
		c.bindPort = uint16(num(65535))
	case "connect_port":
		c.connectPort = uint16(num(65535))
	case "tolerance_usecs":
		c.tolerance = time.Duration(num(1e12)) * time.Microsecond
	case "tcp_ts_tick_usecs":
		c.tsTick = time.Duration(num(1e9)) * time.Microsecond
	case "non_fatal":
		for _, k := range strings.Split(v, ",") {
			if k != "packet" && k != "syscall" {
				bad()
			}
			c.nonFatal[k] = true
		}
	case "define", "D":
		k, val, ok := strings.Cut(v, "=")
		if !ok {
			bad()
		}
		c.define[k] = val
	case "feature": // ours
		c.features = append(c.features, strings.Split(v, ",")...)
	case "target": // ours
		c.targets = append(c.targets, strings.Split(v, ",")...)
	case "allow_extra_packets": // ours
		c.extra = true
	default:
		for _, k := range ignoredOptions {
			if name == k {
				return
			}
		}
		p.failAt(at, "unknown option --%s", name)
	}
	if !hasValue && name != "allow_extra_packets" {
		p.failAt(at, "--%s needs a value", name)
	}
}

// initCommands reads the commands before the first event.
func (p *parser) initCommands() {
	for _, words := range p.commands() {
		p.sysctl(words)
	}
}

// commands reads text in backticks, a command a line.
func (p *parser) commands() (list [][]string) {
	p.expect("`")
	text := p.until("`")
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == ';' || r == '&' }) {
		if i := strings.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		if words := strings.Fields(line); len(words) > 0 {
			list = append(list, words)
		}
	}
	return list
}

// sysctl takes a setting from a command: "sysctl -q net.ipv4.x=1" or "echo 1 >
// /proc/sys/net/ipv4/x". Other commands are not run.
func (p *parser) sysctl(words []string) {
	set := &p.script.config.setup.Sysctl
	n := len(words)
	switch {
	case words[0] == "sysctl":
		rest := strings.Join(words[1:], " ")
		for strings.HasPrefix(rest, "-") {
			_, rest, _ = strings.Cut(rest, " ")
		}
		for rest != "" {
			k, v, ok := strings.Cut(rest, "=")
			if !ok {
				p.fail("sysctl %s: no value", rest)
			}
			k, v = strings.TrimSpace(k), strings.TrimSpace(v)
			// A value with spaces is in quotes, or the last one.
			if v != "" && (v[0] == '"' || v[0] == '\'') {
				v, rest, _ = strings.Cut(v[1:], v[:1])
				rest = strings.TrimSpace(rest)
			} else if a, b, ok := strings.Cut(v, " "); ok && strings.Contains(b, "=") {
				v, rest = a, b
			} else {
				rest = ""
			}
			*set = append(*set, Sysctl{strings.ReplaceAll(k, "/", "."), v})
		}
	case words[0] == "echo" && n > 3 && words[n-2] == ">" && strings.HasPrefix(words[n-1], "/proc/sys/"):
		k := strings.ReplaceAll(strings.TrimPrefix(words[n-1], "/proc/sys/"), "/", ".")
		*set = append(*set, Sysctl{k, strings.Trim(strings.Join(words[1:n-2], " "), `"'`)})
	case strings.HasSuffix(words[0], ".sh"): // packetdrill's suite begins with its defaults
	default:
		p.fail("the command %q is not run: only sysctl is understood", strings.Join(words, " "))
	}
}

func (p *parser) event() {
	start := p.at
	e := &event{pos: p.here(), time: p.when()}
	p.space()
	switch r := p.rest(); {
	case r == "":
		p.fail("expected an event, got the end of the file")
	case r[0] == '<' || r[0] == '>':
		p.at++
		e.packet = p.packet(r[0] == '<')
		p.checkPacket(e)
	case strings.HasPrefix(r, "%{"):
		p.at += 2
		e.code = p.code()
	case r[0] == '`':
		for _, words := range p.commands() {
			switch {
			case words[0] == "sleep" && len(words) == 2:
				e.command = words
			default:
				p.failAt(e.pos, "the command %q is not run", strings.Join(words, " "))
			}
		}
	case isLetter(r[0]):
		e.call = p.call()
	default:
		p.fail("expected a packet, a call, a command or %%{, got %s", p.found())
	}
	e.text = strings.Join(strings.Fields(p.src[start:p.at]), " ")
	if e.time.blocks && e.call == nil {
		p.failAt(e.pos, "only calls take time: a...b")
	}
	if e.time.isRange && (e.packet == nil || e.packet.in) {
		p.failAt(e.pos, "only packets to expect have a range of times: a~b")
	}
	p.script.events = append(p.script.events, e)
}

// when reads "1.5", "+1.5", "*", "1~2", "+1~+2", "1...2".
func (p *parser) when() (w when) {
	p.space()
	if p.accept("*") {
		w.any = true
		return w
	}
	if !isDigit(p.peek()) && p.peek() != '+' && p.peek() != '.' {
		p.fail("expected the time of an event, got %s", p.found())
	}
	w.relative = p.accept("+")
	w.at = p.seconds()
	at := p.at
	switch {
	case p.accept("..."):
		w.blocks = true
		p.accept("+")
		w.end = p.seconds()
		if w.end < w.at {
			p.fail("the call ends before it begins")
		}
	case p.accept("~"):
		w.isRange = true
		p.accept("+")
		w.until = p.seconds()
		if w.until < w.at {
			p.fail("the range ends before it begins")
		}
	default:
		p.at = at
	}
	return w
}

// call reads a system call: "name(args) = result".
func (p *parser) call() *callEvent {
	c := &callEvent{name: p.word()}
	p.expect("(")
	if !p.accept(")") {
		for {
			c.args = append(c.args, p.value())
			if p.accept(")") {
				break
			}
			p.expect(",")
		}
	}
	p.expect("=")
	p.space()
	c.ret = p.value()
	p.space()
	if isLetter(p.peek()) {
		at := p.here()
		name := p.word()
		n, ok := errnos[name]
		if !ok {
			p.failAt(at, "%s is not the name of an error", name)
		}
		c.errno, c.hasErr = n, true
	}
	if p.accept("(") { // what the error means, in words
		p.until(")")
	}
	if c.hasErr && (c.ret.kind != kindNumber || c.ret.n != -1) {
		p.failAt(c.ret.pos, "a call that fails returns -1")
	}
	return c
}

// value reads an argument.
func (p *parser) value() value {
	p.space()
	v := value{pos: p.here()}
	switch r := p.rest(); {
	case strings.HasPrefix(r, "..."):
		p.at += 3
		v.kind = kindEllipsis
	case r == "":
		p.fail("expected a value, got the end of the file")
	case r[0] == '"':
		v.kind, v.s = kindString, p.quoted()
	case r[0] == '[':
		p.at++
		v.kind = kindList
		for !p.accept("]") {
			v.list = append(v.list, p.value())
			if !p.accept(",") && !strings.HasPrefix(p.rest(), "]") {
				p.fail("expected , or ], got %s", p.found())
			}
		}
	case r[0] == '{':
		p.at++
		v.kind = kindStruct
		for !p.accept("}") {
			p.field(&v)
			if !p.accept(",") && !strings.HasPrefix(p.rest(), "}") {
				p.fail("expected , or }, got %s", p.found())
			}
		}
	default:
		p.bits(&v)
	}
	return v
}

// field reads "name=value", "name(length)=value" or a value alone.
func (p *parser) field(v *value) {
	p.space()
	at := p.at
	name := p.word()
	if name != "" {
		if p.accept("(") {
			p.until(")")
		}
		if !p.accept("=") {
			p.at, name = at, ""
		}
	}
	v.fields = append(v.fields, name)
	v.list = append(v.list, p.value())
}

// bits reads numbers and names, joined by "|", and htons(), htonl(), inet_addr().
func (p *parser) bits(v *value) {
	for {
		p.space()
		at := p.here()
		if c := p.peek(); isDigit(c) || c == '-' {
			v.n |= p.number()
		} else {
			name := p.word()
			switch name {
			case "":
				p.fail("expected a value, got %s", p.found())
			case "htons", "htonl":
				p.expect("(")
				v.n |= p.value().n
				p.expect(")")
			case "inet_addr":
				p.expect("(")
				a := p.value()
				addr, err := netip.ParseAddr(a.s)
				if err != nil || !addr.Is4() {
					p.failAt(a.pos, "%q is not an IPv4 address", a.s)
				}
				v.kind, v.addr = kindAddr, addr
				p.expect(")")
			default:
				v.n |= p.constant(at, name)
			}
		}
		if !p.accept("|") {
			return
		}
	}
}

func (p *parser) constant(at Pos, name string) int64 {
	if n, ok := constants[name]; ok {
		return n
	}
	if d, ok := p.script.config.define[name]; ok {
		if n, ok := constants[d]; ok {
			return n
		}
		if n, err := strconv.ParseInt(d, 0, 64); err == nil {
			return n
		}
	}
	p.failAt(at, "unknown name %s", name)
	return 0
}
