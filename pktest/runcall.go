package pktest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// sock is what a script's file descriptor stands for.
type sock struct {
	live  int // the target's number
	typ   int
	bound netip.AddrPort
	flow  *flow
}

// pendingCall is a call that has not ended.
type pendingCall struct {
	event *event
	call  *Call
	sock  *sock
	begin time.Duration
	end   time.Duration // when it is to end, at begin if it may not block
	wrote int           // bytes that it adds to the flow's stream
	at    int           // where they are
}

// startCall makes a system call and, unless it may block, waits for its end.
func (r *runner) startCall(e *event, at time.Duration) {
	c, s := r.prepare(e)
	p := &pendingCall{event: e, call: c, sock: s, begin: at, end: at}
	if e.time.blocks {
		p.end = at + e.time.end - e.time.at
	}
	if n := len(c.Data); n > 0 && s != nil && s.flow != nil && c.Name != "setsockopt" {
		p.at, p.wrote = len(s.flow.written), n
		s.flow.written = append(s.flow.written, c.Data...)
	}
	r.report.Ladder.Note(r.target.Now(), "%s", callText(e))
	r.target.Start(c)
	r.pending = append(r.pending, p)
	r.collect()
	r.settle()
	if e.time.blocks {
		return
	}
	// It should be over by now, or, in real time, soon.
	for limit := r.target.Now() + r.target.Tolerance(); !c.Done && r.target.Now() < limit; {
		r.target.Wait(limit)
		r.collect()
	}
	if !c.Done {
		r.stop(e.pos, e.call.name+" blocks", e.text, "")
	}
}

// callText returns the call without its time.
func callText(e *event) string {
	if i := strings.Index(e.text, e.call.name+"("); i > 0 {
		return e.text[i:]
	}
	return e.text
}

// argument returns argument i.
func (r *runner) argument(e *event, i int) *value {
	if i >= len(e.call.args) {
		r.stop(e.pos, fmt.Sprintf("%s has too few arguments", e.call.name), "", "")
	}
	return &e.call.args[i]
}

func (r *runner) numberArg(e *event, i int) int {
	v := r.argument(e, i)
	if v.kind != kindNumber {
		r.stop(v.pos, "expected a number, got "+v.String(), "", "")
	}
	return int(v.n)
}

// socket returns what the script's file descriptor in argument 0 stands for.
func (r *runner) socket(e *event) *sock {
	v := r.argument(e, 0)
	s := r.fds[v.n]
	if v.kind != kindNumber {
		r.stop(v.pos, "expected a file descriptor, got "+v.String(), "", "")
	}
	if s == nil { // let the target say EBADF
		return &sock{live: 1 << 20}
	}
	if s.typ == sockStream {
		r.last = s
	}
	return s
}

// address reads a sockaddr in argument i; "..." is def.
func (r *runner) addressArg(e *event, i int, def netip.AddrPort) netip.AddrPort {
	v := r.argument(e, i)
	if v.kind == kindEllipsis {
		return def
	}
	if v.kind != kindStruct {
		r.stop(v.pos, "expected an address, got "+v.String(), "", "")
	}
	addr, port := netip.AddrFrom4([4]byte{}), uint16(0)
	for j, x := range v.list {
		switch v.fields[j] {
		case "sa_family", "sin_family":
			if x.n == 0 {
				return netip.AddrPort{}
			}
		case "sin_port":
			port = uint16(x.n)
		case "sin_addr":
			if x.kind == kindAddr {
				addr = x.addr
			} else {
				var b [4]byte
				binary.BigEndian.PutUint32(b[:], uint32(x.n))
				addr = netip.AddrFrom4(b)
			}
		default:
			r.stop(v.pos, "unknown field "+v.fields[j], "", "")
		}
	}
	return netip.AddrPortFrom(addr, port)
}

