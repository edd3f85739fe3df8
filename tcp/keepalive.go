package tcp

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
)

// Keepalive is the application's wish to learn of a peer that is gone (RFC 9293
// section 3.8.4): off by default, as MUST-25 has it.
type Keepalive struct {
	Idle     uint16 // seconds without a segment before the first probe: 7200
	Interval uint16 // seconds between probes: 75
	Count    uint8  // probes without an answer before the connection fails: 9
	On       bool
	probes   uint8
}

// DefaultKeepalive returns k with the defaults for its zero fields.
func DefaultKeepalive(k Keepalive) Keepalive {
	if k.Idle == 0 {
		k.Idle = 7200 // "no less than two hours" (MUST-28)
	}
	if k.Interval == 0 {
		k.Interval = 75
	}
	if k.Count == 0 {
		k.Count = 9
	}
	return k
}

type _ [unsafe.Sizeof(Options{}.keepalive) - feature.LenKeepalive*unsafe.Sizeof(Keepalive{})]struct{} // it fits

func keepaliveOf(c *Conn) *Keepalive { return (*Keepalive)(unsafe.Pointer(&c.Options.keepalive)) }

// Keepalive returns the settings (feature keepalive; else they are zero).
func (o *Options) Keepalive() (k Keepalive) {
	if feature.Keepalive {
		k = *(*Keepalive)(unsafe.Pointer(&o.keepalive))
	}
	return k
}

// SetKeepalive changes the settings; it does nothing without the feature keepalive.
func (o *Options) SetKeepalive(k Keepalive) {
	if feature.Keepalive {
		*(*Keepalive)(unsafe.Pointer(&o.keepalive)) = DefaultKeepalive(k)
	}
}

// SetKeepalive changes the settings; zero fields stand for the defaults.
func (c *Conn) SetKeepalive(now pkt.Time, k Keepalive) {
	*keepaliveOf(c) = DefaultKeepalive(k)
	c.armKeepalive(now)
}

// armKeepalive starts the timer, if there is something to keep alive.
func (c *Conn) armKeepalive(now pkt.Time) {
	if c.flags&flagOrphan != 0 || !c.state.synchronized() || c.state == TimeWait {
		return
	}
	c.timer.lifeAt = pkt.Never
	if k := keepaliveOf(c); k.On {
		c.timer.lifeAt = max(now-sinceMs(now, c.timer.lastRcv)+pkt.Time(k.Idle)*pkt.Second, now)
	}
}

// keepaliveTimeout probes an idle peer: "Keep-alive packets MUST only be sent when
// no sent data is outstanding, and no data or acknowledgment packets have been
// received for the connection within an interval" (MUST-26 and 27); one lost probe
// says nothing (MUST-29).
func (c *Conn) keepaliveTimeout(now pkt.Time) {
	k := keepaliveOf(c)
	t := &c.timer
	idle := sinceMs(now, t.lastRcv)
	first := pkt.Time(k.Idle) * pkt.Second
	switch {
	case !k.On:
		t.lifeAt = pkt.Never
		return
	case idle < first || c.snd.una != c.snd.nxt || c.flags&flagPersist != 0:
		k.probes = 0
		t.lifeAt = now + max(first-idle, pkt.Second)
		return
	case k.probes >= k.Count || c.Options.UserTimeout != 0 && k.probes > 0 && idle >= pkt.Time(c.Options.UserTimeout)*pkt.Millisecond:
		c.fail(errno.ETIMEDOUT)
		c.flags |= flagReset
		return
	}
	k.probes++
	c.flags |= flagProbe
	t.lifeAt = now + pkt.Time(k.Interval)*pkt.Second
}
