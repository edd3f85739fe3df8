package data

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// Handler serves as many bytes as the path says ("/1048576"), and answers a POST with
// an error if its body is not what the header Content-Digest says.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			if err := compare(io.Discard, r.Body, r.ContentLength, r.Header.Get("Content-Digest")); err != nil {
				http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			}
			return
		}
		n, err := strconv.ParseInt(r.URL.Path[1:], 10, 64)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		io.CopyBuffer(onlyWriter{w}, Reader(n), make([]byte, block))
	})
}

// onlyWriter hides a ReadFrom, which would copy by small pieces.
type onlyWriter struct{ io.Writer }

// compare reads r, copies it to w, and compares it with its length and digest.
func compare(w io.Writer, r io.Reader, n int64, digest string) error {
	h := sha256.New()
	got, err := io.CopyBuffer(onlyWriter{io.MultiWriter(h, w)}, r, make([]byte, block))
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", got, err)
	}
	if sum := format(h.Sum(nil)); got != n || sum != digest {
		return fmt.Errorf("%d bytes arrived with digest %s, want %d with %s", got, sum, n, digest)
	}
	return nil
}

// Transfer is Download or Upload.
type Transfer func(ctx context.Context, c *http.Client, url string, n int64, digest string, w io.Writer) error

// Download gets n bytes from a Handler at url and compares them with their digest.
// What arrives is also written to w.
func Download(ctx context.Context, c *http.Client, url string, n int64, digest string, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, "GET", url+strconv.FormatInt(n, 10), nil)
	if err != nil {
		return err
	}
	r, err := c.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("download: %s", r.Status)
	}
	return compare(w, r.Body, n, digest)
}

// Upload posts n bytes to a Handler at url, which compares them with their digest.
// What is sent is also written to w.
func Upload(ctx context.Context, c *http.Client, url string, n int64, digest string, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, "POST", url, io.TeeReader(Reader(n), w))
	if err != nil {
		return err
	}
	req.ContentLength = n
	req.Header.Set("Content-Digest", digest)
	r, err := c.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	answer, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("upload: %s: %s", r.Status, answer)
	}
	return err
}
