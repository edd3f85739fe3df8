// Command udpecho answers UDP datagrams at port 7 with themselves. On emulated
// Ethernet gVisor sends it some, of growing size, and the program prints what came
// back; with -tap it prints what comes from the kernel until it is interrupted:
//
//	go run ./examples/udpecho
//	sudo go run ./examples/udpecho -tap tap0 & echo hello | nc -u -w1 198.18.0.2 7
package main

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"time"

	"github.com/bonsainet/bonsai/examples/internal/gvisorpeer"
	"github.com/bonsainet/bonsai/examples/internal/link"
	"github.com/bonsainet/bonsai/examples/internal/show"
	"github.com/bonsainet/bonsai/internal/feature"
)

func main() {
	host := link.RegisterHost()
	flag.Parse()
	st, peer, err := host.Open()
	show.Check(err)
	defer st.Close()
	conn, err := st.ListenPacket("udp", ":7")
	show.Check(err)
	fmt.Println("echoing at", link.Ours+conn.LocalAddr().String()[len("0.0.0.0"):])
	if peer == nil {
		serve(conn)
		return
	}
	go serve(conn)
	ask(peer)
}

// serve sends back what arrives.
func serve(conn net.PacketConn) {
	buf := make([]byte, 65536)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		fmt.Printf("%d bytes from %v\n", n, from)
		conn.WriteTo(buf[:n], from)
	}
}

// ask sends datagrams to the server and compares what comes back.
func ask(peer *gvisorpeer.Peer) {
	conn, err := peer.ListenPacket(link.Peer + ":1007")
	show.Check(err)
	server := &net.UDPAddr{IP: net.ParseIP(link.Ours), Port: 7}
	sizes := []int{1, 100, 1472}
	if feature.Fragmentation && feature.Reassembly {
		sizes = append(sizes, 20000) // in 14 fragments
	}
	buf := make([]byte, 65536)
	for _, n := range sizes {
		msg := bytes.Repeat([]byte{'a'}, n)
		conn.WriteTo(msg, server)
		conn.SetReadDeadline(time.Now().Add(time.Second))
		k, _, err := conn.ReadFrom(buf)
		switch {
		case err != nil:
			fmt.Printf("%d bytes: no echo: %v\n", n, err)
		case bytes.Equal(buf[:k], msg):
			fmt.Printf("%d bytes came back to gVisor\n", k)
		default:
			fmt.Printf("%d bytes: the echo differs\n", n)
		}
	}
}
