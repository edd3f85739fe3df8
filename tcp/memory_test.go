package tcp

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/pkt"
)

func TestMemoryIdleConnectionHoldsNone(t *testing.T) {
	d := established(t)
	none := func(when string) {
		t.Helper()
		if d.mem.Used() != 0 {
			d.failf("%s: %d bytes", when, d.mem.Used())
		}
	}
	none("established")
	d.write(5000)
	d.ignore()
	d.recv(ACK)
	d.ignore()
	d.recv(ACK)
	none("all acknowledged")
	d.recv(ACK, octets(1000))
	d.want("quick ACK", ACK)
	d.wantRead(1000)
	none("all read")
	d.recv(ACK, seq(1101), octets(100))
	d.want("dup ACK", ACK, ack(1001))
	d.recv(ACK, seq(1001), octets(100))
	d.want("ACK", ACK, ack(1201))
	d.peer = 1201
	d.wantRead(200)
	none("after a hole")
}

func TestMemoryLimitSlowsThePeerAndNeverDropsWhatItAcknowledged(t *testing.T) {
	d := established(t, withMemory(16*pkt.ChunkSize))
	for {
		room := int(d.edge) - int(d.peer)
		if room == 0 {
			break
		}
		d.recv(ACK, octets(min(room, 1000)))
		d.ignore()
		if d.mem.Used() > 16*pkt.ChunkSize {
			d.failf("%d bytes used", d.mem.Used())
		}
		if d.c.rcv.nxt-d.irs != d.peer { // dropped, and so not acknowledged
			d.peer = d.c.rcv.nxt - d.irs
			break
		}
	}
	got := int(d.peer) - 1
	if got < 8*pkt.ChunkSize {
		d.failf("only %d octets fit", got)
	}
	d.wantRead(got) // every octet that was acknowledged
	d.ignore()
	d.c.SetQuickAck(true)
	d.recv(ACK, octets(1000))
	d.want("and on it goes", ACK)
	d.wantRead(1000)
}

func TestMemoryTakenByOthersSlowsThePeer(t *testing.T) {
	d := established(t, withMemory(32*pkt.ChunkSize), withRcvBuf(30000))
	var taken []*pkt.Chunk
	for k := d.mem.Get(); k != nil; k = d.mem.Get() {
		taken = append(taken, k)
	}
	base := len(taken) * pkt.ChunkSize
	_ = base
	d.hold = true
	d.recv(ACK, octets(1000)) // promised before, but there is no room
	d.hold = false
	d.pumpOnly()
	if d.c.Buffered() != 0 {
		d.failf("%d octets", d.c.Buffered())
	}
	d.ignore()
	for _, k := range taken {
		d.mem.Put(k)
	}
	d.peer = 1
	d.recv(ACK, octets(1000)) // the peer sends it again
	d.want("taken", ACK, ack(1001))
	d.wantRead(1000)
}

// pumpOnly takes the output without checking the account of memory.
func (d *dialogue) pumpOnly() {
	for b := pkt.NewBuf(1500); d.c.Output(d.now, b); b = pkt.NewBuf(1500) {
		d.take(b)
	}
}

func TestMemoryWriteComesUpShortAndIsTold(t *testing.T) {
	d := established(t, withMemory(8*pkt.ChunkSize), withSndBuf(60000))
	n := d.tryWrite(60000)
	if n <= 0 || n >= 60000 && pkt.ChunkSize == 1024 {
		d.failf("took %d", n)
	}
	d.ignore()
	d.c.TakeEvents()
	for range 50 {
		d.recv(ACK)
		d.ignore()
	}
	if d.c.Unacked() != 0 {
		d.failf("%d octets left", d.c.Unacked())
	}
	if n < 60000 && d.c.TakeEvents()&Writable == 0 {
		d.failf("not told that there is room again")
	}
}

func TestMemorySparseDataBeyondTheLimitHoldsNoMemoryInVain(t *testing.T) {
	d := established(t, withMemory(4*pkt.ChunkSize))
	d.recv(ACK, seq(50000), octets(1)) // needs more chunks than there are
	d.ignore()
	if x := d.c.rcv.ooo; x != nil && x.n > 0 && d.mem.Used() == 0 || (x == nil || x.n == 0) && d.mem.Used() > 0 {
		d.failf("%d bytes held", d.mem.Used())
	}
	d.recv(ACK, seq(1), octets(1000))
	d.ignore()
	d.peer = d.c.rcv.nxt - d.irs
	d.wantRead(d.c.Buffered())
	if d.peer == 1 {
		d.failf("nothing in sequence was taken")
	}
}

func TestMemoryIsGivenBackByEveryEnd(t *testing.T) {
	for _, end := range []func(d *dialogue){
		func(d *dialogue) { d.abort() },
		func(d *dialogue) { d.close() },
		func(d *dialogue) { d.recv(RST) },
		func(d *dialogue) {
			d.env.Retries2 = 1
			d.advance(1000 * sec)
		},
	} {
		d := established(t)
		d.recv(ACK, octets(5000))
		d.ignore()
		d.recv(ACK, seq(8001), octets(1000))
		d.ignore()
		d.write(20000)
		d.ignore()
		end(d)
		d.ignore()
		d.wantState(Closed)
		d.read = 0
		if n := d.c.Buffered(); n > 0 && !d.c.Orphaned() {
			d.wantRead(n)
		}
		if d.mem.Used() != 0 {
			d.failf("%d bytes held", d.mem.Used())
		}
	}
}

func TestMemoryReadAfterResetGivesItBack(t *testing.T) {
	d := established(t)
	d.recv(ACK, octets(100))
	d.ignore()
	d.recv(ACK, seq(30001), octets(1000))
	d.ignore()
	d.recv(RST, seq(101))
	d.wantErr(errno.ECONNRESET)
	d.wantRead(100)
	d.wantReadErr(0)
	if d.mem.Used() != 0 {
		d.failf("%d bytes held", d.mem.Used())
	}
}

// Data that the window had promised and memory has no room for is answered by a window of
// zero, so that the peer probes and does not give up, and the edge does not move back.
func TestMemoryShortOfAPromiseIsAZeroWindow(t *testing.T) {
	d := established(t, withMemory(32*pkt.ChunkSize), withRcvBuf(30000))
	d.recv(ACK, octets(1000))
	d.want("taken", ACK, ack(1001))
	edge := d.c.rcv.adv
	var taken []*pkt.Chunk
	for k := d.mem.Get(); k != nil; k = d.mem.Get() {
		taken = append(taken, k)
	}
	arrive := func() (at uint32) {
		at = d.c.rcv.nxt - d.irs
		d.ignore()
		d.hold = true // the account is not all the connection's
		d.recv(ACK, seq(at), octets(1000))
		d.hold = false
		d.pumpOnly()
		return at
	}
	at := arrive() // what the last chunk has room for
	for at != d.c.rcv.nxt-d.irs {
		at = arrive()
	}
	d.want("no memory", ACK, ack(at), win(0))
	if before(d.c.rcv.adv, edge) {
		d.failf("the edge moved back")
	}
	for _, k := range taken {
		d.mem.Put(k)
	}
	d.peer = at
	d.recv(ACK, seq(at-1)) // a probe
	if x := d.want("memory is back", ACK, ack(at)); x.Wnd == 0 {
		d.failf("the window is still zero")
	}
	d.recv(ACK, seq(at), octets(1000))
	d.ignore()
	d.peer = at + 1000
	d.wantRead(int(at) - 1 + 1000)
}
