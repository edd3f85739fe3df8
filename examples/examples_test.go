package examples

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/feature/table"
)

// run is a call of an example, and what it prints: regular expressions, in this order.
type run struct {
	args string
	want string // a line each
	can  bool   // whether this profile can do it
	fail bool
}

var runs = []run{
	{"quickstart -size 8000000", `
^profile (minimal|client|full): .*wscale
^emulated Ethernet, MTU 1500$
^download  8000000 bytes in .* MB/s
sha-256=:.{43}=: matches
^upload    2000000 bytes in .* MB/s
sha-256=:.{43}=: matches
──▶  ARP      who has 198.18.0.1\?
◀──  ARP      198.18.0.1 is at 02:
──▶  SYN      seq 0 win \d+ · mss 1460
◀──  SYN\+ACK  seq 0 ack 1
──▶  ACK      seq 1 ack 1
──▶  PSH\+ACK  seq 1 ack 1 .*: GET /8000000 HTTP/1.1$
the stack in this program: \d+.\d kB
 tcp +\d+
beside it, gvisor`, true, false},
	{"quickstart -size 1000000 -loss 1% -delay 2ms -rate 100M -mtu 1400 -seed 7 -pcap PCAP", `
MTU 1400, 1% loss, 2ms delay, 100 Mbit/s, each way
download  1000000 bytes
matches
upload    250000 bytes
matches`, true, false},
	{"quickstart -loss 200%", "emu: Path.Loss must be a probability", true, true},
	{"ping -c 2 -i 10ms -delay 3ms", `
^PING 198.18.0.1: 56 data bytes$
^64 bytes from 198.18.0.1: icmp_seq=0 ttl=64 time=\d+\.\d+ ms$
^64 bytes from 198.18.0.1: icmp_seq=1 
^2 packets transmitted, 2 received, 0% packet loss$
^rtt min/avg/max/mdev = ([6-9]|\d\d+)\.`, feature.RawSock, false},
	{"ping -c 1 -s 4000", "^4008 bytes from", feature.RawSock && feature.Fragmentation && feature.Reassembly, false},
	{"udpecho", `
^echoing at 198.18.0.2:7$
^1 bytes came back to gVisor$
^1472 bytes came back to gVisor$`, true, false},
	{"ifconfig", `
^lo        Link encap:Local Loopback$
inet addr:127.0.0.1  Mask:255.0.0.0$
UP LOOPBACK RUNNING  MTU:65536
^eth0      Link encap:Ethernet  HWaddr 02:
BROADCAST MULTICAST  MTU:1500  Metric:1`, true, false},
	{"ifconfig eth0 198.18.0.2 netmask 255.255.255.0 mtu 1400 up", `
^eth0 
inet addr:198.18.0.2  Bcast:198.18.0.255  Mask:255.255.255.0$
UP BROADCAST RUNNING MULTICAST  MTU:1400  Metric:1$`, true, false},
	{"ifconfig eth1 up", "no such device", true, true},
	{"loop", "^1048576 bytes in [0-9]+ ms on the link$", true, false},
	{"craft", `
^ping$
ICMP     reply 1, 5 bytes
^ping with a flipped bit$
dropped: ICMP checksum
^SYN to a port
◀── RST\+ACK  seq 0 ack 8 win 0
^RST of one$
dropped: no TCP connection`, true, false},
	{"pktgvisor ../pktest/testdata/scripts/closed-port", `
^ok    .*\.pkt$
^12 passed, 0 failed, 0 skipped$`, true, false},
	{"pktgvisor ../pktest/testdata/scripts/sack/dsack-for-a-duplicate.pkt", `
^FAIL  .*dsack-for-a-duplicate.pkt$
dsack-for-a-duplicate.pkt:11: options none, want <nop,nop,sack 1:1001>`, true, true},
	{"bench -time 2ms -rounds 1 -run /(up|rr1)/(floor|bonsai|gvisor)$", `
^profile (minimal|client|full), go
^pair$
floor +\d+\.\d+ Gbit/s
bonsai +\d+\.\d+ Gbit/s
^sockets$
bonsai +\d+\.\d+ Gbit/s
gvisor +\d+\.\d+ Gbit/s .* x$`, true, false},
	{"httpget -h", "^usage: httpget", true, false},
}

// TestExamples builds all examples and runs those that take no privileges.
func TestExamples(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "-tags", table.Profiles[feature.Profile], "./...")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, r := range runs {
		t.Run(r.args, func(t *testing.T) {
			if !r.can {
				t.Skip("not in this profile")
			}
			t.Parallel()
			out, err := r.output(dir)
			if (err != nil) != r.fail {
				t.Fatalf("%v\n%s", err, out)
			}
			rest := strings.Split(out, "\n")
			for want := range strings.SplitSeq(strings.TrimSpace(r.want), "\n") {
				re := regexp.MustCompile(want)
				i := 0
				for i < len(rest) && !re.MatchString(rest[i]) {
					i++
				}
				if i == len(rest) {
					t.Fatalf("no line (behind those before) that matches %q in:\n%s", want, out)
				}
				rest = rest[i+1:]
			}
		})
	}
}

// output runs the example, for a minute at most.
func (r *run) output(dir string) (string, error) {
	args := strings.Fields(r.args)
	capture := filepath.Join(dir, fmt.Sprintf("%d.pcap", len(r.args)))
	for i := range args {
		if args[i] == "PCAP" {
			args[i] = capture
		}
	}
	cmd := exec.Command(filepath.Join(dir, args[0]), args[1:]...)
	timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	out, err := cmd.CombinedOutput()
	if strings.Contains(r.args, "PCAP") && err == nil {
		if b, e := os.ReadFile(capture); e != nil || len(b) < 1_250_000 || !bytes.HasPrefix(b, []byte{0x4d, 0x3c, 0xb2, 0xa1}) {
			err = fmt.Errorf("the capture has %d bytes: %v", len(b), e)
		}
	}
	return string(out), err
}

// TestHTTPGetSaysWhatItNeeds runs the example that takes root without it.
func TestHTTPGetSaysWhatItNeeds(t *testing.T) {
	if runtime.GOOS == "linux" && os.Getuid() == 0 {
		t.Skip("it is root: see TestHTTPGet")
	}
	exe := filepath.Join(t.TempDir(), "httpget")
	if out, err := exec.Command("go", "build", "-o", exe, "./httpget").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(exe, "http://198.18.0.1/").CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("httpget: tap: ")) {
		t.Errorf("%v: %s", err, out)
	}
}

// TestMainsAreShort holds the examples to a page each.
func TestMainsAreShort(t *testing.T) {
	files, _ := filepath.Glob("*/main.go")
	if len(files) < 7 {
		t.Errorf("only %d examples", len(files))
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if n := bytes.Count(b, []byte("\n")); err != nil || n >= 80 {
			t.Errorf("%s has %d lines, want less than 80, %v", f, n, err)
		}
	}
}
