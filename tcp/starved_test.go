package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// openConn returns an established connection with the given memory, whose peer
// sends from sequence number 1 on.
func openConn(t *testing.T, mem *pkt.Memory) *Conn {
	t.Helper()
	env := &Env{Mem: mem, SynRetries: 3, Retries2: 5, OrphanRetries: 3, FinTimeout: pkt.Minute}
	c := new(Conn)
	c.Init(env, Options{RcvBuf: 64 << 10, SndBuf: 64 << 10, Linger: -1, RcvLowat: 1, TTL: 64})
	c.Open(0, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 1), Port: 1}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2), Port: 2}, 1460, 1000, 0)
	b := pkt.NewBuf(2000)
	for c.Output(0, b) {
		b.Reset()
	}
	c.Input(0, &Segment{Flags: SYN | ACK, Seq: 0, Ack: 1001, Wnd: 65535, MSS: 1460, WScale: -1})
	if c.State() != Established {
		t.Fatal(c.State())
	}
	return c
}

// A segment that is next in sequence needs no place among the pieces that wait for
// one: with all of these taken, it is what gives them back.
func TestInSequenceDataIsTakenWhenTooManyPiecesWait(t *testing.T) {
	c := openConn(t, &pkt.Memory{Limit: 1 << 20})
	p := make([]byte, 10)
	for i := range uint32(maxIntervals + 2) {
		c.Input(0, &Segment{Flags: ACK, Seq: 101 + 20*i, Ack: 1001, Wnd: 65535, Payload: p})
	}
	for seq := uint32(1); seq < 101; seq += 10 {
		c.Input(0, &Segment{Flags: ACK, Seq: seq, Ack: 1001, Wnd: 65535, Payload: p})
		if want := seq + 10; seq < 91 && c.rcv.nxt != want {
			t.Fatalf("rcv.nxt is %d, want %d", c.rcv.nxt, want)
		}
	}
	if c.rcv.nxt != 111 {
		t.Errorf("rcv.nxt is %d, want 111", c.rcv.nxt)
	}
}

// One that covers several of the pieces takes all of them in.
func TestInSequenceDataSwallowsPieces(t *testing.T) {
	c := openConn(t, &pkt.Memory{Limit: 1 << 20})
	for _, lo := range []uint32{11, 31, 51} {
		c.Input(0, &Segment{Flags: ACK, Seq: lo, Ack: 1001, Wnd: 65535, Payload: make([]byte, 10)})
	}
	c.Input(0, &Segment{Flags: ACK, Seq: 1, Ack: 1001, Wnd: 65535, Payload: make([]byte, 33)})
	if c.rcv.nxt != 41 || c.rcv.ooo.n != 1 || c.rcv.ooo.v[0] != (interval{51, 61}) {
		t.Errorf("rcv.nxt %d, %d pieces, first %v", c.rcv.nxt, c.rcv.ooo.n, c.rcv.ooo.v[0])
	}
}

// The last quarter of memory is for queues that hold nothing: what fills the rest
// can't shut out those that could free it. And a quarter is not for what is written, but for
// what windows have promised.
func TestEmptyQueuesHaveMemoryLeft(t *testing.T) {
	mem := &pkt.Memory{Limit: 16 * pkt.ChunkSize}
	greedy, modest := openConn(t, mem), openConn(t, mem)
	if n, e := greedy.Write(make([]byte, 64<<10)); e != 0 || n != 8*pkt.ChunkSize {
		t.Errorf("wrote %d bytes (%v), want 8 chunks", n, e)
	}
	if n, e := greedy.Write(make([]byte, 1)); n != 0 || e != errno.EAGAIN {
		t.Error("wrote into the reserve: ", n, e)
	}
	if n, e := modest.Write(make([]byte, 64<<10)); e != 0 || n != pkt.ChunkSize {
		t.Errorf("an empty queue took %d bytes (%v), want one chunk", n, e)
	}
	for i := range uint32(4) {
		greedy.rcv.q.grow(mem, i*pkt.ChunkSize+1)
	}
	if n := modest.free(); n != pkt.ChunkSize {
		t.Errorf("an empty queue offers %d bytes, want one chunk", n)
	}
	// And so what the peer may send is taken.
	modest.rcv.adv = modest.rcv.nxt
	if modest.window() == 0 {
		t.Error("the window of an empty queue is shut")
	}
}
