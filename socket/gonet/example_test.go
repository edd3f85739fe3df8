package gonet_test

import (
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/socket/gonet"
)

// An HTTP client on a stack of its own. The device here is one end of an emulated
// link; it could be netif/tap's, or one of your own.
func Example() {
	dev, _ := emu.NewLink(emu.Config{})
	st := gonet.New(gonet.Config{Nameservers: []string{"198.18.0.1"}})
	defer st.Close()
	if err := st.Attach("eth0", dev); err != nil {
		log.Fatal(err)
	}
	if err := st.Configure("eth0", "198.18.0.2/24", "198.18.0.1"); err != nil {
		log.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: st.DialContext}}
	resp, err := client.Get("http://www.example.com/")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(len(body), err)
}
