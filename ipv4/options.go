package ipv4

// Option types (RFC 791 section 3.1, RFC 2113). Bit 7 says that fragments repeat
// the option.
const (
	OptEnd         = 0   // end of the list
	OptNop         = 1   // padding
	OptRecordRoute = 7   // RR
	OptTimestamp   = 68  // TS
	OptLooseRoute  = 131 // LSRR
	OptStrictRoute = 137 // SSRR
	OptRouterAlert = 148 // RFC 2113

	optCopied = 0x80
)

// CheckOptions checks a header's raw options.
//
// "The IP and transport layer MUST each interpret those IP options that they
// understand and silently ignore the others." RFC 1122 section 3.2.1.8. Here that
// means that every length must hold, and that a source route must have ended: a
// host that is no router delivers what is for it and passes nothing on. Record
// route and timestamp are checked, not filled in (ibid. (d) and (e): MAY).
//
// DropIPOptions calls for an ICMP parameter problem: pointer is then the offset
// of the offending octet from the start of the IP header.
func CheckOptions(opts []byte) (pointer uint8, d Drop) {
	for i := 0; i < len(opts); {
		typ := opts[i]
		if typ == OptEnd {
			break
		}
		if typ == OptNop {
			i++
			continue
		}
		// The length counts type and length octet too, so 0 and 1 would not get on.
		if i+1 >= len(opts) {
			return uint8(MinHeaderLen + i), DropIPOptions
		}
		n := int(opts[i+1])
		if n < 2 || i+n > len(opts) {
			return uint8(MinHeaderLen + i + 1), DropIPOptions
		}
		least := 0 // of the pointer, which counts from 1
		switch typ {
		case OptRecordRoute, OptLooseRoute, OptStrictRoute:
			least = 4
		case OptTimestamp:
			least = 5
		}
		if least > 0 {
			if n < least-1 {
				return uint8(MinHeaderLen + i + 1), DropIPOptions
			}
			ptr := int(opts[i+2])
			if ptr < least {
				return uint8(MinHeaderLen + i + 2), DropIPOptions
			}
			// "If the pointer is greater than the length, the source route is empty":
			// RFC 791 section 3.1. Until then there is a next hop, and it is not us.
			if typ&optCopied != 0 && ptr <= n {
				return 0, DropIPSourceRoute
			}
		}
		i += n
	}
	return 0, DropNone
}
