package netif

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// neighTest is a dialogue with a neighbour table in virtual time.
type neighTest struct {
	*testing.T
	tab  Neighbours
	now  Time
	next Time // as Poll said
}

var (
	peer    = ipv4.AddrOf(198, 18, 0, 2)
	self    = ipv4.AddrOf(198, 18, 0, 1)
	peerMAC = MAC{2, 0, 0, 0, 0, 2}
	other   = MAC{2, 0, 0, 0, 0, 3}
	selfMAC = MAC{2, 0, 0, 0, 0, 1}
)

func newNeighTest(t *testing.T) *neighTest {
	n := &neighTest{T: t, now: 1000 * pkt.Second}
	n.tab.Seed(1)
	return n
}

// at moves the clock to s seconds after the start.
func (n *neighTest) at(s float64) *neighTest {
	n.now = 1000*pkt.Second + Time(s*1e9)
	return n
}

// send is what a sender does: it reports whether the packet went out.
func (n *neighTest) send(a ipv4.Addr) bool {
	e := n.tab.Lookup(n.now, a)
	if e == nil {
		n.Fatalf("no room for %v", a)
	}
	if e.Output(n.now) {
		return true
	}
	e.Hold(n.now, pkt.NewBuf(10))
	return false
}

// want polls and compares what is to be done now.
func (n *neighTest) want(acts ...string) *neighTest {
	n.Helper()
	got := []string{}
	for {
		act, e, next := n.tab.Poll(n.now)
		if act == ActNone {
			n.next = next
			break
		}
		s := [...]string{ActBroadcast: "broadcast", ActUnicast: "unicast", ActFail: "fail"}[act]
		if act == ActFail {
			s += fmt.Sprint(" ", len(e.Take()))
		}
		got = append(got, s)
	}
	if g, w := strings.Join(got, ", "), strings.Join(acts, ", "); g != w {
		n.Errorf("at %v: poll says %q, want %q", n.now-1000*pkt.Second, g, w)
	}
	return n
}

func (n *neighTest) state(a ipv4.Addr, s State) *neighTest {
	n.Helper()
	if e := n.tab.Find(a); e == nil || e.State != s {
		n.Errorf("at %v: %v is %+v, want state %#x", n.now-1000*pkt.Second, a, e, s)
	}
	return n
}

// hears is an ARP packet from peer; it returns how many packets can now go.
func (n *neighTest) hears(op uint16, from MAC, forMe bool) int {
	a := ARP{Op: op, SHA: from, SPA: peer, TPA: self}
	if !forMe {
		a.TPA = ipv4.AddrOf(198, 18, 0, 77)
	}
	if e := n.tab.Input(n.now, &a, forMe); e != nil {
		return len(e.Take())
	}
	return 0
}

func TestC03ResolvesAndSendsWhatWaited(t *testing.T) {
	n := newNeighTest(t)
	n.want()
	if n.next != pkt.Never {
		t.Errorf("an idle table has a deadline")
	}
	if n.send(peer) {
		t.Error("sent to an unknown address")
	}
	n.want("broadcast").state(peer, StateIncomplete)
	if n.next != n.now+pkt.Second {
		t.Errorf("next request after %v", n.next-n.now)
	}
	if k := n.at(0.01).hears(ARPReply, peerMAC, true); k != 1 {
		t.Errorf("the answer frees %d packets, want 1", k)
	}
	n.state(peer, StateReachable).want()
	if n.at(1).want(); n.next != pkt.Never {
		t.Errorf("a resolved entry has a deadline")
	}
	if !n.send(peer) || n.tab.Find(peer).HW != peerMAC {
		t.Error("not sent to the address heard")
	}
}

func TestC03QueueKeepsTheLatest(t *testing.T) {
	n := newNeighTest(t)
	e := n.tab.Lookup(n.now, peer)
	var bufs []*pkt.Buf
	for k := range maxHold + 3 {
		b := pkt.NewBuf(10)
		bufs = append(bufs, b)
		if old := e.Hold(n.now, b); k < maxHold && old != nil || k >= maxHold && old != bufs[k-maxHold] {
			t.Errorf("packet %d pushes out %p", k, old)
		}
	}
	q := e.Take()
	if len(q) != maxHold || q[len(q)-1] != bufs[len(bufs)-1] || q[0] != bufs[3] {
		t.Errorf("%d packets wait, not the latest %d", len(q), maxHold)
	}
	if e.queue != nil {
		t.Error("an idle entry keeps memory for its queue")
	}
}

