package stack

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/route"
	"github.com/bonsainet/bonsai/tcp"
	"github.com/bonsainet/bonsai/udp"
)

// Shapes are what is allocated, as the garbage collector sees it: see tcp.TCB. TestShapes
// compares them with what they stand for.

// TCB is the memory of a Conn.
type TCB struct {
	_ [0]func() // not comparable

	tcp.TCB
	_ [2]unsafe.Pointer // Data, Sock.next
	_ [sockBytes]byte
	_ [3 + feature.LenListen]unsafe.Pointer // hash to path.neigh
	_ [8]byte
}

// UDPMem is the memory of a UDP.
type UDPMem struct {
	_ [0]func() // not comparable

	_ []byte            // Options
	_ [2]unsafe.Pointer // Queue
	_ [unsafe.Sizeof(udp.Conn{}) - 5*pointer]byte
	_ [2]unsafe.Pointer // Data, Sock.next
	_ [sockBytes]byte
	_ [3 + feature.LenMulticast]unsafe.Pointer // stack to path.neigh
	_ [unsafe.Sizeof(UDP{}) - unsafe.Offsetof(UDP{}.path) - pointer]byte
}

// RawMem is the memory of a Raw.
type RawMem struct {
	_ [0]func() // not comparable

	_ [2]unsafe.Pointer // Data, Sock.next
	_ [sockBytes]byte
	_ [4 + feature.LenMulticast]unsafe.Pointer // stack to queue
	_ [unsafe.Sizeof(Raw{}) - unsafe.Offsetof(Raw{}.queue) - 2*pointer]byte
}

// PacketMem is the memory of a PacketSocket.
type PacketMem struct {
	_ [0]func() // not comparable

	_ [2]unsafe.Pointer // Data, Sock.next
	_ [sockBytes]byte
	_ [4]unsafe.Pointer // stack, next, queue
	_ [unsafe.Sizeof(PacketSocket{}) - unsafe.Offsetof(PacketSocket{}.queue) - 2*pointer]byte
}

// ListenerMem is the memory of a Listener.
type ListenerMem struct {
	_ [0]func() // not comparable

	_ [2]unsafe.Pointer // Data, Sock.next
	_ [sockBytes]byte
	_ [2]unsafe.Pointer // New, stack
	_ []byte            // queue
	_ [unsafe.Sizeof(Listener{}) - unsafe.Offsetof(Listener{}.queue) - 3*pointer]byte
}

const (
	pointer   = unsafe.Sizeof(unsafe.Pointer(nil))
	sockBytes = unsafe.Sizeof(Sock{}) - 2*pointer
)

// Conn returns the connection whose memory b is, nil for nil.
func (b *TCB) Conn() *Conn { return (*Conn)(unsafe.Pointer(b)) }

// UDP returns the socket whose memory m is.
func (m *UDPMem) UDP() *UDP { return (*UDP)(unsafe.Pointer(m)) }

// Packet returns the socket whose memory m is.
func (m *PacketMem) Packet() *PacketSocket { return (*PacketSocket)(unsafe.Pointer(m)) }

// Raw returns the socket whose memory m is.
func (m *RawMem) Raw() *Raw { return (*Raw)(unsafe.Pointer(m)) }

// Listener returns the listener whose memory m is.
func (m *ListenerMem) Listener() *Listener { return (*Listener)(unsafe.Pointer(m)) }

func tcbOf(c *Conn) *TCB { return (*TCB)(unsafe.Pointer(c)) }

type stackShape struct {
	_, _, _, _ []byte // ifaces, loop, timers
	_          [2]int32
	_          []byte // pool
	_          int
	_, _       []byte // seg
	_          [unsafe.Sizeof(tcp.Segment{}) - 6*pointer]byte
	_          [12 + len(udpTable{}.buckets)]unsafe.Pointer // dirty, ready, reasm to tap, udp
	_          unsafe.Pointer                               // routes
	_          [unsafe.Sizeof(route.Table{}) - pointer]byte
	_          unsafe.Pointer // mem
	_          [unsafe.Sizeof(pkt.Memory{}) - pointer]byte
	_, _       []byte            // tcp.buckets, tcp.tw
	_          [7]unsafe.Pointer // twHead to env.boards
	_          [unsafe.Sizeof(Stack{}) - unsafe.Offsetof(Stack{}.tcp) - 13*pointer]byte
}

type timeWaitShape struct {
	_ [0]func()
	_ [3]unsafe.Pointer
	_ [unsafe.Sizeof(timeWait{}) - 3*pointer]byte
}

// A shape is as large as what it stands for.
type (
	_ [unsafe.Sizeof(Stack{}) - unsafe.Sizeof(stackShape{})]struct{}
	_ [unsafe.Sizeof(stackShape{}) - unsafe.Sizeof(Stack{})]struct{}
	_ [unsafe.Sizeof(Conn{}) - unsafe.Sizeof(TCB{})]struct{}
	_ [unsafe.Sizeof(TCB{}) - unsafe.Sizeof(Conn{})]struct{}
	_ [unsafe.Sizeof(UDP{}) - unsafe.Sizeof(UDPMem{})]struct{}
	_ [unsafe.Sizeof(UDPMem{}) - unsafe.Sizeof(UDP{})]struct{}
	_ [unsafe.Sizeof(Raw{}) - unsafe.Sizeof(RawMem{})]struct{}
	_ [unsafe.Sizeof(RawMem{}) - unsafe.Sizeof(Raw{})]struct{}
	_ [unsafe.Sizeof(Listener{}) - unsafe.Sizeof(ListenerMem{})]struct{}
	_ [unsafe.Sizeof(ListenerMem{}) - unsafe.Sizeof(Listener{})]struct{}
	_ [unsafe.Sizeof(linkGroups{}) - unsafe.Sizeof(linkGroupsShape{})]struct{}
	_ [unsafe.Sizeof(linkGroupsShape{}) - unsafe.Sizeof(linkGroups{})]struct{}
	_ [unsafe.Sizeof(timeWait{}) - unsafe.Sizeof(timeWaitShape{})]struct{}
	_ [unsafe.Sizeof(timeWaitShape{}) - unsafe.Sizeof(timeWait{})]struct{}
	_ [unsafe.Sizeof(Conn{}.path) - pointer - 8]struct{}
	_ [ipv4.NumDrops]struct{}
)
