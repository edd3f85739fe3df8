package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// bench is an established connection and buffers to drive it with, timestamps and
// all.
type bench struct {
	c   *Conn
	now pkt.Time
	b   *pkt.Buf
	seg Segment
	p   [1448]byte
}

func newBench() *bench {
	syn := &Segment{MSS: 1460, WScale: -1, Wnd: 65535, HasTS: feature.Timestamps, SrcPort: there.Port, DstPort: here.Port}
	if feature.WScale {
		syn.WScale = 7
	}
	c, _ := fuzzConn(Options{RcvBuf: 256 << 10, SndBuf: 256 << 10, Linger: -1, RcvLowat: 1}, 4<<20, 1000, syn)
	return &bench{c: c, now: 2 * sec, b: pkt.NewBuf(1500)}
}

// output takes what there is to send and returns the number of segments.
func (x *bench) output() (n int) {
	for ; ; n++ {
		x.b.Reset()
		if !x.c.Output(x.now, x.b) {
			return n
		}
	}
}

// arrive gives c a segment of n octets that acknowledges all that it has sent.
func (x *bench) arrive(n int) {
	c := x.c
	x.seg = Segment{SrcPort: there.Port, DstPort: here.Port, Flags: ACK, Seq: c.rcv.nxt, Ack: c.snd.nxt, Wnd: 60000, WScale: -1,
		Payload: x.p[:n]}
	x.stamp()
	c.Input(x.now, &x.seg)
}

func (x *bench) stamp() {
	if feature.Timestamps {
		x.seg.HasTS, x.seg.TSVal, x.seg.TSEcr = true, uint32(x.now/ms), timestampsOf(x.c).clock(x.now)
	}
}

func (x *bench) receive() {
	x.now += 10 * pkt.Microsecond
	x.arrive(len(x.p))
	x.output()
	x.c.Read(x.p[:])
	x.output()
}

func (x *bench) send() {
	x.now += 10 * pkt.Microsecond
	x.c.Write(x.p[:])
	x.output()
	x.arrive(0)
	x.output()
}

// reorder loses a segment and gets it after the next.
func (x *bench) reorder() {
	x.now += 10 * pkt.Microsecond
	c := x.c
	for _, off := range []uint32{1448, 0} {
		x.seg = Segment{SrcPort: there.Port, DstPort: here.Port, Flags: ACK, Seq: c.rcv.nxt + off, Ack: c.snd.nxt, Wnd: 60000, WScale: -1,
			Payload: x.p[:]}
		x.stamp()
		c.Input(x.now, &x.seg)
		x.output()
	}
	x.c.Read(x.p[:])
	x.c.Read(x.p[:])
	x.output()
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	x := newBench()
	for _, c := range []struct {
		what string
		f    func()
	}{
		{"receiving", x.receive},
		{"sending", x.send},
		{"reordered", x.reorder},
		{"both ways", func() { x.send(); x.receive() }},
		{"a timeout", func() {
			x.c.Write(x.p[:100])
			x.output()
			x.now = x.c.Deadline()
			x.c.Timeout(x.now)
			x.output()
			x.arrive(0)
			x.output()
		}},
		{"a reset", func() { x.b.Reset(); Reset(&x.seg, there.Addr, here.Addr, x.b) }},
	} {
		for range 100 { // pools fill
			c.f()
		}
		if n := testing.AllocsPerRun(1000, c.f); n != 0 {
			t.Errorf("%s allocates %.1f times", c.what, n)
		}
	}
	if x.c.State() != Established || x.c.Buffered() != 0 {
		t.Errorf("%s, %d octets left", x.c.State(), x.c.Buffered())
	}
}

func BenchmarkReceive(b *testing.B) {
	x := newBench()
	b.SetBytes(1448)
	b.ReportAllocs()
	for b.Loop() {
		x.receive()
	}
}

func BenchmarkSend(b *testing.B) {
	x := newBench()
	b.SetBytes(1448)
	b.ReportAllocs()
	for b.Loop() {
		x.send()
	}
}

func BenchmarkReordered(b *testing.B) {
	x := newBench()
	b.SetBytes(2 * 1448)
	b.ReportAllocs()
	for b.Loop() {
		x.reorder()
	}
}

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"ACK", 0}, {"full", 1448}} {
		b.Run(c.name, func(b *testing.B) {
			p := append(header(ACK, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8), make([]byte, c.n)...)
			var s Segment
			pkt.Sum(0, p)
			sum := pkt.Checksum(pkt.Sum(0, p))
			p[16], p[17] = byte(sum>>8), byte(sum)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				if Parse(p, 0, &s) != ipv4.DropNone {
					b.Fatal("parse")
				}
			}
		})
	}
}

func BenchmarkDuplicateACK(b *testing.B) {
	x := newBench()
	x.c.Write(x.p[:])
	x.output()
	b.ReportAllocs()
	for b.Loop() {
		x.seg.Ack, x.seg.Seq, x.seg.Flags, x.seg.Wnd, x.seg.Payload = x.c.snd.una, x.c.rcv.nxt, ACK, 60000, nil
		x.seg.HasTS, x.seg.TSVal = feature.Timestamps, uint32(x.now/ms)
		x.c.Input(x.now, &x.seg)
		x.b.Reset()
		x.c.Output(x.now, x.b)
	}
}

func BenchmarkISN(b *testing.B) {
	k := Secret{1, 2}
	for b.Loop() {
		k.ISN(0, here, there)
	}
}
