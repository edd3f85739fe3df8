package sim

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/feature/table"
	"github.com/bonsainet/bonsai/netif/emu"
	"github.com/bonsainet/bonsai/stack"
)

var update = flag.Bool("update", false, "write the golden tables anew")

// plainProfile reports whether this build has just the features of its profile.
func plainProfile() bool {
	for i := range table.Rows {
		if r := &table.Rows[i]; feature.On(r.Name) != r.Has(feature.Profile) {
			return false
		}
	}
	return true
}

// TestGoodputTable compares goodput by loss and round trip time with the table in
// testdata. It changes with every change of loss recovery and congestion control:
// look whether it is one for the better, and run with -update.
func TestGoodputTable(t *testing.T) {
	if !plainProfile() {
		t.Skip("the tables are for the three profiles as they are")
	}
	name := table.Profiles[feature.Profile]
	got := goodputTable(t, name)
	file := filepath.Join("testdata", "goodput."+name+".txt")
	if *update {
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is no longer true: if that is for the better, go test -tags %s ./internal/sim -run TestGoodputTable -update\ngot\n%swant\n%s", file, name, got, want)
	}
}

func goodputTable(t *testing.T, name string) []byte {
	var b bytes.Buffer
	size := int64(4_000_000)
	if feature.Profile == feature.Minimal { // whose window is 8 KiB
		size = 500_000
	}
	rtts := []Time{1 * Ms, 20 * Ms, 100 * Ms, 300 * Ms}
	fmt.Fprintf(&b, "Goodput in Mbit/s of %d bytes over 20 Mbit/s with a queue of one BDP (at least 10\nframes), mean of 3 seeds, and percent of segments sent again. Profile %s.\n\n%-12s", size, name, "loss")
	for _, rtt := range rtts {
		fmt.Fprintf(&b, "%16s", fmt.Sprintf("RTT %d ms", rtt/Ms))
	}
	b.WriteByte('\n')
	const rate = 20_000_000
	for _, l := range []struct {
		name string
		path emu.Path
	}{
		{"none", emu.Path{}},
		{"0.1%", emu.Path{Loss: 0.001}},
		{"1%", emu.Path{Loss: 0.01}},
		{"3%", emu.Path{Loss: 0.03}},
		{"bursts 1%", emu.Path{Burst: emu.Burst{Enter: 0.0025, Leave: 0.25}}},
		{"reorder 2%", emu.Path{Reorder: 0.02, ReorderBy: 3}},
	} {
		fmt.Fprintf(&b, "%-12s", l.name)
		for _, rtt := range rtts {
			const seeds = 3
			sum, again, segs := 0.0, 0, 0
			for seed := range uint64(seeds) {
				there := l.path
				there.Delay, there.Rate = rtt/2, rate
				there.Queue = max(10, int(rate/8*int64(rtt)/int64(Second)/1500))
				back := emu.Path{Delay: rtt / 2, Rate: rate}
				n, x, y := two(Options{Seed: 100 + seed}, stack.Config{}, 0, there, back)
				end := &Bulk{Recv: size}
				ea, _ := connect(x, y, 80, &Bulk{Send: size}, end, false)
				begin := n.Now()
				if err := n.Run(60 * Minute); err != nil {
					t.Fatalf("%s, %v: %v", l.name, stamp(rtt), err)
				}
				sum += float64(size) * 8 / (float64(n.Now()-begin) / float64(Second)) / 1e6
				tr := ea.Traffic()
				again += tr.Again
				segs += tr.Segments
			}
			fmt.Fprintf(&b, "%16s", fmt.Sprintf("%.2f  %4.1f%%", sum/seeds, 100*float64(again)/float64(segs)))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}
