package stack

import (
	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
)

// How many ICMP errors are sent at most, on account of others: RFC 1812 section
// 4.3.2.8 asks routers for such a limit, and a host has the same reasons.
const (
	icmpPerSecond = 100
	icmpBurst     = 50
)

// inputICMP answers echo requests and passes errors on to the socket that they
// are about. All else, above all what RFC 6633 and RFC 6918 deprecate, is
// silently dropped (RFC 1122 section 3.2.2).
func (s *Stack) inputICMP(ifc *netif.Interface, h *ipv4.Header, p []byte, group bool) ipv4.Drop {
	var m ipv4.ICMP
	if d := ipv4.ParseICMP(p, &m); d != ipv4.DropNone {
		return d
	}
	// An echo request to all "MAY be silently discarded" (RFC 1122 section 3.2.2.6):
	// never amplify. And nobody has reason to tell all of an error.
	if group {
		return ipv4.DropICMPBroadcast
	}
	switch m.Type {
	case ipv4.ICMPEcho:
		return s.sendEchoReply(h, p)
	case ipv4.ICMPEchoReply:
		return ipv4.DropNone // for raw sockets
	case ipv4.ICMPUnreachable, ipv4.ICMPTimeExceeded, ipv4.ICMPParameter:
		return s.inputICMPError(&m)
	case ipv4.ICMPRedirect:
		if feature.Redirect {
			return s.inputRedirect(ifc, h, &m)
		}
	}
	return ipv4.DropICMPType
}

// inputICMPError finds the socket that sent what the message quotes.
func (s *Stack) inputICMPError(m *ipv4.ICMP) ipv4.Drop {
	var q ipv4.Quote
	if d := ipv4.ParseQuote(m.Body, &q); d != ipv4.DropNone {
		return d
	}
	if feature.PMTUD && m.Type == ipv4.ICMPUnreachable && m.Code == ipv4.UnreachFragNeeded {
		return s.fragNeeded(&q, m)
	}
	e, hard := ipv4.ICMPErrno(m.Type, m.Code)
	return s.unreachable(&q, e, hard)
}

// unreachable tells the socket that sent q of error e.
func (s *Stack) unreachable(q *ipv4.Quote, e errno.Errno, hard bool) ipv4.Drop {
	if e == 0 {
		return ipv4.DropICMPCode
	}
	raw := feature.RawSock && s.raw != nil && s.rawError(q, e, hard)
	local, remote := ipv4.Endpoint{Addr: q.Src, Port: q.SrcPort}, ipv4.Endpoint{Addr: q.Dst, Port: q.DstPort}
	switch q.Proto {
	case ipv4.ProtoTCP:
		if c := s.tcp.lookup(local, remote); c != nil {
			d := c.Conn.ICMP(e, q.Seq)
			s.touch(c)
			return d
		}
	case ipv4.ProtoUDP:
		if u := s.udp.find(local, remote); u != nil {
			if u.Conn.Error(e, hard) {
				s.notify(&u.Sock, tcpReadWrite)
			}
			return ipv4.DropNone
		}
	}
	if raw {
		return ipv4.DropNone
	}
	return ipv4.DropICMPNoSocket
}

func (s *Stack) sendEchoReply(h *ipv4.Header, p []byte) ipv4.Drop {
	var way path
	// "the IP source address in an ICMP Echo Reply MUST be the same as the
	// specific-destination address" of the request (RFC 1122 section 3.2.2.6).
	if _, e := s.route(&way, h.Dst, h.Src, 0); e != 0 {
		return ipv4.DropNoRoute
	}
	head := [ipv4.ICMPHeaderLen]byte(p)
	ipv4.EchoReply(head[:])
	return s.sendData(&ipv4.Header{Src: h.Dst, Dst: h.Src, Proto: ipv4.ProtoICMP, TTL: s.cfg.TTL, TOS: h.TOS},
		&way, head[:], p[len(head):])
}

// sendICMPError answers packet p, if it may be answered.
func (s *Stack) sendICMPError(h *ipv4.Header, p, payload []byte, group bool, typ, code uint8, info uint32) {
	if !ipv4.MayError(h, payload, group) {
		return
	}
	if !s.icmpLimit.Take(s.now, icmpPerSecond, icmpBurst) {
		s.drop(ipv4.DropICMPRate)
		return
	}
	b := s.pool.Get()
	ipv4.PutICMPError(b, typ, code, info, p)
	s.reply(b, h, ipv4.ProtoICMP, s.cfg.TTL, 0xc0) // precedence 6 (RFC 1812 section 4.3.2.5), as Linux
}
