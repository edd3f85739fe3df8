package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/bonsainet/bonsai/cmd/footprint/lab"
)

func TestUsageErrorsAreOneLineAndSayWhatToDo(t *testing.T) {
	for args, want := range map[string]string{
		"-nope":                    "see go doc ./cmd/footprint",
		"nope":                     "the commands are",
		"packages minimal,full":    "two profiles, minimal and full: choose one",
		"packages with_lisen":      "did you mean with_listen?",
		"packages -layer x client": "unknown layer \"x\": the layers are core +socket",
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
	r := report{Go: "go1", Arch: "amd64", References: references, Rows: []row{
		{Profile: "minimal", Layer: "+socket", Sizes: lab.Sizes{Text: 61_234}, Flash: 130_000},
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
