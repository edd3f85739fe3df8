package examples

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/internal/tapnet"
)

func TestMain(m *testing.M) { tapnet.Main(m) }

// TestHTTPGet fetches from the kernel's address on the TAP that the example makes.
func TestHTTPGet(t *testing.T) {
	tapnet.Need(t)
	exe := filepath.Join(t.TempDir(), "httpget")
	if out, err := exec.Command("go", "build", "-o", exe, "./httpget").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	srv := &http.Server{Addr: "0.0.0.0:8000", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s", r.RemoteAddr)
	})}
	go srv.ListenAndServe()
	defer srv.Close()
	cmd := exec.Command(exe, "http://198.18.0.1:8000/")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || !strings.HasPrefix(string(out), "hello, 198.18.0.2:") || !strings.Contains(stderr.String(), "200 OK") {
		t.Errorf("%v: %q, %q", err, out, stderr.String())
	}
}
