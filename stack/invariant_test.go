package stack

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/tcp"
	"github.com/bonsainet/bonsai/udp"
)

// What must hold of a Stack between calls, whatever has happened to it.

// field finds a field that another package keeps to itself, by its path.
type field struct{ off uintptr }

func fieldOf[T any](v any, path string) field {
	t := reflect.TypeOf(v)
	var f field
	for _, name := range strings.Split(path, ".") {
		x, ok := t.FieldByName(name)
		if !ok {
			panic("no field " + path)
		}
		f.off += x.Offset
		t = x.Type
	}
	if t != reflect.TypeFor[T]() {
		panic(path + " is a " + t.String())
	}
	return f
}

func u32(p unsafe.Pointer, f field) uint32 { return *(*uint32)(unsafe.Add(p, f.off)) }
func chunks(p unsafe.Pointer, f field) *pkt.Chunk {
	return *(**pkt.Chunk)(unsafe.Add(p, f.off))
}

var (
	sndQ      = fieldOf[*pkt.Chunk](tcp.Conn{}, "snd.q.tail")
	sndUna    = fieldOf[uint32](tcp.Conn{}, "snd.una")
	sndNxt    = fieldOf[uint32](tcp.Conn{}, "snd.nxt")
	sndEnd    = fieldOf[uint32](tcp.Conn{}, "snd.end")
	sndRtx    = fieldOf[uint32](tcp.Conn{}, "snd.rtx")
	sndRtxEnd = fieldOf[uint32](tcp.Conn{}, "snd.rtxEnd")
	rcvQ      = fieldOf[*pkt.Chunk](tcp.Conn{}, "rcv.q.tail")
	rcvRead   = fieldOf[uint32](tcp.Conn{}, "rcv.read")
	rcvNxt    = fieldOf[uint32](tcp.Conn{}, "rcv.nxt")
	rcvAdv    = fieldOf[uint32](tcp.Conn{}, "rcv.adv")
	rcvScale  = fieldOf[uint8](tcp.Conn{}, "rcv.wscale")
	udpQ      = fieldOf[*pkt.Chunk](udp.Conn{}, "Queue.head")
	rawQ      = fieldOf[*pkt.Chunk](udp.Queue{}, "head")
	poolFree  = fieldOf[[]*pkt.Buf](pkt.Pool{}, "free")
)

// checker checks a stack and its sockets.
type checker struct {
	s     *Stack
	conns []*Conn // all, those that are closed too
	udps  []*UDP
	raws  []*Raw
	pkts  []*PacketSocket
	edges map[*Conn]uint32 // the right edge of each receive window
	errs  []string
}

func (k *checker) fail(format string, args ...any) {
	k.errs = append(k.errs, fmt.Sprintf(format, args...))
}

// check returns what does not hold. polled says that nothing has happened since
// Poll returned next.
func (k *checker) check(polled bool, next pkt.Time) error {
	k.errs = k.errs[:0]
	k.tables()
	k.lists()
	k.timers(polled, next)
	k.memory()
	k.frames()
	for _, c := range k.conns {
		k.sequence(c)
	}
	if len(k.errs) == 0 {
		return nil
	}
	return errors.New(strings.Join(k.errs, "\n"))
}

