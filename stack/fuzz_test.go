package stack

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/route"
	"github.com/bonsainet/bonsai/tcp"
	"github.com/bonsainet/bonsai/udp"
)

// FuzzEngine drives a whole stack from the fuzzer's bytes: each operation is a
// byte and what it takes of those that follow. Frames come from a peer that knows
// the protocols (fuzzpeer_test.go), so that most of them get far; calls are an
// application's and an administrator's; and time passes. The device of every second of them, by
// their length, moves super-segments, in full. After every operation
// the stack's tables, lists, timers and memory must agree; in the end, with
// everything closed and nobody answering, nothing may be left.
func FuzzEngine(f *testing.F) {
	for _, s := range fuzzSeeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 4096 {
			return
		}
		fuzzEngine(t, in)
	})
}

// TestFuzzSeeds runs what the fuzzer begins with, and a good number of sequences
// at random, in every profile.
func TestFuzzSeeds(t *testing.T) {
	for _, s := range fuzzSeeds() {
		fuzzEngine(t, s)
	}
	supers, got := 0, 0
	for seed := range uint64(*fuzzRuns) {
		in := randomOps(*fuzzFrom + seed)
		t.Run("", func(t *testing.T) {
			z := fuzzEngine(t, in)
			supers += z.peer.supers
			got += z.peer.gave
		})
		if t.Failed() {
			t.Fatal("seed ", *fuzzFrom+seed)
		}
	}
	if feature.TSO && *fuzzRuns > 100 && (supers < 50 || got < 50) {
		t.Errorf("only %d super-segments were sent, and %d received", supers, got)
	}
}

var (
	fuzzRuns = flag.Int("fuzzruns", 300, "random sequences in TestFuzzSeeds")
	fuzzFrom = flag.Uint64("fuzzfrom", 0, "seed of the first of them")
)

// randomOps makes up a sequence of operations, most of them on few connections
// that are really open.
func randomOps(seed uint64) (b []byte) {
	r := rand.New(rand.NewPCG(seed, 1))
	small := func() byte {
		switch r.IntN(4) {
		case 0:
			return byte(r.Uint32())
		case 1:
			return byte(r.IntN(16))
		}
		return 0
	}
	// Each sequence has its own few favourites.
	var ops [40]byte
	for i := range ops {
		ops[i] = []byte{opAnswer, opAnswerAll, opSegment, opWrite, opRead, opLater, opStep, byte(r.IntN(opCount))}[r.IntN(8)]
	}
	if r.IntN(3) == 0 {
		b = append(b, opListen, 0, byte(r.IntN(8)), opSYN, 0, opAnswerAll, opAccept)
	} else {
		b = append(b, opConnect, small(), small(), opAnswerAll)
	}
	for range r.IntN(300) {
		if r.IntN(30) == 0 {
			b = append(b, opConnect, byte(r.IntN(4)), small(), opAnswerAll)
		}
		b = append(b, ops[r.IntN(len(ops))], byte(r.IntN(4)))
		for range r.IntN(7) {
			b = append(b, small())
		}
	}
	return b
}

// Operations, by their byte modulo opCount.
const (
	opPoll = iota
	opStep
	opLater
	opAnswer
	opAnswerAll
	opSegment
	opSegment2
	opSegment3
	opSYN
	opConnect
	opListen
	opAccept
	opWrite
	opRead
	opClose
	opCloseWrite
	opCloseRead
	opAbort
	opOption
	opUDP
	opUDPSend
	opUDPRecv
	opUDPClose
	opRaw
	opDatagram
	opFragment
	opICMP
	opEcho
	opARP
	opFrame
	opIoctlLink
	opIoctlAddr
	opIoctlRoute
	opIoctlARP
	opUnlisten
	opReady
	opMisc
	opCount
)

