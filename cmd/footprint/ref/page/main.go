// Command page serves a page over frames that it reads from and writes to its
// standard input, a socket that keeps their bounds: package net/http on bonsai,
// built with tag full. It ends when the other side does.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/socket/gonet"
)

type link struct{ *os.File }

func (l link) MTU() int                { return 1500 }
func (l link) HardwareAddr() netif.MAC { return netif.MAC{2, 0, 0, 0, 0, 2} }

func (l link) Send(bufs []*netif.Buf) error {
	for _, b := range bufs {
		if _, err := l.Write(b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func (l link) Recv(bufs []*netif.Buf) (int, error) {
	n, err := l.Read(bufs[0].Space())
	if n == 0 {
		os.Exit(0)
	}
	bufs[0].SetLen(n)
	return 1, err
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	s := gonet.New(gonet.Config{})
	must(s.Attach("eth0", link{os.Stdin}))
	must(s.Configure("eth0", "198.18.0.2/24", ""))
	l, err := s.Listen("tcp4", ":80")
	must(err)
	must(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "<p>It boots.</p>\n")
	})))
}
