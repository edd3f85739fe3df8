package emu

import "github.com/bonsainet/bonsai/netif"

const (
	defaultMTU    = 1500
	defaultFrames = 4096
	defaultQueue  = 100
	defaultHold   = 10 * netif.Time(1e6) // ns
	maxDelay      = 3600 * netif.Time(1e9)
	maxFrames     = 1 << 20
	maxRate       = 1 << 40
)

// Config describes a link. The zero Config is a perfect cable: MTU 1500, no
// delay, no limit but its memory.
type Config struct {
	// MTU is the largest IPv4 packet in a frame, in bytes: 68 to 65,521, or 0
	// for 1500. The link drops frames that are longer.
	MTU int

	// Frames bounds the memory: the most frames that one direction holds, be
	// they queued, in flight or waiting for the receiver. One more is dropped
	// and counted in Stats.Overruns, as by a NIC whose ring is full. 0 is 4096,
	// 1,048,576 the most. Memory is allocated when it is first needed.
	Frames int

	// Path is what happens to frames from the first end to the second, and to
	// those that go back, unless Back says otherwise.
	Path Path
	Back *Path

	// Seed makes the impairments repeatable: the same seed, frames and times
	// give the same result. Each direction draws from a generator of its own.
	Seed uint64

	// Clock is needed as soon as a Path has a Delay, Jitter, Reorder or Rate:
	// a *Virtual in a simulation, wall.New() in real time.
	Clock Clock
}

// Path is what happens to the frames in one direction, in this order: tail drop or
// marking at the queue in front of Rate, transmission at Rate, loss, corruption,
// duplication, delay, reordering. The zero Path is perfect. Probabilities are
// from 0 to 1, each frame's.
type Path struct {
	// Rate is in bits per second, 0 for no limit. Only the bytes that Send is
	// given count: no preamble, frame check sequence or gap.
	Rate int64
	// Queue is how many frames, and QueueBytes how many bytes of frames, may
	// wait until their transmission begins. 0 is no limit; if both are 0, the
	// queue holds 100 frames.
	Queue, QueueBytes int
	// Mark makes the queue tell of congestion before it is full: a packet that finds
	// Mark frames or more waiting, or MarkBytes bytes, is marked CE if its sender
	// said that it is ECN-capable (RFC 3168 section 5; the instantaneous queue
	// counts, with no average and no chance, as in RFC 8257 section 3.1). Others pass
	// until the queue is full, or are dropped there if DropNotECT is set. 0 is never.
	Mark, MarkBytes int
	DropNotECT      bool

	// Loss is the probability of loss, outside of bursts.
	Loss float64
	// Burst adds loss in bursts.
	Burst Burst

	// Corrupt is the probability that CorruptBits bits of a frame, picked at
	// random, are flipped. 0 bits is 1: what the Internet checksum always
	// finds, where it covers it.
	Corrupt     float64
	CorruptBits int

	// Duplicate is the probability that a frame arrives twice.
	Duplicate float64

	// Delay is the time of propagation, up to an hour. To it comes a time drawn
	// uniformly from 0 to Jitter. Frames wait for those ahead of them, unless
	// Overtake is set: then jitter reorders.
	Delay, Jitter netif.Time
	Overtake      bool

	// Reorder is the probability that a frame is put behind the ReorderBy
	// frames that follow it (0 is 1). If they don't come, it arrives
	// ReorderHold after its time (0 is 10 ms).
	Reorder     float64
	ReorderBy   int
	ReorderHold netif.Time
}

// Burst is the bad state of a Gilbert-Elliott channel. Before each frame the
// channel enters it with probability Enter, or leaves it with probability Leave;
// in it frames are lost with probability Loss (0 is 1), in the good state with
// Path.Loss. So the channel is bad for Enter/(Enter+Leave) of the frames, and for
// 1/Leave frames at a time on average.
type Burst struct{ Enter, Leave, Loss float64 }

// A ConfigError says what is wrong in a configuration.
type ConfigError struct{ Field, Problem string }

func (e *ConfigError) Error() string { return "emu: " + e.Field + " " + e.Problem }

// Validate returns nil or a *ConfigError.
func (c *Config) Validate() error {
	if err := limits(c.MTU, c.Frames); err != nil {
		return err
	}
	if err := c.Path.validate("Path", c.Clock); err != nil {
		return err
	}
	if c.Back != nil {
		if err := c.Back.validate("Back", c.Clock); err != nil {
			return err
		}
	}
	return nil
}

func limits(mtu, frames int) error {
	if mtu != 0 && (mtu < 68 || mtu > 65521) {
		return &ConfigError{"MTU", "must be 68 to 65521 bytes, or 0 for 1500"}
	}
	if frames < 0 || frames > maxFrames {
		return &ConfigError{"Frames", "must be 1 to 1048576, or 0 for 4096"}
	}
	return nil
}

