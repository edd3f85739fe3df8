// Command netdial is the reference client over package net and the kernel's
// TCP: what a program pays for net and os themselves.
package main

import (
	"net"
	"os"
)

func main() {
	if err := fetch(); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}

func fetch() error {
	c, err := net.Dial("tcp4", os.Args[1])
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return err
	}
	var buf [512]byte
	for {
		n, err := c.Read(buf[:])
		if err != nil {
			return err
		}
		os.Stdout.Write(buf[:n])
	}
}
