package netif

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

func mcast(n int) ipv4.Addr { return ipv4.AddrOf(233, 252, 0, 0) + ipv4.Addr(n) }

// said polls m until nothing is due and returns what it sends, a message or record a word:
// "TO_EX1", "v2-1", "leave1" with the group's number.
func said(t *testing.T, m *Groups, now Time, room int) (text string) {
	t.Helper()
	p := make([]byte, room)
	for n := 0; m.Due(now) <= now; n++ {
		if n > 10000 {
			t.Fatal("there is always something due")
		}
		k, dst := m.Poll(now, p)
		if k == 0 {
			continue
		}
		if k > room || pkt.Checksum(pkt.Sum(0, p[:k])) != 0 {
			t.Fatalf("% x", p[:k])
		}
		if p[0] != ipv4.IGMPv3Report {
			a := ipv4.AddrAt(p[4:])
			to, name := a, map[byte]string{ipv4.IGMPv1Report: "v1-", ipv4.IGMPv2Report: "v2-", ipv4.IGMPLeave: "leave"}[p[0]]
			if p[0] == ipv4.IGMPLeave {
				to = ipv4.AllRouters
			}
			if k != 8 || p[1] != 0 || dst != to {
				t.Fatalf("% x to %v", p[:k], dst)
			}
			text += fmt.Sprintf(" %s%d", name, a-mcast(0))
			continue
		}
		if dst != ipv4.IGMPRouters || int(pkt.BigEndian.Uint16(p[6:])) != k/8-1 {
			t.Fatalf("% x to %v", p[:k], dst)
		}
		for q := p[8:k]; len(q) > 0; q = q[8:] {
			text += fmt.Sprintf(" %s%d", []string{"", "", "IS_EX", "TO_IN", "TO_EX"}[q[0]], ipv4.AddrAt(q[4:])-mcast(0))
		}
	}
	if text != "" {
		text = text[1:]
	}
	return text
}

// event is something that happens to Groups.
type event func(m *Groups, now Time)

func join(n int) event  { return func(m *Groups, now Time) { m.Join(now, mcast(n)) } }
func leave(n int) event { return func(m *Groups, now Time) { m.Leave(now, mcast(n)) } }
func report(n int) event {
	return func(m *Groups, now Time) { m.Report(mcast(n)) }
}
func up(is bool) event { return func(m *Groups, now Time) { m.SetUp(now, is) } }

// ask is a query, of all groups for n 0.
func ask(version uint8, n int, limit Time) event {
	q := &ipv4.IGMP{Type: ipv4.IGMPQuery, Version: version, MaxResp: limit}
	if n != 0 {
		q.Group = mcast(n)
	}
	return func(m *Groups, now Time) { m.Query(now, q) }
}

