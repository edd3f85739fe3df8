package tcp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// source reads the decisions of a run from fuzz bytes; when they are used up, it
// gives zeros and done is true.
type source struct{ b []byte }

func (s *source) done() bool { return len(s.b) == 0 }

func (s *source) byte() byte {
	if len(s.b) == 0 {
		return 0
	}
	v := s.b[0]
	s.b = s.b[1:]
	return v
}

// n returns a number below max.
func (s *source) n(max int) int {
	if max <= 256 {
		return int(s.byte()) % max
	}
	return (int(s.byte())<<16 | int(s.byte())<<8 | int(s.byte())) % max
}

func FuzzParse(f *testing.F) {
	f.Add(header(SYN, optMSS, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7))
	f.Add(header(ACK, 1, 1, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0))
	f.Add(header(ACK, 1, 1, 5, 10, 1, 2, 3, 4, 0, 0, 0, 0))
	f.Add(header(SYN, 99, 0, 2, 4, 1))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) >= minHeaderLen { // checksums are no obstacle to fuzzing
			binary.BigEndian.PutUint16(p[16:], 0)
			binary.BigEndian.PutUint16(p[16:], pkt.Checksum(pkt.Sum(0, p)))
		}
		old := bytes.Clone(p)
		var s Segment
		d := Parse(p, 0, &s)
		if !bytes.Equal(p, old) {
			t.Fatal("Parse writes")
		}
		if d != ipv4.DropNone {
			return
		}
		hlen := int(p[12]>>4) * 4
		if hlen < 20 || hlen > len(p) || len(s.Payload) != len(p)-hlen {
			t.Fatalf("%x: header of %d, payload of %d", p, hlen, len(s.Payload))
		}
		if s.Flags&SYN == 0 && (s.MSS != 0 || s.WScale >= 0) || s.WScale > 14 || s.WScale < -1 {
			t.Fatalf("%x: %+v", p, s)
		}
		b := pkt.NewBuf(60)
		if Reset(&s, here.Addr, there.Addr, b) == (s.Flags&RST != 0) {
			t.Fatalf("%x: reset", p)
		}
	})
}

// FuzzChain compares a chain with a plain slice.
func FuzzChain(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 1, 1, 1, 0, 200, 200, 200, 2, 1, 1, 1})
	f.Add([]byte("grow write read drop, and so on until all of it is gone"))
	f.Fuzz(func(t *testing.T, in []byte) {
		in0 := &source{in}
		limit := 1 + in0.n(12)
		m := &pkt.Memory{Limit: uint32(limit * pkt.ChunkSize), Keep: uint32(in0.n(4) * pkt.ChunkSize)}
		var q chain
		var model []byte // what is in the queue; its length is how far it was written
		for !in0.done() {
			switch in0.n(5) {
			case 0: // append
				n := in0.n(3 * pkt.ChunkSize)
				p := stream(uint32(len(model))+uint32(n), n)
				last, i := q.tail, uint32(len(model))+pkt.ChunkSize-q.span
				have := int(q.grow(m, uint32(len(model)+n)))
				n = min(n, max(have-len(model), 0))
				if in0.n(2) == 0 && n > 0 {
					q.fill(last, i, p[:n])
				} else {
					q.write(uint32(len(model)), p[:n])
				}
				model = append(model, p[:n]...)
			case 1: // write in the middle
				if len(model) > 0 {
					at := in0.n(len(model))
					n := min(in0.n(5000), len(model)-at)
					p := stream(uint32(at)*3, n)
					q.write(uint32(at), p)
					copy(model[at:], p)
				}
			case 2: // read
				if len(model) > 0 {
					at := in0.n(len(model))
					p := make([]byte, min(in0.n(5000), len(model)-at))
					if in0.n(2) == 0 {
						q.read(uint32(at), p)
					} else {
						at = 0
						q.front(p)
					}
					if !bytes.Equal(p, model[at:][:len(p)]) {
						t.Fatalf("read %d at %d", len(p), at)
					}
				}
			case 3: // drop
				n := in0.n(len(model) + 1)
				q.drop(m, uint32(n), uint32(len(model)-n))
				model = model[n:]
				if len(model) == 0 {
					if q.tail != nil || q.cur != nil || q.span != 0 || m.Used() != 0 {
						t.Fatalf("an empty chain holds %d bytes", m.Used())
					}
				}
			case 4:
				if in0.n(20) == 0 {
					q.clear(m)
					model = nil
				}
			}
			n := q.chunks()
			if int(m.Used()) != n*pkt.ChunkSize || n > limit || int(q.span) < len(model) {
				t.Fatalf("%d chunks of %d, %d bytes used, span %d for %d", n, limit, m.Used(), q.span, len(model))
			}
		}
		all := make([]byte, len(model))
		q.read(0, all)
		if !bytes.Equal(all, model) {
			t.Fatal("the contents differ")
		}
	})
}

