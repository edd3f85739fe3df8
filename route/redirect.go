package route

import (
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// Routes that ICMP redirects made (RTF_DYNAMIC) are advice: they make room for
// others, and go when their gateway does not answer.

// makeRoom removes the first dynamic route, and reports whether there was one.
func (t *Table) makeRoom() bool {
	for at := &t.first; *at != nil; at = &(*at).next {
		if (*at).Flags&RTF_DYNAMIC != 0 {
			t.remove(at)
			return true
		}
	}
	return false
}

// Expire removes the dynamic routes whose time has come, and those through gateway gw, which
// does not answer: the gateway that sent the redirects is asked again (RFC 1122 section
// 3.3.1.4, dead gateway detection). It returns when the next one's time comes: pkt.Never if
// there is none.
//
//go:noinline
func (t *Table) Expire(now pkt.Time, gw ipv4.Addr) (next pkt.Time) {
	next = pkt.Never
	for at := &t.first; *at != nil; {
		switch e := *at; {
		case e.Expire == 0:
			at = &e.next
		case e.Expire <= now || e.Gateway == gw:
			t.remove(at)
		default:
			next = min(next, e.Expire)
			at = &e.next
		}
	}
	return next
}