func (p *Path) validate(name string, clock Clock) error {
	for _, f := range [...]struct {
		name string
		p    float64
	}{
		{"Loss", p.Loss}, {"Burst.Enter", p.Burst.Enter}, {"Burst.Leave", p.Burst.Leave}, {"Burst.Loss", p.Burst.Loss},
		{"Corrupt", p.Corrupt}, {"Duplicate", p.Duplicate}, {"Reorder", p.Reorder},
	} {
		if !(f.p >= 0 && f.p <= 1) { // also NaN
			return &ConfigError{name + "." + f.name, "must be a probability: 0 to 1"}
		}
	}
	for _, f := range [...]struct {
		name string
		t    netif.Time
	}{{"Delay", p.Delay}, {"Jitter", p.Jitter}, {"ReorderHold", p.ReorderHold}} {
		if f.t < 0 || f.t > maxDelay {
			return &ConfigError{name + "." + f.name, "must be 0 to an hour, in ns"}
		}
	}
	switch {
	case p.Burst.Enter > 0 && p.Burst.Leave == 0:
		return &ConfigError{name + ".Burst.Leave", "must be above 0, or the first burst never ends"}
	case p.Burst.Enter == 0 && (p.Burst.Leave > 0 || p.Burst.Loss > 0):
		return &ConfigError{name + ".Burst.Enter", "must be above 0, or there are no bursts"}
	case p.CorruptBits < 0 || p.CorruptBits > 1<<16:
		return &ConfigError{name + ".CorruptBits", "must be 0 to 65536"}
	case p.Rate < 0 || p.Rate > maxRate:
		return &ConfigError{name + ".Rate", "must be 0 to 2^40 bits/s"}
	case p.Queue < 0 || p.Queue > maxFrames:
		return &ConfigError{name + ".Queue", "must be 0 to 1048576 frames"}
	case p.QueueBytes < 0:
		return &ConfigError{name + ".QueueBytes", "must not be negative"}
	case p.Rate == 0 && (p.Queue > 0 || p.QueueBytes > 0):
		return &ConfigError{name + ".Queue", "needs a Rate: without one nothing queues"}
	case p.Mark < 0 || p.Mark > maxFrames:
		return &ConfigError{name + ".Mark", "must be 0 to 1048576 frames"}
	case p.MarkBytes < 0:
		return &ConfigError{name + ".MarkBytes", "must not be negative"}
	case p.Rate == 0 && (p.Mark > 0 || p.MarkBytes > 0):
		return &ConfigError{name + ".Mark", "needs a Rate: without one nothing queues"}
	case p.DropNotECT && p.Mark == 0 && p.MarkBytes == 0:
		return &ConfigError{name + ".DropNotECT", "needs Mark or MarkBytes: it drops where others are marked"}
	case p.ReorderBy < 0 || p.ReorderBy > maxFrames:
		return &ConfigError{name + ".ReorderBy", "must be 0 to 1048576 frames"}
	case p.Reorder == 0 && (p.ReorderBy > 0 || p.ReorderHold > 0):
		return &ConfigError{name + ".Reorder", "must be above 0, or nothing is reordered"}
	case p.Overtake && p.Jitter == 0:
		return &ConfigError{name + ".Overtake", "needs Jitter: equal delays keep the order"}
	case clock == nil && (p.Delay > 0 || p.Jitter > 0 || p.Reorder > 0 || p.Rate > 0):
		return &ConfigError{name, "has a Delay, Jitter, Reorder or Rate and so needs a Clock: a *Virtual, or wall.New()"}
	}
	return nil
}

// perfect says whether frames go straight through.
func (p *Path) perfect() bool { return *p == Path{} }

// Stats counts what happened to the frames in one direction. Each frame that
// was sent or duplicated is in one of Delivered, Lost, QueueDrops, Overruns,
// Down and BadLength, or still under way.
type Stats struct {
	Sent, SentBytes           uint64 // given to Send
	Delivered, DeliveredBytes uint64 // given to the receiver
	Lost                      uint64 // by Loss or Burst
	QueueDrops                uint64 // no room in the queue in front of Rate, or DropNotECT
	Overruns                  uint64 // no room in the link's memory: Config.Frames
	Down                      uint64 // no carrier, or an end closed
	BadLength                 uint64 // longer than the MTU allows, or no Ethernet header
	Marked                    uint64 // CE, by Mark or MarkBytes
	Corrupted                 uint64
	Duplicated                uint64 // extra frames
	Reordered                 uint64 // delivered behind a frame sent later (RFC 4737 section 3.3)
}
