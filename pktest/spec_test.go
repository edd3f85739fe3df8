package pktest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// recorder is a testing.TB that notes failures.
type recorder struct {
	testing.TB
	out strings.Builder
}

func (r *recorder) Helper()                           {}
func (r *recorder) Errorf(format string, args ...any) { fmt.Fprintf(&r.out, format+"\n", args...) }

func segment() Spec {
	return TCP(SYN|ACK).From("198.18.0.2:80").To("198.18.0.1:1024").Seq(1).Ack(2).Win(3).
		MACs(MAC{2, 0, 0, 0, 0, 1}, MAC{2, 0, 0, 0, 0, 2})
}

func TestWhatIsBuiltIsWhatWasSaid(t *testing.T) {
	data := []byte("hello")
	for _, s := range []Spec{
		segment(),
		segment().Opts(MSS(1460), SACKOK(), TS(1, 2), NOP(), WScale(7)).Data(data),
		segment().Opts(NOP(), NOP(), SACK(1, 2, 5, 9)).Urg(7).TTL(3).TOS(0x10).ID(99).DF(false),
		segment().Opts(MSS(536), EOL()),
		UDP().From("198.18.0.2:53").To("198.18.0.1:1024").Data(data),
		UDP().From("198.18.0.2:53").To("198.18.0.1:1024").Len(0),
		Echo(7, 9).From("198.18.0.2").To("198.18.0.1").Data(data),
		EchoReply(7, 9).From("198.18.0.2").To("198.18.0.1"),
		ICMP(3, 3).From("198.18.0.2").To("198.18.0.1").About(segment().Packet()),
		UDP().From("198.18.0.2:53").To("198.18.0.1:1024").Len(1480).Fragment(0, true),
		ARPRequest(MAC{2, 0, 0, 0, 0, 1}, "198.18.0.1", "198.18.0.2"),
		ARPReply(MAC{2, 0, 0, 0, 0, 1}, "198.18.0.1", MAC{2, 0, 0, 0, 0, 2}, "198.18.0.2"),
	} {
		r := &recorder{TB: t}
		if s.Check(r, s.Frame()); r.out.Len() > 0 {
			t.Errorf("%v: %s", s, r.out.String())
		}
		if len(s.Frame()) < 60 {
			t.Errorf("%v: a frame of %d bytes", s, len(s.Frame()))
		}
	}
}

func TestDiffNamesEachField(t *testing.T) {
	got := segment().Opts(MSS(1460), SACKOK()).Data([]byte("abc"))
	for _, c := range []struct {
		want Spec
		diff string
	}{
		{Want(SYN | ACK), ""},
		{Want(SYN | ACK).Seq(1).Opt(MSS(1460)), ""},
		{Want(SYN | ACK).Opt(SACKOK()).Opt(MSS(1460)), "options <mss 1460,sackOK>, want mss 1460 among them"},
		{Want(ACK), "flags S., want ."},
		{Want(SYN | ACK).Seq(7).Ack(8).Win(9), "seq 1, want 7; ack 2, want 8; win 3, want 9"},
		{Want(SYN | ACK).Opts(MSS(1460)), "options <mss 1460,sackOK>, want <mss 1460>"},
		{Want(SYN | ACK).NoOpt(KindSACKOK).NoOpt(KindTimestamp), "option sackOK, want none of its kind"},
		{Want(SYN | ACK).Data([]byte("abd")), "byte 2 of the data is 0x63, want 0x64"},
		{Want(SYN | ACK).Len(2), "3 bytes of data, want 2"},
		{Want(SYN | ACK).From("198.18.0.9"), "source 198.18.0.2:80, want 198.18.0.9:0"},
		{Want(SYN | ACK).To("198.18.0.1:9"), "destination 198.18.0.1:1024, want 198.18.0.1:9"},
		{Want(SYN | ACK).TTL(1).DF(false).ECN(2), "TTL 64, want 1; ECN 0, want 2; DF true, want false"},
		{UDP(), "protocol tcp, want udp"},
		{Echo(1, 2), "protocol tcp, want icmp"},
		{ARPRequest(MAC{}, "0.0.0.0", "0.0.0.0"), "S. 1:4(3) ack 2 win 3 <mss 1460,sackOK>, want arp who-has 0.0.0.0 tell 0.0.0.0"},
	} {
		p, err := Parse(got.Frame())
		if err != nil {
			t.Fatal(err)
		}
		if d := strings.Join(c.want.Diff(p), "; "); d != c.diff {
			t.Errorf("%v: %s, want %s", c.want, d, c.diff)
		}
	}
}

