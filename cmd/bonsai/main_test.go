package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bonsai runs the command and returns its status and what it printed.
func bonsai(args ...string) (status int, out, errs string) {
	var o, e strings.Builder
	status = run(args, &o, &e)
	return status, o.String(), e.String()
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"help"}, {"nonsense"}, {"pkt"}, {"pkt", "-target", "moon", "x.pkt"}, {"pkt", "-x"}} {
		if status, out, errs := bonsai(args...); status != 2 || out != "" || errs == "" {
			t.Errorf("%q: status %d, %q, %q", args, status, out, errs)
		}
	}
}

func TestPkt(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good := write("good.pkt", "0 < S 1:1(0) win 9\n0 > R. 0:0(0) ack 2\n")
	bad := write("bad.pkt", "0 < S 1:1(0) win 9\n0 > R. 0:0(0) ack 3\n")
	broken := write("broken.pkt", "0 < Q\n")
	odd := write("odd.pkt", "--feature=teleport\n")
	for _, c := range []struct {
		args   []string
		status int
		want   []string
	}{
		{[]string{good}, 0, []string{"ok    " + good, "1 passed, 0 failed, 0 skipped"}},
		{[]string{"-v", good}, 0, []string{"|- R. 0:0(0) ack 2 win 0 -"}},
		{[]string{bad}, 1, []string{"FAIL  " + bad, bad + ":2: ack 2, want 3", "expected", "got"}},
		{[]string{broken}, 1, []string{broken + ":1:5: expected udp, icmp or TCP flags"}},
		{[]string{odd}, 0, []string{"skip  " + odd + ": needs feature teleport"}},
		{[]string{dir}, 1, []string{"1 passed, 2 failed, 1 skipped"}},
		{[]string{filepath.Join(dir, "none.pkt")}, 1, []string{"0 passed, 1 failed, 0 skipped"}},
	} {
		status, out, errs := bonsai(append([]string{"pkt"}, c.args...)...)
		if status != c.status {
			t.Errorf("%q: status %d, want %d\n%s%s", c.args, status, c.status, out, errs)
		}
		for _, w := range c.want {
			if !strings.Contains(out, w) {
				t.Errorf("%q: no %q in\n%s", c.args, w, out)
			}
		}
	}
}
