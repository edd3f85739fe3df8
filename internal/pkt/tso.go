package pkt

// AllowSuper says of an empty Buf that TCP may leave checksums to who gets it, and that the IPv4
// packet that it puts there may be a super-segment of up to n bytes; 0: an ordinary one only.
func AllowSuper(b *Buf, n int) {
	b.mem[offMay] = 1
	LittleEndian.PutUint16(b.mem[offSuper:], uint16(n))
}

// Super returns how long a super-segment may be: see AllowSuper.
func Super(b *Buf) int { return int(LittleEndian.Uint16(b.mem[offSuper:])) }

// MayBePartial reports whether TCP may leave its checksum to who gets the Buf.
func MayBePartial(b *Buf) bool { return b.mem[offMay] != 0 }
