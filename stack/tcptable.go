package stack

import (
	"math/bits"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/tcp"
)

// tcpTable finds connections by their endpoints: a hash table with chains, keyed
// so that nobody outside can choose ports that collide. In minimal, which has few
// connections, it is one chain.
type tcpTable struct {
	_ [0]func() // not comparable: spares the code that would compare it

	buckets []*Conn
	tw      []*timeWait // likewise
	twHead  *timeWait   // by age, the oldest first
	twTail  *timeWait
	hit     *Conn // that lookup found last
	env     tcp.Env

	key      tcp.Secret
	mix      uint64
	n        int // connections
	orphans  int
	twN      int
	portHint uint32 // RFC 6056 section 3.3.3: next_ephemeral, on top of the hash
}

// timeWait is a connection in TIME-WAIT.
type timeWait struct {
	_ [0]func() // not comparable: spares the code that would compare it

	hash *timeWait
	prev *timeWait // the next older one
	next *timeWait // the next younger one
	tcp.TimeWaitConn
}

const (
	hashed       = feature.Profile > feature.Minimal
	firstBuckets = 1 << (3 * feature.Profile)
)

func (t *tcpTable) init(s *Stack) {
	e := &t.env
	e.Owner, e.Mem, e.NoPacing = unsafe.Pointer(s), &s.mem, s.cfg.NoPacing
	e.SynRetries, e.Retries2, e.OrphanRetries = s.cfg.SynRetries, s.cfg.Retries, min(s.cfg.Retries, 8)
	e.FinTimeout = 60 * pkt.Second
	e.MaxRcvBuf, e.MaxSndBuf = s.cfg.MaxRcvBuf, s.cfg.MaxSndBuf
	if feature.ECN {
		e.ECN = s.cfg.ECN
	}
	t.key = tcp.Secret{s.secret(), s.secret()}
	t.mix = s.secret() | 1
	t.buckets = newBuckets(firstBuckets)
}

func newBuckets(n int) []*Conn { return unsafe.Slice((**Conn)(pkt.Pointers(n)), n) }

// slot returns the hash of a pair of endpoints.
func (t *tcpTable) slot(local, remote ipv4.Endpoint) uint32 {
	if !hashed {
		return 0
	}
	a := uint64(remote.Addr)<<32 | uint64(remote.Port)<<16 | uint64(local.Port)
	hi, lo := bits.Mul64(a^t.key[0], t.mix)
	hi, lo = bits.Mul64(hi^lo^uint64(local.Addr), t.mix)
	return uint32(hi ^ lo)
}

func (t *tcpTable) bucket(local, remote ipv4.Endpoint) **Conn {
	return &t.buckets[t.slot(local, remote)&uint32(len(t.buckets)-1)]
}

//go:noinline
func (t *tcpTable) lookup(local, remote ipv4.Endpoint) *Conn {
	if c := t.hit; hashed && c != nil && c.Local() == local && c.Remote() == remote {
		return c
	}
	c := *t.bucket(local, remote)
	for c != nil && (c.Local() != local || c.Remote() != remote) {
		c = c.hash
	}
	if hashed && c != nil {
		t.hit = c
	}
	return c
}

func (t *tcpTable) add(c *Conn) {
	if hashed && t.n >= len(t.buckets) {
		t.grow()
	}
	b := t.bucket(c.Local(), c.Remote())
	c.hash, *b = *b, c
	c.is |= isHashed
	t.n++
}

// grow doubles the table.
func (t *tcpTable) grow() {
	old := t.buckets
	t.buckets = newBuckets(2 * len(old))
	for _, c := range old {
		for c != nil {
			next := c.hash
			b := t.bucket(c.Local(), c.Remote())
			c.hash, *b = *b, c
			c = next
		}
	}
}

// remove takes c out of the table and of the timers.
func (t *tcpTable) remove(s *Stack, c *Conn) {
	p := t.bucket(c.Local(), c.Remote())
	for *p != c {
		p = &(*p).hash
	}
	*p = c.hash
	c.hash, t.hit = nil, nil
	t.n--
	if c.is&isOrphan != 0 {
		t.orphans--
	}
	c.is &^= isHashed | isOrphan
	if hashed {
		s.timers.remove(c)
	}
	c.path.forget()
}

