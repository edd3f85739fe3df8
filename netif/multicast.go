package netif

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// Timers and defaults of RFC 3376 section 8 and RFC 2236 section 8.
const (
	robustness          = 2
	queryInterval       = 125 * pkt.Second
	queryResponse       = 10 * pkt.Second
	unsolicitedReport   = 1 * pkt.Second  // version 3
	unsolicitedReportV2 = 10 * pkt.Second // and 1
)

// maxGroups bounds the groups of an interface, and those that it has just left.
const maxGroups = 16 << (2 * feature.Profile)

// Groups are the multicast groups of an interface, and a host's side of IGMP: RFC 3376,
// and its versions 2 (RFC 2236) and 1 (RFC 1112) for a querier that has no more.
// Membership is for all sources. Like the neighbour table it is pulled by Poll and has
// no clock.
//
// It knows of queriers only since its first group, as a host that has just started.
type Groups struct {
	_ noCompare

	list *Group // in the order in which they were joined
	gone *Group // left, and the routers are still to be told

	at      Time // when to report changes, in versions 1 and 2 only of gone; pkt.Never
	general Time // version 3: when to answer a query of all groups; pkt.Never
	v1, v2  Time // until when a querier of that version is present

	interval Time // between queries
	rand     uint64
	robust   uint8 // how often to say what nobody acknowledges
	mode     uint8 // the version to speak
	down     bool
	more     bool // records that did not fit into the last report
}

// Group is a group of an interface.
type Group struct {
	_ noCompare

	next     *Group
	Addr     ipv4.Addr
	users    int32
	at       Time  // when to report it; pkt.Never
	left     uint8 // reports to send of its own accord
	record   uint8 // version 3: the record to send now, 0 for none
	reporter bool  // ours was the last report: others' are as good as ours
}

// Init prepares m. seed makes the times differ between hosts.
func (m *Groups) Init(seed uint64) {
	m.at, m.general, m.rand = pkt.Never, pkt.Never, seed
	m.mode, m.robust, m.interval = 3, robustness, queryInterval
}

func (m *Groups) random(limit Time) Time {
	m.rand = m.rand*6364136223846793005 + 1442695040888963407
	return Time(m.rand>>44) * limit >> 20
}

// Has reports whether the interface is in group a.
func (m *Groups) Has(a ipv4.Addr) bool { return find(&m.list, a) != nil }

// find returns where in the list the group is linked, nil if it is not.
func find(p **Group, a ipv4.Addr) **Group {
	for ; *p != nil; p = &(*p).next {
		if (*p).Addr == a {
			return p
		}
	}
	return nil
}

// Join adds a user to group a, which is joined with the first one. It returns false if
// the interface is in too many.
func (m *Groups) Join(now Time, a ipv4.Addr) bool {
	m.look(now)
	n, p := 0, &m.list
	for ; *p != nil; p = &(*p).next {
		if (*p).Addr == a {
			(*p).users++
			return true
		}
		n++
	}
	if n == maxGroups {
		return false
	}
	if x := find(&m.gone, a); x != nil {
		*x = (*x).next
	}
	g := &Group{Addr: a, users: 1, at: pkt.Never}
	*p = g
	m.announce(now, g)
	return true
}

// announce reports g at once, and again: "To cover the possibility of the State-Change Report
// being missed by one or more multicast routers, it is retransmitted [Robustness Variable] - 1
// more times, at intervals chosen at random from the range (0, [Unsolicited Report Interval])."
// RFC 3376 section 5.1; RFC 2236 section 3 recommends the same.
func (m *Groups) announce(now Time, g *Group) {
	// "No IGMP messages are ever sent regarding the all-systems multicast address." Section 5.
	if m.down || g.Addr == ipv4.AllHosts {
		return
	}
	g.left = m.robust
	if m.mode == 3 {
		m.at = now
	} else {
		g.at = now
	}
}

