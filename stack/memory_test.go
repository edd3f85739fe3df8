package stack

import (
	"runtime"
	"testing"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/tcp"
)

// heap returns the bytes of heap in use.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

var profile = [...]string{"minimal", "client", "full"}[feature.Profile]

// TestIdleStackIsSmall: at most 64 KiB of heap with an interface that is up, and
// how much it keeps after it was busy.
func TestIdleStackIsSmall(t *testing.T) {
	const n = 50
	var stacks [n]*Stack
	before := heap()
	for i := range stacks {
		stacks[i] = New(Config{})
		up(t, stacks[i], &idleDevice{mtu: 1500, hw: testHW}, fuzzAddr)
		stacks[i].Poll(pkt.Second)
	}
	size := (heap() - before) / n
	t.Logf("%s: %d bytes, of which the Stack itself %d", profile, size, unsafe.Sizeof(Stack{}))
	if size > 64<<10 {
		t.Errorf("an idle stack holds %d bytes of heap, 65536 allowed", size)
	}
	runtime.KeepAlive(&stacks)
}

// TestIdleConnectionIsSmall: at most 1 KiB of heap for an established connection
// that holds no data, in client; without what holds it in package socket.
func TestIdleConnectionIsSmall(t *testing.T) {
	const n = 2000
	d := newDuo(t, Config{MaxConns: n + 1}, 1500)
	l := d.listen(t, 80, 1)
	var warm Conn // tables and pools at their size
	d.connect(t, &warm, l)
	conns := make([]*Conn, n)
	before := heap()
	for i := range conns {
		conns[i] = new(Conn)
		b := d.connect(t, conns[i], l)
		// It has been used, and its ACKs are sent.
		p := make([]byte, 1000)
		conns[i].Write(p)
		d.run()
		b.Read(p)
		b.Write(p)
		d.run()
		conns[i].Read(p)
	}
	d.sleep(pkt.Second)
	size := (heap() - before) / (2 * n)
	t.Logf("%s: %d bytes, of which the Conn itself %d", profile, size, unsafe.Sizeof(Conn{}))
	limit := [...]int{1024, 1024, 2048}[feature.Profile]
	if size > limit {
		t.Errorf("an idle connection holds %d bytes of heap, %d allowed", size, limit)
	}
	if m := d.s[0].mem.Used() + d.s[1].mem.Used(); m != 0 {
		t.Errorf("idle connections hold %d bytes of chunks", m)
	}
	runtime.KeepAlive(conns)
}

// TestSizeOfConn logs what a connection is made of, for those who tune it.
func TestSizeOfConn(t *testing.T) {
	var c Conn
	t.Logf("%s: Conn %d bytes: tcp.Conn %d, Sock %d, path %d, the rest %d; Listener %d; UDP %d; timeWait %d; Stack %d",
		profile, unsafe.Sizeof(c), unsafe.Sizeof(c.Conn), unsafe.Sizeof(c.Sock), unsafe.Sizeof(c.path),
		unsafe.Sizeof(c)-unsafe.Sizeof(c.Conn)-unsafe.Sizeof(c.Sock)-unsafe.Sizeof(c.path),
		unsafe.Sizeof(Listener{}), unsafe.Sizeof(UDP{}), unsafe.Sizeof(timeWait{}), unsafe.Sizeof(Stack{}))
	for _, f := range fieldSizes(tcp.Conn{}) {
		t.Log("  tcp.Conn ", f)
	}
	if n := unsafe.Sizeof(c); n > 768 {
		t.Errorf("a Conn has %d bytes, 768 allowed: what is seldom needed is a pointer", n)
	}
}