// fuzzSeeds holds sequences that reach what bytes at random seldom do.
func fuzzSeeds() [][]byte {
	open := []byte{opConnect, 0, 0, opAnswerAll}
	cat := func(parts ...[]byte) (b []byte) {
		for _, p := range parts {
			b = append(b, p...)
		}
		return b
	}
	var talk []byte
	for i := range byte(40) {
		talk = append(talk, opWrite, 0, 200+i, opAnswer, i, opSegment, 0, 0, 0, 0, 3, 1, opRead, 0, 255, opPoll)
	}
	var mixed []byte
	for i := range byte(200) {
		mixed = append(mixed, i%opCount, i*7, i*13, i*29, i)
	}
	return [][]byte{
		{},
		open,
		cat(open, talk, []byte{opClose, 0, opAnswerAll, opStep, 100, opAnswerAll}),
		cat(open, []byte{opWrite, 0, 255, opWrite, 0, 255, opPoll, opLater, 3, opLater, 3, opLater, 4, opAnswer, 0, opAnswer, 1}),
		cat(open, []byte{opWrite, 0, 90, opCloseWrite, 0, opAnswerAll, opSegment, 0, 2, 0, 0, 0, 0, opAnswerAll, opClose, 0}),
		cat(open, []byte{opSegment, 0, 3, 0, 0, 0, 0, opRead, 0, 9}),
		cat([]byte{opListen, 0, 3, opSYN, 0, opAnswerAll, opAccept}, talk, []byte{opClose, 0, opAnswerAll}),
		cat([]byte{opListen, 0, 1, opSYN, 0, opSYN, 1, opSYN, 2, opAnswerAll, opAccept, opUnlisten}),
		{opUDP, 0, 0, opUDPSend, 0, 0, 10, opAnswerAll, opDatagram, 0, 0, 20, opUDPRecv, 0, opICMP, 0, 3, opUDPClose, 0},
		{opFragment, 0, 0, 10, opFragment, 1, 10, 10, opLater, 5, opRaw, 0, opEcho, 30, opLater, 5},
		{opConnect, 0, 9, opLater, 5, opLater, 5, opLater, 5, opReady, opWrite, 0, 3},
		{opConnect, 0, 8, opListen, 0, 1, opConnect, 1, 8, opPoll, opAccept, opWrite, 0, 200, opPoll, opRead, 1, 255},
		mixed,
	}
}

// fuzzRun is one run.
type fuzzRun struct {
	t     *testing.T
	in    []byte
	s     *Stack
	k     *checker
	now   pkt.Time
	next  pkt.Time
	last  byte // operation
	steps int
	super bool // the device is an Offloader

	peer     fuzzPeer
	listener *Listener
	slots    [4]*Conn // what operations refer to
	udps     [2]*UDP
	raw      *Raw
	packet   *PacketSocket
}

func fuzzEngine(t *testing.T, in []byte) *fuzzRun {
	z := &fuzzRun{t: t, in: in, now: pkt.Second, next: pkt.Never}
	cfg := Config{Seed: 7, MaxTimeWait: 3, MaxConns: 16, MaxOrphans: 5, Memory: 96 << 10, RcvBuf: 20_000, SndBuf: 20_000}
	if len(in)&1 != 0 { // windows that are scaled
		cfg.Memory, cfg.RcvBuf = 1<<20, 500_000
	}
	z.s = New(cfg)
	z.k = &checker{s: z.s, edges: map[*Conn]uint32{}}
	z.peer.init(z)
	z.super = feature.TSO && len(in)&2 != 0
	if z.super {
		up(t, z.s, superPeer{&z.peer}, fuzzAddr)
	} else {
		up(t, z.s, &z.peer, fuzzAddr)
	}
	z.s.Ioctl(SIOCADDRT, &Rtentry{
		Dst: SockaddrIn(ipv4.Any), Genmask: SockaddrIn(ipv4.Any), Gateway: SockaddrIn(ipv4.AddrOf(198, 18, 0, 2)),
		Flags: route.RTF_UP | route.RTF_GATEWAY,
	})
	defer func() {
		if e := recover(); e != nil {
			t.Errorf("operation %d (%d): %v", z.steps, z.last, e)
			panic(e)
		}
	}()
	for len(z.in) > 0 && !t.Failed() {
		z.last = z.byte() % opCount
		z.steps++
		polled := z.op(z.last)
		z.check(polled)
	}
	z.finish()
	return z
}

func (z *fuzzRun) byte() byte {
	if len(z.in) == 0 {
		return 0
	}
	b := z.in[0]
	z.in = z.in[1:]
	return b
}

func (z *fuzzRun) word() int { return int(z.byte())<<8 | int(z.byte()) }

func (z *fuzzRun) check(polled bool) {
	if err := z.k.check(polled, z.next); err != nil {
		z.t.Fatalf("operation %d (%d):\n%v", z.steps, z.last, err)
	}
}