// prepare turns the script's call into one for the target.
func (r *runner) prepare(e *event) (*Call, *sock) {
	c := &Call{Name: e.call.name}
	if c.Name == "socket" {
		c.Type, c.Proto = r.numberArg(e, 1), r.numberArg(e, 2)
		return c, nil
	}
	if c.Name == "poll" {
		r.preparePoll(e, c)
		return c, nil
	}
	s := r.socket(e)
	c.FD = s.live
	switch c.Name {
	case "bind":
		c.Addr = r.addressArg(e, 1, netip.AddrPortFrom(r.cfg.setup.Local, r.cfg.bindPort))
		s.bound = c.Addr
	case "connect":
		c.Addr = r.addressArg(e, 1, netip.AddrPortFrom(r.cfg.setup.Remote, r.cfg.connectPort))
		r.connectFlow(s, c.Addr)
	case "listen", "shutdown":
		c.N = r.numberArg(e, 1)
	case "accept":
	case "accept4":
		c.Name, c.Flags = "accept", r.numberArg(e, 3)
	case "close":
	case "fcntl":
		c.N = r.numberArg(e, 1)
		if len(e.call.args) > 2 {
			c.Flags = r.numberArg(e, 2)
		}
	case "setsockopt", "getsockopt":
		c.Level, c.Opt = r.numberArg(e, 1), r.numberArg(e, 2)
		if c.Level == solTCP && c.Opt == tcpInfo {
			r.stop(e.pos, "TCP_INFO is not read by a call here: write %{ assert tcpi_state == TCP_ESTABLISHED }%", "", "")
		}
		if c.Name == "setsockopt" {
			r.optionValue(e, c)
		}
	case "ioctl":
		c.Opt = r.numberArg(e, 1)
	case "read", "recv", "recvfrom", "readv", "recvmsg":
		r.prepareRead(e, c)
	case "write", "send", "sendto", "writev", "sendmsg":
		r.prepareWrite(e, c, s)
	default:
		r.stop(e.pos, "unknown call "+c.Name, "", "")
	}
	return c, s
}

// connectFlow makes the flow of a socket that connects, unless it tries again.
func (r *runner) connectFlow(s *sock, remote netip.AddrPort) {
	if !remote.IsValid() || s.flow != nil && s.flow.remote == remote {
		return
	}
	local := netip.AddrPortFrom(r.cfg.setup.Local, 0)
	if s.bound.IsValid() && s.bound.Port() != 0 {
		local = netip.AddrPortFrom(local.Addr(), s.bound.Port())
	}
	s.flow = r.newFlow(local, remote)
}

func (r *runner) optionValue(e *event, c *Call) {
	v := r.argument(e, 3)
	switch v.kind {
	case kindString:
		c.Data = []byte(v.s)
	case kindNumber:
		c.Value = []int32{int32(v.n)}
	case kindList, kindStruct:
		for _, x := range v.list {
			if x.kind == kindStruct {
				for _, y := range x.list {
					c.Value = append(c.Value, int32(y.n))
				}
			} else {
				c.Value = append(c.Value, int32(x.n))
			}
		}
	default:
		r.stop(v.pos, "expected the option's value, got ...", "", "")
	}
}

// prepareRead reads the arguments of calls that receive.
func (r *runner) prepareRead(e *event, c *Call) {
	switch c.Name {
	case "readv", "recvmsg":
		c.N, _ = r.vector(e)
		if c.Name == "recvmsg" {
			c.Flags = r.numberArg(e, 2)
		}
	default:
		c.N = r.numberArg(e, 2)
		if c.Name != "read" && len(e.call.args) > 3 {
			c.Flags = r.numberArg(e, 3)
		}
	}
	c.Name = "recvfrom"
}

// vector adds up the lengths of an iovec in argument 1, which may be in a msghdr.
func (r *runner) vector(e *event) (n int, name *value) {
	v := r.argument(e, 1)
	if v.kind == kindStruct {
		for i := range v.list {
			switch v.fields[i] {
			case "msg_name":
				name = &v.list[i]
			case "msg_iov":
				v = &v.list[i]
			}
			if v.kind == kindList {
				break
			}
		}
	}
	for _, x := range v.list {
		if k := len(x.list); k > 0 {
			n += int(x.list[k-1].n)
		}
	}
	return n, name
}

