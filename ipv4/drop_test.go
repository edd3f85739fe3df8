package ipv4

import (
	"strings"
	"testing"
)

func TestEveryDropHasItsOwnName(t *testing.T) {
	if n := strings.Count(dropNames, "/") - 1; n != NumDrops {
		t.Fatalf("%d names for %d reasons", n, NumDrops)
	}
	seen := map[string]Drop{}
	for d := Drop(0); d < NumDrops; d++ {
		s := d.String()
		if s == "" || s == "unknown" {
			t.Errorf("reason %d is called %q", d, s)
		}
		if e, ok := seen[s]; ok {
			t.Errorf("reasons %d and %d are both called %q", e, d, s)
		}
		seen[s] = d
	}
	for d, want := range map[Drop]string{
		DropNone:           "none",
		DropInterfaceDown:  "interface down",
		DropIPShort:        "short IP",
		DropIPChecksum:     "IP checksum",
		DropProtocol:       "IP protocol",
		DropReassemblyLong: "datagram too long",
		DropICMPRate:       "ICMP rate limit",
		DropUDPBufferFull:  "UDP buffer full",
		DropTCPPAWS:        "PAWS",
		DropBacklog:        "backlog full",
		DropDevice:         "device",
		NumDrops:           "unknown",
		255:                "unknown",
	} {
		if got := d.String(); got != want {
			t.Errorf("Drop(%d) = %q, want %q", d, got, want)
		}
	}
}
