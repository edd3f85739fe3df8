//go:build full || with_listen

package gonet_test

import (
	"fmt"
	"io"
	"net/http"

	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/socket/gonet"
)

// A server and a client, each on a stack of its own (feature listen).
func ExampleStack_Listen() {
	d1, d2 := emu.NewLink(emu.Config{})
	server, client := gonet.New(gonet.Config{}), gonet.New(gonet.Config{})
	server.Attach("eth0", d1)
	server.Configure("eth0", "198.18.0.1/24", "")
	client.Attach("eth0", d2)
	client.Configure("eth0", "198.18.0.2/24", "")

	l, err := server.Listen("tcp", ":80")
	if err != nil {
		fmt.Println(err)
		return
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello from", r.Host)
	}))

	c := http.Client{Transport: &http.Transport{DialContext: client.DialContext}}
	resp, err := c.Get("http://198.18.0.1/")
	if err != nil {
		fmt.Println(err)
		return
	}
	io.Copy(writer{}, resp.Body)
	resp.Body.Close()
	_, err = c.Get("http://198.18.0.1:81/")
	fmt.Println(err)
	// Output:
	// hello from 198.18.0.1
	// Get "http://198.18.0.1:81/": dial tcp 198.18.0.1:81: connect: connection refused
}

type writer struct{}

func (writer) Write(p []byte) (int, error) { return fmt.Print(string(p)) }
