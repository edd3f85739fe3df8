package bench

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/stack"
)

// sized is a case that is one point of a curve.
type sized struct {
	curve, point int
	*Case
	values []float64
}

// scale measures what a packet costs against the number of connections, routes and timers:
// it should not depend on any. All is done with two engines on one core.
func (p *Plan) scale() (curves []Curve, notes []string) {
	sizes := []int{1, 10, 100, 1000}
	if p.Options.conns() >= IdleConns {
		sizes = append(sizes, 10_000, 100_000)
	}
	const conns, routes, timers = "connections that are open", "routes, besides the one that is taken", "connections, each with a keepalive timer that runs"
	// With many in turn, the answer to an answer is not there in time to acknowledge it: there
	// are three frames to a round trip, not two.
	const requests = "A frame, of requests and answers of 64 bytes"
	all := []struct {
		Curve
		metric string
		sizes  []int
		open   func(n int) ([]*Case, error) // a case for this curve and those below of the same pair
	}{
		{Curve{Title: requests, Name: "one connection in use", X: conns, Y: "CPU ns"}, "cpu_ns_frame", sizes, openSizes},
		{Curve{Title: requests, Name: "1 % in use", X: conns, Y: "CPU ns"}, "cpu_ns_frame", sizes, nil},
		{Curve{Title: requests, Name: "all in use, in turn", X: conns, Y: "CPU ns"}, "cpu_ns_frame", sizes, nil},
		{Curve{Title: "A segment of 1,448 bytes, in groups of ten", Name: "all in use, in turn", X: conns, Y: "CPU ns"}, "cpu_ns_segment", sizes, nil},
		{Curve{Title: "A datagram of 1,472 bytes", Name: "unconnected UDP socket", X: routes, Y: "CPU ns"}, "cpu_us_op", routeSizes(), openRoutes},
		{Curve{Title: requests, Name: "one connection in use", X: timers, Y: "CPU ns"}, "cpu_ns_frame", sizes, openTimers},
	}
	var list []*sized
	for i := range all {
		c := &all[i]
		if c.open == nil {
			continue
		}
		if c.X == timers && !feature.Keepalive {
			notes = append(notes, "the cost against the number of timers needs feature keepalive")
			continue
		}
		p.say("scale: %s\n", c.X)
		for k, n := range c.sizes {
			cases, err := c.open(n)
			if err != nil {
				notes = append(notes, fmt.Sprintf("scale, %d %s: %v", n, c.X, err))
				continue
			}
			for j, one := range cases {
				list = append(list, &sized{curve: i + j, point: k, Case: one})
			}
		}
	}
	end := time.Now().Add(p.Total)
	for round := range p.Rounds + 1 {
		if p.Total > 0 && round > 1 && time.Now().After(end) {
			notes = append(notes, fmt.Sprintf("scale: the time was up after %d rounds", round-1))
			break
		}
		for i := range list {
			s := list[(i+round)%len(list)]
			v, err := Measure(s.Case, p.Budget)
			if err != nil {
				notes = append(notes, fmt.Sprintf("scale, %s: %v", all[s.curve].X, err))
				continue
			}
			if round == 0 { // all connections have been used once, and have grown
				continue
			}
			x := v[all[s.curve].metric]
			if all[s.curve].metric == "cpu_us_op" {
				x *= 1000
			}
			s.values = append(s.values, x)
		}
	}
	for i := range all {
		c := all[i].Curve
		for k, n := range all[i].sizes {
			for _, s := range list {
				if s.curve == i && s.point == k && len(s.values) > 0 {
					c.Points = append(c.Points, Point{float64(n), Median(s.values)})
				}
			}
		}
		if len(c.Points) > 0 {
			curves = append(curves, c)
		}
	}
	return curves, notes
}

// shuffled returns conns in an order that the memory does not have.
func shuffled(conns [][2]*stack.Conn) [][2]*stack.Conn {
	list := append([][2]*stack.Conn(nil), conns...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(list), func(i, k int) { list[i], list[k] = list[k], list[i] })
	return list
}

// many returns a pair with n connections, to as many ports as it takes.
func many(n int) (*Pair, [][2]*stack.Conn, error) {
	o := Options{Conns: n, Buffers: 256 << 10}
	if feature.Profile == feature.Minimal {
		o.Buffers = 0
	}
	p, err := NewPair(o.config(), 1500)
	if err != nil {
		return nil, nil, err
	}
	conns, err := p.Idle(n)
	return p, conns, err
}

func openSizes(n int) ([]*Case, error) {
	p, conns, err := many(n)
	if err != nil {
		return nil, err
	}
	mixed := shuffled(conns)
	list := []*Case{
		p.roundTrips(conns[:1], 64),
		p.roundTrips(mixed[:max(1, n/100)], 64),
		p.roundTrips(mixed, 64),
		p.turns(mixed, 10*1448),
	}
	for _, c := range list {
		c.Frames = p.frames
	}
	return list, nil
}

// turns sends size bytes over each connection in turn.
func (p *Pair) turns(conns [][2]*stack.Conn, size int) *Case {
	m := p.stream(0, nil, nil, size)
	next := 0
	return &Case{Run: func(b Budget) (n Count, err error) {
		l := b.begin()
		for k := l.next(4); k > 0; k = l.next(4) {
			for range k {
				m.src, m.dst = conns[next][0], conns[next][1]
				if next++; next == len(conns) {
					next = 0
				}
				if err := m.send(size); err != nil {
					return n, err
				}
			}
			n.Ops += int64(k)
		}
		return n.done(l, n.Ops*int64(size)), nil
	}}
}

// routeSizes are as many routes as the table holds, less the one of the interface.
func routeSizes() []int {
	if feature.BigTables {
		return []int{1, 10, 100, 1000, 8000}
	}
	if feature.Profile == feature.Minimal {
		return []int{1, 2, 4, 6}
	}
	return []int{1, 3, 10, 30, 60}
}

// openRoutes adds n routes longer than the one that is taken.
func openRoutes(n int) ([]*Case, error) {
	p, err := NewPair(Options{}.config(), 1500)
	if err != nil {
		return nil, err
	}
	for i := range n {
		a := ipv4.AddrOf(198, 19, byte(i>>5), byte(i<<3))
		r := stack.Rtentry{Dst: stack.SockaddrIn(a), Genmask: stack.SockaddrIn(ipv4.Mask(29)), Gateway: stack.SockaddrIn(address(1)), Flags: 3}
		if err := p.S[0].Ioctl(stack.SIOCADDRT, &r); err != nil {
			return nil, fmt.Errorf("route %d: %w", i, err)
		}
	}
	c, err := p.openUDP()
	return []*Case{c}, err
}

// openTimers opens n connections, each of which has a timer running.
func openTimers(n int) ([]*Case, error) {
	p, conns, err := many(n)
	if err != nil {
		return nil, err
	}
	for _, c := range conns {
		for i := range c {
			if e := c[i].SetOption(stack.SOL_SOCKET, stack.SO_KEEPALIVE, 1); e != 0 {
				return nil, e
			}
		}
	}
	p.Settle()
	c := p.roundTrips(conns[:1], 64)
	c.Frames = p.frames
	return []*Case{c}, nil
}
