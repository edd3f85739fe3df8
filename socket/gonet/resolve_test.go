package gonet_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/ipv4"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/socket/gonet"
	"github.com/bonsainet/bonsai/stack"
)

// answer is a DNS server of a few names in the domain test.
func answer(query []byte, udp bool) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.Additionals = true, nil
	name := q.Name.String()
	switch {
	case strings.HasPrefix(name, "none."):
		m.RCode = dnsmessage.RCodeNameError
	case strings.HasPrefix(name, "big.") && udp:
		m.Truncated = true
	case q.Type == dnsmessage.TypeA:
		for _, a := range [][4]byte{{198, 18, 0, 2}, {198, 18, 0, 3}} {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 60},
				Body:   &dnsmessage.AResource{A: a},
			})
		}
	}
	b, _ := m.Pack()
	return b
}

func serveDNS(t *testing.T, s, client *gonet.Stack) {
	// The neighbour is known: in minimal ARP holds one packet, of two questions.
	client.Dial("tcp", "198.18.0.2:1")
	p, err := s.ListenPacket("udp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		b := make([]byte, 2000)
		for {
			n, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			p.WriteTo(answer(b[:n], true), from)
		}
	}()
	if !feature.Listen {
		return
	}
	l, err := s.Listen("tcp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 2000)
			io.ReadFull(c, b[:2])
			n, _ := io.ReadFull(c, b[:binary.BigEndian.Uint16(b)])
			r := answer(b[:n], false)
			c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(r))), r...))
			c.Close()
		}
	}()
}

func TestResolver(t *testing.T) {
	a, b := newPair(t, emu.Config{})
	serveDNS(t, b, a)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	got, err := a.Resolver.LookupHost(ctx, "www.test.")
	if err != nil || strings.Join(got, " ") != "198.18.0.2 198.18.0.3" {
		t.Error(got, err)
	}
	_, err = a.Resolver.LookupHost(ctx, "none.test.")
	var d *net.DNSError
	if !errors.As(err, &d) || !d.IsNotFound {
		t.Error(err)
	}
	_, err = a.DialContext(ctx, "tcp", "none.test.:80")
	var o *net.OpError
	if !errors.As(err, &o) || o.Op != "dial" || !errors.As(err, &d) || !d.IsNotFound {
		t.Error(err)
	}
	if !feature.Listen {
		return
	}
	got, err = a.Resolver.LookupHost(ctx, "big.test.") // by TCP
	if err != nil || strings.Join(got, " ") != "198.18.0.2 198.18.0.3" {
		t.Error(got, err)
	}
	// The first address refuses, the second does not.
	b.Ioctl(stack.SIOCSIFADDR, &stack.Ifreq{Name: "eth0:1", Addr: stack.SockaddrIn(ipv4.AddrOf(198, 18, 0, 3))})
	l, err := b.Listen("tcp", "198.18.0.3:80")
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.DialContext(ctx, "tcp", "www.test.:http")
	if err != nil {
		t.Fatal(err)
	}
	if s := c.RemoteAddr().String(); s != "198.18.0.3:80" {
		t.Error(s)
	}
	c.Close()
	l.Close()
}

// A server that is not there is not asked again.
func TestResolverGoesOnToTheNextServer(t *testing.T) {
	da, db := emu.NewLink(emu.Config{})
	a := gonet.New(gonet.Config{Nameservers: []string{"198.18.0.2:5353", "198.18.0.2"}})
	b := gonet.New(gonet.Config{})
	a.Attach("eth0", da)
	b.Attach("eth0", db)
	a.Configure("eth0", "198.18.0.1/24", "")
	b.Configure("eth0", "198.18.0.2/24", "")
	defer a.Close()
	defer b.Close()
	serveDNS(t, b, a)
	for range 2 {
		if got, err := a.Resolver.LookupHost(context.Background(), "www.test."); err != nil || len(got) != 2 {
			t.Error(got, err)
		}
	}
}

func TestResolverWithoutServers(t *testing.T) {
	_, b := newPair(t, emu.Config{})
	_, err := b.Dial("tcp", "www.test.:80")
	var o *net.OpError
	if !errors.As(err, &o) || o.Op != "dial" || !strings.Contains(err.Error(), "no nameservers") {
		t.Error(err)
	}
}