func TestC03LearnsOnlyAsRFC826Says(t *testing.T) {
	n := newNeighTest(t)
	n.hears(ARPRequest, peerMAC, false)
	n.hears(ARPReply, peerMAC, false)
	if n.tab.Len() != 0 {
		t.Error("made an entry although not the target")
	}
	n.hears(ARPRequest, peerMAC, true)
	n.state(peer, StateStale)
	// From any valid packet an existing entry takes a new address.
	n.at(5).hears(ARPRequest, other, false)
	if e := n.tab.Find(peer); e.HW != other || e.State != StateStale {
		t.Errorf("not updated: %+v", e)
	}
}

func TestFirstOfSeveralAnswersCounts(t *testing.T) {
	n := newNeighTest(t)
	n.send(peer)
	n.want("broadcast")
	n.at(0.1).hears(ARPReply, peerMAC, true)
	n.at(0.2).hears(ARPReply, other, true)
	if e := n.tab.Find(peer); e.HW != peerMAC {
		t.Errorf("a second answer within 1 s replaced the first")
	}
	// A request, or a gratuitous reply, is no second answer.
	n.at(0.3).hears(ARPRequest, other, true)
	if e := n.tab.Find(peer); e.HW != other || e.State != StateStale {
		t.Errorf("%+v", e)
	}
	n.at(0.4).tab.Input(n.now, &ARP{Op: ARPReply, SHA: peerMAC, SPA: peer, TPA: peer}, false)
	if e := n.tab.Find(peer); e.HW != peerMAC {
		t.Errorf("a gratuitous reply did not count")
	}
}

func TestC04OneRequestPerSecond(t *testing.T) {
	n := newNeighTest(t)
	n.send(peer)
	n.want("broadcast")
	for range 100 {
		n.send(peer)
		n.want()
	}
	n.at(0.999).want()
	n.at(1).want("broadcast")
	// After a failure and a new attempt at once, still.
	n.at(2).want("broadcast")
	n.at(3).want(fmt.Sprint("fail ", min(101, maxHold)))
	n.send(peer)
	n.want("broadcast")
	n.at(3.5).want()
}

func TestC04VerifiesByUnicastWhenStale(t *testing.T) {
	n := newNeighTest(t)
	n.send(peer)
	n.want("broadcast")
	n.hears(ARPReply, peerMAC, true)
	// Reachable for 15 to 45 s.
	n.at(14.9).send(peer)
	n.state(peer, StateReachable)
	n.at(46)
	if !n.send(peer) {
		t.Error("a stale entry can't be used")
	}
	n.state(peer, StateDelay).want()
	n.at(50.9).want()
	n.at(51).want("unicast").state(peer, StateProbe)
	if !n.send(peer) {
		t.Error("an entry being probed can't be used")
	}
	n.at(51.2).hears(ARPReply, peerMAC, true)
	n.state(peer, StateReachable).want()
}

func TestReachableTimeIsRandomised(t *testing.T) {
	n := newNeighTest(t)
	least, most := Time(pkt.Never), Time(0)
	for k := range 1000 {
		n.at(float64(100*k)).hears(ARPRequest, peerMAC, true)
		n.hears(ARPReply, peerMAC, true)
		d := n.tab.Find(peer).fresh - n.now
		least, most = min(least, d), max(most, d)
		n.at(float64(100*k) + 50).tab.Find(peer).Output(n.now)
	}
	if least < 15*pkt.Second || most >= 45*pkt.Second || most-least < 25*pkt.Second {
		t.Errorf("from %v to %v ns, want 15 to 45 s", least, most)
	}
}

func TestConfirmationSavesTheProbe(t *testing.T) {
	n := newNeighTest(t)
	n.hears(ARPRequest, peerMAC, true)
	n.send(peer)
	n.state(peer, StateDelay)
	e := n.tab.Find(peer)
	e.Confirm(n.at(3).now)
	n.state(peer, StateReachable)
	n.at(5).want()
	if n.next != pkt.Never {
		t.Error("the delay timer still runs")
	}
	// Nothing confirms what does not answer.
	x := n.tab.Lookup(n.now, ipv4.AddrOf(198, 18, 0, 9))
	x.Confirm(n.now)
	if x.State != StateNone {
		t.Errorf("an unknown address is in state %#x", x.State)
	}
}

