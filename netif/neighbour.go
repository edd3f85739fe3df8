package netif

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// State is the state of a neighbour, with Linux's values (NUD_..., rtnetlink's
// ndm_state): one bit each.
type State uint8

const (
	StateNone       State = 0
	StateIncomplete State = 0x01 // being resolved by broadcast
	StateReachable  State = 0x02 // confirmed a short while ago
	StateStale      State = 0x04 // known, to be verified when next used
	StateDelay      State = 0x08 // used since, waiting whether traffic confirms it
	StateProbe      State = 0x10 // being verified by unicast requests
	StateFailed     State = 0x20 // did not answer
	StateNoARP      State = 0x40 // needs no resolution: group addresses, or IFF_NOARP
	StatePermanent  State = 0x80 // set by the administrator

	// StateValid are the states in which HW is the address to send to.
	StateValid = StateReachable | StateStale | StateDelay | StateProbe | StateNoARP | StatePermanent

	stateTimed = StateIncomplete | StateDelay | StateProbe
)

// Linux's defaults (net.ipv4.neigh.*).
const (
	reachableTime = 30 * pkt.Second // times 0.5 to 1.5, at random
	delayTime     = 5 * pkt.Second  // delay_first_probe_time
	retransTime   = 1 * pkt.Second  // between requests
	lockTime      = 1 * pkt.Second  // the first of several answers counts
	maxProbes     = 3               // mcast_solicit and ucast_solicit
)

// maxNeighbours is the size of a table: 8 in minimal, 64 in client and full, 1,024
// (Linux's gc_thresh3) with feature bigtables.
func maxNeighbours() int {
	if feature.BigTables {
		return 1024
	}
	if feature.Profile == feature.Minimal {
		return 8
	}
	return 64
}

// maxHold is the number of packets that wait for one address: 1 in minimal, 8
// in client, 64 in full.
const maxHold = 1 << (3 * feature.Profile)

// Neighbour is what is known about one address on the link. Whoever keeps a
// pointer to it looks at Dead: an entry that was evicted or deleted finds nothing out
// any more.
type Neighbour struct {
	_ noCompare

	table *Neighbours
	next  *Neighbour         // in the table's list
	queue *[maxHold]*pkt.Buf // nil when idle

	Addr   ipv4.Addr
	HW     MAC // valid in StateValid
	State  State
	probes uint8 // requests sent in StateIncomplete or StateProbe
	held   uint8 // packets in queue
	Dead   bool  // no longer in the table

	fresh   Time // until when StateReachable lasts
	timer   Time // when the state ends, in stateTimed
	asked   Time // last request sent
	updated Time // last change of HW
	used    Time // last use, coarsely: for eviction
}

// neighbourShape is a Neighbour as it is allocated: see tcp.TCB.
type neighbourShape struct {
	_ noCompare
	_ [3]unsafe.Pointer
	_ [unsafe.Sizeof(Neighbour{}) - unsafe.Offsetof(Neighbour{}.Addr)]byte
}

// Neighbours is the neighbour table of one interface. It is sans-io: Poll says
// what to send. The zero Neighbours is empty and ready to use; Seed it for
// random times.
type Neighbours struct {
	_ noCompare

	buckets [1 << hashBits]*Neighbour
	n       int
	rand    uint64
	due     Time // no timer ends before it; Never: none runs
}

const hashBits = 3 * feature.Profile // 1, 8 or 64 lists

// hash returns the number of the list that a belongs to. Neighbours differ in their last
// bits, the host number.
func hash(a ipv4.Addr) int { return int((a ^ a>>8) & (1<<hashBits - 1)) }

func (t *Neighbours) bucket(a ipv4.Addr) **Neighbour { return &t.buckets[hash(a)] }

// Seed makes the random times depend on seed.
func (t *Neighbours) Seed(seed uint64) { t.rand = seed }

// Len returns the number of entries.
func (t *Neighbours) Len() int { return t.n }

// Find returns the entry of addr, or nil.
func (t *Neighbours) Find(addr ipv4.Addr) *Neighbour {
	for n := *t.bucket(addr); n != nil; n = n.next {
		if n.Addr == addr {
			return n
		}
	}
	return nil
}