func TestCheckShowsBothSides(t *testing.T) {
	r := &recorder{TB: t}
	Want(SYN).Seq(0).Opts(MSS(536)).CheckIP(r, segment().Packet())
	const want = "flags S., want S; seq 1, want 0; options none, want <mss 536>\n" +
		"\tgot  S. 1:1(0) ack 2 win 3\n\twant S seq 0 <mss 536>\n"
	if got := r.out.String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// flip returns b with one bit changed.
func flip(b []byte, i int) []byte {
	c := bytes.Clone(b)
	c[i/8] ^= 1 << (i % 8)
	return c
}

func TestVerifyFindsEveryBitThatIsWrong(t *testing.T) {
	for _, s := range []Spec{
		segment().Opts(MSS(1460), NOP(), WScale(7)).Data([]byte("hello")),
		UDP().From("198.18.0.2:53").To("198.18.0.1:1024").Data([]byte("hello")),
		Echo(7, 9).From("198.18.0.2").To("198.18.0.1").Data([]byte("hello")),
	} {
		p := s.Packet()
		if err := VerifyIP(p); err != nil {
			t.Fatal(s, err)
		}
		for i := range 8 * len(p) {
			if VerifyIP(flip(p, i)) == nil {
				t.Errorf("%v: bit %d of byte %d may be anything", s, i%8, i/8)
			}
		}
	}
	f := ARPRequest(MAC{2, 0, 0, 0, 0, 1}, "198.18.0.1", "198.18.0.2").Frame()
	if err := Verify(f); err != nil {
		t.Error(err)
	}
	if f[59] = 1; Verify(f) == nil {
		t.Error("padding that is not zero")
	}
}

func TestBadChecksumIsOne(t *testing.T) {
	for _, s := range []Spec{segment(), UDP().From("198.18.0.2:53").To("198.18.0.1:9"), Echo(1, 2).From("198.18.0.2").To("198.18.0.1")} {
		if err := VerifyIP(s.BadChecksum().Packet()); err == nil || !strings.Contains(err.Error(), "checksum") {
			t.Errorf("%v: %v", s, err)
		}
	}
}

func TestRawOptionsStandAsTheyAre(t *testing.T) {
	b := segment().Opts(MSS(536), Raw([]byte{253, 0, 0})).Packet()
	if got := b[40:]; !bytes.Equal(got, []byte{2, 4, 2, 24, 253, 0, 0, 0}) {
		t.Errorf("% x", got)
	}
	if onesSum(pseudoSum(b, 20), b[20:]) != 0xffff {
		t.Error("checksum")
	}
	p, err := ParseIP(b)
	if err == nil {
		t.Errorf("gopacket takes an option of length 0: %v", p)
	}
}

func TestSpecIsNotChangedByWhatIsSaidLater(t *testing.T) {
	a := Want(SYN).Opt(MSS(1))
	a.Opt(SACKOK())
	b := a.Opt(NOP())
	if got := optionsString(a.some); got != "<mss 1>" {
		t.Error(got)
	}
	if got := optionsString(b.some); got != "<mss 1,nop>" {
		t.Error(got)
	}
}

func TestParsersTakeAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	frames := [][]byte{
		segment().Opts(MSS(1460), TS(1, 2)).Frame(),
		ICMP(3, 3).From("198.18.0.2").To("198.18.0.1").About(segment().Packet()).Frame(),
		ARPRequest(MAC{2}, "198.18.0.1", "198.18.0.2").Frame(),
		UDP().From("198.18.0.2:53").To("198.18.0.1:1024").Len(10).Frame(),
	}
	for range 20000 {
		f := bytes.Clone(frames[r.IntN(len(frames))])
		f = f[:r.IntN(len(f)+1)]
		for range r.IntN(4) {
			if len(f) > 0 {
				f[r.IntN(len(f))] = byte(r.Uint32())
			}
		}
		if p, err := Parse(f); err == nil {
			_ = p.String()
		}
		Verify(f)
	}
}

func TestFlagsAreWrittenAsTcpdumpDoes(t *testing.T) {
	for f := range Flags(256) {
		if got, ok := ParseFlags(f.String()); !ok || got != f {
			t.Errorf("%d: %q is %d", f, f.String(), got)
		}
	}
	if s := (SYN | ACK).String(); s != "S." {
		t.Error(s)
	}
	for _, s := range []string{"", "x", "S-", "s"} {
		if _, ok := ParseFlags(s); ok {
			t.Errorf("%q", s)
		}
	}
}

func ExampleSpec_Check() {
	r := new(recorder)
	synack := TCP(SYN | ACK).From("198.18.0.2:80").To("198.18.0.1:1024").Seq(99).Ack(1).Opts(MSS(536))
	Want(SYN|ACK).Seq(1).Opt(MSS(1460)).Check(r, synack.Frame())
	fmt.Print(strings.ReplaceAll(r.out.String(), "\t", ""))
	// Output:
	// seq 99, want 1; options <mss 536>, want mss 1460 among them
	// got  S. 99:99(0) ack 1 win 65535 <mss 536>
	// want S. seq 1 <mss 1460,...>
}
