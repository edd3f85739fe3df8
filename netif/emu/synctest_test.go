//go:build go1.25

package emu_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/netif/emu/wall"
)

// A program in real time sees the delays: here in a bubble, where they are
// exact.
func TestRecvWaitsForTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := emu.NewLink(emu.Config{Clock: wall.New(), Path: emu.Path{Delay: 20e6, Rate: 8e6}})
		sw := emu.NewSwitch(emu.SwitchConfig{Clock: wall.New(), Path: emu.Path{Delay: 10e6, Rate: 16e6}})
		c, d := sw.Port(), sw.Port()
		for name, ends := range map[string][2]netif.Device{"link": {a, b}, "switch": {c, d}} {
			start := time.Now()
			go func() {
				bufs := buffers(3)
				for i, buf := range bufs {
					numbered(buf, i)
				}
				ends[0].Send(bufs[:2])
				time.Sleep(5 * time.Millisecond)
				ends[0].Send(bufs[2:])
			}()
			bufs := buffers(4)
			ms := float64(time.Millisecond)
			// 1000 bytes at 8 Mbit/s take 1 ms; through the switch two times half of it,
			// the second time while the next frame is in the first cable.
			for i, want := range map[string][]float64{"link": {21, 22, 26}, "switch": {21, 21.5, 26}}[name] {
				n, err := ends[1].Recv(bufs)
				if n != 1 || err != nil {
					t.Fatal(n, err)
				}
				if took := float64(time.Since(start)) / ms; took != want {
					t.Errorf("%s: frame %d after %v ms, want %v", name, i, took, want)
				}
			}
		}
	})
}

func TestCloseWakesRecv(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := emu.NewLink(emu.Config{})
		b, peer := emu.NewLink(emu.Config{Clock: wall.New(), Path: emu.Path{Delay: 3600e9}})
		peer.Send([]*netif.Buf{func() *netif.Buf { b := netif.NewBuf(1514); numbered(b, 0); return b }()})
		c := emu.NewSwitch(emu.SwitchConfig{}).Port()
		for _, d := range []netif.Device{a, b, c} {
			done := make(chan error)
			go func() {
				_, err := d.Recv(buffers(1))
				done <- err
			}()
			synctest.Wait()
			d.Close()
			if err := <-done; err == nil {
				t.Error("no error")
			}
		}
	})
}

func TestVirtualTimeWakesRecv(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock emu.Virtual
		a, b := emu.NewLink(emu.Config{Clock: &clock, Path: emu.Path{Delay: 1e6}})
		bufs := buffers(1)
		numbered(bufs[0], 0)
		a.Send(bufs)
		var got netif.Time
		go func() {
			b.Recv(buffers(1))
			got = clock.Now()
		}()
		synctest.Wait()
		clock.Set(1e6 - 1)
		synctest.Wait()
		if got != 0 {
			t.Error("too early")
		}
		clock.Set(1e6)
		synctest.Wait()
		if got != 1e6 {
			t.Error("not woken")
		}
	})
}
