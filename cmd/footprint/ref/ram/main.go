// Command ram says what memory a stack takes at run time: one that idles, and
// each idle established connection, with all that hangs on it. It prints one
// JSON object.
package main

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"runtime"
	"time"
	"unsafe"

	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/socket"
	"github.com/bonsainet/bonsai/stack"
	"github.com/bonsainet/bonsai/tcp"
)

// peer is a device behind which a host accepts every connection, with all the
// options that it was offered, and says nothing more.
type peer struct {
	frames chan []byte
	closed chan struct{}
}

var hw = netif.MAC{2, 0, 0, 0, 0, 2}

func (p *peer) MTU() int                { return 1500 }
func (p *peer) HardwareAddr() netif.MAC { return netif.MAC{2, 0, 0, 0, 0, 1} }
func (p *peer) Close() error            { close(p.closed); return nil }
func (p *peer) Now() socket.Time        { return socket.Time(time.Since(start)) + 1 }
func (p *peer) Timer(f func()) func(socket.Time) {
	t := time.AfterFunc(1<<62, f)
	return func(at socket.Time) { t.Reset(time.Duration(at - p.Now())) }
}

var start = time.Now()

func (p *peer) Recv(bufs []*netif.Buf) (int, error) {
	select {
	case f := <-p.frames:
		copy(bufs[0].Space(), f)
		bufs[0].SetLen(len(f))
		return 1, nil
	case <-p.closed:
		return 0, socket.ErrClosed
	}
}

func (p *peer) Send(bufs []*netif.Buf) error {
	for _, b := range bufs {
		if f := answer(b.Bytes()); f != nil {
			p.frames <- f
		}
	}
	return nil
}

// answer returns the reply to an ARP request or a SYN.
func answer(f []byte) []byte {
	be := binary.BigEndian
	out := append([]byte(nil), f...)
	copy(out, f[6:12])
	copy(out[6:], hw[:])
	switch {
	case be.Uint16(f[12:]) == 0x806 && f[21] == 1:
		out[21] = 2
		copy(out[22:], hw[:])
		copy(out[28:32], f[38:42])
		copy(out[32:42], f[22:32])
		return out
	case be.Uint16(f[12:]) == 0x800 && f[23] == 6 && f[47] == 2: // TCP without IP options, SYN alone
		copy(out[26:], f[30:34])
		copy(out[30:], f[26:30])
		t := out[34:]
		copy(t, f[36:38])
		copy(t[2:], f[34:36])
		be.PutUint32(t[4:], 1000)
		be.PutUint32(t[8:], be.Uint32(f[38:])+1)
		t[13] = 0x12
		for o := t[20:]; len(o) > 1 && o[0] != 0; {
			if o[0] == 1 {
				o = o[1:]
				continue
			}
			if o[0] == 8 { // timestamps: echo theirs
				copy(o[6:10], o[2:6])
			}
			o = o[max(2, int(o[1])):]
		}
		be.PutUint16(t[16:], 0)
		be.PutUint16(t[16:], sum(t, sum(out[26:34], uint32(6+len(t)))))
		return out
	}
	return nil
}

// sum returns the Internet checksum of b, where other is that of what comes
// before, or a sum not yet complemented.
func sum[T uint16 | uint32](b []byte, other T) uint16 {
	n := uint32(other)
	if unsafe.Sizeof(other) == 2 {
		n = uint32(^uint16(other))
	}
	for i := 0; i < len(b); i += 2 {
		n += uint32(b[i]) << 8
		if i+1 < len(b) {
			n += uint32(b[i+1])
		}
	}
	for n>>16 != 0 {
		n = n>>16 + n&0xFFFF
	}
	return ^uint16(n)
}

func heap() uint64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func must(err error) {
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
}

func main() {
	const warm, n = 96, 4000
	p := &peer{make(chan []byte, 4*n), make(chan struct{})}
	var conns [warm + n]*socket.Conn
	h0 := heap()
	s := socket.New(stack.Config{MaxConns: warm + n, Memory: 1 << 30}, p)
	_, err := s.Attach("eth0", p)
	must(err)
	r := stack.Ifreq{Name: "eth0", Addr: stack.SockaddrIn(ipv4.AddrOf(198, 18, 0, 1))}
	must(s.Ioctl(stack.SIOCSIFADDR, &r))
	r.Addr = stack.SockaddrIn(ipv4.Mask(24))
	must(s.Ioctl(stack.SIOCSIFNETMASK, &r))
	r.Flags = netif.IFF_UP | netif.IFF_RUNNING
	must(s.Ioctl(stack.SIOCSIFFLAGS, &r))
	time.Sleep(10 * time.Millisecond) // the goroutine that serves the device is in Recv
	h1 := heap()
	var before uint64
	for i := range conns {
		if i == warm {
			before = heap()
		}
		remote := ipv4.Endpoint{Addr: ipv4.AddrOf(198, 18, 0, 2), Port: uint16(1 + i)}
		conns[i], err = s.Dial(ipv4.Endpoint{}, remote, s.Now()+10e9)
		must(err)
	}
	after := heap()
	for _, c := range conns {
		if c.State() != tcp.Established {
			println("not established")
			os.Exit(1)
		}
	}
	json.NewEncoder(os.Stdout).Encode(map[string]uint64{
		"sizeof_conn":   uint64(unsafe.Sizeof(socket.Conn{})),
		"sizeof_engine": uint64(unsafe.Sizeof(stack.Conn{})),
		"sizeof_stack":  uint64(unsafe.Sizeof(stack.Stack{})),
		"heap_conn":     (after - before + n/2) / n,
		"heap_stack":    h1 - h0,
	})
	s.Close()
}
