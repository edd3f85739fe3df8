package ipv4

// BadSource reports whether no packet on a link may have a as its source
// address: 0/8 (this network), 127/8, class D and class E, the limited broadcast
// among them.
//
// "A host MUST silently discard an incoming datagram containing an IP source
// address that is invalid by the rules of this section." RFC 1122 section
// 3.2.1.3. Its other rules, directed broadcasts and our own addresses, need the
// interfaces and are the stack's.
func BadSource(a Addr) bool { return a>>24 == 0 || a.IsLoopback() || a>>29 == 7 }