// prepareWrite reads the arguments of calls that send, and makes their data.
func (r *runner) prepareWrite(e *event, c *Call, s *sock) {
	n := 0
	var name *value
	switch c.Name {
	case "writev":
		n, _ = r.vector(e)
	case "sendmsg":
		n, name = r.vector(e)
		c.Flags = r.numberArg(e, 2)
	default:
		n = r.numberArg(e, 2)
		if c.Name != "write" {
			c.Flags = r.numberArg(e, 3)
		}
		if c.Name == "sendto" {
			c.Addr = r.addressArg(e, 4, netip.AddrPort{})
			if s.typ == sockDgram && r.argument(e, 4).kind == kindEllipsis {
				c.Addr = netip.AddrPortFrom(r.cfg.setup.Remote, r.cfg.connectPort)
			}
		}
	}
	if name != nil && name.kind == kindStruct {
		sub := *e
		sub.call = &callEvent{name: c.Name, args: []value{*name}}
		c.Addr = r.addressArg(&sub, 0, netip.AddrPort{})
	}
	if n < 0 || n > 1<<24 {
		r.stop(e.pos, fmt.Sprintf("%d bytes?", n), "", "")
	}
	c.Name = "sendto"
	if c.Addr.IsValid() && s.typ == sockDgram && (s.flow == nil || s.flow.remote != c.Addr) {
		r.sendFlow(s, c.Addr)
	}
	if len(e.call.args) > 1 && e.call.args[1].kind == kindString {
		c.Data = []byte(e.call.args[1].s)
		c.Data = c.Data[:min(n, len(c.Data))]
		return
	}
	c.Data = make([]byte, n)
	if s.flow != nil {
		fillPattern(c.Data, uint32(len(s.flow.written)))
	}
}

// sendFlow is the flow of a datagram socket to remote.
func (r *runner) sendFlow(s *sock, remote netip.AddrPort) {
	for _, f := range r.flows {
		if f.remote == remote && s.bound.IsValid() && f.local.Port() == s.bound.Port() {
			s.flow = f
			r.current = f
			return
		}
	}
	r.connectFlow(s, remote)
}

func (r *runner) preparePoll(e *event, c *Call) {
	v := r.argument(e, 0)
	for _, x := range v.list {
		var p PollFD
		for i, y := range x.list {
			switch x.fields[i] {
			case "fd":
				p.FD = 1 << 20
				if s := r.fds[y.n]; s != nil {
					p.FD = s.live
				}
			case "events":
				p.Events = int16(y.n)
			}
		}
		c.Poll = append(c.Poll, p)
	}
	c.N = r.numberArg(e, 2)
}

// callEnded compares what a call returned with what the script says.
func (r *runner) callEnded(p *pendingCall) {
	e, c := p.event, p.call
	now := r.target.Now()
	if p.wrote > 0 {
		f := p.sock.flow
		if n := p.at + max(c.Ret, 0); n < len(f.written) && p.at+p.wrote == len(f.written) {
			f.written = f.written[:n]
		}
	}
	if c.Err != nil {
		if IsUnsupported(c.Err) {
			r.report.Skipped = c.Err.Error()
			panic(abort{})
		}
		r.stop(e.pos, c.Err.Error(), "", "")
	}
	got := itoa(c.Ret)
	if c.Errno != 0 {
		got = "-1 " + errnoName(c.Errno)
	}
	if e.time.blocks {
		r.report.Ladder.Note(now, "%s returns %s", e.call.name, got)
	}
	if now < p.end-r.tolerance || now > p.end+r.tolerance {
		r.fatal("syscall", e.pos, fmt.Sprintf("%s ended at %s, want %s", e.call.name, seconds(now), seconds(p.end)), e.text, got)
	}
	r.checkReturn(p, got)
	if c.Errno == 0 {
		r.checkOutput(p)
	}
}

// checkReturn compares the number that a call returned.
func (r *runner) checkReturn(p *pendingCall, got string) {
	e, c := p.event, p.call
	want := &e.call.ret
	bad := func() {
		r.fatal("syscall", e.pos, fmt.Sprintf("%s returned %s", e.call.name, got), callText(e), "= "+got)
	}
	switch {
	case want.kind == kindEllipsis:
	case e.call.hasErr:
		if c.Errno != e.call.errno {
			bad()
		}
		return
	case c.Errno != 0:
		if want.n != -1 {
			bad()
		}
		return
	case c.Name == "socket" || c.Name == "accept":
		r.newSock(p)
	case int64(c.Ret) != want.n:
		bad()
	}
	if c.Name == "close" {
		p.sock.live = -1
		delete(r.fds, e.call.args[0].n)
	}
}