func TestC05FailsAfterThreeRequests(t *testing.T) {
	n := newNeighTest(t)
	n.send(peer)
	n.want("broadcast")
	n.at(1).want("broadcast")
	n.at(2).want("broadcast")
	n.at(2.9).want()
	n.at(3).want("fail 1").state(peer, StateFailed)
	n.at(60).want()
	if n.next != pkt.Never {
		t.Error("a failed entry has a deadline")
	}
	// The next packet is a new attempt.
	if n.send(peer) {
		t.Error("sent to a failed entry")
	}
	n.want("broadcast")
	if k := n.at(60.5).hears(ARPReply, peerMAC, true); k != 1 {
		t.Errorf("%d packets freed", k)
	}
}

func TestC05ProbesFailAfterThree(t *testing.T) {
	n := newNeighTest(t)
	n.hears(ARPRequest, peerMAC, true)
	n.send(peer)
	n.at(5).want("unicast")
	n.at(6).want("unicast")
	n.at(7).want("unicast")
	n.at(8).want("fail 0").state(peer, StateFailed)
	if n.send(peer) {
		t.Error("sent to a failed entry")
	}
	n.want("broadcast")
}

func TestDeadlineIsTheEarliest(t *testing.T) {
	n := newNeighTest(t)
	n.send(peer)
	n.want("broadcast")
	n.at(0.4).send(ipv4.AddrOf(198, 18, 0, 3))
	n.want("broadcast")
	if n.next != 1001*pkt.Second {
		t.Errorf("next at %v", n.next)
	}
	n.at(1).want("broadcast")
	if n.next != 1001*pkt.Second+400*pkt.Millisecond {
		t.Errorf("next at %v", n.next)
	}
}

func TestClockMayStartAnywhere(t *testing.T) {
	for _, start := range []Time{0, -5 * pkt.Second, 1} {
		n := newNeighTest(t)
		n.now = start
		n.send(peer)
		n.want("broadcast")
		n.now += pkt.Second
		n.want("broadcast")
	}
}

func TestPermanentEntriesStay(t *testing.T) {
	n := newNeighTest(t)
	n.send(peer)
	if !n.tab.Find(peer).Set(n.now, &peerMAC, true) {
		t.Error("setting an entry does not free what waits")
	}
	n.hears(ARPReply, other, true)
	n.hears(ARPRequest, other, true)
	n.at(1e6).want()
	if e := n.tab.Find(peer); e.HW != peerMAC || e.State != StatePermanent || !e.Output(n.now) {
		t.Errorf("%+v", e)
	}
	n.flood(2 * maxNeighbours())
	n.state(peer, StatePermanent)
}

// flood sends requests to us from k hosts.
func (n *neighTest) flood(k int) {
	for i := range k {
		n.now += pkt.Millisecond
		n.tab.Input(n.now, &ARP{Op: ARPRequest, SHA: other, SPA: ipv4.Addr(0xc6130000 + uint32(i)), TPA: self}, true)
	}
}

func TestTableIsBounded(t *testing.T) {
	n := newNeighTest(t)
	n.hears(ARPRequest, peerMAC, true)
	gone := n.tab.Find(peer)
	n.flood(10 * maxNeighbours())
	if n.tab.Len() != maxNeighbours() {
		t.Errorf("%d entries, want %d", n.tab.Len(), maxNeighbours())
	}
	if !gone.Dead {
		t.Error("an evicted entry does not say so")
	}
	// A dead entry is harmless.
	if b := pkt.NewBuf(1); gone.Output(n.now) || gone.Hold(n.now, b) != b {
		t.Error("a dead entry takes packets")
	}
	gone.Confirm(n.now)
	seen := 0
	for e := n.tab.Next(nil); e != nil; e = n.tab.Next(e) {
		seen++
	}
	if seen != n.tab.Len() {
		t.Errorf("iteration gives %d of %d", seen, n.tab.Len())
	}
}

func TestFullTableOfLiveEntriesRefuses(t *testing.T) {
	n := newNeighTest(t)
	for k := range maxNeighbours() {
		n.send(ipv4.Addr(0xc6130000 + uint32(k)))
	}
	if e := n.tab.Lookup(n.now, peer); e != nil {
		t.Error("pushed out an entry that is being resolved")
	}
	for n.at(3); ; {
		act, e, _ := n.tab.Poll(n.now)
		if act == ActNone {
			break
		}
		if act == ActFail {
			e.Take()
		}
		if e.State == StateIncomplete {
			continue
		}
	}
	n.at(4).runOut()
	n.at(5).runOut()
	n.at(6).runOut()
	if e := n.tab.Lookup(n.now, peer); e == nil {
		t.Error("failed entries make no room")
	}
}

