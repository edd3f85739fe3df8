package emu

import (
	"sync"
	"sync/atomic"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/netif"
)

const (
	defaultMACs = 1024
	defaultAge  = 300 * netif.Time(1e9) // IEEE 802.1Q-2018 table 8-6
	maxPorts    = 4096
	probes      = 8 // how far an address may lie from its place in the table
)

// SwitchConfig describes a switch. The zero SwitchConfig is one with perfect
// cables.
type SwitchConfig struct {
	// MTU, Frames, Seed and Clock are those of each port's cable: see Config.
	MTU, Frames int
	Seed        uint64
	Clock       Clock

	// Path is what happens to frames from a port's user to the switch and back.
	// Port.SetOut and SetIn change it for one port.
	Path Path

	// MACs bounds the table of learned addresses: 8 to 1,048,576 entries, or 0 for
	// 1,024. Where it is full, one of those that were not heard for a long time
	// makes room.
	MACs int

	// Age is how long an address stays in the table that no frame comes from. 0
	// is 300 s. Without a Clock nothing ages.
	Age netif.Time
}

// Switch is a learning Ethernet switch. It stores frames until they arrived
// whole, forwards them in no time, and floods those for addresses that it did not
// learn. It is safe for concurrent use.
type Switch struct {
	conf    SwitchConfig
	mu      sync.Mutex
	ports   []*SwitchPort // nil where one was closed
	table   []station
	inbox   [1]*netif.Buf // the frame being forwarded
	stats   SwitchStats
	streams uint64 // of random numbers that were given out

	timed    atomic.Bool // some port's cable to the switch is not perfect
	blocking bool        // somebody is in Recv, and so needs the timer
	set      func(at netif.Time)
	armed    netif.Time
}

// SwitchStats counts what a switch did.
type SwitchStats struct {
	Forwarded uint64 // frames sent to one port
	Flooded   uint64 // frames sent to all other ports
	Filtered  uint64 // frames for an address behind the port they came from
	Learned   uint64 // addresses that were new, or had aged
	Moved     uint64 // addresses heard on another port than before
	Evicted   uint64 // addresses that had to make room
}

// station is an entry of the address table.
type station struct {
	mac  netif.MAC
	port uint16 // index in ports, plus 1; 0 marks an empty entry
	seen netif.Time
}

// SwitchPort is what is plugged into a switch: its user's end of the cable.
type SwitchPort struct {
	Port
	sw    *Switch
	index int
	up    pipe // to the switch
	dn    pipe // from it
}

// Offload returns false: a switch takes frames of the MTU only.
func (p *SwitchPort) Offload() bool { return false }

// Validate returns nil or a *ConfigError.
func (c *SwitchConfig) Validate() error {
	if err := limits(c.MTU, c.Frames); err != nil {
		return err
	}
	if c.MACs != 0 && (c.MACs < probes || c.MACs > 1<<20) {
		return &ConfigError{"MACs", "must be 8 to 1048576, or 0 for 1024"}
	}
	if c.Age < 0 {
		return &ConfigError{"Age", "must not be negative"}
	}
	return c.Path.validate("Path", c.Clock)
}

// NewSwitch returns a switch without ports. It panics if c.Validate returns an
// error.
func NewSwitch(c SwitchConfig) *Switch {
	if err := c.Validate(); err != nil {
		panic(err)
	}
	if c.MACs == 0 {
		c.MACs = defaultMACs
	}
	if c.Age == 0 {
		c.Age = defaultAge
	}
	s := &Switch{conf: c, table: make([]station, c.MACs), armed: never}
	s.inbox[0] = netif.NewBuf(0) // which goes to the first port that sends, for a larger one
	s.timed.Store(!c.Path.perfect())
	return s
}

// Port adds a port. It panics beyond 4,096 open ones.
func (s *Switch) Port() *SwitchPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := 0
	for i < len(s.ports) && s.ports[i] != nil {
		i++
	}
	if i == maxPorts {
		panic(&ConfigError{"Port", "would be one more than 4096"})
	}
	c := &s.conf
	s.streams += 2
	p := &SwitchPort{sw: s, index: i}
	p.Port = Port{&p.up, &p.dn, address(c.Seed, int(s.streams/2))}
	p.up.init(c.MTU, c.Frames, c.Path, c.Seed, s.streams-1, c.Clock)
	p.dn.init(c.MTU, c.Frames, c.Path, c.Seed, s.streams, c.Clock)
	if i == len(s.ports) {
		s.ports = append(s.ports, nil)
	}
	s.ports[i] = p
	return p
}

