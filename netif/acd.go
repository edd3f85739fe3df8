package netif

import (
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// Constants of RFC 5227 section 1.1.
const (
	probeWait        = 1 * pkt.Second // before the first probe, at most
	probeNum         = 3
	probeMin         = 1 * pkt.Second // between probes, up to probeMin+probeSpread
	probeSpread      = 1 * pkt.Second
	announceWait     = 2 * pkt.Second // after the last probe
	announceNum      = 2
	announceInterval = 2 * pkt.Second
	defendInterval   = 10 * pkt.Second
)

// ACDState says how far conflict detection has come.
type ACDState uint8

const (
	ACDProbing  ACDState = iota + 1 // asking whether anybody has the address
	ACDFree                         // nobody has it: it may be configured
	ACDOwned                        // configured: announced, then defended
	ACDConflict                     // somebody has it: it must not be configured
)

// ACD is address conflict detection (RFC 5227) for one address of an interface:
// probe it, then configure it, then Own it. Like the neighbour table it is pulled
// by Poll and has no clock.
type ACD struct {
	_ noCompare

	Addr  ipv4.Addr
	Other MAC // who was seen with Addr last
	State ACDState

	left     uint8 // probes or announcements to send
	defended bool  // at least once, last at:
	last     Time
	at       Time // when the next thing is due; pkt.Never
	rand     uint64
}

// Start begins to probe for addr. seed makes the times differ between hosts.
func (d *ACD) Start(now Time, addr ipv4.Addr, seed uint64) {
	// "the host should then wait for a random time interval selected uniformly in
	// the range zero to PROBE_WAIT seconds" - section 2.1.1
	*d = ACD{Addr: addr, State: ACDProbing, left: probeNum, rand: seed}
	d.at = now + d.random(probeWait)
}

func (d *ACD) random(limit Time) Time {
	d.rand = d.rand*6364136223846793005 + 1442695040888963407
	return Time(d.rand>>34) * limit >> 30
}

// Own begins to announce and defend the address, which has been configured.
func (d *ACD) Own(now Time) {
	d.State, d.left, d.at = ACDOwned, announceNum, now
}

// Input looks at an ARP packet that arrived and reports whether it shows a
// conflict. hw is the interface's own address.
func (d *ACD) Input(now Time, a *ARP, hw *MAC) bool {
	if a.SHA == *hw {
		return false
	}
	// A probe of another host for the same address is a conflict too while ours
	// lasts (section 2.1.1).
	if a.SPA != d.Addr && !(a.SPA.IsAny() && a.TPA == d.Addr && d.State == ACDProbing) {
		return false
	}
	d.Other = a.SHA
	if d.State != ACDOwned {
		d.State, d.at = ACDConflict, pkt.Never
		return true
	}
	// "it has not seen any other conflicting ARP packets within the last
	// DEFEND_INTERVAL seconds, then it MAY elect to attempt to defend its address by
	// [...] broadcasting one single ARP Announcement" - section 2.4 (b) and, as the
	// administrator gave the address for good, (c).
	if !d.defended || now-d.last >= defendInterval {
		d.defended, d.last = true, now
		d.left, d.at = max(d.left, 1), now
	}
	return true
}

// Poll fills in a packet to broadcast, if one is due, and returns true; else it
// returns when to call again. It is to be called until it returns false.
func (d *ACD) Poll(now Time, hw *MAC, a *ARP) (send bool, next Time) {
	if now < d.at {
		return false, d.at
	}
	*a = ARP{Op: ARPRequest, SHA: *hw, TPA: d.Addr}
	switch {
	case d.left > 0 && d.State == ACDProbing:
		// SPA stays zero, "to avoid polluting ARP caches in other hosts" - section
		// 2.1.1
		d.at = now + probeMin + d.random(probeSpread)
		if d.left--; d.left == 0 {
			d.at = now + announceWait
		}
		return true, now
	case d.left > 0:
		a.SPA = d.Addr
		d.at = now + announceInterval
		if d.left--; d.left == 0 {
			d.at = pkt.Never
		}
		return true, now
	case d.State == ACDProbing:
		d.State = ACDFree
	}
	d.at = pkt.Never
	return false, pkt.Never
}