// TestGroupsTransitions: what is said at once after each event, and what in the ten seconds
// that follow.
func TestGroupsTransitions(t *testing.T) {
	const s = pkt.Second
	type step struct {
		e           event
		once, later string
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"v3", []step{
			{join(1), "TO_EX1", "TO_EX1"}, {join(1), "", ""}, {leave(1), "", ""}, {leave(1), "TO_IN1", "TO_IN1"}, {leave(1), "", ""},
			{join(2), "TO_EX2", "TO_EX2"}, {ask(3, 0, s), "", "IS_EX2"}, {ask(3, 2, s), "", "IS_EX2"}, {ask(3, 1, s), "", ""},
			{report(2), "", ""}, {ask(3, 0, 0), "IS_EX2", ""},
		}},
		{"v2", []step{
			{join(1), "TO_EX1", "TO_EX1"}, {ask(2, 0, s), "", "v2-1"}, {ask(2, 1, s), "", "v2-1"}, {ask(2, 2, s), "", ""},
			{join(2), "v2-2", "v2-2"}, {leave(2), "leave2", ""}, {report(1), "", ""}, {leave(1), "", ""},
			{join(3), "v2-3", "v2-3"}, {ask(3, 0, s), "", "v2-3"}, {leave(3), "leave3", ""},
		}},
		{"v1", []step{
			{join(1), "TO_EX1", "TO_EX1"}, {ask(1, 0, s), "", "v1-1"}, {join(2), "v1-2", "v1-2"}, {leave(2), "", ""},
			{ask(2, 9, s), "", "v1-1"}, {ask(3, 9, s), "", "v1-1"}, {leave(1), "", ""},
		}},
		{"down and up", []step{
			{join(1), "TO_EX1", "TO_EX1"}, {up(false), "", ""}, {join(2), "", ""}, {ask(3, 0, s), "", ""}, {leave(1), "", ""},
			{up(true), "TO_EX2", "TO_EX2"}, {up(true), "", ""}, {ask(2, 0, s), "", "v2-2"}, {up(false), "", ""},
			{up(true), "v2-2", "v2-2"},
		}},
		{"all hosts", []step{
			{func(m *Groups, now Time) { m.Join(now, ipv4.AllHosts) }, "", ""}, {ask(3, 0, s), "", ""}, {ask(2, 0, s), "", ""},
			{up(false), "", ""}, {up(true), "", ""}, {func(m *Groups, now Time) { m.Leave(now, ipv4.AllHosts) }, "", ""},
		}},
	} {
		var m Groups
		m.Init(7)
		now := 1000 * s
		for i, x := range c.steps {
			x.e(&m, now)
			if got := said(t, &m, now, 1000); got != x.once {
				t.Errorf("%s, %d: at once %q, want %q", c.name, i, got, x.once)
			}
			end, later := now+10*s, ""
			for at := m.Due(now); at <= end; at = m.Due(now) {
				now = at
				if text := said(t, &m, now, 1000); text != "" {
					if later != "" {
						later += " "
					}
					later += text
				}
			}
			now = end
			if later != x.later {
				t.Errorf("%s, %d: later %q, want %q", c.name, i, later, x.later)
			}
		}
	}
}

// Another host's report spares ours while a query waits for an answer, in each version.
func TestReportsOfOthersSpareOurs(t *testing.T) {
	for version := uint8(1); version <= 3; version++ {
		var m Groups
		m.Init(7)
		now := 1000 * pkt.Second
		m.Join(now, mcast(1))
		for range 2 {
			said(t, &m, now, 1000)
			now += pkt.Second
		}
		n := 1
		if version == 1 {
			n = 0
		}
		ask(version, n, pkt.Second)(&m, now)
		if m.Due(now) == pkt.Never {
			t.Error("no answer is due")
		}
		m.Report(mcast(1))
		if at := m.Due(now); at != pkt.Never {
			t.Errorf("version %d: due %v", version, at-now)
		}
	}
}

// TestGroupsAsModel makes random events, and compares the members with a map's, and that what is said is
// about them: a report of a group that we are in, a leave of one that we are not.
func TestGroupsAsModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var m Groups
		m.Init(seed)
		users := map[int]int{}
		now := 1000 * pkt.Second
		for range 300 {
			n := 1 + r.IntN(5)
			switch r.IntN(9) {
			case 0, 1:
				if m.Join(now, mcast(n)) {
					users[n]++
				}
			case 2, 3:
				m.Leave(now, mcast(n))
				users[n] = max(users[n]-1, 0)
			case 4:
				ask(uint8(1+r.IntN(3)), r.IntN(6), Time(r.Int64N(int64(20*pkt.Second))))(&m, now)
			case 5:
				m.Report(mcast(n))
			case 6:
				if r.IntN(5) == 0 {
					m.SetUp(now, r.IntN(3) > 0)
				}
			default:
				now += Time(r.Int64N(int64(100 * pkt.Second)))
			}
			for n := range 6 {
				if m.Has(mcast(n)) != (users[n] > 0) {
					t.Fatalf("seed %d: group %d: %v, want %d users", seed, n, m.Has(mcast(n)), users[n])
				}
			}
			room := 16 + 8*r.IntN(4)
			if text := said(t, &m, now, room); text != "" && m.down {
				t.Fatalf("seed %d: it is down, and says %q", seed, text)
			} else {
				var name string
				var n int
				for _, word := range split(text) {
					if k, _ := fmt.Sscanf(word, "TO_IN%d", &n); k == 1 {
						name = "TO_IN"
					} else if k, _ := fmt.Sscanf(word, "leave%d", &n); k == 1 {
						name = "leave"
					} else {
						fmt.Sscanf(word[len(word)-1:], "%d", &n)
						name = ""
					}
					if (name == "") != (users[n] > 0) {
						t.Fatalf("seed %d: %q with %d users", seed, word, users[n])
					}
				}
			}
			if at := m.Due(now); at <= now {
				t.Fatalf("seed %d: due at %v at %v", seed, at, now)
			}
		}
	}
}

