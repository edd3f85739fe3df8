package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// attack is something that a hostile peer, or somebody who forges its packets, does; and
// the tests that show what comes of it: functions, or scripts below pktest/testdata.
type attack struct {
	name, answer string
	tests        string // separated by spaces
}

var attacks = []attack{
	{"SACK reneging: what was SACKed is withdrawn", "Nothing is freed by a SACK (RFC 2018 section 8); all of it is sent again, and memory does not grow.",
		"TestC99RenegingPeerGetsEverythingAgain TestC99RenegingForEverIsBounded TestC99NothingIsFreedByASACK hostile/sack-reneging"},
	{"SACK blocks that are nonsense, or hundreds of them (CVE-2019-11477, 11478)", "Ignored unless they are of what is in flight; the scoreboard is bounded.",
		"TestC99InvalidBlocksAreIgnored TestC99ScoreboardIsBounded TestC98HundredsOfHoles sack/edges-outside-what-was-sent-are-ignored"},
	{"ACK splitting: hundreds of ACKs for one segment", "The window opens by the bytes that are acknowledged (RFC 3465); in recovery a piece of what was sent again gets nothing sent once more.",
		"TestC88ACKSplittingGainsNothing TestC93ACKSplittingInRecoveryGainsNothing hostile/ack-splitting-opens-no-window hostile/ack-splitting-in-recovery-repairs-once"},
	{"Optimistic ACKs of what was never sent", "Challenged, at most ten times a second, and dropped (RFC 5961 section 5).",
		"TestC66OptimisticACKBeyondWhatWasSent TestC66ACKRange hostile/optimistic-ack-beyond-what-was-sent"},
	{"Optimistic ACKs of what can't have arrived", "Can't be told from true ones. The window opens by eight segments an ACK at most, and no more is in flight than both windows say; what is acknowledged is gone.",
		"TestC88OptimisticACKOfWhatCannotHaveArrived hostile/optimistic-ack-of-what-was-lost"},
	{"Stretch ACKs: one for a whole window", "No burst of more than what was acknowledged and eight segments.",
		"TestC88StretchACKIsNoLicenceForABurst TestC88SlowStartGrowsByEightSegmentsAnACKAtMost hostile/stretch-ack-is-counted-up-to-a-bound"},
	{"Segments that overlap with different bytes", "The first copy stays.",
		"TestC70OverlapsWithOtherBytes TestC70FirstCopyStays TestC70OverlappingDataIsTrimmed hostile/overlap-with-other-bytes"},
	{"IP fragments that overlap", "The datagram is dropped.", "TestC19OverlapsAndImpossibleFragments"},
	{"Sparse data: a byte here and there, far ahead", "The pieces that are kept, and their memory, are bounded; the next in sequence is always taken.",
		"TestC71QueueBoundedAndNeverStuck TestMemorySparseDataBeyondTheLimitHoldsNoMemoryInVain TestInSequenceDataIsTakenWhenTooManyPiecesWait"},
	{"The window shrinks, below what was sent or to nothing, for hours", "What was sent stays in flight, and window probes go on while they are answered.",
		"TestC80ShrunkWindow TestC80WindowShrunkToNothingForAnHour TestC81ZeroWindowForHours hostile/window-shrinks-to-nothing-below-what-was-sent"},
	{"A window, or an MSS, of a byte (CVE-2019-11479)", "An MSS counts as 48 at least; small windows wait for the silly window timer.",
		"TestC46TinyMSSDoesNotMultiplySegments TestC46MSSOptionBounds TestC82WindowOfOne hostile/mss-of-one"},
	{"Timestamps jump ahead or back", "Only a segment at the left edge moves TS.Recent; older ones are dropped and acknowledged; after 24 days any clock is good again.",
		"TestC102TimestampsJump TestC102PAWSDropsOlder TestC102UnacceptableSegmentDoesNotSetTSRecent hostile/timestamp-jumps-ahead-outside-the-window"},
	{"Echoes of timestamps that were never sent", "No sample of the round trip.",
		"TestC101EchoThatCannotBeIsNoSample TestC101EchoOnTheSynAckThatCannotBeIsNoSample hostile/timestamp-echo-that-cannot-be"},
	{"Sequence numbers wrap with data in flight and out of order", "Arithmetic modulo 2^32, both ways.",
		"TestC41SequenceNumbersWrapAroundWithDataInFlight TestC102PAWSAcrossTheWrap hostile/sequence-numbers-wrap-with-data-in-flight receive/out-of-order-across-the-wrap"},
	{"A flood of resets or SYNs with guessed numbers", "Only the very next number resets. Challenges are ten a second for each connection, and the limit of one is not that of another (CVE-2016-5696).",
		"TestC67RSTFloodIsAnsweredTenTimesASecond TestC64RstFlood TestC67ChallengeACKsAreThrottledPerConnection TestC67NoACKWar hostile/reset-flood-in-the-window-ends-nothing"},
	{"A flood of SYNs from addresses that do not exist", "Fills the backlog and nothing else; each is answered once at most; open connections notice nothing.",
		"TestC53SYNFloodIsBounded TestSynFlood TestC53BacklogIsBounded"},
	{"A flood at closed ports", "A reset for each, none for resets, no memory.", "TestC60FloodOfClosedPortsHoldsNothing"},
	{"ICMP errors that quote what is not in flight", "Dropped (RFC 5927 section 4.1).",
		"TestC36ForgedICMPErrors TestC36SequenceNumberMustBeInFlight TestC30TCPChecksTheSequenceNumber TestICMPForgeries pmtud/forged-message-is-ignored"},
	{"Fragmentation needed with an MTU of 0, or 68", "0 is an old router's: the next plateau. No path counts as less than 552.",
		"TestC35PlateausForOldRouters TestC35NeverBelowTheFloor TestC36ForgedICMPErrors hostile/frag-needed-with-mtu-zero hostile/frag-needed-with-mtu-68"},
	{"Thousands of such messages, for one connection or all", "One retransmission for many, and a bounded table.", "TestC36ManyMessagesOneRetransmission TestC35TableIsBounded"},
	{"Unreachables of every kind in the window", "None ends an established connection (RFC 5461).",
		"TestC31SoftErrorsDoNotAbort TestC36ForgedICMPErrors hostile/unreachables-in-the-window-end-nothing"},
	{"Redirects: forged, or a flood", "Only from the gateway in use, to a neighbour; the table is bounded.", "TestC23RedirectFromTheCurrentGateway TestC23FloodOfRedirectsDoesNotFillTheTable"},
	{"Noise: any bytes, in any place", "Dropped, with a reason; no panic, no loop, no memory.", "TestC110HostileFrames TestC110MutatedFrames TestGarbage TestConnHoldsItsInvariantsWhateverArrives"},
}

var funcName = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// hostile writes the section about attacks. A test that does not exist is an error.
func hostile(b *bytes.Buffer, root string) (errs []string, err error) {
	files := map[string]string{}
	err = filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(p, "_test.go") {
			return err
		}
		src, err := os.ReadFile(p)
		for _, m := range funcName.FindAllSubmatch(src, -1) {
			files[string(m[1])] = filepath.ToSlash(p)
		}
		return err
	})
	b.WriteString("\n## Hostile peers and networks\n\n| attack | what comes of it | tests and scripts |\n|---|---|---|\n")
	for _, a := range attacks {
		var links []string
		for _, t := range strings.Fields(a.tests) {
			file := files[t]
			if strings.Contains(t, "/") {
				file = "pktest/testdata/scripts/" + t + ".pkt"
				if _, e := os.Stat(filepath.Join(root, filepath.FromSlash(file))); e != nil {
					file = ""
				}
			}
			if file == "" {
				errs = append(errs, fmt.Sprintf("%s: there is no test %s", a.name, t))
			}
			links = append(links, fmt.Sprintf("[%s](../%s)", strings.TrimPrefix(t, "Test"), file))
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", a.name, a.answer, strings.Join(links, "<br>"))
	}
	return errs, err
}
