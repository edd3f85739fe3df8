//go:build (full || with_multicast) && !no_multicast

package gonet_test

import (
	"fmt"
	"net"

	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/socket/gonet"
)

// A question to the group of mDNS, which the host that has the name answers to the group, on an
// emulated switch (feature multicast).
func ExampleStack_ListenMulticastUDP() {
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	sw := emu.NewSwitch(emu.SwitchConfig{})
	host := func(address string) gonet.MulticastConn {
		st := gonet.New(gonet.Config{})
		st.Attach("eth0", sw.Port())
		st.Configure("eth0", address, "")
		c, err := st.ListenMulticastUDP("udp", "eth0", group)
		if err != nil {
			panic(err)
		}
		return c
	}
	printer, laptop := host("198.18.0.1/24"), host("198.18.0.2/24")

	go func() {
		var b [100]byte
		n, from, _ := printer.ReadFrom(b[:])
		printer.WriteTo([]byte(fmt.Sprintf("%s, %v: printer.local is here", b[:n], from)), group)
	}()
	laptop.WriteTo([]byte("who is printer.local?"), group)
	var b [100]byte
	n, from, err := laptop.ReadFrom(b[:]) // not what it has sent itself
	fmt.Printf("%v, %v: %s\n", from, err, b[:n])
	// Output: 198.18.0.1:5353, <nil>: who is printer.local?, 198.18.0.2:5353: printer.local is here
}
