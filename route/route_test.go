package route

import (
	"math/rand/v2"
	"testing"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
)

func prefix(t testing.TB, s string) (p ipv4.Prefix) {
	t.Helper()
	for i := range s {
		if s[i] == '/' {
			a, ok := ipv4.ParseAddr(s[:i])
			for _, c := range s[i+1:] {
				p.Bits = p.Bits*10 + uint8(c-'0')
			}
			if !ok || p.Bits > 32 {
				t.Fatal(s)
			}
			p.Addr = a
			return p
		}
	}
	t.Fatal(s)
	return p
}

func addr(s string) ipv4.Addr {
	a, ok := ipv4.ParseAddr(s)
	if !ok {
		panic(s)
	}
	return a
}

func add(t testing.TB, tab *Table, dst, gw string, metric uint32, proto uint8, ifindex int32) {
	t.Helper()
	r := Route{Dst: prefix(t, dst), Metric: metric, Proto: proto, Ifindex: ifindex, Flags: RTF_UP, Scope: ScopeLink}
	if gw != "" {
		r.Gateway, r.Scope = addr(gw), ScopeUniverse
		r.Flags |= RTF_GATEWAY
	}
	if e := tab.Add(&r); e != 0 {
		t.Fatalf("%s via %s: %v", dst, gw, e)
	}
}

func TestC22LongestPrefixThenLeastMetric(t *testing.T) {
	var tab Table
	add(t, &tab, "0.0.0.0/0", "198.18.0.1", 0, ProtoBoot, 2)
	add(t, &tab, "198.18.0.0/24", "", 0, ProtoKernel, 2)
	add(t, &tab, "198.19.0.0/16", "198.18.0.2", 5, ProtoBoot, 2)
	add(t, &tab, "198.19.0.0/16", "198.18.0.3", 1, ProtoBoot, 2)
	add(t, &tab, "198.19.7.0/24", "198.18.0.4", 9, ProtoBoot, 2)
	add(t, &tab, "198.19.7.7/32", "198.18.0.5", 9, ProtoBoot, 2)
	for _, c := range []struct{ dst, hop string }{
		{"198.18.0.77", "198.18.0.77"}, // on the link
		{"198.18.1.1", "198.18.0.1"},   // default
		{"198.19.1.1", "198.18.0.3"},   // network, least metric
		{"198.19.7.1", "198.18.0.4"},   // longer, whatever the metric
		{"198.19.7.7", "198.18.0.5"},   // host
		{"255.255.255.255", "198.18.0.1"},
		{"0.0.0.0", "198.18.0.1"},
	} {
		r := tab.Lookup(addr(c.dst))
		if r == nil || r.NextHop(addr(c.dst)) != addr(c.hop) {
			t.Errorf("%s goes by %+v, want %s", c.dst, r, c.hop)
		}
	}
	if r := new(Table).Lookup(addr("198.18.0.1")); r != nil {
		t.Errorf("an empty table gives %+v", r)
	}
}

func TestLatestOfEqualsWinsButTheKernels(t *testing.T) {
	var tab Table
	add(t, &tab, "198.18.0.0/24", "", 0, ProtoKernel, 2)
	add(t, &tab, "198.18.0.0/24", "", 0, ProtoKernel, 3)
	if r := tab.Lookup(addr("198.18.0.9")); r.Ifindex != 2 {
		t.Errorf("interface %d, want the first one's connected route", r.Ifindex)
	}
	add(t, &tab, "198.18.0.0/24", "", 0, ProtoBoot, 3)
	add(t, &tab, "198.18.0.0/24", "", 0, ProtoBoot, 4)
	if r := tab.Lookup(addr("198.18.0.9")); r.Ifindex != 4 {
		t.Errorf("interface %d, want the latest", r.Ifindex)
	}
}

func TestAddRefusesTheSameRouteTwice(t *testing.T) {
	var tab Table
	add(t, &tab, "198.18.0.0/24", "", 3, ProtoBoot, 2)
	g := tab.Gen()
	r := Route{Dst: prefix(t, "198.18.0.7/24"), Metric: 3, Proto: ProtoBoot, Ifindex: 2, Flags: RTF_UP, Scope: ScopeLink}
	if e := tab.Add(&r); e != errno.EEXIST {
		t.Errorf("%v, want EEXIST", e)
	}
	if tab.Gen() != g || tab.Len() != 1 {
		t.Error("a failure changed the table")
	}
	r.Metric = 4
	if e := tab.Add(&r); e != 0 || tab.Gen() == g {
		t.Errorf("%v, generation %d after %d", e, tab.Gen(), g)
	}
}

