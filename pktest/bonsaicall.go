package pktest

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/tcp"
	"github.com/bonsainet/bonsai/udp"
)

// bonsaiSock is a socket: the thin layer of system calls over the engine, as
// Linux's are.
type bonsaiSock struct {
	b        *Bonsai
	nonblock bool
	events   tcp.Events // of all that has happened
	bound    ipv4.Endpoint
	isBound  bool

	conn    *stack.Conn
	phase   phase
	options []tcpOption // set before the connection is

	listener *stack.Listener // that listens
	lopts    stack.Listener  // the options of one
	udp      *stack.UDP
	udpOpen  bool
}

type phase uint8

const (
	idle phase = iota
	connecting
	connected
)

type tcpOption struct{ level, name, v int }

// bonsaiCall is a call that goes on.
type bonsaiCall struct {
	call     *Call
	sock     *bonsaiSock
	done     int // bytes written so far
	progress bool
}

// start begins a call.
func (b *Bonsai) start(c *Call) {
	switch c.Name {
	case "socket":
		b.socket(c)
		return
	case "poll":
		b.startPoll(c)
		return
	}
	s := b.sock(c.FD)
	if s == nil {
		c.finish(-1, int(errno.EBADF))
		return
	}
	w := &bonsaiCall{call: c, sock: s}
	switch c.Name {
	case "connect", "accept", "recvfrom", "sendto":
		if c.Name == "connect" {
			s.beginConnect(c)
		}
		if s.try(w); !c.Done {
			b.waiting = append(b.waiting, w)
		}
	case "bind":
		s.bind(c)
	case "listen":
		s.listen(c)
	case "shutdown":
		c.finish(0, s.shutdown(c.N))
	case "close":
		s.close()
		b.socks[c.FD-firstFD] = nil
		c.finish(0, 0)
	case "fcntl":
		s.fcntl(c)
	case "setsockopt":
		s.setOption(c)
	case "getsockopt":
		s.getOption(c)
	case "ioctl":
		s.ioctl(c)
	default:
		c.Err = unsupported("call %s", c.Name)
		c.finish(0, 0)
	}
}

func (b *Bonsai) socket(c *Call) {
	s := &bonsaiSock{nonblock: c.Type&sockNonblock != 0}
	switch c.Type &^ (sockNonblock | sockCloexec) {
	case sockStream:
		s.initConn(b)
	case sockDgram:
		s.udp = new(stack.UDP)
	default:
		c.Err = unsupported("sockets of type %d", c.Type)
		c.finish(0, 0)
		return
	}
	c.finish(b.newSock(s), 0)
}

// initConn gives s a fresh connection.
func (s *bonsaiSock) initConn(b *Bonsai) {
	s.conn, s.phase, s.events = new(stack.Conn), idle, 0
	s.conn.Init(b.stack)
	s.conn.Data = unsafe.Pointer(s)
	for _, o := range s.options {
		s.conn.SetOption(o.level, o.name, o.v)
	}
}

// try goes on with a call that may wait.
func (s *bonsaiSock) try(w *bonsaiCall) {
	c := w.call
	switch {
	case c.Done:
	case c.Name == "poll":
		s.b.tryPoll(w)
	case c.Name == "connect":
		s.tryConnect(c)
	case c.Name == "accept":
		s.accept(c)
	case c.Name == "recvfrom" && s.udp != nil:
		s.recvUDP(c)
	case c.Name == "recvfrom":
		s.recv(c)
	case s.udp != nil:
		s.sendUDP(c)
	default:
		s.send(w)
	}
}

// mayWait reports whether a call on s may wait, and ends it with EAGAIN if not.
func (s *bonsaiSock) mayWait(c *Call) {
	if s.nonblock || c.Flags&msgDontwait != 0 {
		c.finish(-1, int(errno.EAGAIN))
	}
}

func (s *bonsaiSock) bind(c *Call) {
	a := endpoint4(c.Addr)
	switch {
	case s.isBound || s.phase != idle:
		c.finish(-1, int(errno.EINVAL))
		return
	case s.udp != nil:
		c.finish(0, s.openUDP(a))
		return
	}
	if local := addrPort(ipv4.Endpoint{Addr: a.Addr}).Addr(); !a.Addr.IsAny() && local != s.b.local && !a.Addr.IsLoopback() {
		c.finish(-1, int(errno.EADDRNOTAVAIL))
		return
	}
	s.bound, s.isBound = a, true
	c.finish(0, 0)
}

func (s *bonsaiSock) openUDP(local ipv4.Endpoint) int {
	if s.udpOpen {
		return 0
	}
	s.udp.Data = unsafe.Pointer(s)
	if err := s.b.stack.OpenUDP(s.udp, local); err != nil {
		return errnoOf(err)
	}
	s.udpOpen, s.isBound = true, true
	return 0
}

// errnoOf returns the number of an error of the stack's.
func errnoOf(err error) int {
	if e, ok := err.(errno.Errno); ok {
		return int(e)
	}
	return int(errno.EIO)
}