// poll polls until the stack says that there is nothing to do now.
func (z *fuzzRun) poll() {
	for i := 0; ; i++ {
		z.next = z.s.Poll(z.now)
		if z.next > z.now {
			return
		}
		if i == 200 {
			z.t.Fatalf("operation %d: Poll(%d) returns %d again and again", z.steps, z.now, z.next)
		}
	}
}

// op does an operation and reports whether it ended with Poll.
func (z *fuzzRun) op(op byte) (polled bool) {
	s := z.s
	switch op {
	case opPoll:
		z.poll()
		return true
	case opStep:
		z.now += pkt.Time(z.byte()) * 10 * pkt.Millisecond
		z.poll()
		return true
	case opLater: // to the next deadline, and more
		z.poll()
		if z.next != pkt.Never {
			z.now = max(z.now, z.next)
		}
		z.now += []pkt.Time{0, pkt.Millisecond, 100 * pkt.Millisecond, pkt.Second, pkt.Minute, 25 * 24 * 60 * pkt.Minute}[z.byte()%6]
		z.poll()
		return true
	case opAnswer:
		z.poll()
		z.peer.answer(z.byte())
	case opAnswerAll:
		for range 20 {
			z.poll()
			if !z.peer.answer(0) {
				break
			}
		}
	case opSegment, opSegment2, opSegment3:
		z.peer.segment(z.byte(), z.byte(), z.byte(), z.byte(), z.byte(), z.byte())
	case opSYN:
		z.peer.syn(z.byte())
	case opConnect:
		z.connect(z.byte(), z.byte())
	case opListen:
		z.listen(z.byte(), z.byte())
	case opAccept:
		if z.listener != nil {
			if c := z.listener.Accept(); c != nil {
				z.slots[z.steps%len(z.slots)] = c
			}
		}
	case opUnlisten:
		if z.listener != nil {
			z.listener.Close(z.now)
			z.listener = nil
		}
	case opWrite:
		if c := z.conn(z.byte()); c != nil {
			p := make([]byte, int(z.byte())*100)
			pattern(p, u32(unsafe.Pointer(&c.Conn), sndEnd))
			n, e := c.Write(p)
			if n > 0 && e != 0 || n < 0 {
				z.t.Fatalf("Write returned %d and %v", n, e)
			}
		}
	case opRead:
		if c := z.conn(z.byte()); c != nil {
			before := c.Buffered()
			p := make([]byte, int(z.byte())*100)
			at := u32(unsafe.Pointer(&c.Conn), rcvRead)
			n, e := c.Read(p)
			if i := patternDiffers(p[:n], at); i >= 0 {
				z.t.Fatalf("operation %d: byte %d of %d read is wrong", z.steps, i, n)
			}
			if n > 0 && e != 0 || before-n != c.Buffered() && c.State() != tcp.Closed {
				z.t.Fatalf("Read of %d returned %d and %v, leaves %d", before, n, e, c.Buffered())
			}
		}
	case opClose, opAbort:
		if c := z.conn(z.byte()); c != nil {
			if op == opClose {
				c.Close(z.now)
			} else {
				c.Abort()
			}
		}
	case opCloseWrite:
		if c := z.conn(z.byte()); c != nil {
			c.CloseWrite()
		}
	case opCloseRead:
		if c := z.conn(z.byte()); c != nil {
			c.CloseRead()
		}
	case opOption:
		z.option(z.byte(), z.byte(), z.word())
	case opReady:
		for range 10 {
			if k, e := s.Ready(); k != nil && e == 0 {
				z.t.Fatal("Ready without an event")
			}
		}
	case opUDP, opUDPSend, opUDPRecv, opUDPClose, opRaw:
		z.datagramSockets(op)
	case opDatagram:
		z.peer.datagram(z.byte(), z.byte(), int(z.byte())*20)
	case opFragment:
		z.peer.fragment(z.byte(), z.byte(), z.byte())
	case opICMP:
		z.peer.icmpError(z.byte(), z.byte())
	case opEcho:
		z.peer.echo(int(z.byte()) * 10)
	case opARP:
		z.peer.arp(z.byte(), z.byte())
	case opFrame:
		z.peer.frame()
	case opMisc:
		z.misc(z.byte())
	default:
		z.ioctl(op)
	}
	return false
}

// pattern makes p the data that has sequence number seq, whoever sends it.
func pattern(p []byte, seq uint32) {
	for i := range p {
		q := seq + uint32(i)
		p[i] = byte(q) ^ byte(q>>8)
	}
}

