package ipv4

import "testing"

func TestC13IDsDoNotRepeatPerFlow(t *testing.T) {
	var s IDs
	s.Seed(1, 2)
	seen := make([]bool, 65536)
	other := AddrOf(198, 18, 0, 3)
	for i := 0; i < 65536; i++ {
		id := s.Next(hostA, hostB, ProtoUDP)
		if seen[id] {
			t.Fatalf("%d repeats after %d datagrams", id, i)
		}
		seen[id] = true
	}
	// With traffic to many others, a value comes back no sooner than after 65,536
	// datagrams over all.
	last := map[uint16]int{}
	for i := 0; i < 200000; i++ {
		if i%5 != 0 {
			other = other&^255 | Addr(i)
			s.Next(hostA, other, ProtoICMP)
			continue
		}
		id := s.Next(hostA, hostB, ProtoUDP)
		if j, ok := last[id]; ok && i-j < 65536 {
			t.Fatalf("%d repeats after %d datagrams", id, i-j)
		}
		last[id] = i
	}
}

func TestC13IDsOfOthersSayNothing(t *testing.T) {
	var a, b IDs
	a.Seed(1, 2)
	b.Seed(1, 3)
	same, equal := 0, 0
	for i := 0; i < 256; i++ {
		x := a.Next(hostA, AddrOf(198, 18, 1, byte(i)), ProtoUDP)
		y := a.Next(hostA, AddrOf(198, 18, 2, byte(i)), ProtoUDP)
		if d := y - x; d < 4 {
			same++
		}
		if b.Next(hostA, AddrOf(198, 18, 1, byte(i)), ProtoUDP) == x {
			equal++
		}
	}
	if same > 3 || equal > 3 {
		t.Errorf("%d neighbours, %d independent of the seed", same, equal)
	}
}
