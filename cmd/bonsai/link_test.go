package main

import (
	"io"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/netif/emu"
)

func TestLinkFlagsDescribeThePath(t *testing.T) {
	c, devices, _, ok := linkFlags([]string{"-delay", "20ms", "-loss", "1%", "-rate", "1.5M", "-burst", "0.01", "-one-way",
		"-mark", "20", "-mark-bytes", "30000", "-drop-not-ect", "tap:a", "tap:b@1"}, io.Discard)
	if !ok || len(devices) != 2 {
		t.Fatal("refused")
	}
	p := c.Path
	if p.Delay != 20e6 || p.Loss != 0.01 || p.Rate != 1_500_000 || p.Burst.Leave != 1.0/3 || p.Mark != 20 || p.MarkBytes != 30000 || !p.DropNotECT {
		t.Errorf("%+v", p)
	}
	if mean := p.Burst.Enter / (p.Burst.Enter + p.Burst.Leave); mean < 0.0099 || mean > 0.0101 {
		t.Errorf("bursts lose %g", mean)
	}
	if *c.Back != (emu.Path{Delay: 20 * 1e6}) {
		t.Errorf("back %+v", *c.Back)
	}
}

func TestLinkRefusesNonsense(t *testing.T) {
	for _, args := range [][]string{
		{}, {"tap:a"}, {"-loss", "2", "tap:a", "tap:b"}, {"-loss", "-1%", "tap:a", "tap:b"}, {"-rate", "x", "tap:a", "tap:b"},
		{"-delay", "-1s", "tap:a", "tap:b"}, {"-mark", "5", "tap:a", "tap:b"}, {"-rate", "1M", "-drop-not-ect", "tap:a", "tap:b"}, {"eth0", "eth1"}, {"tap:a@/no/such/namespace", "tap:b"},
	} {
		done := make(chan int, 1)
		go func() { done <- runLink(args, io.Discard, io.Discard) }()
		select {
		case code := <-done:
			if code != 2 {
				t.Errorf("%q: exit status %d", args, code)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%q runs", args)
		}
	}
}
