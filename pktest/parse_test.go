package pktest

import (
	"strings"
	"testing"
	"time"
)

func TestMistakesInScriptsAreFoundWhereTheyAre(t *testing.T) {
	for _, c := range []struct{ text, err string }{
		{"--mtu=x\n", `x.pkt:1:1: "x" is not a value for --mtu`},
		{"--mtu\n", `x.pkt:1:1: "" is not a value for --mtu`},
		{"// fine\n--tolerence_usecs=5\n", "x.pkt:2:1: unknown option --tolerence_usecs"},
		{"`rm -rf /`\n", `x.pkt:1:11: the command "rm -rf /" is not run: only sysctl is understood`},
		{"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bnid\n", `x.pkt:3:1: expected "(", got the end of the file`},
		{"0 socket(..., SOCK_STREAMS, 0) = 3\n", "x.pkt:1:15: unknown name SOCK_STREAMS"},
		{"0 read(3, ..., 9) = -1 EWHAT (Oops)\n", "x.pkt:1:24: EWHAT is not the name of an error"},
		{"0 read(3, ..., 9) = 1 EAGAIN (Oops)\n", "x.pkt:1:21: a call that fails returns -1"},
		{"+0 < S 0:0(0)\n", "x.pkt:1:1: a packet to inject needs a window: win n"},
		{"+0 < . 0:0(0) win 9\n", "x.pkt:1:1: the ACK flag needs an ack number"},
		{"+0 > S 0:5(4)\n", "x.pkt:1:8: 0 + 4 is not 5"},
		{"+0 > Q 0:0(0)\n", `x.pkt:1:6: expected udp, icmp or TCP flags (S F R P . U E W, - for none), got "Q"`},
		{"+0 > S 0:0(0) <mss 70000>\n", "x.pkt:1:20: mss 70000 is not in 0 to 65535"},
		{"+0 > S 0:0(0) <mss 700\n", `x.pkt:2:1: expected ",", got the end of the file`},
		{"+0 > S 0:0(0) <msx 700>\n", `x.pkt:1:16: unknown TCP option "msx"`},
		{"+0 < S 0:0(0) win 9 <...>\n", "x.pkt:1:22: which options?"},
		{"+0 > S 0:0(0) <sack 1:2 3:4 5:6 7:8 9:10>\n", "x.pkt:1:16: 44 bytes of options, of 40"},
		{"+0 < icmp confusion\n", `x.pkt:1:11: unknown ICMP type "confusion"`},
		{"0.5...0.1 read(3, ..., 9) = 1\n", "x.pkt:1:10: the call ends before it begins"},
		{"0...1 < S 0:0(0) win 9\n", "x.pkt:1:1: only calls take time: a...b"},
		{"0~1 < S 0:0(0) win 9\n", "x.pkt:1:1: only packets to expect have a range of times: a~b"},
		{"S 0:0(0)\n", `x.pkt:1:1: expected the time of an event, got "S"`},
		{"+0 %{ import os }%\n", `x.pkt:1:7: expected assert or print, got "import": this is not Python`},
		{"+0 %{ assert 1 + }%\n", `x.pkt:1:18: expected a number or a name, got the end of the file`},
		{"+0 %{ assert foo(1) }%\n", "x.pkt:1:14: unknown function foo"},
		{"+0 %{ assert 1\n", "x.pkt:1:6: no }%"},
		{"/* for ever\n", "x.pkt:1:1: comment does not end"},
		{"+0\n", "x.pkt:2:1: expected an event, got the end of the file"},
		{"+0 < [ttl 300] S 0:0(0) win 9\n", "x.pkt:1:11: ttl 300 is not in 0 to 255"},
		{"+0 < [hop 3] S 0:0(0) win 9\n", `x.pkt:1:7: "hop" says nothing about an IPv4 header`},
	} {
		_, err := ParseScript("x.pkt", c.text)
		if err == nil || err.Error() != c.err {
			t.Errorf("%q:\n\tgot  %v\n\twant %s", c.text, err, c.err)
		}
	}
}

