package pktest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Ladder records what happened between a stack and its peer, and draws it.
type Ladder struct {
	rungs []rung
}

type rung struct {
	at   time.Duration
	kind rungKind
	text string
}

type rungKind uint8

const (
	rungNote rungKind = iota
	rungOut
	rungIn
)

// Out records a packet that the stack sent.
func (l *Ladder) Out(at time.Duration, text string) {
	l.rungs = append(l.rungs, rung{at, rungOut, text})
}

// In records a packet that the stack was sent.
func (l *Ladder) In(at time.Duration, text string) {
	l.rungs = append(l.rungs, rung{at, rungIn, text})
}

// Note records anything else: a call, a mistake.
func (l *Ladder) Note(at time.Duration, format string, args ...any) {
	l.rungs = append(l.rungs, rung{at, rungNote, fmt.Sprintf(format, args...)})
}

// String draws the ladder: the stack on the left, its peer on the right, time in
// seconds.
func (l *Ladder) String() string {
	const width = 66
	var b strings.Builder
	fmt.Fprintf(&b, "%12s  stack %*s\n", "", width-2, "peer")
	// Packets are compared, and so recorded, when the script comes to them, which may be later.
	rungs := slices.Clone(l.rungs)
	slices.SortStableFunc(rungs, func(x, y rung) int { return cmp.Compare(x.at, y.at) })
	for _, r := range rungs {
		fmt.Fprintf(&b, "%12.6f  ", r.at.Seconds())
		n := max(width-4-len(r.text), 2)
		switch r.kind {
		case rungOut:
			fmt.Fprintf(&b, "|- %s %s>|\n", r.text, strings.Repeat("-", n))
		case rungIn:
			fmt.Fprintf(&b, "|<%s %s -|\n", strings.Repeat("-", n), r.text)
		default:
			lines := strings.Split(strings.TrimRight(r.text, "\n"), "\n")
			fmt.Fprintf(&b, "* %s\n", strings.Join(lines, "\n"+strings.Repeat(" ", 16)))
		}
	}
	return b.String()
}
