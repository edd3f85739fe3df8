package gonet_test

import (
	"io"
	"net"
	"testing"

	"github.com/bonsainet/bonsai/netif/emu"
)

// connect returns the ends of a connection between the stacks of a pair.
func connect(t testing.TB, link emu.Config) (c, d net.Conn) {
	needListen(t)
	a, b := newPair(t, link)
	l, err := b.Listen("tcp", "198.18.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	if c, err = a.Dial("tcp", "198.18.0.2:7"); err != nil {
		t.Fatal(err)
	}
	if d, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	return c, d
}

func BenchmarkUpload(b *testing.B) {
	for _, mtu := range []int{1500, 9000, 65521} {
		b.Run("mtu="+itoa(mtu), func(b *testing.B) {
			c, d := connect(b, emu.Config{MTU: mtu})
			go func() {
				io.Copy(io.Discard, d)
				d.Close()
			}()
			p := make([]byte, 64<<10)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(p); err != nil {
					b.Fatal(err)
				}
			}
			c.Close()
		})
	}
}

func BenchmarkPingPong(b *testing.B) {
	c, d := connect(b, emu.Config{})
	go func() {
		io.Copy(d, d)
		d.Close()
	}()
	p := make([]byte, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(p); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, p); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}