func (k *checker) tables() {
	t := &k.s.tcp
	n, orphans := 0, 0
	for i, c := range t.buckets {
		for ; c != nil; c = c.hash {
			n++
			if n > t.n {
				k.fail("more connections in the table than its count, %d", t.n)
				return
			}
			if c.is&isOrphan != 0 {
				orphans++
			}
			if c.is&isHashed == 0 || *t.bucket(c.Local(), c.Remote()) != t.buckets[i] || t.lookup(c.Local(), c.Remote()) != c {
				k.fail("%v > %v is not in its place", c.Local(), c.Remote())
			}
			if c.State() == tcp.TimeWait && c.is&isDirty == 0 {
				k.fail("%v > %v in TIME-WAIT is still in the table", c.Local(), c.Remote())
			}
			if c.Done() && c.is&isDirty == 0 {
				k.fail("%v > %v is over and still in the table", c.Local(), c.Remote())
			}
		}
	}
	if n != t.n || n > k.s.cfg.MaxConns {
		k.fail("%d connections, counted %d, at most %d", n, t.n, k.s.cfg.MaxConns)
	}
	if orphans != t.orphans {
		k.fail("%d orphans, counted %d", orphans, t.orphans)
	}
	live := 0
	var last *timeWait
	for w := t.twHead; w != nil; w = w.next {
		if live++; w.prev != last || live > t.twN {
			k.fail("the list of TIME-WAIT: %d of %d, back %v", live, t.twN, w.prev == last)
			return
		}
		if t.lookupTimeWait(w.Local, w.Remote) != w {
			k.fail("%v > %v in TIME-WAIT is not found", w.Local, w.Remote)
		}
		if last != nil && w.ExpireAt < last.ExpireAt {
			k.fail("%v > %v leaves TIME-WAIT before an older one", w.Local, w.Remote)
		}
		last = w
	}
	if last != t.twTail || live != t.twN || live > k.s.cfg.MaxTimeWait {
		k.fail("%d in TIME-WAIT, counted %d, at most %d; tail %v", live, t.twN, k.s.cfg.MaxTimeWait, last == t.twTail)
	}
	hashed := 0
	for _, w := range t.tw {
		for ; w != nil; w = w.hash {
			hashed++
		}
	}
	if hashed != live {
		k.fail("%d in TIME-WAIT, %d in their table", live, hashed)
	}
	for _, c := range k.conns {
		if c.is&isHashed != 0 && t.lookup(c.Local(), c.Remote()) != c {
			k.fail("%v > %v is lost", c.Local(), c.Remote())
		}
		if c.is&isHashed == 0 && (c.timer != 0 || c.hash != nil || c.is&isOrphan != 0) {
			k.fail("%v > %v is out of the table but not of the rest", c.Local(), c.Remote())
		}
	}
	if l := listenOf(k.s); l != nil {
		for _, l := range l.list {
			half := 0
			for _, c := range t.buckets {
				for ; c != nil; c = c.hash {
					if listenerOf(c) == l {
						half++
					}
				}
			}
			if half != l.half || half > max(l.backlog, 1) || len(l.queue) > l.backlog+1 {
				k.fail("listener: %d half open, counted %d, %d in its queue, backlog %d", half, l.half, len(l.queue), l.backlog)
			}
		}
	}
}

// lists checks the dirty list and that of sockets with news.
func (k *checker) lists() {
	s := k.s
	n := 0
	var last *Conn
	for c := s.dirty.head; c != nil; c = c.next {
		last = c
		if n++; c.is&isDirty == 0 || n > 1<<16 {
			k.fail("dirty list: %v > %v", c.Local(), c.Remote())
			return
		}
	}
	if last != s.dirty.tail {
		k.fail("the dirty list's tail")
	}
	for _, c := range k.conns {
		if c.is&isDirty != 0 {
			n--
		}
	}
	if n != 0 {
		k.fail("%d more in the dirty list than marked", n)
	}
	n = 0
	var tail *Sock
	for x := s.ready.head; x != nil; x = x.next {
		tail = x
		if n++; !x.queued || x.events == 0 || n > 1<<16 {
			k.fail("ready list")
			return
		}
	}
	if tail != s.ready.tail {
		k.fail("the ready list's tail")
	}
}

func (k *checker) timers(polled bool, next pkt.Time) {
	s := k.s
	h := &s.timers
	stale := 0
	for i, e := range h.v {
		if i > 0 && h.v[(i-1)/4].at > e.at {
			k.fail("timer entry %d is earlier than its parent", i)
		}
		t := h.of[e.id-1]
		if t.entry != e.at {
			stale++
		} else if c := t.c.Conn(); c.timer != e.id || c.is&isHashed == 0 {
			k.fail("timer %d is of a connection that has %d, or is not in the table", e.id, c.timer)
		}
	}
	if stale > len(h.v)/2+1 || len(h.v) > 0 && h.of[h.v[0].id-1].entry != h.v[0].at {
		k.fail("of %d timer entries %d count no longer, maybe the first", len(h.v), stale)
	}
	for _, c := range k.conns {
		if c.is&isHashed == 0 || c.is&isDirty != 0 {
			continue
		}
		d := c.Deadline()
		if hashed && d != pkt.Never && (c.timer == 0 || h.of[c.timer-1].entry > d) {
			k.fail("%v > %v %v: no timer for its deadline", c.Local(), c.Remote(), c.State())
		}
		if polled && d < next {
			k.fail("%v > %v %v: deadline %d before Poll's %d", c.Local(), c.Remote(), c.State(), d, next)
		}
		// "Every time a packet containing data is sent [...] if the timer is not
		// running, start it" (RFC 6298 section 5.1).
		p := unsafe.Pointer(&c.Conn)
		waits := u32(p, sndUna) != u32(p, sndNxt) || int32(u32(p, sndEnd)-u32(p, sndUna)) > 0 ||
			c.State() == tcp.SynSent || c.State() == tcp.SynReceived ||
			c.State() == tcp.FinWait2 && c.Orphaned()
		if waits && d == pkt.Never && c.State() != tcp.Closed {
			k.fail("%v > %v %v: no deadline, una %d nxt +%d end +%d", c.Local(), c.Remote(), c.State(), u32(p, sndUna), u32(p, sndNxt)-u32(p, sndUna), u32(p, sndEnd)-u32(p, sndUna))
		}
	}
}