// FuzzIntervals compares intervals with a bitmap.
func FuzzIntervals(f *testing.F) {
	f.Add([]byte{1, 1, 3, 1, 5, 1, 2, 3, 4, 1, 200, 50, 100, 120})
	f.Add([]byte("0246813579"))
	f.Fuzz(func(t *testing.T, in []byte) {
		s := &source{in}
		base := uint32(s.byte())<<24 - 128
		var x intervals
		var set [600]bool
		for !s.done() {
			lo, n := s.n(256), 1+s.n(256)
			before := set
			for i := lo; i < lo+n; i++ {
				set[i] = true
			}
			if !x.add(base+uint32(lo), base+uint32(lo+n)) {
				if x.n != maxIntervals {
					t.Fatalf("refused with %d of %d", x.n, maxIntervals)
				}
				set = before
			}
			var got [600]bool
			last := -2
			for _, v := range x.v[:x.n] {
				lo, hi := int(v.lo-base), int(v.hi-base)
				if lo <= last || hi <= lo {
					t.Fatalf("interval %d to %d after %d", lo, hi, last)
				}
				for i := lo; i < hi; i++ {
					got[i] = true
				}
				last = hi
			}
			if got != set {
				t.Fatalf("after [%d, %d)", lo, lo+n)
			}
		}
	})
}

// FuzzReassemble gives a connection the pieces of a stream in any order, some with
// other contents: what is read is the first copy of each octet, all of it that
// can be.
func FuzzReassemble(f *testing.F) {
	f.Add([]byte{10, 5, 0, 0, 5, 0, 5, 5, 1, 0, 10, 0})
	f.Add([]byte("pieces of a stream that overlap each other in all kinds of ways, one after another"))
	f.Fuzz(func(t *testing.T, in []byte) {
		s := &source{in}
		c, mem := fuzzConn(Options{RcvBuf: 4000, SndBuf: 1000, Linger: -1, RcvLowat: 1}, 64*pkt.ChunkSize, uint32(s.byte())<<24, nil)
		irs := c.rcv.nxt
		var first [9000]int // which copy of each octet came first; 0: none
		next := 0           // octets in sequence
		copies := 0
		var read []byte
		b := pkt.NewBuf(1500)
		for !s.done() && copies < 250 {
			lo := next + s.n(256)*4 - 200
			n := 1 + s.n(256)
			if lo < 0 || lo+n > len(first) {
				continue
			}
			copies++
			p := bytes.Repeat([]byte{byte(copies)}, n)
			nxt, edge := int(c.rcv.nxt-irs), int(c.rcv.adv-irs)
			full := c.rcv.ooo != nil && c.rcv.ooo.n == maxIntervals
			old := 0
			if c.rcv.ooo != nil {
				old = c.rcv.ooo.n
			}
			d, _ := c.Input(sec, &Segment{Flags: ACK, Seq: irs + uint32(lo), Ack: c.snd.nxt, Wnd: 1000, WScale: -1, Payload: p})
			_ = old
			taken := lo < edge && lo+n > nxt && d == ipv4.DropNone
			if !taken && d == ipv4.DropNone && lo+n > nxt && lo < edge {
				t.Fatalf("not taken")
			}
			if d == ipv4.DropMemory && !full {
				t.Fatalf("refused, with %d pieces", old)
			}
			if taken {
				for i := max(lo, nxt); i < min(lo+n, edge); i++ {
					if first[i] == 0 {
						first[i] = copies
					}
				}
			}
			for next < len(first) && first[next] != 0 {
				next++
			}
			if int(c.rcv.nxt-irs) != next {
				t.Fatalf("rcv.nxt is %d, want %d", c.rcv.nxt-irs, next)
			}
			if w := invariant(c); w != "" {
				t.Fatal(w)
			}
			for c.Output(sec, b) {
				b.Reset()
			}
			if s.n(4) == 0 {
				p := make([]byte, s.n(256))
				n, _ := c.Read(p)
				read = append(read, p[:n]...)
			}
		}
		p := make([]byte, c.Buffered())
		c.Read(p)
		read = append(read, p...)
		if len(read) != next {
			t.Fatalf("read %d of %d", len(read), next)
		}
		for i, v := range read {
			if int(v) != first[i] {
				t.Fatalf("octet %d is of copy %d, the first was %d", i, v, first[i])
			}
		}
		c.Abort()
		if mem.Used() != 0 {
			t.Fatalf("%d bytes held", mem.Used())
		}
	})
}