func TestDelMatchesWhatIsGiven(t *testing.T) {
	build := func() *Table {
		tab := new(Table)
		add(t, tab, "198.18.0.0/24", "", 0, ProtoKernel, 2)
		add(t, tab, "0.0.0.0/0", "198.18.0.1", 1, ProtoBoot, 2)
		add(t, tab, "0.0.0.0/0", "198.18.0.2", 2, ProtoBoot, 3)
		r := Route{Dst: prefix(t, "198.19.0.0/16"), Flags: RTF_UP | RTF_REJECT, Scope: ScopeHost}
		tab.Add(&r)
		return tab
	}
	for _, c := range []struct {
		what string
		p    Route
		e    errno.Errno
		left string // gateway that remains for the default, if any
	}{
		{"any default: the first", Route{Scope: ScopeNowhere}, 0, "198.18.0.2"},
		{"by gateway", Route{Scope: ScopeNowhere, Gateway: addr("198.18.0.2")}, 0, "198.18.0.1"},
		{"by interface", Route{Scope: ScopeNowhere, Ifindex: 3}, 0, "198.18.0.1"},
		{"by metric", Route{Scope: ScopeNowhere, Metric: 2}, 0, "198.18.0.1"},
		{"unknown gateway", Route{Scope: ScopeNowhere, Gateway: addr("198.18.0.3")}, errno.ESRCH, "198.18.0.1"},
		{"unknown interface", Route{Scope: ScopeNowhere, Ifindex: 4}, errno.ESRCH, "198.18.0.1"},
		{"wrong scope", Route{Scope: ScopeLink}, errno.ESRCH, "198.18.0.1"},
		{"wrong protocol", Route{Scope: ScopeNowhere, Proto: ProtoKernel}, errno.ESRCH, "198.18.0.1"},
		{"other prefix length", Route{Scope: ScopeNowhere, Dst: prefix(t, "198.18.0.0/25")}, errno.ESRCH, "198.18.0.1"},
		{"reject, without the flag", Route{Scope: ScopeNowhere, Dst: prefix(t, "198.19.0.0/16")}, errno.ESRCH, "198.18.0.1"},
		{"reject", Route{Scope: ScopeHost, Flags: RTF_REJECT, Dst: prefix(t, "198.19.0.0/16")}, 0, "198.18.0.1"},
	} {
		tab := build()
		if e := tab.Del(&c.p); e != c.e {
			t.Errorf("%s: %v, want %v", c.what, e, c.e)
		}
		if r := tab.Lookup(addr("198.18.99.1")); r.Gateway != addr(c.left) {
			t.Errorf("%s: the default is now by %v", c.what, r.Gateway)
		}
	}
}

func TestDelInterfaceAndSource(t *testing.T) {
	var tab Table
	add(t, &tab, "198.18.0.0/24", "", 0, ProtoKernel, 2)
	add(t, &tab, "0.0.0.0/0", "198.18.0.1", 0, ProtoBoot, 2)
	add(t, &tab, "198.18.1.0/24", "", 0, ProtoKernel, 3)
	r := Route{Dst: prefix(t, "198.19.0.0/16"), Src: addr("198.18.1.1"), Ifindex: 3}
	tab.Add(&r)
	tab.DelAll(0, addr("198.18.1.1"))
	if tab.Len() != 3 || tab.Lookup(addr("198.19.0.1")).Dst.Bits != 0 {
		t.Error("the route with a source that is gone is still there")
	}
	tab.DelAll(2, ipv4.Any)
	if tab.Len() != 1 || tab.At(0).Ifindex != 3 {
		t.Errorf("%d routes left", tab.Len())
	}
}

