package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
	"github.com/bonsainet/bonsai/internal/feature/table"
)

func TestUsageErrorsAreOneLineAndSayWhatToDo(t *testing.T) {
	for args, want := range map[string]string{
		"-nope":                           "see go doc ./cmd/footprint",
		"nope":                            "the commands are none, packages",
		"packages a b":                    "it is footprint packages [PROFILE]",
		"-arch vax":                       "choose amd64, arm64, arm, mipsle, riscv64, wasip1 or all",
		"-C /":                            "no go.mod here or above",
		"features nope":                   "the profiles are minimal, client, full",
		"packages minimal,full":           "two profiles, minimal and full: choose one",
		"packages with_lisen":             "did you mean with_listen?",
		"inline":                          "it is footprint inline FILE.pgo [PROFILE]",
		"inline x.pgo -arch wasip1":       "make the profile for another -arch",
		"inline minimal":                  "the file's must end in .pgo",
		"inline -program /bin/true x.pgo": "give the package that /bin/true was built from",
		"shrink":                          "it is footprint shrink DIR [PROFILE]",
		"shrink -lines x d":               "unknown -lines x: choose func, none or keep",
		"shrink -program /bin/true d":     "give the package that /bin/true was built from",
		"shrink d with_lisen":             "did you mean with_listen?",
		"packages -layer x client":        "unknown layer \"x\": the layers are core +socket",
	} {
		err := run(context.Background(), strings.Fields(args), new(bytes.Buffer))
		if _, ok := err.(usageError); !ok || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error is %v, want one line with %q", args, err, want)
		}
	}
}

func TestPackagesOfAProgram(t *testing.T) {
	var text, data bytes.Buffer
	if err := run(context.Background(), strings.Fields("packages -layer net.Dial full"), &text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"What full with layer net.Dial adds", "== standard library that it drags in", " net\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	if err := run(context.Background(), strings.Fields("packages full -json -layer net.Dial"), &data); err != nil {
		t.Fatal(err)
	}
	var r packageReport
	if err := json.Unmarshal(data.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	var sum lab.Sizes
	for _, part := range [][]lab.Share{r.Own, r.Standard, r.Shared} {
		for _, s := range part {
			sum = sum.Add(s.Sizes)
		}
	}
	if sum.Flash() != r.Total.Flash() || sum.Text < 100_000 {
		t.Errorf("the shares add up to %d, the total is %d", sum.Flash(), r.Total.Flash())
	}
}

func TestReportSaysHowFarTheTargetsAre(t *testing.T) {
	r := report{Go: "go1", Arch: "amd64", References: references, Budgets: targets, Rows: []row{
		{Profile: "minimal", Layer: "+socket", Sizes: lab.Sizes{Text: 51_234}, Flash: 105_000},
		{Profile: "client", Layer: "core", Error: "building x: y"},
	}}
	var b bytes.Buffer
	r.write(&b)
	for _, want := range []string{"1,234 over", "met, 10,000 left", "not built", "client core: building x: y", "Kleen's reduced Linux stack"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
	if err := r.firstError(); err == nil {
		t.Error("a program that could not be built is no error")
	}
}

func TestNum(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 10_020: "10,020"} {
		if got := num(n); got != want {
			t.Errorf("num(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTogglesAreTheBuildsThatOtherTestsWalk(t *testing.T) {
	p := bonsai()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, b := range table.Builds() {
		if b.Toggled != nil {
			want[b.Tags] = true
		}
	}
	for i := range p.Profiles {
		for _, x := range p.Toggles(&p.Profiles[i]) {
			if !want[x.Tags] {
				t.Errorf("%s with %s toggled has tags %s, which are no build", x.Profile, x.Feature, x.Tags)
			}
			delete(want, x.Tags)
			if msg := table.Check(x.Tags); msg != "" {
				t.Error(msg)
			}
		}
		if bare, _ := p.Bare(&p.Profiles[i]); table.Check(bare) != "" {
			t.Error(table.Check(bare))
		}
	}
	for tags := range want {
		t.Errorf("no toggle with tags %s", tags)
	}
}

func TestWhatGoesAlongIsCountedOnce(t *testing.T) {
	rows := []featureRow{
		{Profile: "full", Feature: "sack", On: true, With: []string{"rack"}, UsedAll: 300},
		{Profile: "full", Feature: "rack", On: true, UsedAll: 100},
		{Profile: "full", Feature: "x", On: false, UsedAll: 7},
		{Profile: "client", Feature: "y", On: true, UsedAll: 7},
	}
	if got := singles(rows, "full"); got != 300 {
		t.Errorf("sum is %d, want 300", got)
	}
}

func TestFeaturesReportShowsBothCosts(t *testing.T) {
	r := featureReport{
		Profiles: []profileSum{{Profile: "minimal", Left: -5}, {Profile: "full"}},
		Rows: []featureRow{
			{Profile: "minimal", Feature: "sack", UsedAll: 1200, Tax: 77},
			{Profile: "full", Feature: "sack", On: true, With: []string{"rack"}, UsedAll: 1500},
			{Profile: "full", Feature: "acd", Error: "building x: y"},
		},
	}
	var b bytes.Buffer
	r.write(&b)
	for _, want := range []string{"saved when removed", "added when added", "sack (with rack)", "-5 are left", "1,200          1,500         300 sack", "full with acd toggled: building x: y"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
	if r.firstError() == nil {
		t.Error("a build that failed is no error")
	}
}