// Stats returns the counters of the switch. Those of its cables are the ports'.
func (s *Switch) Stats() SwitchStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Send implements netif.Device: see Port.Send.
func (p *SwitchPort) Send(bufs []*netif.Buf) error {
	s := p.sw
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timed.Load() {
		s.advance() // so that older frames come first
	}
	err, ok := p.through(bufs)
	if !ok {
		err = p.up.send(ask, bufs)
		s.advance()
	}
	return err.Err()
}

// Recv implements netif.Device: see Port.Recv.
func (p *SwitchPort) Recv(bufs []*netif.Buf) (int, error) {
	if s := p.sw; s.timed.Load() {
		s.mu.Lock()
		s.blocking = true
		s.advance()
		s.mu.Unlock()
	}
	return p.Port.Recv(bufs)
}

// Take is a Recv that does not wait: see Port.Take.
func (p *SwitchPort) Take(bufs []*netif.Buf) int {
	if s := p.sw; s.timed.Load() {
		s.mu.Lock()
		s.advance()
		s.mu.Unlock()
	}
	return p.Port.Take(bufs)
}

// Next returns the time at which Take may have a frame, if none is sent until
// then, as Port.Next. It is also the time at which one reaches the switch, when
// that is earlier: where it goes is not known before.
func (p *SwitchPort) Next() netif.Time {
	at := p.Port.Next()
	if s := p.sw; s.timed.Load() {
		s.mu.Lock()
		_, t := s.earliest()
		s.mu.Unlock()
		at = min(at, t)
	}
	return at
}

// Close unplugs the port for good and wakes Recv.
func (p *SwitchPort) Close() error {
	s := p.sw
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ports[p.index] == p {
		s.ports[p.index] = nil
		s.forget(p)
		p.up.close()
		p.dn.close()
	}
	return nil
}

// SetDown pulls the cable, or plugs it in again: see Port.SetDown. The switch
// forgets the addresses that it learned there.
func (p *SwitchPort) SetDown(down bool) {
	p.sw.mu.Lock()
	defer p.sw.mu.Unlock()
	if down {
		p.sw.forget(p)
	}
	p.Port.SetDown(down)
}

// SetOut changes what happens to the frames that the port's user sends: see
// Port.SetOut.
func (p *SwitchPort) SetOut(path Path) error {
	p.sw.mu.Lock()
	defer p.sw.mu.Unlock()
	if !path.perfect() {
		p.sw.timed.Store(true)
	}
	return p.Port.SetOut(path)
}

// through forwards frames at once when the cable to the switch is perfect, and
// says whether it was.
func (p *SwitchPort) through(bufs []*netif.Buf) (errno.Errno, bool) {
	q := &p.up
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.perfect || q.down || q.dead || q.len() > 0 {
		return 0, false
	}
	var err errno.Errno
	now, first := q.now(), 0
	for i, b := range bufs {
		q.count(b.Len())
		if q.fits(b.Bytes()) {
			q.delivered(b.Len())
			continue
		}
		q.stats.BadLength++
		err = errno.EMSGSIZE
		p.forward(now, bufs[first:i])
		first = i + 1
	}
	p.forward(now, bufs[first:])
	return err, true
}

// advance forwards what has reached the switch, in the order of its arrival.
func (s *Switch) advance() {
	for {
		from, at := s.earliest()
		if from == nil {
			return
		}
		now := from.up.now()
		if at > now {
			if s.blocking && at != s.armed {
				s.arm(at)
			}
			return
		}
		if at == 0 {
			at = now // it needed no time, or the end of it was not recorded
		}
		from.up.mu.Lock()
		from.up.take(at, s.inbox[:])
		from.up.mu.Unlock()
		from.forward(at, s.inbox[:])
	}
}