func TestTableIsBounded(t *testing.T) {
	var tab Table
	for k := range maxRoutes() {
		r := Route{Dst: ipv4.Prefix{Addr: ipv4.Addr(0xc6120000 + uint32(k)), Bits: 32}, Ifindex: 2}
		if k%2 == 1 {
			r.Flags = RTF_DYNAMIC
		}
		if e := tab.Add(&r); e != 0 {
			t.Fatal(k, e)
		}
	}
	room := 0 // what redirects made gives way
	if feature.Redirect {
		room = maxRoutes() / 2
	}
	for k := range room + 1 {
		r := Route{Dst: ipv4.Prefix{Addr: ipv4.Addr(0xc6130000 + uint32(k)), Bits: 32}, Ifindex: 2}
		e := tab.Add(&r)
		if (e == errno.ENOBUFS) != (k == room) {
			t.Fatal(k, e)
		}
	}
	if tab.Len() != maxRoutes() {
		t.Errorf("%d routes", tab.Len())
	}
}

func TestRedirectsGoWithTheirGateway(t *testing.T) {
	var tab Table
	add(t, &tab, "0.0.0.0/0", "198.18.0.2", 0, ProtoBoot, 2)
	for k, gw := range []string{"198.18.0.2", "198.18.0.3"} {
		r := Route{Dst: ipv4.Prefix{Addr: ipv4.AddrOf(198, 19, 0, byte(k)), Bits: 32}, Gateway: addr(gw), Flags: RTF_DYNAMIC, Expire: 9, Ifindex: 2}
		tab.Add(&r)
	}
	if next := tab.Expire(8, addr("198.18.0.2")); next != 9 {
		t.Errorf("the next expires at %d", next)
	}
	if tab.Len() != 2 || tab.At(0).Gateway != addr("198.18.0.3") || tab.At(1).Flags&RTF_DYNAMIC != 0 {
		t.Errorf("%d left", tab.Len())
	}
}

// TestLookupAgainstModel compares with a search through everything.
func TestLookupAgainstModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var tab Table
		var all []Route
		for range rnd.IntN(min(maxRoutes(), 64)) {
			p := ipv4.Prefix{Addr: ipv4.Addr(0xc6120000 | rnd.Uint32N(1<<17)), Bits: uint8(rnd.IntN(33))}
			r := Route{Dst: p.Masked(), Metric: rnd.Uint32N(3), Ifindex: int32(len(all) + 2), Scope: uint8(ScopeUniverse + 253*rnd.IntN(2))}
			if tab.Add(&r) == 0 {
				all = append(all, r)
			}
			if rnd.IntN(4) == 0 && len(all) > 0 {
				k := rnd.IntN(len(all))
				d := all[k]
				d.Scope = ScopeNowhere
				if tab.Del(&d) != 0 {
					t.Fatal("a route that was added is not there")
				}
				all = append(all[:k], all[k+1:]...)
			}
		}
		for range 50 {
			dst := ipv4.Addr(0xc6120000 | rnd.Uint32N(1<<17))
			for _, scope := range []uint8{ScopeUniverse, ScopeLink} {
				var want *Route
				for k := range all {
					r := &all[k]
					if r.Dst.Contains(dst) && r.Scope >= scope && (want == nil || r.Dst.Bits > want.Dst.Bits ||
						r.Dst.Bits == want.Dst.Bits && r.Metric <= want.Metric) {
						want = r
					}
				}
				got := tab.LookupOn(dst, 0, scope)
				if (got == nil) != (want == nil) || got != nil && got.Ifindex != want.Ifindex {
					t.Fatalf("%v: %+v, want %+v", dst, got, want)
				}
				if scope == ScopeUniverse && tab.Lookup(dst) != got {
					t.Fatal("Lookup and LookupOn disagree")
				}
			}
		}
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	var tab Table
	add(t, &tab, "0.0.0.0/0", "198.18.0.1", 0, ProtoBoot, 2)
	if n := testing.AllocsPerRun(100, func() { tab.Lookup(addr("198.19.0.1")) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	var tab Table
	add(b, &tab, "0.0.0.0/0", "198.18.0.1", 0, ProtoBoot, 2)
	add(b, &tab, "198.18.0.0/24", "", 0, ProtoKernel, 2)
	for b.Loop() {
		tab.Lookup(ipv4.AddrOf(198, 19, 0, 1))
	}
}
