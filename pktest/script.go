package pktest

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Pos is a place in a script: line and column count from 1.
type Pos struct{ Line, Col int }

// ScriptError is a mistake in a script.
type ScriptError struct {
	File string
	Pos  Pos
	Msg  string
}

func (e *ScriptError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Pos.Line, e.Pos.Col, e.Msg)
}

// Script is a parsed .pkt file.
type Script struct {
	File   string
	config config
	events []*event
}

// Length returns how long the script takes at least, on its target's clock.
func (s *Script) Length() time.Duration {
	var last, longest time.Duration
	for _, e := range s.events {
		switch w := e.time; {
		case w.any:
			continue
		case w.relative:
			longest = max(longest, last+w.end)
			last += w.at
		default:
			longest = max(longest, w.end)
			last = w.at
		}
		longest = max(longest, last)
	}
	return longest
}

// config is what the --option lines say.
type config struct {
	setup       Setup
	tolerance   time.Duration
	tsTick      time.Duration // of the TS clock, checked if not 0
	bindPort    uint16
	connectPort uint16
	features    []string        // needed; with "!", not to be there
	targets     []string        // the only ones that it is for; none: all
	nonFatal    map[string]bool // "packet", "syscall"
	extra       bool            // packets that the script does not mention are all right
	define      map[string]string
}

// event is one line of a script.
type event struct {
	pos  Pos
	text string // as written, for reports
	time when

	// One of:
	call    *callEvent
	packet  *packetEvent
	code    []statement
	command []string // words
}

// when is the time of an event.
type when struct {
	relative bool
	any      bool          // "*"
	at       time.Duration // or the beginning of a range
	until    time.Duration // the end of a range "a~b"
	isRange  bool
	blocks   bool          // "a...b": the call is to end at
	end      time.Duration // that time
}

// callEvent is a system call and what it is to return.
type callEvent struct {
	name   string
	args   []value
	ret    value // kindEllipsis: anything
	errno  int   // or 0
	hasErr bool  // the script names an error
}

type valueKind uint8

const (
	kindNumber valueKind = iota
	kindEllipsis
	kindString
	kindList   // [...]
	kindStruct // {...}
	kindAddr   // from inet_addr("...")
)

// value is an argument.
type value struct {
	pos    Pos
	kind   valueKind
	n      int64
	s      string
	list   []value // elements, or values of fields
	fields []string
	addr   netip.Addr
}

func (v *value) String() string {
	switch v.kind {
	case kindEllipsis:
		return "..."
	case kindString:
		return strconv.Quote(v.s)
	case kindList, kindStruct:
		s := ""
		for i := range v.list {
			if i > 0 {
				s += ", "
			}
			if v.kind == kindStruct {
				s += v.fields[i] + "="
			}
			s += v.list[i].String()
		}
		if v.kind == kindList {
			return "[" + s + "]"
		}
		return "{" + s + "}"
	case kindAddr:
		return v.addr.String()
	}
	return strconv.FormatInt(v.n, 10)
}

// packetEvent is a packet to inject or to expect.
type packetEvent struct {
	in    bool
	proto uint8
	flow  int // 0: the current one

	flags        Flags
	anyFlags     bool
	seq, end     uint32
	anySeq       bool // "..." stands where seq:end(len) would
	n            int  // bytes of payload
	hasLen       bool
	ack          uint32
	hasAck       bool
	win          uint16
	hasWin       bool
	urg          uint16
	hasUrg       bool
	opts         []Option
	optPos       Pos
	hasOpts      bool // else, for a packet to expect: none... unless
	anyOpts      bool // <...>: any; <mss 1000,...>: these and any
	typ, code    uint8
	rest         uint32
	hasRest      bool
	quote        *packetEvent
	ttl, tos     int // -1: not said
	ecn          int // -1: not said; 4: ECT(0) or ECT(1)
	df           int // -1: not said
	src          netip.Addr
	badSum       bool
	fill         int // -1: the stream's pattern; else every byte of the payload
	ipOptions    []byte
	fragOff      int
	fragMore     bool
	hasFrag      bool
	dstBroadcast bool
}
