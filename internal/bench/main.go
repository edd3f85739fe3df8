package bench

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/bonsainet/bonsai/internal/kernelif"
)

// Subjects are those that need no other module.
func Subjects() []Subject {
	list := append([]Subject{FloorSubject()}, PairSubjects()...)
	list = append(append(list, SocketsSubject(), TAPSubject()), plainSubjects()...)
	return append(list, kernelSubjects()...)
}

const usage = `usage: %s [flags]

Measures stacks side by side: the same work for each, in turns, in slices of time. It
prints medians, how far the rounds lie from them, and what bonsai does of the same work
in the same time.

`

// Main is the command: name is how it is called. It returns the exit status.
func Main(name string, args []string, subjects []Subject, out, errs io.Writer) int {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() {
		fmt.Fprintf(errs, usage, name)
		flags.PrintDefaults()
		fmt.Fprint(errs, "\nworks:\n")
		for _, w := range Works {
			fmt.Fprintf(errs, "  %-6s %s\n", w.Name, w.Help)
		}
		fmt.Fprint(errs, "\nsubjects:\n")
		for _, s := range subjects {
			fmt.Fprintf(errs, "  %-22s %s\n", s.Group+"/"+s.Name, s.Help)
		}
	}
	p := Plan{Subjects: subjects, Works: Works, Progress: errs}
	run := flags.String("run", "", "measure only what matches this `pattern`: GROUP/WORK/SUBJECT")
	flags.DurationVar(&p.Budget.Time, "time", 200*time.Millisecond, "length of a slice")
	flags.IntVar(&p.Rounds, "rounds", 5, "`number` of slices of each case")
	flags.DurationVar(&p.Total, "total", 3*time.Minute, "after this time no further case begins, and twice that and a minute later the command gives up")
	flags.IntVar(&p.Options.Conns, "conns", IdleConns, "`number` of connections in work idle, of which 1 % are used")
	flags.IntVar(&p.Options.MTU, "mtu", 1500, "`bytes`, of the pair, the emulated link and the TAP")
	quick := flags.Bool("quick", false, "3 rounds of 50 ms, 1,000 connections")
	scale := flags.Bool("scale", false, "measure also the cost of a packet against the number of connections, routes and timers")
	profiles := flags.String("profiles", "", "build and run with the `tags` minimal, client, full or others, separated by commas, one after the other")
	svgDir := flags.String("svg", "", "draw pictures of the results into this `folder`")
	docFile := flags.String("doc", "", "write the results into this `file`, between its markers: docs/performance.md")
	jsonFile := flags.String("json", "", "write all values to this `file`; - is instead of the table")
	if flags.Parse(args) != nil {
		return 2
	}
	if flags.NArg() > 0 {
		flags.Usage()
		return 2
	}
	if *quick {
		given := map[string]bool{}
		flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
		for name, v := range map[string]string{"time": "50ms", "rounds": "3", "conns": "1000"} {
			if !given[name] {
				flags.Set(name, v)
			}
		}
	}
	if p.Budget.Time <= 0 || p.Rounds < 1 || p.Options.Conns < 1 {
		fmt.Fprintf(errs, "%s: -time, -rounds and -conns are to be above 0\n", name)
		return 2
	}
	if *run != "" {
		re, err := regexp.Compile(*run)
		if err != nil {
			fmt.Fprintf(errs, "%s: -run: %v\n", name, err)
			return 2
		}
		p.Want = func(group, work, subject string) bool { return re.MatchString(group + "/" + work + "/" + subject) }
	}
	if *profiles != "" {
		return perProfile(name, args, strings.Split(*profiles, ","), flags, out, errs)
	}
	if out == os.Stdout { // else this is a test, which has no arguments of its own to run again with
		if status, ran := kernelif.Isolate(); ran {
			return status
		}
	}
	if out == os.Stdout && p.Total > 0 {
		time.AfterFunc(2*p.Total+time.Minute, func() {
			fmt.Fprintf(errs, "%s: given up: something hangs\n", name)
			os.Exit(1)
		})
	}
	p.Files = files()
	instructions() // while there are few threads
	r := newReport(commandLine(name, args), &p)
	started := time.Now()
	r.Results, r.Notes = p.Run()
	if *scale {
		var notes []string
		r.Scale, notes = p.scale()
		r.Notes = append(r.Notes, notes...)
	}
	r.Seconds = time.Since(started).Seconds()
	if _, ok := instructions(); !ok {
		r.Notes = append(r.Notes, "this machine does not count instructions")
	}
	if len(r.Results)+len(r.Scale) == 0 {
		fmt.Fprintf(errs, "%s: nothing was measured\n", name)
		return 1
	}
	if *jsonFile != "-" {
		r.Table(out)
	}
	var err error
	if *jsonFile != "" {
		err = writeTo(*jsonFile, out, r.JSON)
	}
	if *svgDir != "" {
		err = errors.Join(err, r.draw(*svgDir))
	}
	if *docFile != "" {
		err = errors.Join(err, r.document(*docFile))
	}
	if err != nil {
		fmt.Fprintf(errs, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// commandLine is what the user typed, or would have to: the tags of this build included.
func commandLine(name string, args []string) string {
	tags := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-tags" {
				tags = "-tags " + s.Value + " "
			}
		}
	}
	for i, a := range args {
		if strings.ContainsAny(a, " |()*$") {
			args[i] = "'" + a + "'"
		}
	}
	return strings.Join(append([]string{strings.Replace(name, "go run ", "go run "+tags, 1)}, args...), " ")
}

// writeTo gives f a file, or out where the name is -.
func writeTo(name string, out io.Writer, f func(io.Writer) error) error {
	if name == "-" {
		return f(out)
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := f(file); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
