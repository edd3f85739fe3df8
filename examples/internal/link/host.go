package link

import (
	"flag"
	"fmt"
	"net/netip"

	"github.com/bonsainet/bonsai/examples/internal/gvisorpeer"
	"github.com/bonsainet/bonsai/internal/kernelif"
	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/netif/tap"
	"github.com/bonsainet/bonsai/socket/gonet"
)

// Host are the flags of a host at 198.18.0.2: on a TAP, where the kernel has
// 198.18.0.1, or else on emulated Ethernet, where gVisor has it.
type Host struct {
	*Flags
	TAP string
}

// Ours and Peer are the addresses of the two.
const (
	Ours = "198.18.0.2"
	Peer = "198.18.0.1"
)

// RegisterHost defines the flags of Register, and -tap.
func RegisterHost() *Host {
	h := &Host{Flags: Register()}
	flag.StringVar(&h.TAP, "tap", "", "`name` of a TAP to use instead of emulated Ethernet, which takes root")
	return h
}

// Open returns the stack, and gVisor as its peer unless there is a TAP.
func (h *Host) Open() (st *gonet.Stack, peer *gvisorpeer.Peer, err error) {
	var ours, theirs netif.Device
	if h.TAP == "" {
		if ours, theirs, err = h.Flags.Open(); err == nil {
			peer, err = gvisorpeer.New(theirs, Peer+"/24", Ours)
		}
	} else if ours, err = OpenTAP(h.TAP, Peer+"/24"); err == nil {
		ours, err = h.Record(ours)
	}
	if err != nil {
		return nil, nil, err
	}
	st = gonet.New(gonet.Config{})
	if err = st.Attach("eth0", ours); err == nil {
		err = st.Configure("eth0", Ours+"/24", Peer)
	}
	return st, peer, err
}

// OpenTAP opens a TAP and gives the kernel's end an address, such as "198.18.0.1/24",
// unless that is empty.
func OpenTAP(name, kernel string) (netif.Device, error) {
	dev, err := tap.Open(tap.Config{Name: name, Up: true})
	if err != nil {
		return nil, err // not dev, which would be an interface that is not nil
	}
	if kernel == "" {
		return dev, nil
	}
	p, err := netip.ParsePrefix(kernel)
	if err == nil {
		err = kernelif.SetAddr(dev.Name(), p)
	}
	if err != nil {
		dev.Close()
		return nil, fmt.Errorf("the kernel's address: %w", err)
	}
	return dev, nil
}