// memory counts what the queues hold.
func (k *checker) memory() {
	seen := map[*pkt.Chunk]bool{}
	walk := func(first *pkt.Chunk) {
		for c := first; c != nil; c = c.Next {
			if seen[c] {
				k.fail("a chunk is in two places")
				return
			}
			if seen[c] = true; c.Next == first { // TCP's are rings
				return
			}
		}
	}
	for _, c := range k.conns {
		walk(chunks(unsafe.Pointer(&c.Conn), sndQ))
		walk(chunks(unsafe.Pointer(&c.Conn), rcvQ))
	}
	for _, u := range k.udps {
		walk(chunks(unsafe.Pointer(&u.Conn), udpQ))
	}
	for _, r := range k.raws {
		walk(chunks(unsafe.Pointer(&r.queue), rawQ))
	}
	for _, r := range k.pkts {
		walk(chunks(unsafe.Pointer(&r.queue), rawQ))
	}
	if n := uint32(len(seen)) * pkt.ChunkSize; n != k.s.mem.Used() || n > k.s.mem.Limit {
		k.fail("queues hold %d bytes, counted %d, at most %d", n, k.s.mem.Used(), k.s.mem.Limit)
	}
}

// frames looks for a Buf in two places.
func (k *checker) frames() {
	seen := map[*pkt.Buf]string{}
	mark := func(where string, bufs []*pkt.Buf) {
		for _, b := range bufs {
			if b == nil {
				k.fail("%s: no Buf", where)
			} else if seen[b] != "" {
				k.fail("a Buf is in the %s and in the %s", seen[b], where)
			}
			seen[b] = where
		}
	}
	s := k.s
	mark("pool", *(*[]*pkt.Buf)(unsafe.Add(unsafe.Pointer(&s.pool), poolFree.off)))
	mark("loop", s.loop)
	for _, ifc := range s.ifaces {
		mark("transmit queue", ifc.Out)
		if o, ok := ifc.Dev.(*offloader); ok {
			mark("Bufs for super-segments", o.free)
		}
		for _, b := range ifc.Out[len(ifc.Out):cap(ifc.Out)] {
			if b != nil {
				mark("transmit queue, empty", []*pkt.Buf{b})
			}
		}
		for n := ifc.Neigh.Next(nil); n != nil; n = ifc.Neigh.Next(n) {
			mark("neighbour's queue", waiting(n))
		}
	}
}

// waiting returns what n holds.
func waiting(n *netif.Neighbour) (q []*pkt.Buf) {
	v := reflect.ValueOf(n).Elem()
	a := v.FieldByName("queue")
	if a.IsNil() {
		return nil
	}
	for i := range int(v.FieldByName("held").Uint()) {
		q = append(q, (*pkt.Buf)(a.Elem().Index(i).UnsafePointer()))
	}
	return q
}

