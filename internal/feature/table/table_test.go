package table

import "testing"

func TestCheckFindsWhatTheCompilerDoesNotSee(t *testing.T) {
	for _, c := range []struct{ tags, want string }{
		{"", ""},
		{"minimal", ""},
		{"client,with_listen no_pcap", ""},
		{"with_lisen", "unknown tag with_lisen: did you mean with_listen?"},
		{"ful", "unknown tag ful: did you mean full?"},
		{"netgo", "unknown tag netgo: the tags are minimal, client, full, and with_X and no_X for each feature X"},
		{"listen", "unknown tag listen: the tags are minimal, client, full, and with_X and no_X for each feature X"},
		{"minimal,full", "two profiles, minimal and full: choose one"},
		{"with_acd,no_acd", "both with_acd and no_acd: choose one"},
	} {
		if got := Check(c.tags); got != c.want {
			t.Errorf("Check(%q) = %q, want %q", c.tags, got, c.want)
		}
	}
}

func TestBuildsToggleEachFeatureInEachProfile(t *testing.T) {
	bs := Builds()
	if want := len(Profiles) * (1 + len(Rows)); len(bs) != want {
		t.Errorf("%d builds, want %d", len(bs), want)
	}
	seen := map[string]bool{}
	for _, b := range bs {
		if seen[b.Name] {
			t.Errorf("%s comes twice", b.Name)
		}
		seen[b.Name] = true
		for i := range Rows {
			if &Rows[i] == b.Toggled && b.On[i] == b.Toggled.Has(b.Profile) {
				t.Errorf("%s: %s is not toggled", b.Name, b.Toggled.Name)
			}
		}
	}
	for _, name := range []string{"minimal", "client", "full", "minimal+listen", "full-listen"} {
		if !seen[name] {
			t.Errorf("no build %s", name)
		}
	}
}
