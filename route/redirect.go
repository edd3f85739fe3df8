package route

import "github.com/bonsainet/bonsai/ipv4"

// Routes that ICMP redirects made (RTF_DYNAMIC) are advice: they make room for
// others, and go when their gateway does not answer.

// makeRoom removes the dynamic route that is last in the list, and reports whether
// there was one.
func (t *Table) makeRoom() bool {
	for i := len(t.list) - 1; i >= 0; i-- {
		if t.list[i].Flags&RTF_DYNAMIC != 0 {
			t.remove(i)
			return true
		}
	}
	return false
}

// DelRedirects removes the dynamic routes through gateway gw, which does not
// answer: the gateway that sent the redirects is asked again (RFC 1122 section
// 3.3.1.4, dead gateway detection).
func (t *Table) DelRedirects(gw ipv4.Addr) {
	for i := len(t.list) - 1; i >= 0; i-- {
		if r := t.list[i]; r.Flags&RTF_DYNAMIC != 0 && r.Gateway == gw {
			t.remove(i)
		}
	}
}
