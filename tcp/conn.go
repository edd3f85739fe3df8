// Package tcp is the Transmission Control Protocol (RFC 9293) as a pure state
// machine: segments, calls and the passing of time go in, segments come out.
//
// It has no clock, no lock, no goroutine, and knows neither routes nor
// interfaces. A Conn is driven by its owner, package stack:
//
//	c.Input(now, &seg)            a segment has arrived
//	c.Timeout(now)                time has passed
//	c.Write, c.Read, c.Close ...  the application calls
//	for c.Output(now, buf) {...}  then: send what may be sent
//	c.Deadline()                  and call again by then at the latest
//
// Features, a file each: wscale and timestamps (RFC 7323), sack, rack and cubic (loss
// recovery and congestion control; without them RFC 5681 and 6582, in reno.go), frto, hystart and
// pacing, keepalive, autotune (buffers that grow), ecn, pmtud, plpmtud, tcpopts, listen (passive open), syncookies (RFC
// 4987), tcpinfo (counters), fastpath (header prediction) and urgent (an out-of-band byte). Without
// them the same segments are understood as far as RFC 9293 requires. Not here: fast open.
package tcp

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// State is a connection's state (RFC 9293 section 3.3.2), with Linux's numbers.
type State uint8

const (
	Established State = 1 + iota
	SynSent
	SynReceived
	FinWait1
	FinWait2
	TimeWait
	Closed
	CloseWait
	LastAck
	Listen
	Closing
)

// String returns the state's name as RFC 9293 writes it.
func (s State) String() string {
	const names = "?          ESTABLISHEDSYN-SENT   SYN-RECEIVEFIN-WAIT-1 FIN-WAIT-2 TIME-WAIT  CLOSED     CLOSE-WAIT LAST-ACK   LISTEN     CLOSING    "
	const width = 11
	if s > Closing {
		s = 0
	}
	n := names[int(s)*width:][:width]
	for n[len(n)-1] == ' ' {
		n = n[:len(n)-1]
	}
	if s == SynReceived {
		return n + "D"
	}
	return n
}

// synchronized reports whether both sides know each other's sequence numbers:
// "synchronized state" in RFC 9293 section 3.5.2.
func (s State) synchronized() bool {
	return s != SynSent && s != SynReceived && s < Closed || s > Closed && s != Listen
}

// Events says what has changed for the application.
type Events uint8

const (
	// Readable: there is data, or the end of it, or an error.
	Readable Events = 1 << iota
	// Writable: there is room in the send buffer again, or an error.
	Writable
	// Opened: the connection is established.
	Opened
	// Failed: the connection is gone; Err says why.
	Failed
)

type flags uint32

const (
	flagActive      flags = 1 << iota // opened by Connect, not by a listener
	flagWScale                        // we offered window scaling, or it is in use
	flagTS                            // likewise timestamps
	flagSynPending                    // send our SYN, again
	flagReset                         // send a reset, and nothing after it
	flagFinQueued                     // the application has closed its side
	flagFinSent                       // our FIN is in sequence space: nxt is behind it
	flagFinSeen                       // the peer's FIN has arrived, maybe ahead of data: rcv.fin
	flagFinRcvd                       // and it is in sequence: rcv.nxt is behind it
	flagOrphan                        // closed: nobody will read
	flagReadClosed                    // CloseRead: arriving data is thrown away
	flagNoDelay                       // TCP_NODELAY
	flagCork                          // TCP_CORK
	flagProbe                         // send a window probe, or a segment smaller than SWS avoidance likes
	flagPersist                       // rtxAt is the persist timer
	flagTiming                        // rtt.seq and rtt.at hold a measurement under way
	flagRecovery                      // fast recovery (RFC 6582)
	flagSynLost                       // our SYN timed out at least once
	flagCwndLimited                   // at the last Output, the congestion window held data back
	flagWantWrite                     // a Write came up short: tell when there is room
	flagUrgent                        // rcv.up points ahead of what was read
	flagSACK                          // SACK is offered or in use
	flagLoss                          // after a timeout, until cc.recover is acknowledged
	flagReo                           // rtxAt is RACK's reordering timer
	flagTLP                           // rtxAt is the tail loss probe's timer
	flagTLPSend                       // send the probe
	flagTLPOut                        // a probe is out: sack.rack.tlpEnd
	flagTLPResent                     // and it was a retransmission
	flagRcvLocked                     // the application has set the receive buffer's size
	flagSndLocked                     // likewise the send buffer's
	flagReordering                    // segments were seen out of order
	flagSendUrgent                    // snd.up points ahead of what is acknowledged
)