// choosePort is RFC 6056 section 3.3.3, simple hash-based port selection, with steps
// of random length: each destination has a sequence of its own, so ports of live
// pairs are not met again soon, and nobody can tell the next from the last. Pairs in
// TIME-WAIT are taken only when 64 ports in a row were not free. It returns 0 if
// there is no free port.
func (t *tcpTable) choosePort(s *Stack, local ipv4.Addr, remote ipv4.Endpoint) uint16 {
	lo, n := uint32(s.cfg.PortMin), uint32(s.cfg.PortMax)-uint32(s.cfg.PortMin)+1
	at := t.key.PortOffset(local, remote) + t.portHint
	const fresh = 64
	for i := uint32(0); i < n+fresh; i++ {
		e := ipv4.Endpoint{Addr: local, Port: uint16(lo + (at+i)%n)}
		if t.lookup(e, remote) != nil || feature.Listen && s.listen != nil && listenOf(s).find(e) != nil {
			continue
		}
		if t.lookupTimeWait(e, remote) != nil && (i < fresh || !t.evictTimeWait(s.now, e, remote)) {
			continue
		}
		t.portHint += i + 1 + uint32(s.random())&7
		return e.Port
	}
	return 0
}

func (t *tcpTable) twBucket(local, remote ipv4.Endpoint) **timeWait {
	return &t.tw[t.slot(local, remote)&uint32(len(t.tw)-1)]
}

//go:noinline
func (t *tcpTable) lookupTimeWait(local, remote ipv4.Endpoint) *timeWait {
	if t.twN == 0 {
		return nil
	}
	w := *t.twBucket(local, remote)
	for w != nil && (w.Local != local || w.Remote != remote) {
		w = w.hash
	}
	return w
}

// addTimeWait adds a connection; the oldest gives way if there are too many.
func (t *tcpTable) addTimeWait(s *Stack, c tcp.TimeWaitConn) {
	if t.twN >= s.cfg.MaxTimeWait {
		t.removeTimeWait(t.twHead)
	}
	if t.tw == nil || hashed && t.twN >= len(t.tw) {
		t.growTimeWait()
	}
	w := (*timeWait)(unsafe.Pointer(new(timeWaitShape)))
	w.TimeWaitConn = c
	b := t.twBucket(w.Local, w.Remote)
	w.hash, *b = *b, w
	t.twN++
	t.pushTimeWait(w)
}

func (t *tcpTable) growTimeWait() {
	n := max(firstBuckets, 2*len(t.tw))
	t.tw = unsafe.Slice((**timeWait)(pkt.Pointers(n)), n)
	if !hashed {
		return
	}
	for w := t.twHead; w != nil; w = w.next {
		b := t.twBucket(w.Local, w.Remote)
		w.hash, *b = *b, w
	}
}

// pushTimeWait makes w the youngest.
//
//go:noinline
func (t *tcpTable) pushTimeWait(w *timeWait) {
	w.prev = t.twTail
	t.twTail = w
	if w.prev == nil {
		t.twHead = w
	} else {
		w.prev.next = w
	}
}

// cutTimeWait takes w out of the list by age.
//
//go:noinline
func (t *tcpTable) cutTimeWait(w *timeWait) {
	if w.prev == nil {
		t.twHead = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		t.twTail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.next = nil
}

// removeTimeWait forgets w.
func (t *tcpTable) removeTimeWait(w *timeWait) {
	p := t.twBucket(w.Local, w.Remote)
	for *p != w {
		p = &(*p).hash
	}
	*p = w.hash
	t.cutTimeWait(w)
	t.twN--
}

// evictTimeWait makes the pair free for a new connection that we open, and
// reports whether it is. A pair whose last segments can be told from the new
// ones, having timestamps, may be used again after a second (RFC 6191 section 2
// for the other direction).
func (t *tcpTable) evictTimeWait(now pkt.Time, local, remote ipv4.Endpoint) bool {
	w := t.lookupTimeWait(local, remote)
	if w == nil {
		return true
	}
	if !w.MayReplace(now) {
		return false
	}
	t.removeTimeWait(w)
	return true
}

// pollTimeWait forgets what has waited long enough.
func (t *tcpTable) pollTimeWait(now pkt.Time) pkt.Time {
	for w := t.twHead; w != nil; w = t.twHead {
		if w.ExpireAt > now {
			return w.ExpireAt
		}
		t.removeTimeWait(w)
	}
	return pkt.Never
}
