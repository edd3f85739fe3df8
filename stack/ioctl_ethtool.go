package stack

import (
	"unsafe"

	"github.com/bonsainet/bonsai/internal/errno"
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/netif"
)

// Commands of SIOCETHTOOL, with Linux's numbers: the first field of what
// Ifreq.Data points to.
const (
	ETHTOOL_GDRVINFO   = 0x03 // EthtoolDrvinfo
	ETHTOOL_GLINK      = 0x0A // EthtoolValue: 1 if the link works
	ETHTOOL_GRXCSUM    = 0x14 // EthtoolValue: 1 if the device may say that a checksum is right
	ETHTOOL_GTXCSUM    = 0x16 // EthtoolValue: 1 if checksums of TCP are left to the device
	ETHTOOL_GSG        = 0x18 // EthtoolValue: scatter-gather: 0, a frame being one Buf
	ETHTOOL_GSTRINGS   = 0x1B // EthtoolStrings
	ETHTOOL_GSTATS     = 0x1D // EthtoolStats
	ETHTOOL_GTSO       = 0x1E // EthtoolValue: 1 if the device takes super-segments
	ETHTOOL_GGSO       = 0x23 // EthtoolValue: 1 if TCP makes them: here, for a device that takes them
	ETHTOOL_GGRO       = 0x2B // EthtoolValue: 1 if it may give them
	ETHTOOL_GSSET_INFO = 0x37 // EthtoolSsetInfo
	ETHTOOL_GFEATURES  = 0x3A // EthtoolFeatures

	ETH_SS_STATS = 1 // the string set of the statistics' names
)

// EthtoolDrvinfo mirrors C's struct ethtool_drvinfo, as far as there is something
// to say.
type EthtoolDrvinfo struct {
	Cmd             uint32
	Driver, Version string
	NStats          uint32 // number of values that ETHTOOL_GSTATS gives
}

// EthtoolValue mirrors C's struct ethtool_value.
type EthtoolValue struct{ Cmd, Data uint32 }

// EthtoolStrings mirrors C's struct ethtool_gstrings.
type EthtoolStrings struct {
	Cmd, StringSet uint32
	Data           []string // appended to
}

// EthtoolStats mirrors C's struct ethtool_stats.
type EthtoolStats struct {
	Cmd  uint32
	Data []uint64 // appended to, in the order of EthtoolStrings
}

// EthtoolSsetInfo mirrors C's struct ethtool_sset_info.
type EthtoolSsetInfo struct {
	Cmd  uint32
	Mask uint64   // bits of the wanted sets; on return, those that exist
	Data []uint32 // their sizes, appended to
}

// EthtoolFeatures mirrors C's struct ethtool_gfeatures: no feature is there to switch.
// What a device does in place of the stack (netif.Offloader) it does from the beginning.
type EthtoolFeatures struct {
	Cmd       uint32
	Available uint32
	Requested uint32
	Active    uint32
}

// statNames are the names of netif.Stats' fields.
func statNames() []string {
	return []string{
		"rx_packets", "tx_packets", "rx_bytes", "tx_bytes",
		"rx_errors", "tx_errors", "rx_dropped", "tx_dropped", "multicast",
	}
}

const numStats = 9

func ethtool(i *netif.Interface, data any) errno.Errno {
	// All of these are pointers, and an interface's second word is the pointer that it
	// holds.
	if (*[2]unsafe.Pointer)(unsafe.Pointer(&data))[1] == nil {
		return errno.EFAULT
	}
	switch d := data.(type) {
	case *EthtoolDrvinfo:
		if d.Cmd != ETHTOOL_GDRVINFO {
			break
		}
		*d = EthtoolDrvinfo{Cmd: d.Cmd, Driver: "bonsai", NStats: numStats}
		return 0
	case *EthtoolValue:
		on := false
		switch d.Cmd {
		case ETHTOOL_GLINK:
			on = i.Flags&netif.IFF_RUNNING != 0
		case ETHTOOL_GRXCSUM, ETHTOOL_GTXCSUM, ETHTOOL_GSG, ETHTOOL_GTSO, ETHTOOL_GGSO, ETHTOOL_GGRO:
			on = feature.GRO && offloads(i, d.Cmd)
		default:
			return errno.EOPNOTSUPP
		}
		d.Data = uint32(btoi(on))
		return 0
	case *EthtoolStrings:
		if d.Cmd != ETHTOOL_GSTRINGS {
			break
		}
		if d.StringSet != ETH_SS_STATS {
			return errno.EINVAL
		}
		d.Data = append(d.Data, statNames()...)
		return 0
	case *EthtoolStats:
		if d.Cmd != ETHTOOL_GSTATS {
			break
		}
		s := &i.Stats
		d.Data = append(d.Data, s.RxPackets, s.TxPackets, s.RxBytes, s.TxBytes,
			s.RxErrors, s.TxErrors, s.RxDropped, s.TxDropped, s.Multicast)
		return 0
	case *EthtoolSsetInfo:
		if d.Cmd != ETHTOOL_GSSET_INFO {
			break
		}
		if d.Mask &= 1 << ETH_SS_STATS; d.Mask != 0 {
			d.Data = append(d.Data, numStats)
		}
		return 0
	case *EthtoolFeatures:
		if d.Cmd != ETHTOOL_GFEATURES {
			break
		}
		*d = EthtoolFeatures{Cmd: d.Cmd}
		return 0
	}
	return errno.EOPNOTSUPP
}
