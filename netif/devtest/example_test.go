//go:build unix

package devtest_test

import (
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/devtest"
)

// connDevice is a device over one's own link: here any connection that keeps
// datagrams apart, such as UDP to the other end of a tunnel.
type connDevice struct {
	conn net.Conn
	mac  netif.MAC
}

func (d *connDevice) MTU() int                { return 1400 }
func (d *connDevice) HardwareAddr() netif.MAC { return d.mac }
func (d *connDevice) Close() error            { return d.conn.Close() }

// Send leaves the Bufs where they are: what was in them is sent.
func (d *connDevice) Send(bufs []*netif.Buf) (err error) {
	for _, b := range bufs {
		if b.Len() > d.MTU()+14 {
			continue
		}
		if _, werr := d.conn.Write(b.Bytes()); werr != nil {
			err = werr
		}
	}
	return err
}

// Recv fills one Buf: a link that can tell how many datagrams wait fills more.
func (d *connDevice) Recv(bufs []*netif.Buf) (int, error) {
	n, err := d.conn.Read(bufs[0].Space())
	if err != nil {
		return 0, err
	}
	bufs[0].SetLen(n)
	return 1, nil
}

// A device of one's own takes a struct and five methods.
func Example() {
	conn, err := net.Dial("udp4", "198.18.0.1:4789")
	if err != nil {
		return
	}
	var dev netif.Device = &connDevice{conn, netif.MAC{0x02, 0, 0, 0, 0, 1}}
	defer dev.Close()
}

func TestConnDeviceKeepsTheContract(t *testing.T) {
	devtest.Run(t, func(t *testing.T) (a, b netif.Device) {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
		if err != nil {
			t.Skip("needs a pair of sockets: ", err)
		}
		var ends [2]net.Conn
		for i, fd := range fds {
			f := os.NewFile(uintptr(fd), "")
			ends[i], err = net.FileConn(f)
			f.Close()
			if err != nil {
				t.Fatal(err)
			}
		}
		return &connDevice{ends[0], netif.MAC{2, 0, 0, 0, 0, 1}}, &connDevice{ends[1], netif.MAC{2, 0, 0, 0, 0, 2}}
	})
}