// fuzzConn returns an established connection whose peer sends from irs+1 on.
func fuzzConn(opt Options, limit, irs uint32, syn *Segment) (*Conn, *pkt.Memory) {
	mem := &pkt.Memory{Limit: limit, Keep: limit}
	env := &Env{Mem: mem, SynRetries: 7, Retries2: 15, OrphanRetries: 8, FinTimeout: 60 * sec}
	c := new(Conn)
	c.Init(env, opt)
	c.Open(sec, here, there, 1460, 0xffff_f000, 0)
	b := pkt.NewBuf(1500)
	for c.Output(sec, b) {
		b.Reset()
	}
	if syn == nil {
		syn = &Segment{MSS: 1460, WScale: -1, Wnd: 65535}
	}
	syn.Flags, syn.Seq, syn.Ack = SYN|ACK, irs, c.snd.nxt
	c.Input(sec, syn)
	for c.Output(sec, b) {
		b.Reset()
	}
	return c, mem
}

// machine drives one Conn with arbitrary segments, calls and time, and checks what
// must hold whatever happens.
type machine struct {
	t    *testing.T
	c    *Conn
	mem  *pkt.Memory
	now  pkt.Time
	tso  bool   // super-segments
	mine uint32 // ours: right edge as advertised
	has  bool   // mine is set
	log  []string
}

func (m *machine) failf(format string, args ...any) {
	m.t.Helper()
	l := m.log
	if len(l) > 40 {
		l = l[len(l)-40:]
	}
	for _, x := range l {
		m.t.Log(x)
	}
	m.t.Fatalf(format, args...)
}

func (m *machine) logf(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf("%9.3f %-12s ", float64(m.now)/float64(sec), m.c.State())+fmt.Sprintf(format, args...))
}

// output takes what the Conn has to send and checks it.
func (m *machine) output(reply func([]byte)) {
	m.t.Helper()
	c := m.c
	b := pkt.NewBuf(1500)
	if m.tso {
		b = pkt.NewBuf(pkt.SuperSize)
	}
	for n := 0; ; n++ {
		if n > 5000 {
			m.failf("Output does not end")
		}
		b.Reset()
		if m.tso {
			pkt.AllowSuper(b, ipv4.MaxLen)
		}
		cwnd := int64(c.cc.cwnd+c.cc.limitedTransmit(c)) - int64(c.flight())
		una, nxt := c.snd.una, c.snd.nxt
		room := int32(una + c.snd.wnd - nxt)
		probe := c.flags&flagProbe != 0
		if !c.Output(m.now, b) {
			break
		}
		segs, err := wireSegments(b)
		if err != "" {
			m.failf("%s", err)
		}
		if n := int64(b.Len()) - int64(b.Bytes()[12]>>4)*4; len(segs) > 1 && (n > cwnd || n > int64(room)) {
			m.failf("a super-segment of %d bytes, the windows have room for %d and %d", n, cwnd, room)
		}
		for _, p := range segs {
			m.sent(p, una, nxt, room, probe)
			m.check()
			if reply != nil {
				reply(p)
			}
		}
	}
	m.check()
}

