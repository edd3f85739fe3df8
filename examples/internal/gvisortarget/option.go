package gvisortarget

import (
	"time"

	"github.com/bonsainet/bonsai/pktest"
	"gvisor.dev/gvisor/pkg/abi/linux"
	"gvisor.dev/gvisor/pkg/abi/linux/errno"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

func (s *sock) setOption(c *pktest.Call) {
	if len(c.Value) == 0 {
		unsupported(c, "setsockopt with a text")
		return
	}
	if c.Level == linux.SOL_TCP && !s.stream { // runsc's check
		fail(c, errno.ENOPROTOOPT)
		return
	}
	v := int(c.Value[0])
	on := v != 0
	seconds := time.Duration(v) * time.Second
	o := s.ep.SocketOptions()
	var e tcpip.Error
	switch [2]int{c.Level, c.Opt} {
	case [2]int{linux.SOL_SOCKET, linux.SO_REUSEADDR}:
		o.SetReuseAddress(on)
	case [2]int{linux.SOL_SOCKET, linux.SO_REUSEPORT}:
		o.SetReusePort(on)
	case [2]int{linux.SOL_SOCKET, linux.SO_BROADCAST}:
		o.SetBroadcast(on)
	case [2]int{linux.SOL_SOCKET, linux.SO_KEEPALIVE}:
		o.SetKeepAlive(on)
	case [2]int{linux.SOL_SOCKET, linux.SO_SNDBUF}:
		_, most := o.SendBufferLimits()
		o.SetSendBufferSize(min(2*int64(v), most), true)
	case [2]int{linux.SOL_SOCKET, linux.SO_RCVBUF}:
		_, most := o.ReceiveBufferLimits()
		o.SetReceiveBufferSize(min(2*int64(v), most), true)
	case [2]int{linux.SOL_SOCKET, linux.SO_RCVLOWAT}:
		e = o.SetRcvlowat(int32(v))
	case [2]int{linux.SOL_SOCKET, linux.SO_LINGER}:
		if len(c.Value) < 2 {
			fail(c, errno.EINVAL)
			return
		}
		o.SetLinger(tcpip.LingerOption{Enabled: on, Timeout: time.Duration(c.Value[1]) * time.Second})
	case [2]int{linux.SOL_IP, linux.IP_TTL}:
		e = s.ep.SetSockOptInt(tcpip.IPv4TTLOption, v)
	case [2]int{linux.SOL_IP, linux.IP_TOS}:
		e = s.ep.SetSockOptInt(tcpip.IPv4TOSOption, v)
	case [2]int{linux.SOL_IP, linux.IP_MTU_DISCOVER}:
		e = s.ep.SetSockOptInt(tcpip.MTUDiscoverOption, v)
	case [2]int{linux.SOL_IP, linux.IP_RECVERR}:
		o.SetIPv4RecvError(on)
	case [2]int{linux.SOL_TCP, linux.TCP_NODELAY}:
		o.SetDelayOption(!on)
	case [2]int{linux.SOL_TCP, linux.TCP_CORK}:
		o.SetCorkOption(on)
	case [2]int{linux.SOL_TCP, linux.TCP_QUICKACK}:
		o.SetQuickAck(on)
	case [2]int{linux.SOL_TCP, linux.TCP_MAXSEG}:
		e = s.ep.SetSockOptInt(tcpip.MaxSegOption, v)
	case [2]int{linux.SOL_TCP, linux.TCP_SYNCNT}:
		e = s.ep.SetSockOptInt(tcpip.TCPSynCountOption, v)
	case [2]int{linux.SOL_TCP, linux.TCP_WINDOW_CLAMP}:
		e = s.ep.SetSockOptInt(tcpip.TCPWindowClampOption, v)
	case [2]int{linux.SOL_TCP, linux.TCP_KEEPCNT}:
		e = s.ep.SetSockOptInt(tcpip.KeepaliveCountOption, v)
	case [2]int{linux.SOL_TCP, linux.TCP_KEEPIDLE}:
		x := tcpip.KeepaliveIdleOption(seconds)
		e = s.ep.SetSockOpt(&x)
	case [2]int{linux.SOL_TCP, linux.TCP_KEEPINTVL}:
		x := tcpip.KeepaliveIntervalOption(seconds)
		e = s.ep.SetSockOpt(&x)
	case [2]int{linux.SOL_TCP, linux.TCP_USER_TIMEOUT}:
		x := tcpip.TCPUserTimeoutOption(time.Duration(v) * time.Millisecond)
		e = s.ep.SetSockOpt(&x)
	case [2]int{linux.SOL_TCP, linux.TCP_LINGER2}:
		x := tcpip.TCPLingerTimeoutOption(seconds)
		e = s.ep.SetSockOpt(&x)
	case [2]int{linux.SOL_TCP, linux.TCP_DEFER_ACCEPT}:
		x := tcpip.TCPDeferAcceptOption(seconds)
		e = s.ep.SetSockOpt(&x)
	default:
		fail(c, errno.ENOPROTOOPT)
		return
	}
	finish(c, 0, e)
}

func (s *sock) getOption(c *pktest.Call) {
	o := s.ep.SocketOptions()
	var v int
	var e tcpip.Error
	truth := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	switch [2]int{c.Level, c.Opt} {
	case [2]int{linux.SOL_SOCKET, linux.SO_ERROR}:
		if x := s.ep.LastError(); x != nil {
			v = int(number(x))
		}
	case [2]int{linux.SOL_SOCKET, linux.SO_KEEPALIVE}:
		v = truth(o.GetKeepAlive())
	case [2]int{linux.SOL_SOCKET, linux.SO_BROADCAST}:
		v = truth(o.GetBroadcast())
	case [2]int{linux.SOL_SOCKET, linux.SO_SNDBUF}:
		v = int(o.GetSendBufferSize())
	case [2]int{linux.SOL_SOCKET, linux.SO_RCVBUF}:
		v = int(o.GetReceiveBufferSize())
	case [2]int{linux.SOL_SOCKET, linux.SO_RCVLOWAT}:
		v = int(o.GetRcvlowat())
	case [2]int{linux.SOL_SOCKET, linux.SO_LINGER}:
		l := o.GetLinger()
		c.Out = []int32{int32(truth(l.Enabled)), int32(l.Timeout / time.Second)}
		finish(c, 0, nil)
		return
	case [2]int{linux.SOL_IP, linux.IP_TTL}:
		if v, e = s.ep.GetSockOptInt(tcpip.IPv4TTLOption); v == 0 {
			v = 64 // runsc asks the network layer
		}
	case [2]int{linux.SOL_IP, linux.IP_TOS}:
		v, e = s.ep.GetSockOptInt(tcpip.IPv4TOSOption)
	case [2]int{linux.SOL_TCP, linux.TCP_NODELAY}:
		v = truth(!o.GetDelayOption())
	case [2]int{linux.SOL_TCP, linux.TCP_CORK}:
		v = truth(o.GetCorkOption())
	case [2]int{linux.SOL_TCP, linux.TCP_MAXSEG}:
		v, e = s.ep.GetSockOptInt(tcpip.MaxSegOption)
	case [2]int{linux.SOL_TCP, linux.TCP_SYNCNT}:
		v, e = s.ep.GetSockOptInt(tcpip.TCPSynCountOption)
	case [2]int{linux.SOL_TCP, linux.TCP_KEEPCNT}:
		v, e = s.ep.GetSockOptInt(tcpip.KeepaliveCountOption)
	case [2]int{linux.SOL_TCP, linux.TCP_KEEPIDLE}:
		var x tcpip.KeepaliveIdleOption
		e = s.ep.GetSockOpt(&x)
		v = int(time.Duration(x) / time.Second)
	case [2]int{linux.SOL_TCP, linux.TCP_KEEPINTVL}:
		var x tcpip.KeepaliveIntervalOption
		e = s.ep.GetSockOpt(&x)
		v = int(time.Duration(x) / time.Second)
	case [2]int{linux.SOL_TCP, linux.TCP_USER_TIMEOUT}:
		var x tcpip.TCPUserTimeoutOption
		e = s.ep.GetSockOpt(&x)
		v = int(time.Duration(x) / time.Millisecond)
	case [2]int{linux.SOL_TCP, linux.TCP_DEFER_ACCEPT}:
		var x tcpip.TCPDeferAcceptOption
		e = s.ep.GetSockOpt(&x)
		v = int(time.Duration(x) / time.Second)
	default:
		fail(c, errno.ENOPROTOOPT)
		return
	}
	c.Out = []int32{int32(v)}
	finish(c, 0, e)
}

func (s *sock) ioctl(c *pktest.Call) {
	what := map[int]tcpip.SockOptInt{linux.FIONREAD: tcpip.ReceiveQueueSizeOption, linux.TIOCOUTQ: tcpip.SendQueueSizeOption}
	opt, ok := what[c.Opt]
	if !ok {
		unsupported(c, "this ioctl")
		return
	}
	v, e := s.ep.GetSockOptInt(opt)
	c.Out = []int32{int32(v)}
	finish(c, 0, e)
}

// Info implements pktest.Target: the fields that gVisor has.
func (g *Target) Info(fd int) map[string]int64 {
	s := g.sock(fd)
	if s == nil || !s.stream {
		return nil
	}
	var i tcpip.TCPInfoOption
	if s.ep.GetSockOpt(&i) != nil {
		return nil
	}
	state := int64(i.State)
	if i.State > tcpip.EndpointState(tcp.StateClosing) { // gVisor's own
		state = int64(linux.TCP_CLOSE)
	}
	ca := map[tcpip.CongestionControlState]int64{
		tcpip.Open: 0, tcpip.Disorder: 1, tcpip.FastRecovery: 3, tcpip.SACKRecovery: 3, tcpip.RTORecovery: 4,
	}
	return map[string]int64{
		"tcpi_state": state, "tcpi_ca_state": ca[i.CcState], "tcpi_rto": i.RTO.Microseconds(), "tcpi_rtt": i.RTT.Microseconds(),
		"tcpi_rttvar": i.RTTVar.Microseconds(), "tcpi_snd_cwnd": int64(i.SndCwnd), "tcpi_snd_ssthresh": int64(i.SndSsthresh),
	}
}
