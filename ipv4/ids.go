package ipv4

import "math/bits"

// IDs chooses the identification field.
//
// RFC 6864 section 4.1 lets an atomic datagram (DF set, not fragmented) carry any
// value: 0 will do. Everything else must not repeat a value for
// the same source, destination and protocol while a datagram may live, two
// minutes (ibid. section 4.3 and RFC 791 section 3.2).
//
// One counter for all would use the 65,536 values up at the rate of all traffic
// together, and would tell every peer how much we send to others. A counter per
// peer needs a table without bound. So a keyed hash of the three spreads them
// over a few counters, and another part of it is the offset at which they
// count: values of one peer repeat after 65,536 datagrams of its counter, and
// say nothing about another's. The hash is not cryptographic: what it hides is a
// traffic rate, and nothing else depends on it.
type IDs struct {
	key [2]uint64
	ctr [idCounters]uint16
}

const idCounters = 16 // a power of two

// Seed makes the values depend on two random words.
func (s *IDs) Seed(a, b uint64) { s.key = [2]uint64{a, b} }

// Next returns the identification for the next datagram from src to dst.
func (s *IDs) Next(src, dst Addr, proto uint8) uint16 {
	hi, lo := bits.Mul64(uint64(src)<<32^uint64(dst)^s.key[0],
		(uint64(proto)<<1|1)*0x9e3779b97f4a7c15^s.key[1])
	x := hi ^ lo
	x = (x ^ x>>32) * 0x9e3779b97f4a7c15
	c := &s.ctr[x>>60&(idCounters-1)]
	*c++
	return *c + uint16(x>>32)
}
