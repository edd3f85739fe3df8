// Package relay carries frames between devices and the ends of an emulated link, in
// real time.
package relay

import "github.com/bonsainet/bonsai/netif"

const batch = 32

// Join carries all frames that arrive at either device to the other one, until one of
// them is closed; then it closes the other and returns the reason.
func Join(a, b netif.Device) error {
	ends := make(chan error, 2)
	go func() { ends <- carry(a, b) }()
	go func() { ends <- carry(b, a) }()
	err := <-ends
	a.Close()
	b.Close()
	<-ends
	return err
}

// carry ends with what Recv says. What Send can't send is lost, as on a cable.
func carry(from, to netif.Device) error {
	size := max(from.MTU(), to.MTU()) + netif.EthernetHeaderLen + 4 // and a VLAN tag
	bufs := make([]*netif.Buf, batch)
	for i := range bufs {
		bufs[i] = netif.NewBuf(size)
	}
	for {
		n, err := from.Recv(bufs)
		if err != nil {
			return err
		}
		to.Send(bufs[:n])
		for i, b := range bufs[:n] {
			if b.Cap() < size {
				bufs[i] = netif.NewBuf(size)
			} else {
				b.Reset()
			}
		}
	}
}
