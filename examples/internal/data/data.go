// Package data is what examples and tests transfer: a stream of bytes that look
// random, no two stretches of which are equal, and its digest.
package data

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"
	"math/rand/v2"
)

const block = 1 << 16

// Reader returns the first n bytes of the stream.
func Reader(n int64) io.Reader {
	r := &reader{}
	rand.NewChaCha8([32]byte{}).Read(r.block[:])
	return io.LimitReader(r, n)
}

// reader repeats a block with numbers in it.
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

// Digest returns the HTTP header Content-Digest of the first n bytes (RFC 9530).
func Digest(n int64) string {
	h := sha256.New()
	io.Copy(h, Reader(n))
	return format(h.Sum(nil))
}

func format(sum []byte) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum) + ":"
}
