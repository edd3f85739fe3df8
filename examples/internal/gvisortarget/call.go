package gvisortarget

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/bonsainet/bonsai/pktest"
	"gvisor.dev/gvisor/pkg/abi/linux"
	"gvisor.dev/gvisor/pkg/abi/linux/errno"
	"gvisor.dev/gvisor/pkg/syserr"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// sock is a socket: what Linux's calls are, over an endpoint.
type sock struct {
	ep       tcpip.Endpoint
	stream   bool
	nonblock bool
}

const firstFD = 3

// pending is a call that may go on.
type pending struct {
	call *pktest.Call
	sock *sock
	done int           // bytes written
	at   time.Duration // when poll gives up, or 0
}

func finish(c *pktest.Call, ret int, e tcpip.Error) {
	c.Ret, c.Done = ret, true
	if e != nil {
		c.Ret, c.Errno = -1, int(number(e))
	}
}

func fail(c *pktest.Call, e errno.Errno) { c.Ret, c.Errno, c.Done = -1, int(e), true }

func unsupported(c *pktest.Call, what string) {
	c.Err, c.Done = pktest.Unsupported(what), true
}

func number(e tcpip.Error) errno.Errno {
	return errno.Errno(syserr.TranslateNetstackError(e).ToLinux())
}

func (g *Target) sock(fd int) *sock {
	if fd < firstFD || fd-firstFD >= len(g.socks) {
		return nil
	}
	return g.socks[fd-firstFD]
}

func (g *Target) newSock(s *sock) int {
	g.socks = append(g.socks, s)
	return firstFD + len(g.socks) - 1
}

// Start implements pktest.Target.
func (g *Target) Start(c *pktest.Call) {
	g.start(c)
	settle()
}

func (g *Target) start(c *pktest.Call) {
	s := g.sock(c.FD)
	switch {
	case c.Name == "socket":
		g.socket(c)
		return
	case c.Name == "poll":
		w := &pending{call: c}
		if c.N > 0 {
			w.at = g.clock.now + time.Duration(c.N)*time.Millisecond
		}
		g.begin(w)
		return
	case s == nil:
		fail(c, errno.EBADF)
		return
	}
	switch c.Name {
	case "connect":
		if e := s.connect(c); e {
			return
		}
		g.begin(&pending{call: c, sock: s})
	case "accept", "recvfrom", "sendto":
		g.begin(&pending{call: c, sock: s})
	case "bind":
		finish(c, 0, s.ep.Bind(full(c.Addr)))
	case "listen":
		finish(c, 0, s.ep.Listen(max(c.N, 1)))
	case "shutdown":
		if c.N < 0 || c.N > 2 {
			fail(c, errno.EINVAL)
			return
		}
		finish(c, 0, s.ep.Shutdown([]tcpip.ShutdownFlags{tcpip.ShutdownRead, tcpip.ShutdownWrite, tcpip.ShutdownRead | tcpip.ShutdownWrite}[c.N]))
	case "close":
		// As runsc closes: a linger time of 0 resets.
		if l := s.ep.SocketOptions().GetLinger(); s.stream && l.Enabled && l.Timeout == 0 {
			s.ep.Abort()
		} else {
			s.ep.Close()
		}
		g.socks[c.FD-firstFD] = nil
		finish(c, 0, nil)
	case "fcntl":
		s.fcntl(c)
	case "setsockopt":
		s.setOption(c)
	case "getsockopt":
		s.getOption(c)
	case "ioctl":
		s.ioctl(c)
	default:
		unsupported(c, "call "+c.Name)
	}
}

func (g *Target) begin(w *pending) {
	if g.attempt(w); !w.call.Done {
		g.waiting = append(g.waiting, w)
	}
}

func (g *Target) socket(c *pktest.Call) {
	s := &sock{nonblock: c.Type&linux.SOCK_NONBLOCK != 0}
	proto := tcpip.TransportProtocolNumber(udp.ProtocolNumber)
	switch c.Type & 15 {
	case int(linux.SOCK_STREAM):
		s.stream, proto = true, tcp.ProtocolNumber
	case int(linux.SOCK_DGRAM):
	default:
		unsupported(c, "sockets of this type")
		return
	}
	var e tcpip.Error
	if s.ep, e = g.stack.NewEndpoint(proto, ipv4.ProtocolNumber, new(waiter.Queue)); e != nil {
		finish(c, 0, e)
		return
	}
	finish(c, g.newSock(s), nil)
}

func full(a netip.AddrPort) (f tcpip.FullAddress) {
	if a.IsValid() {
		f.Port = a.Port()
		if !a.Addr().IsUnspecified() {
			f.Addr = tcpip.AddrFrom4(a.Addr().As4())
		}
	}
	return f
}

func addrPort(f tcpip.FullAddress) netip.AddrPort {
	if f.Addr.Len() != 4 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom4(f.Addr.As4()), f.Port)
}

// connect is what happens at once; it reports whether that was all.
func (s *sock) connect(c *pktest.Call) bool {
	if !c.Addr.IsValid() {
		finish(c, 0, s.ep.Disconnect())
		return true
	}
	e := s.ep.Connect(full(c.Addr))
	if _, started := e.(*tcpip.ErrConnectStarted); started && !s.nonblock {
		return false
	}
	finish(c, 0, e)
	return true
}

