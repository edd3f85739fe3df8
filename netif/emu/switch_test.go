package emu

import (
	"slices"
	"testing"

	"github.com/bonsainet/bonsai/netif"
)

// addressed is a frame from one station to another; 0xff is everybody.
func addressed(n int, from, to byte) *netif.Buf {
	b := frame(n, 60)
	p := b.Bytes()
	copy(p, []byte{2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from})
	if to == 0xff {
		copy(p, "\xff\xff\xff\xff\xff\xff")
	}
	return b
}

// takers returns at which ports something arrived, once for each frame, and
// empties them.
func takers(ports []*SwitchPort) []int {
	var at []int
	bufs := empties(8)
	for i, p := range ports {
		for range p.Take(bufs) {
			at = append(at, i)
		}
	}
	return at
}

func newSwitch(c SwitchConfig, n int) (*Switch, []*SwitchPort) {
	s := NewSwitch(c)
	var ports []*SwitchPort
	for range n {
		ports = append(ports, s.Port())
	}
	return s, ports
}

func TestSwitchLearnsAndFloods(t *testing.T) {
	for name, path := range map[string]Path{"perfect": {}, "impaired": {Delay: ms}} {
		var clock Virtual
		s, ports := newSwitch(SwitchConfig{Clock: &clock, Path: path}, 4)
		for i, step := range []struct {
			port     int
			from, to byte
			want     []int
		}{
			{0, 1, 2, []int{1, 2, 3}},    // unknown
			{1, 2, 1, []int{0}},          // learned
			{0, 1, 2, []int{1}},          // and now the other
			{2, 3, 0xff, []int{0, 1, 3}}, // broadcast
			{2, 4, 3, nil},               // behind the same port: filtered
			{3, 1, 0xff, []int{0, 1, 2}}, // 1 moves
			{1, 2, 1, []int{3}},
		} {
			send(t, ports[step.port], addressed(i, step.from, step.to))
			for range 2 { // up and down
				clock.Set(clock.Now() + ms)
			}
			if got := takers(ports); !slices.Equal(got, step.want) {
				t.Errorf("%s, step %d: arrived at %v, want %v", name, i, got, step.want)
			}
		}
		if got, want := s.Stats(), (SwitchStats{Forwarded: 3, Flooded: 3, Filtered: 1, Learned: 4, Moved: 1}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestSwitchForgets(t *testing.T) {
	var clock Virtual
	s, ports := newSwitch(SwitchConfig{Clock: &clock, Age: 10 * ms}, 3)
	send(t, ports[0], addressed(0, 1, 0xff))
	takers(ports)
	clock.Set(10*ms - 1)
	send(t, ports[1], addressed(0, 2, 1))
	if got := takers(ports); !slices.Equal(got, []int{0}) {
		t.Errorf("before its age: %v", got)
	}
	clock.Set(10 * ms)
	send(t, ports[1], addressed(0, 2, 1))
	if got := takers(ports); !slices.Equal(got, []int{0, 2}) {
		t.Errorf("after its age: %v", got)
	}
	ports[1].SetDown(true)
	send(t, ports[0], addressed(0, 1, 2))
	if got := takers(ports); !slices.Equal(got, []int{2}) {
		t.Errorf("without carrier: %v", got)
	}
	ports[1].SetDown(false)
	send(t, ports[0], addressed(0, 1, 2))
	if got := takers(ports); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("carrier again: %v", got)
	}
	ports[1].Close()
	ports[1].Close()
	if p := s.Port(); p.index != 1 || p.HardwareAddr() == ports[1].HardwareAddr() {
		t.Error("the place of a closed port is not used again, or its address is")
	}
}

func TestSwitchKeepsBridgeAddresses(t *testing.T) {
	_, ports := newSwitch(SwitchConfig{}, 2)
	b := addressed(0, 1, 0)
	copy(b.Bytes(), "\x01\x80\xc2\x00\x00\x01") // PAUSE
	send(t, ports[0], b)
	if got := takers(ports); got != nil {
		t.Errorf("forwarded to %v", got)
	}
}

func TestSwitchTableIsBounded(t *testing.T) {
	var clock Virtual
	s, ports := newSwitch(SwitchConfig{Clock: &clock, MACs: 16}, 2)
	for i := range 200 {
		clock.Set(clock.Now() + 1)
		b := addressed(i, byte(i), 0xff)
		b.Bytes()[10] = byte(i >> 4)
		send(t, ports[0], b)
		takers(ports)
	}
	if len(s.table) != 16 || s.Stats().Learned != 200 || s.Stats().Evicted < 184 {
		t.Errorf("%d entries, %+v", len(s.table), s.Stats())
	}
	send(t, ports[1], addressed(0, 2, 199))
	b := addressed(0, 2, 199)
	b.Bytes()[4] = 199 >> 4
	send(t, ports[1], b)
	if s.Stats().Forwarded != 1 {
		t.Error("the newest address was not in the table")
	}
}

func TestSwitchForwardsByArrival(t *testing.T) {
	var clock Virtual
	_, ports := newSwitch(SwitchConfig{Clock: &clock}, 3)
	ports[0].SetOut(Path{Delay: 5 * ms})
	ports[1].SetOut(Path{Delay: 2 * ms})
	ports[2].SetIn(Path{Rate: 480e3}) // 1 ms each
	send(t, ports[0], addressed(0, 1, 3))
	send(t, ports[1], addressed(1, 2, 3))
	send(t, ports[1], addressed(2, 2, 3))
	// The clock jumps over all of it: the times are right all the same.
	clock.Set(5 * ms)
	bufs := empties(8)
	if n := ports[2].Take(bufs); n != 2 || number(bufs[0]) != 1 || number(bufs[1]) != 2 {
		t.Errorf("%d frames", n)
	}
	got := drain(&clock, ports[2])
	if len(got) != 1 || got[0] != (arrival{6 * ms, 0}) {
		t.Errorf("%+v", got)
	}
}

func TestSwitchSendsBatchesInOrder(t *testing.T) {
	_, ports := newSwitch(SwitchConfig{}, 3)
	send(t, ports[1], addressed(0, 2, 0xff))
	send(t, ports[2], addressed(0, 3, 0xff))
	takers(ports)
	long := frame(9, 1514)
	long.Prepend(90)
	batch := []*netif.Buf{addressed(0, 1, 2), addressed(1, 1, 2), long, addressed(2, 1, 0xff), addressed(3, 1, 3), addressed(4, 1, 2)}
	if ports[0].Send(batch) == nil {
		t.Error("no error for the long one")
	}
	for _, b := range batch {
		if b == nil {
			t.Fatal("a Buf is missing")
		}
	}
	var clock Virtual
	if got := numbers(drain(&clock, ports[1])); !slices.Equal(got, []int{0, 1, 2, 4}) {
		t.Errorf("port 1: %v", got)
	}
	if got := numbers(drain(&clock, ports[2])); !slices.Equal(got, []int{2, 3}) {
		t.Errorf("port 2: %v", got)
	}
	out, _ := ports[0].Stats()
	conserved(t, out, 0)
}

func TestSwitchSteadyStateAllocatesNothing(t *testing.T) {
	for name, path := range map[string]Path{"perfect": {}, "impaired": {Delay: ms, Jitter: ms, Loss: 0.1}} {
		var clock Virtual
		_, ports := newSwitch(SwitchConfig{Clock: &clock, Path: path}, 3)
		batch := []*netif.Buf{addressed(0, 1, 0xff), addressed(1, 1, 2), addressed(2, 1, 2)}
		bufs := empties(8)
		step := func() {
			for i, b := range batch {
				b.Reset()
				p := b.Append(60)
				copy(p, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1})
				if i == 0 {
					p[0] = 0xff
				}
			}
			ports[0].Send(batch)
			clock.Set(clock.Now() + ms)
			for _, p := range ports {
				p.Take(bufs)
			}
		}
		for range 1000 {
			step()
		}
		if n := testing.AllocsPerRun(1000, step); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