// sent checks a segment of the Conn's. una, nxt and room are from before it, probe says that one
// was due.
func (m *machine) sent(p []byte, una, nxt uint32, room int32, probe bool) {
	m.t.Helper()
	c := m.c
	var s Segment
	if d := Parse(p, ipv4.PseudoSum(c.localAddr, c.remoteAddr, ipv4.ProtoTCP, len(p)), &s); d != ipv4.DropNone {
		m.failf("sent what does not parse: %s", d)
	}
	m.logf("--> %s %d(%d) ack %d win %d", flagString(s.Flags), s.Seq, len(s.Payload), s.Ack, s.Wnd)
	// New data stays within the peer's window, probes apart.
	if s.Flags&(RST|SYN) == 0 && s.Len() > 0 && !before(s.Seq, nxt) && !probe && int32(s.Len()) > room {
		m.failf("%d sequence numbers sent into a window of %d", s.Len(), room)
	}
	if s.Flags&(RST|SYN) == 0 && before(s.Seq, una-1) {
		m.failf("sent from before SND.UNA")
	}
	if s.Flags&(RST|SYN) == 0 && s.Flags&ACK != 0 {
		edge := s.Ack + uint32(s.Wnd)<<c.rcv.wscale
		if m.has && before(edge, m.mine) && m.mine-edge >= 1<<c.rcv.wscale && !c.rcv.short {
			m.failf("the right edge moved back by %d", m.mine-edge)
		}
		if !m.has || before(m.mine, edge) {
			m.mine, m.has = edge, true
		}
	}
}

func (m *machine) check() {
	m.t.Helper()
	if s := invariant(m.c); s != "" {
		m.failf("%s", s)
	}
	if n := chunks(m.c) * pkt.ChunkSize; n != int(m.mem.Used()) {
		m.failf("%d bytes in chunks, %d used", n, m.mem.Used())
	}
	c := m.c
	if feature.On("sack") {
		if s := sackInvariant(c); s != "" {
			m.failf("%s", s)
		}
	}
}

// blocked reports what should be under way but has no timer. It holds after
// Output.
func (m *machine) blocked() string {
	c := m.c
	if c.state == Closed || c.state == TimeWait || c.Deadline() != pkt.Never {
		return ""
	}
	switch {
	case c.snd.una != c.snd.nxt:
		return "data in flight, no timer"
	case c.state == SynSent || c.state == SynReceived:
		return "no timer for the SYN"
	case c.snd.end != c.snd.nxt && c.flags&flagFinSent == 0:
		return "data to send, none in flight, no timer"
	case c.flags&flagFinQueued != 0 && c.flags&flagFinSent == 0:
		return "FIN to send, nothing in flight, no timer"
	case c.rcv.nxt != c.rcv.acked && c.state != SynReceived:
		return "an ACK is owed, no timer"
	}
	return ""
}

