package pktest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Report says how a script went.
type Report struct {
	Script   *Script
	Failures []Failure
	Skipped  string   // why it was not run, or ""
	Packets  int      // sent by the stack and seen by the script
	Unasked  int      // assertions left out: the stack's TCP_INFO has no such field
	Printed  []string // by print statements: file:line: what
	Ladder   Ladder
}

// Failure is an event that went otherwise than the script says.
type Failure struct {
	Pos       Pos
	Msg       string
	Want, Got string // may be empty
}

// Failed reports whether something went otherwise than the script says.
func (r *Report) Failed() bool { return len(r.Failures) > 0 }

// String reports failures as a compiler does: file:line: message.
func (r *Report) String() string {
	var b strings.Builder
	for _, f := range r.Failures {
		fmt.Fprintf(&b, "%s:%d: %s\n", r.Script.File, f.Pos.Line, f.Msg)
		if f.Want != "" {
			fmt.Fprintf(&b, "\texpected  %s\n", f.Want)
		}
		if f.Got != "" {
			fmt.Fprintf(&b, "\tgot       %s\n", f.Got)
		}
	}
	return b.String()
}

// runner plays a script.
type runner struct {
	script *Script
	cfg    *config
	target Target
	report *Report

	tolerance time.Duration
	base      time.Duration // time of the last event, for relative ones
	sent      []sentPacket  // not looked at yet
	pending   []*pendingCall
	fds       map[int64]*sock // by the script's number
	last      *sock           // TCP socket used last: what tcpi_ names are about
	flows     []*flow
	current   *flow
	incoming  [][]byte // UDP payloads that the stack was sent
}

type sentPacket struct {
	b  []byte
	at time.Duration
}

// abort ends a script at its first failure.
type abort struct{}

// Run plays a script against a target and closes that.
func Run(s *Script, t Target) *Report {
	r := &runner{script: s, cfg: &s.config, target: t, report: &Report{Script: s}, fds: map[int64]*sock{}}
	defer t.Close()
	if why := r.unfit(); why != "" {
		r.report.Skipped = why
		return r.report
	}
	if err := t.Setup(r.cfg.setup); err != nil {
		if IsUnsupported(err) {
			r.report.Skipped = err.Error()
		} else {
			r.fail(Pos{1, 1}, err.Error(), "", "")
		}
		return r.report
	}
	r.tolerance = max(r.cfg.tolerance, t.Tolerance())
	r.play()
	return r.report
}

// unfit returns why the script is not for the target, or "".
func (r *runner) unfit() string {
	need := r.cfg.features
	for _, e := range r.script.events {
		if e.call != nil && e.call.name == "listen" {
			need = append(need[:len(need):len(need)], "listen")
		}
	}
	for _, f := range need {
		name, not := strings.CutPrefix(f, "!")
		if has := r.target.Has(name); has == not {
			return "needs feature " + f
		}
	}
	if len(r.cfg.targets) > 0 {
		for _, name := range r.cfg.targets {
			if r.target.Has("target:" + name) {
				return ""
			}
		}
		return "is for " + strings.Join(r.cfg.targets, ", ")
	}
	return ""
}

// play runs the events.
func (r *runner) play() {
	defer func() {
		switch v := recover().(type) {
		case nil, abort:
		default:
			panic(v)
		}
		for _, s := range r.sent { // what no line was compared with
			if p, err := ParseIP(s.b); err == nil {
				r.report.Ladder.Out(s.at, r.asScript(p, r.flowOf(p), nil).String())
			}
		}
	}()
	for _, e := range r.script.events {
		r.event(e)
	}
	for _, p := range append([]*pendingCall(nil), r.pending...) {
		r.advance(p.event.pos, p.end+r.tolerance)
	}
	r.leftovers()
}

// event plays one event.
func (r *runner) event(e *event) {
	at := r.target.Now()
	w := e.time
	switch {
	case w.any:
	case w.relative:
		at = r.base + w.at
	default:
		at = w.at
	}
	if e.packet != nil && !e.packet.in {
		r.expectPacket(e, at)
		return
	}
	r.advance(e.pos, at)
	if patience := r.target.Tolerance(); e.call == nil {
		r.finish(at, min(patience, 3*time.Millisecond)) // it may be this event that ends them
	} else {
		r.finish(at, patience)
	}
	r.base = max(at, 0)
	if w.any {
		r.base = r.target.Now()
	}
	switch {
	case e.packet != nil:
		r.inject(e)
	case e.call != nil:
		r.startCall(e, r.base)
	case e.code != nil:
		r.runCode(e)
	case e.command != nil: // sleep
		n, err := strconv.ParseFloat(e.command[1], 64)
		if err != nil || n < 0 || n > 1e6 {
			r.stop(e.pos, "sleep for how long?", "", "")
		}
		r.base += time.Duration(n * 1e9)
		r.advance(e.pos, r.base)
	}
	r.settle()
}

// settle lets what is due now happen.
func (r *runner) settle() {
	r.target.Wait(r.target.Now())
	r.collect()
}

