package pktest

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/bonsainet/bonsai/internal/feature"
)

// kernelLimit is how long a script may take against the kernel: the others are
// for virtual time.
const kernelLimit = 3 * time.Second

// TestScriptsAgainstKernel plays our suite against the Linux kernel, so that what
// it says is what the network's most common stack does. Scripts that say otherwise
// on purpose have --target=bonsai. All of them sleep most of the time, so they run
// side by side.
func TestScriptsAgainstKernel(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if testing.Short() {
		t.Skip("real time")
	}
	if feature.Profile != feature.Client {
		t.Skip("the kernel has no profiles: once is enough")
	}
	files, err := Scripts("testdata/scripts")
	if err != nil {
		t.Fatal(err)
	}
	reports := make([]*Report, len(files))
	places := make(chan struct{}, 16)
	var wg sync.WaitGroup
	for i, f := range files {
		s, err := ReadScript(f)
		if err != nil {
			t.Fatal(err)
		}
		if s.Length() > kernelLimit {
			reports[i] = &Report{Script: s, Skipped: "takes too long"}
			continue
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			places <- struct{}{}
			reports[i] = Run(s, NewKernel())
			<-places
		}()
	}
	wg.Wait()
	for range 8 { // a busy machine: again, alone
		for i, r := range reports {
			if r.Failed() {
				reports[i] = Run(r.Script, NewKernel())
			}
		}
	}
	passed := 0
	for _, r := range reports {
		switch {
		case r.Skipped != "":
		case r.Failed():
			t.Errorf("\n%s%s", r, r.Ladder.String())
		default:
			passed++
		}
	}
	t.Logf("%d of %d scripts agree", passed, len(files))
}
