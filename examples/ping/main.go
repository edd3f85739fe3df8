// Command ping sends ICMP echo requests from a raw socket of bonsai's, prints a line
// about each answer, and what ping(8) prints at the end: how many were lost, and the
// least, mean and greatest round-trip time with its deviation. The peer is gVisor on
// an emulated Ethernet, or the kernel with -tap:
//
//	go run ./examples/ping -c 5 -delay 10ms
//	sudo go run ./examples/ping -tap tap0 198.18.0.1
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/bonsainet/bonsai/examples/internal/link"
	"github.com/bonsainet/bonsai/examples/internal/show"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/socket"
)

func main() {
	host := link.RegisterHost()
	count := flag.Int("c", 4, "`number` of requests")
	interval := flag.Duration("i", 200*time.Millisecond, "`time` between requests")
	size := flag.Int("s", 56, "`bytes` of data in a request, up to 65507")
	wait := flag.Duration("W", time.Second, "`time` to wait for an answer")
	flag.Parse()
	to, ok := ipv4.ParseAddr(link.Peer)
	if flag.NArg() > 0 {
		to, ok = ipv4.ParseAddr(flag.Arg(0))
	}
	if !ok || *size < 0 || *size > 65507 {
		flag.Usage()
		os.Exit(2)
	}
	st, _, err := host.Open()
	show.Check(err)
	defer st.Close()
	raw, err := st.Socket.OpenRaw(ipv4.ProtoICMP)
	show.Check(err)

	fmt.Printf("PING %v: %d data bytes\n", to, *size)
	var rtt show.RTT
	in, out := make([]byte, 65536), make([]byte, 8+*size)
	for seq := range *count {
		out[0], out[4], out[5] = ipv4.ICMPEcho, 0xb0, 0x17
		binary.BigEndian.PutUint16(out[6:], uint16(seq))
		ipv4.SetICMPChecksum(out)
		sent := st.Socket.Now()
		if _, err := raw.WriteTo(out, to); err != nil {
			fmt.Println(err)
		}
		raw.SetReadDeadline(sent + socket.Time(*wait))
		for {
			var m socket.Meta
			n, err := raw.ReadFrom(in, &m)
			if err != nil {
				fmt.Printf("no answer to icmp_seq=%d in %v\n", seq, *wait)
				break
			}
			p := in[4*int(in[0]&15) : n] // behind the IPv4 header
			if len(p) >= 8 && p[0] == ipv4.ICMPEchoReply && binary.BigEndian.Uint16(p[6:]) == uint16(seq) {
				ms := float64(st.Socket.Now()-sent) / 1e6
				rtt.Add(ms)
				fmt.Printf("%d bytes from %v: icmp_seq=%d ttl=%d time=%.3f ms\n", len(p), m.Src.Addr, seq, m.TTL, ms)
				break
			}
		}
		if seq < *count-1 {
			time.Sleep(time.Duration(sent + socket.Time(*interval) - st.Socket.Now()))
		}
	}
	fmt.Printf("\n%s\n", rtt.Summary(*count))
}