// Leave takes a user away from group a, which is left with the last one.
func (m *Groups) Leave(now Time, a ipv4.Addr) {
	p := find(&m.list, a)
	if p == nil {
		return
	}
	g := *p
	if g.users--; g.users > 0 {
		return
	}
	*p = g.next
	m.look(now)
	switch {
	case m.down || a == ipv4.AllHosts || m.mode == 1:
		return
	case m.mode == 2 && !g.reporter:
		// "If it was not the last host to reply to a Query, it MAY send nothing as there must
		// be another member on the subnet." RFC 2236 section 3.
		return
	}
	n, end := 0, &m.gone
	for ; *end != nil; end = &(*end).next {
		n++
	}
	if n == maxGroups { // the routers find out by asking
		m.gone = m.gone.next
	}
	g.next, g.at, g.left, g.record = nil, pkt.Never, m.robust, 0
	*end = g
	m.at = now
}

// look finds the version to speak: that of the oldest querier which is present (RFC 3376
// section 7.2.1).
//
//go:noinline
func (m *Groups) look(now Time) {
	v := uint8(3)
	if now < m.v1 {
		v = 1
	} else if now < m.v2 {
		v = 2
	}
	if v != m.mode {
		// "Whenever a host changes its compatibility mode, it cancels all its pending response
		// and retransmission timers." Ibid.
		m.mode = v
		m.cancel()
	}
}

func (m *Groups) cancel() {
	m.at, m.general, m.gone, m.more = pkt.Never, pkt.Never, nil, false
	for g := m.list; g != nil; g = g.next {
		g.at, g.left, g.record = pkt.Never, 0, 0
	}
}

// SetUp says whether the interface is up: when it goes down nothing is due, and when it
// comes up all groups are reported as if they were new, as in Linux.
func (m *Groups) SetUp(now Time, up bool) {
	if m.down == !up {
		return
	}
	m.down = !up
	m.cancel()
	m.robust, m.interval = robustness, queryInterval
	m.look(now)
	for g := m.list; g != nil; g = g.next {
		g.reporter = false
		m.announce(now, g)
	}
}

// Query takes a membership query.
func (m *Groups) Query(now Time, q *ipv4.IGMP) {
	// Section 8.12. There a query of version 2 counts if it is about all groups. Here any
	// does, as in Linux: who asks so would not understand an answer of version 3.
	// Of what a querier of version 3 says of itself, no more than the default counts, or one message could
	// make it days.
	older := now + min(Time(m.robust)*m.interval, robustness*queryInterval) + queryResponse
	switch q.Version {
	case 1:
		m.v1 = older
	case 2:
		m.v2 = older
	default:
		if m.mode == 3 {
			m.robust, m.interval = robustness, queryInterval
			if q.Robustness != 0 {
				m.robust = q.Robustness
			}
			if q.Interval != 0 {
				m.interval = q.Interval
			}
		}
	}
	m.look(now)
	if m.down {
		return
	}
	// "When a system receives a Query, it does not respond immediately. Instead, it delays its
	// response by a random amount of time, bounded by the Max Resp Time value derived from the
	// Max Resp Code in the received Query message." Section 5.2.
	group, limit := q.Group, q.MaxResp
	if m.mode == 1 { // it does not know what later versions have in the query
		group, limit = ipv4.Any, queryResponse
	}
	if m.mode == 3 && group.IsAny() {
		m.general = min(m.general, now+m.random(limit))
		return
	}
	for g := m.list; g != nil; g = g.next {
		if !group.IsAny() && g.Addr != group || g.Addr == ipv4.AllHosts {
			continue
		}
		if m.mode != 3 {
			g.left = 0
		}
		// "If a timer for the group is already running, it is reset to the random value only if
		// the requested Max Response Time is less than the remaining value of the running
		// timer." RFC 2236 section 3. And "If there is a pending response to a previous General
		// Query scheduled sooner than the selected delay, no additional response needs to be
		// scheduled." RFC 3376 section 5.2.
		if at := now + m.random(limit); g.at >= now+limit && m.general > at {
			g.at = at
		}
	}
}