// patternDiffers returns the index of the first byte that is not as pattern has it,
// or -1.
func patternDiffers(p []byte, seq uint32) int {
	for i, v := range p {
		if q := seq + uint32(i); v != byte(q)^byte(q>>8) {
			return i
		}
	}
	return -1
}

func (z *fuzzRun) conn(b byte) *Conn { return z.slots[int(b)%len(z.slots)] }

var fuzzAddr = ipv4.AddrOf(198, 18, 0, 1)

func (z *fuzzRun) connect(slot, to byte) {
	c := new(Conn)
	c.Init(z.s)
	dst := ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2+to&3), Port: 80}
	var src ipv4.Endpoint
	switch to & 15 {
	case 8: // ourselves
		dst.Addr = fuzzAddr
	case 9: // nobody answers
		dst.Addr = dst.Addr&^255 | 200
	case 10: // no route
		dst.Addr = ipv4.AddrOf(198, 19, 0, 1)
	case 11:
		dst.Addr = ipv4.Loopback
	case 12:
		dst.Addr = ipv4.Broadcast
	case 13: // ourselves, from the same port: a simultaneous open
		dst.Addr, src.Port, dst.Port = fuzzAddr, 81, 81
	case 14:
		src.Port = 1000
	}
	if err := z.s.Connect(z.now, c, src, dst); err != nil {
		if c.is&isHashed != 0 {
			z.t.Fatal("in the table in spite of ", err)
		}
		return
	}
	z.k.conns = append(z.k.conns, c)
	z.slots[int(slot)%len(z.slots)] = c
}

func (z *fuzzRun) listen(port, backlog byte) {
	if !feature.Listen || z.listener != nil {
		return
	}
	l := &Listener{New: func() *Conn {
		c := new(Conn)
		c.Init(z.s)
		z.k.conns = append(z.k.conns, c)
		return c
	}}
	if z.s.Listen(l, ipv4.Endpoint{Port: 80 + uint16(port&1)}, int(backlog&7)) == nil {
		z.listener = l
		l.SetOption(SOL_TCP, TCP_DEFER_ACCEPT, int(backlog>>5))
	}
}

func (z *fuzzRun) option(slot, which byte, v int) {
	opts := [...][2]int{
		{SOL_SOCKET, SO_SNDBUF}, {SOL_SOCKET, SO_RCVBUF}, {SOL_SOCKET, SO_LINGER}, {SOL_SOCKET, SO_RCVLOWAT},
		{SOL_IP, IP_TOS}, {SOL_IP, IP_TTL}, {SOL_TCP, TCP_NODELAY}, {SOL_TCP, TCP_CORK}, {SOL_TCP, TCP_QUICKACK},
		{SOL_TCP, TCP_MAXSEG}, {SOL_TCP, TCP_USER_TIMEOUT}, {SOL_SOCKET, SO_ERROR},
		{SOL_SOCKET, 9 /* SO_KEEPALIVE */}, {SOL_TCP, 4}, {SOL_TCP, 5}, {SOL_TCP, 6},
	}
	o := opts[int(which)%len(opts)]
	if which&0x80 != 0 {
		v -= 1 << 15
	}
	if c := z.conn(slot); c != nil {
		c.SetOption(o[0], o[1], v)
		c.Option(o[0], o[1])
	}
}

func (z *fuzzRun) datagramSockets(op byte) {
	s := z.s
	i := int(z.byte()) % len(z.udps)
	u := z.udps[i]
	switch op {
	case opUDP:
		how := z.byte()
		if u == nil {
			u = new(UDP)
			if how&1 != 0 {
				u.Flags = udp.Broadcast | udp.RecvErr
			}
			if s.OpenUDP(u, ipv4.Endpoint{Port: 53 + uint16(i)}) != nil {
				return
			}
			z.udps[i] = u
			z.k.udps = append(z.k.udps, u)
		}
		if how&2 != 0 {
			u.Connect(z.now, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2+how>>6), Port: 99})
		}
	case opUDPSend:
		to, n := z.byte(), z.word()
		dst := ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, to), Port: 99}
		if to == 1 {
			dst.Port = 53
		}
		if u != nil {
			u.SendTo(z.now, make([]byte, n), dst)
		}
	case opUDPRecv:
		if u != nil {
			var m udp.Meta
			if n, e := u.RecvFrom(make([]byte, 1000), &m); e == 0 && n > int(m.Len) {
				z.t.Fatal("received more than was sent")
			}
		}
	case opUDPClose:
		if u != nil {
			u.Close()
			z.udps[i] = nil
		}
	case opRaw:
		how := z.byte()
		if feature.PktSock && how>>3&3 == 3 {
			z.packetSocket(how)
			return
		}
		if !feature.RawSock {
			return
		}
		switch {
		case z.raw == nil:
			z.raw = &Raw{Proto: []byte{1, 6, 17, 99}[how&3], HdrIncl: how&4 != 0}
			if z.s.OpenRaw(z.raw) == nil {
				z.k.raws = append(z.k.raws, z.raw)
			}
		case how&3 == 0:
			z.raw.Close()
			z.raw = nil
		case how&3 == 1:
			var m udp.Meta
			z.raw.RecvFrom(make([]byte, 100), &m)
		default:
			z.raw.SendTo(z.now, z.take(int(how)), ipv4.AddrOf(198, 18, 0, how>>4))
		}
	}
}

