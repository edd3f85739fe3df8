package stack

import (
	"slices"
	"testing"

	"github.com/bonsainet/bonsai/internal/feature"
)

func TestProfileAndFeaturesAreThoseOfTheBuild(t *testing.T) {
	if want := [...]string{"minimal", "client", "full"}[feature.Profile]; Profile() != want {
		t.Errorf("the profile is %s, want %s", Profile(), want)
	}
	for name, on := range map[string]bool{"sack": feature.SACK, "listen": feature.Listen, "wscale": feature.WScale} {
		if slices.Contains(Features(), name) != on {
			t.Errorf("the features are %v, but %s is %v", Features(), name, on)
		}
	}
}
