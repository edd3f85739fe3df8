package tcp

import (
	"math/bits"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// Secret keys everything that must not be guessed from outside.
type Secret [2]uint64

// ISN returns the initial sequence number of a connection, "ISN = M + F(localip,
// localport, remoteip, remoteport, secretkey)" where M is "the 4 microsecond
// timer" (RFC 6528 section 3), and the connection's timestamp offset.
func (k *Secret) ISN(now pkt.Time, local, remote ipv4.Endpoint) (iss, tsOffset uint32) {
	h := k.Hash(local, remote)
	return uint32(h) + uint32(now/(4*pkt.Microsecond)), uint32(h >> 32)
}

// PortOffset returns where the search for a free port begins: "offset =
// F(local_IP, remote_IP, remote_port, secret_key)" (RFC 6056 section 3.3.3).
func (k *Secret) PortOffset(local ipv4.Addr, remote ipv4.Endpoint) uint32 {
	return uint32(k.Hash(ipv4.Endpoint{Addr: local}, remote))
}

// Hash is SipHash-2-4 (Aumasson and Bernstein, 2012) of the two endpoints, as
// little-endian numbers: local address, remote address, local port, remote port.
func (k *Secret) Hash(local, remote ipv4.Endpoint) uint64 {
	s := sip{
		k[0] ^ 0x736f6d6570736575, k[1] ^ 0x646f72616e646f6d,
		k[0] ^ 0x6c7967656e657261, k[1] ^ 0x7465646279746573,
	}
	for _, w := range [...]uint64{
		uint64(remote.Addr)<<32 | uint64(local.Addr),
		12<<56 | uint64(remote.Port)<<16 | uint64(local.Port), // the length is in the last byte
	} {
		s[3] ^= w
		s.rounds(2)
		s[0] ^= w
	}
	s[2] ^= 0xff
	s.rounds(4)
	return s[0] ^ s[1] ^ s[2] ^ s[3]
}

type sip [4]uint64

func (s *sip) rounds(n int) {
	a, b, c, d := s[0], s[1], s[2], s[3]
	for ; n > 0; n-- {
		a += b
		b = bits.RotateLeft64(b, 13) ^ a
		a = bits.RotateLeft64(a, 32)
		c += d
		d = bits.RotateLeft64(d, 16) ^ c
		a += d
		d = bits.RotateLeft64(d, 21) ^ a
		c += b
		b = bits.RotateLeft64(b, 17) ^ c
		c = bits.RotateLeft64(c, 32)
	}
	*s = sip{a, b, c, d}
}
