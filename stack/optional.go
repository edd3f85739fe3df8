package stack

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
)

// The calls that belong to a feature. In a build without it they return an error, and
// nothing of the feature is in the binary.

// Listen binds l to local, whose address may be 0.0.0.0 for any, and whose port
// may be 0 for a free one. backlog is how many connections may be half open, at least
// 1; as in Linux, one more may wait for Accept, and a negative backlog is 4,096. It
// returns EADDRINUSE if the endpoint is taken, EADDRNOTAVAIL if the address is not
// ours and EOPNOTSUPP without feature listen.
//
// Of an l that listens already it changes the backlog, as listen(2) does a second
// time; local is then its own or zero, else EINVAL.
func (s *Stack) Listen(l *Listener, local ipv4.Endpoint, backlog int) error {
	if !feature.Listen {
		return errno.EOPNOTSUPP
	}
	return s.startListening(l, local, backlog)
}

// OpenRaw begins to receive packets of r.Proto. It returns EPERM with
// Config.Unprivileged, EINVAL if r is open already, EADDRNOTAVAIL if r.Local is
// not an address of ours and EPROTONOSUPPORT without feature rawsock.
func (s *Stack) OpenRaw(r *Raw) error {
	if !feature.RawSock {
		return errno.EPROTONOSUPPORT
	}
	return s.openRaw(r)
}

// OpenPacket begins to receive frames of r.Protocol on interface r.Ifindex: r has what is sent and
// received from now on. It returns EPERM with Config.Unprivileged, EINVAL if r is open already,
// ENODEV for an interface that does not exist or has no frames, as lo, and EAFNOSUPPORT without
// feature pktsock.
func (s *Stack) OpenPacket(r *PacketSocket) error {
	if !feature.PktSock {
		return errno.EAFNOSUPPORT
	}
	return s.openPacket(r)
}

// SetMreqn sets an option whose value is a struct ip_mreqn, as setsockopt(2) does: IP_ADD_MEMBERSHIP and
// IP_DROP_MEMBERSHIP, of group r.Multiaddr on an interface, and IP_MULTICAST_IF, the interface and the
// source address of what is sent to groups, with the zero Mreqn for none. A membership is for all
// sources; it ends with the socket. It lasts while the interface is down, and is announced again
// when it comes up.
//
// It returns EINVAL if u is not open, r.Multiaddr no group, or u bound to another interface
// (SO_BINDTODEVICE); ENODEV if there is no such interface to join on, and EADDRNOTAVAIL to send by, or no such
// membership; EADDRINUSE for one that u has already; ENOBUFS for more than 20, or more on one interface than 256
// in full; and ENOPROTOOPT for another name or without feature multicast.
func (u *UDP) SetMreqn(name int, r *Mreqn) Errno {
	if !feature.Multicast {
		return errno.ENOPROTOOPT
	}
	u.path.forget()
	return u.stack.setMreqn(&u.mc, name, r, int32(u.Ifindex))
}

// SetMreqn is UDP.SetMreqn for raw sockets.
func (r *Raw) SetMreqn(name int, m *Mreqn) Errno {
	if !feature.Multicast {
		return errno.ENOPROTOOPT
	}
	return r.stack.setMreqn(&r.mc, name, m, 0)
}

// SetMulticast sets one of the options IP_MULTICAST_IF, IP_MULTICAST_TTL, IP_MULTICAST_LOOP and IP_MULTICAST_ALL:
// see UDP.SetOption. It returns ENOPROTOOPT without feature multicast.
func (r *Raw) SetMulticast(name, v int) Errno {
	if !feature.Multicast {
		return errno.ENOPROTOOPT
	}
	return r.stack.setGroupOption(&r.mc, name, v, 0)
}

// WriteUrgent queues data whose last byte is urgent (MSG_OOB); see
// tcp.Conn.WriteUrgent. Poll sends it. It returns EOPNOTSUPP without feature urgent.
func (c *Conn) WriteUrgent(p []byte) (int, Errno) {
	if !feature.Urgent {
		return 0, errno.EOPNOTSUPP
	}
	return c.writeUrgent(p)
}

// Capture calls f with every frame that interface ifindex receives, before anything
// looks at it, and sends, until it is called with nil. f must neither keep nor
// change the frame, nor call the stack. It fits netif/pcap.Writer.Packet. It
// returns ENODEV for an interface that does not exist or has no frames, as lo, and
// EOPNOTSUPP without feature pcap.
func (s *Stack) Capture(ifindex int, f func(now Time, frame []byte, sent bool)) error {
	if !feature.Pcap {
		return errno.EOPNOTSUPP
	}
	return s.capture(ifindex, f)
}

// ProbeAddress starts to find out whether another host on the link of interface
// ifindex has address a (RFC 5227), to be used before SIOCSIFADDR. It takes up to
// 7 s of polling: see AddressState. When the address is configured after that, it is
// announced and defended. It returns ENODEV, ENETDOWN, or EOPNOTSUPP without
// feature acd.
func (s *Stack) ProbeAddress(now pkt.Time, ifindex int, a ipv4.Addr) error {
	if !feature.ACD {
		return errno.EOPNOTSUPP
	}
	return s.probeAddress(now, ifindex, a)
}

// AddressState returns what ProbeAddress has found out for interface ifindex, 0 if
// it was not called, and the hardware address of the other host after a conflict.
func (s *Stack) AddressState(ifindex int) (netif.ACDState, netif.MAC) {
	if !feature.ACD {
		return 0, netif.MAC{}
	}
	return s.addressState(ifindex)
}
