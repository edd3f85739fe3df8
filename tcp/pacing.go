package tcp

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// Linux's: twice the window in a round trip while it doubles, 1.2 times the window after
// (net.ipv4.tcp_pacing_ss_ratio and tcp_pacing_ca_ratio), here in tenths.
const (
	paceSlowStart = 20
	paceAvoidance = 12

	// A program's timers are good to a millisecond. So what the rate gives in that time, or these
	// segments if that is more, goes out at once.
	paceQuantum  = pkt.Millisecond
	paceSegments = 4
)

func paceOf(c *Conn) *paceState { return *(**paceState)(unsafe.Pointer(&c.pace)) }

// paceState is a connection's pacer: a bucket that is empty at the time at.
type paceState struct {
	_ [0]func() // not comparable

	at   pkt.Time // when all that was sent would have left at the pacing rate
	held bool     // Output had something to send then
}

// paceable reports whether the window and the round trip are such that pacing makes a difference:
// the window is more than the initial one, which goes out at once as with Linux, and
// not all of it within the quantum, as on a local network.
func (c *Conn) paceable() bool {
	return !c.env.NoPacing && c.paceRTT() > uint32(paceQuantum/pkt.Microsecond) && c.cc.cwnd > initialWindow(uint32(c.snd.mss))
}

// paceRTT returns the round trip in us: SRTT, but what the last ACK gave if that is less. The
// handshake's counts for long in SRTT, and may have waited for ARP.
func (c *Conn) paceRTT() uint32 {
	if feature.RACK && c.selective() && sackOf(c).rack.rtt != 0 {
		return min(c.rtt.srtt, sackOf(c).rack.rtt)
	}
	return c.rtt.srtt
}

// paceTime returns how long n bytes take at the pacing rate.
func (c *Conn) paceTime(n uint32) pkt.Time {
	r := &c.cc
	gain := uint64(paceAvoidance)
	if r.cwnd < r.ssthresh/2 {
		gain = paceSlowStart
	}
	wnd := uint64(max(r.cwnd, c.snd.nxt-c.snd.una))
	return pkt.Time(uint64(n) * uint64(c.paceRTT()) * (10 * uint64(pkt.Microsecond)) / (wnd * gain))
}

// held reports whether the next segment has to wait, for which release is then the time: no
// burst is longer than the quantum and a segment. Who is held for the pacer alone is limited by
// the window all the same, where at least half of that is in flight: what it holds back goes
// out within the round trip.
func (c *Conn) held(now pkt.Time) bool {
	p := paceOf(c)
	if p == nil {
		return false
	}
	p.held = false
	if p.at <= now || !c.paceable() {
		return false
	}
	if p.at < now+max(paceQuantum, c.paceTime(paceSegments*uint32(c.snd.mss))) {
		return false
	}
	p.held = true
	if 2*c.flight() >= c.cc.cwnd {
		c.flags |= flagCwndLimited
	}
	return true
}

// paced notes that n bytes were sent.
func (c *Conn) paced(now pkt.Time, n uint32) {
	if !c.paceable() {
		return
	}
	p := paceOf(c)
	if p == nil {
		p = new(paceState)
		c.pace[:][0] = unsafe.Pointer(p)
	}
	p.at = max(p.at, now) + c.paceTime(n)
}

// release returns when to call Output again for what was held back: when a whole quantum
// may be sent.
func (c *Conn) release() pkt.Time {
	if p := paceOf(c); p != nil && p.held {
		return p.at
	}
	return pkt.Never
}

// unhold follows a timeout: the next Output tells whether something has to wait again.
func (c *Conn) unhold() {
	if p := paceOf(c); p != nil {
		p.held = false
	}
}

// paceBurst returns how many bytes may go out at once.
func (c *Conn) paceBurst(now pkt.Time) uint32 {
	if !c.paceable() {
		return infinite
	}
	mss := uint32(c.snd.mss)
	// What the rate gives in a quantum, of what the pacer's clock leaves of it.
	per := c.paceTime(paceSegments * mss)
	if per == 0 {
		return infinite
	}
	return max(paceSegments*mss, uint32(min(uint64(paceQuantum)*uint64(paceSegments*mss)/uint64(per), infinite)))
}