// finish waits for calls that are to be over by now: in real time they may be a
// little late.
func (r *runner) finish(at, patience time.Duration) {
	for limit := r.target.Now() + patience; r.target.Now() < limit; {
		due := false
		for _, p := range r.pending {
			due = due || p.end <= at
		}
		if !due {
			return
		}
		r.target.Wait(limit)
		r.collect()
	}
}

// advance lets time pass until at.
func (r *runner) advance(pos Pos, at time.Duration) {
	for r.target.Now() < at {
		limit := at
		for _, p := range r.pending {
			limit = min(limit, max(p.end+r.tolerance, r.target.Now()))
		}
		r.target.Wait(limit)
		r.collect()
		now := r.target.Now()
		for _, p := range r.pending {
			if now >= p.end+r.tolerance {
				r.stop(p.event.pos, fmt.Sprintf("%s still blocks at %s", p.event.call.name, seconds(now)), p.event.text, "")
			}
		}
	}
	r.settle()
}

// collect takes what the stack has sent, and the calls that have ended.
func (r *runner) collect() {
	for {
		b, at, ok := r.target.Sent()
		if !ok {
			break
		}
		r.sent = append(r.sent, sentPacket{b, at})
	}
	keep := r.pending[:0]
	var done []*pendingCall
	for _, p := range r.pending {
		if p.call.Done {
			done = append(done, p)
		} else {
			keep = append(keep, p)
		}
	}
	r.pending = keep
	for _, p := range done {
		r.callEnded(p)
	}
}

// leftovers reports packets that the script does not mention, sent while it went
// on. What its last event has made the stack send is nobody's business: so do
// packetdrill's scripts end.
func (r *runner) leftovers() {
	if r.cfg.extra || len(r.sent) == 0 || r.sent[0].at+r.tolerance >= r.base {
		return
	}
	s := r.sent[0]
	p, err := ParseIP(s.b)
	if err != nil {
		r.fail(r.lastPos(), "the script ends, and the stack has sent what can't be read: "+err.Error(), "", "")
		return
	}
	text := r.asScript(p, r.flowOf(p), nil).String()
	r.fail(r.lastPos(), "the script ends without mentioning a packet", "", seconds(s.at)+" > "+text)
}

func (r *runner) lastPos() Pos {
	if n := len(r.script.events); n > 0 {
		return r.script.events[n-1].pos
	}
	return Pos{1, 1}
}

// fail notes a failure.
func (r *runner) fail(pos Pos, msg, want, got string) {
	r.report.Failures = append(r.report.Failures, Failure{pos, msg, want, got})
	r.report.Ladder.Note(r.target.Now(), "line %d: %s", pos.Line, msg)
}

// stop fails and ends the script.
func (r *runner) stop(pos Pos, msg, want, got string) {
	r.fail(pos, msg, want, got)
	panic(abort{})
}

// fatal is stop, unless --non_fatal names the kind of event.
func (r *runner) fatal(kind string, pos Pos, msg, want, got string) {
	r.fail(pos, msg, want, got)
	if !r.cfg.nonFatal[kind] {
		panic(abort{})
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }

// runCode checks assertions.
func (r *runner) runCode(e *event) {
	var info map[string]int64
	if r.last != nil && r.last.live >= 0 {
		info = r.target.Info(r.last.live)
	}
	env := func(name string) (int64, bool) {
		if t, ok := strings.CutPrefix(name, "is_"); ok {
			return truth(r.target.Has("target:" + t)), true
		}
		v, ok := info[name]
		return v, ok
	}
	for _, st := range e.code {
		v, err := st.cond(env)
		if v == 0 && r.target.Tolerance() > 0 && strings.Contains(st.text, "tcpi_rt") {
			continue // times are exact in virtual time only
		}
		switch {
		case err != nil && info != nil && r.target.Has("loose:info"):
			r.report.Unasked++
			r.report.Ladder.Note(r.target.Now(), "not asked: %s: %v", st.text, err)
		case err != nil:
			r.stop(st.pos, fmt.Sprintf("%s: %v", st.text, err), "", "")
		case st.print:
			text := fmt.Sprintf("%s = %d", strings.TrimSpace(st.text), v)
			r.report.Ladder.Note(r.target.Now(), "%s", text)
			r.report.Printed = append(r.report.Printed, fmt.Sprintf("%s:%d: %s", r.script.File, st.pos.Line, text))
		case v == 0:
			r.stop(st.pos, "assertion failed: "+st.text, "", namesIn(st.text, info))
		default:
			r.report.Ladder.Note(r.target.Now(), "%s", st.text)
		}
	}
}

// namesIn returns the values of the names in an assertion.
func namesIn(text string, info map[string]int64) string {
	s := scanner{src: text}
	var list []string
	seen := map[string]bool{}
	for !s.eof() {
		w := s.word()
		if w == "" {
			s.at++
			continue
		}
		if v, ok := info[w]; ok && !seen[w] {
			seen[w] = true
			list = append(list, fmt.Sprintf("%s is %d", w, v))
		}
	}
	return strings.Join(list, ", ")
}
