// Command quickstart downloads from and uploads to a net/http server with bonsai
// below http.Client and gVisor's network stack below the server. An emulated Ethernet
// joins the two; it needs no privileges:
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -loss 2% -delay 20ms -pcap quickstart.pcap
//
// It prints the first frames on the wire as a ladder, how long the transfers took,
// whether their SHA-256 are right, the profile with its features, and what the stack
// costs in this program.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"

	"github.com/bonsainet/bonsai/examples/internal/data"
	"github.com/bonsainet/bonsai/examples/internal/gvisorpeer"
	"github.com/bonsainet/bonsai/examples/internal/link"
	"github.com/bonsainet/bonsai/examples/internal/show"
	"github.com/bonsainet/bonsai/socket/gonet"
)

func main() {
	ether := link.Register()
	size := flag.Int64("size", 0, "`bytes` to download; a quarter is uploaded (default 256 MiB, or 2 MiB on an impaired link)")
	flag.Parse()
	if *size == 0 && ether.Impaired() {
		*size = 2 << 20
		fmt.Println("downloading 2 MiB only, since the link is slow or lossy: see -size")
	} else if *size == 0 {
		*size = 256 << 20
	}
	fmt.Println(show.Profile())
	fmt.Println(ether)

	ours, theirs, err := ether.Open()
	show.Check(err)
	ladder := show.NewLadder(ours, 12)
	st := gonet.New(gonet.Config{})
	show.Check(st.Attach("eth0", ladder))
	show.Check(st.Configure("eth0", "198.18.0.2/24", "198.18.0.1")) // SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFFLAGS, SIOCADDRT

	peer, err := gvisorpeer.New(theirs, "198.18.0.1/24", "")
	show.Check(err)
	l, err := peer.Listen(":80")
	show.Check(err)
	go http.Serve(l, data.Handler())

	client := &http.Client{Transport: &http.Transport{DialContext: st.DialContext}}
	transfer := func(what string, do data.Transfer, n int64) {
		digest := data.Digest(n)
		bar := show.NewBar(what, n)
		err := do(context.Background(), client, "http://198.18.0.1/", n, digest, bar)
		fmt.Println(bar.Done())
		show.Check(err)
		fmt.Println("         ", digest, "matches")
	}
	transfer("download", data.Download, *size)
	transfer("upload", data.Upload, *size/4)
	client.CloseIdleConnections()
	fmt.Println("\nthe first frames, bonsai on the left, gVisor on the right:")
	ladder.Print(os.Stdout)
	show.Check(st.Close())
	fmt.Println()
	show.Cost(os.Stdout, "gvisor.dev/gvisor/", "net/http")
}
