package netif

import (
	"testing"

	"github.com/bonsainet/bonsai/internal/pkt"
	"github.com/bonsainet/bonsai/ipv4"
)

// acdRun polls d until time end and returns the packets and when they were sent.
func acdRun(d *ACD, now, end Time) (sent []ARP, at []Time) {
	for now <= end {
		var a ARP
		send, next := d.Poll(now, &selfMAC, &a)
		if send {
			sent, at = append(sent, a), append(at, now)
			continue
		}
		if next <= now {
			panic("a deadline in the past")
		}
		now = next
	}
	return sent, at
}

func TestC06ProbesBeforeUse(t *testing.T) {
	for seed := range uint64(50) {
		var d ACD
		d.Start(100*pkt.Second, self, seed*0x9e3779b97f4a7c15)
		sent, at := acdRun(&d, 100*pkt.Second, 200*pkt.Second)
		if len(sent) != 3 || d.State != ACDFree {
			t.Fatalf("%d probes, state %d", len(sent), d.State)
		}
		for k, a := range sent {
			if a != (ARP{Op: ARPRequest, SHA: selfMAC, TPA: self}) {
				t.Errorf("probe %+v", a)
			}
			wait := at[k] - 100*pkt.Second
			if k > 0 {
				wait = at[k] - at[k-1] - pkt.Second
			}
			if wait < 0 || wait > pkt.Second {
				t.Errorf("probe %d at %v", k, at)
			}
		}
	}
}

func TestC06AnnouncesTwice(t *testing.T) {
	var d ACD
	d.Start(0, self, 1)
	_, _ = acdRun(&d, 0, 10*pkt.Second)
	d.Own(20 * pkt.Second)
	sent, at := acdRun(&d, 20*pkt.Second, 100*pkt.Second)
	if len(sent) != 2 || at[0] != 20*pkt.Second || at[1] != 22*pkt.Second {
		t.Fatalf("announced at %v", at)
	}
	if sent[0] != (ARP{Op: ARPRequest, SHA: selfMAC, SPA: self, TPA: self}) {
		t.Errorf("announcement %+v", sent[0])
	}
}

func TestC06ConflictWhileProbing(t *testing.T) {
	for _, c := range []struct {
		what     string
		a        ARP
		conflict bool
	}{
		{"a reply for the address", ARP{ARPReply, other, selfMAC, self, ipv4.Any}, true},
		{"a request from the address", ARP{ARPRequest, other, MAC{}, self, peer}, true},
		{"a probe for the address", ARP{ARPRequest, other, MAC{}, ipv4.Any, self}, true},
		{"our own probe, looped back", ARP{ARPRequest, selfMAC, MAC{}, ipv4.Any, self}, false},
		{"a request for the address", ARP{ARPRequest, other, MAC{}, peer, self}, false},
		{"a probe for another", ARP{ARPRequest, other, MAC{}, ipv4.Any, peer}, false},
	} {
		var d ACD
		d.Start(0, self, 1)
		acdRun(&d, 0, pkt.Second)
		got := d.Input(pkt.Second, &c.a, &selfMAC)
		sent, _ := acdRun(&d, pkt.Second, 100*pkt.Second)
		want := ACDFree
		if c.conflict {
			want = ACDConflict
		}
		if got != c.conflict || d.State != want || c.conflict && (len(sent) != 0 || d.Other != other) {
			t.Errorf("%s: conflict %v, state %d, then %d probes", c.what, got, d.State, len(sent))
		}
	}
}

func TestC06DefendsOncePerTenSeconds(t *testing.T) {
	var d ACD
	d.Start(0, self, 1)
	acdRun(&d, 0, 10*pkt.Second)
	d.Own(10 * pkt.Second)
	acdRun(&d, 10*pkt.Second, 20*pkt.Second)
	a := ARP{Op: ARPReply, SHA: other, SPA: self, TPA: self}
	n := 0
	for ms := range Time(30000) {
		now := 20*pkt.Second + ms*pkt.Millisecond
		if !d.Input(now, &a, &selfMAC) {
			t.Fatal("no conflict seen")
		}
		sent, _ := acdRun(&d, now, now)
		n += len(sent)
	}
	if n != 3 || d.State != ACDOwned {
		t.Errorf("defended %d times in 30 s, state %d", n, d.State)
	}
}