// errnoOf0 is errnoOf, with 0 for no error.
func errnoOf0(err error) int {
	if err == nil {
		return 0
	}
	return errnoOf(err)
}

func (s *bonsaiSock) listen(c *Call) {
	if !feature.Listen || s.conn == nil {
		c.finish(-1, int(errno.EOPNOTSUPP))
		return
	}
	if s.phase != idle {
		c.finish(-1, int(errno.EINVAL))
		return
	}
	if s.listener != nil {
		c.finish(0, errnoOf0(s.b.stack.Listen(s.listener, ipv4.Endpoint{}, c.N)))
		return
	}
	l := &s.lopts
	l.Data = unsafe.Pointer(s)
	l.New = func() *stack.Conn {
		child := &bonsaiSock{b: s.b, options: s.options}
		child.initConn(s.b)
		child.phase = connected
		return child.conn
	}
	if err := s.b.stack.Listen(l, s.bound, c.N); err != nil {
		c.finish(-1, errnoOf(err))
		return
	}
	s.listener = l
	c.finish(0, 0)
}

func (s *bonsaiSock) accept(c *Call) {
	if s.listener == nil {
		c.finish(-1, int(errno.EINVAL))
		return
	}
	conn := s.listener.Accept()
	if conn == nil {
		s.mayWait(c)
		return
	}
	child := (*bonsaiSock)(conn.Data)
	child.nonblock = c.Flags&sockNonblock != 0
	c.From = addrPort(conn.Remote())
	c.finish(s.b.newSock(child), 0)
}

// beginConnect is what connect does at once.
func (s *bonsaiSock) beginConnect(c *Call) {
	now := s.b.now
	switch {
	case s.udp != nil:
		e := 0
		if !c.Addr.IsValid() {
			s.udp.Connect(now, ipv4.Endpoint{})
		} else if e = s.openUDP(ipv4.Endpoint{}); e == 0 {
			if err := s.udp.Connect(now, endpoint4(c.Addr)); err != nil {
				e = errnoOf(err)
			}
		}
		c.finish(0, e)
	case s.listener != nil:
		c.finish(-1, int(errno.EISCONN))
	case s.phase == connecting && s.conn.State() == tcp.SynSent:
		c.finish(-1, int(errno.EALREADY))
	case s.phase == connecting: // the end of an earlier call is told now
	case s.phase == connected:
		if s.conn.State() != tcp.Closed {
			c.finish(-1, int(errno.EISCONN))
			return
		}
		s.initConn(s.b)
		fallthrough
	default:
		if err := s.b.stack.Connect(now, s.conn, s.bound, endpoint4(c.Addr)); err != nil {
			c.finish(-1, errnoOf(err))
			return
		}
		s.phase = connecting
		if s.nonblock {
			c.finish(-1, int(errno.EINPROGRESS))
		}
	}
}

func (s *bonsaiSock) tryConnect(c *Call) {
	switch s.conn.State() {
	case tcp.SynSent, tcp.SynReceived:
	case tcp.Closed:
		e := s.conn.Err()
		if e == 0 {
			e = errno.ECONNABORTED
		}
		s.initConn(s.b)
		c.finish(-1, int(e))
	default:
		s.phase = connected
		c.finish(0, 0)
	}
}

// established reports whether data can be sent or received, else the error.
func (s *bonsaiSock) established() errno.Errno {
	if s.conn == nil || s.listener != nil || s.phase == idle {
		return errno.ENOTCONN
	}
	return 0
}

func (s *bonsaiSock) recv(c *Call) {
	if e := s.established(); e != 0 {
		c.finish(-1, int(e))
		return
	}
	if c.Flags&^(msgDontwait|msgNosignal|msgWaitall) != 0 {
		c.Err = unsupported("recv flags %#x", c.Flags)
		c.finish(0, 0)
		return
	}
	p := make([]byte, c.N-len(c.Bytes))
	n, e := s.conn.Read(p)
	c.Bytes = append(c.Bytes, p[:n]...)
	switch {
	case e == errno.EAGAIN && len(c.Bytes) == 0:
		s.mayWait(c)
	case e == errno.EAGAIN:
		if c.Flags&msgWaitall == 0 {
			c.finish(len(c.Bytes), 0)
		} else {
			s.mayWait(c)
		}
	case e != 0 && len(c.Bytes) == 0:
		c.finish(-1, int(e))
	case c.Flags&msgWaitall != 0 && n > 0 && len(c.Bytes) < c.N:
	default:
		c.finish(len(c.Bytes), 0)
	}
}

func (s *bonsaiSock) send(w *bonsaiCall) {
	c := w.call
	if s.conn == nil || s.listener != nil || s.phase == idle {
		c.finish(-1, int(errno.EPIPE))
		return
	}
	if c.Flags&^(msgDontwait|msgNosignal|msgOOB) != 0 || c.Flags&msgOOB != 0 && !feature.Urgent {
		c.Err = unsupported("send flags %#x", c.Flags)
		c.finish(0, 0)
		return
	}
	var n int
	var e errno.Errno
	if feature.Urgent && c.Flags&msgOOB != 0 {
		n, e = s.conn.WriteUrgent(c.Data)
	} else {
		n, e = s.conn.Write(c.Data[w.done:])
	}
	w.done += n
	w.progress = n > 0
	switch {
	case w.done == len(c.Data):
		c.finish(w.done, 0)
	case (e == 0 || e == errno.EAGAIN) && !s.nonblock && c.Flags&msgDontwait == 0:
	case w.done > 0:
		c.finish(w.done, 0)
	default:
		c.finish(-1, int(e))
	}
}

