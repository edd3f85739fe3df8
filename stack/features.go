package stack

import (
	"github.com/bonsainet/bonsai/internal/feature"
	"github.com/bonsainet/bonsai/internal/feature/table"
)

// Profile returns the name of the profile that the program was built with:
// minimal, client or full.
func Profile() string { return table.Profiles[feature.Profile] }

// Features returns the names of the features that are in the program, as in the
// tags with_NAME and no_NAME, in the order of the README.
func Features() []string {
	var names []string
	for i := range table.Rows {
		if name := table.Rows[i].Name; feature.On(name) {
			names = append(names, name)
		}
	}
	return names
}
