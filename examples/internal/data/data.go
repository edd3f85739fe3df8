// Package data is what examples and tests transfer: a stream that looks random, and
// says who it is.
package data

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"
	"math/rand/v2"
)

const block = 1 << 16

// Reader returns the first n bytes of stream number seed. No two stretches of it
// are equal.
func Reader(seed uint64, n int64) io.Reader {
	r := &reader{}
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	rand.NewChaCha8(key).Read(r.block[:])
	return io.LimitReader(r, n)
}

type reader struct {
	block [block]byte
	at    int
	round uint64
}

func (r *reader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if r.at == len(r.block) {
			r.at = 0
			r.round++
			for i := 0; i < len(r.block); i += 64 {
				binary.LittleEndian.PutUint64(r.block[i:], r.round<<16|uint64(i))
			}
		}
		k := copy(p[n:], r.block[r.at:])
		n += k
		r.at += k
	}
	return n, nil
}

// Digest returns the HTTP header Content-Digest of those bytes (RFC 9530).
func Digest(seed uint64, n int64) string {
	h := sha256.New()
	io.Copy(h, Reader(seed, n))
	return FormatDigest(h.Sum(nil))
}

// FormatDigest returns the header for a SHA-256.
func FormatDigest(sum []byte) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum) + ":"
}
