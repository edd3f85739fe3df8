// Command httpget fetches a URL over a TAP device, and so over bonsai on our side and
// the kernel, as a router, on the other. It prints the body on standard output and the
// rest on standard error. It takes root, or a TAP that belongs to the user:
//
//	python3 -m http.server -b 0.0.0.0 8000 &
//	sudo go run ./examples/httpget http://198.18.0.1:8000/
//
// To reach the world, let the kernel route and translate, and name a DNS server:
//
//	sysctl net.ipv4.ip_forward=1
//	nft add table nat
//	nft 'add chain nat post { type nat hook postrouting priority 100; }'
//	nft add rule nat post ip saddr 198.18.0.0/24 masquerade
//	go run ./examples/httpget -dns 9.9.9.9 http://example.com/
package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/bonsainet/bonsai/examples/internal/link"
	"github.com/bonsainet/bonsai/examples/internal/show"
	"github.com/bonsainet/bonsai/socket/gonet"
)

func main() {
	name := flag.String("tap", "", "`name` of the TAP (default: the kernel chooses)")
	addr := flag.String("addr", "198.18.0.2/24", "our `address`")
	kernel := flag.String("kernel", "198.18.0.1/24", "`address` to give the kernel's end, or empty if it has one")
	gateway := flag.String("gateway", "198.18.0.1", "`address` of the router")
	dns := flag.String("dns", "", "`address` of a DNS server")
	timeout := flag.Duration("timeout", 30*time.Second, "give up after that `time`")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: httpget [flags] URL\nfetches a URL over a TAP device, which takes root")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	dev, err := link.OpenTAP(*name, *kernel)
	show.Check(err)
	var c gonet.Config
	if *dns != "" {
		c.Nameservers = strings.Split(*dns, ",")
	}
	st := gonet.New(c)
	show.Check(st.Attach("eth0", dev))
	show.Check(st.Configure("eth0", *addr, *gateway))
	defer st.Close()

	client := http.Client{Transport: &http.Transport{DialContext: st.DialContext}, Timeout: *timeout}
	start := time.Now()
	r, err := client.Get(flag.Arg(0))
	show.Check(err)
	fmt.Fprintln(os.Stderr, r.Proto, r.Status)
	n, err := io.Copy(os.Stdout, r.Body)
	show.Check(err)
	d := time.Since(start)
	fmt.Fprintf(os.Stderr, "%d bytes in %v, %.1f MB/s\n", n, d.Round(time.Millisecond), float64(n)/1e6/d.Seconds())
}