// Lookup returns the entry of addr, which it makes if there is none. A full
// table gives up its oldest entry that is not in use; it returns nil if all are.
func (t *Neighbours) Lookup(now Time, addr ipv4.Addr) *Neighbour {
	n := t.Find(addr)
	if n != nil {
		return n
	}
	if t.n >= maxNeighbours() && !t.evict(now) {
		return nil
	}
	n = (*Neighbour)(unsafe.Pointer(new(neighbourShape)))
	n.Addr, n.table, n.used, n.asked = addr, t, now, now-retransTime
	b := t.bucket(addr)
	n.next, *b = *b, n
	t.n++
	return n
}

// evict removes the entry that was not used for longest, leaving alone what is
// permanent, reachable or just being asked for.
func (t *Neighbours) evict(now Time) bool {
	var old *Neighbour
	for _, n := range t.buckets {
		for ; n != nil; n = n.next {
			n.age(now)
			if n.State&(StatePermanent|StateReachable|stateTimed) == 0 && (old == nil || n.used < old.used) {
				old = n
			}
		}
	}
	if old != nil {
		t.Delete(old)
	}
	return old != nil
}

// Delete removes n. The caller disposes of what it holds: see Take.
func (t *Neighbours) Delete(n *Neighbour) {
	p := t.bucket(n.Addr)
	for *p != n {
		p = &(*p).next
	}
	*p = n.next
	n.next = nil
	n.Dead = true
	t.n--
}

// Next returns the entry after n in an order without meaning, the first one
// when n is nil, and nil at the end. n must be in the table.
func (t *Neighbours) Next(n *Neighbour) *Neighbour {
	b := 0
	if n != nil {
		if n.next != nil {
			return n.next
		}
		b = hash(n.Addr) + 1
	}
	for ; b < len(t.buckets); b++ {
		if t.buckets[b] != nil {
			return t.buckets[b]
		}
	}
	return nil
}

// Set gives n an address as the administrator wants it: for good, or as if it
// had been heard once. It reports whether packets now wait to be sent.
func (n *Neighbour) Set(now Time, hw *MAC, permanent bool) bool {
	n.HW, n.updated = *hw, now
	n.State = StateStale
	if permanent {
		n.State = StatePermanent
	}
	return n.held > 0
}

// age moves a reachable entry to stale when its time is over.
func (n *Neighbour) age(now Time) {
	if n.State == StateReachable && now >= n.fresh {
		n.State = StateStale
	}
}

// Output reports whether a packet may be sent to n.HW now; if not, the caller
// calls Hold. It counts as a use, after which an entry that was not confirmed
// for long is verified.
func (n *Neighbour) Output(now Time) bool {
	if n.State == StateReachable && now < n.fresh {
		return true
	}
	return n.outputSlow(now)
}

func (n *Neighbour) outputSlow(now Time) bool {
	if n.Dead {
		return false
	}
	n.age(now)
	if n.State == StateStale {
		n.used = now
		n.enter(StateDelay, now+delayTime)
	}
	return n.State&StateValid != 0
}

// enter sets a state with a timer.
func (n *Neighbour) enter(s State, at Time) {
	n.State, n.timer, n.probes = s, at, 0
	n.table.due = min(n.table.due, at)
}

// Hold keeps b, a packet for n without its Ethernet header, until n is resolved
// and starts to resolve it. It returns the packet to drop, if any: the oldest
// when there are too many (RFC 1122 section 2.3.2.2 asks for at least one, the
// latest), or b itself when n is dead.
func (n *Neighbour) Hold(now Time, b *pkt.Buf) (dropped *pkt.Buf) {
	if n.Dead {
		return b
	}
	if n.State&(StateIncomplete|StateValid) == 0 {
		// "The recommended maximum rate is 1 per second per destination" - RFC
		// 1122 section 2.3.2.1
		n.enter(StateIncomplete, max(now, n.asked+retransTime))
	}
	if n.queue == nil {
		n.queue = new([maxHold]*pkt.Buf)
	}
	if n.held == maxHold {
		dropped = n.queue[0]
		copy(n.queue[:], n.queue[1:])
		n.held--
	}
	n.queue[n.held%maxHold] = b
	n.held++
	return dropped
}