// Env is what all connections of a stack share.
type Env struct {
	_ [0]func() // not comparable

	Owner  unsafe.Pointer // whoever drives the connections
	Mem    *pkt.Memory    // of the queues
	holes  unsafe.Pointer // *holeTable, of the feature plpmtud
	boards unsafe.Pointer // *scoreboard: free list of the feature sack

	// Starved says that a Write came up short for want of memory: once there is
	// some, Refill is to be called for every connection.
	Starved bool

	// SynRetries, Retries2 and OrphanRetries are how often a SYN, a segment, and
	// a segment of a connection that nobody holds any more is retransmitted before
	// the connection fails (RFC 9293 section 3.8.3, MUST-20 to MUST-23).
	SynRetries, Retries2, OrphanRetries uint8
	// FinTimeout is how long a connection that nobody holds waits in FIN-WAIT-2.
	FinTimeout pkt.Time
	// MaxRcvBuf and MaxSndBuf bound what the feature autotune makes of a
	// connection's buffers, in bytes.
	MaxRcvBuf, MaxSndBuf uint32
	// NoPacing sends what the window allows at once, in builds that could spread it.
	NoPacing bool
	// ECN says whether to use the feature ecn.
	ECN ECNMode

	ack      ackInfo // of the feature sack
	keptRuns int32   // in boards
	idleRuns int32   // of those, the ones that nobody has wanted since the last Trim
}

// Options are the application's settings. The zero value is not useful: Init
// sets the defaults.
type Options struct {
	_ [0]func() // not comparable

	// A Keepalive: see SetKeepalive. Not last: there, it would take room in any case.
	keepalive [2 * feature.LenKeepalive]uint32

	RcvBuf, SndBuf uint32 // bytes
	UserTimeout    uint32 // ms, of unacknowledged data, RFC 5482; 0: Env.Retries2 rules
	Linger         int32  // seconds; -1: off; 0: Close resets the connection
	RcvLowat       uint32 // bytes that make a connection Readable, at least 1
	MaxSeg         uint16 // bytes; 0: what the route allows
	TTL, TOS       uint8
}

// Conn is one connection.
//
// What a feature adds is behind an unsafe.Pointer, or is words, none of them in a build
// without the feature, that the feature's file gives a type. An idle connection is little
// else than a Conn: TestSizes in package socket watches over it. Its pointers are where TCB
// has them.
type Conn struct {
	_ [0]func() // not comparable: spares the code that would compare it

	env   *Env
	cubic [feature.LenCUBIC]unsafe.Pointer                     // *cubicState, from the first loss on: cubicOf
	tally [feature.LenTCPInfo]unsafe.Pointer                   // *tally, once there was data: tallyOf
	start [feature.LenHyStart | feature.LenFRTO]unsafe.Pointer // *startState, in the first slow start; *frtoState, while frto
	pace  [feature.LenPacing]unsafe.Pointer                    // *paceState, once there was something to hold back: paceOf

	// Two Endpoints, without the gap that each has.
	localAddr, remoteAddr ipv4.Addr
	localPort, remotePort uint16

	flags  flags
	state  State
	err    errno.Errno // why the connection is gone, until reported
	soft   errno.Errno // what ICMP had to say
	events Events

	dupacks uint8                  // in a row, of those that count without SACK
	retries uint8                  // timeouts since the last ACK of new data: the backoff
	probes  uint8                  // window probes since the peer was last heard; see Defer
	frto    [feature.LenFRTO]uint8 // what F-RTO waits for
	ecn     [feature.LenECN]uint8  // ecnOK and so on

	snd   sender
	rcv   receiver
	rtt   rttState
	cc    reno
	timer timers
	sack  [feature.LenSACK]sackState // sackOf

	Options Options
}