// What packetdrill's documentation shows, in every form that it has.
func TestLanguage(t *testing.T) {
	s, err := ParseScript("x.pkt", `--ip_version=ipv4
--local_ip=198.18.1.1
--gateway_ip=198.18.1.2
--netmask_ip=255.255.0.0
--remote_ip=198.19.1.1/24
--mtu=9000
--tolerance_usecs=10000
--define=ANSWER=42
`+"`sysctl -q net.ipv4.tcp_sack=0; sysctl -w net.ipv4.ip_local_port_range=\"1024 2048\"\necho 1 > /proc/sys/net/ipv4/tcp_ecn\n../common/defaults.sh`"+`
// comment
# comment
/* comment
   of two lines */
0.000 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3
0.100...0.200 connect(3, {sa_family = AF_INET, sin_port = htons(8080), sin_addr = inet_addr("198.19.1.1")}, 16) = -1 EINPROGRESS (Operation now in progress)
+.1 > S 0:0(0) win 64240 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>
+0.5...+0.7 sendmsg(3, {msg_name(...)=..., msg_iov(2)=[{..., 1000}, {..., 500}], msg_flags=0}, MSG_OOB) = 1500
* > [ect0] P. 1:1001(1000) ack 1 win 5 urg 7 <nop,nop,sack 1:2 3:4>
+0.1~+0.3 > SE. 0:0(0) ack 1 <...>
0.1~0.3 > R 0:0(0)
+0 < [1:1001(1000)] icmp unreachable frag_needed mtu 1200
+0 < icmp unreachable frag_needed mtu 1200 [tcp 1:1001(1000)]
+0 < udp (100)
+0 > udp (...)
+0 poll([{fd=3, events=POLLIN, revents=0}], 1, 0) = 0
+0 setsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0
+0 getsockopt(3, SOL_TCP, TCP_NODELAY, [ANSWER], [4]) = 0
+0 fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)
+0 %{
assert tcpi_state == TCP_ESTABLISHED, 'a message'
assert 1 <= tcpi_snd_cwnd < 10 and not (tcpi_unacked or tcpi_backoff)  # why not
print tcpi_rto // 1000
}%
+0 `+"`sleep 1`"+`
`)
	if err != nil {
		t.Fatal(err)
	}
	c := &s.config
	if c.setup.Local.String() != "198.18.1.1" || c.setup.Bits != 16 || c.setup.MTU != 9000 || c.tolerance != 10*time.Millisecond {
		t.Errorf("%+v", c)
	}
	if got := c.setup.Sysctl; len(got) != 3 || got[1] != (Sysctl{"net.ipv4.ip_local_port_range", "1024 2048"}) ||
		got[2] != (Sysctl{"net.ipv4.tcp_ecn", "1"}) {
		t.Errorf("%q", got)
	}
	if n := len(s.events); n != 17 {
		t.Errorf("%d events", n)
	}
	if e := s.events[1]; !e.time.blocks || e.time.end != 200*time.Millisecond || e.call.errno != 115 || len(e.call.args) != 3 {
		t.Errorf("%+v", e)
	}
	if e := s.events[3]; e.time.at != 500*time.Millisecond || e.time.end != 700*time.Millisecond || !e.time.relative {
		t.Errorf("%+v", e.time)
	}
	k := s.events[4].packet
	if k.flags != PSH|ACK || k.ecn != 2 || k.seq != 1 || k.n != 1000 || !k.hasUrg || optionsString(k.opts) != "<nop,nop,sack 1:2 3:4>" {
		t.Errorf("%+v", k)
	}
	for _, i := range []int{7, 8} {
		if k := s.events[i].packet; k.typ != 3 || k.code != 4 || k.rest != 1200 || k.quote == nil || k.quote.n != 1000 {
			t.Errorf("%+v", k)
		}
	}
	if v := s.events[13].call.args[3]; v.list[0].n != 42 {
		t.Errorf("%v", v)
	}
}

