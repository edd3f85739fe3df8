package tcp

import "github.com/bonsainet/bonsai/internal/pkt"

const (
	initialRTO = 1000 * 1000 // RFC 6298 section 2.1, in us
	lostSynRTO = 3000 * 1000 // section 5.7
	// minRTO is Linux's, where RFC 6298 section 2.4 has 1 s as a SHOULD; it bounds the
	// variance term.
	minRTO = 200 * 1000
	maxRTO = 120 * 1000 * 1000 // section 2.5: at least 60 s
)

// rttState is the estimator of RFC 6298, in microseconds.
type rttState struct {
	srtt  uint32 // 0: no sample yet
	dev   uint32 // RTTVAR
	value uint32 // the timeout, at most maxRTO
	seq   uint32 // if flagTiming: the segment that begins here was sent
	at    uint32 // when it was, in us
}

// sinceUs returns the time since at, in us, which is less than 71 minutes: a measurement
// does not survive a retransmission.
func sinceUs(now pkt.Time, at uint32) pkt.Time {
	return pkt.Time(uint32(now/pkt.Microsecond)-at) * pkt.Microsecond
}

func (r *rttState) init() { r.value = initialRTO }

// open is RFC 6298 section 5.7: "If the timer expires awaiting the ACK of a SYN
// segment and the TCP implementation is using an RTO less than 3 seconds, the
// RTO MUST be re-initialized to 3 seconds when data transmission begins".
func (r *rttState) open(synLost bool) {
	if synLost && r.srtt == 0 {
		r.value = lostSynRTO
	}
}

// sample takes a measured round trip time: RFC 6298 sections 2.2 and 2.3.
func (r *rttState) sample(d pkt.Time) {
	us := uint32(min(max(d, pkt.Microsecond), 100*pkt.Second) / pkt.Microsecond)
	if r.srtt == 0 {
		r.srtt, r.dev = us, us/2
	} else {
		diff := us - r.srtt
		if int32(diff) < 0 {
			diff = -diff
		}
		r.dev = r.dev - r.dev/4 + diff/4
		r.srtt = r.srtt - r.srtt/8 + us/8
	}
	r.value = min(r.srtt+max(4*r.dev, minRTO), maxRTO)
}

func (r *rttState) rto() pkt.Time { return pkt.Time(r.value) * pkt.Microsecond }

// expired backs off: "RTO <- RTO * 2 [...] The maximum value discussed in (2.5) [...]
// may be used" (RFC 6298 section 5.5), until "a new RTT measurement is obtained", not
// only until an ACK: else a path slower than RTO would never be measured (Karn).
func (r *rttState) expired() { r.value = min(2*r.value, maxRTO) }

// backoff returns the time until the next window probe after n of them.
func (r *rttState) backoff(n uint8) pkt.Time {
	return min(r.rto()<<min(n, 16), maxRTO*pkt.Microsecond)
}