// sender is what we have sent and are to send: RFC 9293's SND variables.
type sender struct {
	_ [0]func() // not comparable: spares the code that would compare it

	q      chain  // from una on
	una    uint32 // oldest unacknowledged
	nxt    uint32 // behind what was ever sent
	end    uint32 // behind what the application has written
	small  uint32 // behind the last segment sent that was smaller than MSS (Minshall)
	rtx    uint32 // [rtx, rtxEnd) is to be retransmitted
	rtxEnd uint32
	up     [feature.LenUrgent]uint32 // behind our urgent data, if flagSendUrgent
	wnd    uint32
	maxWnd uint32                     // the largest the peer ever offered
	wl1    uint32                     // segment sequence number of the last window update
	wl2    uint32                     // segment acknowledgment number of the last window update
	low    [feature.LenTCPOpts]uint32 // TCP_NOTSENT_LOWAT; 0: none
	mss    uint16                     // payload of a full segment: options that we send are taken off
	peer   uint16                     // the peer's MSS option
	path   uint16                     // what the route's MTU leaves for TCP's payload without options
	syns   [feature.LenTCPOpts]uint8  // TCP_SYNCNT; 0: Env.SynRetries
	wscale uint8
}

// receiver is what we have received: RFC 9293's RCV variables.
type receiver struct {
	_ [0]func() // not comparable: spares the code that would compare it

	ooo    *intervals
	q      chain                             // from read on, with holes
	read   uint32                            // what the application reads next
	nxt    uint32                            // next in sequence
	adv    uint32                            // right edge of the window as advertised
	acked  uint32                            // last ACK sent
	fin    uint32                            // sequence number of the peer's FIN, if flagFinSeen
	second uint32                            // that budget is for
	tune   [3 * feature.LenAutotune]uint32   // tuneState
	ts     [3 * feature.LenTimestamps]uint32 // timestamps
	up     [feature.LenUrgent]uint32         // behind the urgent data, if flagUrgent
	clamp  [feature.LenTCPOpts]uint32        // TCP_WINDOW_CLAMP; 0: none
	mss    uint16                            // the largest payload seen: what a full segment of the peer's is
	acks   uint8                             // ACKs to send now
	quick  uint8                             // ACKs still to be sent without delay
	wscale uint8
	fin2   [feature.LenTCPOpts]int8 // TCP_LINGER2: seconds; 0: Env.FinTimeout; -1: none
	budget uint8                    // challenge ACKs left in second
	short  bool                     // memory was: what the window had promised was dropped
}

// Init prepares c for Open or Accept. opt are the application's settings.
func (c *Conn) Init(env *Env, opt Options) {
	*(*TCB)(unsafe.Pointer(c)) = TCB{}
	c.env, c.state, c.Options = env, Closed, opt
	c.timer.clear()
}

// Open begins an active open from local to remote. pathMSS is what the route's
// MTU leaves for a segment without options. iss and tsOffset are the initial
// send sequence number and the timestamp offset: see ISN.
func (c *Conn) Open(now pkt.Time, local, remote ipv4.Endpoint, pathMSS uint16, iss, tsOffset uint32) {
	c.flags |= flagActive
	c.setup(now, local, remote, pathMSS, iss, tsOffset)
	c.flags |= flagSynPending
	if feature.WScale {
		c.flags |= flagWScale
	}
	if feature.Timestamps {
		c.flags |= flagTS
	}
	if feature.SACK {
		c.flags |= flagSACK
	}
	if feature.ECN && c.env.ECN == ECNAsk {
		c.ecn[:][0] = ecnOK
	}
	c.setState(SynSent)
}

func (c *Conn) setup(now pkt.Time, local, remote ipv4.Endpoint, pathMSS uint16, iss, tsOffset uint32) {
	c.localAddr, c.localPort = local.Addr, local.Port
	c.remoteAddr, c.remotePort = remote.Addr, remote.Port
	s := &c.snd
	s.una, s.nxt, s.rtx, s.rtxEnd = iss, iss, iss, iss
	s.end, s.small = iss+1, iss
	s.path = pathMSS
	if m := c.Options.MaxSeg; m != 0 && m < pathMSS {
		s.path = m
	}
	s.peer = defaultMSS
	s.mss = min(s.path, defaultMSS)
	if feature.WScale {
		c.rcv.wscale = wscaleFor(max(c.Options.RcvBuf, c.env.MaxRcvBuf))
	}
	c.rcv.mss = min(defaultMSS, s.path)
	c.rcv.quick = maxQuickAcks
	if feature.Timestamps {
		timestampsOf(c).offset = tsOffset
	}
	c.rtt.init()
	c.timer.lastRcv = ticks(now)
}