// earliest returns the port from which the next frame comes, and when.
func (s *Switch) earliest() (from *SwitchPort, at netif.Time) {
	at = never
	for _, p := range s.ports {
		if p == nil {
			continue
		}
		p.up.mu.Lock()
		t := p.up.next()
		p.up.mu.Unlock()
		if t < at {
			from, at = p, t
		}
	}
	return from, at
}

func (s *Switch) arm(at netif.Time) {
	if s.set == nil {
		s.set = s.conf.Clock.Timer(s.timer)
	}
	s.armed = at
	s.set(at)
}

func (s *Switch) timer() {
	s.mu.Lock()
	s.armed = never
	s.advance()
	s.mu.Unlock()
}

// forward sends frames from p to where they belong. Those in a row from and to
// the same addresses go together.
func (p *SwitchPort) forward(now netif.Time, bufs []*netif.Buf) {
	s := p.sw
	for len(bufs) > 0 {
		f, n := bufs[0].Bytes(), 1
		for n < len(bufs) && sameAddresses(f, bufs[n].Bytes()) {
			n++
		}
		s.learn(now, netif.MAC(f[6:12]), p)
		dst := netif.MAC(f[:6])
		to := s.lookup(now, dst)
		switch {
		case to == p, reserved(dst):
			s.stats.Filtered += uint64(n)
		case to != nil:
			s.stats.Forwarded += uint64(n)
			to.dn.send(now, bufs[:n])
		default:
			s.stats.Flooded += uint64(n)
			for _, b := range bufs[:n] {
				for _, to := range s.ports {
					if to != nil && to != p {
						to.dn.sendCopy(now, b)
					}
				}
			}
		}
		bufs = bufs[n:]
	}
}

func sameAddresses(f, g []byte) bool { return string(f[:12]) == string(g[:12]) }

// reserved says whether a bridge keeps frames to an address for itself (IEEE
// 802.1Q-2018 table 8-1).
func reserved(a netif.MAC) bool {
	return a[0] == 0x01 && a[1] == 0x80 && a[2] == 0xc2 && a[3] == 0 && a[4] == 0 && a[5] < 0x10
}

// place returns where an address belongs in the table. It lies there or in one
// of the places that follow.
func (s *Switch) place(a netif.MAC) int {
	x := uint64(a[0])<<40 | uint64(a[1])<<32 | uint64(a[2])<<24 | uint64(a[3])<<16 | uint64(a[4])<<8 | uint64(a[5])
	return int(x * 0x9e3779b97f4a7c15 >> 33 % uint64(len(s.table)))
}

func (s *Switch) live(e *station, now netif.Time) bool {
	return e.port != 0 && now-e.seen < s.conf.Age
}

// lookup returns the port behind which an address is, or nil.
func (s *Switch) lookup(now netif.Time, a netif.MAC) *SwitchPort {
	i := s.place(a)
	for range probes {
		if e := &s.table[i]; e.mac == a && s.live(e, now) {
			return s.ports[e.port-1]
		}
		if i++; i == len(s.table) {
			i = 0
		}
	}
	return nil
}

// learn notes that an address is behind p.
func (s *Switch) learn(now netif.Time, a netif.MAC, p *SwitchPort) {
	if a[0]&1 != 0 {
		return // no station's
	}
	var room *station
	i := s.place(a)
	for range probes {
		e := &s.table[i]
		if e.mac == a && s.live(e, now) {
			if e.port != uint16(p.index+1) {
				s.stats.Moved++
			}
			e.port, e.seen = uint16(p.index+1), now
			return
		}
		if room == nil || s.live(room, now) && (!s.live(e, now) || e.seen < room.seen) {
			room = e
		}
		if i++; i == len(s.table) {
			i = 0
		}
	}
	if s.live(room, now) {
		s.stats.Evicted++
	}
	s.stats.Learned++
	*room = station{a, uint16(p.index + 1), now}
}

// forget removes the addresses behind p.
func (s *Switch) forget(p *SwitchPort) {
	for i := range s.table {
		if s.table[i].port == uint16(p.index+1) {
			s.table[i] = station{}
		}
	}
}

var _ netif.Device = (*SwitchPort)(nil)
