// Command netdial is the reference client over package net and the kernel's
// TCP: what a program pays for net and os themselves.
package main

import (
	"net"
	"os"
)

func main() {
	c, err := net.Dial("tcp4", os.Args[1])
	if err != nil {
		os.Exit(1)
	}
	var buf [512]byte
	c.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
	for {
		n, err := c.Read(buf[:])
		if err != nil {
			break
		}
		os.Stdout.Write(buf[:n])
	}
	c.Close()
}