// sequence checks a connection's variables.
func (k *checker) sequence(c *Conn) {
	p := unsafe.Pointer(&c.Conn)
	una, nxt, end := u32(p, sndUna), u32(p, sndNxt), u32(p, sndEnd)
	rtx, rtxEnd := u32(p, sndRtx), u32(p, sndRtxEnd)
	read, rnxt, adv := u32(p, rcvRead), u32(p, rcvNxt), u32(p, rcvAdv)
	id := fmt.Sprintf("%v > %v %v", c.Local(), c.Remote(), c.State())
	if c.State() != tcp.Closed {
		if nxt-una > end-una+1 || rtx-una > rtxEnd-una || rtxEnd-una > nxt-una {
			k.fail("%s: una %d, nxt +%d, end +%d, rtx +%d to +%d", id, una, int32(nxt-una), int32(end-una), int32(rtx-una), int32(rtxEnd-una))
		}
		if int32(rnxt-read) < 0 {
			k.fail("%s: read %d, nxt %+d", id, read, int32(rnxt-read))
		}
	}
	// "shrinking the window" is what a receiver "SHOULD NOT" do (RFC 9293 section
	// 3.8.6, SHLD-14), and we don't.
	if old, ok := k.edges[c]; ok && int32(adv-old) < 0 {
		k.fail("%s: the right edge of the window moved back by %d", id, old-adv)
	}
	switch c.State() {
	case tcp.SynSent, tcp.Closed:
		delete(k.edges, c)
	default:
		k.edges[c] = adv
	}
	if o := reflect.ValueOf(&c.Conn).Elem().FieldByName("rcv").FieldByName("ooo"); !o.IsNil() && c.State() != tcp.Closed {
		last := rnxt
		v := o.Elem().FieldByName("v")
		for i := range int(o.Elem().FieldByName("n").Int()) {
			lo, hi := uint32(v.Index(i).Field(0).Uint()), uint32(v.Index(i).Field(1).Uint())
			if int32(lo-last) <= 0 || int32(hi-lo) <= 0 || int32(adv-hi) < 0 {
				k.fail("%s: piece %d that waits is +%d to +%d, window +%d", id, i, int32(lo-rnxt), int32(hi-rnxt), int32(adv-rnxt))
			}
			last = hi
		}
	}
	if c.Buffered() < 0 || uint32(c.Unacked()) > max(c.Options.SndBuf, 1<<20) {
		k.fail("%s: %d bytes buffered, %d unacknowledged", id, c.Buffered(), c.Unacked())
	}
}

// checkFrame verifies what a frame that the stack sends must have: known types,
// lengths that agree, valid checksums: those of the protocols too, if no raw socket
// makes its own.
func checkFrame(f []byte, mtu int, protocols bool) error {
	if len(f) < netif.EthernetHeaderLen || len(f) > netif.EthernetHeaderLen+mtu {
		return fmt.Errorf("frame of %d bytes, MTU %d", len(f), mtu)
	}
	switch netif.Ethernet(f).Type() {
	case netif.EtherTypeARP:
		var a netif.ARP
		if len(f) != netif.EthernetHeaderLen+netif.ARPLen || !a.Parse(f[netif.EthernetHeaderLen:]) {
			return errors.New("bad ARP")
		}
		return nil
	case netif.EtherTypeIPv4:
	default:
		return fmt.Errorf("EtherType %#x", netif.Ethernet(f).Type())
	}
	var h ipv4.Header
	p, d := ipv4.Parse(f[netif.EthernetHeaderLen:], &h)
	if d != ipv4.DropNone {
		return fmt.Errorf("IPv4 header: drop reason %d", d)
	}
	if h.IsFragment() || !protocols {
		return nil
	}
	switch h.Proto {
	case ipv4.ProtoTCP:
		var seg tcp.Segment
		d = tcp.Parse(p, ipv4.PseudoSum(h.Src, h.Dst, h.Proto, len(p)), &seg)
	case ipv4.ProtoUDP:
		_, _, _, d = udp.Parse(p, h.Src, h.Dst)
	case ipv4.ProtoICMP:
		var m ipv4.ICMP
		d = ipv4.ParseICMP(p, &m)
	}
	if d != ipv4.DropNone {
		return fmt.Errorf("protocol %d: drop reason %d", h.Proto, d)
	}
	return nil
}

// fieldSizes lists the fields of a struct with their sizes in bytes.
func fieldSizes(v any) (list []string) {
	t := reflect.TypeOf(v)
	for i := range t.NumField() {
		if f := t.Field(i); f.Type.Size() > 0 {
			list = append(list, fmt.Sprintf("%s %d", f.Name, f.Type.Size()))
		}
	}
	return list
}