// attempt goes on with a call, which ends if it can.
func (g *Target) attempt(w *pending) {
	c, s := w.call, w.sock
	switch c.Name {
	case "poll":
		g.poll(w)
	case "connect":
		if s.ep.Readiness(waiter.WritableEvents|waiter.EventErr|waiter.EventHUp) != 0 {
			finish(c, 0, s.ep.Connect(full(c.Addr))) // as runsc asks for the result
		}
	case "accept":
		g.accept(c, s)
	case "recvfrom":
		s.recv(w)
	case "sendto":
		s.send(w)
	}
}

// wouldBlock reports whether e says to wait, and ends the call if it may not.
func (s *sock) wouldBlock(c *pktest.Call, e tcpip.Error) bool {
	if _, block := e.(*tcpip.ErrWouldBlock); !block {
		return false
	}
	if s.nonblock || c.Flags&linux.MSG_DONTWAIT != 0 {
		finish(c, 0, e)
	}
	return true
}

func (g *Target) accept(c *pktest.Call, s *sock) {
	var from tcpip.FullAddress
	ep, _, e := s.ep.Accept(&from)
	if s.wouldBlock(c, e) {
		return
	}
	if e != nil {
		finish(c, 0, e)
		return
	}
	c.From = addrPort(from)
	finish(c, g.newSock(&sock{ep: ep, stream: true, nonblock: c.Flags&linux.SOCK_NONBLOCK != 0}), nil)
}

func (s *sock) recv(w *pending) {
	c := w.call
	if c.Flags&^(linux.MSG_DONTWAIT|linux.MSG_NOSIGNAL|linux.MSG_PEEK|linux.MSG_WAITALL|linux.MSG_TRUNC) != 0 || s.stream && c.Flags&linux.MSG_TRUNC != 0 {
		unsupported(c, "these recv flags")
		return
	}
	if s.stream && c.N == 0 {
		finish(c, 0, nil)
		return
	}
	b := make(tcpip.SliceWriter, c.N-len(c.Bytes))
	p := b
	r, e := s.ep.Read(&b, tcpip.ReadOptions{Peek: c.Flags&linux.MSG_PEEK != 0, NeedRemoteAddr: true})
	c.Bytes = append(c.Bytes, p[:r.Count]...)
	if len(c.Bytes) == 0 && s.wouldBlock(c, e) {
		return
	}
	_, end := e.(*tcpip.ErrClosedForReceive)
	_, block := e.(*tcpip.ErrWouldBlock)
	switch {
	case len(c.Bytes) == 0 && e != nil && !end:
		finish(c, 0, e)
	case !s.stream:
		c.From = addrPort(r.RemoteAddr)
		if finish(c, r.Count, nil); c.Flags&linux.MSG_TRUNC != 0 {
			c.Ret = r.Total
		}
	case len(c.Bytes) < c.N && c.Flags&linux.MSG_WAITALL != 0 && (e == nil || block) && !s.nonblock:
	default:
		s.ep.ModerateRecvBuf(len(c.Bytes))
		finish(c, len(c.Bytes), nil)
	}
}

func (s *sock) send(w *pending) {
	c := w.call
	if c.Flags&^(linux.MSG_DONTWAIT|linux.MSG_NOSIGNAL|linux.MSG_MORE) != 0 {
		unsupported(c, "these send flags")
		return
	}
	opts := tcpip.WriteOptions{More: c.Flags&linux.MSG_MORE != 0}
	if c.Addr.IsValid() {
		to := full(c.Addr)
		opts.To = &to
	}
	for {
		n, e := s.ep.Write(bytes.NewReader(c.Data[w.done:]), opts)
		w.done += int(n)
		_, block := e.(*tcpip.ErrWouldBlock)
		switch {
		case e == nil && (w.done == len(c.Data) || !s.stream):
			finish(c, w.done, nil)
		case e == nil && n > 0:
			continue
		case block && !s.nonblock && c.Flags&linux.MSG_DONTWAIT == 0:
		case w.done > 0:
			finish(c, w.done, nil)
		case e != nil:
			finish(c, 0, e)
		}
		return
	}
}

func (g *Target) poll(w *pending) {
	c, n := w.call, 0
	for i := range c.Poll {
		p := &c.Poll[i]
		p.Revents = linux.POLLNVAL
		if s := g.sock(p.FD); s != nil {
			mask := waiter.EventMask(uint16(p.Events)) | waiter.EventErr | waiter.EventHUp
			p.Revents = int16(s.ep.Readiness(mask) & mask)
		}
		if p.Revents != 0 {
			n++
		}
	}
	if n > 0 || c.N == 0 || w.at > 0 && g.clock.now >= w.at {
		finish(c, n, nil)
	}
}

func (s *sock) fcntl(c *pktest.Call) {
	switch c.N {
	case linux.F_GETFL:
		n := linux.O_RDWR
		if s.nonblock {
			n |= linux.O_NONBLOCK
		}
		finish(c, n, nil)
	case linux.F_SETFL:
		s.nonblock = c.Flags&linux.O_NONBLOCK != 0
		finish(c, 0, nil)
	default:
		unsupported(c, "this fcntl")
	}
}
