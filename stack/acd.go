package stack

import (
	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/netif"
)

func (s *Stack) inputACD(ifc *netif.Interface, a *netif.ARP) {}

func (s *Stack) pollACD(ifc *netif.Interface) pkt.Time { return pkt.Never }
