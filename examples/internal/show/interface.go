package show

import (
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/bonsainet/bonsai/netif"
	"github.com/bonsainet/bonsai/stack"
)

// Interface writes an interface of s, a stack, as busybox's ifconfig does, with the
// ioctls that it makes.
func Interface(w io.Writer, s interface{ Ioctl(uint32, any) error }, name string) {
	get := func(req uint32) stack.Ifreq {
		r := stack.Ifreq{Name: name}
		if s.Ioctl(req, &r) != nil {
			return stack.Ifreq{}
		}
		return r
	}
	addr := func(req uint32) string {
		r := get(req)
		return r.Addr.In().String()
	}
	hw := get(stack.SIOCGIFHWADDR)
	flags := get(stack.SIOCGIFFLAGS).Flags
	fmt.Fprintf(w, "%-9s Link encap:", name)
	if hw.Addr.Family == netif.ARPHRD_ETHER {
		fmt.Fprintf(w, "Ethernet  HWaddr %s\n", strings.ToUpper(net.HardwareAddr(hw.Addr.Data[:6]).String()))
	} else {
		fmt.Fprintln(w, "Local Loopback")
	}
	if get(stack.SIOCGIFADDR).Addr.Family == stack.AF_INET {
		fmt.Fprint(w, "          inet addr:", addr(stack.SIOCGIFADDR))
		if flags&netif.IFF_BROADCAST != 0 {
			fmt.Fprint(w, "  Bcast:", addr(stack.SIOCGIFBRDADDR))
		}
		fmt.Fprintln(w, "  Mask:"+addr(stack.SIOCGIFNETMASK))
	}
	var words []string
	for _, f := range []struct {
		bit  uint16
		name string
	}{
		{netif.IFF_UP, "UP"}, {netif.IFF_BROADCAST, "BROADCAST"}, {netif.IFF_LOOPBACK, "LOOPBACK"},
		{netif.IFF_RUNNING, "RUNNING"}, {netif.IFF_NOARP, "NOARP"}, {netif.IFF_PROMISC, "PROMISC"}, {netif.IFF_MULTICAST, "MULTICAST"},
	} {
		if flags&f.bit != 0 {
			words = append(words, f.name)
		}
	}
	fmt.Fprintf(w, "          %s  MTU:%d  Metric:%d\n", strings.Join(words, " "), get(stack.SIOCGIFMTU).Value, max(1, get(stack.SIOCGIFMETRIC).Value))
	fmt.Fprintf(w, "          txqueuelen:%d\n\n", get(stack.SIOCGIFTXQLEN).Value)
}