// setState is the only writer of the state.
func (c *Conn) setState(s State) { c.state = s }

// Env returns what c shares with the other connections of its owner.
func (c *Conn) Env() *Env { return c.env }

// State returns the connection's state.
func (c *Conn) State() State { return c.state }

// Local returns the connection's own address and port.
func (c *Conn) Local() ipv4.Endpoint { return ipv4.Endpoint{Addr: c.localAddr, Port: c.localPort} }

// Remote returns the peer's address and port.
func (c *Conn) Remote() ipv4.Endpoint { return ipv4.Endpoint{Addr: c.remoteAddr, Port: c.remotePort} }

// TakeEvents returns what has changed since the last call.
func (c *Conn) TakeEvents() Events {
	e := c.events
	c.events = 0
	return e
}

// established takes the connection into ESTABLISHED: the peer has acknowledged
// our SYN.
func (c *Conn) established(now pkt.Time) {
	c.setState(Established)
	c.events |= Opened | Writable
	c.setMSS()
	c.cc.open(c, c.flags&flagSynLost != 0)
	c.rtt.open(c.flags&flagSynLost != 0)
	c.retries = 0
	c.timer.stopRetransmit(c)
	if feature.Keepalive && keepaliveOf(c).On {
		c.armKeepalive(now)
	}
	if c.flags&flagFinQueued != 0 {
		c.setState(FinWait1)
	}
}

// fail ends the connection without a word to the peer.
//
//go:noinline
func (c *Conn) fail(e errno.Errno) {
	c.err = e
	c.events |= Failed | Readable | Writable
	c.close()
}

// close ends the connection. What the peer has sent can still be read.
func (c *Conn) close() {
	c.setState(Closed)
	c.timer.clear()
	c.snd.q.clear(c.env.Mem)
	if c.selective() {
		sackOf(c).release(c.env)
	}
	if feature.Pacing {
		c.pace[:][0] = nil
	}
	if feature.PLPMTUD && c.snd.q.hole[:][0] != 0 {
		c.leaveHole()
	}
	c.snd.end = c.snd.una
	c.rcv.acks = 0
	if c.rcv.ooo != nil || c.flags&flagOrphan != 0 {
		c.dropUnreachable()
	}
}

// dropUnreachable gives back received data that can never be read.
func (c *Conn) dropUnreachable() {
	c.rcv.ooo = nil
	if c.flags&flagOrphan != 0 || c.readable() == 0 {
		c.rcv.q.clear(c.env.Mem)
		c.rcv.read = c.rcv.nxt
	}
}

// Una returns the oldest sequence number that the peer has not acknowledged: it moves when
// what we send arrives.
func (c *Conn) Una() uint32 { return c.snd.una }

// selective reports whether SACK is in use, not only offered.
func (c *Conn) selective() bool { return feature.SACK && c.flags&flagSACK != 0 && c.state != SynSent }

// Done reports whether the connection is over and has nothing more to send.
func (c *Conn) Done() bool { return c.state == Closed && c.flags&flagReset == 0 }

// Orphaned reports whether Close or Abort was called.
func (c *Conn) Orphaned() bool { return c.flags&flagOrphan != 0 }

// Pending reports whether a call has left an ACK to send.
func (c *Conn) Pending() bool { return c.rcv.acks > 0 }

// Overdue reports whether so much has arrived since the last ACK that the peer
// should be told before the rest of the batch is looked at: its window opens by
// ACKs.
func (c *Conn) Overdue() bool { return c.rcv.nxt-c.rcv.acked >= maxStretch*uint32(c.rcv.mss) }

// SetPathMSS says that the route now leaves n bytes for a segment without
// options.
func (c *Conn) SetPathMSS(n uint16) {
	if m := c.Options.MaxSeg; m != 0 && m < n {
		n = m
	}
	c.snd.path = n
	c.setMSS()
}

// setMSS is RFC 9293 section 3.7.1, MUST-16, with RFC 6691 section 2: what the
// peer and the path allow, less the options that every segment carries.
func (c *Conn) setMSS() {
	s := &c.snd
	s.mss = min(s.peer, s.path)
	if feature.PLPMTUD && c.snd.q.hole[:][0] != 0 {
		s.mss = min(s.mss, holeOf(c).low)
	}
	if feature.Timestamps && c.flags&flagTS != 0 {
		s.mss -= timestampLen
	}
}
