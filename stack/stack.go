// Package stack joins the layers: a frame's way in (input.go) and out
// (output.go), the tables of connections and sockets, timers, and configuration
// by ioctl.
//
// A Stack never blocks, sleeps, starts a goroutine or reads a clock. It is driven:
//
//	s.Input(now, ifindex, frames)   what a device has received
//	next := s.Poll(now)             send what is due; call again by next
//	for o := s.Ready(); ...         whose sockets have changed
//
// Calls of one Stack, its connections and its sockets must not overlap: package
// socket has the lock and the goroutine for programs that want to block.
//
// Everything random comes from Config.Seed: the same calls with the same times
// give the same frames.
//
// A Stack is a host: it does not forward, and knows no IPv6, nor multicast groups besides
// 224.0.0.1 without feature multicast. That and reassembly, fragmentation, redirect, pmtud, rawsock,
// pktsock, keepalive, ethtool, pcap, listen, acd and urgent add a file each; the sizes of
// tables follow the profile.
package stack

import (
	"math/rand/v2"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
	"github.com/bonsainet/bonsai/tcp"
)

// Time is a point on the stack's clock, in nanoseconds.
type Time = pkt.Time

// Errno is the type of all errors that a Stack returns: Linux's numbers.
type Errno = errno.Errno

// Config bounds what a Stack holds and sets its defaults. The zero Config is
// good: every zero field stands for the profile's default, which is what its
// comment gives for minimal / client / full.
type Config struct {
	_ [0]func() // not comparable

	// Seed makes everything random repeatable: for tests and simulations only,
	// since who knows it can guess sequence numbers. 0: the system's randomness.
	Seed uint64
	// Memory bounds what the queues of all sockets hold together, in bytes: 64 KiB /
	// 16 MiB / 256 MiB; at least 8 KiB.
	Memory uint32
	// MaxConns bounds the TCP connections: 16 / 16384 / 1048576.
	MaxConns int
	// MaxOrphans bounds those that are closed but not finished: a quarter of that.
	MaxOrphans int
	// MaxTimeWait bounds those in TIME-WAIT; the oldest give way: as MaxConns.
	MaxTimeWait int
	// RcvBuf and SndBuf are the buffer sizes with which a connection begins, in bytes:
	// 8 KiB / 128 KiB / 256 KiB; at least 1152 and 2304, Linux's least for data.
	RcvBuf, SndBuf uint32
	// MaxRcvBuf and MaxSndBuf are what they may grow to by themselves (feature
	// autotune), in bytes: 8 KiB / 4 MiB / 8 MiB, and 8 KiB / 4 MiB / 4 MiB.
	MaxRcvBuf, MaxSndBuf uint32
	// PortMin and PortMax are the ephemeral ports: 49152 to 65535 (RFC 6335 section
	// 6). A PortMax below PortMin counts as PortMin.
	PortMin, PortMax uint16
	// SynRetries is how often a SYN is sent again: 7, which gives up after 4 minutes
	// (RFC 9293 section 3.8.3 asks for 3).
	SynRetries uint8
	// Retries is how often data is sent again: 15, which gives up after 15 minutes.
	Retries uint8
	// TTL of what is sent: 64 (RFC 1122 section 3.2.1.7).
	TTL uint8
	// NoPacing turns the feature pacing off: TCP sends what its window allows at once. For
	// a device that paces by itself.
	NoPacing bool
	// ECN says whether to use the feature ecn; the zero ECNAnswer, as Linux's default: when
	// the peer asks for it.
	ECN tcp.ECNMode
	// Unprivileged makes every call that changes the configuration fail with EPERM.
	Unprivileged bool
}

func (c *Config) setDefaults() {
	const k = feature.Profile // 0, 1, 2
	c.Memory = max(orDefault(c.Memory, [3]uint32{64 << 10, 16 << 20, 256 << 20}[k]), minMemory)
	c.RcvBuf = max(orDefault(c.RcvBuf, [3]uint32{8 << 10, 128 << 10, 256 << 10}[k]), minRcvBuf)
	c.SndBuf = max(orDefault(c.SndBuf, [3]uint32{8 << 10, 128 << 10, 256 << 10}[k]), minSndBuf)
	c.MaxRcvBuf = orDefault(c.MaxRcvBuf, [3]uint32{8 << 10, 4 << 20, 8 << 20}[k])
	c.MaxSndBuf = orDefault(c.MaxSndBuf, [3]uint32{8 << 10, 4 << 20, 4 << 20}[k])
	if !feature.Autotune {
		c.MaxRcvBuf, c.MaxSndBuf = c.RcvBuf, c.SndBuf
	}
	c.MaxConns = int(orDefault(uint32(c.MaxConns), [3]uint32{16, 16 << 10, 1 << 20}[k]))
	c.MaxOrphans = int(orDefault(uint32(c.MaxOrphans), uint32(c.MaxConns+3)/4))
	c.MaxTimeWait = int(orDefault(uint32(c.MaxTimeWait), uint32(c.MaxConns)))
	c.PortMin = uint16(orDefault(uint32(c.PortMin), 49152))
	c.PortMax = max(uint16(orDefault(uint32(c.PortMax), 65535)), c.PortMin)
	c.SynRetries = uint8(orDefault(uint32(c.SynRetries), 7))
	c.Retries = uint8(orDefault(uint32(c.Retries), 15))
	c.TTL = uint8(orDefault(uint32(c.TTL), ipv4.DefaultTTL))
}

