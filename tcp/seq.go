package tcp

// Sequence numbers are compared modulo 2^32: a is before b when the distance
// from a to b is less than 2^31 (RFC 9293 section 3.4).
func before(a, b uint32) bool   { return int32(a-b) < 0 }
func beforeEq(a, b uint32) bool { return int32(a-b) <= 0 }

func maxSeq(a, b uint32) uint32 {
	if before(a, b) {
		return b
	}
	return a
}