// runOut polls until nothing is due.
func (n *neighTest) runOut() {
	for {
		if act, _, _ := n.tab.Poll(n.now); act == ActNone {
			return
		}
	}
}

func TestEvictsTheLeastRecentlyUsed(t *testing.T) {
	n := newNeighTest(t)
	n.flood(maxNeighbours())
	first := ipv4.Addr(0xc6130000)
	n.at(10)
	n.tab.Find(first).Output(n.now)
	n.tab.Find(first).Confirm(n.now)
	n.at(100).tab.Find(first).age(n.now)
	n.tab.Lookup(n.now, peer)
	if n.tab.Find(first) == nil {
		t.Error("evicted an entry used after the others")
	}
	if n.tab.Find(ipv4.Addr(0xc6130001)) != nil {
		t.Error("the entry not used for longest is still there")
	}
}

func TestOutputAllocatesNothing(t *testing.T) {
	n := newNeighTest(t)
	n.hears(ARPRequest, peerMAC, true)
	e := n.tab.Find(peer)
	if k := testing.AllocsPerRun(100, func() { e.Output(n.now); e.Confirm(n.now); n.tab.Poll(n.now) }); k != 0 {
		t.Errorf("%v allocations", k)
	}
}

// FuzzNeighbours plays random packets, sends and times against what must
// always hold.
func FuzzNeighbours(f *testing.F) {
	f.Add([]byte("\x00\x01\x10\x21\x32\x43\x54\x65\x76\x87\x98\xa9"))
	f.Add([]byte{0, 0, 0, 255, 16, 255, 255, 1, 255, 255, 2, 255, 255})
	f.Fuzz(func(t *testing.T, in []byte) {
		n := newNeighTest(t)
		asked := map[ipv4.Addr]Time{}
		held := 0
		for _, c := range in {
			a := ipv4.Addr(0xc6120000 + uint32(c>>4))
			switch c & 15 {
			case 0, 1, 2, 3:
				e := n.tab.Lookup(n.now, a)
				if e == nil {
					break
				}
				if !e.Output(n.now) {
					held++
					if e.Hold(n.now, pkt.NewBuf(1)) != nil {
						held--
					}
				}
			case 4, 5, 6, 7:
				p := ARP{Op: 1 + uint16(c&1), SHA: MAC{2, c & 2}, SPA: a, TPA: self}
				if e := n.tab.Input(n.now, &p, c&2 != 0); e != nil {
					held -= len(e.Take())
				}
			case 8:
				if e := n.tab.Find(a); e != nil {
					held -= len(e.Take())
					n.tab.Delete(e)
					delete(asked, a)
				}
			case 9:
				if e := n.tab.Find(a); e != nil {
					e.Confirm(n.now)
				}
			case 10, 11:
				n.now += 100 * pkt.Millisecond
			case 12, 13:
				n.now += pkt.Second
			default:
				n.now += 20 * pkt.Second
			}
			for range 100 {
				act, e, next := n.tab.Poll(n.now)
				if act == ActNone {
					if next <= n.now {
						t.Fatal("a deadline in the past")
					}
					break
				}
				if act == ActFail {
					held -= len(e.Take())
					continue
				}
				if last, ok := asked[e.Addr]; ok && n.now-last < pkt.Second {
					t.Fatal("two requests for an address within a second")
				}
				asked[e.Addr] = n.now
			}
			queued, count := 0, 0
			for e := n.tab.Next(nil); e != nil; e = n.tab.Next(e) {
				queued += int(e.held)
				count++
				if int(e.held) > 0 && e.State != StateIncomplete {
					t.Fatalf("packets wait in state %#x", e.State)
				}
			}
			if queued != held || count != n.tab.Len() || count > maxNeighbours() {
				t.Fatalf("%d packets wait, %d counted; %d entries, %d counted", queued, held, n.tab.Len(), count)
			}
		}
	})
}

func TestSizesFollowTheProfile(t *testing.T) {
	if feature.Profile == feature.Minimal && !feature.BigTables && (maxNeighbours() != 8 || maxHold != 1) {
		t.Errorf("minimal: %d entries, %d packets", maxNeighbours(), maxHold)
	}
}
