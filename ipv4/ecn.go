package ipv4

// The codepoints of ECN, the low two bits of TOS (RFC 3168 section 5).
const (
	ecnNotECT = 0
	ecnCE     = 3
)

// mark gives h, the header of what g's fragments make, the codepoint that it is to have, and
// reports whether there is one. "If any fragment of an IP packet to be reassembled has the CE
// codepoint set", the packet gets it, too; but "this MUST NOT occur if any of the other fragments
// [...] carries the Not-ECT codepoint": then it is dropped (RFC 3168 section 5.3).
func (g *datagram) mark(h *Header) bool {
	if g.ecn&(1<<ecnCE) != 0 {
		h.TOS |= ecnCE
	}
	return g.ecn&(1<<ecnCE|1<<ecnNotECT) != 1<<ecnCE|1<<ecnNotECT
}