func FuzzConn(f *testing.F) {
	f.Add([]byte{0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	f.Add([]byte("The quick brown fox jumps over the lazy dog, 0123456789 times, and each time a segment flies"))
	f.Add(bytes.Repeat([]byte{1, 0, 16, 0, 0, 0, 0, 8}, 60))
	f.Add(bytes.Repeat([]byte{2, 4, 0, 5, 200, 200, 1, 0, 0, 3, 100}, 40))
	f.Fuzz(func(t *testing.T, in []byte) { runConn(t, &source{in}) })
}

func runConn(t *testing.T, s *source) {
	cfg := s.byte()
	opt := Options{RcvBuf: 2048 << (cfg & 7), SndBuf: 3000 << (cfg >> 3 & 3), Linger: -1, RcvLowat: 1}
	limit := uint32(256 * pkt.ChunkSize)
	if cfg&0x80 != 0 {
		limit = 6 * pkt.ChunkSize
	}
	mem := &pkt.Memory{Limit: limit, Keep: limit}
	env := &Env{Mem: mem, SynRetries: 3, Retries2: 4, OrphanRetries: 2, FinTimeout: 60 * sec}
	c := new(Conn)
	c.Init(env, opt)
	m := &machine{t: t, c: c, mem: mem, now: sec, tso: feature.TSO && cfg&0x10 != 0}
	iss := uint32(s.byte())<<24 - 3000
	irs := uint32(s.byte())<<24 - 2000
	if cfg&0x40 != 0 {
		c.SetNoDelay(true)
	}
	if cfg&0x20 != 0 {
		seg := Segment{Flags: SYN, Seq: irs, Wnd: uint16(s.byte()) << 8, MSS: uint16(s.byte()) << 4, WScale: int8(s.byte()%16) - 1,
			HasTS: feature.Timestamps && s.byte()&1 != 0, TSVal: 1000}
		c.Accept(m.now, &seg, here, there, 1460, iss, 0)
	} else {
		c.Open(m.now, here, there, 1460, iss, 0)
	}
	m.output(nil)
	for steps := 0; !s.done() && steps < 2000; steps++ {
		m.step(s, irs)
		m.output(nil)
		if w := m.blocked(); w != "" {
			m.failf("%s", w)
		}
		c.TakeEvents()
	}
	// Left alone, it ends, unless it just waits for somebody.
	c.Close(m.now)
	m.output(nil)
	for n := 0; !c.Done() && c.Deadline() != pkt.Never; n++ {
		if n > 10000 {
			m.failf("does not end")
		}
		m.now = max(m.now, c.Deadline())
		m.logf("timeout")
		c.Timeout(m.now)
		m.output(nil)
	}
	if !c.Done() && c.State() != TimeWait {
		m.failf("closed, but still in %s", c.State())
	}
	c.Abort()
	m.output(nil)
	if mem.Used() != 0 || c.Deadline() != pkt.Never {
		m.failf("%d bytes held after the end", mem.Used())
	}
}

// step is one decision.
func (m *machine) step(s *source, irs uint32) {
	c := m.c
	switch s.n(16) {
	default: // a segment near the truth
		seg := Segment{SrcPort: 80, DstPort: 49152, Flags: ACK, WScale: -1, Wnd: 65535}
		seg.Seq = c.rcv.nxt
		if c.state == SynSent {
			seg.Seq = irs
		}
		seg.Ack = c.snd.nxt
		k := s.byte()
		if k&1 != 0 {
			seg.Seq += uint32(int32(int8(s.byte())) * []int32{1, 10, 500, 1 << 23}[s.n(4)])
		}
		if k&2 != 0 {
			seg.Ack -= uint32(int32(int8(s.byte())) * []int32{1, 100, 1460, 1 << 23}[s.n(4)])
		} else if k&4 != 0 {
			seg.Ack = c.snd.una
		}
		if k&8 != 0 {
			seg.Wnd = uint16(s.byte()) << s.n(9)
		}
		if k&16 != 0 {
			seg.Payload = stream(seg.Seq-irs, s.n(1461))
		}
		if k&32 != 0 {
			seg.Flags = Flags(s.byte())
		} else if c.state == SynSent {
			seg.Flags |= SYN
		}
		if k&64 != 0 {
			seg.Urg = uint16(s.byte()) << s.n(9)
		}
		if seg.Flags&SYN != 0 {
			seg.MSS, seg.WScale = uint16(s.byte())<<s.n(9), int8(s.n(16))-1
		}
		if feature.Timestamps && (c.flags&flagTS != 0 || k&128 != 0) {
			seg.HasTS, seg.TSVal, seg.TSEcr = true, timestampsOf(c).recent, timestampsOf(c).clock(m.now)
			if k&128 != 0 {
				seg.TSVal += uint32(int32(int8(s.byte())) << s.n(25))
				seg.TSEcr -= uint32(int32(int8(s.byte())) << s.n(25))
			}
		}
		if feature.On("sack") {
			fuzzSACK(s, c, &seg)
		}
		m.logf("    <-- %s %d(%d) ack %d win %d", flagString(seg.Flags), seg.Seq, len(seg.Payload), seg.Ack, seg.Wnd)
		d, _ := c.Input(m.now, &seg)
		if d != ipv4.DropNone {
			m.logf("        dropped: %s", d)
		}
	case 0, 1:
		n := s.n(5000)
		got, e := c.Write(make([]byte, n))
		m.logf("Write(%d) = %d, %d", n, got, e)
	case 2, 3:
		p := make([]byte, s.n(8000))
		got, e := c.Read(p)
		m.logf("Read(%d) = %d, %d", len(p), got, e)
		if got == 0 && e == 0 && len(p) > 0 && c.flags&(flagFinRcvd|flagReadClosed) == 0 && c.state != Closed {
			m.failf("the end of the stream in %s", c.State())
		}
	case 4, 5, 6: // time: to the next deadline, or less
		dt := pkt.Time(s.byte()) * ms
		if at := c.Deadline(); at != pkt.Never && s.n(2) == 0 {
			dt = max(at-m.now, 0)
		}
		m.now += dt
		m.logf("Timeout")
		c.Timeout(m.now)
	case 7:
		switch s.n(12) {
		case 0:
			m.logf("CloseWrite = %d", c.CloseWrite())
		case 1:
			m.logf("CloseRead = %d", c.CloseRead())
		case 2:
			m.logf("Close")
			c.Close(m.now)
		case 3:
			if s.n(4) == 0 {
				m.logf("Abort")
				c.Abort()
			}
		case 4:
			c.SetNoDelay(s.n(2) == 0)
		case 5:
			c.SetCork(s.n(2) == 0)
		case 6:
			c.SetQuickAck(s.n(2) == 0)
		case 7:
			c.SetPathMSS(uint16(28 + s.n(1433)))
		case 8:
			c.ICMP(errno.EHOSTUNREACH, c.snd.una+uint32(s.n(3)))
		case 9:
			c.Options.UserTimeout = uint32(s.byte()) * 1000
		case 10:
			c.Options.SndBuf = uint32(2048 + s.n(20000))
		case 11:
			c.Err()
		}
	}
	m.check()
}

// random is a source of n bytes.
func random(seed uint64, n int) *source {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return &source{b}
}

func TestConnHoldsItsInvariantsWhateverArrives(t *testing.T) {
	for seed := range uint64(200) {
		runConn(t, random(seed, 100<<(seed%6)))
	}
}

func TestPairDeliversOverAnyChannel(t *testing.T) {
	for seed := range uint64(100) {
		s := random(seed, 50<<(seed%8))
		runPair(t, s)
	}
}

// FuzzPair has two Conns talk over a channel that loses, delays, repeats and
// reorders, as the fuzz bytes say. What is read is what was written; once the
// channel is good again, all of it arrives.
func FuzzPair(f *testing.F) {
	f.Add([]byte{0, 0})
	f.Add([]byte{1, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	f.Add(bytes.Repeat([]byte{3, 0, 0, 9, 0, 0, 0, 1, 4, 0}, 30))
	f.Add(bytes.Repeat([]byte("loss, delay, duplicates"), 9))
	f.Fuzz(func(t *testing.T, in []byte) { runPair(t, &source{in}) })
}

type flight struct {
	at pkt.Time
	p  []byte
}

func runPair(t *testing.T, s *source) {
	cfg, size, strip := s.byte(), (1+s.n(64))*1500, s.byte()
	env := [2]*Env{}
	var m [2]*machine
	for i := range m {
		mem := &pkt.Memory{Limit: 256 * pkt.ChunkSize, Keep: 256 * pkt.ChunkSize}
		if cfg&9 == 1 { // data one way only: queues that compete for the last chunks just crawl
			mem.Limit = 12 * pkt.ChunkSize
		}
		env[i] = &Env{Mem: mem, SynRetries: 7, Retries2: 15, OrphanRetries: 8, FinTimeout: 60 * sec}
		c := new(Conn)
		c.Init(env[i], Options{RcvBuf: 4096 << (cfg >> 1 & 7), SndBuf: 8192 << (cfg >> 4 & 3), Linger: -1, RcvLowat: 1})
		c.SetNoDelay(cfg&0x40 != 0)
		m[i] = &machine{t: t, c: c, mem: mem, now: sec, tso: feature.TSO && strip&8 != 0}
	}
	now := sec
	var wire [2][]flight // to m[i]
	queue := func(to int, p []byte, at pkt.Time) {
		q := append(wire[to], flight{at, bytes.Clone(p)})
		slices.SortStableFunc(q, func(a, b flight) int { return int(a.at - b.at) })
		wire[to] = q
	}
	send := func(from int) func(p []byte) {
		return func(p []byte) {
			delay := 10 * ms
			switch k := s.byte(); { // 0, when the bytes are used up, is a good channel
			case k < 128:
			case k < 160:
				return // lost
			case k < 190:
				delay += pkt.Time(s.byte()) * ms / 4 // reordered
			case k < 210:
				queue(1-from, p, now+delay+pkt.Time(s.byte())*ms) // twice
			case k < 214:
				delay += pkt.Time(s.byte()) * 20 * ms // out of date
			}
			queue(1-from, p, now+delay)
		}
	}
	a := ipv4.Endpoint{Addr: here.Addr, Port: 1}
	z := ipv4.Endpoint{Addr: there.Addr, Port: 2}
	m[0].c.Open(now, a, z, 1460, 0xffff_0000, 5)
	m[1].c.Open(now, z, a, 1460, 0x7fff_ff00, 9) // simultaneous, unless it only waits
	if cfg&0x80 == 0 {
		m[1].c.Init(env[1], m[1].c.Options)
	}
	var wrote, read [2]int
	deliver := func(i int, p []byte) {
		c := m[i].c
		var seg Segment
		src, dst := c.remoteAddr, c.localAddr
		if c.state == Closed {
			src, dst = here.Addr, there.Addr
		}
		if d := Parse(p, ipv4.PseudoSum(src, dst, ipv4.ProtoTCP, len(p)), &seg); d != ipv4.DropNone {
			t.Fatal(d)
		}
		if seg.Flags&SYN != 0 { // a peer, or a box on the way, that knows less than we do
			if strip&1 != 0 {
				stripSACK(&seg)
			}
			if strip&2 != 0 {
				seg.HasTS = false
			}
			if strip&4 != 0 {
				seg.WScale = -1
			}
		}
		if c.state == Closed && i == 1 && seg.Flags&(SYN|ACK|RST) == SYN && c.localPort == 0 {
			c.Accept(now, &seg, z, a, 1460, 0x7fff_ff00, 9)
			if feature.Listen && strip&8 != 0 {
				c.Defer(strip >> 4)
			}
			return
		}
		m[i].logf("    <-- %s %d(%d) ack %d win %d", flagString(seg.Flags), seg.Seq, len(seg.Payload), seg.Ack, seg.Wnd)
		d, _ := c.Input(now, &seg)
		if d != ipv4.DropNone {
			m[i].logf("        dropped: %s", d)
		}
	}
	var buf [3000]byte
	finished := [2]bool{}
	for steps := 0; ; steps++ {
		if steps > 200000 || now > 40000*sec {
			for i := range m {
				for _, l := range m[i].log[max(len(m[i].log)-30, 0):] {
					t.Log(i, l)
				}
			}
			t.Fatalf("no end: at %d s, wrote %v, read %v of %d, %s and %s", now/sec, wrote, read, size, m[0].c.State(), m[1].c.State())
		}
		for i := range m {
			c := m[i].c
			m[i].now = now
			for len(wire[i]) > 0 && wire[i][0].at <= now {
				p := wire[i][0].p
				wire[i] = wire[i][1:]
				deliver(i, p)
			}
			if now >= c.Deadline() {
				m[i].logf("timeout")
				c.Timeout(now)
			}
			if i == 0 || cfg&8 != 0 {
				for wrote[i] < size && c.state != Closed {
					n, e := c.Write(stream(uint32(wrote[i]), min(size-wrote[i], 1+s.n(3000)+500)))
					wrote[i] += n
					if n == 0 || e != 0 {
						break
					}
				}
			}
			if wrote[i] == size || i == 1 && cfg&8 == 0 {
				if c.state == Established || c.state == CloseWait {
					c.CloseWrite()
				}
			}
			if s.n(3) != 1 || now > 20000*sec { // sooner or later, an application reads
				for {
					n, e := c.Read(buf[:1+s.n(3000)])
					if !bytes.Equal(buf[:n], stream(uint32(read[i]), n)) {
						t.Fatalf("read other octets than were written, at %d", read[i])
					}
					read[i] += n
					if n == 0 {
						finished[i] = e == 0
						break
					}
				}
			}
			m[i].output(send(i))
			if w := m[i].blocked(); w != "" {
				m[i].failf("%s", w)
			}
		}
		next := pkt.Never
		over := true
		for i := range m {
			if len(wire[i]) > 0 {
				next = min(next, wire[i][0].at)
			}
			next = min(next, m[i].c.Deadline())
			over = over && (m[i].c.state == Closed || m[i].c.state == TimeWait) && finished[i] && m[i].c.Buffered() == 0
			if m[i].c.Buffered() > 0 || m[i].mem.Used() > 0 && m[i].c.state != Closed {
				next = min(next, now+ms)
			}
		}
		if over {
			break
		}
		if next == pkt.Never && wrote[0] == 0 && m[0].c.state == Closed {
			return // never connected
		}
		now = max(now+1, min(next, now+100*sec))
	}
	for i := range m {
		want := size
		if i == 0 && cfg&8 == 0 {
			want = 0
		}
		e := m[i].c.Err()
		if e != 0 || m[1-i].c.Err() != 0 {
			return // it says why not
		}
		if read[i] != want {
			t.Fatalf("%d read %d of %d octets and no error", i, read[i], want)
		}
		m[i].c.Abort()
		if m[i].mem.Used() != 0 {
			t.Fatalf("%d holds %d bytes", i, m[i].mem.Used())
		}
	}
}