func TestExpressions(t *testing.T) {
	env := func(name string) (int64, bool) {
		v, ok := map[string]int64{"x": 7, "y": -3}[name]
		return v, ok
	}
	for _, c := range []struct {
		text string
		want int64
	}{
		{"1 + 2 * 3", 7}, {"(1 + 2) * 3", 9}, {"7 // 2", 3}, {"-7 // 2", -4}, {"7 / 2", 3}, {"-7 % 3", 2},
		{"x == 7", 1}, {"x != 7", 0}, {"1 < x <= 7", 1}, {"1 < x < 7", 0}, {"x > y", 1},
		{"x & 3", 3}, {"x | 8", 15}, {"x ^ 1", 6}, {"1 << 4", 16}, {"x >> 1", 3}, {"~0", -1}, {"- y", 3},
		{"not x", 0}, {"not x == 7", 0}, {"x == 7 and y == 3", 0}, {"x == 0 or y == -3", 1}, {"0 or 5", 5},
		{"abs(y)", 3}, {"min(x, y, 1)", -3}, {"max(x, y)", 7}, {"TCP_ESTABLISHED", 1}, {"True", 1}, {"0x10", 16},
		{"1 == 1 == 1", 1}, {"x & 3 == 3", 1},
	} {
		s, err := ParseScript("x.pkt", "0 %{ assert "+c.text+" }%")
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got, err := s.events[0].code[0].cond(env); err != nil || got != c.want {
			t.Errorf("%s = %d, %v, want %d", c.text, got, err, c.want)
		}
	}
	for _, text := range []string{"1 // 0", "z", "1 % 0"} {
		s, err := ParseScript("x.pkt", "0 %{ assert "+text+" }%")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.events[0].code[0].cond(env); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}

// failing scripts, and what is said about them.
func TestFailuresAreReportedAsACompilerDoes(t *testing.T) {
	const open = `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
0...0.1 connect(3, ..., ...) = 0
0 > S 0:0(0) <...>
0.1 < S. 0:0(0) ack 1 win 65535 <mss 1000>
0.1 > . 1:1(0) ack 1
`
	for _, c := range []struct{ text, want string }{
		{open + "+0 write(3, ..., 10) = 9\n", "x.pkt:6: write returned 10\n\texpected  write(3, ..., 10) = 9\n\tgot       = 10\n"},
		{open + "+0 write(3, ..., 10) = 10\n+0 > P. 1:12(11) ack 1\n",
			"x.pkt:7: 10 bytes of data, want 11\n\texpected  0.100000 > P. 1:12(11) ack 1\n\tgot       0.100000 > P. 1:11(10) ack 1 win"},
		{open + "+1 > . 1:1(0) ack 1\n", "x.pkt:6: no packet\n\texpected  1.100000 > . 1:1(0) ack 1\n\tgot       nothing until 1.104000\n"},
		{open + "+0 write(3, ..., 10) = 10\n+.1 > P. 1:11(10) ack 1\n", "x.pkt:7: at 0.100000, want 0.200000\n"},
		{open + "+0 write(3, ..., 10) = 10\n+.1 < . 1:1(0) ack 11 win 9\n", "x.pkt:7: the script ends without mentioning a packet\n\tgot       0.100000 > P. 1:11(10) ack 1"},
		{open + "+0 read(3, ..., 10) = 1\n", "x.pkt:6: read blocks\n"},
		{open + "+0...1 read(3, ..., 10) = 1\n", "x.pkt:6: read still blocks at 1.104000\n"},
		{open + "+0...1 read(3, ..., 10) = 1\n+.5 < P. 1:2(1) ack 1 win 9\n+0 > . 1:1(0) ack 2\n", "x.pkt:6: read ended at 0.600000, want 1.100000\n"},
		{open + "+0 %{ assert tcpi_state == TCP_CLOSE }%\n", "x.pkt:6: assertion failed: tcpi_state == TCP_CLOSE \n\tgot       tcpi_state is 1\n"},
		{open + "+0 %{ assert tcpi_nonsense }%\n", "x.pkt:6: tcpi_nonsense : no value for tcpi_nonsense\n"},
		{open + "+0 getsockopt(3, SOL_TCP, TCP_NODELAY, [1], [4]) = 0\n", "x.pkt:6: getsockopt gave [0]\n"},
		{open + "+0 getsockopt(3, SOL_TCP, TCP_INFO, ..., ...) = 0\n", "x.pkt:6: TCP_INFO is not read by a call here: write %{ assert"},
		{open + "+0 poll([{fd=3, events=POLLOUT, revents=POLLIN}], 1, 0) = 1\n", "x.pkt:6: poll gave revents POLLOUT\n"},
		{open + "+0 close(7) = 0\n", "x.pkt:6: close returned -1 EBADF\n"},
		{open + "+0 frobnicate(3) = 0\n", "x.pkt:6: unknown call frobnicate\n"},
		{open + "+0 < [fill 0] P. 1:101(100) ack 1 win 9\n+0 > . 1:1(0) ack 101\n+0 read(3, ..., 100) = 100\n",
			"x.pkt:8: byte 0 of the stream is 0x00, and the peer sent 0x"},
	} {
		s, err := ParseScript("x.pkt", c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		r := Run(s, NewBonsai())
		if got := r.String(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q:\n\tgot  %q\n\twant %q", c.text, got, c.want)
		}
	}
}

// What print says is in the report, and the ladder has the packets that no line mentions too, at
// their time.
func TestPrintAndPacketsNobodyAskedFor(t *testing.T) {
	s, err := ParseScript("x.pkt", `--allow_extra_packets
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
0...0.1 connect(3, ..., ...) = 0
0 > S 0:0(0) <...>
0.1 < S. 0:0(0) ack 1 win 65535 <mss 1000>
0.1 > . 1:1(0) ack 1
+0 write(3, ..., 10) = 10
+.1 < . 1:1(0) ack 11 win 65535
+0 %{ print tcpi_unacked + 7 }%
`)
	if err != nil {
		t.Fatal(err)
	}
	r := Run(s, NewBonsai())
	if r.Failed() || len(r.Printed) != 1 || r.Printed[0] != "x.pkt:9: tcpi_unacked + 7 = 7" {
		t.Errorf("%s%q", r, r.Printed)
	}
	l := r.Ladder.String()
	sent, acked := strings.Index(l, "P. 1:11(10)"), strings.Index(l, ". 1:1(0) ack 11 ")
	if sent < 0 || sent > acked {
		t.Errorf("the write's packet is not in its place:\n%s", l)
	}
}

func TestScriptsThatCanNotBeRunAreSkippedWithAReason(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"--feature=teleport\n", "needs feature teleport"},
		{"--feature=!wscale\n", "needs feature !wscale"},
		{"--target=kernel\n", "is for kernel"},
		{"`sysctl net.ipv4.tcp_nonsense=1`\n", "sysctl net.ipv4.tcp_nonsense is not known"},
		{"0 socket(..., SOCK_RAW, 1) = 3\n", "sockets of type 3"},
	} {
		s, err := ParseScript("x.pkt", c.text)
		if err != nil {
			t.Fatal(err)
		}
		if r := Run(s, NewBonsai()); r.Skipped != c.want || r.Failed() {
			t.Errorf("%q: %q, %v, want %q", c.text, r.Skipped, r, c.want)
		}
	}
}

func TestSameScriptTwiceIsTheSame(t *testing.T) {
	s, err := ReadScript("testdata/scripts/fast-retransmit/three-duplicate-acks.pkt")
	if err != nil {
		t.Fatal(err)
	}
	a, b := Run(s, NewBonsai()), Run(s, NewBonsai())
	if a.Ladder.String() != b.Ladder.String() || a.Packets == 0 {
		t.Errorf("%s%s", a.Ladder.String(), b.Ladder.String())
	}
}

func FuzzParseScript(f *testing.F) {
	f.Add("--mtu=1500\n`sysctl a=1`\n0 socket(..., SOCK_STREAM, 0) = 3\n+0 < S 0:0(0) win 9 <mss 1>\n")
	f.Add("* > [ect0] P. 1:2(1) ack 1 <sack 1:2,...>\n+0 %{ assert (1 < x) or not -1 }%\n0.1~0.2 > icmp type 3 [udp (1)]")
	f.Fuzz(func(t *testing.T, text string) { ParseScript("x.pkt", text) })
}