// minMemory is enough for a connection to make progress both ways.
const minMemory = 8 << 10

//go:noinline
func orDefault(v, d uint32) uint32 {
	if v == 0 {
		return d
	}
	return v
}

// Stack is a TCP/IPv4 host. What a feature adds is behind an unsafe.Pointer: see
// tcp.Conn. What has pointers comes first, as in stackShape.
type Stack struct {
	_ [0]func() // not comparable: spares the code that would compare it

	ifaces []*netif.Interface
	loop   []*pkt.Buf // packets to ourselves, for the next Poll
	timers timerHeap
	pool   pkt.Pool    // of frames
	seg    tcp.Segment // of the packet in progress

	dirty   connList       // connections that may have something to send
	ready   sockList       // sockets whose owner has something to learn
	reasm   unsafe.Pointer // *ipv4.Reassembly: feature reassembly, once a fragment has come
	pmtu    unsafe.Pointer // *pmtuTable: feature pmtud, once a path was too narrow
	raw     unsafe.Pointer // *rawTable: feature rawsock, once there is one
	listen  unsafe.Pointer // *listenTable: feature listen, once there is one
	train   unsafe.Pointer // *trainState: feature fastpath, once there was one
	spare   *pkt.Buf       // of the pool, for the next segment: not every connection asked has one
	packets unsafe.Pointer // *packetTable: feature pktsock, once there is one
	tap     tapFunc        // tapped, while there is one
	udp     udpTable
	routes  route.Table
	mem     pkt.Memory // of the sockets' queues
	tcp     tcpTable

	cfg        Config
	now        pkt.Time // of the call in progress
	trimAt     pkt.Time // when to look what of mem is not needed
	redirectAt pkt.Time // feature redirect: when the next of its routes expires
	rng        uint64
	ids        ipv4.IDs
	icmpLimit  ipv4.Bucket
	known      addrPair // of the packet before

	// Drops counts dropped packets by reason.
	Drops [ipv4.NumDrops]uint32
}

// New returns a Stack with the loopback interface lo, index 1, which is down as on
// a Linux system that has just started.
func New(cfg Config) *Stack {
	cfg.setDefaults()
	s := (*Stack)(unsafe.Pointer(new(stackShape)))
	s.cfg, s.rng, s.redirectAt = cfg, cfg.Seed, pkt.Never
	if cfg.Seed == 0 {
		s.rng = rand.Uint64()
	}
	s.tcp.init(s)
	s.mem.Limit, s.mem.Keep = cfg.Memory, cfg.Memory
	s.ids.Seed(s.secret(), s.secret())
	s.pool.Init(netif.EthernetHeaderLen+1500, poolKeep) // for lo, until there is a device
	s.addInterface(netif.NewInterface("lo", 1, nil, 0))
	return s
}

func (s *Stack) addInterface(ifc *netif.Interface) {
	pkt.Append((*[]unsafe.Pointer)(unsafe.Pointer(&s.ifaces)), unsafe.Pointer(ifc))
}

// poolKeep is how many unused frame buffers a stack keeps.
const poolKeep = 8 << (3 * feature.Profile)