func split(s string) (words []string) {
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && s[j] != ' ' {
			j++
		}
		words = append(words, s[i:j])
		i = j + 1
	}
	return words
}

// Two hosts of a group on a link hear each other: one answers a query of version 2, and he alone says that he
// leaves. In version 3 both do.
func TestTwoHostsOfAGroup(t *testing.T) {
	for seed := range uint64(50) {
		for version := uint8(2); version <= 3; version++ {
			var hosts [2]Groups
			now := 1000 * pkt.Second
			for i := range hosts {
				hosts[i].Init(2*seed + uint64(i))
				hosts[i].Join(now, mcast(1))
				said(t, &hosts[i], now, 100)
				said(t, &hosts[i], now+pkt.Second, 100)
			}
			now += 10 * pkt.Second
			for i := range hosts {
				ask(version, 1, 10*pkt.Second)(&hosts[i], now)
			}
			answers := [2]int{}
			for range 2 {
				i := 0
				if hosts[1].Due(now) < hosts[0].Due(now) {
					i = 1
				}
				at := hosts[i].Due(now)
				if at == pkt.Never {
					break
				}
				if at <= now || at > now+10*pkt.Second {
					t.Fatalf("an answer after %v", at-now)
				}
				now = at
				if said(t, &hosts[i], now, 100) != "" {
					answers[i]++
				}
				if version == 2 {
					hosts[1-i].Report(mcast(1))
				}
			}
			if n := answers[0] + answers[1]; n != int(version)-1 {
				t.Errorf("seed %d, version %d: %d answers", seed, version, n)
			}
			for i := range hosts {
				hosts[i].Leave(now, mcast(1))
				want := "TO_IN1"
				if version == 2 {
					want = [2]string{"", "leave1"}[answers[i]]
				}
				if got := said(t, &hosts[i], now, 100); got != want {
					t.Errorf("seed %d, version %d: host %d says %q, want %q", seed, version, i, got, want)
				}
			}
		}
	}
}

// TestAQuerierOfAnOldVersionIsForgotten: after minutes, whatever a newer one has said of itself before.
func TestAQuerierOfAnOldVersionIsForgotten(t *testing.T) {
	var m Groups
	m.Init(1)
	m.Join(0, ipv4.AddrOf(233, 252, 0, 1))
	m.Query(0, &ipv4.IGMP{Type: ipv4.IGMPQuery, Version: 3, Robustness: 7, Interval: 31744 * pkt.Second})
	m.Query(0, &ipv4.IGMP{Type: ipv4.IGMPQuery, Version: 1})
	if m.look(259 * pkt.Second); m.mode != 1 {
		t.Errorf("speaks version %d after 259 s", m.mode)
	}
	if m.look(260 * pkt.Second); m.mode != 3 {
		t.Errorf("speaks version %d after 260 s", m.mode)
	}
}
