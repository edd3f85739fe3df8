package data

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

const seed = 1

// Handler serves as many bytes as the path says ("/1048576"), with a Content-Digest
// in the trailer, and answers a POST with the Content-Digest of its body.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			h := sha256.New()
			if _, err := io.Copy(h, r.Body); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Digest", FormatDigest(h.Sum(nil)))
			return
		}
		n, err := strconv.ParseInt(r.URL.Path[1:], 10, 64)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Trailer", "Content-Digest")
		h := sha256.New()
		io.CopyBuffer(struct{ io.Writer }{w}, io.TeeReader(Reader(seed, n), h), make([]byte, block))
		w.Header().Set("Content-Digest", FormatDigest(h.Sum(nil)))
	})
}

// Download gets n bytes from a Handler at url and compares their number and digest.
// What arrives is also written to w.
func Download(ctx context.Context, c *http.Client, url string, n int64, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, "GET", url+strconv.FormatInt(n, 10), nil)
	if err != nil {
		return err
	}
	r, err := c.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	h := sha256.New()
	got, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(h, w)}, r.Body, make([]byte, block))
	switch {
	case err != nil:
		return fmt.Errorf("after %d bytes: %w", got, err)
	case r.StatusCode != http.StatusOK:
		return fmt.Errorf("download: %s", r.Status)
	case got != n:
		return fmt.Errorf("%d bytes arrived, want %d", got, n)
	}
	if sent, sum := r.Trailer.Get("Content-Digest"), FormatDigest(h.Sum(nil)); sent != sum {
		return fmt.Errorf("digest of what was sent %q, of what arrived %q", sent, sum)
	}
	return nil
}

// Upload posts n bytes to a Handler at url and compares the digest that it returns.
// What is sent is also written to w.
func Upload(ctx context.Context, c *http.Client, url string, n int64, w io.Writer) error {
	h := sha256.New()
	body := io.TeeReader(Reader(seed, n), io.MultiWriter(h, w))
	req, err := http.NewRequestWithContext(ctx, "POST", url, body)
	if err != nil {
		return err
	}
	req.ContentLength = n
	r, err := c.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("upload: %s", r.Status)
	}
	if got, sum := r.Header.Get("Content-Digest"), FormatDigest(h.Sum(nil)); got != sum {
		return fmt.Errorf("digest of what was sent %q, of what arrived %q", sum, got)
	}
	return nil
}