// packetSocket is an operation on a packet socket. What it sends is of a type of its own, as the
// frames of the stack are checked.
func (z *fuzzRun) packetSocket(how byte) {
	switch {
	case z.packet == nil:
		z.packet = &PacketSocket{Protocol: []uint16{ETH_P_ALL, netif.EtherTypeIPv4, netif.EtherTypeARP, 0}[how&3], Cooked: how&4 != 0, RcvBuf: 10000}
		if err := z.s.OpenPacket(z.packet); err != nil {
			z.t.Fatal(err)
		}
		z.k.pkts = append(z.k.pkts, z.packet)
	case how&3 == 0:
		z.packet.Close()
		z.packet = nil
	case how&3 == 1:
		var from LinkAddr
		if n, length, e := z.packet.Recv(make([]byte, 100), &from); e == 0 && n > length {
			z.t.Fatal("received more than was sent")
		}
	default:
		p := z.take(int(how))
		if !z.packet.Cooked {
			p = append(frame(netif.BroadcastMAC, netif.MAC{2}, etherTypeTest, nil), p...)
		}
		z.packet.Send(z.now, p, &LinkAddr{Ifindex: int32(how >> 6), Protocol: etherTypeTest})
	}
}

// misc does what is seldom done.
func (z *fuzzRun) misc(how byte) {
	s := z.s
	switch how & 7 {
	case 0: // another hardware address
		sa := Sockaddr{Family: netif.ARPHRD_ETHER, Data: [14]byte{2, 0, 0, 0, how >> 3 & 1, 1}}
		s.Ioctl(SIOCSIFHWADDR, &Ifreq{Name: "eth0", Addr: sa})
	case 1:
		if feature.ACD {
			s.ProbeAddress(z.now, 2, ipv4.AddrOf(198, 18, 0, how>>3))
		}
	case 2: // many neighbours
		if u := z.udps[0]; u != nil {
			for i := range byte(80) {
				u.SendTo(z.now, []byte{i}, ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, how>>3+i), Port: 9})
			}
		}
	case 3: // many pieces out of order, and then many ACKs of nothing
		if f := z.peer.flow(how >> 3); f != nil {
			for i := range uint32(70) {
				z.peer.send(f, f.ack+20+40*i, f.nxt, tcp.ACK, 0xffff, make([]byte, 20), 0)
			}
		}
	case 4: // duplicate ACKs
		if f := z.peer.flow(how >> 3); f != nil {
			for range 5 {
				z.peer.send(f, f.ack, f.una, tcp.ACK, 0xffff, nil, 0)
			}
		}
	case 5: // SACK of all but the first segment
		if f := z.peer.flow(how >> 3); f != nil && f.nxt-f.una > 1500 {
			i := f.una + 1448
			for range 64 { // the peer's idea of una may be 2^31 off
				if int32(f.nxt-i) <= 0 {
					break
				}
				z.peer.sack(f, f.una+1448, i)
				i += 1448
			}
		}
	case 6:
		if u := z.udps[how>>3&1]; u != nil {
			u.SetOption(SOL_SOCKET, []int{SO_RCVBUF, SO_BROADCAST, SO_REUSEADDR, SO_BINDTODEVICE}[how>>4&3], int(z.byte()))
		}
	case 7:
		s.Ioctl(SIOCSIFNAME, &Ifreq{Name: "eth0", Newname: "eth0"})
	}
}