// newSock notes the file descriptor that a call returned, under the number that
// the script gives it.
func (r *runner) newSock(p *pendingCall) {
	c := p.call
	n := p.event.call.ret.n
	if _, ok := r.fds[n]; ok {
		r.stop(p.event.pos, fmt.Sprintf("file descriptor %d is in use", n), "", "")
	}
	s := &sock{live: c.Ret, typ: c.Type & 15}
	if c.Name == "accept" {
		s.typ = sockStream
		for _, f := range r.flows {
			if f.remote == c.From {
				s.flow = f
				r.current = f
			}
		}
	}
	r.fds[n] = s
	if s.typ == sockStream {
		r.last = s
	}
}

// checkOutput compares what a call has written to its arguments.
func (r *runner) checkOutput(p *pendingCall) {
	e, c := p.event, p.call
	bad := func(got string) { r.fatal("syscall", e.pos, e.call.name+" gave "+got, callText(e), got) }
	switch c.Name {
	case "recvfrom":
		r.checkData(p)
		if e.call.name == "recvfrom" && len(e.call.args) > 4 && e.call.args[4].kind == kindStruct {
			if want := r.addressArg(e, 4, netip.AddrPort{}); want != c.From {
				bad("a datagram from " + c.From.String())
			}
		}
	case "accept":
		if len(e.call.args) > 1 && e.call.args[1].kind == kindStruct {
			if want := r.addressArg(e, 1, netip.AddrPort{}); want != c.From {
				bad("a connection from " + c.From.String())
			}
		}
	case "getsockopt", "ioctl":
		v := r.argument(e, len(e.call.args)-1)
		if c.Name == "getsockopt" {
			v = r.argument(e, 3)
		}
		if v.kind == kindEllipsis {
			return
		}
		var flat []value
		for _, x := range v.list {
			if x.kind == kindStruct {
				flat = append(flat, x.list...)
			} else {
				flat = append(flat, x)
			}
		}
		for i, x := range flat {
			if x.kind != kindEllipsis && (i >= len(c.Out) || int64(c.Out[i]) != x.n) {
				bad(fmt.Sprint(c.Out))
				return
			}
		}
	case "poll":
		for i, x := range r.argument(e, 0).list {
			for j, y := range x.list {
				if x.fields[j] == "revents" && y.kind == kindNumber && int64(c.Poll[i].Revents) != y.n {
					bad("revents " + pollNames(c.Poll[i].Revents))
				}
			}
		}
	}
}

func pollNames(n int16) string {
	var list []string
	for _, name := range []string{"POLLIN", "POLLPRI", "POLLOUT", "POLLERR", "POLLHUP", "POLLNVAL", "POLLRDHUP"} {
		if int64(n)&constants[name] != 0 {
			list = append(list, name)
		}
	}
	if list == nil {
		return "0"
	}
	return strings.Join(list, "|")
}

// checkData compares what was read with what the peer has sent.
func (r *runner) checkData(p *pendingCall) {
	c, f := p.call, p.sock.flow
	if len(c.Bytes) == 0 {
		return
	}
	if want := r.argument(p.event, 1); want.kind == kindString && string(c.Bytes) != want.s {
		r.fatal("syscall", p.event.pos, "read other data", callText(p.event), fmt.Sprintf("%q", c.Bytes))
		return
	}
	if p.sock.typ == sockDgram {
		for _, d := range r.incoming {
			if len(c.Bytes) <= len(d) && differ(c.Bytes, d) < 0 {
				return
			}
		}
		r.fatal("syscall", p.event.pos, "read a datagram that nobody sent", "", "")
		return
	}
	if p.sock.typ != sockStream || f == nil || !f.peerOpen || f.noData {
		return
	}
	if c.Flags&msgTrunc == 0 {
		for i, v := range c.Bytes {
			if want := pattern(f.peerISN + 1 + f.read + uint32(i)); v != want {
				r.fatal("syscall", p.event.pos, fmt.Sprintf("byte %d of the stream is %#02x, and the peer sent %#02x", f.read+uint32(i), v, want), "", "")
				return
			}
		}
	}
	if c.Flags&msgPeek == 0 {
		f.read += uint32(c.Ret)
	}
}