// Take returns the packets that n holds, oldest first, and forgets them.
func (n *Neighbour) Take() (q []*pkt.Buf) {
	if n.queue != nil {
		q = n.queue[:n.held]
		n.queue, n.held = nil, 0
	}
	return q
}

// Confirm notes that traffic from n shows that it receives ours (forward
// progress of TCP).
func (n *Neighbour) Confirm(now Time) {
	if n.State&(StateReachable|StateStale|StateDelay|StateProbe) != 0 && !n.Dead {
		n.reach(now)
	}
}

// Suspect notes that a transport gets no answer by way of n: its address is to
// be verified when it is next used.
func (n *Neighbour) Suspect(now Time) {
	if n.State == StateReachable {
		n.State = StateStale
	}
}

//go:noinline
func (n *Neighbour) reach(now Time) {
	t := n.table
	if n.State != StateReachable {
		t.rand = t.rand*6364136223846793005 + 1442695040888963407
	}
	n.State = StateReachable
	n.fresh = now + reachableTime/2 + Time(t.rand>>34)*(reachableTime>>30)
	n.used = now
}

// Input learns from an ARP packet that Parse accepted and whose sender address
// is a host's on this link; forMe says that its target is an address of this
// interface. It returns the entry if packets wait in it that can now be sent.
func (t *Neighbours) Input(now Time, a *ARP, forMe bool) *Neighbour {
	// "If the pair <protocol type, sender protocol address> is already in my
	// translation table, update [it ...] ?Am I the target protocol address? Yes: If
	// Merge_flag is false, add the triplet" (RFC 826).
	n := t.Find(a.SPA)
	if n == nil {
		if !forMe {
			return nil
		}
		if n = t.Lookup(now, a.SPA); n == nil {
			return nil
		}
	}
	if n.State == StatePermanent {
		return nil
	}
	n.age(now)
	known := n.State&StateValid != 0
	if known && n.HW == a.SHA {
		if a.Op == ARPReply && forMe {
			n.reach(now)
		}
		return nil
	}
	if known && now-n.updated < lockTime && a.Op == ARPReply && a.SPA != a.TPA {
		return nil
	}
	n.HW = a.SHA
	n.State = StateStale
	n.updated = now
	// Only an answer to us proves that it hears us.
	if a.Op == ARPReply && forMe {
		n.reach(now)
	}
	if n.held > 0 {
		return n
	}
	return nil
}

// Action is what Poll wants the caller to do.
type Action uint8

const (
	ActNone      Action = iota // nothing before next
	ActBroadcast               // send a request for n.Addr to everybody
	ActUnicast                 // send a request for n.Addr to n.HW
	ActFail                    // n did not answer: dispose of n.Take and report
)

// Due returns when to call Poll, at the latest: Never, if no timer runs.
func (t *Neighbours) Due() Time { return t.due }

// Poll returns one thing that is due, to be called until it returns ActNone,
// and then with when to call again: Never, if no timer runs.
func (t *Neighbours) Poll(now Time) (act Action, n *Neighbour, next Time) {
	next = pkt.Never
	for _, n := range t.buckets {
		for ; n != nil; n = n.next {
			if n.State&stateTimed == 0 {
				continue
			}
			if n.timer <= now {
				return n.expire(now), n, now
			}
			next = min(next, n.timer)
		}
	}
	t.due = next
	return ActNone, nil, next
}

// expire ends a state with a timer, or repeats the request.
func (n *Neighbour) expire(now Time) Action {
	if n.State == StateDelay {
		n.enter(StateProbe, now)
	}
	if n.probes == maxProbes {
		n.State = StateFailed
		return ActFail
	}
	n.probes++
	n.asked = now
	n.timer = now + retransTime
	if n.State == StateProbe {
		return ActUnicast
	}
	return ActBroadcast
}
