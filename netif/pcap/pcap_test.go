package pcap_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/devtest"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/netif/pcap"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

func TestWrappedDeviceKeepsTheContract(t *testing.T) {
	devtest.Run(t, func(t *testing.T) (a, b netif.Device) {
		x, y := emu.NewLink(emu.Config{})
		return pcap.Wrap(x, io.Discard), pcap.Wrap(y, io.Discard)
	})
}

// samples are frames of several sizes, with their times.
func samples() (frames [][]byte, times []int64) {
	for i := range 300 {
		f := bytes.Repeat([]byte{byte(i)}, 14+i*5)
		copy(f, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x88\xb5")
		frames = append(frames, f)
		times = append(times, 1_700_000_000_123_456_789+int64(i)*1_000_003)
	}
	return frames, times
}

func TestFileIsReadByGopacket(t *testing.T) {
	var file bytes.Buffer
	w := pcap.NewWriter(&file, 1000)
	frames, times := samples()
	for i, f := range frames {
		w.Packet(times[i], f)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data := file.Bytes()
	g, err := pcapgo.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcap.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if g.LinkType() != layers.LinkTypeEthernet || g.Snaplen() != 1000 {
		t.Errorf("link type %v, snaplen %d", g.LinkType(), g.Snaplen())
	}
	for i, f := range frames {
		want := f[:min(len(f), 1000)]
		p, ci, err := g.ReadPacketData()
		if err != nil || !bytes.Equal(p, want) || ci.Length != len(f) || ci.Timestamp.UnixNano() != times[i] {
			t.Fatalf("gopacket, packet %d: %d bytes, %+v, %v", i, len(p), ci, err)
		}
		ns, p, n, err := r.Next()
		if err != nil || !bytes.Equal(p, want) || n != len(f) || ns != times[i] {
			t.Fatalf("Reader, packet %d: %d of %d bytes at %d, %v", i, len(p), n, ns, err)
		}
	}
	if _, _, _, err := r.Next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	r, _ = pcap.NewReader(bytes.NewReader(data[:60]))
	if _, _, _, err := r.Next(); err != io.EOF && err != io.ErrUnexpectedEOF {
		r.Next()
	}
}

func TestReaderRejectsWhatIsNoCapture(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("x", 24),
		"\x0a\x0d\x0d\x0a" + strings.Repeat("\x00", 20),                                      // pcapng
		"\x4d\x3c\xb2\xa1\x02\x00\x04\x00" + strings.Repeat("\x00", 12) + "\x71\x00\x00\x00", // Linux cooked
	} {
		if _, err := pcap.NewReader(strings.NewReader(s)); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
	// A length beyond all limits must not be allocated.
	r, err := pcap.NewReader(strings.NewReader("\xa1\xb2\xc3\xd4\x00\x02\x00\x04" + strings.Repeat("\x00", 8) + "\xff\xff\xff\xff\x00\x00\x00\x01" + strings.Repeat("\xff", 16)))
	if err != nil {
		t.Fatal("big endian:", err)
	}
	if _, _, _, err := r.Next(); err == nil {
		t.Error("a packet of 4 GiB was taken")
	}
}

func TestFileIsReadByTcpdump(t *testing.T) {
	tcpdump, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("tcpdump is not installed")
	}
	name := filepath.Join(t.TempDir(), "x.pcap")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := pcap.NewWriter(file, 0)
	frames, times := samples()
	for i, f := range frames {
		w.Packet(times[i], f)
	}
	w.Close()
	file.Close()
	out, err := exec.Command(tcpdump, "-nn", "-tt", "--nano", "-r", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(out), "ethertype Unknown (0x88b5)"); n != len(frames) || !strings.Contains(string(out), "1700000000.123456789 ") {
		t.Errorf("tcpdump shows %d packets:\n%.300s", n, out)
	}
}

func TestWrapRecordsBothWays(t *testing.T) {
	var file bytes.Buffer
	var clock emu.Virtual
	w := pcap.NewWriter(&file, 0)
	x, y := emu.NewLink(emu.Config{})
	d := pcap.WrapWriter(x, w, func() int64 { return int64(clock.Now()) })
	frames, _ := samples()
	buf := []*netif.Buf{netif.NewBuf(1514)}
	for i, f := range frames[:6] {
		clock.Set(netif.Time(i) * 40e6)
		buf[0].CopyFrom(f)
		if i%2 == 0 {
			d.Send(buf)
		} else {
			y.Send(buf)
			if n, err := d.Recv(buf); n != 1 || err != nil || !bytes.Equal(buf[0].Bytes(), f) {
				t.Fatal(n, err)
			}
		}
	}
	if d.Close() != nil {
		t.Error("Close failed")
	}
	r, err := pcap.NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range frames[:6] {
		if ns, p, _, err := r.Next(); err != nil || ns != int64(i)*40e6 || !bytes.Equal(p, f) {
			t.Errorf("packet %d: %d bytes at %d, %v", i, len(p), ns, err)
		}
	}
}

// failing takes n bytes.
type failing struct{ n, calls int }

var errFull = errors.New("disk full")

func (f *failing) Write(p []byte) (int, error) {
	f.calls++
	if f.n -= len(p); f.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriterErrorEndsTheCaptureNotTheTraffic(t *testing.T) {
	f := &failing{n: 100000}
	x, y := emu.NewLink(emu.Config{})
	d := pcap.Wrap(x, f)
	out, in := []*netif.Buf{netif.NewBuf(1514)}, []*netif.Buf{netif.NewBuf(1514)}
	for i := range 500 {
		out[0].CopyFrom(bytes.Repeat([]byte{1}, 1000))
		if err := d.Send(out); err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if n, err := y.Recv(in); n != 1 || err != nil {
			t.Fatalf("frame %d: %d, %v", i, n, err)
		}
	}
	calls := f.calls
	if err := d.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close: %v", err)
	}
	if f.calls != calls {
		t.Error("wrote again after an error")
	}
}

func TestClosedWriterRecordsNothing(t *testing.T) {
	var file bytes.Buffer
	w := pcap.NewWriter(&file, 0)
	if w.Close() != nil || file.Len() != 24 {
		t.Error("an empty capture has no header")
	}
	w.Packet(0, make([]byte, 60))
	if w.Close() != nil || w.Flush() != nil || file.Len() != 24 {
		t.Error("recorded after Close")
	}
}

func TestBusyCaptureIsFlushedInTime(t *testing.T) {
	var file bytes.Buffer
	w := pcap.NewWriter(&file, 0)
	start := time.Now().UnixNano()
	for i := range 10 {
		w.Packet(start+int64(i)*30e6, make([]byte, 60))
	}
	// The header at once, then what was collected in 120 and in 240 ms.
	if got, want := file.Len(), 24+8*76; got != want {
		t.Errorf("%d bytes written, want %d", got, want)
	}
}

func BenchmarkWriter(b *testing.B) {
	w := pcap.NewWriter(io.Discard, 0)
	f := make([]byte, 1514)
	b.SetBytes(1514)
	b.ReportAllocs()
	for i := range b.N {
		w.Packet(int64(i)*1000, f)
	}
}

func FuzzReader(f *testing.F) {
	var file bytes.Buffer
	w := pcap.NewWriter(&file, 100)
	w.Packet(1, make([]byte, 60))
	w.Packet(2, make([]byte, 200))
	w.Close()
	f.Add(file.Bytes())
	f.Add(file.Bytes()[:70])
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := pcap.NewReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		for n := 0; ; n++ {
			_, frame, _, err := r.Next()
			if err != nil {
				return
			}
			if n > len(data)/16 || len(frame) > len(data) {
				t.Fatal("more packets than there are bytes for")
			}
		}
	})
}
