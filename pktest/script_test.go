package pktest

import "testing"

// TestScripts plays our own suite in virtual time.
func TestScripts(t *testing.T) {
	RunScripts(t, "testdata/scripts", func() Target { return NewBonsai() })
}