// take returns the next n bytes of input, or what is left.
func (z *fuzzRun) take(n int) []byte {
	n = min(n, len(z.in))
	b := z.in[:n:n]
	z.in = z.in[n:]
	return b
}

func (z *fuzzRun) ioctl(op byte) {
	s := z.s
	name := "eth0"
	how := z.byte()
	if how&0xc0 == 0xc0 {
		name = "lo"
	}
	addr := ipv4.AddrOf(198, 18, how>>4&1, z.byte())
	switch op {
	case opIoctlLink:
		switch how & 7 {
		case 0:
			s.Ioctl(SIOCSIFFLAGS, &Ifreq{Name: name})
		case 1:
			s.Ioctl(SIOCSIFMTU, &Ifreq{Name: name, Value: int32(z.word() % 2000)})
		case 2:
			s.Ioctl(SIOCSIFFLAGS, &Ifreq{Name: name, Flags: netif.IFF_UP | netif.IFF_NOARP})
		default:
			s.Ioctl(SIOCSIFFLAGS, &Ifreq{Name: name, Flags: netif.IFF_UP})
		}
	case opIoctlAddr:
		req := []uint32{SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFBRDADDR, SIOCSIFDSTADDR}[how&3]
		if req == SIOCSIFNETMASK {
			addr = ipv4.Mask(uint8(addr) % 33)
		}
		if how&8 != 0 {
			addr, req = fuzzAddr, SIOCSIFADDR
		}
		s.Ioctl(req, &Ifreq{Name: name, Addr: SockaddrIn(addr)})
	case opIoctlRoute:
		r := Rtentry{Dst: SockaddrIn(ipv4.AddrOf(198, 19, 0, 0)), Genmask: SockaddrIn(ipv4.Mask(8 + how>>3&15)), Gateway: SockaddrIn(addr), Flags: route.RTF_UP | route.RTF_GATEWAY}
		if how&1 != 0 {
			r.Flags |= route.RTF_MTU
			r.MTU = uint64(z.word())
		}
		if how&4 != 0 {
			r.Dst, r.Flags = SockaddrIn(addr), r.Flags&^route.RTF_GATEWAY|route.RTF_HOST
			r.Dev = "eth0"
		}
		if how&2 != 0 {
			s.Ioctl(SIOCDELRT, &r)
		} else {
			s.Ioctl(SIOCADDRT, &r)
		}
	case opIoctlARP:
		r := Arpreq{PA: SockaddrIn(addr), Dev: "eth0", Flags: ATF_COM}
		r.HA = Sockaddr{Family: netif.ARPHRD_ETHER, Data: [14]byte{2, 0, 0, 0, 0, byte(addr)}}
		if how&4 != 0 {
			r.Flags |= ATF_PERM
		}
		s.Ioctl([]uint32{SIOCSARP, SIOCDARP, SIOCGARP, SIOCSARP}[how&3], &r)
	}
}

// finish closes everything and lets time pass. Nobody answers.
func (z *fuzzRun) finish() {
	z.steps, z.last = -1, 0
	if z.listener != nil {
		z.listener.Close(z.now)
	}
	for _, c := range z.k.conns {
		c.Close(z.now)
	}
	for _, u := range z.k.udps {
		u.Close()
	}
	for _, r := range z.k.raws {
		r.Close()
	}
	for _, r := range z.k.pkts {
		r.Close()
	}
	s := z.s
	for i := 0; ; i++ {
		z.poll()
		z.check(true)
		if s.tcp.n == 0 && s.tcp.twN == 0 && z.next == pkt.Never {
			break
		}
		if z.next == pkt.Never || i > 5000 {
			z.t.Fatalf("after %d polls: %d connections, %d in TIME-WAIT, next %d\n%s", i, s.tcp.n, s.tcp.twN, z.next, z.dump())
		}
		z.now = max(z.now, z.next)
	}
	if s.mem.Used() != 0 || s.tcp.orphans != 0 || len(s.timers.v) != 0 {
		z.t.Fatalf("%d bytes, %d orphans, %d timers are left\n%s", s.mem.Used(), s.tcp.orphans, len(s.timers.v), z.dump())
	}
}

func (z *fuzzRun) dump() (text string) {
	for _, c := range z.k.conns {
		text += fmt.Sprintf("%v > %v %v deadline %d is %b\n", c.Local(), c.Remote(), c.State(), c.Deadline(), c.is)
	}
	return text
}