func (s *bonsaiSock) recvUDP(c *Call) {
	if !s.udpOpen {
		s.mayWait(c)
		return
	}
	p := make([]byte, c.N)
	var m udp.Meta
	n, e := s.udp.RecvFrom(p, &m)
	if e == errno.EAGAIN {
		s.mayWait(c)
		return
	}
	c.Bytes, c.From = p[:n], addrPort(m.Src)
	if c.Flags&msgTrunc != 0 && e == 0 {
		n = int(m.Len)
	}
	c.finish(n, int(e))
}

func (s *bonsaiSock) sendUDP(c *Call) {
	var dst ipv4.Endpoint
	if c.Addr.IsValid() {
		dst = endpoint4(c.Addr)
	}
	e := s.openUDP(ipv4.Endpoint{})
	n := 0
	if e == 0 {
		var x errno.Errno
		n, x = s.udp.SendTo(s.b.now, c.Data, dst)
		e = int(x)
	}
	c.finish(n, e)
}

func (s *bonsaiSock) shutdown(how int) int {
	if s.udp != nil {
		if !s.udpOpen {
			return int(errno.ENOTCONN)
		}
		return int(s.udp.Shutdown(how))
	}
	if e := s.established(); e != 0 {
		return int(e)
	}
	if how < 0 || how > 2 {
		return int(errno.EINVAL)
	}
	var e errno.Errno
	if how != 1 {
		e = s.conn.CloseRead()
	}
	if how != 0 && e == 0 {
		e = s.conn.CloseWrite()
	}
	return int(e)
}

func (s *bonsaiSock) close() {
	switch {
	case s.udp != nil && s.udpOpen:
		s.udp.Close()
	case s.listener != nil:
		s.listener.Close(s.b.now)
	case s.conn != nil && s.phase != idle:
		s.conn.Close(s.b.now)
	}
}

func (s *bonsaiSock) fcntl(c *Call) {
	switch c.N {
	case fGetfl:
		n := oRdwr
		if s.nonblock {
			n |= oNonblock
		}
		c.finish(n, 0)
	case fSetfl:
		s.nonblock = c.Flags&oNonblock != 0
		c.finish(0, 0)
	default:
		c.Err = unsupported("fcntl %d", c.N)
		c.finish(0, 0)
	}
}

func (s *bonsaiSock) setOption(c *Call) {
	if len(c.Value) == 0 {
		c.Err = unsupported("setsockopt with a text")
		c.finish(0, 0)
		return
	}
	v := int(c.Value[0])
	if c.Level == solSocket && c.Opt == soLinger {
		if len(c.Value) < 2 {
			c.finish(-1, int(errno.EINVAL))
			return
		}
		if v = int(c.Value[1]); c.Value[0] == 0 {
			v = -1
		}
	}
	var e errno.Errno
	switch {
	case s.udp != nil:
		e = s.udp.SetOption(c.Level, c.Opt, v)
	case feature.Listen && c.Level == stack.SOL_TCP && c.Opt == stack.TCP_DEFER_ACCEPT:
		e = s.lopts.SetOption(c.Level, c.Opt, v)
	default:
		e = s.conn.SetOption(c.Level, c.Opt, v)
		if e == 0 {
			s.options = append(s.options, tcpOption{c.Level, c.Opt, v})
		}
	}
	c.finish(0, int(e))
}

func (s *bonsaiSock) getOption(c *Call) {
	var v int
	var e errno.Errno
	switch {
	case s.udp != nil:
		v, e = s.udp.Option(c.Level, c.Opt)
	case feature.Listen && c.Level == stack.SOL_TCP && c.Opt == stack.TCP_DEFER_ACCEPT:
		v, e = s.lopts.Option(c.Level, c.Opt)
	default:
		v, e = s.conn.Option(c.Level, c.Opt)
	}
	c.Out = []int32{int32(v)}
	if c.Level == solSocket && c.Opt == soLinger && e == 0 {
		c.Out = []int32{1, int32(v)}
		if v < 0 {
			c.Out = []int32{0, 0}
		}
	}
	c.finish(0, int(e))
}

func (s *bonsaiSock) ioctl(c *Call) {
	var v int
	var e errno.Errno
	switch {
	case c.Opt != siocInq && c.Opt != siocOutq:
		c.Err = unsupported("ioctl %#x", c.Opt)
	case s.udp != nil:
		v, e = s.udp.Option(solSocket, c.Opt)
	case s.listener != nil:
		e = errno.EINVAL
	default:
		v, e = s.conn.Option(solSocket, c.Opt)
	}
	c.Out = []int32{int32(v)}
	c.finish(0, int(e))
}
