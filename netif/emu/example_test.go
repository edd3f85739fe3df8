package emu_test

import (
	"fmt"

	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/emu"
)

// A simulation moves its clock from deadline to deadline: here those of a link
// alone, in earnest those of the stacks too.
func ExampleNewLink() {
	var clock emu.Virtual
	a, b := emu.NewLink(emu.Config{Clock: &clock, Path: emu.Path{Rate: 1e6, Delay: 20e6}})

	bufs := []*netif.Buf{netif.NewBuf(1514), netif.NewBuf(1514)}
	for _, buf := range bufs {
		buf.Append(125) // takes 1 ms
	}
	a.Send(bufs)
	for range 2 {
		clock.Set(b.Next())
		n := b.Take(bufs)
		fmt.Println(n, "frame after", clock.Now()/1e6, "ms")
	}
	// Output:
	// 1 frame after 21 ms
	// 1 frame after 22 ms
}