// random is SplitMix64 (Steele, Lea and Flood, 2014): for what need not be secret.
//
//go:noinline
func (s *Stack) random() uint64 {
	s.rng += 0x9e3779b97f4a7c15
	z := s.rng
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// secret returns a word that can't be guessed, unless a seed was asked for.
func (s *Stack) secret() uint64 {
	if s.cfg.Seed == 0 {
		return rand.Uint64()
	}
	return s.random()
}

// AddInterface adds an Ethernet interface on dev and returns its index, 2 for the
// first. It is down and has no address: see Ioctl. It returns EINVAL for a name
// that is empty, longer than 15 bytes or has a slash, colon or space, for a nil
// device or an MTU out of its range, and EEXIST for a name that is taken.
func (s *Stack) AddInterface(name string, dev netif.Device) (ifindex int, err error) {
	if !validName(name) || dev == nil || uint(dev.MTU()-netif.MinMTU) > netif.MaxMTU-netif.MinMTU {
		return 0, errno.EINVAL
	}
	if s.interfaceByName(name) != nil {
		return 0, errno.EEXIST
	}
	ifindex = len(s.ifaces) + 1
	if feature.GRO {
		dev = offload(dev)
	}
	ifc := netif.NewInterface(name, int32(ifindex), dev, s.random())
	ifc.Out = make([]*pkt.Buf, 0, batch)
	s.addInterface(ifc)
	if need := netif.EthernetHeaderLen + dev.MTU(); need > s.pool.Size() || ifindex == 2 && s.tcp.n == 0 {
		s.pool.Init(need, poolKeep)
		s.spare = nil
		s.routes.Touch() // lo's MTU follows it
	}
	return ifindex, nil
}

// batch is how many frames go to a device at once.
const batch = 8 << (2 * min(feature.Profile, 1))

//go:noinline
func (s *Stack) interfaceByName(name string) *netif.Interface {
	for _, ifc := range s.ifaces {
		if ifc.Name == name {
			return ifc
		}
	}
	return nil
}

// NewBuf returns a Buf for a frame of any of the stack's interfaces: what a driver
// hands to Device.Recv.
func (s *Stack) NewBuf() *netif.Buf { return pkt.NewBuf(s.pool.Size()) }

// Poll sends what is due at now and returns when to call it again at the latest:
// pkt.Never if nothing but a frame or a call can change anything.
func (s *Stack) Poll(now pkt.Time) (next pkt.Time) {
	s.now = now
	next = pkt.Never
	if feature.Reassembly && s.reasm != nil {
		next = s.pollReassembly()
	}
	if feature.PMTUD && s.pmtu != nil {
		next = min(next, s.pollPMTU())
	}
	if feature.Redirect {
		next = min(next, s.pollRedirects())
	}
	s.runTimers()
	if s.tcp.env.Starved && !s.mem.Low() {
		s.refill()
	}
	// What is sent may wait for a neighbour, whose failure may end a connection; and
	// what is sent to ourselves is answered.
	for rounds := 0; ; rounds++ {
		s.outputDirty()
		arp := s.pollNeighbours()
		if s.dirty.head == nil && len(s.loop) == 0 {
			next = min(next, arp)
			break
		}
		if rounds == maxLoopRounds { // a conversation with ourselves: let others in
			next = now
			break
		}
		s.inputLoop()
	}
	if s.mem.Kept() > 0 || feature.SACK && s.tcp.env.Keeps() || feature.TSO && s.keptSuper() {
		if now >= s.trimAt {
			s.mem.Trim()
			if feature.SACK {
				s.tcp.env.Trim()
			}
			if feature.TSO {
				s.trimSuper()
			}
			s.trimAt = now + trimInterval
		}
		next = min(next, s.trimAt)
	}
	next = min(next, s.tcp.pollTimeWait(now), s.nextTimer())
	for _, ifc := range s.ifaces {
		if len(ifc.Out) > 0 {
			s.flush(ifc)
		}
	}
	return next
}

const maxLoopRounds = 64

// trimInterval is how often memory that traffic no longer needs is given up.
const trimInterval = pkt.Second

// Ready returns a socket for which something has changed, &c.Sock for a Conn c, and
// what, once for each change; nil when there is none left. It is to be drained
// after every Poll by programs that want to know. Sockets that were closed are
// heard of no more.
func (s *Stack) Ready() (k *Sock, e tcp.Events) {
	for k = s.ready.pop(); k != nil; k = s.ready.pop() {
		if e = k.events; e != 0 && !k.quiet {
			break
		}
	}
	if k != nil {
		k.events = 0
	}
	return k, e
}

// Sock is what every socket of a stack has: what Ready says of it.
type Sock struct {
	_ [0]func() // not comparable: spares the code that would compare it

	// Data is the program's own, as epoll_data is: a pointer to whatever it makes of
	// the socket. It is no any, since what is once converted to any keeps the String
	// methods of all types within reach in the binary: 5 KB.
	Data   unsafe.Pointer
	next   *Sock
	timer  int32 // of a connection: position in the timer heap, from 1; 0: not in it
	is     connFlags
	events tcp.Events
	queued bool
	quiet  bool // closed: nobody wants to hear of it
}

// notify makes Ready report e.
//
//go:noinline
func (s *Stack) notify(k *Sock, e tcp.Events) {
	k.events |= e
	if !k.queued && !k.quiet {
		k.queued = true
		if s.ready.tail == nil {
			s.ready.head = k
		} else {
			s.ready.tail.next = k
		}
		s.ready.tail = k
	}
}

type sockList struct{ head, tail *Sock }

func (l *sockList) pop() *Sock {
	k := l.head
	if k != nil {
		l.head = k.next
		if l.head == nil {
			l.tail = nil
		}
		k.next, k.queued = nil, false
	}
	return k
}

//go:noinline
func (s *Stack) drop(d ipv4.Drop) { s.Drops[d]++ }