// Report takes another host's report of group a, of version 1 or 2, which spares ours (RFC 2236
// section 3; section 7.2.2 of RFC 3376 allows it in version 3, and Linux does it).
func (m *Groups) Report(a ipv4.Addr) {
	if p := find(&m.list, a); p != nil {
		(*p).at, (*p).reporter = pkt.Never, false
		if m.mode != 3 {
			(*p).left = 0
		}
	}
}

// Due returns when to call Poll.
func (m *Groups) Due(now Time) Time {
	m.look(now)
	if m.more {
		return now
	}
	next := min(m.at, m.general)
	for g := m.list; g != nil; g = g.next {
		next = min(next, g.at)
	}
	return next
}

// Poll writes a message that is due into p, which holds a record at least, and returns its
// length, 0 if there is none, and where to send it. It is to be called as long as one is Due.
func (m *Groups) Poll(now Time, p []byte) (n int, dst ipv4.Addr) {
	if m.look(now); m.mode == 3 {
		return m.report3(now, p), ipv4.IGMPRouters
	}
	return m.report(now, p)
}

// report writes what is due in versions 1 and 2: a group a message.
func (m *Groups) report(now Time, p []byte) (n int, dst ipv4.Addr) {
	for g := m.list; g != nil; g = g.next {
		if now < g.at {
			continue
		}
		g.at, g.reporter = pkt.Never, true
		if g.left > 0 {
			if g.left--; g.left > 0 {
				g.at = now + m.random(unsolicitedReportV2)
			}
		}
		typ := uint8(ipv4.IGMPv2Report)
		if m.mode == 1 {
			typ = ipv4.IGMPv1Report
		}
		ipv4.PutIGMP(p, typ, g.Addr)
		return ipv4.IGMPLen, g.Addr
	}
	if g := m.gone; g != nil {
		m.gone = g.next
		ipv4.PutIGMP(p, ipv4.IGMPLeave, g.Addr)
		return ipv4.IGMPLen, ipv4.AllRouters
	}
	m.at = pkt.Never
	return 0, 0
}

// report3 writes what is due in version 3: a report with as many records as there is room
// for.
func (m *Groups) report3(now Time, p []byte) int {
	all := now >= m.general
	if all {
		m.general = pkt.Never
	}
	changes := now >= m.at
	if changes {
		m.at = pkt.Never
	}
	m.more = false
	n := ipv4.IGMPLen
	for _, list := range [...]**Group{&m.list, &m.gone} {
		change := uint8(ipv4.IGMPToExclude)
		if list == &m.gone {
			change = ipv4.IGMPToInclude
		}
		for q := list; *q != nil; {
			g := *q
			if (all || now >= g.at) && list == &m.list && g.Addr != ipv4.AllHosts {
				g.at, g.record = pkt.Never, ipv4.IGMPIsExclude
			}
			if changes && g.left > 0 {
				g.left--
				g.record = change
				if g.left > 0 && m.at == pkt.Never {
					m.at = now + m.random(unsolicitedReport)
				}
			}
			if g.record != 0 {
				if m.more = n+ipv4.IGMPRecordLen > len(p); !m.more {
					ipv4.PutIGMPRecord(p[n:], g.record, g.Addr)
					n += ipv4.IGMPRecordLen
					g.record = 0
				}
			}
			if list == &m.gone && g.left == 0 && g.record == 0 {
				*q = g.next
			} else {
				q = &g.next
			}
		}
	}
	if n == ipv4.IGMPLen {
		return 0
	}
	pkt.BigEndian.PutUint64(p, ipv4.IGMPv3Report<<56|uint64(n/ipv4.IGMPRecordLen-1))
	ipv4.FinishIGMP(p[:n])
	return n
}
