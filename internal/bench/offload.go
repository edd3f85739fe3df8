package bench

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/netif"
)

// plain is a device without super-segments: a frame of the MTU for each segment, with its checksum,
// as every wire has it, and every stack without the features gro and tso.
type plain struct{ netif.Device }

// Interrupt is the device's.
func (p plain) Interrupt() bool { return p.Device.(netif.Interrupter).Interrupt() }

// plainSubjects are those of ours over such devices, where they differ.
func plainSubjects() []Subject {
	if !feature.TSO {
		return nil
	}
	return []Subject{
		{"sockets", "bonsai-plain", "the same without super-segments", func(work string, o Options) (*Case, error) {
			return openSockets(work, o, true)
		}},
		{"tap", "bonsai-plain", "the same without super-segments", func(work string, o Options) (*Case, error) {
			return openOnTAP(work, o, true)
		}},
	}
}
